//! The journal: what a worker must not forget when it is killed.
//!
//! One embedded database per data directory, bound to one chain and one
//! account. Every write is on disk (fsync) before the call returns, and each
//! step with a job is written *before* it is taken, so that a worker killed at
//! any instruction finds out on restart what it may have done.

mod case;
mod record;

pub use case::{Case, CaseEnd, CastBallot, Role};
pub use record::{Delivery, Outcome, Record, SignedTx, Stage};

use crate::error::{Error, Kind, Result};
use redb::{
    Builder, Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, StorageError,
    TableDefinition, TableError, WriteTransaction,
};
use std::{
    fmt::Display,
    path::{Path, PathBuf},
};

const JOBS: TableDefinition<u64, &[u8]> = TableDefinition::new("jobs");
/// Audits, by job id.
const CASES: TableDefinition<u64, &[u8]> = TableDefinition::new("cases");
const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");

const GENESIS: &str = "genesis";
const ACCOUNT: &str = "account";
const HEAD: &str = "head";

const FILE: &str = "journal.redb";
/// Finished jobs that are remembered, for `status` and for looking back.
const KEPT_FINISHED: usize = 10_000;
const CACHE_BYTES: usize = 16 << 20;

/// The chain and the account that a journal belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Hash of the chain's genesis block.
    pub genesis: [u8; 32],
    /// The worker's account.
    pub account: [u8; 32],
}

/// A finalised block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its number.
    pub number: u32,
    /// Its hash.
    pub hash: [u8; 32],
}

/// The open journal.
///
/// Holds an exclusive lock on its file until dropped.
#[derive(Debug)]
pub struct Journal {
    db: Database,
    path: PathBuf,
}

impl Journal {
    /// Opens the journal in `dir`, making both if needed, for `owner`.
    ///
    /// # Errors
    /// [`Kind::WrongChain`] if it belongs to another chain, [`Kind::Key`] if
    /// to another account, [`Kind::Journal`] if it cannot be written, is
    /// damaged, or is in use by another worker.
    pub fn open(dir: &Path, owner: Owner) -> Result<Self> {
        let path = dir.join(FILE);
        std::fs::create_dir_all(dir).map_err(|error| unusable(&path, error))?;
        let db = builder()
            .create(&path)
            .map_err(|error| not_opened(&path, error))?;
        sync_directory(dir).map_err(|error| unusable(&path, error))?;
        let journal = Self { db, path };
        journal.bind(owner)?;
        Ok(journal)
    }

    /// Opens a journal that is there already, for reading.
    ///
    /// # Returns
    /// `None` if there is no journal in `dir`.
    ///
    /// # Errors
    /// [`Kind::Journal`] if it is damaged or in use by a running worker.
    pub fn open_existing(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(FILE);
        if !path.is_file() {
            return Ok(None);
        }
        let db = builder()
            .open(&path)
            .map_err(|error| not_opened(&path, error))?;
        Ok(Some(Self { db, path }))
    }

    /// A journal on a storage of the test's choice.
    #[cfg(test)]
    pub(crate) fn on_backend(backend: impl redb::StorageBackend, owner: Owner) -> Self {
        let journal = Self {
            db: Builder::new().create_with_backend(backend).unwrap(),
            path: "/full/journal.redb".into(),
        };
        journal.bind(owner).unwrap();
        journal
    }

    /// The journal's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Closes the journal and renames its file, so that a fresh one can start.
    ///
    /// For development chains, which start again from nothing.
    ///
    /// # Returns
    /// Where the old journal is now.
    pub fn set_aside(self) -> Result<PathBuf> {
        let Self { db, path } = self;
        drop(db);
        let seconds = Record::new([0; 32], Stage::Claimed).updated;
        let aside = path.with_extension(format!("redb.{seconds}.old"));
        std::fs::rename(&path, &aside).map_err(|error| unusable(&path, error))?;
        Ok(aside)
    }

    /// The audit of `job`, if it concerns this worker.
    pub fn case(&self, job: u64) -> Result<Option<Case>> {
        self.bytes(CASES, job)?
            .map(|bytes| Case::from_bytes(job, &bytes))
            .transpose()
    }

    /// Writes the audit of `job`; on return it is on disk.
    pub fn put_case(&self, job: u64, case: &Case) -> Result<()> {
        self.write(|txn| {
            txn.open_table(CASES)?
                .insert(job, case.to_bytes().as_slice())?;
            Ok(())
        })
    }

