//! A checkpoint in several safetensors files, listed by `model.safetensors.index.json`.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde::Deserialize;

use crate::{
    model::LoadError,
    weights::{EachRow, TensorSource, WeightsError},
};

use super::{read_bounded, SafetensorsFile};

/// Most shards of a checkpoint; each is an open file.
const MAX_SHARDS: usize = 512;

#[derive(Deserialize)]
struct Index {
    /// Tensor to file.
    weight_map: BTreeMap<String, String>,
}

fn malformed(path: &Path, reason: String) -> WeightsError {
    WeightsError::Malformed {
        file: path.display().to_string(),
        format: "safetensors index",
        reason,
    }
}

fn index(path: &Path) -> Result<Index, LoadError> {
    let bytes = read_bounded(path)?;
    let index: Index =
        serde_json::from_slice(&bytes).map_err(|e| malformed(path, e.to_string()))?;
    let files: BTreeSet<&String> = index.weight_map.values().collect();
    if files.is_empty() || files.len() > MAX_SHARDS {
        let reason = format!("it lists {} files, not 1 to {MAX_SHARDS}", files.len());
        return Err(malformed(path, reason).into());
    }
    for file in files {
        // A name that leads out of the folder would read what the manifest does not cover.
        let plain = file.ends_with(".safetensors")
            && !file.starts_with('.')
            && !file.contains(['/', '\\', '\0', ':']);
        if !plain {
            let reason = format!("`{file}` is no plain name of a .safetensors file");
            return Err(malformed(path, reason).into());
        }
    }
    Ok(index)
}

/// The shards that an index lists, in ascending order.
///
/// # Errors
/// [`LoadError`] if the index cannot be read or used.
pub(super) fn names(path: &Path) -> Result<Vec<String>, LoadError> {
    let files: BTreeSet<String> = index(path)?.weight_map.into_values().collect();
    Ok(files.into_iter().collect())
}

/// A checkpoint's shards, all open.
#[derive(Debug)]
pub struct ShardedSafetensors {
    shards: Vec<SafetensorsFile>,
    /// Tensor to shard.
    place: BTreeMap<String, usize>,
}

impl ShardedSafetensors {
    /// Opens the shards that the index at `path` lists, in its folder.
    ///
    /// # Errors
    /// [`LoadError`] if the index or a shard is damaged, or they disagree on where a tensor is.
    pub fn open(path: &Path) -> Result<Self, LoadError> {
        let index = index(path)?;
        let dir = path.parent().unwrap_or(Path::new(""));
        let files: BTreeSet<&String> = index.weight_map.values().collect();
        let (mut shards, mut place) = (Vec::new(), BTreeMap::new());
        for file in files {
            let shard = SafetensorsFile::open(&dir.join(file))?;
            for tensor in shard.tensors() {
                if index.weight_map.get(&tensor) != Some(file) {
                    let reason = format!("{file} holds `{tensor}`, which it does not place there");
                    return Err(malformed(path, reason).into());
                }
                place.insert(tensor, shards.len());
            }
            shards.push(shard);
        }
        match index.weight_map.keys().find(|t| !place.contains_key(*t)) {
            None => Ok(Self { shards, place }),
            Some(tensor) => {
                let reason = format!(
                    "it places `{tensor}` in {}, which does not hold it",
                    index.weight_map[tensor]
                );
                Err(malformed(path, reason).into())
            }
        }
    }
}

impl TensorSource for ShardedSafetensors {
    fn rows(&mut self, name: &str, shape: &[usize], each: EachRow<'_>) -> Result<(), WeightsError> {
        match self.place.get(name) {
            Some(shard) => self.shards[*shard].rows(name, shape, each),
            None => Err(WeightsError::MissingTensor(name.into())),
        }
    }

    fn unused(&self) -> Option<String> {
        self.shards.iter().find_map(TensorSource::unused)
    }
}
