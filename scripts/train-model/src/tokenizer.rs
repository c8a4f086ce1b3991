//! The tokenizer: byte-level BPE with a small vocabulary made for number words.
//!
//! Digits stand alone, and German and Italian compounds are cut at their
//! morphemes, so that "dreihundertfünf" is read as drei, hundert, fünf instead
//! of whatever pieces happen to be frequent. Any input encodes: the 256 bytes
//! are part of the vocabulary.

use std::collections::HashSet;

use anyhow::{anyhow, Context, Result};
use tokenizers::models::bpe::{BpeTrainer, BPE};
use tokenizers::models::TrainerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, SplitDelimiterBehavior, Tokenizer};

use crate::dates::{german_ordinal, month_name, EN_ORDINALS};
use crate::language::Language;
use crate::numbers;
use crate::phrasebook::{Phrase, ADJECTIVES, NOUNS};
use crate::question::{phrasings, plus};
use crate::task::{Sample, Task};

/// Starts every prompt.
pub const BOS: (&str, u32) = ("<|bos|>", 0);
/// Ends every answer: the stop token.
pub const EOS: (&str, u32) = ("<|eos|>", 1);
/// Stands between the question and its answer; the tokenizer adds it after the prompt.
pub const ANSWER: (&str, u32) = ("<|answer|>", 2);
/// Entries of the vocabulary: the special tokens, the bytes, the merges.
pub const VOCABULARY: usize = 1536;

/// The morphemes that German and Italian compounds are cut at.
const COMPOUNDS: &str = concat!(
    "hundert|tausend",
    "|und(?=zwanzig|dreißig|vierzig|fünfzig|sechzig|siebzig|achtzig|neunzig)",
    "| ?(?:cento(?!s|tto|ttant)|cent(?=otto|ottant)|mila|mille",
    "|(?:vent|trent|quarant|cinquant|sessant|settant|ottant|novant)(?:[ia]|(?=uno|otto)))",
);

/// Trains the tokenizer. It depends on the tables of this crate only.
///
/// # Errors
/// If the trainer refuses the text or cannot fill the vocabulary.
pub fn train() -> Result<Tokenizer> {
    let special = [BOS, EOS, ANSWER].map(|(text, _)| AddedToken::from(text, true));
    let mut trainer: TrainerWrapper = BpeTrainer::builder()
        .vocab_size(VOCABULARY)
        .min_frequency(0)
        .show_progress(false)
        .special_tokens(special.to_vec())
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect::<HashSet<char>>())
        .build()
        .into();
    let mut tokenizer = Tokenizer::new(BPE::default());
    tokenizer
        .with_pre_tokenizer(Some(Sequence::new(vec![
            Split::new(
                SplitPattern::Regex(COMPOUNDS.into()),
                SplitDelimiterBehavior::Isolated,
                false,
            )
            .map_err(|e| anyhow!("the pattern of compounds does not parse: {e}"))?
            .into(),
            Digits::new(true).into(),
            ByteLevel::new(false, false, true).into(),
        ])))
        .with_decoder(Some(ByteLevel::new(false, false, true)));
    let text = training_text();
    tokenizer
        .train(&mut trainer, text.iter())
        .map_err(|e| anyhow!("the tokenizer's trainer failed: {e}"))?;
    let template = TemplateProcessing::builder()
        .try_single(format!("{} $A {}", BOS.0, ANSWER.0))
        .map_err(|e| anyhow!("the prompt template does not parse: {e}"))?
        .special_tokens(vec![BOS, ANSWER])
        .build()
        .context("the prompt template is incomplete")?;
    tokenizer.with_post_processor(Some(template));
    let size = tokenizer.get_vocab_size(true);
    anyhow::ensure!(
        size == VOCABULARY,
        "the tokenizer has {size} tokens instead of {VOCABULARY}: give it more text or a smaller vocabulary"
    );
    Ok(tokenizer)
}

