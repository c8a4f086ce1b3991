//! From a model folder to its manifest, and back to a check of the folder.
//!
//! A folder is laid out as on Hugging Face: `config.json`, `model.safetensors` or
//! its shards and their index, `tokenizer.json`, and `tokenizer_config.json` and
//! `chat_template.jinja` if there are any: the files that the engine reads. What
//! they do not say, the terms above all, stands in a `manifest.toml` beside them
//! or is given as flags:
//!
//! ```toml
//! name = "Genesis Tiny"
//! sources = ["https://example.org/genesis-tiny"]   # optional
//! stop-tokens = [2]          # default: eos_token_id of the folder
//!
//! [limits]
//! context = 512              # default: max_position_embeddings
//! max-output = 128
//! prompt-overhead = 16
//!
//! [terms]
//! min-price-input = "0.000001"   # GEN per token
//! min-price-output = "0.000002"
//! min-fee = "0.001"
//! replay-rate = 2000             # tokens a second
//! seat-pay = 50                  # percent of the fee, 10 to 100
//! ```

use crate::{
    amount::Amount,
    cli::ModelArgs,
    error::{Error, Kind, Result},
    model_files::{files, hash, GENERATION_CONFIG},
};
use codec::Encode;
use genesisflow_engine::loading::CONFIG;
use genesisflow_primitives::{
    manifest::CANONICAL_VERSION, ModelFile, ModelId, ModelLimits, ModelManifest, ModelTerms, Task,
};
use serde::Deserialize;
use sp_arithmetic::Percent;
use std::path::{Path, PathBuf};

/// What the market needs to know of a folder besides its files.
pub const DESCRIPTION: &str = "manifest.toml";

/// A model folder, described.
#[derive(Clone, Debug)]
pub struct ModelFolder {
    /// The folder, as an absolute path.
    pub dir: PathBuf,
    /// What is registered.
    pub manifest: ModelManifest,
}

impl ModelFolder {
    /// Describes the folder at `args.dir`: its files, their sizes and SHA-256,
    /// and the limits and terms of its `manifest.toml` and of the flags, where
    /// flags win.
    ///
    /// # Errors
    /// [`Kind::Model`] if a file is missing or unreadable, or if a limit or a
    /// term is missing or out of its range.
    pub fn describe(args: &ModelArgs) -> Result<Self> {
        let dir = absolute(&args.dir)?;
        let description = Description::read(&dir)?.overridden_by(args);
        let config = json(&dir.join(CONFIG))?;
        let manifest = description.into_manifest(&dir, &config)?;
        manifest.check().map_err(|error| {
            Error::new(
                Kind::Model,
                format!("the chain would not take the model in {}", dir.display()),
            )
            .because(error)
            .fix(format!("change {DESCRIPTION} or the flags accordingly"))
        })?;
        Ok(Self { dir, manifest })
    }

    /// The model's id.
    pub fn id(&self) -> ModelId {
        self.manifest.id()
    }

    /// The bytes that are registered.
    pub fn bytes(&self) -> Vec<u8> {
        self.manifest.encode()
    }
}

/// `path`, absolute and without links, so that a folder has one name.
///
/// # Errors
/// [`Kind::Model`] if there is no such folder.
pub fn absolute(path: &Path) -> Result<PathBuf> {
    path.canonicalize()
        .ok()
        .filter(|path| path.is_dir())
        .ok_or_else(|| {
            Error::new(
                Kind::Model,
                format!("there is no model folder {}", path.display()),
            )
            .fix("give the folder that holds config.json, model.safetensors and tokenizer.json")
        })
}

