//! A hub of models on loopback that does what it is told: also cut, lie and
//! refuse.

use super::tls::{Authority, NAMES};
use rustls::{ServerConnection, StreamOwned};
use serde_json::json;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, VecDeque},
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    path::Path,
    sync::{mpsc, Arc, Mutex},
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(60);
/// Files from this size on have a SHA-256 at the hub, others a git object.
const LARGE: usize = 16 << 10;

/// What goes wrong with one answer.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// The connection ends after so many bytes of the body.
    CutAfter(usize),
    /// The connection ends before an answer.
    Silent,
    /// After so many bytes of the body, nothing more comes.
    Stall(usize),
    /// The whole file, whatever range was asked for.
    IgnoreRange,
    /// One bit of the body is another.
    FlipABit,
    /// The body goes on after the file.
    TooLong,
    /// Another status and no body.
    Status(u16),
}

#[derive(Default)]
struct State {
    faults: BTreeMap<String, VecDeque<Fault>>,
    asked: Vec<Asked>,
}

/// A request for a file, or for the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub file: String,
    /// The first byte of the range, if there was one.
    pub from: Option<usize>,
    /// The host that was asked, without the port.
    pub host: String,
    /// Whether it was told who asks.
    pub has_token: bool,
}

struct Content {
    repository: String,
    commit: String,
    listing: String,
    files: BTreeMap<String, Vec<u8>>,
    /// Where large files are: another host, as on the real hub.
    store: Option<String>,
    state: Mutex<State>,
    stalled: mpsc::Sender<()>,
}

/// The hub; it serves until the test ends.
pub struct HubServer {
    pub url: String,
    pub commit: String,
    content: Arc<Content>,
    stalled: mpsc::Receiver<()>,
}

impl HubServer {
    /// Serves the files of `dir` as one repository.
    pub fn start(repository: &str, dir: &Path) -> Self {
        Self::start_with(repository, dir, None)
    }

    /// The same over TLS, with a certificate of `authority`, and large files at
    /// another host, to which it redirects.
    pub fn start_over_tls(repository: &str, dir: &Path, authority: &Authority) -> Self {
        Self::start_with(repository, dir, Some(authority))
    }

    fn start_with(repository: &str, dir: &Path, authority: Option<&Authority>) -> Self {
        let files: BTreeMap<String, Vec<u8>> = std::fs::read_dir(dir)
            .unwrap()
            .map(|entry| {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                (name, std::fs::read(path).unwrap())
            })
            .collect();
        let commit = "5ca1ab1e".repeat(5);
        let (sender, stalled) = mpsc::channel();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let tls = authority.map(Authority::server);
        let [host, other_host] = NAMES;
        let url = match tls {
            Some(_) => format!("https://{host}:{port}"),
            None => format!("http://127.0.0.1:{port}"),
        };
        let content = Arc::new(Content {
            repository: repository.to_owned(),
            listing: listing(&commit, &files),
            commit: commit.clone(),
            files,
            store: tls
                .is_some()
                .then(|| format!("https://{other_host}:{port}/store")),
            state: Mutex::default(),
            stalled: sender,
        });
        let served = content.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (content, tls) = (served.clone(), tls.clone());
                // A client that is gone, or that does not trust it, is no failure of the hub.
                std::thread::spawn(move || match tls {
                    Some(tls) => {
                        let secure = ServerConnection::new(tls).unwrap();
                        serve(&content, StreamOwned::new(secure, stream)).ok()
                    }
                    None => serve(&content, stream).ok(),
                });
            }
        });
        Self {
            url,
            commit,
            content,
            stalled,
        }
    }

    /// Lets the next `times` answers on `file` (or the list, `api`) go wrong.
    pub fn fail(&self, file: &str, fault: Fault, times: usize) {
        let mut state = self.content.state.lock().unwrap();
        state.faults.insert(file.into(), vec![fault; times].into());
    }

    /// As [`Self::fail`], after the faults that are there.
    pub fn then_fail(&self, file: &str, fault: Fault, times: usize) {
        let mut state = self.content.state.lock().unwrap();
        let faults = state.faults.entry(file.into()).or_default();
        faults.extend(vec![fault; times]);
    }

    /// Nothing goes wrong from now on.
    pub fn recover(&self) {
        self.content.state.lock().unwrap().faults.clear();
    }

    /// The first bytes of the ranges that `file` was asked for with.
    pub fn ranges(&self, file: &str) -> Vec<Option<usize>> {
        let state = self.content.state.lock().unwrap();
        let of_file = state.asked.iter().filter(|asked| asked.file == file);
        of_file.map(|asked| asked.from).collect()
    }

    /// Everything that it was asked for.
    pub fn asked(&self) -> Vec<Asked> {
        self.content.state.lock().unwrap().asked.clone()
    }

    /// Waits until an answer has come to its stall.
    pub fn wait_for_stall(&self) {
        self.stalled.recv_timeout(PATIENCE).expect("a stall");
    }

    /// Whether the list of files has these words.
    pub fn says(&self, words: &str) -> bool {
        self.content.listing.contains(words)
    }
}

