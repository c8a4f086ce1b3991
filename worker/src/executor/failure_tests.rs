//! Devices that fail in the middle of their work, with the shipped model: what becomes of the jobs,
//! and of the worker. The device is the CUDA kernels on a CPU; the way of its error is a card's.

use super::{
    backlog::Cost,
    failing_device::FailingDevice,
    load::{on_device, on_processor},
    tests::{alone, folder, job, shipped, with_timeout},
    *,
};
use crate::{
    audits::{Appeals, Desk, Disputes},
    error::Kind,
    job_loop::{
        fake_market::{FakeMarket, GENESIS, ME, MODEL},
        Pace, Worker,
    },
    journal::{Journal, Owner, Stage},
    metrics::Meters,
    pause::Pause,
    shutdown, supervise,
};
use futures::future::join_all;
use genesisflow_engine::{devices::Place, Model};
use genesisflow_primitives::{evidence, H256};

/// The models on a device that fails when it is told to and, if `and_another`, on the processor.
/// Everything goes to the first one while that works.
fn executor(models: &[ModelToLoad], and_another: bool) -> (EngineExecutor, Arc<FailingDevice>) {
    let device = FailingDevice::new();
    let opened = device.clone();
    let place = Place::opened_by(move || Ok(opened.clone()));
    let fleet = Fleet::default();
    // It promises to be done at once, and is not run before: the stand-in is slow.
    let mut loaded = on_device(models, &place, &fleet, Some(Cost::default())).unwrap();
    if and_another {
        loaded.extend(on_processor(models, &fleet).unwrap());
    }
    (EngineExecutor::of(loaded, fleet), device)
}

/// Jobs and replays run, others wait, when their device fails. They begin anew on the other, and
/// nobody can tell from the results.
#[tokio::test(flavor = "multi_thread")]
async fn one_device_of_two_fails_and_its_jobs_and_replays_end_on_the_other() {
    let (executor, device) = executor(&[shipped(1)], true);
    let model = Model::load(&folder()).unwrap();
    let jobs: Vec<Assignment> = (0..5).map(job).collect();
    let expected: Vec<_> = jobs.iter().map(|job| alone(&model, job)).collect();
    let runs = jobs
        .iter()
        .map(|job| executor.execute(job.clone(), Cancel::default()));
    let replays = jobs.iter().zip(&expected).map(|(job, made)| {
        let task = ReplayTask {
            assignment: job.clone(),
            tokens: evidence::decode(&made.evidence).unwrap(),
            seed: H256::repeat_byte(9),
        };
        executor.replay(task, Cancel::default())
    });
    device.fail_after(40);
    let (runs, replays) =
        with_timeout(async { tokio::join!(join_all(runs), join_all(replays)) }).await;
    for ((made, expected), replayed) in runs.into_iter().zip(&expected).zip(replays) {
        assert_eq!(&made.unwrap(), expected);
        let outcome = replayed.unwrap().outcome;
        assert!(matches!(outcome, ReplayOutcome::Matches(_)), "{outcome:?}");
    }
    let states = executor.fleet().states();
    let why = states[0].failure.as_ref().expect("it was used, and failed");
    assert!(why.contains("fell off the bus"), "{why}");
    assert_eq!(states[1].failure, None);
    assert!(executor.fleet().none_left().is_none());
    // And nothing goes to the failed one any more.
    assert!(executor.serves(ModelId::repeat_byte(1)));
    assert!(executor.estimate(&jobs[0]).await.is_ok());
    let again = executor.execute(jobs[0].clone(), Cancel::default()).await;
    assert_eq!(again.unwrap(), expected[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_without_time_for_another_device_is_not_begun_there() {
    let (executor, device) = executor(&[shipped(1)], true);
    device.fail_after(1);
    let due = Cancel::due(Instant::now());
    assert_eq!(due.left(), Some(Duration::ZERO));
    let ended = with_timeout(executor.execute(job(1), due)).await;
    assert_eq!(ended, Err(ExecutionError::Cancelled));
    assert!(executor.fleet().states()[0].failure.is_some());
    // With time enough it is.
    let due = Cancel::due(Instant::now() + Duration::from_secs(600));
    let made = with_timeout(executor.execute(job(1), due)).await;
    let model = Model::load(&folder()).unwrap();
    assert_eq!(made.unwrap(), alone(&model, &job(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_device_fails_and_no_job_is_taken_any_more() {
    let (executor, device) = executor(&[shipped(1)], false);
    device.fail_after(60);
    let runs = (0..8).map(|number| executor.execute(job(number), Cancel::default()));
    for ended in with_timeout(join_all(runs)).await {
        assert!(
            matches!(ended, Err(ExecutionError::Refused(_))),
            "{ended:?}"
        );
    }
    assert!(!executor.serves(ModelId::repeat_byte(1)));
    assert!(executor.estimate(&job(1)).await.is_err());
    let error = with_timeout(executor.fleet().lost()).await;
    assert_eq!(error.kind(), Kind::Device);
    assert!(error.to_string().contains("fell off the bus"), "{error}");
}

/// The whole worker: it ends with an error, its journal has the claimed job, and the next start
/// delivers it.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_only_device_fails_ends_and_the_next_start_delivers() {
    let dir = tempfile::tempdir().unwrap();
    let owner = Owner {
        genesis: GENESIS.0,
        account: ME,
    };
    let market = FakeMarket::new();
    market.submit_job(7, 100_000);
    let mut models = [shipped(1)];
    models[0].id = MODEL;
    for is_first in [true, false] {
        let executor = if is_first {
            let (executor, device) = executor(&models, false);
            device.fail_after(20);
            executor
        } else {
            let fleet = Fleet::default();
            EngineExecutor::of(on_processor(&models, &fleet).unwrap(), fleet)
        };
        let fleet = executor.fleet().clone();
        let worker = Worker {
            market: market.clone(),
            executor,
            journal: Journal::open(dir.path(), owner).unwrap(),
            pace: Pace {
                poll: Duration::from_millis(1),
                ..Pace::default()
            },
            pause: Pause::default(),
            audits: Desk::default(),
            meters: Meters::default(),
        };
        let (trigger, stop) = shutdown::channel();
        let work = supervise::work(
            worker,
            vec![MODEL],
            Appeals::default(),
            Disputes::default(),
            stop,
        );
        let lost = fleet.lost();
        let grace = Duration::from_secs(60);
        let ended = supervise::while_devices_last(work, lost, &trigger, grace);
        if is_first {
            let error = with_timeout(ended).await.unwrap_err();
            assert_eq!(error.kind(), Kind::Device, "{error}");
            assert!(market.chain().delivered.is_empty());
            let journal = Journal::open(dir.path(), owner).unwrap();
            let record = journal.get(7).unwrap().expect("the job is in the journal");
            assert_eq!(record.stage, Stage::Claimed);
        } else {
            let delivered = async {
                while market.chain().delivered.is_empty() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                trigger.advance(shutdown::Phase::Draining);
            };
            let (ended, ()) = with_timeout(async { tokio::join!(ended, delivered) }).await;
            ended.unwrap();
            assert_eq!(market.chain().delivered[&7].len(), 1);
        }
    }
}
