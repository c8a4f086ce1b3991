//! What a read and a write of storage cost on the node's database.
//!
//! A ParityDB as the node opens it is filled with as many entries as a busy market would keep, of
//! the size of its records. Reads are of random entries, one by one, without the node's cache of the
//! state. Writes replace random entries in blocks, as a node does: all of a block's entries go into one
//! new root and one commit, and each bears its part. A write counts the processor time of the whole
//! process if that is more than the time it took, since the database finishes commits in threads of
//! its own.

use anyhow::{anyhow, Context, Result};
use sc_client_api::backend::{Backend as _, BlockImportOperation, NewBlockState};
use sc_client_db::{Backend, BlocksPruning, DatabaseSettings, DatabaseSource, PruningMode};
use sp_core::{crypto::AccountId32, H256};
use sp_crypto_hashing::{blake2_256, twox_128, twox_64};
use sp_runtime::{
    generic,
    traits::{BlakeTwo256, Header as _},
    OpaqueExtrinsic, StateVersion,
};
use sp_state_machine::Backend as _;
use sp_storage::Storage;
use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

type Header = generic::Header<u32, BlakeTwo256>;
type Block = generic::Block<Header, OpaqueExtrinsic>;
type Database = Backend<Block>;

/// Entries that are read.
const READS: u64 = 50_000;
/// Blocks that are written, and entries in each: about what a full block of the market writes.
const BLOCKS: u32 = 20;
const WRITES: u64 = 8_000;
/// Time for the database's threads to finish what was committed.
const SETTLING: Duration = Duration::from_secs(3);

/// What was measured, in nanoseconds.
pub struct Figures {
    /// One read.
    pub read: u64,
    /// One write.
    pub write: u64,
}

/// Measures on a new database with `entries` entries in the folder `base`, which is removed.
///
/// # Errors
/// If the database cannot be made or refuses a block.
pub fn measure(base: &Path, entries: u64) -> Result<Figures> {
    let path = base.join("genesisflow-storage-weights");
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
    let figures = measure_at(&path, entries);
    fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    figures
}

fn measure_at(path: &Path, entries: u64) -> Result<Figures> {
    eprintln!("filling a database with {entries} entries");
    let storage = Storage {
        top: (0..entries).map(|n| (key(n), value(n, 0))).collect(),
        children_default: Default::default(),
    };
    let database = open(path)?;
    let genesis = write_genesis(&database, storage).map_err(error)?;
    drop(database);

    // Opened anew, so that nothing is left in it from writing.
    let database = open(path)?;
    let state = database
        .state_at(genesis, sc_client_api::TrieCacheContext::Untrusted)
        .map_err(error)?;
    let began = Instant::now();
    for n in 0..READS {
        let key = key(random(n) % entries);
        let found = state.storage(&key).map_err(|e| anyhow!("a read: {e}"))?;
        found.context("an entry is missing")?;
    }
    let read = nanoseconds(began.elapsed(), READS)?;
    drop(state);

    let mut parent = genesis;
    let (began, cpu) = (Instant::now(), processor_time()?);
    for number in 1..=BLOCKS {
        let changes: Vec<_> = (0..WRITES)
            .map(|n| random(u64::from(number) << 32 | n) % entries)
            .map(|n| (key(n), value(n, number)))
            .collect();
        parent = write_block(&database, parent, number, &changes).map_err(error)?;
    }
    let elapsed = began.elapsed();
    std::thread::sleep(SETTLING);
    let cpu = processor_time()?.saturating_sub(cpu);
    let write = nanoseconds(elapsed.max(cpu), WRITES * u64::from(BLOCKS))?;
    eprintln!(
        "{READS} reads; {WRITES} writes in each of {BLOCKS} blocks took {:.1} s, {:.1} s of processor time",
        elapsed.as_secs_f64(),
        cpu.as_secs_f64()
    );
    Ok(Figures { read, write })
}

fn open(path: &Path) -> Result<Database> {
    let settings = DatabaseSettings {
        trie_cache_maximum_size: None,
        state_pruning: Some(PruningMode::blocks_pruning(256)),
        source: DatabaseSource::ParityDb { path: path.into() },
        blocks_pruning: BlocksPruning::KeepFinalized,
        pruning_filters: Vec::new(),
        metrics_registry: None,
    };
    Database::new(settings, 4_096).map_err(error)
}

