//! How much room models take, and may take.

use super::size;
use crate::{
    error::{Error, Kind, Result},
    model_files::bytes_below,
    model_store::ModelStore,
};
use std::path::Path;

/// Makes sure that `more` bytes fit into the quota and onto the disk.
///
/// # Errors
/// [`Kind::Journal`] if they do not, with what is free and what could go.
pub(super) fn require(store: &ModelStore, quota: Option<u64>, what: &str, more: u64) -> Result<()> {
    let dir = store.models_dir();
    if let Some(quota) = quota {
        let used = bytes_below(dir);
        let free = quota.saturating_sub(used);
        if more > free {
            return Err(Error::new(
                Kind::Journal,
                format!(
                    "{what} needs {} more, and of the quota of {} only {} are free",
                    size(more),
                    size(quota),
                    size(free)
                ),
            )
            .fix(format!(
                "{}raise disk-quota in the configuration (or --disk-quota)",
                removable(store)
            )));
        }
    }
    let there = existing(dir);
    let Ok(free) = fs4::available_space(there) else {
        // Where the system does not say, writing will show.
        return Ok(());
    };
    if more > free {
        return Err(Error::new(
            Kind::Journal,
            format!(
                "{what} needs {} more, and the disk of {} has only {} free",
                size(more),
                there.display(),
                size(free)
            ),
        )
        .fix(format!(
            "{}or choose another disk with --data-dir",
            removable(store)
        )));
    }
    Ok(())
}

/// What can be removed, largest first, as the beginning of an advice.
fn removable(store: &ModelStore) -> String {
    let mut folders = folders(store);
    folders.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    let named: Vec<String> = folders
        .iter()
        .map(|(name, bytes)| format!("{name} {}", size(*bytes)))
        .collect();
    if named.is_empty() {
        "free some space, or ".to_owned()
    } else {
        format!(
            "remove a model with `genesisflow-worker model remove NAME` ({}), or ",
            named.join(", ")
        )
    }
}

/// The folders that the store holds, unfinished ones among them, with their sizes.
pub(super) fn folders(store: &ModelStore) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    for place in [store.models_dir().to_owned(), store.partial_dir()] {
        let Ok(entries) = std::fs::read_dir(&place) else {
            continue;
        };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.path().is_dir() && !name.starts_with('.') {
                found.push((name, bytes_below(&entry.path())));
            }
        }
    }
    found.sort();
    found
}

/// The nearest folder above `path` that is there.
fn existing(path: &Path) -> &Path {
    let is_there = |dir: &&Path| dir.is_dir();
    let nearest = path.ancestors().find(is_there);
    nearest.unwrap_or_else(|| Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(dir: &Path, models: &[(&str, usize)]) -> ModelStore {
        let store = ModelStore::open(dir).unwrap();
        for (name, bytes) in models {
            let folder = store.models_dir().join(name);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("w"), vec![0; *bytes]).unwrap();
        }
        store
    }

    #[test]
    fn the_quota_counts_everything_and_the_refusal_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let models = [("small", 1_000), ("large", 5_000), (".partial/half", 2_000)];
        let store = store(dir.path(), &models);
        assert!(require(&store, Some(10_000), "x", 2_000).is_ok());
        let error = require(&store, Some(10_000), "x", 2_001).unwrap_err();
        assert_eq!(error.kind(), Kind::Journal);
        let shown = error.to_string();
        for words in [
            "x needs 2.0 kB more",
            "quota of 10.0 kB only 2.0 kB are free",
            "large 5.0 kB, half 2.0 kB, small 1.0 kB",
        ] {
            assert!(shown.contains(words), "no {words:?} in {shown}");
        }
        // A quota that was lowered below what is there.
        assert!(require(&store, Some(1), "x", 1).is_err());
    }

    #[test]
    fn no_disk_has_everything() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir.path().join("not/there/yet"), &[]);
        assert!(require(&store, None, "x", 1).is_ok());
        let error = require(&store, None, "x", u64::MAX / 2).unwrap_err();
        assert!(error.to_string().contains("--data-dir"), "{error}");
    }
}
