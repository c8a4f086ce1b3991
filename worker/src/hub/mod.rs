//! The Hugging Face hub, as far as fetching a model needs it: which files a
//! repository has at a commit, and their bytes.
//!
//! A branch or tag is resolved to its commit first, and every file is fetched
//! from that commit: what the hub says of it (its size, and either its SHA-256
//! or the git object that it is) decides whether its bytes are taken.

mod download;

pub(crate) use download::unwritable;
pub use download::{download, Wanted};

use crate::error::{Error, Kind, Result};
use serde::Deserialize;
use std::{net::IpAddr, time::Duration};
use ureq::{
    config::RedirectAuthHeaders,
    tls::{RootCerts, TlsConfig},
    Agent,
};

/// The public hub.
pub const DEFAULT_HUB: &str = "https://huggingface.co";
/// Environment variable with an access token, for models that need one. The
/// hub's own tools read it, too.
pub const TOKEN_VARIABLE: &str = "HF_TOKEN";
/// For a connection, and for the beginning of an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// A transfer in which nothing arrives for so long is begun again where it stopped.
const SILENCE: Duration = Duration::from_secs(60);
/// Largest list of files that is read.
const LARGEST_LIST: u64 = 16 << 20;

/// A repository of the hub: `owner/name`, or the name alone for some old ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository(String);

impl Repository {
    /// Reads `owner/name`.
    pub fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('/').collect();
        let is_repository = parts.len() <= 2 && parts.iter().all(|part| is_plain_name(part));
        is_repository.then(|| Self(text.to_owned()))
    }

    /// Its name, without the owner.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl std::fmt::Display for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a name can be part of a path and of an address without meaning
/// anything else there.
pub fn is_plain_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !name.is_empty() && name.len() <= 96 && !name.starts_with('.') && name.chars().all(plain)
}

/// The files of a repository at one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The commit: 40 hexadecimal digits.
    pub commit: String,
    /// Its files.
    pub files: Vec<Listed>,
}

/// What the hub says of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its path in the repository.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// What its bytes must hash to.
    pub expected: Expected,
}

/// How the hub identifies a file's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// By their SHA-256, as 64 hexadecimal digits: large files.
    Sha256(String),
    /// By the git object that they are, as 40 hexadecimal digits: small files.
    GitBlob(String),
}

/// A hub that answers at an address.
#[derive(Debug)]
pub struct Hub {
    agent: Agent,
    address: String,
    token: Option<String>,
}

/// The answer of the hub's list of files, as far as it is used.
#[derive(Deserialize)]
struct RevisionAnswer {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    blob_id: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: String,
    size: u64,
}

