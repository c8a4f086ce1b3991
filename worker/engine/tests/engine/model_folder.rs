//! Models as folders on disk: what loads, what is refused, how text goes in and comes out.

use std::{fs, ops::ControlFlow, path::Path};

use crate::random_model::{config, tensors, Numbers};
use genesisflow_canonical::kernels::Kernel;
use genesisflow_engine::{
    FaultCode, Finish, GenerateError, GenerateRequest, Generation, LoadError, LoadOptions, Model,
    Prompt, PromptError, Replay, Sampling,
};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{json, Value};

const BOS: u32 = 256;
const EOS: u32 = 257;
const VOCABULARY: usize = 270;

/// A byte-level tokenizer without merges: ids 0 to 255 are bytes, 256 and 257 special tokens.
/// The model has more rows than that: ids from 258 on are outside the vocabulary.
fn tokenizer() -> Value {
    // Printable bytes stand for themselves, the others for characters from U+0100 on.
    let mut next = 0x100;
    let vocabulary: serde_json::Map<String, Value> = (0u32..256)
        .map(|byte| {
            let printable = matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
            let code = if printable {
                byte
            } else {
                next += 1;
                next - 1
            };
            (char::from_u32(code).unwrap().to_string(), json!(byte))
        })
        .chain([("<s>".into(), json!(BOS)), ("</s>".into(), json!(EOS))])
        .collect();
    let special = |id: u32, content: &str| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false, "special": true})
    };
    json!({
        "version": "1.0", "truncation": {"direction": "Right", "max_length": 3,
            "strategy": "LongestFirst", "stride": 0},
        "padding": null,
        "added_tokens": [special(BOS, "<s>"), special(EOS, "</s>")],
        "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
            "use_regex": false},
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [BOS], "tokens": ["<s>"]}}},
        "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
            "use_regex": false},
        "model": {"type": "BPE", "dropout": null, "unk_token": null,
            "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": false,
            "byte_fallback": false, "ignore_merges": false, "vocab": vocabulary, "merges": []}
    })
}

/// A folder with a small random Llama; `change` may alter its tensors before they are written.
fn folder(change: impl FnOnce(&mut Vec<(String, Vec<usize>, Vec<f32>)>)) -> tempfile::TempDir {
    let mut numbers = Numbers::new(7);
    let mut c = config("llama", &mut numbers);
    (c.vocab_size, c.tied_embeddings) = (VOCABULARY, true);
    let weights = tensors(&c, &mut numbers);
    let mut list: Vec<_> = weights
        .iter()
        .map(|(name, shape, data)| (name.to_owned(), shape.to_vec(), data.to_vec()))
        .collect();
    change(&mut list);
    let bytes: Vec<Vec<u8>> = list
        .iter()
        .map(|(_, _, data)| data.iter().flat_map(|x| x.to_le_bytes()).collect())
        .collect();
    let views = list.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap();
        (name.as_str(), view)
    });
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).unwrap();
    write(
        "model.safetensors",
        &safetensors::serialize(views, None).unwrap(),
    );
    write("tokenizer.json", tokenizer().to_string().as_bytes());
    let config = json!({
        "model_type": "llama", "hidden_act": "silu", "hidden_size": c.hidden_size,
        "intermediate_size": c.intermediate_size, "num_hidden_layers": c.layers,
        "num_attention_heads": c.heads, "num_key_value_heads": c.kv_heads,
        "head_dim": c.head_dim, "vocab_size": c.vocab_size, "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0, "tie_word_embeddings": true
    });
    write("config.json", config.to_string().as_bytes());
    dir
}

fn load(dir: &Path) -> Result<Model, LoadError> {
    let options = LoadOptions {
        kernel: Kernel::detect(),
        threads: 1,
    };
    Model::load_with(dir, options)
}

