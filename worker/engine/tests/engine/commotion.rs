//! Jobs come, are cancelled, dropped and turned away in any order: nothing is lost, nothing hangs,
//! and what comes to its end is right.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use genesisflow_canonical::kernels::Kernel;
use genesisflow_engine::{
    Engine, EngineOptions, GenerateError, Handle, Model, Replay, ReplayHandle, SubmitError,
};

use crate::{
    batching::{alone, block_bytes, long, model, requests, until},
    random_model::{Numbers, FAMILIES},
};

const BLOCKS: usize = 14;

/// An engine that has too little of everything.
fn cramped(model: &Arc<Model>, prefix_cache: bool) -> Engine {
    let options = EngineOptions {
        memory: BLOCKS * block_bytes(model.decoder().config()),
        step_rows: 24,
        running: 3,
        waiting: 4,
        prefix_cache,
    };
    Engine::start(model.clone(), options).unwrap()
}

/// No block is missing: a job that needs all of them runs.
fn is_whole(engine: &Engine) {
    until("all blocks are back", || {
        let load = engine.load();
        load.held_blocks + load.running + load.waiting == 0
    });
    let everything = BLOCKS * 32 - 20 + 1;
    assert_eq!(engine.load().blocks, BLOCKS);
    // Let in only if every block can be had; a fault is a result too.
    engine.submit(long(everything)).unwrap().wait().unwrap();
}

#[test]
fn random_submitting_and_cancelling_loses_no_block_and_hangs_nowhere() {
    for round in 0..24 {
        let family = FAMILIES[round % FAMILIES.len()];
        let seed = round as u64;
        let model = Arc::new(model(
            seed,
            family,
            round % 5 == 0,
            false,
            2,
            Kernel::detect(),
        ));
        let mut numbers = Numbers::new(seed + 500);
        let requests = requests(&mut numbers, model.decoder().config(), 8);
        let expected: Vec<_> = requests.iter().map(|r| alone(&model, r)).collect();
        let engine = cramped(&model, round % 2 == 0);
        let mut jobs: Vec<(usize, Handle)> = Vec::new();
        let mut replays: Vec<(usize, ReplayHandle)> = Vec::new();
        let mut busy = 0;
        for _ in 0..120 {
            let which = numbers.below(requests.len());
            let request = requests[which].clone();
            match numbers.below(9) {
                0..=3 => match engine.submit(request) {
                    Ok(handle) => jobs.push((which, handle)),
                    Err(SubmitError::Busy { waiting }) => busy += usize::from(waiting == 4),
                    Err(error) => panic!("{error}"),
                },
                4 | 5 => match engine.replay(request, expected[which].tokens.clone(), &[]) {
                    Ok(handle) => replays.push((which, handle)),
                    Err(SubmitError::Busy { waiting }) => busy += usize::from(waiting == 4),
                    Err(error) => panic!("{error}"),
                },
                6 if !jobs.is_empty() => {
                    let (_, handle) = jobs.swap_remove(numbers.below(jobs.len()));
                    if numbers.below(2) == 0 {
                        drop(handle);
                    } else {
                        handle.cancel();
                        // It may have been over before.
                        let ended = handle.wait();
                        assert!(matches!(ended, Ok(_) | Err(GenerateError::Cancelled)));
                    }
                }
                7 if !replays.is_empty() => {
                    drop(replays.swap_remove(numbers.below(replays.len())));
                }
                _ => thread::sleep(Duration::from_micros(numbers.below(300) as u64)),
            }
        }
        assert!(busy > 0, "the queue was never full");
        for (which, handle) in jobs {
            assert_eq!(handle.wait().unwrap(), expected[which]);
        }
        for (which, handle) in replays {
            let matches = Replay::Matches(expected[which].clone());
            assert_eq!(handle.wait().unwrap().replay, matches);
        }
        is_whole(&engine);
    }
}

#[test]
fn many_threads_at_once_submit_and_cancel() {
    let model = Arc::new(model(3, "llama", false, false, 2, Kernel::detect()));
    let mut numbers = Numbers::new(77);
    let requests = requests(&mut numbers, model.decoder().config(), 8);
    let expected: Vec<_> = requests.iter().map(|r| alone(&model, r)).collect();
    let engine = cramped(&model, true);
    thread::scope(|scope| {
        for seed in 0..6 {
            let (engine, requests, expected) = (&engine, &requests, &expected);
            scope.spawn(move || {
                let mut numbers = Numbers::new(seed + 1);
                for _ in 0..60 {
                    let which = numbers.below(requests.len());
                    let Ok(handle) = engine.submit(requests[which].clone()) else {
                        thread::yield_now();
                        continue;
                    };
                    match numbers.below(3) {
                        0 => drop(handle),
                        1 => {
                            handle.cancel();
                            if let Ok(made) = handle.wait() {
                                assert_eq!(made, expected[which]);
                            }
                        }
                        _ => assert_eq!(handle.wait().unwrap(), expected[which]),
                    }
                }
            });
        }
    });
    is_whole(&engine);
}

#[test]
fn an_engine_that_goes_leaves_nobody_waiting() {
    let model = Arc::new(model(9, "llama", false, false, 2, Kernel::SCALAR));
    for round in 0..20u64 {
        let engine = cramped(&model, true);
        let jobs: Vec<_> = (0..4).map(|_| engine.submit(long(300)).unwrap()).collect();
        let made = vec![1; 200];
        let replays: Vec<_> = (0..3)
            .map(|_| engine.replay(long(300), made.clone(), &[]).unwrap())
            .collect();
        thread::sleep(Duration::from_micros(150 * round));
        let waiters: Vec<_> = jobs
            .into_iter()
            .map(|job| thread::spawn(move || job.wait()))
            .collect();
        let start = Instant::now();
        drop(engine);
        assert!(start.elapsed() < Duration::from_secs(20));
        for waiter in waiters {
            let ended = waiter.join().unwrap();
            assert!(matches!(ended, Err(GenerateError::Cancelled)), "{ended:?}");
        }
        for replay in replays {
            // These can be quick.
            assert!(matches!(
                replay.wait(),
                Ok(_) | Err(GenerateError::Cancelled)
            ));
        }
    }
}
