//! The journal: what a worker must not forget when it is killed.
//!
//! One embedded database per data directory, bound to one chain and one
//! account. Every write is on disk (fsync) before the call returns, and each
//! step with a job is written *before* it is taken, so that a worker killed at
//! any instruction finds out on restart what it may have done.
//!
//! Nothing in it is irreplaceable, because disks fail: results are computed
//! again, ballots follow from a replay and the key ([`Case`]), and the chain
//! knows what is claimed and delivered. So a damaged file is never trusted in
//! part: it is put aside whole, and a new one begun.

mod case;
mod file;
mod record;

pub use case::{Case, CaseEnd, CastBallot, Role};
pub use record::{Delivery, Outcome, Record, SignedTx, Stage};

use crate::{
    error::{Error, Kind, Result},
    job_loop::speed::Speed,
};
use file::{builder, is_damage, not_opened, put_aside, sync_directory, unusable, FILE};
use genesisflow_primitives::ModelId;
use redb::{
    Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, TableDefinition,
    TableError, WriteTransaction,
};
use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError, RwLock},
};

const JOBS: TableDefinition<u64, &[u8]> = TableDefinition::new("jobs");
/// Audits, by job id.
const CASES: TableDefinition<u64, &[u8]> = TableDefinition::new("cases");
const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");

const GENESIS: &str = "genesis";
const ACCOUNT: &str = "account";
const HEAD: &str = "head";
/// Whether results delivered before this file was made are in it.
const ADOPTED: &str = "adopted";
/// Written to find out whether anything can be.
const TRIED: &str = "tried";

/// Finished jobs that are remembered, for `status` and for looking back.
const KEPT_FINISHED: usize = 10_000;

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
pub struct Journal {
    /// None after a write that failed, until one succeeds: the database has to
    /// be opened anew after that.
    store: RwLock<Option<Database>>,
    reopen: Box<dyn Fn() -> std::result::Result<Database, DatabaseError> + Send + Sync>,
    path: PathBuf,
    /// The audits that are open, for when the disk does not answer: a ballot
    /// that was committed must be revealed even then.
    open: Mutex<BTreeMap<u64, Case>>,
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Journal {
    /// Opens the journal in `dir`, making both if needed, for `owner`. A damaged
    /// one is put aside, said so, and begun anew.
    ///
    /// # Errors
    /// [`Kind::WrongChain`] if it belongs to another chain, [`Kind::Key`] if
    /// to another account, [`Kind::Journal`] if it cannot be written, is no
    /// journal, or is in use by another worker.
    pub fn open(dir: &Path, owner: Owner) -> Result<Self> {
        let path = dir.join(FILE);
        std::fs::create_dir_all(dir).map_err(|error| unusable(&path, error))?;
        let db = match builder().create(&path) {
            Err(error) if is_damage(&error) => {
                let aside = put_aside(&path, "damaged").map_err(|error| unusable(&path, error))?;
                tracing::error!(
                    "the journal {} is damaged ({error}). It is kept as {}, and a new one is begun: what was claimed and delivered is read from the chain, results that are due are computed again, and ballots that were committed are found again by replays. Check the disk",
                    path.display(),
                    aside.display()
                );
                builder().create(&path)
            }
            opened => opened,
        };
        let db = db.map_err(|error| not_opened(&path, error))?;
        sync_directory(dir).map_err(|error| unusable(&path, error))?;
        let journal = Self::on(db, path);
        journal.bind(owner)?;
        *journal.open_audits() = journal.open_cases()?.into_iter().collect();
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
        Ok(Some(Self::on(db, path)))
    }

    fn on(db: Database, path: PathBuf) -> Self {
        let file = path.clone();
        Self {
            store: RwLock::new(Some(db)),
            reopen: Box::new(move || builder().create(&file)),
            path,
            open: Mutex::default(),
        }
    }

    /// A journal on a storage of the test's choice.
    #[cfg(test)]
    pub(crate) fn on_disk(disk: full_disk::Disk, owner: Owner) -> Self {
        let reopen = move || builder().create_with_backend(disk.clone());
        let journal = Self {
            store: RwLock::new(Some(reopen().unwrap())),
            reopen: Box::new(reopen),
            path: "/full/journal.redb".into(),
            open: Mutex::default(),
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
        let Self { store, path, .. } = self;
        drop(store);
        put_aside(&path, "old").map_err(|error| unusable(&path, error))
    }

    /// The audit of `job`, if it concerns this worker.
    pub fn case(&self, job: u64) -> Result<Option<Case>> {
        match self.bytes(CASES, job) {
            Ok(bytes) => bytes.map(|bytes| Case::from_bytes(job, &bytes)).transpose(),
            Err(error) if error.may_pass() => Ok(self.open_audits().get(&job).cloned()),
            Err(error) => Err(error),
        }
    }

    /// Writes the audit of `job`; on return it is on disk.
    pub fn put_case(&self, job: u64, case: &Case) -> Result<()> {
        self.write(|txn| {
            txn.open_table(CASES)?
                .insert(job, case.to_bytes().as_slice())?;
            Ok(())
        })?;
        self.remember(job, case);
        Ok(())
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
        })?;
        self.remember(job, &case);
        Ok(())
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

    /// How fast jobs on a model have been here, if any have.
    pub fn speed(&self, model: ModelId) -> Result<Option<Speed>> {
        let bytes = self.meta(&speed_key(model))?;
        Ok(bytes.and_then(|bytes| Speed::from_bytes(&bytes)))
    }

    /// Writes that down.
    pub fn set_speed(&self, model: ModelId, speed: Speed) -> Result<()> {
        self.set_meta(&speed_key(model), &speed.to_bytes())
    }

    /// Whether results that were delivered before this journal was begun have
    /// been taken into it.
    pub fn is_complete(&self) -> Result<bool> {
        Ok(self.meta(ADOPTED)?.is_some())
    }

    /// Writes down that they have.
    pub fn set_complete(&self) -> Result<()> {
        self.set_meta(ADOPTED, &[1])
    }

    /// Whether something can be written now.
    ///
    /// # Errors
    /// Why not.
    pub fn try_to_write(&self) -> Result<()> {
        self.set_meta(TRIED, &record::now().to_le_bytes())
    }

    fn remember(&self, job: u64, case: &Case) {
        if case.end.is_some() {
            self.open_audits().remove(&job);
        } else {
            self.open_audits().insert(job, case.clone());
        }
    }

    fn open_audits(&self) -> MutexGuard<'_, BTreeMap<u64, Case>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
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
        self.read(|db| {
            let Some(table) = there(db.begin_read()?.open_table(table))? else {
                return Ok(None);
            };
            Ok(table.get(job)?.map(|bytes| bytes.value().to_vec()))
        })
    }

