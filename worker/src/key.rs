//! The signing key: where it comes from and what is refused.
//!
//! A key comes from a file that only its owner can read, from the environment
//! (`GENESISFLOW_KEY`), or, on development chains only, from a well-known name
//! such as `//Bob`. It is never taken as a plain argument on a real chain,
//! because arguments are visible to every user of the machine. Nothing here
//! prints or logs a secret.

use crate::error::{Error, Kind, Result};
use genesisflow_primitives::H256;
use sha2::{Digest, Sha256};
use std::{path::Path, str::FromStr};
use subxt_signer::{sr25519::Keypair, SecretUri};

/// Environment variable that may hold the secret itself.
pub const KEY_VARIABLE: &str = "GENESISFLOW_KEY";

/// Where the key is taken from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A file with a mnemonic, a `0x` seed or a secret URI.
    File(std::path::PathBuf),
    /// The environment variable [`KEY_VARIABLE`].
    Environment,
    /// A well-known development key such as `//Bob`.
    Dev(String),
}

/// The key, and whether it is a well-known one.
#[derive(Clone)]
pub struct Key {
    pair: Keypair,
    dev: Option<String>,
    /// What [`Key::derive`] starts from.
    root: [u8; 32],
    /// The account that it acts for as a proxy.
    proxied: Option<[u8; 32]>,
}

impl std::fmt::Debug for Key {
    /// Shows the account only.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key")
            .field("account", &self.account())
            .finish_non_exhaustive()
    }
}

impl Key {
    /// Reads the key from `source`.
    ///
    /// # Errors
    /// [`Kind::Key`] if the file is missing or readable by others, or if its
    /// content is no key.
    pub fn load(source: &KeySource) -> Result<Self> {
        match source {
            KeySource::File(path) => Self::from_file(path),
            KeySource::Environment => {
                let secret = std::env::var(KEY_VARIABLE).map_err(|_| no_key())?;
                Self::from_secret(&secret, &format!("the variable {KEY_VARIABLE}"))
            }
            KeySource::Dev(uri) => Self::from_dev(uri),
        }
    }

    /// The account that this key acts for: that of the account it is a proxy of,
    /// or else its own.
    pub fn account(&self) -> [u8; 32] {
        self.proxied.unwrap_or_else(|| self.signer())
    }

    /// The key's own account, which signs and pays fees: its public key.
    pub fn signer(&self) -> [u8; 32] {
        self.pair.public_key().0
    }

    /// The account that this key is a proxy of, if it is one.
    pub fn proxied(&self) -> Option<[u8; 32]> {
        self.proxied
    }

    /// The same key, acting for `account`.
    pub fn as_proxy_of(self, account: [u8; 32]) -> Self {
        let proxied = (account != self.signer()).then_some(account);
        Self { proxied, ..self }
    }

    /// The key pair that signs.
    pub fn pair(&self) -> &Keypair {
        &self.pair
    }

    /// The development name, if this key is a well-known one.
    pub fn dev_name(&self) -> Option<&str> {
        self.dev.as_deref()
    }

    /// A number that only this key's owner knows: the same for the same
    /// `purpose`, and without any visible relation to that for another.
    ///
    /// It follows from the text that the key was given as: another way to write
    /// the same key (its seed instead of its phrase) gives other numbers.
    pub fn derive(&self, purpose: &[u8]) -> H256 {
        let mut hash = Sha256::new();
        hash.update(self.root);
        hash.update((purpose.len() as u64).to_le_bytes());
        hash.update(purpose);
        // Twice, so that a number says nothing about that for a longer purpose.
        H256(Sha256::digest(hash.finalize()).into())
    }

    fn from_file(path: &Path) -> Result<Self> {
        let shown = path.display();
        let unreadable = |error: std::io::Error| {
            Error::new(Kind::Key, format!("cannot read the key file {shown}"))
                .because(error)
                .fix("give --key-file the path of a file that holds your mnemonic or 0x seed")
        };
        let metadata = std::fs::metadata(path).map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(
                Error::new(Kind::Key, format!("the key file {shown} is no file"))
                    .fix("give --key-file the path of a file that holds your mnemonic or 0x seed"),
            );
        }
        refuse_if_readable_by_others(path, &metadata)?;
        let content = std::fs::read_to_string(path).map_err(unreadable)?;
        Self::from_secret(&content, &format!("the key file {shown}"))
    }

    fn from_secret(secret: &str, place: &str) -> Result<Self> {
        let secret = secret.trim();
        let refused = |cause: String| {
            Error::new(Kind::Key, format!("{place} holds no usable key"))
                .because(cause)
                .fix("it must hold one line: a mnemonic of 12 or 24 words, a 0x seed of 64 hexadecimal digits, or either with a derivation path such as //worker")
        };
        if secret.is_empty() {
            return Err(refused("it is empty".into()));
        }
        if secret.starts_with('/') {
            // Without a phrase, subxt-signer would fall back to the public
            // development phrase: anyone could take the stake.
            return Err(refused(
                "it has a derivation path but no phrase, which would be a publicly known development key (for a development chain use --dev-key)".into(),
            ));
        }
        let uri = SecretUri::from_str(secret).map_err(|error| refused(error.to_string()))?;
        let pair = Keypair::from_uri(&uri).map_err(|error| refused(error.to_string()))?;
        Ok(Self {
            pair,
            dev: None,
            root: root(secret),
            proxied: None,
        })
    }

    fn from_dev(name: &str) -> Result<Self> {
        let refused = |cause: String| {
            // The value is not repeated: it may be a secret given by mistake.
            Error::new(Kind::Key, "what --dev-key gives is no development key")
                .because(cause)
                .fix("use a derivation path such as --dev-key //Bob, or --key-file for a real key")
        };
        if !name.starts_with("//") {
            return Err(refused("it does not start with //".into()));
        }
        let uri = SecretUri::from_str(name).map_err(|error| refused(error.to_string()))?;
        let pair = Keypair::from_uri(&uri).map_err(|error| refused(error.to_string()))?;
        Ok(Self {
            pair,
            dev: Some(name.to_owned()),
            root: root(name),
            proxied: None,
        })
    }
}

