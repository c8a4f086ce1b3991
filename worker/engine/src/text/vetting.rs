//! What a tokenizer.json may hold, checked before the library sees it.
//!
//! The library trusts its files: a chain of replacements that each double the text, a token of
//! megabytes or a post-processor that repeats its input a million times would fill any memory.
//! What is checked here bounds the tokens of a text, and the text of tokens, by a small factor.

use std::fmt;

use serde::{
    de::{IgnoredAny, MapAccess, Visitor},
    Deserialize, Deserializer,
};
use serde_json::Value;

/// Most steps of a pipeline (normalizer, pre-tokenizer, decoder).
const MAX_STEPS: usize = 16;
/// Largest factor by which all steps together may lengthen a text.
const MAX_GROWTH: usize = 64;
/// Longest token of the vocabulary, in bytes as the file writes it.
const MAX_TOKEN: usize = 2048;
/// Longest pattern or other text of a step, in bytes.
const MAX_TEXT: usize = 2048;
/// Most special tokens around a text.
const MAX_AROUND: usize = 64;
/// Longest word that WordPiece looks up, in characters.
const MAX_WORD: u64 = 1000;

/// The parts of a tokenizer.json that are looked at. A part that is there twice is an error.
#[derive(Deserialize)]
struct Outline {
    #[serde(default)]
    added_tokens: Vec<Added>,
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    post_processor: Value,
    #[serde(default)]
    decoder: Value,
    model: Model,
}

#[derive(Deserialize)]
struct Added {
    content: String,
}

#[derive(Deserialize)]
struct Model {
    #[serde(default)]
    dropout: Value,
    #[serde(default)]
    unk_token: Value,
    #[serde(default)]
    continuing_subword_prefix: Value,
    #[serde(default)]
    end_of_word_suffix: Value,
    #[serde(default)]
    max_input_chars_per_word: Value,
    vocab: Vocabulary,
}

/// Length of the longest token.
struct Vocabulary(usize);

impl<'de> Deserialize<'de> for Vocabulary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tokens;
        impl<'de> Visitor<'de> for Tokens {
            type Value = Vocabulary;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object from tokens to ids")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vocabulary, A::Error> {
                let mut longest = 0;
                while let Some((token, _)) = map.next_entry::<String, IgnoredAny>()? {
                    longest = longest.max(token.len());
                }
                Ok(Vocabulary(longest))
            }
        }
        deserializer.deserialize_map(Tokens)
    }
}

/// Checks a tokenizer.json.
///
/// # Errors
/// What is wrong or not accepted, in words.
pub(super) fn check(json: &[u8]) -> Result<(), String> {
    // The type first: other models have no vocabulary of this form.
    #[derive(Deserialize)]
    struct Kind {
        model: KindOfModel,
    }
    #[derive(Deserialize)]
    struct KindOfModel {
        #[serde(rename = "type")]
        kind: String,
    }
    let kind: Kind = serde_json::from_slice(json).map_err(|e| e.to_string())?;
    let kind = kind.model.kind;
    if !matches!(&kind[..], "BPE" | "WordPiece" | "WordLevel") {
        return Err(format!(
            "its model is `{kind}`; supported are BPE, WordPiece and WordLevel, which all \
             supported families use"
        ));
    }
    let outline: Outline = serde_json::from_slice(json).map_err(|e| e.to_string())?;
    check_model(&outline.model)?;
    if let Some(token) = outline
        .added_tokens
        .iter()
        .find(|t| t.content.len() > MAX_TOKEN)
    {
        return Err(format!(
            "an added token has {} bytes, more than {MAX_TOKEN}",
            token.content.len()
        ));
    }
    // Normalizer and pre-tokenizer lengthen the same text, one after the other.
    let mut growth = 1;
    for (name, list, part) in [
        ("normalizer", "normalizers", &outline.normalizer),
        ("pre_tokenizer", "pretokenizers", &outline.pre_tokenizer),
        ("decoder", "decoders", &outline.decoder),
    ] {
        if name == "decoder" {
            growth = 1;
        }
        let mut steps = Vec::new();
        flatten(part, list, &mut steps).map_err(|reason| format!("its {name} {reason}"))?;
        for step in steps {
            growth *= factor(step).map_err(|reason| format!("its {name} {reason}"))?;
            if growth > MAX_GROWTH {
                return Err(format!(
                    "its {name} may lengthen a text more than {MAX_GROWTH} times"
                ));
            }
        }
    }
    let mut processors = Vec::new();
    flatten(&outline.post_processor, "processors", &mut processors)
        .and_then(|()| processors.iter().try_for_each(|step| check_around(step)))
        .map_err(|reason| format!("its post_processor {reason}"))
}