    /// Writes that `job` is delivered, and opens its case: both or neither.
    pub fn put_delivered(&self, job: u64, record: &Record) -> Result<()> {
        let case = match self.case(job)? {
            Some(case) => case,
            None => Case::new(record.model, Role::Author),
        };
        self.write(|txn| {
            txn.open_table(JOBS)?
                .insert(job, record.to_bytes().as_slice())?;
            txn.open_table(CASES)?
                .insert(job, case.to_bytes().as_slice())?;
            Ok(())
        })
    }

    /// All audits, by job id.
    pub fn cases(&self) -> Result<Vec<(u64, Case)>> {
        self.all(CASES)?
            .into_iter()
            .map(|(job, bytes)| Ok((job, Case::from_bytes(job, &bytes)?)))
            .collect()
    }

    /// The audits that have not ended, by job id.
    pub fn open_cases(&self) -> Result<Vec<(u64, Case)>> {
        let mut cases = self.cases()?;
        cases.retain(|(_, case)| case.end.is_none());
        Ok(cases)
    }

    /// The record of `job`.
    pub fn get(&self, job: u64) -> Result<Option<Record>> {
        self.bytes(JOBS, job)?
            .map(|bytes| Record::from_bytes(job, &bytes))
            .transpose()
    }

    /// Writes the record of `job`; on return it is on disk.
    pub fn put(&self, job: u64, record: &Record) -> Result<()> {
        self.write(|txn| {
            txn.open_table(JOBS)?
                .insert(job, record.to_bytes().as_slice())?;
            Ok(())
        })
    }

    /// All records, by job id.
    pub fn records(&self) -> Result<Vec<(u64, Record)>> {
        self.all(JOBS)?
            .into_iter()
            .map(|(job, bytes)| Ok((job, Record::from_bytes(job, &bytes)?)))
            .collect()
    }

    /// The records of jobs that are not done, by job id.
    pub fn unfinished(&self) -> Result<Vec<(u64, Record)>> {
        let mut records = self.records()?;
        records.retain(|(_, record)| !matches!(record.stage, Stage::Done { .. }));
        Ok(records)
    }

    /// Drops all but the latest finished jobs and audits.
    pub fn prune(&self) -> Result<()> {
        self.prune_to(KEPT_FINISHED)
    }

    fn prune_to(&self, kept: usize) -> Result<()> {
        let finished = |ended: Vec<u64>| {
            let dropped = ended.len().saturating_sub(kept);
            ended.into_iter().take(dropped).collect::<Vec<u64>>()
        };
        let jobs = self.records()?.into_iter();
        let jobs = jobs.filter(|(_, record)| record.stage.outcome().is_some());
        let jobs = finished(jobs.map(|(job, _)| job).collect());
        let cases = self.cases()?.into_iter();
        let cases = cases.filter(|(_, case)| case.end.is_some());
        let cases = finished(cases.map(|(job, _)| job).collect());
        if jobs.is_empty() && cases.is_empty() {
            return Ok(());
        }
        self.write(|txn| {
            let mut table = txn.open_table(JOBS)?;
            for job in &jobs {
                table.remove(job)?;
            }
            let mut table = txn.open_table(CASES)?;
            for job in &cases {
                table.remove(job)?;
            }
            Ok(())
        })
    }

    /// The last finalised block that this worker has acted on.
    pub fn head(&self) -> Result<Option<Head>> {
        let Some(bytes) = self.meta(HEAD)? else {
            return Ok(None);
        };
        let (number, hash) = bytes
            .split_first_chunk::<4>()
            .and_then(|(number, hash)| Some((number, <[u8; 32]>::try_from(hash).ok()?)))
            .ok_or_else(|| unusable(&self.path, "its last block is damaged"))?;
        Ok(Some(Head {
            number: u32::from_le_bytes(*number),
            hash,
        }))
    }

    /// Remembers the last finalised block.
    pub fn set_head(&self, head: Head) -> Result<()> {
        let mut bytes = head.number.to_le_bytes().to_vec();
        bytes.extend(head.hash);
        self.write(|txn| {
            txn.open_table(META)?.insert(HEAD, bytes.as_slice())?;
            Ok(())
        })
    }

