//! What this process has measured of its own work.
//!
//! These counters begin at 0 with every start, as Prometheus expects of
//! counters; what must outlast a restart is read from the chain instead.
//! `docs/metrics.md` lists them all.

use crate::{
    amount::GEN,
    error::Kind,
    executor::Fleet,
    journal::{CaseEnd, Outcome},
};
use genesisflow_primitives::{Balance, Usage};
use prometheus::{
    core::Collector, Counter, CounterVec, Encoder, Histogram, HistogramOpts, HistogramVec,
    IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

/// Prefix of every name.
pub(super) const PREFIX: &str = "genesisflow_worker";

/// Seconds from a few milliseconds to the length of a deadline.
const SECONDS: [f64; 16] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0,
];

/// A call of the market whose way into a finalised block is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Claiming a job.
    Claim,
    /// Delivering a result.
    Deliver,
    /// Committing to a ballot.
    Commit,
    /// Revealing it.
    Reveal,
    /// Appealing against a verdict.
    Appeal,
    /// Disputing a result.
    Dispute,
    /// Moving on what is overdue.
    Progress,
}

impl Call {
    const ALL: [Self; 7] = [
        Self::Claim,
        Self::Deliver,
        Self::Commit,
        Self::Reveal,
        Self::Appeal,
        Self::Dispute,
        Self::Progress,
    ];

    /// The label's value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::Deliver => "deliver",
            Self::Commit => "commit",
            Self::Reveal => "reveal",
            Self::Appeal => "appeal",
            Self::Dispute => "dispute",
            Self::Progress => "progress",
        }
    }
}

/// Something that went wrong, as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The chain did not answer.
    Unreachable,
    /// The chain refused a transaction.
    Refused,
    /// A claimed job could not be computed here.
    Execution,
    /// A job could not be replayed for its audit.
    Replay,
    /// The journal could not be written or read.
    Journal,
    /// Anything else.
    Other,
}

impl Trouble {
    const ALL: [Self; 6] = [
        Self::Unreachable,
        Self::Refused,
        Self::Execution,
        Self::Replay,
        Self::Journal,
        Self::Other,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
            Self::Execution => "execution",
            Self::Replay => "replay",
            Self::Journal => "journal",
            Self::Other => "other",
        }
    }
}

impl From<Kind> for Trouble {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Journal => Self::Journal,
            Kind::Unreachable => Self::Unreachable,
            Kind::Transaction => Self::Refused,
            _ => Self::Other,
        }
    }
}

/// The instruments. Clones share them.
#[derive(Clone)]
pub struct Meters(Arc<Instruments>);

struct Instruments {
    registry: Registry,
    delivery: Histogram,
    computation: Histogram,
    replay: Histogram,
    finalization: HistogramVec,
    tokens: IntCounterVec,
    earned: Counter,
    paid: CounterVec,
    slashed: Counter,
    claimed: IntCounterVec,
    ended: IntCounterVec,
    computing: IntGauge,
    waiting: IntGauge,
    open: IntGauge,
    audits: IntCounterVec,
    cases: IntCounterVec,
    errors: IntCounterVec,
    device: IntGaugeVec,
    device_up: IntGaugeVec,
    /// The devices, once models are on them.
    fleet: OnceLock<Fleet>,
}

impl std::fmt::Debug for Meters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Meters").finish_non_exhaustive()
    }
}

impl Default for Meters {
    /// Fresh instruments, all at 0.
    fn default() -> Self {
        Self(Arc::new(Instruments::new()))
    }
}

