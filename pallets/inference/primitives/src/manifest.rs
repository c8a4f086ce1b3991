//! A model's manifest: everything that decides what the model computes and on which terms it is
//! offered. A model's id is the hash of these bytes, so no part of it can change under the same id
//! and nobody can register somebody's model with other terms under its id.
//!
//! The numbers of the architecture stand in the model's `config.json`, which the manifest binds by
//! its SHA-256.

use crate::{Balance, BlockNumber, ModelId, H256, SECONDS_PER_BLOCK};
use alloc::{collections::BTreeSet, vec::Vec};
use codec::{Decode, DecodeAll, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use sp_arithmetic::Percent;
use sp_core::{bounded::BoundedVec, ConstU32};

/// The version of the canonical arithmetic that this chain knows.
pub const CANONICAL_VERSION: u16 = 1;
/// Blocks in which an auditor commits, besides those it needs to replay.
pub const COMMIT_WINDOW_BASE: BlockNumber = 150;
/// How often the replay of a model's longest job must fit in the commit window.
pub const COMMIT_WINDOW_REPLAYS: u32 = 4;
/// Longest commit window that a model may ask for.
pub const MAX_COMMIT_WINDOW: BlockNumber = 1_800;
/// Least pay of an audit seat, in percent of the fee.
pub const MIN_SEAT_PAY: u8 = 10;

/// What a model does.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub enum Task {
    /// Continues text. The unit is the token.
    TextGeneration = 0,
}

/// What a file is for.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub enum FileRole {
    /// The architecture's numbers (`config.json`).
    Config = 0,
    /// Weights (`model.safetensors`, or a part of them).
    Weights = 1,
    /// The tokenizer (`tokenizer.json`).
    Tokenizer = 2,
    /// The chat template, if it has a file of its own (`tokenizer_config.json`).
    ChatTemplate = 3,
}

/// One file of a model.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct ModelFile {
    /// What it is for.
    pub role: FileRole,
    /// Where it lies below the model's folder: UTF-8, parts separated by `/`.
    pub path: BoundedVec<u8, ConstU32<128>>,
    /// SHA-256 of its bytes.
    pub sha256: H256,
    /// Its size in bytes.
    pub size: u64,
}

/// How long a job may get.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub struct ModelLimits {
    /// Units of prompt and output together.
    pub context: u32,
    /// Units of the output alone.
    pub max_output: u32,
    /// Most units that formatting (begin token, template) adds beyond one per input byte.
    pub prompt_overhead: u32,
}

/// On which terms the model is offered, whoever runs it.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub struct ModelTerms {
    /// Least price per input unit, in base units.
    pub min_price_input: Balance,
    /// Least price per output unit, in base units.
    pub min_price_output: Balance,
    /// Least fee of a job, in base units.
    pub min_fee: Balance,
    /// Units per second that an auditor must be able to replay.
    pub replay_rate: u32,
    /// Pay of an audit seat: 10 to 100 % of the audited job's fee.
    pub seat_pay: Percent,
}

impl ModelTerms {
    /// Blocks that an auditor may take to replay a job of this many units. None if the replay rate
    /// is 0.
    pub fn replay_blocks(&self, units: u32) -> Option<BlockNumber> {
        let per_block = u64::from(self.replay_rate) * u64::from(SECONDS_PER_BLOCK);
        if per_block == 0 {
            return None;
        }
        u64::from(units).div_ceil(per_block).try_into().ok()
    }
}

/// A model, complete enough that anyone can rebuild it from the chain and its files.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct ModelManifest {
    /// A name for people: UTF-8. Not unique; only the id names the model.
    pub name: BoundedVec<u8, ConstU32<64>>,
    /// What it does.
    pub task: Task,
    /// The architecture as its config names it, such as `llama`.
    pub architecture: BoundedVec<u8, ConstU32<32>>,
    /// Version of the canonical arithmetic that defines its results.
    pub canonical_version: u16,
    /// Its files: at least a config, weights and a tokenizer.
    pub files: BoundedVec<ModelFile, ConstU32<64>>,
    /// Token ids that end an output.
    pub stop_tokens: BoundedVec<u32, ConstU32<16>>,
    /// How long a job may get.
    pub limits: ModelLimits,
    /// Where to get the files: URIs, UTF-8.
    pub sources: BoundedVec<BoundedVec<u8, ConstU32<256>>, ConstU32<8>>,
    /// On which terms it is offered.
    pub terms: ModelTerms,
}

