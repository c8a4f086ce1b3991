//! Fuzzing of the whole runtime: blocks of arbitrary transactions on the development chain.
//!
//! The same stories are told in every run. `FUZZ_SECONDS=600` tells new ones for that long, from
//! the seed `FUZZ_SEED` on or from one that is drawn and printed. A failure prints how to play it
//! again: the seed of its story, and the story cut down to the blocks that matter, as `FUZZ_STORY`.
//! `docs/testing.md` has examples.

use crate::{
    coverage::Coverage,
    dice::{mixed, Dice},
    story,
};
use frame_support::traits::GetCallName;
use genesisflow_runtime::Runtime;
use std::{
    cell::RefCell,
    panic::{catch_unwind, set_hook, take_hook, AssertUnwindSafe},
    sync::{
        atomic::{AtomicBool, AtomicU64, Ordering},
        Mutex,
    },
    time::{Duration, Instant, SystemTime},
};

/// Stories of an ordinary run.
const STORIES: u64 = 45;
/// How long a failing story may be cut down.
const SHRINKING: Duration = Duration::from_secs(60);
/// Prefix of the names of threads that tell stories.
const TELLER: &str = "story";

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    match text.parse() {
        Ok(number) => Some(number),
        Err(_) => panic!("{name}={text} is not a number"),
    }
}

thread_local! {
    /// The last panic of a story on this thread, with its place.
    static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// From now on panics of stories are kept instead of printed: cutting one down makes many.
fn keep_panics() {
    let others = take_hook();
    set_hook(Box::new(move |panic| {
        let thread = std::thread::current();
        if thread.name().is_some_and(|name| name.starts_with(TELLER)) {
            LAST_PANIC.set(panic.to_string());
        } else {
            others(panic);
        }
    }));
}

/// The steps of a seed's story.
fn story_of(seed: u64) -> Vec<u64> {
    let mut dice = Dice::new(mixed(&[seed]));
    (0..60 + dice.below(80)).map(|_| dice.next()).collect()
}

/// What went wrong, if something did.
fn play(steps: &[u64], coverage: &RefCell<Coverage>) -> Result<(), String> {
    let told = catch_unwind(AssertUnwindSafe(|| story::play(steps, coverage, false)));
    told.map_err(|_| LAST_PANIC.take())
}

/// Leaves out of a failing story what it fails without: parts of it, and ever smaller ones.
fn cut_down(mut steps: Vec<u64>) -> Vec<u64> {
    let end = Instant::now() + SHRINKING;
    let unused = RefCell::default();
    let mut part = steps.len().div_ceil(2);
    while part > 0 {
        let mut from = steps.len();
        while from > 0 && Instant::now() < end {
            let until = from;
            from = from.saturating_sub(part);
            let mut fewer = steps.clone();
            fewer.drain(from..until);
            if play(&fewer, &unused).is_err() {
                steps = fewer;
            }
        }
        part /= 2;
    }
    steps
}

/// Plays the story of a seed. If it fails: how, and how to see it again.
fn tell(seed: u64, coverage: &RefCell<Coverage>) -> Result<(), String> {
    let steps = story_of(seed);
    play(&steps, coverage).map_err(|panic| {
        let steps = cut_down(steps);
        let last = play(&steps, &RefCell::default()).err();
        let steps: Vec<_> = steps.iter().map(u64::to_string).collect();
        format!(
            "the story of seed {seed} fails: {panic}\n\
             all of it: FUZZ_SEED={seed} FUZZ_STORIES=1\n\
             cut down to {} blocks, it fails with: {}\nFUZZ_STORY={}",
            steps.len(),
            last.unwrap_or_default(),
            steps.join(",")
        )
    })
}

/// Tells the stories of many seeds on all processors, as long as `goes_on` says so for the next.
fn tell_all(first: u64, goes_on: impl Fn(u64) -> bool + Sync) -> (u64, Coverage) {
    keep_panics();
    let next = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    let failure = Mutex::new(None);
    let total = Mutex::new(Coverage::default());
    let tellers = std::thread::available_parallelism().map_or(1, |number| number.get());
    std::thread::scope(|scope| {
        for teller in 0..tellers {
            let (next, stop, failure, total) = (&next, &stop, &failure, &total);
            let goes_on = &goes_on;
            let thread = std::thread::Builder::new().name(format!("{TELLER} {teller}"));
            let spawned = thread.spawn_scoped(scope, move || {
                let coverage = RefCell::new(Coverage::default());
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if stop.load(Ordering::Relaxed) || !goes_on(index) {
                        break;
                    }
                    if let Err(error) = tell(first.wrapping_add(index), &coverage) {
                        stop.store(true, Ordering::Relaxed);
                        if let Ok(mut failure) = failure.lock() {
                            failure.get_or_insert(error);
                        }
                    }
                }
                if let Ok(mut total) = total.lock() {
                    total.add(coverage.into_inner());
                }
            });
            spawned.expect("the system has threads");
        }
    });
    if let Some(failure) = failure.into_inner().expect("no teller panicked") {
        panic!("{failure}");
    }
    let told = next.into_inner().saturating_sub(tellers as u64);
    (told, total.into_inner().expect("no teller panicked"))
}

