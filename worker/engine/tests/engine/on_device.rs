//! The CUDA backend gives the bits of the processor: whole models of every family, through the
//! engine and by themselves, on the stand-in that runs the kernels on a CPU, and on the first card
//! if this machine has one.

mod recorder;

use std::sync::Arc;

use crate::{
    batching::{alone, block_bytes, model, requests, until},
    equivalence::{pieces, run},
    random_model::{config, decoder, spoil, tensors, whole_blocks, InFours, Numbers, FAMILIES},
};
use genesisflow_canonical::kernels::Kernel;
use genesisflow_cuda::{
    device::Device,
    driver::{self, CudaDevice},
};
use genesisflow_cuda_shim::Shim;
use genesisflow_engine::{
    config::DecoderConfig,
    decoder::Decoder,
    weights::{EachRow, MemoryTensors, TensorSource, WeightsError},
    Engine, EngineError, EngineOptions, GenerateRequest, Model, Prompt, Replay, SubmitError,
};
use proptest::prelude::*;
pub use recorder::Recorder;

/// How many models each property is tried on; by default few, because the stand-in is slow.
const CASES_VARIABLE: &str = "GENESISFLOW_TEST_DEVICE_CASES";
const DEFAULT_CASES: u32 = 4;

fn cases() -> u32 {
    match std::env::var(CASES_VARIABLE) {
        Ok(cases) => cases.parse().expect("a number of cases"),
        Err(_) => DEFAULT_CASES,
    }
}

/// A device to test, opened anew for each decoder.
type Open = fn() -> Arc<dyn Device>;

/// The stand-in, and the first card if there is one.
fn devices() -> Vec<Open> {
    let mut devices: Vec<Open> = vec![Shim::new];
    match driver::cards() {
        Ok(cards) if cards.first().is_some_and(|card| card.is_supported()) => {
            devices.push(|| Arc::new(CudaDevice::open(0).unwrap()));
        }
        Ok(cards) => println!("no card that the kernels run on among {}", cards.len()),
        Err(reason) => println!("not run on a card: {reason}"),
    }
    devices
}

fn on(device: Arc<dyn Device>, config: &DecoderConfig, source: &mut dyn TensorSource) -> Decoder {
    Decoder::on_device(config.clone(), source, device).unwrap()
}

