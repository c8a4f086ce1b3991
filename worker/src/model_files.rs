//! The files of a model folder: which of them decide what the model computes,
//! and how a changed one is found.

use crate::{
    error::{Error, Kind, Result},
    manifest::text,
};
use genesisflow_engine::loading::{WeightFiles, CONFIG};
use genesisflow_primitives::{FileRole, ModelManifest, H256};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeSet,
    io::Read,
    path::{Path, PathBuf},
};

/// The tokenizer.
pub const TOKENIZER: &str = "tokenizer.json";
/// Files that decide the result if they are there, and need not be.
pub const OPTIONAL: [&str; 2] = ["tokenizer_config.json", "chat_template.jinja"];
/// Names the tokens that end a sequence. Only the manifest is made from it.
pub const GENERATION_CONFIG: &str = "generation_config.json";
/// Read and hashed at a time.
const PART: usize = 1 << 20;

/// A file as it was when it was fetched or registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// Its path below the model's folder.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// SHA-256 of its bytes, as 64 hexadecimal digits.
    pub sha256: String,
}

/// The files of a folder that decide what the model computes, with their roles:
/// the order of a manifest.
///
/// # Errors
/// [`Kind::Model`] if the folder holds no weights, several kinds of weights, or
/// weights without a `config.json`.
pub fn files(dir: &Path) -> Result<Vec<(FileRole, String)>> {
    let weights = WeightFiles::find(dir).map_err(|error| {
        Error::new(
            Kind::Model,
            format!("{} is no model folder", dir.display()),
        )
        .because(error)
        .fix("a model folder holds config.json, model.safetensors (or its shards and their index) and tokenizer.json, as on Hugging Face")
    })?;
    if let WeightFiles::Gguf(name) = &weights {
        return Err(Error::new(
            Kind::Model,
            format!("{} holds GGUF weights ({name})", dir.display()),
        )
        .because("a model of the market is described by its config.json, which GGUF does not have")
        .fix("use the folder in safetensors that the GGUF file was made from"));
    }
    let mut found = vec![(FileRole::Config, CONFIG.to_owned())];
    let names = weights.names().into_iter().filter(|name| name != CONFIG);
    found.extend(names.map(|name| (FileRole::Weights, name)));
    found.push((FileRole::Tokenizer, TOKENIZER.to_owned()));
    let optional = OPTIONAL.into_iter().filter(|name| dir.join(name).exists());
    found.extend(optional.map(|name| (FileRole::ChatTemplate, name.to_owned())));
    Ok(found)
}

/// Makes sure that `dir` holds exactly the files of `manifest`, as far as the
/// engine reads them.
///
/// # Errors
/// [`Kind::Model`], naming the first file that is missing, differs, or would
/// change the result without being in the manifest.
pub fn check_files(dir: &Path, manifest: &ModelManifest) -> Result<()> {
    let mut listed = BTreeSet::new();
    for file in &manifest.files {
        let path = dir.join(&*text(&file.path));
        let (sha256, size) = hash(&path)?;
        if (sha256, size) != (file.sha256, file.size) {
            return Err(Error::new(
                Kind::Model,
                format!("the model file {} has changed", path.display()),
            )
            .because(format!(
                "its sha256 is {} ({size} bytes), the manifest on the chain says {} ({} bytes)",
                hex::encode(sha256),
                hex::encode(file.sha256),
                file.size
            ))
            .fix("restore the file, or register the changed folder as a new model with `model register` and make an `offer` for it"));
        }
        listed.insert(text(&file.path).into_owned());
    }
    // Whatever the manifest's author left out, the engine would read it.
    for (_, name) in files(dir)? {
        if !listed.contains(&name) {
            return Err(Error::new(
                Kind::Model,
                format!(
                    "the model folder {} has a {name} that the manifest on the chain does not know",
                    dir.display()
                ),
            )
            .because("it would change what the model is given to read, or what it computes")
            .fix("remove the file, or register the folder as a new model with `model register` and make an `offer` for it"));
        }
    }
    Ok(())
}

/// What became of a pinned file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It is the same.
    Same,
    /// It is not there, or cannot be read, and why.
    Unreadable(String),
    /// It has this SHA-256 and size instead.
    Differs(H256, u64),
    /// It was not there when the others were pinned, and changes the result.
    New,
}

/// Compares a folder with what was pinned: every pinned file, and every other
/// one that the engine would read. `progress` is told of bytes as they are read.
pub fn compare(dir: &Path, pins: &[Pin], progress: &mut dyn FnMut(u64)) -> Vec<(String, Found)> {
    let mut found = Vec::new();
    for pin in pins {
        let path = dir.join(&pin.path);
        let what = match hash_with(&path, progress) {
            Err(error) => Found::Unreadable(error.to_string()),
            Ok((sha256, size)) if hex::encode(sha256) == pin.sha256 && size == pin.size => {
                Found::Same
            }
            Ok((sha256, size)) => Found::Differs(sha256, size),
        };
        found.push((pin.path.clone(), what));
    }
    let engine_reads = files(dir).unwrap_or_default().into_iter();
    let new = engine_reads.filter(|(_, name)| pins.iter().all(|pin| pin.path != *name));
    found.extend(new.map(|(_, name)| (name, Found::New)));
    found
}

