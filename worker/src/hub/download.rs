//! One file from the hub to the disk: taken up where an earlier try stopped,
//! and kept only if its bytes are the right ones.
//!
//! What has arrived stands in a file with `.part` behind its name, which is
//! hashed again before more is added to it. So neither a kill nor a cut loses
//! anything, and no kind of damage survives.

use super::{distrusted, refusal, Expected, Hub};
use crate::{
    error::{Error, Kind, Result},
    model_files::Pin,
};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{ErrorKind, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::Duration,
};

/// Between tries that brought nothing, in this order; then it is given up.
const PAUSES: [Duration; 3] = [
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(8),
];
/// Read and written at a time.
const PART: usize = 256 << 10;

/// A file that is wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Where it is.
    pub url: String,
    /// What it shall be called below its folder.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// What its bytes must hash to.
    pub expected: Expected,
    /// The SHA-256 that whoever asked wants it to have, as 64 hexadecimal
    /// digits.
    pub pinned: Option<String>,
}

/// Brings `wanted` into the folder `dir`; `progress` is told how many of its
/// bytes are there. Blocks.
///
/// # Errors
/// [`Kind::Hub`] if the hub refuses, gives other bytes than it said, or stops
/// answering; [`Kind::Model`] if the file is not the pinned one;
/// [`Kind::Journal`] if it cannot be written.
pub fn download(
    hub: &Hub,
    wanted: &Wanted,
    dir: &Path,
    progress: &mut dyn FnMut(u64),
) -> Result<Pin> {
    let part = dir.join(format!("{}.part", wanted.path));
    let whole = dir.join(&wanted.path);
    if whole.is_file() {
        // From an earlier try that got further; hashed again like any other part.
        std::fs::rename(&whole, &part).map_err(|error| unwritable(&whole, error))?;
    }
    let mut arrived = Arrived::open(&part, wanted)?;
    progress(arrived.size);
    let mut idle = 0;
    while arrived.size < wanted.size {
        let before = arrived.size;
        let cut = match transfer(hub, wanted, &mut arrived, progress) {
            Ok(()) => continue,
            Err(Trouble::Final(error)) => return Err(error),
            Err(Trouble::Cut(cause)) => cause,
        };
        idle = if arrived.size > before { 0 } else { idle + 1 };
        let Some(pause) = PAUSES.get(idle) else {
            return Err(Error::new(
                Kind::Hub,
                format!(
                    "only {} of {} bytes of {} have arrived",
                    arrived.size, wanted.size, wanted.path
                ),
            )
            .because(cut)
            .fix(
                "check the network, and run the same command again: it goes on where it stopped",
            ));
        };
        tracing::debug!("{}: {cut}; goes on at byte {}", wanted.path, arrived.size);
        std::thread::sleep(*pause);
    }
    arrived.finish(wanted, &whole)
}

/// Why a transfer ended early.
enum Trouble {
    /// It may go on.
    Cut(String),
    /// It will not.
    Final(Error),
}

/// Asks once for what is missing, and takes what comes.
fn transfer(
    hub: &Hub,
    wanted: &Wanted,
    arrived: &mut Arrived,
    progress: &mut dyn FnMut(u64),
) -> std::result::Result<(), Trouble> {
    let from = (arrived.size > 0).then_some(arrived.size);
    let cut = |error: &dyn std::fmt::Display| Trouble::Cut(error.to_string());
    let answer = hub.get(&wanted.url, from).map_err(|error| {
        let what = format!("cannot get {} from {}", wanted.path, wanted.url);
        distrusted(&what, &error).map_or_else(|| cut(&error), Trouble::Final)
    })?;
    match answer.status().as_u16() {
        206 if starts_at(&answer, arrived.size) => {}
        // The server begins anew.
        200 => arrived.restart().map_err(Trouble::Final)?,
        status @ (206 | 416) => {
            arrived.restart().map_err(Trouble::Final)?;
            return Err(Trouble::Cut(format!(
                "the hub answers with status {status} and another range than was asked for"
            )));
        }
        status @ (429 | 500..=599) => {
            return Err(Trouble::Cut(format!(
                "the hub answers with status {status}"
            )))
        }
        status => {
            let what = format!("the file {}", wanted.path);
            return Err(Trouble::Final(refusal(&what, status, hub.token.is_some())));
        }
    }
    let missing = wanted.size - arrived.size;
    // One byte more shows that the file is too long.
    let mut body = answer.into_body().into_reader().take(missing + 1);
    let mut buffer = vec![0; PART];
    loop {
        let read = match body.read(&mut buffer) {
            Ok(0) if arrived.size < wanted.size => {
                return Err(Trouble::Cut("the hub ended the transfer early".into()))
            }
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(cut(&error)),
        };
        if arrived.size + read as u64 > wanted.size {
            arrived.discard();
            return Err(Trouble::Final(wrong(
                wanted,
                format!(
                    "it is longer than the {} bytes that the hub says",
                    wanted.size
                ),
            )));
        }
        arrived.add(&buffer[..read]).map_err(Trouble::Final)?;
        progress(arrived.size);
    }
}

