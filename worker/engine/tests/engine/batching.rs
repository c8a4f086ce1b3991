//! What an engine makes of a job does not depend on what else it does, and it keeps to its limits.

use std::{
    ops::ControlFlow,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use futures::{executor::block_on, StreamExt};
use genesisflow_canonical::kernels::Kernel;
use genesisflow_engine::{
    config::DecoderConfig, Engine, EngineError, EngineOptions, Finish, GenerateError,
    GenerateRequest, Generation, Model, Prompt, Replay, Sampling, SubmitError,
};
use proptest::prelude::*;

use crate::random_model::{
    config, decoder, q4_0_decoder, spoil, tensors, whole_blocks, Numbers, FAMILIES,
};

fn request(numbers: &mut Numbers, prompt: Vec<u32>, max_output: u32) -> GenerateRequest {
    GenerateRequest {
        model_id: [5; 32],
        prompt: Prompt::Tokens(prompt),
        sampling: Sampling {
            temperature_milli: numbers.below(3) as u32 * 700,
            top_k: 1 + numbers.below(50) as u16,
            top_p_milli: 950,
        },
        seed: [numbers.below(256) as u8; 32],
        max_output,
        stop_tokens: vec![],
        context: 4096,
        output_bytes: usize::MAX,
        evidence_bytes: usize::MAX,
    }
}

pub fn alone(model: &Model, request: &GenerateRequest) -> Generation {
    model
        .generate(request, &mut |_| ControlFlow::Continue(()))
        .unwrap()
}

/// Requests of which some begin alike, so that a prefix cache finds something.
pub fn requests(
    numbers: &mut Numbers,
    config: &DecoderConfig,
    count: usize,
) -> Vec<GenerateRequest> {
    let beginnings: Vec<Vec<u32>> = (0..2)
        .map(|_| numbers.tokens(100, config.vocab_size))
        .collect();
    (0..count)
        .map(|_| {
            let shared = [0, 32, 70, 100][numbers.below(4)];
            let mut prompt = beginnings[numbers.below(2)][..shared].to_vec();
            let more = 1 + numbers.below(50);
            prompt.extend(numbers.tokens(more, config.vocab_size));
            let max_output = 1 + numbers.below(40) as u32;
            let mut request = request(numbers, prompt, max_output);
            if numbers.below(2) == 0 {
                request.stop_tokens = numbers.tokens(4, config.vocab_size);
            }
            request
        })
        .collect()
}

/// A small model of a family; `wild`: its positions may fault; `fours`: its weights are Q4_0.
pub fn model(
    seed: u64,
    family: &str,
    wild: bool,
    fours: bool,
    threads: usize,
    kernel: Kernel,
) -> Model {
    let mut numbers = Numbers::new(seed);
    let mut config = config(family, &mut numbers);
    if fours {
        whole_blocks(&mut config);
    }
    let mut weights = tensors(&config, &mut numbers);
    if wild {
        spoil(&mut weights, &config, &mut numbers);
    }
    let decoder = if fours {
        q4_0_decoder(&config, &weights, kernel, threads)
    } else {
        decoder(&config, &weights, kernel, threads)
    };
    Model::new(decoder, None)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn strangers_threads_kernels_and_the_prefix_cache_change_nothing(
        seed: u64,
        family in prop::sample::select(&FAMILIES[..]),
        wild: bool,
        fours: bool,
        threads in prop::sample::select(&[1usize, 2, 4][..]),
        kernel in prop::sample::select(Kernel::available().collect::<Vec<_>>()),
        step_rows in prop_oneof![1usize..10, 10usize..300],
        blocks in 6usize..40,
        running in 1usize..8,
        prefix_cache: bool,
        jobs in 1usize..9,
    ) {
        let reference = model(seed, family, wild, fours, 1, Kernel::detect());
        let subject = model(seed, family, wild, fours, threads, kernel);
        let config = reference.decoder().config().clone();
        let mut numbers = Numbers::new(seed ^ 77);
        let requests = requests(&mut numbers, &config, jobs);
        let expected: Vec<_> = requests.iter().map(|r| alone(&reference, r)).collect();
        let options = EngineOptions {
            memory: blocks * block_bytes(&config),
            step_rows,
            running,
            waiting: 100,
            prefix_cache,
        };
        let engine = Engine::start(subject, options).unwrap();
        let seeds = [[3; 32], [4; 32]];
        // Twice, so that the second time everything is known to the prefix cache.
        for _ in 0..2 {
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
        }
        let load = engine.load();
        prop_assert_eq!((load.waiting, load.blocks), (0, blocks));
    }
}

/// The property above draws families and kernels; here none is left to chance.
#[test]
fn every_family_gives_the_same_bits_on_every_kernel_and_number_of_threads() {
    for family in FAMILIES {
        for seed in 0..2 {
            let wild = seed == 1;
            let reference = model(seed, family, wild, false, 1, Kernel::SCALAR);
            let config = reference.decoder().config().clone();
            let mut numbers = Numbers::new(seed ^ 1234);
            let requests = requests(&mut numbers, &config, 4);
            let expected: Vec<_> = requests.iter().map(|r| alone(&reference, r)).collect();
            for (kernel, threads) in Kernel::available().flat_map(|k| [(k, 1), (k, 2), (k, 4)]) {
                for prefix_cache in [false, true] {
                    let subject = model(seed, family, wild, false, threads, kernel);
                    let options = EngineOptions {
                        step_rows: 48,
                        prefix_cache,
                        ..options(&subject, 30)
                    };
                    let engine = Engine::start(subject, options).unwrap();
                    let submit = |r: &GenerateRequest| engine.submit(r.clone()).unwrap();
                    let handles: Vec<_> = requests.iter().map(submit).collect();
                    for (expected, handle) in expected.iter().zip(handles) {
                        let made = handle.wait().unwrap();
                        let name = kernel.name();
                        assert_eq!(&made, expected, "{family}, {name}, {threads} threads");
                    }
                }
            }
        }
    }
}

/// What the options' memory is divided by.
pub fn block_bytes(config: &DecoderConfig) -> usize {
    32 * (config.layers * config.kv_heads * config.head_dim * 2 * 2 + config.hidden_size * 4)
}

/// A model that is slow enough to be caught at work.
pub fn slow_model() -> Arc<Model> {
    Arc::new(model(9, "llama", false, false, 2, Kernel::SCALAR))
}

pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(60), "never: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

pub fn long(tokens: usize) -> GenerateRequest {
    let mut numbers = Numbers::new(4);
    let prompt = numbers.tokens(20, 40);
    let mut request = request(&mut numbers, prompt, tokens as u32);
    request.sampling.temperature_milli = 1500;
    request.sampling.top_k = 64;
    request
}

pub fn options(model: &Model, blocks: usize) -> EngineOptions {
    EngineOptions {
        memory: blocks * block_bytes(model.decoder().config()),
        ..EngineOptions::default()
    }
}

#[test]
fn tokens_are_heard_as_they_come_and_then_the_result() {
    let model = slow_model();
    let engine = Engine::start(model.clone(), options(&model, 10)).unwrap();
    let mut handle = engine.submit(long(30)).unwrap();
    let heard: Vec<u32> = block_on(async {
        let mut heard = Vec::new();
        while let Some(token) = handle.next().await {
            heard.push(token);
        }
        heard
    });
    let made = handle.wait().unwrap();
    assert_eq!(made, alone(&model, &long(30)));
    assert_eq!(made.tokens, heard);
}

#[test]
fn when_tokens_were_made_does_not_depend_on_when_they_are_heard() {
    let model = slow_model();
    let engine = Engine::start(model.clone(), options(&model, 10)).unwrap();
    let start = Instant::now();
    let mut handle = engine.submit(long(30)).unwrap();
    assert_eq!(handle.accepted(), None);
    block_on(handle.next()).unwrap();
    let (first, last) = handle.accepted().unwrap();
    assert_eq!(first, last);
    until("the job is over", || engine.load().running == 0);
    let over = Instant::now();
    block_on(async { while handle.next().await.is_some() {} });
    let (same, last) = handle.accepted().unwrap();
    assert_eq!(first, same);
    assert!(start < first && first < last && last < over);
}

#[test]
fn cancelled_jobs_give_their_memory_back_and_leave_the_others_alone() {
    let model = slow_model();
    let engine = Engine::start(model.clone(), options(&model, 200)).unwrap();
    let explicit = engine.submit(long(2000)).unwrap();
    let dropped = engine.submit(long(2000)).unwrap();
    let kept = engine.submit(long(60)).unwrap();
    until("three jobs run", || engine.load().running == 3);
    explicit.cancel();
    drop(dropped);
    assert!(matches!(explicit.wait(), Err(GenerateError::Cancelled)));
    assert_eq!(kept.wait().unwrap(), alone(&model, &long(60)));
    until("all blocks are back", || engine.load().held_blocks == 0);
}

#[test]
fn a_full_queue_turns_jobs_away_and_takes_them_again_later() {
    let model = slow_model();
    let options = EngineOptions {
        running: 1,
        waiting: 2,
        ..options(&model, 200)
    };
    let engine = Engine::start(model.clone(), options).unwrap();
    let first = engine.submit(long(2000)).unwrap();
    until("the first runs", || engine.load().running == 1);
    let (second, third) = (
        engine.submit(long(5)).unwrap(),
        engine.submit(long(6)).unwrap(),
    );
    for _ in 0..2 {
        let busy = engine.submit(long(5)).unwrap_err();
        assert!(matches!(busy, SubmitError::Busy { waiting: 2 }), "{busy}");
    }
    drop(first);
    assert_eq!(second.wait().unwrap().tokens.len(), 5);
    assert_eq!(third.wait().unwrap().tokens.len(), 6);
    assert_eq!(
        engine.submit(long(7)).unwrap().wait().unwrap().tokens.len(),
        7
    );
}

#[test]
fn memory_is_never_exceeded_and_what_can_never_fit_is_refused() {
    let model = slow_model();
    let engine = Engine::start(model.clone(), options(&model, 7)).unwrap();
    // Each needs 3 blocks: two run, the third waits.
    let handles: Vec<_> = (0..4).map(|_| engine.submit(long(70)).unwrap()).collect();
    until("two run", || engine.load().running == 2);
    let mut most = 0;
    until("all are done", || {
        let load = engine.load();
        assert!(load.held_blocks <= load.blocks && load.running <= 2);
        most = most.max(load.held_blocks);
        load.running + load.waiting == 0
    });
    assert_eq!(most, 6);
    let expected = alone(&model, &long(70));
    for handle in handles {
        assert_eq!(handle.wait().unwrap(), expected);
    }
    let refused = engine.submit(long(7 * 32 - 20 + 2)).unwrap_err();
    assert!(
        matches!(
            refused,
            SubmitError::Request(GenerateError::Memory { tokens: 225 })
        ),
        "{refused}"
    );
    assert!(engine.submit(long(7 * 32 - 20 + 1)).is_ok());
    let none = Engine::start(model.clone(), options(&model, 0)).unwrap_err();
    assert!(matches!(none, EngineError::Memory { .. }), "{none}");
}

#[test]
fn replays_go_before_jobs_that_wait() {
    let model = slow_model();
    let options = EngineOptions {
        running: 1,
        ..options(&model, 200)
    };
    let engine = Engine::start(model.clone(), options).unwrap();
    let running = engine.submit(long(300)).unwrap();
    until("the first runs", || engine.load().running == 1);
    let waiting = engine.submit(long(3000)).unwrap();
    let made = alone(&model, &long(10));
    let replay = engine.replay(long(10), made.tokens.clone(), &[]).unwrap();
    assert_eq!(replay.wait().unwrap().replay, Replay::Matches(made));
    assert_eq!(running.wait().unwrap().tokens.len(), 300);
    until("the other runs", || engine.load().running == 1);
    waiting.cancel();
    assert!(matches!(waiting.wait(), Err(GenerateError::Cancelled)));
}

#[test]
fn a_replay_needs_no_place_among_the_jobs() {
    let model = slow_model();
    let options = EngineOptions {
        running: 1,
        waiting: 1,
        ..options(&model, 400)
    };
    let engine = Engine::start(model.clone(), options).unwrap();
    let running = engine.submit(long(3000)).unwrap();
    until("the first runs", || engine.load().running == 1);
    let waiting = engine.submit(long(3000)).unwrap();
    assert!(matches!(
        engine.submit(long(3)),
        Err(SubmitError::Busy { waiting: 1 })
    ));
    let made = alone(&model, &long(40));
    let replay = engine.replay(long(40), made.tokens.clone(), &[]).unwrap();
    assert_eq!(replay.wait().unwrap().replay, Replay::Matches(made));
    assert_eq!((engine.load().running, engine.load().waiting), (1, 1));
    // Whoever is cancelled while waiting hears of it at once, and the place is free again.
    waiting.cancel();
    assert!(matches!(waiting.wait(), Err(GenerateError::Cancelled)));
    let next = engine.submit(long(3)).unwrap();
    drop(running);
    assert_eq!(next.wait().unwrap().tokens.len(), 3);
}

#[test]
fn what_a_request_needs_is_known_before_it_is_submitted() {
    let model = slow_model();
    let engine = Engine::start(model.clone(), options(&model, 4)).unwrap();
    assert_eq!(engine.prompt_tokens(long(100)).unwrap(), 20);
    assert_eq!(engine.submit(long(100)).unwrap().prompt_tokens(), 20);
    let refused = engine.prompt_tokens(long(110)).unwrap_err();
    assert!(matches!(
        refused,
        SubmitError::Request(GenerateError::Memory { tokens: 129 })
    ));
    // 128 positions are 4 blocks: exactly what is there.
    let needed = Engine::memory_for(&model, 128);
    assert_eq!(needed, options(&model, 4).memory);
    assert!(engine.prompt_tokens(long(109)).is_ok());
    assert_eq!(engine.load().running, 0);
}

#[test]
fn a_fault_ends_its_own_job_only() {
    let mut found = 0;
    for seed in 0..60 {
        let model = Arc::new(model(seed, "llama", true, false, 2, Kernel::detect()));
        let mut numbers = Numbers::new(seed);
        let config = model.decoder().config().clone();
        let requests = requests(&mut numbers, &config, 6);
        let expected: Vec<_> = requests.iter().map(|r| alone(&model, r)).collect();
        let faults = expected
            .iter()
            .filter(|made| matches!(made.finish, Finish::Fault { .. }));
        let faults = faults.count();
        if faults == 0 || faults == requests.len() {
            continue;
        }
        found += 1;
        let engine = Engine::start(model.clone(), EngineOptions::default()).unwrap();
        let handles: Vec<_> = requests
            .iter()
            .map(|r| engine.submit(r.clone()).unwrap())
            .collect();
        for (handle, expected) in handles.into_iter().zip(expected) {
            assert_eq!(handle.wait().unwrap(), expected);
        }
    }
    assert!(found > 5, "{found}");
}

#[test]
fn shutting_down_finishes_what_was_taken_and_dropping_stops_it() {
    let model = slow_model();
    let engine = Engine::start(model.clone(), options(&model, 200)).unwrap();
    let handles: Vec<_> = (1..5)
        .map(|n| engine.submit(long(10 * n)).unwrap())
        .collect();
    engine.shut_down();
    for (n, handle) in (1..5).zip(handles) {
        assert_eq!(handle.wait().unwrap().tokens.len(), 10 * n);
    }

    let engine = Engine::start(model.clone(), options(&model, 200)).unwrap();
    let handles: Vec<_> = (0..4).map(|_| engine.submit(long(3000)).unwrap()).collect();
    let start = Instant::now();
    drop(engine);
    for handle in handles {
        assert!(matches!(handle.wait(), Err(GenerateError::Cancelled)));
    }
    assert!(start.elapsed() < Duration::from_secs(30));
}

#[test]
fn two_engines_share_one_set_of_threads() {
    let first = slow_model();
    let threads = first.decoder().threads().unwrap().clone();
    let mut numbers = Numbers::new(31);
    let config = config("qwen3", &mut numbers);
    let weights = tensors(&config, &mut numbers);
    let second = genesisflow_engine::decoder::Decoder::new(
        config,
        &mut weights.clone(),
        Kernel::detect(),
        threads,
    );
    let second = Arc::new(Model::new(second.unwrap(), None));
    let engines = [
        Engine::start(first.clone(), options(&first, 50)).unwrap(),
        Engine::start(second.clone(), options(&second, 50)).unwrap(),
    ];
    let handles: Vec<_> = engines
        .iter()
        .flat_map(|engine| (1..4).map(move |n| (n, engine, engine.submit(long(20 * n)).unwrap())))
        .collect();
    for (n, engine, handle) in handles {
        assert_eq!(handle.wait().unwrap(), alone(engine.model(), &long(20 * n)));
    }
}
