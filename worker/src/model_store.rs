//! The models of a data directory: which folder holds which, and what its files
//! were when they were added.
//!
//! `model add` puts folders below `models/` and pins their files here; `model
//! register` and `offer` note which model a folder is on the chain, so that
//! `run` needs no arguments and can tell a changed file from an unknown model.

use crate::{
    error::{Error, Kind, Result},
    hub::is_plain_name,
    model_files::Pin,
};
use genesisflow_primitives::ModelId;
use serde::{Deserialize, Serialize};
use std::{
    io::Write,
    path::{Path, PathBuf},
};

const FILE: &str = "models.toml";
/// Folder of the data directory that added models are in.
const MODELS: &str = "models";
/// Folder beside them in which models are put together.
const PARTIAL: &str = ".partial";

/// The list.
#[derive(Debug)]
pub struct ModelStore {
    path: PathBuf,
    models: PathBuf,
    entries: Vec<Entry>,
}

/// A model folder.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Which model it is, once it was registered or offered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// Where it is.
    pub folder: PathBuf,
    /// Where its files came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Its files as they were when it was added or registered.
    #[serde(default, rename = "file", skip_serializing_if = "Vec::is_empty")]
    pub pins: Vec<Pin>,
}

impl Entry {
    /// A folder that was added.
    pub fn new(folder: &Path, source: Option<String>, pins: Vec<Pin>) -> Self {
        Self {
            id: None,
            folder: folder.to_owned(),
            source,
            pins,
        }
    }

    /// The same folder, whose files are these now.
    pub fn with_pins(self, pins: Vec<Pin>) -> Self {
        Self { pins, ..self }
    }

    /// Which model it is, once it was registered or offered.
    pub fn model(&self) -> Option<ModelId> {
        parse_id(self.id.as_deref()?)
    }

    /// The folder's own name.
    pub fn name(&self) -> String {
        let name = self.folder.file_name();
        name.map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }
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
        Ok(Self {
            entries: read(&path)?,
            path,
            models: data_dir.join(MODELS),
        })
    }

    /// The folder that added models are in.
    pub fn models_dir(&self) -> &Path {
        &self.models
    }

    /// Where a model is put together before it goes to [`Self::models_dir`].
    pub fn partial_dir(&self) -> PathBuf {
        self.models.join(PARTIAL)
    }

    /// Whether `folder` is one that this store holds, so that it may delete it.
    pub fn owns(&self, folder: &Path) -> bool {
        let parent = folder.parent().and_then(|dir| dir.canonicalize().ok());
        parent.is_some() && parent == self.models.canonicalize().ok()
    }

    /// The folder noted for `model`.
    pub fn folder(&self, model: ModelId) -> Option<&Path> {
        let id = shown(model);
        self.entries
            .iter()
            .find(|entry| entry.id.as_ref() == Some(&id))
            .map(|entry| entry.folder.as_path())
    }

    /// The model noted for `folder`.
    pub fn model(&self, folder: &Path) -> Option<ModelId> {
        self.entry(folder)?.model()
    }

    /// What is known of `folder`.
    pub fn entry(&self, folder: &Path) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.folder == folder)
    }

    /// All folders.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// All models and their folders.
    pub fn all(&self) -> impl Iterator<Item = (ModelId, &Path)> {
        self.entries
            .iter()
            .filter_map(|entry| Some((entry.model()?, entry.folder.as_path())))
    }

    /// The folder that somebody means: by its path, by the name of an added
    /// model, or by an id. None if there is no such folder.
    pub fn named(&self, text: &str) -> Option<PathBuf> {
        if let Some(id) = parse_id(text) {
            return self.folder(id).map(Path::to_owned);
        }
        let added = self.models.join(text);
        let place = if is_plain_name(text) && added.is_dir() {
            added
        } else {
            PathBuf::from(text)
        };
        place.canonicalize().ok().filter(|path| path.is_dir())
    }

    /// Adds a folder, or replaces what was known of it.
    ///
    /// # Errors
    /// [`Kind::Journal`] if the list cannot be written.
    pub fn add(&mut self, entry: Entry) -> Result<()> {
        self.update(|entries| {
            entries.retain(|old| old.folder != entry.folder);
            entries.push(entry);
        })
    }

    /// Notes that `folder` holds `model`; replaces what was said of either.
    ///
    /// # Errors
    /// [`Kind::Journal`] if the list cannot be written.
    pub fn note(&mut self, model: ModelId, folder: &Path) -> Result<()> {
        self.change(model, folder, None)
    }

    /// As [`Self::note`], with the files that make the model what it is.
    ///
    /// # Errors
    /// [`Kind::Journal`] if the list cannot be written.
    pub fn note_files(&mut self, model: ModelId, folder: &Path, pins: Vec<Pin>) -> Result<()> {
        self.change(model, folder, Some(pins))
    }

    fn change(&mut self, model: ModelId, folder: &Path, pins: Option<Vec<Pin>>) -> Result<()> {
        let id = Some(shown(model));
        self.update(|entries| {
            for entry in entries.iter_mut() {
                if entry.id == id && entry.folder != folder {
                    entry.id = None;
                }
            }
            // Of a folder that was never added, nothing but its id was known.
            let is_known = |entry: &Entry| entry.id.is_some() || !entry.pins.is_empty();
            entries.retain(|entry| is_known(entry) || entry.folder == folder);
            match entries.iter_mut().find(|entry| entry.folder == folder) {
                Some(entry) => {
                    entry.id = id;
                    if let Some(pins) = pins {
                        entry.pins = pins;
                    }
                }
                None => entries.push(Entry {
                    id,
                    ..Entry::new(folder, None, pins.unwrap_or_default())
                }),
            }
        })
    }

    /// Forgets a folder.
    ///
    /// # Errors
    /// [`Kind::Journal`] if the list cannot be written.
    pub fn forget(&mut self, folder: &Path) -> Result<()> {
        self.update(|entries| entries.retain(|entry| entry.folder != folder))
    }

    /// Changes the list as it is now: while a model was fetched, another command may have written
    /// to it.
    fn update(&mut self, change: impl FnOnce(&mut Vec<Entry>)) -> Result<()> {
        let _lock = self.lock().map_err(|error| unusable(&self.path, error))?;
        let before = read(&self.path)?;
        self.entries.clone_from(&before);
        change(&mut self.entries);
        if self.entries == before {
            return Ok(());
        }
        self.save()
    }

    /// Nobody else changes the list until the returned file is dropped.
    fn lock(&self) -> std::io::Result<std::fs::File> {
        if let Some(dir) = self.path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        let file = std::fs::File::create(self.path.with_extension("toml.lock"))?;
        file.lock()?;
        Ok(file)
    }

    /// Replaces the file in one step, so that a kill leaves the old or the new.
    fn save(&self) -> Result<()> {
        let document = Document {
            models: self.entries.clone(),
        };
        let text = toml::to_string(&document).map_err(|error| unusable(&self.path, error))?;
        let write = || -> std::io::Result<()> {
            let new = self.path.with_extension("toml.new");
            let mut file = std::fs::File::create(&new)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&new, &self.path)
        };
        write().map_err(|error| unusable(&self.path, error))
    }
}