fn check_model(model: &Model) -> Result<(), String> {
    if !model.dropout.is_null() && model.dropout.as_f64() != Some(0.0) {
        return Err(
            "its model has `dropout`, which makes tokens random; set it to null".to_owned(),
        );
    }
    if model.vocab.0 > MAX_TOKEN {
        return Err(format!(
            "a token of its vocabulary has {} bytes, more than {MAX_TOKEN}",
            model.vocab.0
        ));
    }
    for (name, value) in [
        ("unk_token", &model.unk_token),
        (
            "continuing_subword_prefix",
            &model.continuing_subword_prefix,
        ),
        ("end_of_word_suffix", &model.end_of_word_suffix),
    ] {
        if value.as_str().is_some_and(|text| text.len() > 64) {
            return Err(format!("`{name}` of its model is longer than 64 bytes"));
        }
    }
    match model.max_input_chars_per_word.as_u64() {
        Some(length) if length > MAX_WORD => Err(format!(
            "`max_input_chars_per_word` of its model is {length}, more than {MAX_WORD}"
        )),
        _ => Ok(()),
    }
}

/// The steps of a part, those of sequences one after the other.
fn flatten<'a>(part: &'a Value, list: &str, steps: &mut Vec<&'a Value>) -> Result<(), String> {
    if part.is_null() {
        return Ok(());
    }
    match part.get("type").and_then(Value::as_str) {
        None => Err("has a step without a `type`".into()),
        Some("Sequence") => {
            let Some(parts) = part.get(list).and_then(Value::as_array) else {
                return Err(format!("has a Sequence without `{list}`"));
            };
            parts.iter().try_for_each(|part| flatten(part, list, steps))
        }
        Some(_) if steps.len() == MAX_STEPS => Err(format!("has more than {MAX_STEPS} steps")),
        Some(_) => {
            steps.push(part);
            Ok(())
        }
    }
}

/// How many times longer a step may make a text, rounded up.
fn factor(step: &Value) -> Result<usize, String> {
    let text = |key: &str| step.get(key).and_then(Value::as_str);
    let pattern = |kind: &str| step.get("pattern")?.get(kind)?.as_str();
    for text in [
        text("content"),
        text("prepend"),
        text("replacement"),
        text("prefix"),
        text("suffix"),
        pattern("String"),
        pattern("Regex"),
    ] {
        if text.is_some_and(|text| text.len() > MAX_TEXT) {
            return Err(format!("holds a text of more than {MAX_TEXT} bytes"));
        }
    }
    Ok(match text("type").unwrap_or_default() {
        "Precompiled" => {
            return Err(
                "is `Precompiled`, a table this engine cannot look into; supported families do \
                 not use it"
                    .into(),
            )
        }
        "Replace" => {
            let content = text("content").map_or(0, str::len);
            match pattern("String") {
                Some(replaced) if !replaced.is_empty() => content.div_ceil(replaced.len()).max(1),
                // It may match between any two bytes.
                _ => content + 1,
            }
        }
        // The longest canonical and compatible decompositions of a character.
        "NFC" | "NFD" => 3,
        "NFKC" | "NFKD" => 12,
        "Lowercase" | "ByteLevel" => 2,
        // Blanks around a character, which may be lowered and decomposed.
        "BertNormalizer" => 12,
        // A blank becomes its replacement, one character.
        "Metaspace" => 4,
        _ => 1,
    })
}

