//! The executor with the shipped model: many jobs at once, each with the result it has alone.

use super::*;
use crate::{cli::ModelArgs, error::Kind, manifest::ModelFolder};
use futures::future::join_all;
use genesisflow_engine::{GenerateError, Model};
use genesisflow_primitives::{audit::AuditDigest, evidence, InputFormat};
use std::{ops::ControlFlow, path::PathBuf, time::Instant};

pub(super) fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/models/polyglot-tiny"))
}

pub(super) fn shipped(id: u8) -> ModelToLoad {
    let args = ModelArgs {
        dir: folder(),
        ..ModelArgs::default()
    };
    let described = ModelFolder::describe(&args).unwrap();
    ModelToLoad {
        id: ModelId::repeat_byte(id),
        dir: described.dir,
        manifest: described.manifest,
    }
}

fn executor(ids: &[u8]) -> EngineExecutor {
    EngineExecutor::load(ids.iter().copied().map(shipped).collect()).unwrap()
}

/// A job that tells from others what it is about.
pub(super) fn job(number: u64) -> Assignment {
    Assignment {
        job: number,
        model: ModelId::repeat_byte(1),
        input: format!("Write {} in words.", 37 * number % 9_999).into_bytes(),
        options: JobOptions {
            temperature_milli: 700 * (number % 3) as u32,
            top_k: 40,
            ..JobOptions::default()
        },
        seed: H256::repeat_byte(number as u8),
        max_input_units: 40,
        max_output_units: 10 + (number % 20) as u32,
        max_output_bytes: 2_000,
        max_evidence_bytes: 2_000,
    }
}

/// A job that runs as long as the model's context allows.
fn long(number: u64) -> Assignment {
    let mut job = job(number);
    job.options.temperature_milli = 5_000;
    job.options.top_k = 64;
    job.max_output_units = 200;
    job
}

/// What the engine makes of a job that runs by itself.
pub(super) fn alone(model: &Model, job: &Assignment) -> Delivery {
    let request = translate::request(job, &shipped(1).manifest.stop_tokens, 256).unwrap();
    let made = model
        .generate(&request, &mut |_| ControlFlow::Continue(()))
        .unwrap();
    translate::delivery(&made, job).unwrap()
}

pub(super) async fn with_timeout<T>(future: impl std::future::Future<Output = T>) -> T {
    let patience = Duration::from_secs(120);
    let ended = tokio::time::timeout(patience, future).await;
    ended.expect("it ends")
}

