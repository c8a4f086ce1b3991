//! A model as a whole: decoder, tokenizer and chat template.

use std::{io, path::Path, sync::Arc};

use genesisflow_canonical::kernels::{Kernel, UnknownKernel};
use genesisflow_cuda::device::Device;

use crate::{
    backend::DeviceError,
    config::ConfigError,
    decoder::{Decoder, DecoderError},
    loading::{gguf::GgufConfigError, WeightFiles},
    request::Prompt,
    text::{PromptError, TextError, TextProcessor},
    threads::{Threads, ThreadsError},
    weights::WeightsError,
};

/// Names the kernel to run on, see [`Kernel::named`]; for tests and comparisons.
pub const KERNEL_VARIABLE: &str = "GENESISFLOW_KERNEL";

/// Sets the number of compute threads; by default as many as the machine has.
pub const THREADS_VARIABLE: &str = "GENESISFLOW_THREADS";

/// Why a model cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file cannot be read.
    #[error("cannot read {file}: {source}")]
    Io {
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// The folder is no model folder.
    #[error("{dir} {reason}")]
    Folder {
        /// The folder.
        dir: String,
        /// What it holds or misses.
        reason: String,
    },
    /// config.json cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The metadata of a GGUF file cannot be used.
    #[error(transparent)]
    Gguf(#[from] GgufConfigError),
    /// The weights cannot be used.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The tokenizer or the chat template cannot be used.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The device does not take the weights.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// Compute threads cannot be had.
    #[error(transparent)]
    Threads(#[from] ThreadsError),
    /// [`KERNEL_VARIABLE`] names a kernel this machine does not have.
    #[error("{KERNEL_VARIABLE}: {0}")]
    Kernel(#[from] UnknownKernel),
    /// [`THREADS_VARIABLE`] is no number.
    #[error("{THREADS_VARIABLE} is `{0}`; set it to a number from 1 to 1024, or unset it")]
    ThreadCount(String),
}

impl From<DecoderError> for LoadError {
    fn from(error: DecoderError) -> Self {
        match error {
            DecoderError::Config(error) => Self::Config(error),
            DecoderError::Weights(error) => Self::Weights(error),
            DecoderError::Device(error) => Self::Device(error),
        }
    }
}

/// What a model runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadOptions {
    /// The instruction set.
    pub kernel: Kernel,
    /// Compute threads; at least 1.
    pub threads: usize,
}

impl LoadOptions {
    /// The fastest kernel and all cores, unless [`KERNEL_VARIABLE`] or [`THREADS_VARIABLE`] say
    /// otherwise.
    ///
    /// # Errors
    /// [`LoadError::Kernel`] or [`LoadError::ThreadCount`] if a variable cannot be followed.
    pub fn from_environment() -> Result<Self, LoadError> {
        let kernel = match std::env::var(KERNEL_VARIABLE) {
            Ok(name) => Kernel::named(&name)?,
            Err(_) => Kernel::detect(),
        };
        let threads = match std::env::var(THREADS_VARIABLE) {
            Ok(count) => match count.parse() {
                Ok(count @ 1..=1024) => count,
                _ => return Err(LoadError::ThreadCount(count)),
            },
            Err(_) => std::thread::available_parallelism().map_or(1, |n| n.get()),
        };
        Ok(Self { kernel, threads })
    }
}

/// A loaded model. Shared freely between threads; each generation keeps its own state.
#[derive(Debug)]
pub struct Model {
    decoder: Decoder,
    text: Option<TextProcessor>,
}

impl Model {
    /// Loads a folder: `config.json` with `model.safetensors` or its shards, or one GGUF file (see
    /// [`crate::loading`]); `tokenizer.json`; and if present `tokenizer_config.json` and
    /// `chat_template.jinja`.
    ///
    /// # Errors
    /// [`LoadError`] if a file is missing, damaged or asks for what the definition refuses.
    pub fn load(dir: &Path) -> Result<Self, LoadError> {
        Self::load_with(dir, LoadOptions::from_environment()?)
    }

    /// [`Model::load`] on a given kernel and number of threads.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn load_with(dir: &Path, options: LoadOptions) -> Result<Self, LoadError> {
        Self::load_on(dir, options.kernel, Threads::new(options.threads)?)
    }

    /// [`Model::load`] on a given kernel and on threads that other models may share.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn load_on(dir: &Path, kernel: Kernel, threads: Threads) -> Result<Self, LoadError> {
        let (config, mut weights) = WeightFiles::find(dir)?.open(dir)?;
        let text = TextProcessor::load(dir)?;
        let decoder = Decoder::new(config, weights.as_mut(), kernel, threads)?;
        Ok(Self::new(decoder, Some(text)))
    }

    /// [`Model::load`] on a device with memory of its own, which no other model uses.
    ///
    /// # Errors
    /// As [`Model::load`]; [`LoadError::Device`] if the device fails or has too little memory.
    pub fn load_on_device(dir: &Path, device: Arc<dyn Device>) -> Result<Self, LoadError> {
        let (config, mut weights) = WeightFiles::find(dir)?.open(dir)?;
        let text = TextProcessor::load(dir)?;
        let decoder = Decoder::on_device(config, weights.as_mut(), device)?;
        Ok(Self::new(decoder, Some(text)))
    }

    /// A model from its parts. Without a text processor it takes token ids and gives no text.
    pub fn new(decoder: Decoder, text: Option<TextProcessor>) -> Self {
        Self { decoder, text }
    }

    /// The decoder, for callers that look at states or logits.
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// Whether the model has a chat template, so that it takes lists of messages.
    pub fn has_chat_template(&self) -> bool {
        self.text.as_ref().is_some_and(TextProcessor::has_template)
    }

    /// The tokens of a prompt, as [`Model::generate`] would feed them.
    ///
    /// # Errors
    /// [`PromptError`]; of these, [`PromptError::Template`] is a result that can be delivered (see
    /// [`crate::Finish::Fault`]), all others cannot.
    pub fn prompt_tokens(&self, prompt: &Prompt) -> Result<Vec<u32>, PromptError> {
        match (&self.text, prompt) {
            (Some(text), _) => text.encode(prompt),
            (None, Prompt::Tokens(tokens)) if tokens.is_empty() => Err(PromptError::Empty),
            (None, Prompt::Tokens(tokens)) => Ok(tokens.clone()),
            (None, _) => Err(PromptError::NoTokenizer),
        }
    }

    /// The text of an output: its tokens decoded, without a final stop token.
    ///
    /// Special tokens and ids outside the vocabulary add nothing; bytes that are no UTF-8, an
    /// unfinished character at the end among them, become U+FFFD.
    ///
    /// # Errors
    /// [`PromptError::Tokenizer`] if the tokenizer fails.
    pub fn output_text(&self, tokens: &[u32], stop_tokens: &[u32]) -> Result<String, PromptError> {
        let Some(text) = &self.text else {
            return Ok(String::new());
        };
        let shown = match tokens.split_last() {
            Some((last, before)) if stop_tokens.contains(last) => before,
            _ => tokens,
        };
        text.decode(shown)
    }
}