impl Instruments {
    fn new() -> Self {
        let registry = Registry::new();
        let counters = |name, help, label, values: &[&str]| {
            let made = IntCounterVec::new(opts(name, help), &[label]);
            let made = shown(&registry, made);
            for value in values {
                made.with_label_values(&[value]);
            }
            made
        };
        let histogram = |name, help| {
            let opts = HistogramOpts::new(name, help)
                .namespace(PREFIX)
                .buckets(SECONDS.to_vec());
            shown(&registry, Histogram::with_opts(opts))
        };
        let gauge = |name, help| shown(&registry, IntGauge::with_opts(opts(name, help)));
        let counter = |name, help| shown(&registry, Counter::with_opts(opts(name, help)));
        let paid = CounterVec::new(
            opts("paid_gen_total", "Money lost, in GEN: shares of late jobs, bonds of appeals and disputes that failed."),
            &["for"],
        );
        let paid = shown(&registry, paid);
        for what in ["late", "bond"] {
            paid.with_label_values(&[what]);
        }
        let finalization = HistogramVec::new(
            HistogramOpts::new(
                "transaction_finalization_seconds",
                "Time from signing a transaction to its finalised block.",
            )
            .namespace(PREFIX)
            .buckets(SECONDS.to_vec()),
            &["call"],
        );
        let finalization = shown(&registry, finalization);
        for call in Call::ALL {
            finalization.with_label_values(&[call.name()]);
        }
        let device = IntGaugeVec::new(
            opts("device_info", "What computes: always 1."),
            &["backend", "kernel", "threads"],
        );
        let device_up = IntGaugeVec::new(
            opts("device_up", "1 if the device computes, 0 if it failed."),
            &["device"],
        );
        Self {
            delivery: histogram(
                "job_delivery_seconds",
                "Time from signing a claim to the finalised delivery.",
            ),
            computation: histogram(
                "job_computation_seconds",
                "Time that a job's result took, waiting for a place in the batch included.",
            ),
            replay: histogram(
                "audit_replay_seconds",
                "Time that a replay for an audit or a dispute took.",
            ),
            finalization,
            tokens: counters(
                "tokens_total",
                "Tokens of computed jobs.",
                "direction",
                &["input", "output"],
            ),
            earned: counter(
                "earned_gen_total",
                "Fees of this worker's results that were paid, after the chain's share and the premium, in GEN.",
            ),
            paid,
            slashed: counter("slashed_gen_total", "Stake that verdicts cost, in GEN."),
            claimed: counters(
                "claims_total",
                "Claims that were sent, by what became of them.",
                "outcome",
                &["won", "refused", "unknown"],
            ),
            ended: counters(
                "jobs_ended_total",
                "Jobs that this worker is done with.",
                "outcome",
                &["delivered", "not_claimed", "late", "pruned"],
            ),
            computing: gauge("jobs_computing", "Jobs that are being computed."),
            waiting: gauge(
                "jobs_waiting",
                "Jobs in hand that are not being computed: about to be claimed, or delivered.",
            ),
            open: gauge(
                "market_open_jobs",
                "Open jobs on the models served, when claims were last decided on.",
            ),
            audits: counters(
                "audits_total",
                "Results replayed for audits, by what was found.",
                "finding",
                &["right", "wrong"],
            ),
            cases: counters(
                "audit_cases_ended_total",
                "Audits and disputes that are over, by how they ended for this worker.",
                "end",
                &CASE_ENDS.map(case_end),
            ),
            errors: counters(
                "errors_total",
                "What went wrong, by kind.",
                "kind",
                &Trouble::ALL.map(Trouble::name),
            ),
            device: shown(&registry, device),
            device_up: shown(&registry, device_up),
            fleet: OnceLock::new(),
            registry,
        }
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace(PREFIX)
}

/// Registers an instrument. All names and labels are constants of this file, so
/// neither this nor making it can fail.
fn shown<C: Collector + Clone + 'static>(registry: &Registry, made: prometheus::Result<C>) -> C {
    let made = made.expect("a valid name");
    registry
        .register(Box::new(made.clone()))
        .expect("a name of its own");
    made
}

const CASE_ENDS: [CaseEnd; 8] = [
    CaseEnd::Paid,
    CaseEnd::Rejected,
    CaseEnd::Upheld,
    CaseEnd::Overruled,
    CaseEnd::Undecided,
    CaseEnd::Silent,
    CaseEnd::Pruned,
    CaseEnd::NotDisputed,
];

fn case_end(end: CaseEnd) -> &'static str {
    match end {
        CaseEnd::Paid => "paid",
        CaseEnd::Rejected => "rejected",
        CaseEnd::Upheld => "upheld",
        CaseEnd::Overruled => "overruled",
        CaseEnd::Undecided => "undecided",
        CaseEnd::Silent => "silent",
        CaseEnd::Pruned => "pruned",
        CaseEnd::NotDisputed => "not_disputed",
    }
}

fn gen(amount: Balance) -> f64 {
    amount as f64 / GEN as f64
}

/// Lowers a gauge when it goes.
#[derive(Debug)]
pub struct Counted(IntGauge);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Meters {
    /// A claim was sent; whether it was won, if that is known.
    pub fn claimed(&self, won: Option<bool>) {
        let outcome = match won {
            Some(true) => "won",
            Some(false) => "refused",
            None => "unknown",
        };
        self.0.claimed.with_label_values(&[outcome]).inc();
    }

    /// A job is over for this worker.
    pub fn job_ended(&self, outcome: Outcome) {
        let outcome = match outcome {
            Outcome::Delivered => "delivered",
            Outcome::NotClaimed => "not_claimed",
            Outcome::Late => "late",
            Outcome::Pruned => "pruned",
        };
        self.0.ended.with_label_values(&[outcome]).inc();
    }

    /// A job is being computed for as long as the returned value lives.
    pub fn computing(&self) -> Counted {
        self.0.computing.inc();
        Counted(self.0.computing.clone())
    }

    /// A result is there, after `took`.
    pub fn computed(&self, usage: Usage, took: Duration) {
        let tokens = &self.0.tokens;
        tokens
            .with_label_values(&["input"])
            .inc_by(usage.input.into());
        tokens
            .with_label_values(&["output"])
            .inc_by(usage.output.into());
        self.0.computation.observe(took.as_secs_f64());
    }