    /// Binds a new journal to `owner`, or checks that an old one is theirs.
    fn bind(&self, owner: Owner) -> Result<()> {
        // Makes the tables, so that reading never finds one missing.
        self.write(|txn| {
            txn.open_table(JOBS)?;
            txn.open_table(CASES)?;
            txn.open_table(META)?;
            Ok(())
        })?;
        let path = self.path.display();
        match self.meta(GENESIS)? {
            Some(genesis) if genesis != owner.genesis => {
                return Err(Error::new(
                    Kind::WrongChain,
                    format!(
                        "the journal {path} belongs to the chain with genesis 0x{}, the node is on 0x{}",
                        hex::encode(genesis),
                        hex::encode(owner.genesis)
                    ),
                )
                .fix("connect to the other chain with --url, or use a data directory of its own for this chain with --data-dir"));
            }
            Some(_) => {}
            None => self.set_meta(GENESIS, &owner.genesis)?,
        }
        match self.meta(ACCOUNT)? {
            Some(account) if account != owner.account => Err(Error::new(
                Kind::Key,
                format!(
                    "the journal {path} belongs to account 0x{}, the key is of 0x{}",
                    hex::encode(account),
                    hex::encode(owner.account)
                ),
            )
            .fix("use the key of that account, or a data directory of its own for this account with --data-dir")),
            Some(_) => Ok(()),
            None => self.set_meta(ACCOUNT, &owner.account),
        }
    }

    fn bytes(&self, table: TableDefinition<u64, &[u8]>, job: u64) -> Result<Option<Vec<u8>>> {
        let read = || -> std::result::Result<_, redb::Error> {
            let Some(table) = there(self.db.begin_read()?.open_table(table))? else {
                return Ok(None);
            };
            Ok(table.get(job)?.map(|bytes| bytes.value().to_vec()))
        };
        read().map_err(|error| self.unreadable(error))
    }

    fn all(&self, table: TableDefinition<u64, &[u8]>) -> Result<Vec<(u64, Vec<u8>)>> {
        let read = || -> std::result::Result<Vec<(u64, Vec<u8>)>, redb::Error> {
            let mut all = Vec::new();
            let Some(table) = there(self.db.begin_read()?.open_table(table))? else {
                return Ok(all);
            };
            for entry in table.iter()? {
                let (job, bytes) = entry?;
                all.push((job.value(), bytes.value().to_vec()));
            }
            Ok(all)
        };
        read().map_err(|error| self.unreadable(error))
    }

    fn meta(&self, key: &str) -> Result<Option<Vec<u8>>> {
        let read = || -> std::result::Result<_, redb::Error> {
            let table = self.db.begin_read()?.open_table(META)?;
            Ok(table.get(key)?.map(|bytes| bytes.value().to_vec()))
        };
        read().map_err(|error| self.unreadable(error))
    }

    fn set_meta(&self, key: &str, value: &[u8]) -> Result<()> {
        self.write(|txn| {
            txn.open_table(META)?.insert(key, value)?;
            Ok(())
        })
    }

    fn write(
        &self,
        change: impl FnOnce(&WriteTransaction) -> std::result::Result<(), redb::Error>,
    ) -> Result<()> {
        let attempt = || -> std::result::Result<(), redb::Error> {
            let mut txn = self.db.begin_write()?;
            txn.set_durability(Durability::Immediate)?;
            change(&txn)?;
            txn.commit()?;
            Ok(())
        };
        attempt().map_err(|error| {
            Error::new(
                Kind::Journal,
                format!("cannot write the journal {}", self.path.display()),
            )
            .because(error)
            .fix("free space on the disk or make it writable, and start again: nothing was submitted that the journal does not know")
        })
    }

    fn unreadable(&self, error: redb::Error) -> Error {
        unusable(&self.path, error)
    }
}

/// A table that journals of older workers do not have yet.
fn there<T>(
    table: std::result::Result<T, TableError>,
) -> std::result::Result<Option<T>, TableError> {
    match table {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .set_cache_size(CACHE_BYTES)
        // The file is small; a damaged one must be refused, not trusted.
        .set_check_integrity_on_open(true);
    builder
}

fn not_opened(path: &Path, error: DatabaseError) -> Error {
    let shown = path.display();
    match error {
        DatabaseError::DatabaseAlreadyOpen => Error::new(
            Kind::Journal,
            format!("the journal {shown} is in use by another worker"),
        )
        .fix("stop that worker, or give this one a data directory of its own with --data-dir"),
        DatabaseError::Storage(StorageError::Corrupted(what)) => {
            Error::new(Kind::Journal, format!("the journal {shown} is damaged"))
                .because(what)
                .fix("move the file away; a new journal is rebuilt from the chain, and results not yet delivered are computed again")
        }
        error => unusable(path, error),
    }
}

fn unusable(path: &Path, cause: impl Display) -> Error {
    Error::new(
        Kind::Journal,
        format!("cannot use the journal {}", path.display()),
    )
    .because(cause)
    .fix("check that the directory exists, is writable and has free space, or choose another with --data-dir")
}

/// Makes a new file's name durable, not only its content.
fn sync_directory(dir: &Path) -> std::io::Result<()> {
    if cfg!(unix) {
        std::fs::File::open(dir)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod full_disk;
#[cfg(test)]
mod tests;