/// What is wrong with a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManifestError {
    /// The bytes are no manifest, too long in one of their lists, or followed by others.
    Malformed,
    /// Name or architecture is empty or no UTF-8, or a source is.
    Text,
    /// A file's path is empty, no UTF-8, absolute, or leaves the model's folder.
    Path,
    /// Two files have the same path.
    DuplicatePath,
    /// A file is empty.
    EmptyFile,
    /// There is no config, or more than one.
    Config,
    /// There are no weights.
    Weights,
    /// There is no tokenizer, or more than one.
    Tokenizer,
    /// The canonical version is unknown to this chain.
    CanonicalVersion,
    /// The context is 0, or the output limit is 0 or above the context.
    Limits,
    /// A price or the least fee is 0.
    ZeroPrice,
    /// The seat pay is not 10 to 100 % of the fee.
    SeatPay,
    /// The longest job could not be replayed within the longest commit window.
    ReplayTooSlow,
}

impl core::fmt::Display for ManifestError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the bytes are no manifest: check its lists' lengths and that nothing follows it",
            Self::Text => "name, architecture and sources must be UTF-8 and not empty",
            Self::Path => "a file's path must be UTF-8, relative and stay below the model's folder",
            Self::DuplicatePath => "two files have the same path",
            Self::EmptyFile => "a file has size 0",
            Self::Config => "exactly one file must have the role Config",
            Self::Weights => "at least one file must have the role Weights",
            Self::Tokenizer => "exactly one file must have the role Tokenizer",
            Self::CanonicalVersion => "this chain knows version 1 of the canonical arithmetic only",
            Self::Limits => "max_output must be at least 1 and at most context",
            Self::ZeroPrice => "min_price_input, min_price_output and min_fee must be above 0",
            Self::SeatPay => "seat_pay must be 10 to 100 percent",
            Self::ReplayTooSlow => "150 + 4 x ceil(context / replay_rate / 2 s) must not exceed 1,800 blocks: shorten the context or raise replay_rate",
        })
    }
}

impl core::error::Error for ManifestError {}

impl ModelManifest {
    /// Reads a manifest and makes every check that needs nothing but its bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let manifest = Self::decode_all(&mut &bytes[..]).map_err(|_| ManifestError::Malformed)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// The id of the model that a manifest's bytes describe.
    pub fn id_of(bytes: &[u8]) -> ModelId {
        crate::content_hash(bytes)
    }

    /// The id of this model.
    pub fn id(&self) -> ModelId {
        Self::id_of(&self.encode())
    }

    /// Makes every check that needs nothing but the manifest.
    pub fn check(&self) -> Result<(), ManifestError> {
        self.check_texts()?;
        self.check_files()?;
        if self.canonical_version != CANONICAL_VERSION {
            return Err(ManifestError::CanonicalVersion);
        }
        let ModelLimits {
            context,
            max_output,
            ..
        } = self.limits;
        if max_output == 0 || max_output > context {
            return Err(ManifestError::Limits);
        }
        let terms = &self.terms;
        if terms.min_price_input == 0 || terms.min_price_output == 0 || terms.min_fee == 0 {
            return Err(ManifestError::ZeroPrice);
        }
        let seat_pay = terms.seat_pay.deconstruct();
        if !(MIN_SEAT_PAY..=100).contains(&seat_pay) {
            return Err(ManifestError::SeatPay);
        }
        match self.commit_window() {
            Some(window) if window <= MAX_COMMIT_WINDOW => Ok(()),
            _ => Err(ManifestError::ReplayTooSlow),
        }
    }

    /// Blocks in which an auditor of this model commits: 150 and four times the replay of the
    /// longest job. None if the replay rate is 0 or the number does not exist.
    pub fn commit_window(&self) -> Option<BlockNumber> {
        self.terms
            .replay_blocks(self.limits.context)?
            .checked_mul(COMMIT_WINDOW_REPLAYS)?
            .checked_add(COMMIT_WINDOW_BASE)
    }