/// What a key's derived numbers start from.
fn root(secret: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"genesisflow/worker/derive/v1");
    hash.update(secret);
    hash.finalize().into()
}

/// The error for a command that needs a key and was given none.
pub fn no_key() -> Error {
    Error::new(Kind::Key, "no signing key was given").fix(format!(
        "pass --key-file PATH, or set {KEY_VARIABLE}; on a development chain, --dev-key //Bob will do"
    ))
}

#[cfg(unix)]
fn refuse_if_readable_by_others(path: &Path, metadata: &std::fs::Metadata) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let shown = path.display();
    Err(Error::new(
        Kind::Key,
        format!("the key file {shown} can be read by other users (mode {mode:04o})"),
    )
    .fix(format!("run `chmod 600 {shown}`")))
}

#[cfg(not(unix))]
fn refuse_if_readable_by_others(_: &Path, _: &std::fs::Metadata) -> Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn derived_numbers_follow_from_key_and_purpose_alone() {
        let key = |name: &str| Key::load(&KeySource::Dev(name.into())).unwrap();
        let (bob, dave) = (key("//Bob"), key("//Dave"));
        assert_eq!(bob.derive(b"salt"), key("//Bob").derive(b"salt"));
        assert_ne!(bob.derive(b"salt"), bob.derive(b"salu"));
        assert_ne!(bob.derive(b"salt"), dave.derive(b"salt"));
    }

    const PHRASE: &str = "bottom drive obey lake curtain smoke basket hold race lonely fit walk";

    #[cfg(unix)]
    fn key_file(content: &str, mode: u32) -> tempfile::NamedTempFile {
        use std::os::unix::fs::PermissionsExt;
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content.as_bytes()).unwrap();
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    #[cfg(unix)]
    fn load(content: &str, mode: u32) -> Result<Key> {
        let file = key_file(content, mode);
        Key::load(&KeySource::File(file.path().to_owned()))
    }

    #[cfg(unix)]
    #[test]
    fn a_phrase_with_a_path_gives_the_same_account_as_the_development_key() {
        let from_file = load(&format!("{PHRASE}//Bob\n"), 0o600).unwrap();
        let dev = Key::load(&KeySource::Dev("//Bob".into())).unwrap();
        assert_eq!(from_file.account(), dev.account());
        assert_eq!(from_file.dev_name(), None);
        assert_eq!(dev.dev_name(), Some("//Bob"));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_can_read_is_refused_with_the_command_that_helps() {
        let error = load(PHRASE, 0o644).unwrap_err();
        assert_eq!(error.kind(), Kind::Key);
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn content_that_is_no_key_is_refused_without_repeating_it() {
        for content in ["", "hunter2 hunter2", "0x1234", "//Alice", "/soft"] {
            let error = load(content, 0o400).unwrap_err();
            assert_eq!(error.kind(), Kind::Key);
            if !content.is_empty() {
                assert!(!error.to_string().contains(content), "{error}");
            }
        }
    }

    #[test]
    fn a_missing_file_is_an_error_that_names_it() {
        let error = Key::load(&KeySource::File("/nowhere/key".into())).unwrap_err();
        assert!(error.to_string().contains("/nowhere/key"), "{error}");
    }

    #[test]
    fn a_development_key_must_be_a_path() {
        assert!(Key::load(&KeySource::Dev("Bob".into())).is_err());
        assert!(Key::load(&KeySource::Dev(PHRASE.into())).is_err());
    }

    #[test]
    fn debug_output_has_no_secret() {
        let key = Key::load(&KeySource::Dev("//Bob".into())).unwrap();
        let shown = format!("{key:?}");
        assert!(
            shown.contains("account") && !shown.contains("secret"),
            "{shown}"
        );
    }
}
