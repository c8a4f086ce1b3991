//! What one process makes, another one confirms, on other instruction sets and with other numbers
//! of threads; and whatever is changed, it finds.
//!
//! The first process is the test; the others are this same program, started anew to run
//! `in_another_process` alone. `GENESISFLOW_TEST_JOBS` says how many jobs (1,000 for the full
//! check).

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use genesisflow_canonical::kernels::Kernel;
use genesisflow_engine::{
    Engine, EngineOptions, Finish, GenerateRequest, Generation, LoadOptions, Model, Prompt, Replay,
    Sampling, KERNEL_VARIABLE, THREADS_VARIABLE,
};
use safetensors::{tensor::TensorView, Dtype, SafeTensors};
use serde_json::{json, Value};

use crate::{another_process, random_model::Numbers};

/// How many jobs the test runs; by default few enough for every run of the tests.
const JOBS_VARIABLE: &str = "GENESISFLOW_TEST_JOBS";
const DEFAULT_JOBS: usize = 120;

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/polyglot-tiny")
}

/// A job from its number alone: greedy and sampled ones in turns.
fn request(number: usize) -> GenerateRequest {
    let mut numbers = Numbers::new(number as u64 + 1);
    let (a, b) = (numbers.below(10_000), numbers.below(100));
    let questions = [
        format!("Write {a} in words."),
        format!("¿Cuánto es {b} más {}?", a % 100),
        format!("Welche Zahl ist {a}?"),
        format!("Was ist {a} – oder {b}? 数字 {number}"),
    ];
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&(number as u64).to_le_bytes());
    GenerateRequest {
        model_id: [7; 32],
        prompt: Prompt::Text(questions[numbers.below(4)].clone()),
        sampling: if is_sampled(number) {
            // So hot that another seed gives another text, and nothing ends it early.
            Sampling {
                temperature_milli: 8_000,
                top_k: 64,
                top_p_milli: 1_000,
            }
        } else {
            Sampling::GREEDY
        },
        seed,
        max_output: 16 + numbers.below(48) as u32,
        stop_tokens: if is_sampled(number) { vec![] } else { vec![1] },
        context: 256,
        output_bytes: 4_096,
        evidence_bytes: 4_096,
    }
}

fn is_sampled(number: usize) -> bool {
    number % 2 == 1
}

/// A result on its way to another process.
fn to_json(made: &Generation) -> Value {
    let finish = match made.finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
        Finish::ByteLimit => "byte limit",
        Finish::Fault { .. } => "fault",
    };
    json!({
        "prompt_tokens": made.prompt_tokens,
        "tokens": made.tokens,
        "text": made.text,
        "trace": hex::encode(made.trace),
        "finish": finish,
    })
}

/// What the other process is to do with the claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Nothing,
    /// One token of each output is another.
    Token,
    /// Each job has another seed.
    Seed,
}

impl Change {
    const ALL: [Self; 3] = [Self::Nothing, Self::Token, Self::Seed];

    fn name(self) -> String {
        format!("{self:?}")
    }
}

fn in_batches(model: Model) -> Engine {
    let options = EngineOptions {
        waiting: usize::MAX,
        ..EngineOptions::default()
    };
    Engine::start(model, options).unwrap()
}

/// The other process: replays every claim in its task and writes down what it found.
#[test]
#[ignore = "run by the test below, in a process of its own"]
fn in_another_process() {
    let Some(task) = another_process::task() else {
        return;
    };
    let task: Value = serde_json::from_slice(&fs::read(task).unwrap()).unwrap();
    let model = Path::new(task["model"].as_str().unwrap());
    let claims: Vec<Value> =
        serde_json::from_slice(&fs::read(task["claims"].as_str().unwrap()).unwrap()).unwrap();
    let change = Change::ALL
        .into_iter()
        .find(|change| task["change"] == change.name())
        .unwrap();
    let engine = in_batches(Model::load(model).unwrap());
    let mut replays = Vec::new();
    for (number, claim) in claims.iter().enumerate() {
        let mut request = request(number);
        let tokens = claim["tokens"].as_array().unwrap().iter();
        let mut tokens: Vec<u32> = tokens.map(|id| id.as_u64().unwrap() as u32).collect();
        match change {
            Change::Nothing => {}
            Change::Token => {
                let index = number % tokens.len();
                tokens[index] = (tokens[index] + 1 + number as u32 % 1_000) % 1_536;
            }
            Change::Seed => request.seed[31] ^= 1,
        }
        replays.push(engine.replay(request, tokens, &[]).unwrap());
    }
    let found: Vec<Value> = replays
        .into_iter()
        .map(|replay| match replay.wait().unwrap().replay {
            Replay::Matches(made) => to_json(&made),
            Replay::Differs { index } => json!(index),
        })
        .collect();
    fs::write(
        task["answer"].as_str().unwrap(),
        serde_json::to_vec(&found).unwrap(),
    )
    .unwrap();
}

/// The first process's side: where files for the others lie.
struct Others {
    dir: tempfile::TempDir,
    claims: Vec<Value>,
}

impl Others {
    /// Runs one; what it found for each claim.
    fn replay(&self, kernel: Kernel, threads: usize, model: &Path, change: Change) -> Vec<Value> {
        let path = |name: &str| self.dir.path().join(name);
        let task = json!({
            "model": model,
            "claims": path("claims.json"),
            "answer": path("answer.json"),
            "change": change.name(),
        });
        fs::write(path("task.json"), task.to_string()).unwrap();
        let start = Instant::now();
        let variables = [
            (KERNEL_VARIABLE, kernel.name()),
            (THREADS_VARIABLE, &threads.to_string()),
        ];
        let test = "two_processes::in_another_process";
        another_process::run(test, &path("task.json"), &variables);
        let found: Vec<Value> =
            serde_json::from_slice(&fs::read(path("answer.json")).unwrap()).unwrap();
        fs::remove_file(path("answer.json")).unwrap();
        assert_eq!(found.len(), self.claims.len());
        println!(
            "{} jobs replayed on {} with {threads} thread(s) in {:.1} s, {} equal",
            found.len(),
            kernel.name(),
            start.elapsed().as_secs_f64(),
            self.equal(&found).len()
        );
        found
    }