/// Feeds the same to both and compares states, logits and faults.
fn compare(
    reference: &Decoder,
    subject: &Decoder,
    tokens: &[u32],
    pieces: &[usize],
    sampled: usize,
) -> Result<(), TestCaseError> {
    let whole = run(reference, tokens, &[tokens.len()], sampled);
    let name = subject.device().name;
    prop_assert_eq!(
        &run(subject, tokens, &[tokens.len()], sampled),
        &whole,
        "{}",
        name
    );
    prop_assert_eq!(
        &run(subject, tokens, pieces, sampled),
        &whole,
        "{} in pieces",
        name
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn states_and_logits_are_those_of_the_processor(
        seed: u64,
        family in prop::sample::select(&FAMILIES[..]),
        length in 1usize..120,
        pieces in pieces(),
        sampled in 0usize..120,
        wild: bool,
    ) {
        let mut numbers = Numbers::new(seed);
        let config = config(family, &mut numbers);
        let mut weights = tensors(&config, &mut numbers);
        if wild {
            spoil(&mut weights, &config, &mut numbers);
        }
        let tokens = numbers.tokens(length, config.vocab_size);
        let reference = decoder(&config, &weights, Kernel::detect(), 1);
        for open in devices() {
            let subject = on(open(), &config, &mut weights.clone());
            compare(&reference, &subject, &tokens, &pieces, sampled.min(length - 1))?;
        }
    }

    #[test]
    fn weights_in_fours_and_mixed_with_eights_too(
        seed: u64,
        family in prop::sample::select(&FAMILIES[..]),
        length in 1usize..100,
        pieces in pieces(),
        mixed: bool,
    ) {
        let mut numbers = Numbers::new(seed);
        let mut config = config(family, &mut numbers);
        whole_blocks(&mut config);
        let fours = InFours(tensors(&config, &mut numbers));
        let tokens = numbers.tokens(length, config.vocab_size);
        let mut source = Mixed { fours, eights: if mixed { "up_proj" } else { "none" } };
        let threads = genesisflow_engine::threads::Threads::new(1).unwrap();
        let kernel = Kernel::detect();
        let reference = Decoder::new(config.clone(), &mut source, kernel, threads).unwrap();
        for open in devices() {
            let subject = on(open(), &config, &mut source);
            compare(&reference, &subject, &tokens, &pieces, 0)?;
        }
    }

    #[test]
    fn an_engine_on_a_device_makes_what_the_processor_makes(
        seed: u64,
        family in prop::sample::select(&FAMILIES[..]),
        wild: bool,
        recorded: bool,
        step_rows in prop_oneof![1usize..10, 10usize..300],
        blocks in 6usize..40,
        running in 1usize..8,
        prefix_cache: bool,
        jobs in 1usize..4,
    ) {
        let reference = model(seed, family, wild, false, 1, Kernel::detect());
        let config = reference.decoder().config().clone();
        let mut numbers = Numbers::new(seed);
        let _same_config = crate::random_model::config(family, &mut numbers);
        let mut weights = tensors(&config, &mut numbers);
        if wild {
            spoil(&mut weights, &config, &mut numbers);
        }
        let mut numbers = Numbers::new(seed ^ 77);
        let requests = requests(&mut numbers, &config, jobs);
        let expected: Vec<_> = requests.iter().map(|r| alone(&reference, r)).collect();
        for open in devices() {
            let device = if recorded { Recorder::around(open()) } else { open() };
            let subject = Model::new(on(device, &config, &mut weights.clone()), None);
            let options = EngineOptions {
                memory: blocks * block_bytes(&config),
                step_rows,
                running,
                waiting: 100,
                prefix_cache,
            };
            let engine = Engine::start(subject, options).unwrap();
            let seeds = [[3; 32]];
            let mut handles = Vec::new();
            for (request, expected) in requests.iter().zip(&expected) {
                handles.push((
                    engine.submit(request.clone()).unwrap(),
                    engine.replay(request.clone(), expected.tokens.clone(), &seeds).unwrap(),
                ));
            }
            for ((request, expected), (generation, replay)) in
                requests.iter().zip(&expected).zip(handles)
            {
                prop_assert_eq!(&generation.wait().unwrap(), expected);
                let audit = reference.audit(request, &expected.tokens, &seeds).unwrap();
                prop_assert_eq!(&audit.replay, &Replay::Matches(expected.clone()));
                prop_assert_eq!(replay.wait().unwrap(), audit);
            }
            prop_assert_eq!(engine.load().blocks, blocks);
        }
    }
}

/// Q4_0, but for the tensors with this in their names.
struct Mixed {
    fours: InFours,
    eights: &'static str,
}

impl TensorSource for Mixed {
    fn rows(&mut self, name: &str, shape: &[usize], each: EachRow<'_>) -> Result<(), WeightsError> {
        if self.is_q4_0(name) {
            self.fours.rows(name, shape, each)
        } else {
            self.fours.0.rows(name, shape, each)
        }
    }

    fn unused(&self) -> Option<String> {
        // It is read several times.
        None
    }

    fn is_q4_0(&self, name: &str) -> bool {
        self.fours.is_q4_0(name) && !name.contains(self.eights)
    }
}

/// No family is left to chance, and none is without a decode that was recorded.
#[test]
fn every_family_decodes_the_same_bits_also_from_recorded_steps() {
    for family in FAMILIES {
        let reference = model(3, family, false, false, 1, Kernel::detect());
        let config = reference.decoder().config().clone();
        let mut numbers = Numbers::new(3);
        let _same_config = crate::random_model::config(family, &mut numbers);
        let weights = tensors(&config, &mut numbers);
        let mut numbers = Numbers::new(31);
        let requests = requests(&mut numbers, &config, 2);
        for open in devices() {
            let recorder = Recorder::new(open());
            let subject = on(recorder.clone(), &config, &mut weights.clone());
            let engine = Engine::start(
                Model::new(subject, None),
                EngineOptions {
                    memory: 40 * block_bytes(&config),
                    ..EngineOptions::default()
                },
            )
            .unwrap();
            let handles = requests.iter().map(|r| engine.submit(r.clone()).unwrap());
            let handles: Vec<_> = handles.collect();
            for (request, handle) in requests.iter().zip(handles) {
                assert_eq!(
                    handle.wait().unwrap(),
                    alone(&reference, request),
                    "{family}"
                );
            }
            assert!(recorder.replays() > 5, "{family}");
        }
    }
}

/// A card that breaks ends its jobs with an error, at once, and never with a result.
#[test]
fn jobs_on_a_device_that_breaks_end_with_an_error() {
    let mut numbers = Numbers::new(5);
    let config = config("llama", &mut numbers);
    let weights = tensors(&config, &mut numbers);
    let recorder = Recorder::new(Shim::new());
    let subject = on(recorder.clone(), &config, &mut weights.clone());
    let options = EngineOptions {
        memory: 40 * block_bytes(&config),
        ..EngineOptions::default()
    };
    let engine = Engine::start(Model::new(subject, None), options).unwrap();
    recorder.break_after(40);
    let requests = requests(&mut numbers, &config, 3);
    let handles = requests.iter().map(|r| engine.submit(r.clone()));
    let handles: Vec<_> = handles.flatten().collect();
    assert!(!handles.is_empty());
    for handle in handles {
        let error = handle.wait().unwrap_err().to_string();
        assert!(error.contains("broken for this test"), "{error}");
    }
    until("whoever comes later hears why", || {
        matches!(
            engine.submit(requests[0].clone()),
            Err(SubmitError::Device(error)) if error.reason.contains("broken for this test")
        )
    });
}

/// Memory is asked of the device, not of the options alone.
#[test]
fn an_engine_takes_no_more_blocks_than_the_device_has_room_for() {
    let mut numbers = Numbers::new(5);
    let config = config("llama", &mut numbers);
    let weights: MemoryTensors = tensors(&config, &mut numbers);
    let room = |free: usize| {
        let recorder = Recorder::new(Shim::new());
        let subject = on(recorder.clone(), &config, &mut weights.clone());
        recorder.claim_free(free);
        let options = EngineOptions {
            memory: usize::MAX,
            ..EngineOptions::suited_to(&Model::new(
                decoder(&config, &weights, Kernel::detect(), 1),
                None,
            ))
        };
        Engine::start(Model::new(subject, None), options)
    };
    assert!(matches!(room(1 << 10), Err(EngineError::Memory { .. })));
    let less = room(200 << 20).unwrap().load().blocks;
    let more = room(300 << 20).unwrap().load().blocks;
    let block = 32 * config.layers * config.kv_heads * config.head_dim * 2 * 2;
    assert!(
        less > 0 && more > less && more * block < 300 << 20,
        "{less} {more}"
    );
    assert!((more - less) * block > 80 << 20, "{less} {more}");
}

/// What jobs and replays need was set aside when the engine started: keys and values may have taken
/// all other memory of the card, and whoever asked for more would end everybody's jobs.
#[test]
fn no_job_and_no_replay_asks_a_device_at_work_for_memory() {
    let mut numbers = Numbers::new(8);
    let config = DecoderConfig {
        // Then only sampled positions attend, and the stand-in is fast enough for long prompts.
        layers: 1,
        ..config("llama", &mut numbers)
    };
    let weights = tensors(&config, &mut numbers);
    let reference = Model::new(decoder(&config, &weights, Kernel::detect(), 1), None);
    let recorder = Recorder::new(Shim::new());
    let subject = on(recorder.clone(), &config, &mut weights.clone());
    let engine = Engine::start(
        Model::new(subject, None),
        EngineOptions {
            memory: 180 * block_bytes(&config),
            step_rows: 1024,
            running: 64,
            prefix_cache: false,
            ..EngineOptions::default()
        },
    )
    .unwrap();
    recorder.allow_allocations_of(0);
    let request = |prompt: usize, max_output| GenerateRequest {
        prompt: Prompt::Tokens((0..prompt as u32).map(|i| i % 40).collect()),
        max_output,
        stop_tokens: Vec::new(),
        context: 8192,
        ..requests(&mut Numbers::new(9), &config, 1).remove(0)
    };
    // Most rows of a step are sampled, but not all.
    let long = request(20, 1000);
    let claimed = alone(&reference, &long);
    assert_eq!(claimed.tokens.len(), 1000);
    let replay = engine.replay(long, claimed.tokens.clone(), &[]);
    let replay = replay.unwrap().wait().unwrap().replay;
    assert_eq!(replay, Replay::Matches(claimed));
    // One is so long that those beside it cannot all attend at once.
    let mut together = vec![request(4100, 30)];
    together.extend((1..41).map(|prompt| request(prompt % 20 + 1, 12)));
    let handles = together.iter().map(|r| engine.submit(r.clone()).unwrap());
    let handles: Vec<_> = handles.collect();
    for (request, handle) in together.iter().zip(handles) {
        assert_eq!(handle.wait().unwrap(), alone(&reference, request));
    }
}

/// A card without memory for another recording goes on without.
#[test]
fn a_step_that_cannot_be_recorded_is_launched() {
    let reference = model(3, "qwen2", false, false, 1, Kernel::detect());
    let config = reference.decoder().config().clone();
    let mut numbers = Numbers::new(3);
    let _same_config = crate::random_model::config("qwen2", &mut numbers);
    let weights = tensors(&config, &mut numbers);
    let recorder = Recorder::new(Shim::new());
    recorder.allow_recordings(1);
    let subject = on(recorder.clone(), &config, &mut weights.clone());
    let options = EngineOptions {
        memory: 40 * block_bytes(&config),
        ..EngineOptions::default()
    };
    let engine = Engine::start(Model::new(subject, None), options).unwrap();
    let requests = requests(&mut Numbers::new(31), &config, 2);
    let handles = requests.iter().map(|r| engine.submit(r.clone()).unwrap());
    let handles: Vec<_> = handles.collect();
    for (request, handle) in requests.iter().zip(handles) {
        assert_eq!(handle.wait().unwrap(), alone(&reference, request));
    }
    assert!(recorder.refused_recordings() > 0);
}

/// A shape that no kernel can be launched for is refused before anything is read.
#[test]
fn a_model_too_wide_for_the_kernels_is_refused_by_a_device() {
    let mut numbers = Numbers::new(5);
    let config = config("llama", &mut numbers);
    for wide in [
        DecoderConfig {
            vocab_size: 3_000_000,
            ..config.clone()
        },
        DecoderConfig {
            intermediate_size: 1_100_000,
            ..config.clone()
        },
        DecoderConfig {
            heads: 70_000 * config.kv_heads,
            head_dim: 2,
            ..config.clone()
        },
    ] {
        let mut nothing = MemoryTensors::default();
        let refused = Decoder::on_device(wide, &mut nothing, Shim::new());
        let error = refused.unwrap_err().to_string();
        assert!(error.contains("run the model on the CPU"), "{error}");
    }
}
