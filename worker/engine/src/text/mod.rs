//! Text to tokens and back: the tokenizer, the chat template, and the one decoding of an output.

mod spelling;
mod vetting;

use std::{
    fs,
    io::{self, Read},
    panic::{self, AssertUnwindSafe},
    path::Path,
};

use serde::Deserialize;
use serde_json::Value;
use tokenizers::{Model, Normalizer, OffsetType, PreTokenizedString, PreTokenizer, Tokenizer};

use crate::{
    loading::MAX_TEXT_FILE,
    request::Prompt,
    template::{parse_messages, ChatTemplate, Message, TemplateFault},
};
use spelling::{pieces, Piece, Spellings};

/// What is wrong with the tokenizer or the chat template.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// A file cannot be read.
    #[error("cannot read {file}: {source}")]
    Io {
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// The tokenizer cannot be used.
    #[error("tokenizer.json cannot be used: {0}")]
    Tokenizer(String),
    /// tokenizer_config.json cannot be used.
    #[error("tokenizer_config.json cannot be used: {0}")]
    TokenizerConfig(String),
    /// The chat template cannot be used.
    #[error("the model is refused: {0}")]
    Template(#[from] TemplateFault),
}

/// Why an input gives no prompt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PromptError {
    /// The template fails on this input: a result in itself, a template fault.
    #[error("template fault: {0}")]
    Template(#[from] TemplateFault),
    /// Messages need a chat template, and the model has none.
    #[error("the model has no chat template, so it takes no list of messages; send plain text")]
    NoChatTemplate,
    /// The prompt has no token.
    #[error("the prompt is empty")]
    Empty,
    /// The model was made without a tokenizer, so it takes token ids only.
    #[error("the model has no tokenizer, so it takes token ids only")]
    NoTokenizer,
    /// The tokenizer failed on this text.
    #[error("the tokenizer failed on this text: {0}")]
    Tokenizer(String),
}

/// A model's tokenizer and its chat template, if it has one.
#[derive(Debug)]
pub struct TextProcessor {
    tokenizer: Tokenizer,
    template: Option<ChatTemplate>,
    spellings: Spellings,
}

impl TextProcessor {
    /// Loads `tokenizer.json`, `tokenizer_config.json` (optional) and `chat_template.jinja`
    /// (optional, takes precedence over a template in tokenizer_config.json).
    ///
    /// # Errors
    /// [`TextError`] if a file cannot be read or used.
    pub fn load(dir: &Path) -> Result<Self, TextError> {
        let tokenizer = read(&dir.join("tokenizer.json"))?.ok_or_else(|| TextError::Io {
            file: dir.join("tokenizer.json").display().to_string(),
            source: io::ErrorKind::NotFound.into(),
        })?;
        let config = read(&dir.join("tokenizer_config.json"))?;
        let template = match read(&dir.join("chat_template.jinja"))? {
            Some(bytes) => Some(String::from_utf8(bytes).map_err(|e| {
                TextError::Template(TemplateFault(format!("chat_template.jinja: {e}")))
            })?),
            None => None,
        };
        Self::new(&tokenizer, config.as_deref(), template)
    }

    /// Makes a text processor from the files' bytes.
    ///
    /// # Errors
    /// [`TextError`] if one of them cannot be used.
    pub fn new(
        tokenizer: &[u8],
        tokenizer_config: Option<&[u8]>,
        template: Option<String>,
    ) -> Result<Self, TextError> {
        vetting::check(tokenizer).map_err(TextError::Tokenizer)?;
        let mut tokenizer = guarded(|| Tokenizer::from_bytes(tokenizer))
            .map_err(TextError::Tokenizer)?
            .map_err(|e| TextError::Tokenizer(e.to_string()))?;
        // A prompt is never cut or filled up, whatever the file says.
        tokenizer
            .with_truncation(None)
            .map_err(|e| TextError::Tokenizer(e.to_string()))?;
        tokenizer.with_padding(None);

        let config = match tokenizer_config {
            Some(bytes) => serde_json::from_slice(bytes)
                .map_err(|e| TextError::TokenizerConfig(e.to_string()))?,
            None => TokenizerConfig::default(),
        };
        let template = match template {
            Some(source) => Some(source),
            None => configured_template(&config)?,
        };
        let template = template
            .map(|source| ChatTemplate::new(source, special_tokens(&config)))
            .transpose()?;
        let added = tokenizer.get_added_vocabulary().get_added_tokens_decoder();
        let special = added.values().filter(|token| token.special);
        let spellings = Spellings::new(special.map(|token| token.content.clone()));
        Ok(Self {
            tokenizer,
            template,
            spellings,
        })
    }

    /// Whether the model has a chat template.
    pub fn has_template(&self) -> bool {
        self.template.is_some()
    }

    /// The tokens of a prompt.
    ///
    /// Text that a template rendered is encoded as it is, except that special tokens which a
    /// message spells stay text; other text gets the special tokens the tokenizer's own
    /// post-processor adds (a BOS, for some models).
    ///
    /// # Errors
    /// [`PromptError`].
    pub fn encode(&self, prompt: &Prompt) -> Result<Vec<u32>, PromptError> {
        let tokens = match (prompt, &self.template) {
            (Prompt::Tokens(tokens), _) => tokens.clone(),
            (Prompt::Raw(text), _) | (Prompt::Text(text), None) => self.tokens(text, true)?,
            (Prompt::Text(text), Some(template)) => {
                let message = Message {
                    role: "user".into(),
                    content: text.clone(),
                };
                self.chat(template, &[message])?
            }
            (Prompt::Messages(json), Some(template)) => {
                self.chat(template, &parse_messages(json)?)?
            }
            (Prompt::Messages(_), None) => return Err(PromptError::NoChatTemplate),
        };
        if tokens.is_empty() {
            return Err(PromptError::Empty);
        }
        Ok(tokens)
    }

    /// The tokens of messages: nobody can speak for another by spelling special tokens.
    fn chat(&self, template: &ChatTemplate, messages: &[Message]) -> Result<Vec<u32>, PromptError> {
        let Some((marked, mark)) = self.spellings.mark(messages)? else {
            return self.tokens(&template.render(messages)?, false);
        };
        let rendered = template.render(&marked)?;
        let (text, spelled) = self.spellings.find(&rendered, mark);
        let mut tokens = Vec::new();
        for piece in pieces(&text, spelled) {
            tokens.extend(match piece {
                Piece::Rendered(text) => self.tokens(text, false)?,
                Piece::Spelled(text) => self.plain_tokens(text)?,
            });
        }
        Ok(tokens)
    }

    /// The tokens of a text in which nothing is special: normalizer, pre-tokenizer and model, but
    /// no added tokens.
    fn plain_tokens(&self, text: &str) -> Result<Vec<u32>, PromptError> {
        let encode = || -> tokenizers::Result<Vec<u32>> {
            let mut parts = PreTokenizedString::from(text);
            if let Some(normalizer) = self.tokenizer.get_normalizer() {
                parts.normalize(|text| normalizer.normalize(text))?;
            }
            if let Some(splitter) = self.tokenizer.get_pre_tokenizer() {
                splitter.pre_tokenize(&mut parts)?;
            }
            let model = self.tokenizer.get_model();
            parts.tokenize(|part| model.tokenize(part.get()))?;
            let encoding = parts.into_encoding(None, 0, OffsetType::None)?;
            Ok(encoding.get_ids().to_vec())
        };
        let tokens = guarded(encode)
            .map_err(PromptError::Tokenizer)?
            .map_err(|e| PromptError::Tokenizer(e.to_string()))?;
        let added = self
            .tokenizer
            .get_added_vocabulary()
            .get_added_tokens_decoder();
        let is_special = |id: &u32| added.get(id).is_some_and(|token| token.special);
        match tokens.iter().any(is_special) {
            false => Ok(tokens),
            true => Err(PromptError::Tokenizer(format!(
                "a message spells the special token `{text}`, which it cannot write as text"
            ))),
        }
    }

    fn tokens(&self, text: &str, add_special: bool) -> Result<Vec<u32>, PromptError> {
        let encoding = guarded(|| self.tokenizer.encode_fast(text, add_special))
            .map_err(PromptError::Tokenizer)?
            .map_err(|e| PromptError::Tokenizer(e.to_string()))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The text of output tokens.
    ///
    /// Special tokens and ids outside the vocabulary add nothing; bytes that are no UTF-8, an
    /// unfinished character at the end among them, become U+FFFD.
    ///
    /// # Errors
    /// What the tokenizer says; a loaded tokenizer that decodes at all does not fail on some ids.
    pub fn decode(&self, tokens: &[u32]) -> Result<String, PromptError> {
        guarded(|| self.tokenizer.decode(tokens, true))
            .map_err(PromptError::Tokenizer)?
            .map_err(|e| PromptError::Tokenizer(e.to_string()))
    }
}

/// Runs a call into the tokenizer's library, which may panic on hostile files.
fn guarded<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    panic::catch_unwind(AssertUnwindSafe(f)).map_err(|panic| {
        let reason = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no reason given");
        format!("it breaks the tokenizer library: {reason}")
    })
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, TextError> {
    // Bounded: a file without end must not fill the memory.
    let whole = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = fs::File::open(path)?;
        file.take(MAX_TEXT_FILE + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_TEXT_FILE {
            let reason = format!("it is larger than {MAX_TEXT_FILE} bytes");
            return Err(io::Error::other(reason));
        }
        Ok(bytes)
    };
    match whole() {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(TextError::Io {
            file: path.display().to_string(),
            source,
        }),
    }
}

/// What is read of tokenizer_config.json.
#[derive(Default, Deserialize)]
struct TokenizerConfig {
    #[serde(default)]
    chat_template: Value,
    #[serde(default)]
    bos_token: Value,
    #[serde(default)]
    eos_token: Value,
    #[serde(default)]
    pad_token: Value,
    #[serde(default)]
    unk_token: Value,
}

/// `chat_template`: a string, or a list of named ones, of which `default` is taken.
fn configured_template(config: &TokenizerConfig) -> Result<Option<String>, TextError> {
    match &config.chat_template {
        Value::Null => Ok(None),
        Value::String(source) => Ok(Some(source.clone())),
        Value::Array(templates) => templates
            .iter()
            .find(|t| t.get("name").and_then(Value::as_str) == Some("default"))
            .and_then(|t| t.get("template").and_then(Value::as_str))
            .map(|source| Some(source.to_owned()))
            .ok_or_else(|| {
                TextError::TokenizerConfig(
                    "`chat_template` is a list without a template named `default`".into(),
                )
            }),
        _ => Err(TextError::TokenizerConfig(
            "`chat_template` must be a string or a list of named templates".into(),
        )),
    }
}

/// The special tokens of tokenizer_config.json that templates may name.
fn special_tokens(config: &TokenizerConfig) -> Vec<(String, String)> {
    [
        ("bos_token", &config.bos_token),
        ("eos_token", &config.eos_token),
        ("pad_token", &config.pad_token),
        ("unk_token", &config.unk_token),
    ]
    .into_iter()
    .filter_map(|(name, token)| {
        let text = token
            .as_str()
            .or_else(|| token.get("content").and_then(Value::as_str))?;
        Some((name.to_owned(), text.to_owned()))
    })
    .collect()
}
