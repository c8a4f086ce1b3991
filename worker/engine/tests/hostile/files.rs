//! Mutated files of whole models.
//!
//! Every case is drawn from the seed and its number alone. `GENESISFLOW_FUZZ_SECONDS` sets how
//! long it goes on (default 25), `GENESISFLOW_FUZZ_SEED` another seed, `GENESISFLOW_FUZZ_CASE` one
//! case to be repeated.

use std::{
    collections::BTreeMap,
    env, fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use genesisflow_canonical::kernels::Kernel;
use genesisflow_engine::{threads::Threads, GenerateRequest, Model, Prompt, Sampling};
use safetensors::{tensor::TensorView, SafeTensors};
use serde_json::{json, Value};

use crate::{
    gguf,
    measured::{run, turn},
    mutation::{self, Random},
};

/// Most memory for loading and running one of these models, in bytes. Their files have less than
/// 0.3 MB, but a change may ask for more: of the interpreter of templates, of a larger regex.
const MEMORY: usize = 300 << 20;
/// Longest time for one case; far above what is seen, because machines are busy.
const TIME: Duration = Duration::from_secs(30);
const SEED: u64 = 1;

const TEMPLATE: &str =
    "{% for m in messages %}<|start|>{{ m.role }}\n{{ m.content | trim }}<|end|>\n\
    {% endfor %}{% if add_generation_prompt %}<|start|>assistant\n{% endif %}";

fn golden(path: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    fs::read(folder.join(path)).unwrap()
}

/// A model's files by name.
type Files = BTreeMap<String, Vec<u8>>;

fn text_files(tokenizer: &str) -> Files {
    let config = json!({
        "chat_template": TEMPLATE, "bos_token": "<s>", "eos_token": {"content": "</s>"}
    });
    BTreeMap::from([
        (
            "tokenizer.json".into(),
            golden(&format!("tokenizers/{tokenizer}/tokenizer.json")),
        ),
        ("tokenizer_config.json".into(), config.to_string().into()),
    ])
}

fn single() -> Files {
    let mut files = text_files("triples");
    for name in ["config.json", "model.safetensors"] {
        files.insert(name.into(), golden(&format!("llama3/{name}")));
    }
    files
}

fn sharded() -> Files {
    let mut files = text_files("sentencepiece");
    files.insert("config.json".into(), golden("qwen3/config.json"));
    let whole = golden("qwen3/model.safetensors");
    let tensors = SafeTensors::deserialize(&whole).unwrap().tensors();
    let (first, second) = tensors.split_at(tensors.len() / 2);
    let mut places = serde_json::Map::new();
    for (file, part) in [("a.safetensors", first), ("b.safetensors", second)] {
        for (name, _) in part {
            places.insert(name.clone(), json!(file));
        }
        let views = part.iter().map(|(name, view)| {
            let view = TensorView::new(view.dtype(), view.shape().to_vec(), view.data());
            (name.as_str(), view.unwrap())
        });
        files.insert(file.into(), safetensors::serialize(views, None).unwrap());
    }
    let index = json!({"metadata": {}, "weight_map": places});
    files.insert(
        "model.safetensors.index.json".into(),
        index.to_string().into(),
    );
    files
}

fn from_gguf(tokenizer: &str, bytes: Vec<u8>) -> Files {
    let mut files = text_files(tokenizer);
    files.insert("model.gguf".into(), bytes);
    files
}

/// A folder with whole files, of which one at a time is changed.
struct Folder {
    dir: tempfile::TempDir,
    files: Files,
}

impl Folder {
    fn new(files: Files) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in &files {
            fs::write(dir.path().join(name), bytes).unwrap();
        }
        Self { dir, files }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// Draws what a file holds instead.
fn changed(random: &mut Random, name: &str, whole: &[u8]) -> Vec<u8> {
    if name.ends_with(".gguf") && random.below(3) > 0 {
        let mut file = gguf::File::llama(600);
        mutation::gguf(random, &mut file);
        return file.bytes();
    }
    if name.ends_with(".json") && random.below(4) > 0 {
        let mut value: Value = serde_json::from_slice(whole).unwrap();
        for _ in 0..1 + random.below(2) {
            mutation::json(random, &mut value);
        }
        return value.to_string().into();
    }
    if name.ends_with(".safetensors") && random.below(2) > 0 {
        let length = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
        let mut header: Value = serde_json::from_slice(&whole[8..8 + length]).unwrap();
        mutation::json(random, &mut header);
        let header = header.to_string();
        let mut out = (header.len() as u64).to_le_bytes().to_vec();
        out.extend_from_slice(header.as_bytes());
        out.extend_from_slice(&whole[8 + length..]);
        return out;
    }
    mutation::bytes(random, whole)
}

fn request(prompt: Prompt) -> GenerateRequest {
    GenerateRequest {
        model_id: [1; 32],
        prompt,
        sampling: Sampling::GREEDY,
        seed: [0; 32],
        max_output: 2,
        stop_tokens: vec![],
        context: 256,
        output_bytes: 1000,
        evidence_bytes: 1000,
    }
}

/// Loads a folder; whatever loads also runs, or refuses. Whether it loaded.
fn load_and_run(dir: &Path, threads: &Threads) -> bool {
    let model = match Model::load_on(dir, Kernel::detect(), threads.clone()) {
        Ok(model) => model,
        Err(error) => {
            let text = error.to_string();
            assert!(!text.is_empty() && text.len() < 100_000);
            return false;
        }
    };
    for prompt in [
        Prompt::Text("Grüße <|end|> 123 ﷽ aaaa".into()),
        Prompt::Raw("<s> \u{0} \u{fdd0} 中文 é\u{301}".into()),
        Prompt::Messages(
            r#"[{"role":"system","content":""},{"role":"user","content":"a"}]"#.into(),
        ),
        Prompt::Tokens(vec![1, 70, 3]),
    ] {
        let _ = model.generate(&request(prompt), &mut |_| ControlFlow::Continue(()));
    }
    let ids: Vec<u32> = (0..600).chain([u32::MAX, 1 << 31]).collect();
    let _ = model.output_text(&ids, &[]);
    true
}

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|e| panic!("{name}: {e}")))
}

