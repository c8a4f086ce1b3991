//! What the chain says of the blocks that were made: weights, outcomes, fill, and how long each
//! took to make.

use crate::{
    drive::{Block, Kind},
    node::Node,
    rpc::Rpc,
    sign::AtBlock,
};
use anyhow::{bail, Context, Result};
use codec::Decode;
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};
use subxt::{
    dynamic::{At, Value},
    error::DispatchError,
    events::{Event, Phase},
    ext::scale_value::{Composite, ValueDef},
    ArcMetadata, OnlineClient, SubstrateConfig,
};

/// Classes of transactions, in the order of the runtime.
pub const CLASSES: [&str; 3] = ["Normal", "Operational", "Mandatory"];

/// Weight of the execution: time in picoseconds, bytes of proof.
#[derive(Clone, Copy, Default, Debug, Decode)]
pub struct Weight {
    /// Picoseconds of reference compute.
    #[codec(compact)]
    pub time: u64,
    /// Bytes of proof.
    #[codec(compact)]
    pub proof: u64,
}

#[derive(Decode)]
struct PerClass<T> {
    normal: T,
    operational: T,
    mandatory: T,
}

impl<T> PerClass<T> {
    fn into_array(self) -> [T; 3] {
        [self.normal, self.operational, self.mandatory]
    }
}

#[derive(Decode)]
struct ClassWeights {
    _base_extrinsic: Weight,
    _max_extrinsic: Option<Weight>,
    max_total: Option<Weight>,
    _reserved: Option<Weight>,
}

#[derive(Decode)]
struct BlockWeights {
    _base_block: Weight,
    max_block: Weight,
    per_class: PerClass<ClassWeights>,
}

/// The most that a block may hold.
pub struct Limits {
    /// Of each class; the whole block's where a class has none of its own.
    pub class_weight: [Weight; 3],
    /// Bytes of each class.
    pub class_length: [u32; 3],
}

impl Limits {
    /// The limits of the chain's runtime.
    ///
    /// # Errors
    /// If the runtime gives them in a form that is not known here.
    pub fn of(at: &AtBlock) -> Result<Self> {
        let constant = |name: &str| {
            let address = subxt::dynamic::constant::<Value>("System", name);
            at.constants()
                .entry_bytes(address)
                .with_context(|| format!("the runtime has no System.{name}"))
        };
        let weights = BlockWeights::decode(&mut &constant("BlockWeights")?[..])
            .context("the runtime's limits of weight are not in the form known here")?;
        let lengths = PerClass::<u32>::decode(&mut &constant("BlockLength")?[..])
            .context("the runtime's limits of length are not in the form known here")?;
        let whole = weights.max_block;
        Ok(Self {
            class_weight: weights
                .per_class
                .into_array()
                .map(|class| class.max_total.unwrap_or(whole)),
            class_length: lengths.into_array(),
        })
    }
}

/// How many transactions of a kind, and what they weighed together.
#[derive(Clone, Copy, Default, Debug)]
pub struct Tally {
    /// Transactions.
    pub count: u64,
    /// Picoseconds of all of them, as charged after execution, without what every transaction costs.
    pub time: u128,
    /// Bytes of all of them.
    pub length: u64,
}

/// One block as the chain accounts for it.
#[derive(Debug)]
pub struct Account {
    /// What it used of each class's weight.
    pub weight: [Weight; 3],
    /// Bytes of each class.
    pub length: [u64; 3],
    /// What was executed, by kind.
    pub kinds: BTreeMap<Kind, Tally>,
    /// Jobs that the chain moved on by itself: settled.
    pub settled_by_chain: u64,
    /// Jobs whose record was dropped.
    pub dropped: u64,
    /// Jobs that were settled, by an acceptance or by the chain.
    pub settled: u64,
    /// How long its author took to make it, and why it stopped adding transactions.
    pub making: Option<(Duration, String)>,
}