/// The entries of the list at `path`; an absent one has none.
fn read(path: &Path) -> Result<Vec<Entry>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(unusable(path, error)),
    };
    let document: Document =
        toml::from_str(&text).map_err(|error| unusable(path, error.to_string().trim_end()))?;
    Ok(document.models)
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

    fn pin(path: &str) -> Pin {
        Pin {
            path: path.into(),
            size: 3,
            sha256: "ab".repeat(32),
        }
    }

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
        store.forget(folder).unwrap();
        assert_eq!(ModelStore::open(dir.path()).unwrap().entries().len(), 0);
    }

    #[test]
    fn an_added_folder_keeps_its_pins_when_it_becomes_a_model() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = ModelStore::open(dir.path()).unwrap();
        let (folder, id) = (Path::new("/models/a"), ModelId::repeat_byte(1));
        let source = Some("https://example.org/a".to_owned());
        store
            .add(Entry::new(folder, source.clone(), vec![pin("w")]))
            .unwrap();
        assert_eq!(store.all().count(), 0, "it is no model of the chain yet");
        store.note(id, folder).unwrap();

        let mut store = ModelStore::open(dir.path()).unwrap();
        let entry = store.entry(folder).unwrap();
        assert_eq!((entry.model(), &entry.source), (Some(id), &source));
        assert_eq!(entry.pins, [pin("w")]);

        // The same model elsewhere: the folder stays, as one that was added.
        store
            .note_files(id, Path::new("/other"), vec![pin("x")])
            .unwrap();
        assert_eq!(store.entry(folder).unwrap().model(), None);
        assert_eq!(store.folder(id), Some(Path::new("/other")));
    }

    /// `model add` may take an hour, and `offer` or `run` may write meanwhile.
    #[test]
    fn what_another_command_wrote_meanwhile_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let mut slow = ModelStore::open(dir.path()).unwrap();
        let mut quick = ModelStore::open(dir.path()).unwrap();
        let id = ModelId::repeat_byte(1);
        quick.note(id, Path::new("/models/a")).unwrap();
        slow.add(Entry::new(Path::new("/models/b"), None, vec![pin("w")]))
            .unwrap();
        quick.forget(Path::new("/models/none")).unwrap();
        for store in [slow, quick, ModelStore::open(dir.path()).unwrap()] {
            assert_eq!(store.folder(id), Some(Path::new("/models/a")));
            assert!(store.entry(Path::new("/models/b")).is_some());
        }
    }

    #[test]
    fn a_list_of_an_earlier_release_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let id = ModelId::repeat_byte(7);
        let old = format!("[[model]]\nid = \"{}\"\nfolder = \"/m\"\n", shown(id));
        std::fs::write(dir.path().join(FILE), old).unwrap();
        let store = ModelStore::open(dir.path()).unwrap();
        assert_eq!(store.folder(id), Some(Path::new("/m")));
    }

    #[test]
    fn a_model_is_meant_by_name_path_or_id() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = ModelStore::open(dir.path()).unwrap();
        let added = store.models_dir().join("tiny");
        std::fs::create_dir_all(&added).unwrap();
        let added = added.canonicalize().unwrap();
        let id = ModelId::repeat_byte(5);
        store.note(id, &added).unwrap();
        assert_eq!(store.named("tiny"), Some(added.clone()));
        assert_eq!(store.named(added.to_str().unwrap()), Some(added.clone()));
        assert_eq!(store.named(&shown(id)), Some(added.clone()));
        assert_eq!(store.named("no such model"), None);
        assert!(store.owns(&added));
        assert!(!store.owns(dir.path()));
    }

    #[test]
    fn ids_are_read_as_they_are_printed() {
        let id = ModelId::repeat_byte(0xa5);
        assert_eq!(parse_id(&shown(id)), Some(id));
        assert_eq!(parse_id("a5"), None);
        assert_eq!(parse_id("0xa5"), None);
    }
}