/// Checks what a post-processor puts around a text.
fn check_around(step: &Value) -> Result<(), String> {
    let Some(single) = step.get("single").and_then(Value::as_array) else {
        return Ok(());
    };
    let texts = single
        .iter()
        .filter(|p| p.get("Sequence").is_some())
        .count();
    if texts != 1 {
        return Err(format!("repeats a text {texts} times, not once"));
    }
    let special = step.get("special_tokens").and_then(Value::as_object);
    let ids: usize = special
        .iter()
        .flat_map(|tokens| tokens.values())
        .filter_map(|token| token.get("ids")?.as_array())
        .map(Vec::len)
        .sum();
    if single.len().max(ids) > MAX_AROUND {
        return Err(format!("adds more than {MAX_AROUND} tokens"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn tokenizer() -> Value {
        json!({
            "added_tokens": [{"content": "<s>"}], "normalizer": null,
            "pre_tokenizer": {"type": "ByteLevel"}, "decoder": {"type": "ByteLevel"},
            "post_processor": null,
            "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}
        })
    }

    fn replace(content: &str) -> Value {
        json!({"type": "Replace", "pattern": {"String": "a"}, "content": content})
    }

    #[test]
    fn what_would_outgrow_memory_is_refused_with_its_reason() {
        assert_eq!(check(tokenizer().to_string().as_bytes()), Ok(()));
        let nested = (0..40).fold(
            json!({"type": "NFC"}),
            |inner, _| json!({"type": "Sequence", "normalizers": [inner, {"type": "Strip"}]}),
        );
        let doubling = json!({"type": "Sequence", "normalizers": vec![replace("aa"); 7]});
        let sequence = json!({"Sequence": {"id": "A", "type_id": 0}});
        let special = json!({"SpecialToken": {"id": "<s>", "type_id": 0}});
        let template = |single: Value, ids: usize| {
            json!({"type": "TemplateProcessing", "single": single, "pair": [],
                "special_tokens": {"<s>": {"id": "<s>", "ids": vec![0; ids], "tokens": ["<s>"]}}})
        };
        for (at, value, says) in [
            ("/model/type", json!("Unigram"), "`Unigram`"),
            ("/model/vocab", json!({"a".repeat(3000): 0}), "3000 bytes"),
            ("/model/unk_token", json!("a".repeat(65)), "unk_token"),
            ("/model/max_input_chars_per_word", json!(100_000), "100000"),
            ("/model/dropout", json!(0.5), "dropout"),
            (
                "/added_tokens",
                json!([{"content": "a".repeat(3000)}]),
                "3000 bytes",
            ),
            ("/normalizer", doubling.clone(), "more than 64 times"),
            (
                "/normalizer",
                replace(&"a".repeat(65)),
                "more than 64 times",
            ),
            (
                "/normalizer",
                json!({"type": "Replace", "pattern": {"Regex": ""}, "content": "a".repeat(64)}),
                "more than 64 times",
            ),
            (
                "/normalizer",
                json!({"type": "Precompiled", "precompiled_charsmap": ""}),
                "Precompiled",
            ),
            ("/normalizer", nested, "more than 16 steps"),
            ("/normalizer", json!({"prepend": "a"}), "without a `type`"),
            (
                "/normalizer",
                json!({"type": "Sequence"}),
                "without `normalizers`",
            ),
            (
                "/pre_tokenizer",
                json!({"type": "Sequence", "pretokenizers": vec![json!({"type": "ByteLevel"}); 7]}),
                "more than 64 times",
            ),
            (
                "/pre_tokenizer",
                json!({"type": "Split", "pattern": {"Regex": "(".repeat(3000)}}),
                "2048 bytes",
            ),
            (
                "/decoder",
                json!({"type": "Sequence", "decoders": vec![replace("aaaaaaaa"); 3]}),
                "more than 64 times",
            ),
            (
                "/post_processor",
                template(json!([sequence, sequence]), 1),
                "2 times",
            ),
            ("/post_processor", template(json!([special]), 1), "0 times"),
            (
                "/post_processor",
                template(json!([special, sequence]), 65),
                "more than 64 tokens",
            ),
        ] {
            let mut changed = tokenizer();
            match changed.pointer_mut(at) {
                Some(place) => *place = value,
                None => {
                    let key = at.rsplit('/').next().unwrap();
                    changed["model"][key] = value;
                }
            }
            let refusal = check(changed.to_string().as_bytes()).unwrap_err();
            assert!(refusal.contains(says), "{at}: {refusal}");
        }
        let twice = tokenizer().to_string().replace(
            "\"normalizer\":null",
            "\"normalizer\":null,\"normalizer\":{\"type\":\"NFC\"}",
        );
        assert!(check(twice.as_bytes()).unwrap_err().contains("duplicate"));
    }
}
