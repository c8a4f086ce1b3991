//! What root can do about audits while they run, in whole blocks of the real chain.

use crate::{
    chain::{signed, Block, Chain, Gap, Signing},
    people::{person, root, Person, PEOPLE},
    story,
};
use genesisflow_primitives::{
    audit::{ballot_commitment, Ballot},
    content_hash, evidence,
    views::{AuditView, JobView, WorkerView},
    JobId, JobStatus, Parameters, ResultClaim, Usage, H256,
};
use genesisflow_runtime::{
    currency::{GEN, MILLIGEN},
    Balance, Balances, Inference, Runtime, RuntimeCall, RuntimeEvent, System,
};
use pallet_inference::{Call, Error, Event};
use sp_runtime::{ApplyExtrinsicResult, DispatchError, Permill};

const FEE: Balance = 50 * MILLIGEN;

fn requester() -> &'static Person {
    &PEOPLE[10]
}

fn worker() -> &'static Person {
    &PEOPLE[1]
}

/// A chain with a job on it.
struct Stage {
    chain: Chain,
    job: JobId,
}

impl Stage {
    fn block<R>(&mut self, fill: impl FnOnce(&mut Block) -> R) -> R {
        self.chain.block(Gap::default(), fill)
    }

    fn send(&mut self, who: &Person, call: RuntimeCall) -> ApplyExtrinsicResult {
        self.block(|block| block.apply(signed(who, call, Signing::default())))
    }

    fn must(&mut self, who: &Person, call: Call<Runtime>) {
        let call = RuntimeCall::Inference(call);
        assert_eq!(self.send(who, call.clone()), Ok(Ok(())), "{call:?}");
    }

    /// A call by root; what became of it inside.
    fn by_root(&mut self, call: RuntimeCall) -> Result<(), DispatchError> {
        let call = RuntimeCall::Sudo(pallet_sudo::Call::sudo {
            call: Box::new(call),
        });
        assert_eq!(self.send(root(), call), Ok(Ok(())));
        let outcome = self.chain.read(|| {
            let events = System::read_events_for_pallet::<pallet_sudo::Event<Runtime>>();
            events.into_iter().find_map(|event| match event {
                pallet_sudo::Event::Sudid { sudo_result } => Some(sudo_result),
                _ => None,
            })
        });
        outcome.expect("root's call was dispatched")
    }

    fn cancel_slash(&mut self, who: &Person) -> Result<(), DispatchError> {
        let job = self.job;
        let who = who.account.clone();
        self.by_root(RuntimeCall::Inference(Call::cancel_slash { job, who }))
    }

    fn set_parameters(
        &mut self,
        change: impl FnOnce(&mut Parameters),
    ) -> Result<(), DispatchError> {
        let mut parameters = self.chain.read(|| Inference::parameters().parameters);
        change(&mut parameters);
        self.by_root(RuntimeCall::Inference(Call::set_parameters { parameters }))
    }

    fn submit(&mut self) -> JobId {
        let job = self.chain.read(pallet_inference::NextJobId::<Runtime>::get);
        self.must(
            requester(),
            Call::submit_job {
                model: crate::market::manifest(0).id(),
                input: b"how do you do".to_vec(),
                max_output: 10,
                max_fee: FEE,
            },
        );
        job
    }

    fn view(&mut self) -> JobView<genesisflow_runtime::AccountId> {
        let job = self.job;
        self.chain
            .read(|| Inference::job(job))
            .expect("the job is kept")
    }

    fn audit(&mut self) -> AuditView<genesisflow_runtime::AccountId> {
        let job = self.job;
        self.chain
            .read(|| Inference::audit(job))
            .expect("the audit is kept")
    }

    fn worker(&mut self, who: &Person) -> WorkerView {
        self.chain
            .read(|| Inference::worker(who.account.clone()))
            .expect("it is a worker")
    }

    fn free(&mut self, who: &Person) -> Balance {
        self.chain.read(|| Balances::free_balance(&who.account))
    }

    fn run_until(&mut self, status: JobStatus) {
        for _ in 0..100 {
            if self.view().status == status {
                return;
            }
            self.block(|_| ());
        }
        panic!("the job is {:?}, not {status:?}", self.view().status);
    }

    /// Everybody who has a seat commits, and then reveals, that the result is valid or not.
    fn vote(&mut self, valid: impl Fn(&Person) -> Option<bool>) {
        let job = self.job;
        let audit = self.audit();
        let round = audit.rounds.last().expect("a round is drawn").clone();
        let seed = round.seed.expect("a round is drawn");
        let auditors = round.auditors.iter().filter(|auditor| !auditor.vacant);
        let auditors: Vec<_> = auditors
            .map(|auditor| person(&auditor.who).expect("workers are people"))
            .filter_map(|auditor| Some((auditor, valid(auditor)?)))
            .collect();
        let salt = H256::repeat_byte(5);
        let ballot = |valid| Ballot {
            digest: content_hash(seed.as_bytes()),
            valid,
        };
        for (auditor, valid) in &auditors {
            let genesis = self.chain.read(|| System::block_hash(0));
            let ballot = ballot(*valid);
            let commitment = ballot_commitment(
                &genesis,
                job,
                round.number,
                &auditor.account,
                &ballot,
                &salt,
            );
            self.must(auditor, Call::commit_ballot { job, commitment });
        }
        for (auditor, valid) in &auditors {
            let Ballot { digest, valid } = ballot(*valid);
            self.must(
                auditor,
                Call::reveal_ballot {
                    job,
                    digest,
                    valid,
                    salt,
                },
            );
        }
    }