/// Pins the files of a folder as they are.
///
/// # Errors
/// As [`files`]; [`Kind::Model`] if one cannot be read.
pub fn pin(dir: &Path, progress: &mut dyn FnMut(u64)) -> Result<Vec<Pin>> {
    let mut names: Vec<String> = files(dir)?.into_iter().map(|(_, name)| name).collect();
    if dir.join(GENERATION_CONFIG).is_file() {
        names.push(GENERATION_CONFIG.to_owned());
    }
    let pinned = names.into_iter().map(|path| {
        let full = dir.join(&path);
        let (sha256, size) =
            hash_with(&full, progress).map_err(|error| unreadable(&full, error))?;
        Ok(Pin {
            path,
            size,
            sha256: hex::encode(sha256),
        })
    });
    pinned.collect()
}

/// SHA-256 and size of a file.
///
/// # Errors
/// [`Kind::Model`] if it cannot be read.
pub fn hash(path: &Path) -> Result<(H256, u64)> {
    hash_with(path, &mut |_| ()).map_err(|error| unreadable(path, error))
}

fn hash_with(path: &Path, progress: &mut dyn FnMut(u64)) -> std::io::Result<(H256, u64)> {
    let mut file = std::fs::File::open(path)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; PART];
    let mut size = 0u64;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((H256(digest.finalize().into()), size));
        }
        digest.update(&buffer[..read]);
        size += read as u64;
        progress(read as u64);
    }
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    Error::new(
        Kind::Model,
        format!("cannot read the model file {}", path.display()),
    )
    .because(error)
    .fix("check that the file is there and readable")
}

/// Bytes of everything below `dir`; what cannot be read counts as nothing, and
/// links are not followed.
pub fn bytes_below(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return 0;
    };
    let size = |path: PathBuf| match std::fs::symlink_metadata(&path) {
        Ok(metadata) if metadata.is_dir() => bytes_below(&path),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries
        .filter_map(|entry| Some(size(entry.ok()?.path())))
        .fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in names {
            std::fs::write(dir.path().join(name), name).unwrap();
        }
        dir
    }

    const SINGLE: [&str; 3] = [CONFIG, "model.safetensors", TOKENIZER];

    #[test]
    fn shards_and_their_index_are_weights() {
        let dir = folder(&[CONFIG, TOKENIZER, OPTIONAL[0], "a.safetensors"]);
        std::fs::write(
            dir.path().join("model.safetensors.index.json"),
            r#"{"weight_map":{"x":"a.safetensors"}}"#,
        )
        .unwrap();
        let expected = [
            (FileRole::Config, CONFIG),
            (FileRole::Weights, "a.safetensors"),
            (FileRole::Weights, "model.safetensors.index.json"),
            (FileRole::Tokenizer, TOKENIZER),
            (FileRole::ChatTemplate, OPTIONAL[0]),
        ];
        let expected = expected.map(|(role, name)| (role, name.to_owned()));
        assert_eq!(files(dir.path()).unwrap(), expected);
    }

    #[test]
    fn a_gguf_file_is_refused_with_the_way_out() {
        let dir = folder(&[CONFIG, TOKENIZER, "q8.gguf"]);
        let error = files(dir.path()).unwrap_err();
        assert_eq!(error.kind(), Kind::Model);
        assert!(error.to_string().contains("safetensors"), "{error}");
    }

    #[test]
    fn every_difference_is_found_and_named() {
        let dir = folder(&[&SINGLE[..], &[GENERATION_CONFIG]].concat());
        let pins = pin(dir.path(), &mut |_| ()).unwrap();
        assert_eq!(pins.len(), 4);
        let compared = |pins: &[Pin]| compare(dir.path(), pins, &mut |_| ());
        assert!(compared(&pins)
            .iter()
            .all(|(_, found)| *found == Found::Same));

        std::fs::write(dir.path().join(TOKENIZER), "changed").unwrap();
        std::fs::remove_file(dir.path().join(GENERATION_CONFIG)).unwrap();
        std::fs::write(dir.path().join(OPTIONAL[1]), "{{ 1 }}").unwrap();
        let found = compared(&pins);
        let of = |name: &str| &found.iter().find(|(path, _)| path == name).unwrap().1;
        assert_eq!(*of(CONFIG), Found::Same);
        assert!(matches!(of(TOKENIZER), Found::Differs(_, 7)));
        assert!(matches!(of(GENERATION_CONFIG), Found::Unreadable(_)));
        assert_eq!(*of(OPTIONAL[1]), Found::New);
    }

    #[test]
    fn bytes_are_counted_at_every_depth() {
        let dir = folder(&["12345"]);
        std::fs::create_dir(dir.path().join("below")).unwrap();
        std::fs::write(dir.path().join("below/x"), [0; 1000]).unwrap();
        assert_eq!(bytes_below(dir.path()), 1005);
        assert_eq!(bytes_below(&dir.path().join("nowhere")), 0);
    }
}