    fn check_texts(&self) -> Result<(), ManifestError> {
        let is_text = |bytes: &[u8]| !bytes.is_empty() && core::str::from_utf8(bytes).is_ok();
        if is_text(&self.name)
            && is_text(&self.architecture)
            && self.sources.iter().all(|source| is_text(source))
        {
            Ok(())
        } else {
            Err(ManifestError::Text)
        }
    }

    fn check_files(&self) -> Result<(), ManifestError> {
        let mut paths = BTreeSet::new();
        for file in &self.files {
            if !is_inner_path(&file.path) {
                return Err(ManifestError::Path);
            }
            if !paths.insert(&file.path[..]) {
                return Err(ManifestError::DuplicatePath);
            }
            if file.size == 0 {
                return Err(ManifestError::EmptyFile);
            }
        }
        let count = |role| self.files.iter().filter(|file| file.role == role).count();
        if count(FileRole::Config) != 1 {
            return Err(ManifestError::Config);
        }
        if count(FileRole::Weights) == 0 {
            return Err(ManifestError::Weights);
        }
        if count(FileRole::Tokenizer) != 1 {
            return Err(ManifestError::Tokenizer);
        }
        Ok(())
    }
}

/// Whether a path names something inside a folder on every system: workers write files there.
fn is_inner_path(path: &[u8]) -> bool {
    let Ok(path) = core::str::from_utf8(path) else {
        return false;
    };
    let parts: Vec<&str> = path.split('/').collect();
    parts.iter().all(|part| !matches!(*part, "" | "." | ".."))
        && !path
            .chars()
            .any(|c| c.is_control() || matches!(c, '\\' | ':'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn file(role: FileRole, path: &str) -> ModelFile {
        ModelFile {
            role,
            path: path.as_bytes().to_vec().try_into().unwrap(),
            sha256: H256::repeat_byte(1),
            size: 10,
        }
    }

    fn manifest() -> ModelManifest {
        ModelManifest {
            name: b"tiny".to_vec().try_into().unwrap(),
            task: Task::TextGeneration,
            architecture: b"llama".to_vec().try_into().unwrap(),
            canonical_version: 1,
            files: vec![
                file(FileRole::Config, "config.json"),
                file(FileRole::Weights, "parts/model.safetensors"),
                file(FileRole::Tokenizer, "tokenizer.json"),
            ]
            .try_into()
            .unwrap(),
            stop_tokens: vec![2].try_into().unwrap(),
            limits: ModelLimits {
                context: 512,
                max_output: 256,
                prompt_overhead: 8,
            },
            sources: vec![b"https://example.org/tiny".to_vec().try_into().unwrap()]
                .try_into()
                .unwrap(),
            terms: ModelTerms {
                min_price_input: 1,
                min_price_output: 1,
                min_fee: 1,
                replay_rate: 100,
                seat_pay: Percent::from_percent(10),
            },
        }
    }

    fn refused(change: impl FnOnce(&mut ModelManifest)) -> ManifestError {
        let mut manifest = manifest();
        change(&mut manifest);
        ModelManifest::parse(&manifest.encode()).unwrap_err()
    }

    #[test]
    fn a_sound_manifest_comes_back_from_its_bytes() {
        let bytes = manifest().encode();
        assert_eq!(ModelManifest::parse(&bytes), Ok(manifest()));
        assert_eq!(manifest().id(), ModelManifest::id_of(&bytes));
    }

    #[test]
    fn terms_are_part_of_the_id() {
        let mut dearer = manifest();
        dearer.terms.min_fee = 2;
        assert_ne!(dearer.id(), manifest().id());
    }

    #[test]
    fn cut_or_followed_bytes_are_malformed() {
        let bytes = manifest().encode();
        assert_eq!(
            ModelManifest::parse(&bytes[..bytes.len() - 1]),
            Err(ManifestError::Malformed)
        );
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(ModelManifest::parse(&longer), Err(ManifestError::Malformed));
        assert_eq!(ModelManifest::parse(&[]), Err(ManifestError::Malformed));
    }

    #[test]
    fn texts_must_be_there_and_utf8() {
        assert_eq!(
            refused(|m| m.name = Default::default()),
            ManifestError::Text
        );
        assert_eq!(
            refused(|m| m.name = vec![0xff].try_into().unwrap()),
            ManifestError::Text
        );
        assert_eq!(
            refused(|m| m.architecture = Default::default()),
            ManifestError::Text
        );
        assert_eq!(
            refused(|m| m.sources = vec![Default::default()].try_into().unwrap()),
            ManifestError::Text
        );
    }

    #[test]
    fn paths_must_stay_inside_the_folder() {
        for path in [
            "",
            "/etc/passwd",
            "../up",
            "a/../../b",
            "a//b",
            "a/",
            ".",
            "C:\\x",
            "a\\b",
            "a\0b",
        ] {
            let error = refused(|m| m.files[0].path = path.as_bytes().to_vec().try_into().unwrap());
            assert_eq!(error, ManifestError::Path, "{path:?}");
        }
        assert_eq!(
            refused(|m| m.files[0].path = vec![0xc3].try_into().unwrap()),
            ManifestError::Path
        );
    }

    #[test]
    fn files_must_be_there_once_and_not_empty() {
        assert_eq!(refused(|m| m.files[0].size = 0), ManifestError::EmptyFile);
        assert_eq!(
            refused(|m| m.files[0].path = m.files[1].path.clone()),
            ManifestError::DuplicatePath
        );
        assert_eq!(
            refused(|m| m.files[0].role = FileRole::Weights),
            ManifestError::Config
        );
        assert_eq!(
            refused(|m| m.files[1].role = FileRole::ChatTemplate),
            ManifestError::Weights
        );
        assert_eq!(
            refused(|m| m.files[2].role = FileRole::Weights),
            ManifestError::Tokenizer
        );
    }

    #[test]
    fn an_output_must_fit_in_the_context() {
        assert_eq!(refused(|m| m.limits.context = 0), ManifestError::Limits);
        assert_eq!(refused(|m| m.limits.max_output = 0), ManifestError::Limits);
        assert_eq!(
            refused(|m| m.limits.max_output = 513),
            ManifestError::Limits
        );
        let mut manifest = manifest();
        manifest.limits.max_output = 512;
        assert_eq!(manifest.check(), Ok(()));
    }

    #[test]
    fn terms_must_be_payable() {
        assert_eq!(
            refused(|m| m.terms.min_price_input = 0),
            ManifestError::ZeroPrice
        );
        assert_eq!(
            refused(|m| m.terms.min_price_output = 0),
            ManifestError::ZeroPrice
        );
        assert_eq!(refused(|m| m.terms.min_fee = 0), ManifestError::ZeroPrice);
        assert_eq!(
            refused(|m| m.terms.seat_pay = Percent::from_percent(9)),
            ManifestError::SeatPay
        );
        assert_eq!(
            refused(|m| m.canonical_version = 2),
            ManifestError::CanonicalVersion
        );
    }

    #[test]
    fn the_longest_job_must_be_replayed_in_time() {
        assert_eq!(
            refused(|m| m.terms.replay_rate = 0),
            ManifestError::ReplayTooSlow
        );
        let mut manifest = manifest();
        manifest.terms.replay_rate = 1;
        // 4 x ceil(825 / 2) = 1,652 and 150 more: just above.
        manifest.limits.context = 825;
        assert_eq!(manifest.commit_window(), Some(1_802));
        assert_eq!(manifest.check(), Err(ManifestError::ReplayTooSlow));
        // 4 x ceil(824 / 2) = 1,648 and 150 more: just below.
        manifest.limits.context = 824;
        assert_eq!(manifest.commit_window(), Some(1_798));
        assert_eq!(manifest.check(), Ok(()));
    }

    #[test]
    fn the_largest_manifest_fits_the_chain() {
        // 64 files with full paths, 8 full sources: the size a registration must have room for.
        assert!(ModelManifest::max_encoded_len() < 16_384);
    }
}
