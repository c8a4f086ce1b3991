//! The journal's file: opening it, telling why that failed, putting it aside.

use super::record;
use crate::error::{Error, Kind};
use redb::{Builder, DatabaseError, StorageError};
use std::{
    fmt::Display,
    path::{Path, PathBuf},
};

/// Its name in the data directory.
pub(super) const FILE: &str = "journal.redb";
const CACHE_BYTES: usize = 16 << 20;

pub(super) fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .set_cache_size(CACHE_BYTES)
        // The file is small; a damaged one must be refused, not trusted.
        .set_check_integrity_on_open(true);
    builder
}

pub(super) fn not_opened(path: &Path, error: DatabaseError) -> Error {
    let shown = path.display();
    match error {
        DatabaseError::DatabaseAlreadyOpen => Error::new(
            Kind::Journal,
            format!("the journal {shown} is in use by another worker"),
        )
        .fix("stop that worker, or give this one a data directory of its own with --data-dir"),
        error if is_damage(&error) => {
            Error::new(Kind::Journal, format!("the journal {shown} is damaged"))
                .because(error)
                .fix("start the worker: it puts the file aside, begins a new one from what the chain says, computes results that are due again, and finds committed ballots again by replays")
        }
        error => unusable(path, error),
    }
}

pub(super) fn unusable(path: &Path, cause: impl Display) -> Error {
    Error::new(
        Kind::Journal,
        format!("cannot use the journal {}", path.display()),
    )
    .because(cause)
    .fix("check that the directory exists, is writable and has free space, or choose another with --data-dir")
}

/// Whether the file was a journal once and is not intact any more.
pub(super) fn is_damage(error: &DatabaseError) -> bool {
    match error {
        DatabaseError::Storage(StorageError::Corrupted(_)) => true,
        // The file ends before what it says of itself.
        DatabaseError::Storage(StorageError::Io(error)) => {
            error.kind() == std::io::ErrorKind::UnexpectedEof
        }
        _ => false,
    }
}

/// Renames a file so that a fresh one can take its place. Returns its new name.
pub(super) fn put_aside(path: &Path, why: &str) -> std::io::Result<PathBuf> {
    let aside = path.with_extension(format!("redb.{}.{why}", record::now()));
    std::fs::rename(path, &aside)?;
    Ok(aside)
}

/// Makes a new file's name durable, not only its content.
pub(super) fn sync_directory(dir: &Path) -> std::io::Result<()> {
    if cfg!(unix) {
        std::fs::File::open(dir)?.sync_all()?;
    }
    Ok(())
}