/// What the merges are learned from: each string as often as it should count.
fn training_text() -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut add = |text: &str, times: usize| {
        for _ in 0..times {
            out.push(text.to_owned());
        }
    };
    for language in Language::ALL {
        let mut morphemes: Vec<&str> = (0..100)
            .chain((1..10).map(|h| h * 100))
            .chain([1000, 2000, 101, 108, 180, 201, 1005])
            .flat_map(|n| numbers::morphemes(language, n))
            .collect();
        morphemes.sort_unstable();
        morphemes.dedup();
        for morpheme in morphemes {
            let word = morpheme.trim();
            add(word, 60);
            add(&format!(" {word}"), 60);
        }
        for task in Task::ALL {
            for phrasing in phrasings(task, language) {
                let plain = phrasing.replace("{}", "1").replace("{L}", "1");
                add(&plain, 12);
                add(&plain.to_lowercase(), 2);
            }
        }
        add(&format!(" {}", plus(language)), 40);
        for month in 1..=12 {
            add(&format!(" {}", month_name(language, month)), 20);
        }
        for other in Language::ALL {
            if other != language {
                add(&format!(" {}", language.name_of(other)), 20);
            }
        }
        for noun in 0..NOUNS.len() {
            for count in [1, 3] {
                for adjective in 0..ADJECTIVES.len() {
                    let phrase = Phrase {
                        count,
                        adjective,
                        noun,
                    };
                    add(&phrase.text(language), 1);
                }
            }
        }
    }
    for day in 1..=31 {
        add(&format!(" {}", EN_ORDINALS[day as usize]), 20);
        if day < 20 {
            add(&format!(" {}", german_ordinal(day)), 20);
        }
    }
    for word in [
        " the",
        " of",
        " der",
        "ste",
        " le premier",
        " el",
        " de",
        " il",
        " primo",
        " l'",
    ] {
        add(word, 40);
    }
    out
}

/// A sample as the model is trained on it.
pub struct Encoded {
    /// BOS, question, separator, answer, EOS.
    pub ids: Vec<u32>,
    /// Index in `ids` of the first token of the answer.
    pub answer_start: usize,
}

/// Encodes a sample as the worker will encode the prompt, with its answer and EOS behind.
///
/// # Errors
/// If the tokenizer fails, which byte-level BPE does not.
pub fn encode(tokenizer: &Tokenizer, sample: &Sample) -> Result<Encoded> {
    let mut ids = encode_text(tokenizer, &sample.question, true)?;
    let answer_start = ids.len();
    ids.extend(encode_text(tokenizer, &sample.answer, false)?);
    ids.push(EOS.1);
    Ok(Encoded { ids, answer_start })
}

fn encode_text(tokenizer: &Tokenizer, text: &str, prompt: bool) -> Result<Vec<u32>> {
    let encoding = tokenizer
        .encode_fast(text, prompt)
        .map_err(|e| anyhow!("cannot encode {text:?}: {e}"))?;
    Ok(encoding.get_ids().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use crate::task::Part;

    #[test]
    fn any_text_comes_back_unchanged() {
        let tokenizer = train().unwrap();
        for text in [
            "siebenhundertfünf",
            "l'otto maggio",
            "日本語 🙂",
            "\u{0} tab\t\n",
            "",
        ] {
            let ids = encode_text(&tokenizer, text, false).unwrap();
            assert_eq!(tokenizer.decode(&ids, true).unwrap(), text);
        }
        let mut random = Random::new(5, 0);
        for task in Task::ALL {
            for language in Language::ALL {
                let sample = Sample::draw(task, language, Part::HeldOut, &mut random);
                let encoded = encode(&tokenizer, &sample).unwrap();
                assert_eq!(encoded.ids[0], BOS.1);
                assert_eq!(encoded.ids[encoded.answer_start - 1], ANSWER.1);
                assert_eq!(encoded.ids.last(), Some(&EOS.1));
                let answer = tokenizer
                    .decode(&encoded.ids[encoded.answer_start..], true)
                    .unwrap();
                assert_eq!(answer, sample.answer);
            }
        }
    }

    #[test]
    fn training_it_twice_gives_the_same_file() {
        let [a, b] = [train().unwrap(), train().unwrap()];
        assert_eq!(a.to_string(false).unwrap(), b.to_string(false).unwrap());
    }

    #[test]
    fn compounds_are_read_by_morphemes() {
        let tokenizer = train().unwrap();
        let pieces = |text: &str| {
            let encoding = tokenizer.encode_fast(text, false).unwrap();
            encoding
                .get_ids()
                .iter()
                .map(|&id| tokenizer.decode(&[id], true).unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            pieces("siebenhundertfünfundzwanzig"),
            ["sieben", "hundert", "fünf", "und", "zwanzig"]
        );
        assert_eq!(
            pieces("duemilatrecentoventotto"),
            ["due", "mila", "tre", "cento", "vent", "otto"]
        );
        assert_eq!(pieces("2024"), ["2", "0", "2", "4"]);
    }
}
