//! Which folder holds which model: a small list in the data directory.
//!
//! `model register` and `offer` note the folder here, so that `run` needs no
//! arguments and can tell a changed file from an unknown model.

use crate::error::{Error, Kind, Result};
use genesisflow_primitives::ModelId;
use serde::{Deserialize, Serialize};
use std::{
    io::Write,
    path::{Path, PathBuf},
};

const FILE: &str = "models.toml";

/// The list.
#[derive(Debug)]
pub struct ModelStore {
    path: PathBuf,
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
struct Entry {
    id: String,
    folder: PathBuf,
}

#[derive(Default, Deserialize, Serialize)]
struct Document {
    #[serde(default, rename = "model")]
    models: Vec<Entry>,
}

impl ModelStore {
    /// Reads the list in `data_dir`; an absent one is empty.
    ///
    /// # Errors
    /// [`Kind::Journal`] if it cannot be read or is malformed.
    pub fn open(data_dir: &Path) -> Result<Self> {
        let path = data_dir.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(unusable(&path, error)),
        };
        let document: Document =
            toml::from_str(&text).map_err(|error| unusable(&path, error.to_string().trim_end()))?;
        Ok(Self {
            path,
            entries: document.models,
        })
    }

    /// The folder noted for `model`.
    pub fn folder(&self, model: ModelId) -> Option<&Path> {
        let id = shown(model);
        self.entries
            .iter()
            .find(|entry| entry.id == id)
            .map(|entry| entry.folder.as_path())
    }

    /// The model noted for `folder`.
    pub fn model(&self, folder: &Path) -> Option<ModelId> {
        self.entries
            .iter()
            .find(|entry| entry.folder == folder)
            .and_then(|entry| parse_id(&entry.id))
    }

    /// All models and their folders.
    pub fn all(&self) -> impl Iterator<Item = (ModelId, &Path)> {
        self.entries
            .iter()
            .filter_map(|entry| Some((parse_id(&entry.id)?, entry.folder.as_path())))
    }

    /// Notes that `folder` holds `model`; replaces what was said of either.
    ///
    /// # Errors
    /// [`Kind::Journal`] if the list cannot be written.
    pub fn note(&mut self, model: ModelId, folder: &Path) -> Result<()> {
        let entry = Entry {
            id: shown(model),
            folder: folder.to_owned(),
        };
        if self.entries.contains(&entry) {
            return Ok(());
        }
        self.entries
            .retain(|old| old.id != entry.id && old.folder != entry.folder);
        self.entries.push(entry);
        self.save()
    }

    /// Forgets `model`.
    ///
    /// # Errors
    /// [`Kind::Journal`] if the list cannot be written.
    pub fn forget(&mut self, model: ModelId) -> Result<()> {
        let id = shown(model);
        let before = self.entries.len();
        self.entries.retain(|entry| entry.id != id);
        if self.entries.len() == before {
            return Ok(());
        }
        self.save()
    }

    /// Replaces the file in one step, so that a kill leaves the old or the new.
    fn save(&self) -> Result<()> {
        let document = Document {
            models: self.entries.clone(),
        };
        let text = toml::to_string(&document).map_err(|error| unusable(&self.path, error))?;
        let write = || -> std::io::Result<()> {
            if let Some(dir) = self.path.parent() {
                std::fs::create_dir_all(dir)?;
            }
            let new = self.path.with_extension("toml.new");
            let mut file = std::fs::File::create(&new)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&new, &self.path)
        };
        write().map_err(|error| unusable(&self.path, error))
    }
}

/// A model id as people see and type it: `0x` and 64 hexadecimal digits.
pub fn shown(model: ModelId) -> String {
    format!("0x{}", hex::encode(model))
}

/// Reads what [`shown`] prints.
pub fn parse_id(text: &str) -> Option<ModelId> {
    let mut id = ModelId::zero();
    hex::decode_to_slice(text.strip_prefix("0x")?, id.as_bytes_mut()).ok()?;
    Some(id)
}

fn unusable(path: &Path, cause: impl std::fmt::Display) -> Error {
    Error::new(
        Kind::Journal,
        format!("cannot use the list of models {}", path.display()),
    )
    .because(cause)
    .fix("check that the data directory exists and is writable and that the file is intact, or choose another with --data-dir")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_noted_folder_is_found_again_both_ways() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (ModelId::repeat_byte(1), ModelId::repeat_byte(2));
        let mut store = ModelStore::open(dir.path()).unwrap();
        store.note(one, Path::new("/models/a")).unwrap();
        store.note(two, Path::new("/models/b")).unwrap();

        let store = ModelStore::open(dir.path()).unwrap();
        assert_eq!(store.folder(one), Some(Path::new("/models/a")));
        assert_eq!(store.model(Path::new("/models/b")), Some(two));
        assert_eq!(store.all().count(), 2);
    }

    #[test]
    fn a_folder_holds_one_model_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = ModelStore::open(dir.path()).unwrap();
        let folder = Path::new("/models/a");
        store.note(ModelId::repeat_byte(1), folder).unwrap();
        store.note(ModelId::repeat_byte(2), folder).unwrap();
        assert_eq!(store.model(folder), Some(ModelId::repeat_byte(2)));
        assert_eq!(store.folder(ModelId::repeat_byte(1)), None);
        store.forget(ModelId::repeat_byte(2)).unwrap();
        assert_eq!(ModelStore::open(dir.path()).unwrap().all().count(), 0);
    }

    #[test]
    fn ids_are_read_as_they_are_printed() {
        let id = ModelId::repeat_byte(0xa5);
        assert_eq!(parse_id(&shown(id)), Some(id));
        assert_eq!(parse_id("a5"), None);
        assert_eq!(parse_id("0xa5"), None);
    }
}