    fn events(&mut self) -> Vec<Event<Runtime>> {
        self.chain.read(|| {
            let events = System::read_events_no_consensus();
            let market = events.filter_map(|event| match event.event {
                RuntimeEvent::Inference(event) => Some(event),
                _ => None,
            });
            market.collect()
        })
    }
}

/// A chain on which auditors look at a result. Nobody has committed yet.
fn under_audit() -> Stage {
    under_audit_after(0)
}

/// The same, begun so many blocks later, and so with other seats.
fn under_audit_after(blocks: usize) -> Stage {
    let mut stage = Stage {
        chain: story::beginning(),
        job: 0,
    };
    for _ in 0..blocks {
        stage.block(|_| ());
    }
    stage.job = stage.submit();
    let job = stage.job;
    stage.must(worker(), Call::claim_job { job });
    stage.must(
        worker(),
        Call::deliver {
            job,
            output: b"fine".to_vec(),
            evidence: evidence::encode(&[20]),
            claim: ResultClaim {
                usage: Usage {
                    input: 4,
                    output: 1,
                },
                fault: None,
                trace: H256::repeat_byte(3),
                engine_version: 1,
            },
        },
    );
    stage.run_until(JobStatus::Audit);
    stage
}

/// The same with seats of three accounts, one each, so that one of them can be outvoted.
fn under_three_auditors() -> Stage {
    let mut stages = (0..50).map(under_audit_after);
    let three = stages.find_map(|mut stage| {
        let auditors = stage.audit().rounds[0].auditors.len();
        (auditors == 3).then_some(stage)
    });
    three.expect("most draws give three accounts")
}

/// A chain on which a result was rejected, and its worker's slash waits.
fn slashing() -> Stage {
    let mut stage = under_audit();
    stage.vote(|_| Some(false));
    stage.run_until(JobStatus::Slashing);
    stage
}

/// The part of a job's exposure that a wrong seat costs: `set_parameters` must not change it.
fn fine_of(view: &JobView<genesisflow_runtime::AccountId>, share: Permill) -> Balance {
    let worst_case = view.worst_case_fee.expect("the job was claimed");
    share.mul_floor(worst_case * Balance::from(view.terms.exposure_factor))
}

#[test]
fn a_slash_is_executed_if_nobody_cancels_it() {
    let mut stage = slashing();
    let before = stage.worker(worker()).stake;
    let view = stage.view();
    let exposure = view.worst_case_fee.expect("claimed") * 50;
    stage.run_until(JobStatus::Rejected);
    assert_eq!(stage.worker(worker()).stake, before - exposure);
}

#[test]
fn root_cancels_the_slash_of_a_worker_and_the_rejection_stands() {
    let mut stage = slashing();
    let stake = stage.worker(worker()).stake;
    assert_eq!(stage.cancel_slash(worker()), Ok(()));
    assert!(stage
        .events()
        .iter()
        .any(|event| matches!(event, Event::SlashCancelled { .. })));
    let refunded = stage.free(requester());
    stage.run_until(JobStatus::Rejected);
    let after = stage.worker(worker());
    assert_eq!(after.stake, stake);
    assert_eq!(after.exposure, 0);
    assert_eq!(after.rejected, 1);
    // It does not count as a first offence.
    assert_eq!(after.last_rejection, None);
    // The requester has its escrow back, as before; the deposit for the bytes follows now.
    assert!(stage.free(requester()) >= refunded);
    assert_eq!(stage.view().escrow, 0);
}

#[test]
fn root_cancels_the_slash_of_an_auditor_alone() {
    let mut stage = under_three_auditors();
    let audit = stage.audit();
    let first = audit.rounds[0].auditors.first().expect("seats are drawn");
    let odd = person(&first.who).expect("workers are people");
    stage.vote(|auditor| Some(auditor.account == odd.account));
    stage.run_until(JobStatus::Slashing);
    let slashed: Vec<_> = stage.audit().slashes;
    let auditor = slashed
        .iter()
        .find(|slash| slash.who != worker().account)
        .expect("somebody was wrong");
    let auditor = person(&auditor.who).expect("workers are people");
    let others: Vec<_> = slashed
        .iter()
        .filter(|slash| slash.who != auditor.account)
        .map(|slash| {
            (
                person(&slash.who).expect("workers are people"),
                slash.amount,
            )
        })
        .collect();
    let stake = stage.worker(auditor).stake;
    let stakes: Vec<_> = others
        .iter()
        .map(|(who, _)| stage.worker(who).stake)
        .collect();
    assert_eq!(stage.cancel_slash(auditor), Ok(()));
    while stage.view().status == JobStatus::Slashing {
        stage.block(|_| ());
    }
    assert_eq!(stage.worker(auditor).stake, stake);
    for ((who, amount), before) in others.into_iter().zip(stakes) {
        assert_eq!(stage.worker(who).stake, before - amount);
    }
}

