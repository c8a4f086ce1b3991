//! Models on disk: which files make one, and how their tensors are read.
//!
//! A folder holds either a Hugging Face checkpoint (`config.json` with `model.safetensors`, or
//! with shards and their index) or one GGUF file. Tensors are read row by row and never mapped or
//! held whole: a model whose unquantised weights exceed memory loads all the same, a hostile header
//! cannot ask for more memory than its file is long, and a file that shrinks while it is read is an
//! error instead of a signal.

pub mod gguf;
pub(crate) mod matrix;
mod rows;
mod safetensors;
mod shards;

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

pub use gguf::GgufFile;
pub use safetensors::SafetensorsFile;
pub use shards::ShardedSafetensors;

use crate::{config::DecoderConfig, model::LoadError, weights::TensorSource};

/// A checkpoint's config.
pub const CONFIG: &str = "config.json";
/// A checkpoint's weights, if they are one file.
pub const WEIGHTS: &str = "model.safetensors";
/// The list of a checkpoint's shards, if its weights are several.
pub const INDEX: &str = "model.safetensors.index.json";

/// Largest file that is read whole (configs, tokenizers, templates), in bytes. The largest
/// tokenizers in use have about 40 MB.
pub const MAX_TEXT_FILE: u64 = 64 << 20;

/// The files of a folder that decide the weights and the arithmetic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WeightFiles {
    /// `config.json` and `model.safetensors`.
    Single,
    /// `config.json`, the index, and the shards it names.
    Sharded(Vec<String>),
    /// One GGUF file, which holds the config too.
    Gguf(String),
}

impl WeightFiles {
    /// Finds out what a folder holds.
    ///
    /// # Errors
    /// [`LoadError::Folder`] if it holds no weights, or several kinds; the index's own errors.
    pub fn find(dir: &Path) -> Result<Self, LoadError> {
        let entries = fs::read_dir(dir).map_err(io_error(dir))?;
        let (mut single, mut index, mut ggufs) = (false, false, Vec::new());
        for entry in entries {
            let name = entry.map_err(io_error(dir))?.file_name();
            let Some(name) = name.to_str() else { continue };
            single |= name == WEIGHTS;
            index |= name == INDEX;
            if name.to_ascii_lowercase().ends_with(".gguf") {
                ggufs.push(name.to_owned());
            }
        }
        ggufs.sort();
        match (single, index, &ggufs[..]) {
            (true, false, []) => Ok(Self::Single),
            (false, true, []) => Ok(Self::Sharded(shards::names(&dir.join(INDEX))?)),
            (false, false, [one]) => Ok(Self::Gguf(one.clone())),
            (false, false, []) => Err(LoadError::Folder {
                dir: dir.display().to_string(),
                reason: format!("holds no weights: no {WEIGHTS}, no {INDEX}, no .gguf file"),
            }),
            _ => Err(LoadError::Folder {
                dir: dir.display().to_string(),
                reason: format!(
                    "holds more than one set of weights ({}); keep one of them",
                    [(single, WEIGHTS), (index, INDEX)]
                        .into_iter()
                        .filter_map(|(there, name)| there.then_some(name))
                        .chain(ggufs.iter().map(String::as_str))
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
            }),
        }
    }

    /// Their names, in ascending order: everything in the folder that decides the arithmetic
    /// besides tokenizer and template.
    pub fn names(&self) -> Vec<String> {
        let mut names = match self {
            Self::Single => vec![CONFIG.to_owned(), WEIGHTS.to_owned()],
            Self::Sharded(shards) => {
                let mut names = vec![CONFIG.to_owned(), INDEX.to_owned()];
                names.extend_from_slice(shards);
                names
            }
            Self::Gguf(name) => vec![name.clone()],
        };
        names.sort();
        names
    }

    /// Opens them: the config, and the tensors to be read.
    ///
    /// # Errors
    /// [`LoadError`] if a file is missing or damaged, or the config cannot be used.
    pub fn open(&self, dir: &Path) -> Result<(DecoderConfig, Box<dyn TensorSource>), LoadError> {
        let config = || -> Result<DecoderConfig, LoadError> {
            Ok(DecoderConfig::from_json(&read_bounded(&dir.join(CONFIG))?)?)
        };
        Ok(match self {
            Self::Single => (
                config()?,
                Box::new(SafetensorsFile::open(&dir.join(WEIGHTS))?),
            ),
            Self::Sharded(_) => (
                config()?,
                Box::new(ShardedSafetensors::open(&dir.join(INDEX))?),
            ),
            Self::Gguf(name) => {
                let file = GgufFile::open(&dir.join(name))?;
                (file.config()?, Box::new(file))
            }
        })
    }
}

/// A file of at most [`MAX_TEXT_FILE`], whole.
pub(crate) fn read_bounded(path: &Path) -> Result<Vec<u8>, LoadError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(io_error(path))?;
    file.take(MAX_TEXT_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(io_error(path))?;
    if bytes.len() as u64 > MAX_TEXT_FILE {
        let reason = format!("it is larger than {MAX_TEXT_FILE} bytes");
        return Err(io_error(path)(io::Error::other(reason)));
    }
    Ok(bytes)
}

fn io_error(path: &Path) -> impl Fn(io::Error) -> LoadError {
    let file: PathBuf = path.into();
    move |source| LoadError::Io {
        file: file.display().to_string(),
        source,
    }
}