fn with_template(source: &str) -> Model {
    let dir = folder(|_| {});
    let config = json!({"chat_template": source, "bos_token": {"content": "<s>"}});
    fs::write(dir.path().join("tokenizer_config.json"), config.to_string()).unwrap();
    load(dir.path()).unwrap()
}

fn request(prompt: Prompt) -> GenerateRequest {
    GenerateRequest {
        model_id: [9; 32],
        prompt,
        sampling: Sampling {
            temperature_milli: 1500,
            top_k: 64,
            top_p_milli: 1000,
        },
        seed: [3; 32],
        max_output: 60,
        stop_tokens: vec![],
        context: 512,
        output_bytes: 10_000,
        evidence_bytes: 10_000,
    }
}

fn generate(model: &Model, request: &GenerateRequest) -> Generation {
    let made = model
        .generate(request, &mut |_| ControlFlow::Continue(()))
        .unwrap();
    let replayed = model.replay(request, &made.tokens).unwrap();
    assert_eq!(replayed, Replay::Matches(made.clone()));
    made
}

#[test]
fn text_gets_the_special_tokens_of_the_post_processor_and_is_never_cut() {
    let dir = folder(|_| {});
    let model = load(dir.path()).unwrap();
    assert!(!model.has_chat_template());
    for prompt in [Prompt::Text("héllo".into()), Prompt::Raw("héllo".into())] {
        assert_eq!(
            model.prompt_tokens(&prompt).unwrap(),
            [BOS, 104, 0xc3, 0xa9, 108, 108, 111]
        );
    }
    assert_eq!(
        model.prompt_tokens(&Prompt::Messages("[]".into())),
        Err(PromptError::NoChatTemplate)
    );
    assert_eq!(
        model.prompt_tokens(&Prompt::Tokens(vec![])),
        Err(PromptError::Empty)
    );
}