#[test]
fn only_root_cancels_only_what_waits_and_only_in_time() {
    let mut stage = slashing();
    let job = stage.job;
    let no_slash: DispatchError = Error::<Runtime>::NoSlash.into();
    let cancel = Call::cancel_slash {
        job,
        who: worker().account.clone(),
    };
    let outcome = stage.send(worker(), RuntimeCall::Inference(cancel));
    assert_eq!(outcome, Ok(Err(DispatchError::BadOrigin)));
    assert_eq!(stage.cancel_slash(requester()), Err(no_slash));
    assert_eq!(stage.cancel_slash(worker()), Ok(()));
    // There is nothing left to cancel.
    assert_eq!(stage.cancel_slash(worker()), Err(no_slash));

    let mut late = slashing();
    late.run_until(JobStatus::Rejected);
    assert_eq!(late.cancel_slash(worker()), Err(no_slash));
    let mut early = under_audit();
    assert_eq!(early.cancel_slash(worker()), Err(no_slash));
}

#[test]
fn root_cancels_many_slashes_at_once() {
    let mut stage = slashing();
    let job = stage.job;
    let cancel = |who: &Person| {
        RuntimeCall::Inference(Call::cancel_slash {
            job,
            who: who.account.clone(),
        })
    };
    // One that does not wait does not keep the others from being cancelled.
    let batch = RuntimeCall::Utility(pallet_utility::Call::force_batch {
        calls: vec![cancel(requester()), cancel(worker())],
    });
    assert_eq!(stage.by_root(batch), Ok(()));
    assert!(stage.audit().slashes.is_empty());
}

#[test]
fn parameters_that_change_in_the_midst_of_an_audit_touch_only_later_jobs() {
    let change = |parameters: &mut Parameters| {
        parameters.commit_window = 31;
        parameters.reveal_window = 33;
        parameters.appeal_window = 35;
        parameters.slash_delay = 37;
        parameters.retention = 39;
        parameters.first_seats = 5;
        parameters.exposure_factor = 10;
        parameters.wrong_fine = Permill::from_percent(50);
        parameters.silent_fine = Permill::from_percent(40);
        parameters.protocol_share = Permill::from_percent(9);
        parameters.pool_period = 7;
        parameters.seed_interval = 3;
        parameters.seed_blocks = 5;
        parameters.min_stake = 1_000_000 * GEN;
        parameters.unbonding_period = 20_000;
    };
    // The same audit, with and without the change.
    let mut ends = Vec::new();
    for changes in [false, true] {
        let mut stage = under_audit();
        let terms = stage.view().terms;
        if changes {
            assert_eq!(stage.set_parameters(change), Ok(()));
        } else {
            stage.block(|_| ());
        }
        assert_eq!(stage.view().terms, terms);
        stage.vote(|_| Some(false));
        stage.run_until(JobStatus::Slashing);
        let slashes = stage.audit().slashes;
        stage.run_until(JobStatus::Rejected);
        let view = stage.view();
        let stakes: Vec<_> = PEOPLE[1..9]
            .iter()
            .map(|who| stage.worker(who).stake)
            .collect();
        ends.push((slashes, view.until, view.terms, stakes));
        if changes {
            stage.job = stage.submit();
            let later = stage.view().terms.audit;
            assert_eq!(later.first_seats, 5);
            assert_eq!(later.slash_delay, 37);
            assert_eq!(later.wrong_fine, Permill::from_percent(50));
        }
    }
    assert_eq!(ends[0], ends[1]);
}

#[test]
fn fines_follow_the_terms_of_the_job_whatever_root_changes_meanwhile() {
    let mut stage = under_three_auditors();
    let view = stage.view();
    let fine = fine_of(&view, view.terms.audit.wrong_fine);
    let audit = stage.audit();
    let odd = audit.rounds[0].auditors[0].who.clone();
    let changed = stage.set_parameters(|parameters| {
        parameters.wrong_fine = Permill::from_percent(90);
        parameters.slash_delay = 1;
    });
    assert_eq!(changed, Ok(()));
    stage.vote(|auditor| Some(auditor.account != odd));
    stage.run_until(JobStatus::Slashing);
    let audit = stage.audit();
    assert_eq!(audit.valid, Some(true));
    let slashes: Vec<_> = audit
        .slashes
        .iter()
        .map(|slash| (&slash.who, slash.amount))
        .collect();
    assert_eq!(slashes, [(&odd, fine)]);
}

#[test]
fn root_cannot_let_stake_out_before_an_audit_is_over() {
    let mut stage = under_audit();
    let refused: DispatchError = Error::<Runtime>::ParameterUnbondingTooShort.into();
    let outcome = stage.set_parameters(|parameters| parameters.unbonding_period = 100);
    assert_eq!(outcome, Err(refused));
}
