//! Tokenizer files that would take more memory or time than there is.

use std::{fs, path::Path};

use genesisflow_engine::{text::TextProcessor, Prompt};
use serde_json::{json, Value};

use crate::measured::{run, turn};

fn tokenizer(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(format!("tests/golden/tokenizers/{name}/tokenizer.json"));
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Text of a megabyte, of characters that grow when they are normalized, or of one long word.
fn long_texts() -> [String; 3] {
    [
        "ﷺ ".repeat(260_000),
        "a".repeat(1 << 20),
        "é 1\n".repeat(200_000),
    ]
}

#[test]
fn the_longest_prompts_take_bounded_memory() {
    let _turn = turn();
    for name in ["triples", "digits", "gpt2", "sentencepiece"] {
        let mut json = tokenizer(name);
        if name == "digits" {
            json["normalizer"] = json!({"type": "NFKC"});
        }
        let text = TextProcessor::new(json.to_string().as_bytes(), None, None).unwrap();
        for long in long_texts() {
            let measured = run(0, || text.encode(&Prompt::Raw(long)).unwrap().len());
            println!("{name}: {} MB", measured.peak >> 20);
            assert!(measured.outcome.unwrap() > 1000);
            assert!(measured.peak < 2 << 30, "{name}: {}", measured.peak);
        }
    }
}

/// What the checks in `text` refuse, the library would take.
#[test]
fn tokenizers_that_multiply_their_text_are_refused() {
    let _turn = turn();
    let grow = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "a".repeat(100)});
    let sequence = json!({"Sequence": {"id": "A", "type_id": 0}});
    let mut cases = Vec::new();
    for (part, value) in [
        (
            "normalizer",
            json!({"type": "Sequence", "normalizers": vec![grow.clone(); 8]}),
        ),
        (
            "decoder",
            json!({"type": "Sequence", "decoders": vec![grow; 8]}),
        ),
        (
            "post_processor",
            json!({"type": "TemplateProcessing", "single": vec![sequence; 100_000], "pair": [],
                "special_tokens": {}}),
        ),
    ] {
        let mut json = tokenizer("gpt2");
        json[part] = value;
        cases.push(json);
    }
    let mut long_token = tokenizer("gpt2");
    long_token["model"]["vocab"][&"a".repeat(1 << 20)] = json!(700);
    cases.push(long_token);
    for json in cases {
        let bytes = json.to_string();
        let measured = run(0, || {
            let text = TextProcessor::new(bytes.as_bytes(), None, None)?;
            let tokens = text.encode(&Prompt::Raw("a".repeat(100)));
            Ok::<_, genesisflow_engine::LoadError>(tokens.map(|t| text.decode(&t)))
        });
        let refused = measured.outcome.unwrap().is_err();
        assert!(refused && measured.peak < 256 << 20, "{}", measured.peak);
    }
}