fn write_genesis(database: &Database, storage: Storage) -> Result<H256, sp_blockchain::Error> {
    let mut operation = database.begin_operation()?;
    let root = operation.set_genesis_state(storage, true, StateVersion::V1)?;
    let header = Header::new(
        0,
        Default::default(),
        root,
        Default::default(),
        Default::default(),
    );
    let hash = header.hash();
    operation.set_block_data(header, Some(vec![]), None, None, NewBlockState::Final, true)?;
    database.commit_operation(operation)?;
    Ok(hash)
}

fn write_block(
    database: &Database,
    parent: H256,
    number: u32,
    changes: &[(Vec<u8>, Vec<u8>)],
) -> Result<H256, sp_blockchain::Error> {
    let mut operation = database.begin_operation()?;
    database.begin_state_operation(&mut operation, parent)?;
    let state = database.state_at(parent, sc_client_api::TrieCacheContext::Trusted)?;
    let (root, nodes) = state.storage_root(
        changes
            .iter()
            .map(|(key, value)| (key.as_slice(), Some(value.as_slice()))),
        StateVersion::V1,
    );
    operation.update_db_storage(nodes)?;
    let header = Header::new(number, Default::default(), root, parent, Default::default());
    let hash = header.hash();
    operation.set_block_data(header, Some(vec![]), None, None, NewBlockState::Best, true)?;
    database.commit_operation(operation)?;
    Ok(hash)
}

/// The key of an entry as a map of the market has it.
fn key(n: u64) -> Vec<u8> {
    let mut key = twox_128(b"Inference").to_vec();
    key.extend(twox_128(if n.is_multiple_of(2) {
        b"Jobs"
    } else {
        b"Held"
    }));
    key.extend(twox_64(&n.to_le_bytes()));
    key.extend(n.to_le_bytes());
    key
}

/// Bytes in the place of a job's record, which has about as many; or of an account, which has fewer.
fn value(n: u64, version: u32) -> Vec<u8> {
    let len = if n.is_multiple_of(2) { 500 } else { 80 };
    let account = AccountId32::new(blake2_256(&(n << 32 | u64::from(version)).to_le_bytes()));
    let bytes: &[u8] = account.as_ref();
    bytes.iter().copied().cycle().take(len).collect()
}

/// The `n`th of a fixed sequence of numbers without a pattern.
fn random(n: u64) -> u64 {
    u64::from_le_bytes(twox_64(&n.to_be_bytes()))
}

fn nanoseconds(time: Duration, count: u64) -> Result<u64> {
    u64::try_from(time.as_nanos() / u128::from(count)).context("a time of centuries")
}

/// Processor time of this process so far, all threads.
fn processor_time() -> Result<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").context("cannot read /proc/self/stat")?;
    let ticks: u64 = stat
        .rsplit(") ")
        .next()
        .unwrap_or_default()
        .split(' ')
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u64>().unwrap_or_default())
        .sum();
    // The kernel counts hundredths of a second for every program.
    Ok(Duration::from_millis(ticks * 10))
}

fn error(error: sp_blockchain::Error) -> anyhow::Error {
    anyhow!("the database: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_database_is_measured_and_removed() {
        let base = std::env::temp_dir().join(format!("gf-weights-{}", std::process::id()));
        fs::create_dir_all(&base).unwrap();
        let path = base.join("db");
        fs::create_dir_all(&path).unwrap();
        let database = open(&path).unwrap();
        let top = (0..100).map(|n| (key(n), value(n, 0))).collect();
        let storage = Storage {
            top,
            children_default: Default::default(),
        };
        let genesis = write_genesis(&database, storage).unwrap();
        let changed = [(key(7), value(7, 1))];
        let block = write_block(&database, genesis, 1, &changed).unwrap();
        let state = database
            .state_at(block, sc_client_api::TrieCacheContext::Untrusted)
            .unwrap();
        assert_eq!(state.storage(&key(7)).unwrap(), Some(value(7, 1)));
        assert_eq!(state.storage(&key(8)).unwrap(), Some(value(8, 0)));
        fs::remove_dir_all(&base).unwrap();
    }

    #[test]
    fn entries_differ_and_stay_the_same() {
        assert_ne!(key(1), key(2));
        assert_ne!(value(1, 0), value(1, 1));
        assert_eq!(random(5), random(5));
    }
}