#[test]
fn mutated_files_give_errors_or_models_and_nothing_else() {
    let _turn = turn();
    let seed = number("GENESISFLOW_FUZZ_SEED").unwrap_or(SEED);
    let seconds = Duration::from_secs(number("GENESISFLOW_FUZZ_SECONDS").unwrap_or(25));
    let only = number("GENESISFLOW_FUZZ_CASE");
    let threads = Threads::new(1).unwrap();
    let folders: Vec<Folder> = [
        single(),
        sharded(),
        from_gguf("gpt2", gguf::File::llama(600).bytes()),
        from_gguf("digits", golden("llama-q4_0/model.gguf")),
    ]
    .map(Folder::new)
    .into();
    for folder in &folders {
        assert!(load_and_run(folder.dir.path(), &threads), "a whole model");
    }
    // The tokenizers' library panics on some files, which the engine turns into errors: without
    // this, each would be shown.
    std::panic::set_hook(Box::new(|_| {}));
    let started = Instant::now();
    let (mut loaded, mut refused, mut largest, mut failures) = (0u64, 0u64, 0, Vec::new());
    for case in only.unwrap_or(0).. {
        let mut random = Random::new(seed.wrapping_mul(0x0123_4567_89ab_cdef).wrapping_add(case));
        let folder = random.pick(&folders);
        let names: Vec<&String> = folder.files.keys().collect();
        let name = random.pick(&names).as_str();
        let bytes = changed(&mut random, name, &folder.files[name]);
        fs::write(folder.path(name), &bytes).unwrap();
        let began = Instant::now();
        let measured = run(case, || load_and_run(folder.dir.path(), &threads));
        fs::write(folder.path(name), &folder.files[name]).unwrap();
        match measured.outcome {
            Ok(true) => loaded += 1,
            Ok(false) => refused += 1,
            Err(panic) => failures.push(format!("case {case}, {name}: panic: {panic}")),
        }
        largest = largest.max(measured.peak);
        if measured.peak > MEMORY {
            failures.push(format!("case {case}, {name}: {} bytes", measured.peak));
        }
        if began.elapsed() > TIME {
            failures.push(format!("case {case}, {name}: {:?}", began.elapsed()));
        }
        if only.is_some() || failures.len() > 20 || started.elapsed() > seconds {
            break;
        }
    }
    drop(std::panic::take_hook());
    println!(
        "seed {seed}: {loaded} loaded and ran, {refused} were refused; at most {} MB",
        largest >> 20
    );
    assert!(failures.is_empty(), "seed {seed}:\n{}", failures.join("\n"));
    assert!(only.is_some() || (loaded > 20 && refused > 20));
}