/// Whether a partial answer begins with the byte that was asked for.
fn starts_at(answer: &ureq::http::Response<ureq::Body>, from: u64) -> bool {
    let range = answer.headers().get("content-range");
    let start = range
        .and_then(|range| range.to_str().ok())
        .and_then(|range| range.trim().strip_prefix("bytes "))
        .and_then(|range| range.split('-').next()?.trim().parse().ok());
    start == Some(from)
}

fn wrong(wanted: &Wanted, cause: String) -> Error {
    Error::new(
        Kind::Hub,
        format!("{} is not what the hub promised", wanted.path),
    )
    .because(cause)
    .fix("run the command again, which fetches this file from its beginning; if it stays so, the hub or the way to it is not to be trusted")
}

/// What has arrived of a file, and its hashes so far.
struct Arrived {
    path: PathBuf,
    file: File,
    size: u64,
    sha256: Sha256,
    /// Of the git object that a small file is.
    blob: Sha1,
    header: String,
}

impl Arrived {
    /// Takes up what an earlier try left.
    fn open(path: &Path, wanted: &Wanted) -> Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|error| unwritable(path, error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::new(
                    Kind::Journal,
                    format!("{} is being fetched already", path.display()),
                )
                .fix("wait for the other `model add`, or end it"))
            }
            Err(TryLockError::Error(error)) => return Err(unwritable(path, error)),
        }
        let header = format!("blob {}\0", wanted.size);
        let mut arrived = Self {
            path: path.to_owned(),
            file,
            size: 0,
            sha256: Sha256::new(),
            blob: Sha1::new_with_prefix(&header),
            header,
        };
        let mut buffer = vec![0; PART];
        loop {
            match arrived.file.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => arrived.count(&buffer[..read]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(unwritable(path, error)),
            }
        }
        if arrived.size > wanted.size {
            arrived.restart()?;
        }
        Ok(arrived)
    }

    fn count(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.blob.update(bytes);
        self.size += bytes.len() as u64;
    }

    fn add(&mut self, bytes: &[u8]) -> Result<()> {
        self.file
            .write_all(bytes)
            .map_err(|error| unwritable(&self.path, error))?;
        self.count(bytes);
        Ok(())
    }

    /// Forgets everything.
    fn restart(&mut self) -> Result<()> {
        self.file
            .set_len(0)
            .and_then(|()| self.file.seek(SeekFrom::Start(0)))
            .map_err(|error| unwritable(&self.path, error))?;
        self.size = 0;
        self.sha256 = Sha256::new();
        self.blob = Sha1::new_with_prefix(&self.header);
        Ok(())
    }

    /// Removes the file: its bytes are wrong.
    fn discard(&mut self) {
        // It would be found wrong again.
        let _ = std::fs::remove_file(&self.path);
    }

    /// Checks what has arrived, and gives it its name.
    fn finish(mut self, wanted: &Wanted, to: &Path) -> Result<Pin> {
        let sha256 = hex::encode(self.sha256.clone().finalize());
        let (found, promised) = match &wanted.expected {
            Expected::Sha256(hash) => (sha256.clone(), hash),
            Expected::GitBlob(hash) => (hex::encode(self.blob.clone().finalize()), hash),
        };
        if found != *promised {
            self.discard();
            let what = match &wanted.expected {
                Expected::Sha256(_) => "sha256",
                Expected::GitBlob(_) => "git object",
            };
            let cause = format!("its {what} is {found}, promised was {promised}");
            return Err(wrong(wanted, cause));
        }
        if let Some(pinned) = wanted.pinned.as_ref().filter(|pinned| **pinned != sha256) {
            self.discard();
            return Err(Error::new(
                Kind::Model,
                format!("{} is not the file that you want", wanted.path),
            )
            .because(format!("its sha256 is {sha256}, not {pinned}"))
            .fix("choose the --revision that has it, or correct --sha256"));
        }
        self.file
            .sync_all()
            .and_then(|()| std::fs::rename(&self.path, to))
            .map_err(|error| unwritable(to, error))?;
        Ok(Pin {
            path: wanted.path.clone(),
            size: self.size,
            sha256,
        })
    }
}

/// Why a file of a model cannot be written.
pub(crate) fn unwritable(path: &Path, error: std::io::Error) -> Error {
    let cure = if error.kind() == ErrorKind::StorageFull {
        "free some space, with `model remove` perhaps, and run the same command again: it goes on where it stopped"
    } else {
        "check that the data directory is writable and its disk in order, or choose another with --data-dir"
    };
    Error::new(Kind::Journal, format!("cannot write {}", path.display()))
        .because(error)
        .fix(cure)
}