#[tokio::test(flavor = "multi_thread")]
async fn more_jobs_and_replays_than_the_engine_takes_at_once_all_end_as_if_alone() {
    let executor = executor(&[1]);
    let model = Model::load(&folder()).unwrap();
    let jobs: Vec<Assignment> = (0..100).map(job).collect();
    let runs = jobs
        .iter()
        .map(|job| executor.execute(job.clone(), Cancel::default()));
    let deliveries = with_timeout(join_all(runs)).await;
    let mut tasks = Vec::new();
    for (job, delivery) in jobs.iter().zip(deliveries) {
        let delivery = delivery.unwrap();
        assert_eq!(delivery, alone(&model, job), "job {}", job.job);
        tasks.push((job, delivery));
    }
    let replays = tasks.iter().map(|(job, delivery)| {
        let task = ReplayTask {
            assignment: (*job).clone(),
            tokens: evidence::decode(&delivery.evidence).unwrap(),
            seed: H256::repeat_byte(9),
        };
        executor.replay(task, Cancel::default())
    });
    for ((_, delivery), replayed) in tasks.iter().zip(with_timeout(join_all(replays)).await) {
        let expected = TrueResult {
            input_units: delivery.claim.usage.input,
            output: delivery.output.clone(),
            fault: delivery.claim.fault,
            trace: delivery.claim.trace,
        };
        assert_eq!(replayed.unwrap().outcome, ReplayOutcome::Matches(expected));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_is_found_and_a_job_without_result_is_named() {
    let executor = executor(&[1]);
    let made = executor.execute(job(5), Cancel::default()).await.unwrap();
    let mut tokens = evidence::decode(&made.evidence).unwrap();
    tokens[2] ^= 1;
    let mut task = ReplayTask {
        assignment: job(5),
        tokens,
        seed: H256::repeat_byte(9),
    };
    let replayed = executor.replay(task.clone(), Cancel::default()).await;
    assert_eq!(
        replayed.unwrap().outcome,
        ReplayOutcome::Differs { index: 2 }
    );
    let nothing = AuditDigest::new(&task.seed).finish();
    let edits: [fn(&mut Assignment); 4] = [
        |job| job.input = vec![0xff],
        |job| job.max_output_units = 0,
        |job| job.max_output_units = 300,
        |job| job.options.top_k = 65,
    ];
    for edit in edits {
        task.assignment = job(5);
        edit(&mut task.assignment);
        let replayed = executor.replay(task.clone(), Cancel::default()).await;
        let replayed = replayed.unwrap();
        let found = &replayed.outcome;
        assert!(
            matches!(found, ReplayOutcome::Impossible { .. }),
            "{found:?}"
        );
        assert_eq!(replayed.digest, nothing);
        let estimate = executor.estimate(&task.assignment).await;
        assert!(matches!(estimate, Err(ExecutionError::Refused(_))));
        let run = executor.execute(task.assignment.clone(), Cancel::default());
        assert!(matches!(run.await, Err(ExecutionError::Refused(_))));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_and_dropped_jobs_leave_the_others_and_the_backlog_alone() {
    let executor = executor(&[1]);
    let model = Model::load(&folder()).unwrap();
    let idle = executor.estimate(&job(3)).await.unwrap();
    for round in 0..5 {
        let cancels: Vec<Cancel> = (0..30).map(|_| Cancel::default()).collect();
        let runs = cancels
            .iter()
            .zip(0..)
            .map(|(cancel, number)| executor.execute(long(number), cancel.clone()));
        let stop = async {
            tokio::time::sleep(Duration::from_millis(10 * round)).await;
            cancels.iter().step_by(2).for_each(Cancel::cancel);
        };
        let dropped = tokio::time::timeout(
            Duration::from_millis(5),
            executor.execute(long(40), Cancel::default()),
        );
        let (ended, (), _) =
            with_timeout(async { tokio::join!(join_all(runs), stop, dropped) }).await;
        for (number, ended) in ended.into_iter().enumerate() {
            match ended {
                Ok(made) => assert_eq!(made, alone(&model, &long(number as u64))),
                Err(error) => {
                    assert_eq!(error, ExecutionError::Cancelled);
                    assert_eq!(number % 2, 0, "nobody cancelled it");
                }
            }
        }
    }
    // Nothing is left over: the pace may have changed, the queue is empty.
    let after = executor.estimate(&job(3)).await.unwrap();
    assert!(
        after < 20 * idle + Duration::from_secs(1),
        "{after:?}, {idle:?}"
    );
    // One that is cancelled before it starts does not start.
    let cancel = Cancel::default();
    cancel.cancel();
    let never = executor.execute(long(1), cancel.clone()).await;
    assert_eq!(never, Err(ExecutionError::Cancelled));
}

#[tokio::test(flavor = "multi_thread")]
async fn several_models_share_the_machine() {
    let executor = executor(&[1, 2]);
    let model = Model::load(&folder()).unwrap();
    assert!(executor.serves(ModelId::repeat_byte(2)) && !executor.serves(ModelId::zero()));
    let jobs: Vec<Assignment> = (0..40)
        .map(|number| Assignment {
            model: ModelId::repeat_byte(1 + (number % 2) as u8),
            ..job(number)
        })
        .collect();
    let runs = jobs
        .iter()
        .map(|job| executor.execute(job.clone(), Cancel::default()));
    for (job, made) in jobs.iter().zip(with_timeout(join_all(runs)).await) {
        // The trace names the model.
        assert_eq!(made.unwrap(), alone(&model, job));
    }
    let mut unknown = job(1);
    unknown.model = ModelId::zero();
    let refused = executor.execute(unknown, Cancel::default()).await;
    assert!(matches!(refused, Err(ExecutionError::Refused(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_does_not_wait_for_jobs_and_the_estimate_counts_them() {
    let executor = std::sync::Arc::new(executor(&[1]));
    let made = executor.execute(job(6), Cancel::default()).await.unwrap();
    let idle = executor.estimate(&long(0)).await.unwrap();
    let runs: Vec<_> = (0..150)
        .map(|number| {
            let executor = executor.clone();
            tokio::spawn(async move { executor.execute(long(number), Cancel::default()).await })
        })
        .collect();
    // As soon as the jobs have arrived, which takes longer on a busy machine.
    with_timeout(async {
        while executor.estimate(&long(0)).await.unwrap() <= 3 * idle {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let start = Instant::now();
    let task = ReplayTask {
        assignment: job(6),
        tokens: evidence::decode(&made.evidence).unwrap(),
        seed: H256::zero(),
    };
    let replayed = with_timeout(executor.replay(task, Cancel::default())).await;
    assert!(matches!(
        replayed.unwrap().outcome,
        ReplayOutcome::Matches(_)
    ));
    let audit = start.elapsed();
    for run in runs {
        with_timeout(run).await.unwrap().unwrap();
    }
    let all = start.elapsed();
    assert!(audit < all / 3, "audit {audit:?}, jobs {all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn input_of_another_format_is_no_other_job() {
    let executor = executor(&[1]);
    let mut raw = job(2);
    raw.options.format = InputFormat::Raw;
    let made = executor.execute(raw.clone(), Cancel::default()).await;
    let model = Model::load(&folder()).unwrap();
    assert_eq!(made.unwrap(), alone(&model, &raw));
    // The model has no chat template, so a list of messages gives no prompt.
    raw.options.format = InputFormat::Messages;
    let request = translate::request(&raw, &[], 256).unwrap();
    let refused = model.generate(&request, &mut |_| ControlFlow::Continue(()));
    assert!(matches!(refused, Err(GenerateError::Prompt(_))));
    let refused = executor.execute(raw, Cancel::default()).await;
    assert!(matches!(refused, Err(ExecutionError::Refused(_))));
}

#[test]
fn a_folder_without_a_model_is_refused_with_the_way_out() {
    let empty = tempfile::tempdir().unwrap();
    let mut wanted = shipped(1);
    wanted.dir = empty.path().into();
    let error = EngineExecutor::load(vec![wanted]).err().unwrap();
    assert_eq!(error.kind(), Kind::Model);
    let text = error.to_string();
    assert!(text.contains(&*empty.path().to_string_lossy()) && text.contains("To fix it"));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_a_cancel_hears_of_it() {
    let cancel = Cancel::default();
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let cancel = cancel.clone();
            tokio::spawn(async move { cancel.cancelled().await })
        })
        .collect();
    tokio::task::yield_now().await;
    cancel.cancel();
    for waiting in waiting {
        with_timeout(waiting).await.unwrap();
    }
    cancel.cancelled().await;
    assert!(cancel.is_cancelled());
}