    /// Numbers of the jobs for which a replay found exactly what was claimed.
    fn equal(&self, found: &[Value]) -> Vec<usize> {
        let equal = |n: &usize| found[*n] == self.claims[*n];
        (0..found.len()).filter(equal).collect()
    }
}

#[test]
fn another_process_confirms_every_job_and_finds_every_change() {
    let jobs = match std::env::var(JOBS_VARIABLE) {
        Ok(jobs) => jobs.parse().expect("a number of jobs"),
        Err(_) => DEFAULT_JOBS,
    };
    let options = LoadOptions {
        kernel: Kernel::detect(),
        threads: 2,
    };
    let engine = in_batches(Model::load_with(&shipped(), options).unwrap());
    let start = Instant::now();
    let handles: Vec<_> = (0..jobs)
        .map(|number| engine.submit(request(number)).unwrap())
        .collect();
    let made: Vec<Generation> = handles.into_iter().map(|h| h.wait().unwrap()).collect();
    println!(
        "{jobs} jobs, {} output tokens, made on {} with 2 threads in {:.1} s",
        made.iter().map(|made| made.tokens.len()).sum::<usize>(),
        options.kernel.name(),
        start.elapsed().as_secs_f64()
    );
    drop(engine);
    let finishes = |finish: Finish| made.iter().filter(|m| m.finish == finish).count();
    assert!(finishes(Finish::Stop) > jobs / 10 && finishes(Finish::Length) > jobs / 10);

    let dir = tempfile::tempdir().unwrap();
    let claims: Vec<Value> = made.iter().map(to_json).collect();
    let text = serde_json::to_vec(&claims).unwrap();
    fs::write(dir.path().join("claims.json"), text).unwrap();
    let others = Others { dir, claims };

    let shipped = shipped();
    let threads = [1, 4, 3, 2];
    for (kernel, threads) in Kernel::available().zip(threads) {
        let found = others.replay(kernel, threads, &shipped, Change::Nothing);
        for (number, (found, claim)) in found.iter().zip(&others.claims).enumerate() {
            assert_eq!(found, claim, "job {number}");
        }
    }

    let best = Kernel::detect();
    let found = others.replay(best, 1, &shipped, Change::Token);
    for (number, found) in found.into_iter().enumerate() {
        assert_eq!(found, json!(number % made[number].tokens.len()));
    }
    let found = others.replay(best, 3, &shipped, Change::Seed);
    let greedy: Vec<usize> = (0..jobs).filter(|number| !is_sampled(*number)).collect();
    assert_eq!(
        others.equal(&found),
        greedy,
        "a seed matters where it is used"
    );

    let changed = copy(&shipped, others.dir.path(), "weight");
    change_a_weight(&changed.join("model.safetensors"));
    let found = others.replay(best, 1, &changed, Change::Nothing);
    assert!(others.equal(&found).is_empty(), "one weight");

    // A template that does what the tokenizer does by itself, and one with a space more.
    for (name, template, equal) in [
        ("same", "<|bos|>{{ messages[0].content }}<|answer|>", jobs),
        ("space", "<|bos|>{{ messages[0].content }} <|answer|>", 0),
    ] {
        let changed = copy(&shipped, others.dir.path(), name);
        fs::write(changed.join("chat_template.jinja"), template).unwrap();
        let found = others.replay(best, 2, &changed, Change::Nothing);
        assert_eq!(others.equal(&found).len(), equal, "{template}");
    }
}

/// A copy of a model's folder.
fn copy(model: &Path, dir: &Path, name: &str) -> PathBuf {
    let copy = dir.join(name);
    fs::create_dir(&copy).unwrap();
    for file in fs::read_dir(model).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), copy.join(file.file_name())).unwrap();
    }
    copy
}

/// Changes one weight of 1.3 million by as little as its quantised form can show.
fn change_a_weight(file: &Path) {
    let bytes = fs::read(file).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let name = "model.layers.2.mlp.down_proj.weight";
    let view = tensors.tensor(name).unwrap();
    assert_eq!(view.dtype(), Dtype::F16);
    let mut data = view.data().to_vec();
    let value = |data: &[u8], i: usize| half::f16::from_le_bytes([data[2 * i], data[2 * i + 1]]);
    let largest = (0..32)
        .map(|i| value(&data, i).to_f32().abs())
        .fold(0.0, f32::max);
    // Of the first block, one that is not the largest: the scale stays.
    let index = (0..32)
        .find(|i| value(&data, *i).to_f32().abs() < largest / 2.0)
        .unwrap();
    let more = half::f16::from_f32(value(&data, index).to_f32() + largest / 127.0);
    data[2 * index..2 * index + 2].copy_from_slice(&more.to_le_bytes());
    let differing = data.iter().zip(view.data()).filter(|(a, b)| a != b).count();
    assert!((1..=2).contains(&differing));
    let changed = TensorView::new(Dtype::F16, view.shape().to_vec(), &data).unwrap();
    let mut all: HashMap<String, TensorView<'_>> = tensors.tensors().into_iter().collect();
    all.insert(name.into(), changed);
    let written = safetensors::serialize(all, None).unwrap();
    fs::write(file, written).unwrap();
}