impl Hub {
    /// The hub at `address`, with the access token of the environment if there
    /// is one.
    ///
    /// # Errors
    /// [`Kind::Usage`] if the address is none, or would send what it says in
    /// plain text over a network.
    pub fn new(address: &str) -> Result<Self> {
        let address = address.trim_end_matches('/');
        let refused = |cause: &str| {
            Error::new(Kind::Usage, format!("`{address}` is no address of a hub"))
                .because(cause)
                .fix(format!("give --hub an address such as {DEFAULT_HUB}"))
        };
        let (is_plain, rest) = match (
            address.strip_prefix("https://"),
            address.strip_prefix("http://"),
        ) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err(refused("it does not begin with https://")),
        };
        let host = rest.split('/').next().unwrap_or_default();
        if host.is_empty() || host.contains(['@', ' ', '?', '#']) {
            return Err(refused("it names no host"));
        }
        if is_plain && !is_loopback(host) {
            return Err(refused(
                "without TLS anybody on the way could change what it says; http:// is for this machine alone",
            ));
        }
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .build();
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .user_agent(concat!("genesisflow-worker/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            .timeout_per_read(Some(SILENCE))
            .https_only(!is_plain)
            // The hub answers for small files from another path of its own, where a model that is
            // not for everybody needs the token again. It goes to no other host.
            .redirect_auth_headers(RedirectAuthHeaders::SameHost)
            .tls_config(tls);
        if is_plain {
            // A proxy of the environment is not for this machine.
            config = config.proxy(None);
        }
        Ok(Self {
            agent: config.build().into(),
            address: address.to_owned(),
            token: std::env::var(TOKEN_VARIABLE)
                .ok()
                .filter(|token| !token.is_empty()),
        })
    }

    /// Where a person finds the files of a commit.
    pub fn page(&self, repository: &Repository, commit: &str) -> String {
        format!("{}/{repository}/tree/{commit}", self.address)
    }

    /// Where a file of a commit is.
    pub fn file(&self, repository: &Repository, commit: &str, path: &str) -> String {
        format!("{}/{repository}/resolve/{commit}/{path}", self.address)
    }

    /// The files of `repository` at `revision`: a commit, a branch or a tag.
    ///
    /// # Errors
    /// [`Kind::Hub`] if the hub cannot be reached, refuses, or says nothing that
    /// can be used.
    pub fn list(&self, repository: &Repository, revision: &str) -> Result<Listing> {
        let what = format!("the files of {repository} at {revision}");
        let url = format!(
            "{}/api/models/{repository}/revision/{}?blobs=true",
            self.address,
            revision.replace('/', "%2F")
        );
        let answer = self
            .get(&url, None)
            .map_err(|error| unreachable(&what, &self.address, error))?;
        let status = answer.status().as_u16();
        if status != 200 {
            return Err(refusal(&what, status, self.token.is_some()));
        }
        let bytes = answer
            .into_body()
            .into_with_config()
            .limit(LARGEST_LIST)
            .read_to_vec()
            .map_err(|error| unreachable(&what, &self.address, error))?;
        let listing = read_listing(&bytes).map_err(|cause| {
            Error::new(
                Kind::Hub,
                format!("the hub's answer on {what} is of no use"),
            )
            .because(cause)
            .fix("check that --hub is the address of a Hugging Face hub")
        })?;
        let is_commit = revision.len() == 40 && revision.bytes().all(|b| b.is_ascii_hexdigit());
        if is_commit && !revision.eq_ignore_ascii_case(&listing.commit) {
            return Err(Error::new(
                Kind::Hub,
                format!("the hub gives another commit than {revision} of {repository}"),
            )
            .because(format!("it says {}", listing.commit))
            .fix("check that --hub is the address of a hub that can be trusted"));
        }
        Ok(listing)
    }

    /// Asks for `url`, from byte `from` on.
    fn get(
        &self,
        url: &str,
        from: Option<u64>,
    ) -> std::result::Result<ureq::http::Response<ureq::Body>, ureq::Error> {
        let mut request = self.agent.get(url);
        if let Some(token) = &self.token {
            // Not passed on to other hosts that the hub redirects to.
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        if let Some(from) = from {
            request = request.header("Range", format!("bytes={from}-"));
        }
        request.call()
    }
}

/// Whether a host, perhaps with a port, is this machine.
fn is_loopback(host: &str) -> bool {
    let bare = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn read_listing(bytes: &[u8]) -> std::result::Result<Listing, String> {
    let answer: RevisionAnswer = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    let is_hex = |text: &str, digits| {
        text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    if !is_hex(&answer.sha, 40) {
        return Err(format!("`{}` is no commit", answer.sha));
    }
    let listed = answer.siblings.into_iter().filter_map(|file| {
        let (size, expected) = match (file.lfs, file.size, file.blob_id) {
            (Some(lfs), ..) => (lfs.size, Expected::Sha256(lfs.sha256)),
            (None, Some(size), Some(blob)) => (size, Expected::GitBlob(blob)),
            // Of no use: nothing that its bytes could be checked with.
            _ => return None,
        };
        let is_good = match &expected {
            Expected::Sha256(hash) => is_hex(hash, 64),
            Expected::GitBlob(hash) => is_hex(hash, 40),
        };
        is_good.then_some(Listed {
            path: file.rfilename,
            size,
            expected,
        })
    });
    Ok(Listing {
        commit: answer.sha,
        files: listed.collect(),
    })
}

fn unreachable(what: &str, address: &str, cause: ureq::Error) -> Error {
    let what = format!("cannot get {what} from {address}");
    distrusted(&what, &cause).unwrap_or_else(|| {
        Error::new(Kind::Hub, what).because(cause).fix(
            "check the network and --hub, and run the same command again: it goes on where it stopped",
        )
    })
}

/// The error about a host that did not show who it is, if that is what went
/// wrong: trying again does not help.
fn distrusted(what: &str, cause: &ureq::Error) -> Option<Error> {
    // The library passes on what TLS says as text alone.
    let cause = cause.to_string();
    let fix = if cause.contains("invalid peer certificate") {
        format!("somebody else may have answered, a proxy on the way perhaps: check --hub, and this machine's clock. If the host has a certificate of your own authority, {TRUST_IT}")
    } else if cause.contains("No CA certificates") {
        format!("install the system's certificates (the package ca-certificates), or {TRUST_IT}")
    } else {
        return None;
    };
    Some(Error::new(Kind::Hub, what).because(cause).fix(fix))
}

const TRUST_IT: &str =
    "let SSL_CERT_FILE name a file with the certificates to trust, or add them to the system's";

/// What a status of the hub means to whoever asked for `what`.
fn refusal(what: &str, status: u16, has_token: bool) -> Error {
    let error = Error::new(Kind::Hub, format!("the hub does not give {what}"));
    let token = if has_token {
        format!("check that the token in {TOKEN_VARIABLE} is valid and may read this model, and the owner's name and spelling")
    } else {
        format!("check the spelling; for a private model, or one whose terms must be accepted first, set {TOKEN_VARIABLE} to an access token of your account at the hub")
    };
    match status {
        401 => error
            .because(
                "it wants to know who asks (401): there is no such model, or not for everybody",
            )
            .fix(token),
        403 => error
            .because("access is refused (403)")
            .fix(format!("accept the model's terms on its page; {token}")),
        404 => error
            .because("there is no such thing (404)")
            .fix("check the spelling of owner, name and --revision"),
        429 => error
            .because("it was asked too often (429)")
            .fix("wait some minutes, and run the same command again: it goes on where it stopped"),
        500..=599 => error
            .because(format!("it is in trouble itself ({status})"))
            .fix("wait some minutes, and run the same command again: it goes on where it stopped"),
        other => error
            .because(format!("it answers with status {other}"))
            .fix("check that --hub is the address of a Hugging Face hub"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_must_be_safe() {
        for good in [
            DEFAULT_HUB,
            "https://mirror.example.org/hub/",
            "http://127.0.0.1:8000",
            "http://[::1]:8000",
            "http://localhost",
        ] {
            assert!(Hub::new(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "huggingface.co",
            "http://example.org",
            "http://127.0.0.1.example.org",
            "http://localhost@example.org",
            "https://",
            "ftp://127.0.0.1",
        ] {
            let error = Hub::new(bad).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage, "{bad}");
        }
    }

    /// Answers one request with `answer`, and says what was asked.
    fn serve(answer: String) -> (u16, std::thread::JoinHandle<String>) {
        use std::io::{Read, Write};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let served = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = Vec::new();
            let mut buffer = [0; 4096];
            while !asked.windows(4).any(|end| end == b"\r\n\r\n") {
                let read = stream.read(&mut buffer).unwrap();
                assert_ne!(read, 0, "the request ended early");
                asked.extend_from_slice(&buffer[..read]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(asked).unwrap()
        });
        (port, served)
    }

    #[test]
    fn the_token_goes_on_within_the_hub_and_to_nobody_else() {
        let end = "Content-Length: 0\r\nConnection: close\r\n\r\n";
        for (host, is_told) in [("127.0.0.1", true), ("localhost", false)] {
            let (port, second) = serve(format!("HTTP/1.1 200 OK\r\n{end}"));
            let (first_port, first) = serve(format!(
                "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://{host}:{port}/cached\r\n{end}"
            ));
            let address = format!("http://127.0.0.1:{first_port}");
            let hub = Hub {
                token: Some("hf_secret".into()),
                ..Hub::new(&address).unwrap()
            };
            let answer = hub.get(&format!("{address}/file"), None).unwrap();
            assert_eq!(answer.status().as_u16(), 200);
            let has_token = |asked: String| asked.contains("Bearer hf_secret");
            assert!(has_token(first.join().unwrap()));
            assert_eq!(has_token(second.join().unwrap()), is_told, "{host}");
        }
    }

    #[test]
    fn a_repository_has_a_plain_name() {
        assert_eq!(
            Repository::parse("owner/Name-1.5_x").unwrap().name(),
            "Name-1.5_x"
        );
        assert_eq!(Repository::parse("gpt2").unwrap().name(), "gpt2");
        for bad in [
            "", "/", "a/", "a/b/c", "../b", "a/..", "a/b?c", "a b/c", "a/b%2e",
        ] {
            assert_eq!(Repository::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_files_that_can_be_checked_are_listed() {
        let (commit, blob, sha) = ("c".repeat(40), "b".repeat(40), "a".repeat(64));
        let answer = serde_json::json!({
            "sha": commit,
            "siblings": [
                { "rfilename": "config.json", "size": 7, "blobId": blob },
                { "rfilename": "w", "size": 9, "blobId": blob, "lfs": { "sha256": sha, "size": 9, "pointerSize": 3 } },
                { "rfilename": "unknown" },
                { "rfilename": "odd", "size": 1, "blobId": "xyz" },
            ],
        });
        let listing = read_listing(answer.to_string().as_bytes()).unwrap();
        assert_eq!(listing.commit, commit);
        let paths: Vec<_> = listing.files.iter().map(|file| &file.path[..]).collect();
        assert_eq!(paths, ["config.json", "w"]);
        assert_eq!(listing.files[0].expected, Expected::GitBlob(blob));
        assert_eq!(listing.files[1].expected, Expected::Sha256(sha));

        for bad in ["", "[]", "{\"sha\":\"main\",\"siblings\":[]}"] {
            assert!(read_listing(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_refusal_says_what_to_do() {
        for (status, word) in [
            (401, TOKEN_VARIABLE),
            (403, "terms"),
            (404, "--revision"),
            (429, "wait"),
            (503, "wait"),
            (418, "--hub"),
        ] {
            let shown = refusal("x", status, false).to_string();
            assert!(
                shown.contains(word) && shown.contains("To fix it"),
                "{shown}"
            );
            assert!(shown.contains(&status.to_string()), "{shown}");
        }
        let shown = refusal("x", 401, true).to_string();
        assert!(shown.contains("is valid"), "{shown}");
    }
}
