//! `init`: a data directory with a commented configuration file and a new key.

use super::address;
use crate::{
    cli::InitArgs,
    config::{Settings, CONFIG_FILE},
    error::{Error, Kind, Result},
    key::{Key, KeySource},
};
use std::{
    fs::OpenOptions,
    io::{ErrorKind, Write},
    path::Path,
};

const KEY_FILE: &str = "key";

/// Runs `init`.
pub fn run(settings: &Settings, args: &InitArgs) -> Result<()> {
    let dir = &settings.data_dir;
    std::fs::create_dir_all(dir).map_err(|error| unwritable(dir, error))?;

    let key_file = dir.join(KEY_FILE);
    let made = !args.no_key && create(&key_file, &format!("{}\n", new_secret()?), true)?;
    if made {
        println!("Created a key in {}.", key_file.display());
        println!("  It is all that controls the stake: keep a copy in a safe place.");
    } else if key_file.exists() {
        println!("Kept the key in {}.", key_file.display());
    }

    let config = dir.join(CONFIG_FILE);
    if create(&config, &template(&settings.url, key_file.exists()), false)? {
        println!("Wrote {}.", config.display());
    } else {
        println!("Kept {}.", config.display());
    }
    if key_file.exists() {
        let key = Key::load(&KeySource::File(key_file))?;
        println!("Account: {}", address(key.account()));
        println!("Next: send GEN to it, then `genesisflow-worker doctor` says what is missing.");
    }
    Ok(())
}

/// 32 random bytes as a 0x seed.
fn new_secret() -> Result<String> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| {
        Error::new(Kind::Internal, "the system gives no random numbers").because(error)
    })?;
    Ok(format!("0x{}", hex::encode(seed)))
}

/// Writes a file that is not there yet. False if it is.
fn create(path: &Path, content: &str, is_secret: bool) -> Result<bool> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if is_secret {
        use std::os::unix::fs::OpenOptionsExt;
        // From the first byte on: nobody else reads it in between.
        options.mode(0o600);
    }
    #[cfg(not(unix))]
    let _ = is_secret;
    let mut file = match options.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(false),
        Err(error) => return Err(unwritable(path, error)),
    };
    file.write_all(content.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(|error| unwritable(path, error))?;
    Ok(true)
}

fn unwritable(path: &Path, error: std::io::Error) -> Error {
    Error::new(Kind::Journal, format!("cannot write {}", path.display()))
        .because(error)
        .fix("pass --data-dir a directory that you can write to")
}

/// The configuration file. What is commented out is the default.
fn template(url: &str, has_key: bool) -> String {
    let key = if has_key {
        format!("key-file = \"{KEY_FILE}\"")
    } else {
        format!("# key-file = \"{KEY_FILE}\"")
    };
    format!(
        r#"# Settings of genesisflow-worker. Flags and environment variables win over them.
# Paths are relative to this file.

# The node to use: ws:// or wss://. Your own is best; it is trusted for what it says.
# Several with commas between: the first that answers, and another when it falls silent.
url = "{}"

# The file with the account's secret, readable by you alone (chmod 600).
{key}

# The account that this key works for as a proxy; without it, the key's own.
# proxy-for = "5…"

# Model folders to serve; without it, all that were offered from this directory.
# models = ["/srv/models/polyglot-tiny"]

# How much disk the models that `model add` brings may take together, and where from.
# disk-quota = "50 GB"
# hub = "https://huggingface.co"

# What to log: error, warn, info, debug, trace, or module=level pairs.
# log = "warn,genesisflow_worker=info,genesisflow_engine=info"

# Seconds that a stop waits for the job in hand.
# shutdown-grace = 30

# Whether to appeal when auditors decide against this worker and a second replay
# says that they are wrong, and the largest bond for it in GEN.
# appeal = true
# appeal-bond-limit = "100"

# What models run on: auto (every NVIDIA card that can be used, else the CPU), cpu, cuda:0,
# or several cards: cuda:0,cuda:1.
# device = "auto"

# Where to answer /metrics (Prometheus), /health and /ready; nowhere by default.
# metrics = "127.0.0.1:9616"
"#,
        url.escape_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::CommonArgs;

    fn settings(dir: &Path) -> Settings {
        let args = CommonArgs {
            data_dir: Some(dir.to_owned()),
            ..CommonArgs::default()
        };
        Settings::resolve(&args).unwrap()
    }

    #[test]
    fn what_it_writes_can_be_read_and_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let args = InitArgs { no_key: false };
        run(&settings(&data), &args).unwrap();
        let read = settings(&data);
        assert_eq!(read.url, "ws://127.0.0.1:9944");
        let Some(source @ KeySource::File(path)) = &read.key else {
            panic!("{:?}", read.key)
        };
        let account = Key::load(source).unwrap().account();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }

        run(&read, &args).unwrap();
        assert_eq!(Key::load(source).unwrap().account(), account);
    }

    #[test]
    fn without_a_key_the_file_says_where_one_would_go() {
        let dir = tempfile::tempdir().unwrap();
        run(&settings(dir.path()), &InitArgs { no_key: true }).unwrap();
        assert!(!dir.path().join(KEY_FILE).exists());
        let text = std::fs::read_to_string(dir.path().join(CONFIG_FILE)).unwrap();
        assert!(text.contains("# key-file = \"key\""), "{text}");
    }
}