/// Reads how the chain accounts for `blocks`.
///
/// # Errors
/// If one of its transactions failed: then the figures would mean nothing.
pub async fn account(
    api: &OnlineClient<SubstrateConfig>,
    rpc: &Rpc,
    node: &Node,
    blocks: &[&Block],
) -> Result<Vec<Account>> {
    let making = making(&node.log());
    let metadata = api.at_block(0u64).await?.metadata();
    let mut accounts = Vec::with_capacity(blocks.len());
    for block in blocks {
        let at = api
            .at_block(u64::from(block.number))
            .await
            .with_context(|| format!("the node does not show block {}", block.number))?;
        let key = at.storage().entry(("System", "BlockWeight"))?.key_prefix();
        let weight = rpc
            .value(&key, &block.hash)
            .await?
            .context("a block without a weight")?;
        let weight = PerClass::<Weight>::decode(&mut &weight[..])
            .context("a block's weight is not in the form known here")?;
        let mut account = Account {
            weight: weight.into_array(),
            length: [0; 3],
            kinds: BTreeMap::new(),
            settled_by_chain: 0,
            dropped: 0,
            settled: 0,
            making: making.get(&block.number).cloned(),
        };
        for event in at.events().fetch().await?.iter() {
            enter(&mut account, block, &metadata, &event?)?;
        }
        accounts.push(account);
    }
    Ok(accounts)
}

fn enter(
    account: &mut Account,
    block: &Block,
    metadata: &ArcMetadata,
    event: &Event<'_, SubstrateConfig>,
) -> Result<()> {
    let names = (event.pallet_name(), event.event_name());
    let Phase::ApplyExtrinsic(index) = event.phase() else {
        match names {
            ("Inference", "JobSettled") => {
                account.settled += 1;
                account.settled_by_chain += 1;
            }
            ("Inference", "JobDropped") => account.dropped += 1,
            _ => {}
        }
        return Ok(());
    };
    let index = index as usize;
    let kind = block.kinds.get(index).copied().flatten();
    match names {
        ("Inference", "JobSettled") => account.settled += 1,
        ("Inference", "JobDropped") => account.dropped += 1,
        ("System", "ExtrinsicSuccess") => {
            let fields: Composite<()> = event.decode_fields_unchecked_as()?;
            let info = fields
                .at("dispatch_info")
                .context("an outcome that says nothing")?;
            let class = class(info).context("an outcome without its class")?;
            let length = u64::from(block.lengths.get(index).copied().unwrap_or(0));
            account.length[class] += length;
            if let Some(kind) = kind {
                let tally = account.kinds.entry(kind).or_default();
                tally.count += 1;
                tally.time += info
                    .at("weight")
                    .and_then(|weight| weight.at("ref_time"))
                    .and_then(Value::as_u128)
                    .context("an outcome without its weight")?;
                tally.length += length;
            }
        }
        ("System", "ExtrinsicFailed") => {
            let error = DispatchError::decode_from(event.field_bytes(), metadata.clone())?;
            bail!(
                "a {} failed in block {}: {error}",
                kind.map_or("transaction", Kind::name),
                block.number
            );
        }
        _ => {}
    }
    Ok(())
}

fn class(info: &Value) -> Option<usize> {
    let ValueDef::Variant(variant) = &info.at("class")?.value else {
        return None;
    };
    CLASSES.iter().position(|name| *name == variant.name)
}

/// From the node's log: blocks that it threw away because they took too long to make.
pub fn thrown_away(log: &str) -> usize {
    log.matches("Discarding proposal for slot").count()
}

/// From the node's log: how long each block took, and why it ended.
fn making(log: &str) -> HashMap<u32, (Duration, String)> {
    log.lines()
        .filter_map(|line| {
            let rest = line.split_once("Prepared block for proposing at ")?.1;
            let (number, rest) = rest.split_once(" (")?;
            let (took, rest) = rest.split_once(" ms)")?;
            let end = rest.split_once("end: ")?.1.split(';').next()?;
            let took = Duration::from_millis(took.parse().ok()?);
            Some((number.parse().ok()?, (took, end.to_owned())))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_tells_how_long_a_block_took_and_why_it_ended() {
        let log = "2026-01-01 00:00:00 🎁 Prepared block for proposing at 7 (512 ms) hash: 0xab; \
                   parent_hash: 0xcd…; end: HitBlockWeightLimit; extrinsics_count: 31\nsomething else";
        let took = making(log);
        assert_eq!(took.len(), 1);
        assert_eq!(
            took.get(&7),
            Some(&(Duration::from_millis(512), "HitBlockWeightLimit".into()))
        );
    }
}