fn listing(commit: &str, files: &BTreeMap<String, Vec<u8>>) -> String {
    let siblings = files.iter().map(|(name, bytes)| {
        let mut object = Sha1::new_with_prefix(format!("blob {}\0", bytes.len()));
        object.update(bytes);
        let mut file = json!({
            "rfilename": name, "size": bytes.len(), "blobId": hex::encode(object.finalize()),
        });
        if bytes.len() >= LARGE {
            file["lfs"] = json!({
                "sha256": hex::encode(Sha256::digest(bytes)), "size": bytes.len(), "pointerSize": 130,
            });
        }
        file
    });
    json!({ "sha": commit, "siblings": siblings.collect::<Vec<_>>() }).to_string()
}

fn serve(content: &Content, stream: impl Read + Write) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut request = String::new();
        if stream.read_line(&mut request)? == 0 {
            return Ok(());
        }
        let path = request.split(' ').nth(1).unwrap_or_default();
        let mut asked = Asked {
            file: String::new(),
            from: None,
            host: String::new(),
            has_token: false,
        };
        loop {
            let mut header = String::new();
            stream.read_line(&mut header)?;
            let header = header.trim().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            match header.split_once(": ") {
                Some(("range", range)) => {
                    let from = range.strip_prefix("bytes=").unwrap_or_default();
                    asked.from = from.trim_end_matches('-').parse().ok();
                }
                Some(("host", host)) => {
                    asked.host = host.split(':').next().unwrap_or_default().to_owned();
                }
                Some(("authorization", _)) => asked.has_token = true,
                _ => {}
            }
        }
        if !answer(content, path, asked, stream.get_mut())? {
            // The connection ends with the stream.
            return Ok(());
        }
    }
}

/// Answers one request; false if the connection is to end.
fn answer(
    content: &Content,
    path: &str,
    mut asked: Asked,
    stream: &mut impl Write,
) -> std::io::Result<bool> {
    let Content {
        repository, commit, ..
    } = content;
    let api = [commit, "main"]
        .map(|revision| format!("/api/models/{repository}/revision/{revision}?blobs=true"));
    let file = path.strip_prefix(&format!("/{repository}/resolve/{commit}/"));
    let stored = path.strip_prefix("/store/");
    let (name, bytes) = match file.or(stored) {
        _ if api.iter().any(|known| known == path) => ("api", content.listing.as_bytes()),
        Some(name) if content.files.contains_key(name) => (name, &content.files[name][..]),
        _ => {
            stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?;
            stream.flush()?;
            return Ok(true);
        }
    };
    asked.file = name.to_owned();
    if let (Some(store), true) = (&content.store, stored.is_none() && bytes.len() >= LARGE) {
        content.state.lock().unwrap().asked.push(asked);
        write!(
            stream,
            "HTTP/1.1 302 Found\r\nLocation: {store}/{name}\r\nContent-Length: 0\r\n\r\n"
        )?;
        stream.flush()?;
        return Ok(true);
    }
    let from = asked.from;
    let fault = {
        let mut state = content.state.lock().unwrap();
        state.asked.push(asked);
        state.faults.get_mut(name).and_then(VecDeque::pop_front)
    };
    let from = match fault {
        Some(Fault::Silent) => return Ok(false),
        Some(Fault::Status(status)) => {
            write!(
                stream,
                "HTTP/1.1 {status} Refused\r\nContent-Length: 0\r\n\r\n"
            )?;
            stream.flush()?;
            return Ok(true);
        }
        Some(Fault::IgnoreRange) => None,
        _ => from,
    };
    let mut body = bytes[from.unwrap_or(0).min(bytes.len())..].to_vec();
    match fault {
        Some(Fault::FlipABit) => *body.last_mut().unwrap() ^= 1,
        Some(Fault::TooLong) => body.extend([0; 10]),
        _ => {}
    }
    let status = match from {
        Some(from) => format!(
            "206 Partial Content\r\nContent-Range: bytes {from}-{}/{}",
            bytes.len() - 1,
            bytes.len()
        ),
        None => "200 OK".into(),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )?;
    match fault {
        Some(Fault::CutAfter(count)) => {
            stream.write_all(&body[..count.min(body.len())])?;
            stream.flush()?;
            Ok(false)
        }
        Some(Fault::Stall(count)) => {
            stream.write_all(&body[..count.min(body.len())])?;
            stream.flush()?;
            // Nobody need wait for it.
            let _ = content.stalled.send(());
            std::thread::sleep(PATIENCE);
            Ok(false)
        }
        _ => {
            stream.write_all(&body)?;
            stream.flush()?;
            Ok(true)
        }
    }
}