    /// A delivery is finalised, `since` its claim was signed.
    pub fn delivered(&self, since: Duration) {
        self.0.delivery.observe(since.as_secs_f64());
    }

    /// A transaction is in a finalised block, `since` it was signed.
    pub fn finalized(&self, call: Call, since: Duration) {
        let calls = &self.0.finalization;
        calls
            .with_label_values(&[call.name()])
            .observe(since.as_secs_f64());
    }

    /// A result of this worker was paid that much.
    pub fn earned(&self, amount: Balance) {
        self.0.earned.inc_by(gen(amount));
    }

    /// A job was late, which cost that much.
    pub fn paid_for_late(&self, amount: Balance) {
        self.0.paid.with_label_values(&["late"]).inc_by(gen(amount));
    }

    /// A bond was lost.
    pub fn lost_bond(&self, amount: Balance) {
        self.0.paid.with_label_values(&["bond"]).inc_by(gen(amount));
    }

    /// A verdict costs that much stake.
    pub fn slashed(&self, amount: Balance) {
        self.0.slashed.inc_by(gen(amount));
    }

    /// How many jobs are in hand and not being computed.
    pub fn in_hand(&self, jobs: usize) {
        let jobs = i64::try_from(jobs).unwrap_or(i64::MAX);
        let waiting = jobs.saturating_sub(self.0.computing.get());
        self.0.waiting.set(waiting.max(0));
    }

    /// How many jobs are open on the models served.
    pub fn open(&self, jobs: usize) {
        self.0.open.set(i64::try_from(jobs).unwrap_or(i64::MAX));
    }

    /// A result was replayed.
    pub fn replayed(&self, took: Duration) {
        self.0.replay.observe(took.as_secs_f64());
    }

    /// A result was audited, and found right or not.
    pub fn audited(&self, right: bool) {
        let finding = if right { "right" } else { "wrong" };
        self.0.audits.with_label_values(&[finding]).inc();
    }

    /// A case is over.
    pub fn case_ended(&self, end: CaseEnd) {
        self.0.cases.with_label_values(&[case_end(end)]).inc();
    }

    /// Something went wrong.
    pub fn trouble(&self, trouble: Trouble) {
        self.0.errors.with_label_values(&[trouble.name()]).inc();
    }

    /// What computes.
    pub fn device(&self, backend: &str, kernel: &str, threads: usize) {
        let threads = threads.to_string();
        let device = &self.0.device;
        device
            .with_label_values(&[backend, kernel, &threads])
            .set(1);
    }

    /// The devices to tell of from now on.
    pub fn fleet(&self, fleet: Fleet) {
        // There is one in a process.
        let _ = self.0.fleet.set(fleet);
    }

    /// Why nothing can be computed, if all devices have failed.
    pub(super) fn no_device_left(&self) -> Option<String> {
        self.0.fleet.get()?.none_left()
    }

    /// Everything in Prometheus' text format.
    pub fn text(&self) -> String {
        for device in self.0.fleet.get().map(Fleet::states).unwrap_or_default() {
            let up = i64::from(device.failure.is_none());
            let gauge = &self.0.device_up;
            gauge.with_label_values(&[&device.name]).set(up);
        }
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.0.registry.gather(), &mut text) {
            tracing::debug!("cannot write the metrics: {error}");
        }
        String::from_utf8(text).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_measured_is_shown() {
        let meters = Meters::default();
        meters.claimed(Some(true));
        meters.job_ended(Outcome::Late);
        meters.paid_for_late(GEN / 2);
        let usage = Usage {
            input: 30,
            output: 7,
        };
        meters.computed(usage, Duration::from_millis(300));
        meters.finalized(Call::Deliver, Duration::from_secs(6));
        meters.case_ended(CaseEnd::Upheld);
        meters.trouble(Trouble::Refused);
        meters.device("cpu", "avx2", 2);
        let counted = meters.computing();
        meters.in_hand(3);
        let text = meters.text();
        for line in [
            "claims_total{outcome=\"won\"} 1",
            "jobs_ended_total{outcome=\"late\"} 1",
            "jobs_ended_total{outcome=\"delivered\"} 0",
            "paid_gen_total{for=\"late\"} 0.5",
            "tokens_total{direction=\"output\"} 7",
            "job_computation_seconds_bucket{le=\"0.5\"} 1",
            "job_computation_seconds_bucket{le=\"0.25\"} 0",
            "transaction_finalization_seconds_count{call=\"deliver\"} 1",
            "audit_cases_ended_total{end=\"upheld\"} 1",
            "errors_total{kind=\"refused\"} 1",
            "device_info{backend=\"cpu\",kernel=\"avx2\",threads=\"2\"} 1",
            "jobs_computing 1",
            "jobs_waiting 2",
        ] {
            let line = format!("{PREFIX}_{line}");
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
        drop(counted);
        assert!(meters.text().contains("jobs_computing 0"));
    }
}