    fn all(&self, table: TableDefinition<u64, &[u8]>) -> Result<Vec<(u64, Vec<u8>)>> {
        self.read(|db| {
            let mut all = Vec::new();
            let Some(table) = there(db.begin_read()?.open_table(table))? else {
                return Ok(all);
            };
            for entry in table.iter()? {
                let (job, bytes) = entry?;
                all.push((job.value(), bytes.value().to_vec()));
            }
            Ok(all)
        })
    }

    fn meta(&self, key: &str) -> Result<Option<Vec<u8>>> {
        self.read(|db| {
            let table = db.begin_read()?.open_table(META)?;
            Ok(table.get(key)?.map(|bytes| bytes.value().to_vec()))
        })
    }

    fn read<T>(
        &self,
        act: impl FnOnce(&Database) -> std::result::Result<T, redb::Error>,
    ) -> Result<T> {
        let store = self.store.read().unwrap_or_else(PoisonError::into_inner);
        match &*store {
            Some(db) => act(db).map_err(|error| self.failed("read", error)),
            None => Err(self.failed("read", redb::Error::PreviousIo)),
        }
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
        let mut store = self.store.write().unwrap_or_else(PoisonError::into_inner);
        let attempt = || -> std::result::Result<Database, redb::Error> {
            let db = match store.take() {
                Some(db) => db,
                None => (self.reopen)()?,
            };
            let mut txn = db.begin_write()?;
            txn.set_durability(Durability::Immediate)?;
            change(&txn)?;
            txn.commit()?;
            Ok(db)
        };
        // One that failed is closed; the next write opens it again.
        *store = Some(attempt().map_err(|error| self.failed("write", error))?);
        Ok(())
    }

    fn failed(&self, what: &str, cause: redb::Error) -> Error {
        let may_pass = matches!(cause, redb::Error::Io(_) | redb::Error::PreviousIo);
        let error = Error::new(
            Kind::Journal,
            format!("cannot {what} the journal {}", self.path.display()),
        )
        .because(cause)
        .fix("free space on the disk, or make it writable: nothing was submitted that the journal does not know");
        if may_pass {
            error.passing()
        } else {
            error
        }
    }
}

/// The key of a model's speed.
fn speed_key(model: ModelId) -> String {
    format!("speed/{}", hex::encode(model))
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

#[cfg(test)]
pub(crate) mod full_disk;
#[cfg(test)]
mod tests;
