//! Functions that have been measured, kept between runs: measuring all of them takes minutes of a
//! quiet machine, which may not be had at a stretch.

use anyhow::{Context, Result};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// The source of each measured function, by name.
pub struct Parts {
    folder: Option<PathBuf>,
    functions: BTreeMap<String, String>,
}

impl Parts {
    /// Those in `folder`, which is made if need be; without one, they are kept in memory.
    ///
    /// # Errors
    /// If the folder cannot be made or read.
    pub fn open(folder: Option<&Path>) -> Result<Self> {
        let mut functions = BTreeMap::new();
        if let Some(folder) = folder {
            let place = || format!("in {}", folder.display());
            fs::create_dir_all(folder).with_context(place)?;
            for entry in fs::read_dir(folder).with_context(place)? {
                let path = entry.with_context(place)?.path();
                let Some(name) = path.file_stem().and_then(|name| name.to_str()) else {
                    continue;
                };
                let text = fs::read_to_string(&path).with_context(place)?;
                functions.insert(name.to_owned(), text);
            }
        }
        Ok(Self {
            folder: folder.map(Into::into),
            functions,
        })
    }

    /// Whether a function has been measured.
    pub fn has(&self, name: &str) -> bool {
        self.functions.contains_key(name)
    }

    /// How many have been.
    pub fn len(&self) -> usize {
        self.functions.len()
    }

    /// All of them, by name.
    pub fn all(&self) -> &BTreeMap<String, String> {
        &self.functions
    }

    /// Adds one.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn put(&mut self, name: &str, source: String) -> Result<()> {
        if let Some(folder) = &self.folder {
            let path = folder.join(format!("{name}.rs"));
            fs::write(&path, &source)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        self.functions.insert(name.to_owned(), source);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_measured_is_there_in_the_next_run() {
        let folder = std::env::temp_dir().join(format!("gf-parts-{}", std::process::id()));
        let mut parts = Parts::open(Some(&folder)).unwrap();
        parts.put("claim", "fn claim() {}".into()).unwrap();
        let again = Parts::open(Some(&folder)).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert!(again.has("claim"));
        assert!(!again.has("submit"));
        assert_eq!(again.all()["claim"], "fn claim() {}");
    }
}