/// Bytes that a manifest promises to be UTF-8, as text.
pub fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// `manifest.toml`, key for key.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Description {
    name: Option<String>,
    #[serde(default)]
    sources: Vec<String>,
    stop_tokens: Option<Vec<u32>>,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    terms: Terms,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Limits {
    context: Option<u32>,
    max_output: Option<u32>,
    prompt_overhead: Option<u32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Terms {
    min_price_input: Option<Amount>,
    min_price_output: Option<Amount>,
    min_fee: Option<Amount>,
    replay_rate: Option<u32>,
    seat_pay: Option<u8>,
}

impl Description {
    fn read(dir: &Path) -> Result<Self> {
        let path = dir.join(DESCRIPTION);
        match std::fs::read_to_string(&path) {
            Ok(content) => toml::from_str(&content)
                .map_err(|error| malformed(&path, error.to_string().trim_end())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(malformed(&path, error)),
        }
    }

    fn overridden_by(mut self, args: &ModelArgs) -> Self {
        fn set<T: Clone>(slot: &mut Option<T>, flag: &Option<T>) {
            if flag.is_some() {
                slot.clone_from(flag);
            }
        }
        set(&mut self.name, &args.name);
        set(&mut self.limits.context, &args.context);
        set(&mut self.limits.max_output, &args.max_output);
        set(&mut self.limits.prompt_overhead, &args.prompt_overhead);
        set(&mut self.terms.min_price_input, &args.min_price_input);
        set(&mut self.terms.min_price_output, &args.min_price_output);
        set(&mut self.terms.min_fee, &args.min_fee);
        set(&mut self.terms.replay_rate, &args.replay_rate);
        set(&mut self.terms.seat_pay, &args.seat_pay);
        self
    }

    fn into_manifest(self, dir: &Path, config: &serde_json::Value) -> Result<ModelManifest> {
        let name = self.name.unwrap_or_else(|| {
            dir.file_name()
                .map_or_else(String::new, |name| name.to_string_lossy().into_owned())
        });
        let architecture = config["model_type"]
            .as_str()
            .ok_or_else(|| malformed(&dir.join(CONFIG), "it has no `model_type`"))?;
        let context = self
            .limits
            .context
            .or_else(|| config["max_position_embeddings"].as_u64()?.try_into().ok());
        let stop_tokens = match self.stop_tokens {
            Some(tokens) => tokens,
            None => end_of_sequence(dir, config)?,
        };
        let seat_pay = required(self.terms.seat_pay, "seat-pay", "terms")?;
        if seat_pay > 100 {
            return Err(out_of_bounds(
                "seat-pay",
                format!("{seat_pay} is more than 100 percent"),
            ));
        }
        Ok(ModelManifest {
            name: bounded("name", name.into_bytes())?,
            task: Task::TextGeneration,
            architecture: bounded("model_type", architecture.as_bytes().to_vec())?,
            canonical_version: CANONICAL_VERSION,
            files: bounded("number of files", hashed_files(dir)?)?,
            stop_tokens: bounded("stop-tokens", stop_tokens)?,
            limits: ModelLimits {
                context: required(context, "context", "limits")?,
                max_output: required(self.limits.max_output, "max-output", "limits")?,
                prompt_overhead: required(
                    self.limits.prompt_overhead,
                    "prompt-overhead",
                    "limits",
                )?,
            },
            sources: bounded(
                "sources",
                self.sources
                    .into_iter()
                    .map(|source| bounded("source", source.into_bytes()))
                    .collect::<Result<Vec<_>>>()?,
            )?,
            terms: ModelTerms {
                min_price_input: required(self.terms.min_price_input, "min-price-input", "terms")?
                    .0,
                min_price_output: required(
                    self.terms.min_price_output,
                    "min-price-output",
                    "terms",
                )?
                .0,
                min_fee: required(self.terms.min_fee, "min-fee", "terms")?.0,
                replay_rate: required(self.terms.replay_rate, "replay-rate", "terms")?,
                seat_pay: Percent::from_percent(seat_pay),
            },
        })
    }
}

/// The files of a folder that decide what the model computes, hashed.
fn hashed_files(dir: &Path) -> Result<Vec<ModelFile>> {
    files(dir)?
        .into_iter()
        .map(|(role, name)| {
            let (sha256, size) = hash(&dir.join(&name))?;
            Ok(ModelFile {
                role,
                path: bounded("file name", name.into_bytes())?,
                sha256,
                size,
            })
        })
        .collect()
}

/// The token ids that end a sequence, as the folder's own files name them.
fn end_of_sequence(dir: &Path, config: &serde_json::Value) -> Result<Vec<u32>> {
    let generation = dir.join(GENERATION_CONFIG);
    let eos = if generation.is_file() {
        json(&generation)?["eos_token_id"].clone()
    } else {
        serde_json::Value::Null
    };
    let eos = if eos.is_null() {
        config["eos_token_id"].clone()
    } else {
        eos
    };
    let id = |value: &serde_json::Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    let ids = match &eos {
        serde_json::Value::Array(ids) => ids.iter().map(id).collect(),
        one => id(one).map(|id| vec![id]),
    };
    ids.ok_or_else(|| {
        Error::new(
            Kind::Model,
            format!(
                "the folder {} names no end-of-sequence token",
                dir.display()
            ),
        )
        .fix(format!("set stop-tokens in {DESCRIPTION}"))
    })
}

fn json(path: &Path) -> Result<serde_json::Value> {
    let content = std::fs::read(path).map_err(|error| malformed(path, error))?;
    serde_json::from_slice(&content).map_err(|error| malformed(path, error))
}

fn malformed(path: &Path, cause: impl std::fmt::Display) -> Error {
    Error::new(Kind::Model, format!("cannot use {}", path.display()))
        .because(cause)
        .fix("a model folder needs config.json, model.safetensors and tokenizer.json as on Hugging Face, and a manifest.toml as the worker's README describes it")
}

fn required<T>(value: Option<T>, key: &str, table: &str) -> Result<T> {
    value.ok_or_else(|| {
        Error::new(Kind::Model, format!("the model's manifest lacks `{key}`")).fix(format!(
            "set it in the folder's {DESCRIPTION} under [{table}], or pass --{key}"
        ))
    })
}

/// Turns a list into one of the manifest's bounded lists.
fn bounded<T, B: TryFrom<Vec<T>>>(what: &str, list: Vec<T>) -> Result<B> {
    let length = list.len();
    B::try_from(list)
        .map_err(|_| out_of_bounds(what, format!("{length} is more than a manifest can hold")))
}

fn out_of_bounds(what: &str, cause: String) -> Error {
    Error::new(
        Kind::Model,
        format!("the manifest's `{what}` is out of bounds"),
    )
    .because(cause)
    .fix(format!("change {DESCRIPTION} or the flags accordingly"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model_files::{check_files, TOKENIZER};
    use genesisflow_engine::loading::WEIGHTS;
    use genesisflow_primitives::FileRole;

    const TOML: &str = r#"
        name = "Tiny"
        [limits]
        max-output = 16
        prompt-overhead = 4
        [terms]
        min-price-input = "0.000001"
        min-price-output = 1
        min-fee = "0.5"
        replay-rate = 100
        seat-pay = 50
    "#;

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let put =
            |name: &str, content: &str| std::fs::write(dir.path().join(name), content).unwrap();
        put(
            CONFIG,
            r#"{"model_type":"llama","max_position_embeddings":64,"eos_token_id":[2,3]}"#,
        );
        put(WEIGHTS, "weights");
        put(TOKENIZER, "{}");
        put(DESCRIPTION, TOML);
        dir
    }

    fn describe(dir: &Path) -> Result<ModelFolder> {
        ModelFolder::describe(&ModelArgs {
            dir: dir.to_owned(),
            ..ModelArgs::default()
        })
    }

    #[test]
    fn a_folder_becomes_a_manifest_that_the_chain_takes() {
        let dir = folder();
        let folder = describe(dir.path()).unwrap();
        let manifest = ModelManifest::parse(&folder.bytes()).unwrap();
        assert_eq!(manifest, folder.manifest);
        assert_eq!(text(&manifest.name), "Tiny");
        assert_eq!(manifest.limits.context, 64);
        assert_eq!(manifest.stop_tokens.to_vec(), [2, 3]);
        assert_eq!(manifest.terms.min_fee, 500_000_000_000);
        assert_eq!(manifest.files.len(), 3);
        assert_eq!(manifest.files[1].size, 7);
        assert_eq!(
            hex::encode(manifest.files[1].sha256),
            "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c"
        );
        check_files(dir.path(), &manifest).unwrap();
    }

    #[test]
    fn a_flag_wins_over_the_file_and_changes_the_id() {
        let dir = folder();
        let flagged = ModelFolder::describe(&ModelArgs {
            dir: dir.path().to_owned(),
            context: Some(32),
            ..ModelArgs::default()
        })
        .unwrap();
        assert_eq!(flagged.manifest.limits.context, 32);
        assert_ne!(flagged.id(), describe(dir.path()).unwrap().id());
    }

    #[test]
    fn a_changed_file_is_named_with_both_hashes() {
        let dir = folder();
        let manifest = describe(dir.path()).unwrap().manifest;
        std::fs::write(dir.path().join(WEIGHTS), "WEIGHTS").unwrap();
        let error = check_files(dir.path(), &manifest).unwrap_err();
        assert_eq!(error.kind(), Kind::Model);
        let shown = error.to_string();
        assert!(shown.contains("model.safetensors has changed"), "{shown}");
        assert!(
            shown.contains(&hex::encode(manifest.files[1].sha256)),
            "{shown}"
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        for (file, expected) in [
            (CONFIG, "config.json"),
            (WEIGHTS, "model.safetensors"),
            (TOKENIZER, "tokenizer.json"),
            (DESCRIPTION, "seat-pay"),
        ] {
            let dir = folder();
            std::fs::remove_file(dir.path().join(file)).unwrap();
            let error = describe(dir.path()).unwrap_err();
            assert_eq!(error.kind(), Kind::Model);
            assert!(error.to_string().contains(expected), "{error}");
        }
        assert!(describe(Path::new("/nowhere")).is_err());
    }

    #[test]
    fn terms_that_the_chain_refuses_are_refused_here() {
        let dir = folder();
        for (from, to) in [
            ("seat-pay = 50", "seat-pay = 101"),
            ("seat-pay = 50", "seat-pay = 9"),
            ("min-fee = \"0.5\"", "min-fee = 0"),
            ("max-output = 16", "max-output = 65"),
            ("name = \"Tiny\"", "title = \"Tiny\""),
        ] {
            std::fs::write(dir.path().join(DESCRIPTION), TOML.replace(from, to)).unwrap();
            let error = describe(dir.path()).unwrap_err();
            assert_eq!(error.kind(), Kind::Model, "{to}: {error}");
        }
    }

    #[test]
    fn a_template_is_part_of_the_model_and_cannot_be_added_later() {
        let dir = folder();
        let bare = describe(dir.path()).unwrap().manifest;
        std::fs::write(dir.path().join("chat_template.jinja"), "{{ 1 }}").unwrap();
        let error = check_files(dir.path(), &bare).unwrap_err();
        assert!(error.to_string().contains("chat_template.jinja"), "{error}");
        let templated = describe(dir.path()).unwrap().manifest;
        assert_eq!(templated.files[3].role, FileRole::ChatTemplate);
        check_files(dir.path(), &templated).unwrap();
        assert_ne!(templated.id(), bare.id());
    }
}