#[test]
fn a_template_makes_the_prompt_and_gets_no_second_bos() {
    let model = with_template(
        "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}\
         {{ raise_exception('no system') }}{% endif %}[{{ m.role }}]{{ m.content }}{% endfor %}",
    );
    let expected: Vec<u32> = [BOS]
        .into_iter()
        .chain("[user]hi".bytes().map(u32::from))
        .collect();
    assert_eq!(
        model.prompt_tokens(&Prompt::Text("hi".into())).unwrap(),
        expected
    );
    let messages = Prompt::Messages(r#"[{"role":"user","content":"hi"}]"#.into());
    assert_eq!(model.prompt_tokens(&messages).unwrap(), expected);
    let raw = Prompt::Raw("hi".into());
    assert_eq!(model.prompt_tokens(&raw).unwrap(), [BOS, 104, 105]);
}

#[test]
fn what_the_template_cannot_render_is_a_fault_that_covers_nothing() {
    let model = with_template(
        "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}\
         {{ messages[0].content }}",
    );
    let mut traces = Vec::new();
    for messages in [r#"[{"role":"system","content":"a"}]"#, "not json", "[]"] {
        let made = generate(&model, &request(Prompt::Messages(messages.into())));
        let code = FaultCode::Template;
        assert_eq!(made.finish, Finish::Fault { code, position: 0 });
        assert_eq!(
            (made.prompt_tokens, made.tokens.len(), made.text.len()),
            (0, 0, 0)
        );
        traces.push(made.trace);
    }
    assert!(traces.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn a_stop_token_ends_the_output_counts_and_is_not_shown() {
    let dir = folder(|_| {});
    let model = load(dir.path()).unwrap();
    let mut request = request(Prompt::Text("abc".into()));
    let free = generate(&model, &request);
    assert_eq!((free.finish, free.tokens.len()), (Finish::Length, 60));
    // Stop at a byte token: it must not show either.
    let (at, stop) = (5..60)
        .map(|i| (i, free.tokens[i]))
        .find(|(i, token)| *token < 256 && !free.tokens[..*i].contains(token))
        .unwrap();
    request.stop_tokens = vec![VOCABULARY as u32 + 5, stop];
    let stopped = generate(&model, &request);
    assert_eq!(stopped.finish, Finish::Stop);
    assert_eq!(stopped.tokens, free.tokens[..=at]);
    assert_eq!(
        stopped.text,
        model.output_text(&free.tokens[..at], &[]).unwrap()
    );
    // At the output limit a stop token is still a stop.
    request.max_output = at as u32 + 1;
    assert_eq!(generate(&model, &request).finish, Finish::Stop);
}

#[test]
fn byte_limits_end_before_the_token_that_would_pass_them() {
    let dir = folder(|_| {});
    let model = load(dir.path()).unwrap();
    let mut limited = request(Prompt::Text("abc".into()));
    let free = generate(&model, &limited);
    for limit in [0, 1, 7, 30] {
        limited.output_bytes = limit;
        let made = generate(&model, &limited);
        assert_eq!(made.finish, Finish::ByteLimit);
        assert!(made.text.len() <= limit);
        let n = made.tokens.len();
        assert_eq!(made.tokens, free.tokens[..n]);
        assert!(model.output_text(&free.tokens[..=n], &[]).unwrap().len() > limit);
        // The state behind the dropped token is not in the trace.
        if n > 0 {
            let mut shorter = request(Prompt::Text("abc".into()));
            shorter.max_output = n as u32;
            assert_eq!(generate(&model, &shorter).trace, made.trace);
        }
    }
    limited.output_bytes = 10_000;
    limited.evidence_bytes = 20;
    let made = generate(&model, &limited);
    assert_eq!(made.finish, Finish::ByteLimit);
    let bytes = |tokens: &[u32]| {
        tokens
            .iter()
            .map(|t| if *t < 64 { 1 } else { 2 })
            .sum::<usize>()
    };
    assert!(bytes(&made.tokens) <= 20 && bytes(&free.tokens[..=made.tokens.len()]) > 20);
}

#[test]
fn there_is_one_decoding() {
    let dir = folder(|_| {});
    let model = load(dir.path()).unwrap();
    let text = |tokens: &[u32]| model.output_text(tokens, &[]).unwrap();
    assert_eq!(text(&[0xc3, 0xa9]), "é");
    // An unfinished character at the end, a broken one in the middle.
    assert_eq!(text(&[97, 0xe2, 0x82]), "a\u{fffd}");
    assert_eq!(text(&[0xc3, 97]), "\u{fffd}a");
    // Special tokens and ids outside the vocabulary add nothing.
    assert_eq!(text(&[BOS, 97, EOS, 260, 98, u32::MAX]), "ab");
    assert_eq!(text(&[]), "");
}

#[test]
fn requests_that_cannot_run_are_refused() {
    let dir = folder(|_| {});
    let model = load(dir.path()).unwrap();
    let refused = |request: &GenerateRequest| {
        let error = model
            .generate(request, &mut |_| ControlFlow::Continue(()))
            .unwrap_err();
        assert!(model.replay(request, &[]).is_err());
        error
    };
    let mut long = request(Prompt::Text("x".repeat(460)));
    assert!(matches!(
        refused(&long),
        GenerateError::Context { prompt: 461, .. }
    ));
    (long.max_output, long.context) = (u32::MAX, u32::MAX);
    assert!(matches!(refused(&long), GenerateError::Context { .. }));
    let unknown = request(Prompt::Tokens(vec![1, VOCABULARY as u32]));
    assert!(matches!(
        refused(&unknown),
        GenerateError::UnknownToken { .. }
    ));
    let mut none = request(Prompt::Text("a".into()));
    none.max_output = 0;
    assert!(matches!(refused(&none), GenerateError::NoOutput));
    let mut sampling = request(Prompt::Text("a".into()));
    sampling.sampling.top_k = 65;
    assert!(matches!(refused(&sampling), GenerateError::Sampling(_)));

    let stopped = model.generate(&request(Prompt::Text("a".into())), &mut |_| {
        ControlFlow::Break(())
    });
    assert!(matches!(stopped, Err(GenerateError::Cancelled)));
}

#[test]
fn weights_that_do_not_fit_are_refused_by_name() {
    type Tensors = Vec<(String, Vec<usize>, Vec<f32>)>;
    let refusal = |change: &dyn Fn(&mut Tensors)| {
        let dir = folder(|tensors| change(tensors));
        load(dir.path()).unwrap_err().to_string()
    };
    fn find<'a>(tensors: &'a mut Tensors, name: &str) -> &'a mut (String, Vec<usize>, Vec<f32>) {
        tensors.iter_mut().find(|t| t.0 == name).unwrap()
    }
    let down = "model.layers.0.mlp.down_proj.weight";
    let norm = "model.norm.weight";
    for (change, says) in [
        (
            &(|t: &mut Tensors| t.retain(|t| t.0 != down)) as &dyn Fn(&mut Tensors),
            "no tensor `model.layers.0.mlp.down_proj.weight`",
        ),
        (
            &|t| t.push(("model.extra".into(), vec![1], vec![0.0])),
            "no place for",
        ),
        (&|t| find(t, down).1.reverse(), "has shape"),
        (
            &|t| find(t, down).2[3] = f32::NAN,
            "row 0: a weight is infinite or not a number",
        ),
        (&|t| find(t, down).2[3] = f32::INFINITY, "infinite"),
        (&|t| find(t, down).2[3] = 1e7, "overflows f16"),
        (
            &|t| find(t, norm).2[1] = 1_048_577.0,
            "element 1 is 1048577",
        ),
        (&|t| find(t, norm).2[1] = f32::NAN, "element 1 is NaN"),
    ] {
        let refusal = refusal(change);
        assert!(refusal.contains(says), "{refusal}");
    }
    // The limit itself is fine.
    let dir = folder(|t| find(t, norm).2[1] = -1_048_576.0);
    assert!(load(dir.path()).is_ok());
}

#[test]
fn damaged_files_are_errors_and_never_panics() {
    let dir = folder(|_| {});
    fs::write(
        dir.path().join("tokenizer_config.json"),
        "{\"bos_token\": \"<s>\"}",
    )
    .unwrap();
    assert!(load(dir.path()).is_ok());
    let mut numbers = Numbers::new(1);
    for name in [
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "model.safetensors",
    ] {
        let path = dir.path().join(name);
        let whole = fs::read(&path).unwrap();
        for step in 0..40 {
            let length = whole.len() * step / 40;
            fs::write(&path, &whole[..length]).unwrap();
            assert!(load(dir.path()).is_err(), "{name} cut to {length} bytes");
        }
        for _ in 0..150 {
            // Headers and structure are at the front.
            let mut changed = whole.clone();
            let at = numbers.below(changed.len().min(2000));
            changed[at] = numbers.bits() as u8;
            fs::write(&path, &changed).unwrap();
            if let Ok(model) = load(dir.path()) {
                // Whatever loads also runs, or refuses.
                let mut short = request(Prompt::Text("abc".into()));
                short.max_output = 2;
                let _ = model.generate(&short, &mut |_| ControlFlow::Continue(()));
            }
        }
        if name != "tokenizer_config.json" {
            fs::remove_file(&path).unwrap();
            let error = load(dir.path()).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
        fs::write(&path, &whole).unwrap();
    }
}

#[test]
fn a_tokenizer_that_rolls_dice_is_refused() {
    let dir = folder(|_| {});
    let mut json = tokenizer();
    json["model"]["dropout"] = json!(0.1);
    fs::write(dir.path().join("tokenizer.json"), json.to_string()).unwrap();
    let error = load(dir.path()).unwrap_err().to_string();
    assert!(error.contains("dropout"), "{error}");
}
