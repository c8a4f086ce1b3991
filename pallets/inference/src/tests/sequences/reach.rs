//! What the sequences have reached, and what they must reach to mean anything.

use super::action::Action;
use crate::{mock::*, Audits, Jobs};
use std::collections::BTreeMap;

/// What the sequences have reached: calls that succeeded, states, rounds and events, with counts.
#[derive(Default)]
pub(super) struct Reached(BTreeMap<String, u32>);

impl Reached {
    fn count(&mut self, what: String) {
        *self.0.entry(what).or_default() += 1;
    }

    fn times(&self, what: &str) -> u32 {
        self.0.get(what).copied().unwrap_or_default()
    }

    /// Notes what an action has done.
    pub(super) fn note(&mut self, action: &Action) {
        self.count(format!("call {}", name_of(action)));
        for event in System::read_events_for_pallet::<crate::Event<Test>>() {
            match event {
                crate::Event::RoundEnded { valid, .. } => self.count(format!("round {valid:?}")),
                crate::Event::AuditDecided { valid, .. } => self.count(format!("audit {valid:?}")),
                crate::Event::Slashed { amount: 0, .. } => self.count("slash of nothing".into()),
                other => self.count(format!("event {}", name_of(&other))),
            }
        }
        for (id, job) in Jobs::<Test>::iter() {
            let late = if job.barred.is_some() {
                " after lateness"
            } else {
                ""
            };
            self.count(format!("state {:?}{late}", job.state.status()));
            if let Some(audit) = Audits::<Test>::get(id) {
                if let Some((number, round)) = audit.last_round() {
                    let kind = round.kind;
                    let again = audit.rounds.iter().filter(|r| r.kind == kind).count() > 1;
                    let again = if again { " again" } else { "" };
                    self.count(format!("{kind:?}{again} {:?}", audit.phase));
                    self.count(format!("rounds {}", number + 1));
                }
            }
        }
    }
}

/// The name of a variant.
fn name_of(value: &impl core::fmt::Debug) -> String {
    let text = format!("{value:?}");
    let name = text.split([' ', '{', '(']).next().unwrap_or_default();
    name.trim_start_matches("Event::").to_owned()
}

/// Everything that can happen did, and not by a freak of chance.
pub(super) fn check_reach(reached: &Reached) {
    let least = |what: &str, least: u32| {
        let times = reached.times(what);
        assert!(
            times >= least,
            "{what}: {times} times only: {:#?}",
            reached.0
        );
    };
    let calls = reached.0.keys().filter(|what| what.starts_with("call "));
    assert_eq!(
        calls.clone().count(),
        31,
        "a call never succeeds: {:#?}",
        reached.0
    );
    calls.for_each(|call| least(call, 20));

    // Every state, on a job's first way and after a lateness.
    for state in [
        "Open",
        "Claimed",
        "Delivered",
        "Audit",
        "Decided",
        "Review",
        "Settled",
        "Cancelled",
        "Expired",
    ] {
        least(&format!("state {state}"), 500);
        least(&format!("state {state} after lateness"), 20);
    }
    least("state Slashing", 500);
    least("state Rejected", 200);

    // Every round and its redraw, in every phase; up to the longest audit.
    for kind in ["First", "Second", "Appeal"] {
        for phase in ["Drawing", "Commit", "Reveal", "Over"] {
            least(&format!("{kind} {phase}"), 200);
            least(&format!("{kind} again {phase}"), 10);
        }
    }
    for rounds in 1..=6 {
        least(&format!("rounds {rounds}"), 10);
    }
    for outcome in ["None", "Some(true)", "Some(false)"] {
        least(&format!("round {outcome}"), 100);
        least(&format!("audit {outcome}"), 100);
    }
    for event in [
        "AuditBegun",
        "AuditMissed",
        "AuditorPaid",
        "BondLost",
        "BondReturned",
        "JobLate",
        "JobRejected",
        "JobSettled",
        "ModelDropped",
        "RevealBegun",
        "SlashCancelled",
        "Slashed",
        "StakeWithdrawn",
        "WorkerChilled",
    ] {
        least(&format!("event {event}"), 30);
    }
    // Only where an account is below the existential deposit, and the amount is too.
    least("event PaymentDiverted", 10);
}