#[test]
fn the_runtime_keeps_its_promises_whatever_is_sent_to_it() {
    if let Ok(steps) = std::env::var("FUZZ_STORY") {
        let steps: Vec<u64> = steps
            .split(',')
            .map(|step| match step.trim().parse() {
                Ok(step) => step,
                Err(_) => panic!("FUZZ_STORY: {step} is not a number"),
            })
            .collect();
        return story::play(&steps, &RefCell::default(), true);
    }
    let started = Instant::now();
    let (told, coverage) = match setting("FUZZ_SECONDS") {
        Some(seconds) => {
            let drawn = || {
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                now.map_or(0, |now| now.as_secs() << 20)
            };
            let first = setting("FUZZ_SEED").unwrap_or_else(drawn);
            println!("stories from FUZZ_SEED={first} on, for {seconds} seconds");
            let end = started + Duration::from_secs(seconds);
            tell_all(first, |_| Instant::now() < end)
        }
        None => {
            let stories = setting("FUZZ_STORIES").unwrap_or(STORIES);
            tell_all(setting("FUZZ_SEED").unwrap_or(0), |index| index < stories)
        }
    };
    println!("{told} stories in {:?}: {coverage}", started.elapsed());
    if setting("FUZZ_SEED").is_none() && told >= STORIES {
        check_coverage(&coverage);
    }
}

/// Calls of the market that must have succeeded as transactions of their own, and how often.
const CALLS: [(&str, u64); 24] = [
    ("register_model", 10),
    ("retire_model", 20),
    ("register_worker", 20),
    ("bond_more", 40),
    ("set_endpoint", 40),
    ("chill", 5),
    ("activate", 40),
    ("unbond", 20),
    ("withdraw_unbonded", 2),
    ("set_offer", 100),
    ("remove_offer", 20),
    ("submit_job", 300),
    ("submit_job_with", 200),
    ("claim_job", 300),
    ("deliver", 200),
    ("accept_result", 50),
    ("cancel_job", 50),
    ("progress_job", 200),
    ("set_parameters", 50),
    ("dispute_result", 20),
    ("commit_ballot", 500),
    ("reveal_ballot", 400),
    ("appeal_verdict", 40),
    ("cancel_slash", 10),
];

/// Events of the market that must have been seen five times at least: every way of a job and every
/// end of an audit.
const EVENTS: [&str; 38] = [
    "ModelRegistered",
    "ModelRetired",
    "ModelDropped",
    "WorkerRegistered",
    "StakeAdded",
    "EndpointSet",
    "WorkerChilled",
    "WorkerActivated",
    "Unbonding",
    "StakeWithdrawn",
    "WorkerRemoved",
    "OfferSet",
    "OfferRemoved",
    "JobSubmitted",
    "JobClaimed",
    "ResultDelivered",
    "JobSettled",
    "ResultAccepted",
    "AuditMissed",
    "AuditBegun",
    "SeatsDrawn",
    "BallotCommitted",
    "RevealBegun",
    "BallotRevealed",
    "RoundEnded",
    "AuditDecided",
    "ResultDisputed",
    "VerdictAppealed",
    "JobRejected",
    "BondReturned",
    "BondLost",
    "AuditorPaid",
    "SlashScheduled",
    "SlashCancelled",
    "Slashed",
    "JobLate",
    "JobReopened",
    "JobExpired",
];

/// All states of a job.
const STATES: [&str; 11] = [
    "Open",
    "Claimed",
    "Delivered",
    "Audit",
    "Decided",
    "Review",
    "Slashing",
    "Settled",
    "Rejected",
    "Cancelled",
    "Expired",
];

/// Calls of other pallets that must have succeeded: what carries calls, moves money, or burns it.
const OTHERS: [&str; 11] = [
    "Balances::burn",
    "Balances::transfer_all",
    "Balances::transfer_allow_death",
    "Proxy::add_proxy",
    "Proxy::proxy",
    "Sudo::sudo_as",
    "Utility::as_derivative",
    "Utility::batch",
    "Utility::batch_all",
    "Utility::force_batch",
    "Utility::if_else",
];

/// A harness that does nothing fails.
fn check_coverage(coverage: &Coverage) {
    let least = |what: &str, reached: u64, wanted: u64| {
        assert!(
            reached >= wanted,
            "{what}: {reached}, which is below {wanted}; {coverage}"
        );
    };
    let calls = pallet_inference::Call::<Runtime>::get_call_names();
    assert!(
        calls
            .iter()
            .all(|call| CALLS.iter().any(|(name, _)| name == call)),
        "add the market's new calls to CALLS: {calls:?}"
    );
    let times = |counts: &std::collections::BTreeMap<String, u64>, name: &str| {
        counts.get(name).copied().unwrap_or_default()
    };
    for (name, wanted) in CALLS {
        let name = format!("Inference::{name}");
        least(&name, times(&coverage.succeeded, &name), wanted);
    }
    for name in EVENTS {
        least(name, times(&coverage.events, name), 5);
    }
    for name in STATES {
        least(name, times(&coverage.states, name), 50);
    }
    for name in OTHERS {
        least(name, times(&coverage.succeeded, name), 3);
    }
    least("blocks executed again", coverage.imported, 100);
    least("full blocks", coverage.full, 20);
    least("mutated calls", coverage.mutated, 20);
    least("refused transactions", coverage.refused, 1_000);
    least(
        "calls that decode, in percent",
        coverage.decoded * 100 / coverage.written.max(1),
        75,
    );
}
