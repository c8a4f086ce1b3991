//! How much the market keeps in the chain's state.

use crate::{rpc::Rpc, sign::AtBlock};
use anyhow::{Context, Result};
use std::collections::BTreeMap;

/// Entries and bytes (keys and values) of each storage item of the market.
#[derive(Clone, Default)]
pub struct Kept {
    /// By the item's name.
    pub items: BTreeMap<String, (u64, u64)>,
}

impl Kept {
    /// What the market keeps at the block with `hash`.
    ///
    /// # Errors
    /// If the node does not answer.
    pub async fn at(at: &AtBlock, rpc: &Rpc, hash: &str) -> Result<Self> {
        let names: Vec<String> = at
            .storage()
            .entries()
            .filter(|entry| entry.pallet_name() == "Inference")
            .map(|entry| entry.entry_name().to_owned())
            .collect();
        let mut items = BTreeMap::new();
        for name in names {
            let prefix = at
                .storage()
                .entry(("Inference", name.as_str()))
                .with_context(|| format!("the runtime has no Inference.{name}"))?
                .key_prefix();
            items.insert(name, rpc.size(&prefix, hash).await?);
        }
        Ok(Self { items })
    }

    /// Entries of one item.
    pub fn entries(&self, item: &str) -> u64 {
        self.items.get(item).map_or(0, |(entries, _)| *entries)
    }

    /// All entries and bytes.
    pub fn total(&self) -> (u64, u64) {
        self.items
            .values()
            .fold((0, 0), |sum, item| (sum.0 + item.0, sum.1 + item.1))
    }

    /// What is more (or less) than `before`, by item; items without a difference are left out.
    pub fn since(&self, before: &Self) -> Vec<(String, i64, i64)> {
        self.items
            .iter()
            .filter_map(|(name, now)| {
                let then = before.items.get(name).copied().unwrap_or_default();
                let entries = now.0 as i64 - then.0 as i64;
                let bytes = now.1 as i64 - then.1 as i64;
                ((entries, bytes) != (0, 0)).then(|| (name.clone(), entries, bytes))
            })
            .collect()
    }
}
