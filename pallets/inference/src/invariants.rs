//! What must hold at every block. Checked after every test and by `try-runtime`.
//!
//! 1. The parameters are sound.
//! 2. Money: on every account, what jobs, workers, models and offers record is exactly what is held
//!    for each reason.
//! 3. A job's escrow is what its state says: all of it until the delivery, the fee until the
//!    settlement, then nothing. Its deposit covers exactly the bytes that are kept.
//! 4. Every job has one entry in the agenda, where its record says: at its deadline or before. No entry
//!    is without its job.
//! 5. Open jobs, and only they, are in their model's list of open jobs.
//! 6. Input, output and evidence are there exactly as long as they are needed, and match their
//!    hashes.
//! 7. A worker's exposure is the sum over its claims and results that are not final; if losses
//!    have made it exceed the stake, nothing is free for new claims.
//! 8. Unbonding parts are not empty and together at most the stake.
//! 9. A worker's claims and their lists by model agree.
//! 10. A model's id is its manifest's hash; it counts its live jobs; it is there as long as it has
//!     any, and gone once it is retired and has none.
//! 11. Every offer has its worker; workers and models count their offers.
//! 12. Job numbers are below the next one.
//! 13. An audit is there if its job's state says so, and then until the job's record is dropped;
//!     its rounds, seats and money are what the state says.
//! 14. Open seats, and only they, are in their auditors' lists and counts.
//! 15. Every pool counts the jobs that refer to it.
//! 16. The pot holds what its models and audits record, and the existential deposit.

use crate::{
    audits::{Phase, Said},
    jobs::{job_key, Job, JobState},
    Agenda, AuditPots, Audits, Claims, Config, Error, Evidence, HoldReason, Inputs, Jobs, LiveJobs,
    Manifests, MarketParameters, Models, NextJobId, OfferCounts, Offers, OpenJobs, Outputs, Pallet,
    Pools, Seats, Workers,
};
use alloc::{collections::BTreeMap, vec::Vec};
use frame_support::{
    ensure,
    traits::{
        fungible::{hold::Inspect as _, Inspect as _},
        Get,
    },
};
use genesisflow_primitives::{content_hash, Balance, JobId, ModelId, ModelManifest};
use sp_runtime::TryRuntimeError;

type Checked = Result<(), TryRuntimeError>;

/// Amounts by account.
type Ledger<AccountId> = BTreeMap<AccountId, Balance>;

fn add<AccountId: Ord + Clone>(ledger: &mut Ledger<AccountId>, who: &AccountId, amount: Balance) {
    let sum = ledger.entry(who.clone()).or_default();
    *sum = sum.saturating_add(amount);
}

impl<T: Config> Pallet<T> {
    /// Checks every promise of this module.
    pub fn do_try_state() -> Checked {
        MarketParameters::<T>::get()
            .parameters
            .check()
            .map_err(Error::<T>::from)?;
        Self::check_money()?;
        for (id, job) in Jobs::<T>::iter() {
            ensure!(
                id < NextJobId::<T>::get(),
                "12: a job's number was not given out"
            );
            Self::check_job_amounts(&job)?;
            Self::check_job_bytes(id, &job)?;
            ensure!(
                Agenda::<T>::contains_key(crate::agenda::DueKey::from(job.listed), job_key(id)),
                "4: a job is not in the agenda"
            );
            ensure!(
                job.listed <= job.state.due(),
                "4: the agenda comes to a job too late"
            );
            let is_open = matches!(job.state, JobState::Open { .. });
            ensure!(
                OpenJobs::<T>::contains_key(job.model, job_key(id)) == is_open,
                "5: the list of open jobs disagrees with a job"
            );
        }
        Self::check_lists()?;
        Self::check_workers()?;
        Self::check_models()?;
        Self::check_offers()?;
        Self::check_audits()?;
        Self::check_pools()?;
        Self::check_pot()
    }

    fn check_money() -> Checked {
        let mut jobs = Ledger::new();
        let mut stakes = Ledger::new();
        let mut model_deposits = Ledger::new();
        let mut offer_deposits = Ledger::new();
        for job in Jobs::<T>::iter_values() {
            add(&mut jobs, &job.requester, job.escrow);
            add(&mut jobs, &job.requester, job.deposit);
        }
        let mut dispute_bonds = Ledger::new();
        let mut appeal_bonds = Ledger::new();
        for audit in Audits::<T>::iter_values() {
            if let Some(bond) = &audit.dispute {
                add(&mut dispute_bonds, &bond.who, bond.held);
            }
            if let Some(bond) = &audit.appeal {
                add(&mut appeal_bonds, &bond.who, bond.held);
            }
        }
        for (who, worker) in Workers::<T>::iter() {
            add(&mut stakes, &who, worker.stake);
        }
        for model in Models::<T>::iter_values() {
            add(&mut model_deposits, &model.owner, model.deposit);
        }
        for (_, who, offer) in Offers::<T>::iter() {
            add(&mut offer_deposits, &who, offer.deposit);
        }
        let reasons = [
            (
                HoldReason::Job,
                jobs,
                "2: what jobs record and what is held differ",
            ),
            (
                HoldReason::Stake,
                stakes,
                "2: stakes recorded and held differ",
            ),
            (
                HoldReason::ModelDeposit,
                model_deposits,
                "2: model deposits differ",
            ),
            (
                HoldReason::OfferDeposit,
                offer_deposits,
                "2: offer deposits differ",
            ),
            (
                HoldReason::DisputeBond,
                dispute_bonds,
                "2: bonds of disputes differ",
            ),
            (
                HoldReason::AppealBond,
                appeal_bonds,
                "2: bonds of appeals differ",
            ),
        ];
        // An account with a hold exists, so this finds holds that nothing records, too.
        for (reason, mut recorded, message) in reasons {
            for who in frame_system::Account::<T>::iter_keys() {
                let held = T::Currency::balance_on_hold(&reason.into(), &who);
                ensure!(recorded.remove(&who).unwrap_or_default() == held, message);
            }
            ensure!(recorded.values().all(|amount| *amount == 0), message);
        }
        Ok(())
    }

    fn check_job_amounts(job: &Job<T::AccountId>) -> Checked {
        let terms = &job.terms;
        let kept = |bytes: u32| {
            terms
                .deposit_per_byte
                .checked_mul(bytes.into())?
                .checked_add(terms.record_deposit)
        };
        let result_bytes = terms
            .max_output_bytes
            .saturating_add(terms.max_evidence_bytes);
        let all = kept(job.input_len.saturating_add(result_bytes));
        let with_delivery = all.and_then(|all| all.checked_add(terms.delivery_fee));
        let (escrow, deposit) = match &job.state {
            JobState::Open { .. } | JobState::Claimed(_) => (job.max_fee, with_delivery),
            JobState::Delivered { delivery, .. }
            | JobState::Audit { delivery, .. }
            | JobState::Decided { delivery, .. }
            | JobState::Review { delivery, .. } => {
                ensure!(
                    delivery.fee <= job.max_fee,
                    "3: a fee above what was agreed"
                );
                ensure!(
                    delivery.premium <= delivery.fee,
                    "3: a premium above the fee"
                );
                (delivery.fee, with_delivery)
            }
            JobState::Slashing { .. } => (0, all),
            JobState::Settled { delivery, .. } | JobState::Rejected { delivery, .. } => {
                (0, kept(delivery.output_len))
            }
            JobState::Cancelled { .. } | JobState::Expired { .. } => (0, kept(0)),
        };
        ensure!(
            job.escrow == escrow,
            "3: a job's escrow is not what its state says"
        );
        ensure!(
            Some(job.deposit) == deposit,
            "3: a job's deposit is not what its state says"
        );
        Ok(())
    }

    fn check_job_bytes(id: JobId, job: &Job<T::AccountId>) -> Checked {
        let is_live = !job.state.status().is_final();
        let is_judged = is_live && job.state.delivery().is_some();
        let input = Inputs::<T>::get(id);
        ensure!(
            input.is_some() == is_live,
            "6: an input is missing or left over"
        );
        ensure!(
            input.is_none_or(|input| content_hash(&input) == job.input_hash),
            "6: an input does not match its hash"
        );
        let output = Outputs::<T>::get(id);
        ensure!(
            output.map(|output| content_hash(&output))
                == job.state.delivery().map(|delivery| delivery.output_hash),
            "6: an output is missing, left over, or does not match its hash"
        );
        let evidence = Evidence::<T>::get(id);
        ensure!(
            evidence.is_some() == is_judged,
            "6: evidence is missing or left over"
        );
        ensure!(
            evidence.is_none_or(|evidence| Some(content_hash(&evidence))
                == job.state.delivery().map(|delivery| delivery.evidence_hash)),
            "6: evidence does not match its hash"
        );
        Ok(())
    }

    fn check_lists() -> Checked {
        let jobs = Jobs::<T>::iter_keys().count();
        ensure!(
            Agenda::<T>::iter_keys().count() == jobs,
            "4: the agenda has too many entries"
        );
        for (model, key) in OpenJobs::<T>::iter_keys() {
            let job = Jobs::<T>::get(key.job()).ok_or("5: an open job that does not exist")?;
            ensure!(job.model == model, "5: an open job in another model's list");
        }
        for id in Inputs::<T>::iter_keys().chain(Outputs::<T>::iter_keys()) {
            ensure!(
                Jobs::<T>::contains_key(id),
                "6: bytes of a job that does not exist"
            );
        }
        for id in Evidence::<T>::iter_keys() {
            ensure!(
                Jobs::<T>::contains_key(id),
                "6: evidence of a job that does not exist"
            );
        }
        Ok(())
    }

    fn check_workers() -> Checked {
        let mut exposures = Ledger::new();
        let mut claims: BTreeMap<(T::AccountId, ModelId), Vec<JobId>> = BTreeMap::new();
        for (id, job) in Jobs::<T>::iter() {
            let claim = match &job.state {
                JobState::Claimed(claim) => {
                    claims
                        .entry((claim.worker.clone(), job.model))
                        .or_default()
                        .push(id);
                    claim
                }
                JobState::Delivered { claim, .. }
                | JobState::Audit { claim, .. }
                | JobState::Decided { claim, .. }
                | JobState::Review { claim, .. }
                | JobState::Slashing {
                    claim,
                    rejected: true,
                    ..
                } => claim,
                _ => continue,
            };
            ensure!(claim.exposure > 0, "7: a claim without exposure");
            ensure!(
                claim.worst_case_fee <= job.max_fee,
                "7: a claim above its escrow"
            );
            add(&mut exposures, &claim.worker, claim.exposure);
        }
        for (who, model, listed) in Claims::<T>::iter() {
            let mut made = claims.remove(&(who, model)).unwrap_or_default();
            let mut listed = listed.into_inner();
            made.sort_unstable();
            listed.sort_unstable();
            ensure!(
                !listed.is_empty() && listed == made,
                "9: a list of claims disagrees with the jobs"
            );
        }
        ensure!(claims.is_empty(), "9: a claim is not in its worker's list");

        for (who, worker) in Workers::<T>::iter() {
            let exposure = exposures.remove(&who).unwrap_or_default();
            ensure!(
                worker.exposure == exposure,
                "7: a worker's exposure is not the sum"
            );
            // Only a loss of stake can make the exposure exceed it, and then nothing is free.
            ensure!(
                exposure <= worker.stake || worker.free_stake() == 0,
                "7: a worker could claim beyond its stake"
            );
            ensure!(
                worker.unbonding.iter().all(|part| part.amount > 0),
                "8: an empty unbonding part"
            );
            ensure!(
                worker.unbonding_total() <= worker.stake,
                "8: more unbonds than is staked"
            );
        }
        ensure!(exposures.is_empty(), "7: a claim's worker is missing");
        Ok(())
    }

    fn check_models() -> Checked {
        let mut live_jobs: BTreeMap<ModelId, u32> = BTreeMap::new();
        for job in Jobs::<T>::iter_values().filter(|job| !job.state.status().is_final()) {
            *live_jobs.entry(job.model).or_default() += 1;
        }
        for (id, model) in Models::<T>::iter() {
            let live = live_jobs.remove(&id).unwrap_or_default();
            ensure!(
                !model.retired || live > 0,
                "10: a retired model without jobs is left over"
            );
            let manifest = Manifests::<T>::get(id).ok_or("10: a model without its manifest")?;
            ensure!(
                ModelManifest::id_of(&manifest) == id,
                "10: a manifest under another id"
            );
        }
        ensure!(live_jobs.is_empty(), "10: a live job's model is missing");
        ensure!(
            Manifests::<T>::iter_keys().all(Models::<T>::contains_key),
            "10: a manifest without its model"
        );
        Ok(())
    }

    fn check_audits() -> Checked {
        let mut open_audits: BTreeMap<T::AccountId, u32> = BTreeMap::new();
        let mut seats = 0;
        for (id, audit) in Audits::<T>::iter() {
            let job = Jobs::<T>::get(id).ok_or("13: an audit of a job that does not exist")?;
            let running = matches!(job.state, JobState::Audit { .. });
            let over = audit.phase == Phase::Over;
            ensure!(running != over, "13: an audit's phase is not its job's");
            let bonds = [&audit.dispute, &audit.appeal];
            let held = bonds.into_iter().flatten().any(|bond| bond.held > 0);
            match job.state {
                JobState::Audit { .. } | JobState::Decided { .. } => {
                    ensure!(
                        audit.slashes.is_empty() && audit.fund == 0,
                        "13: an audit moved money before its outcome"
                    );
                }
                JobState::Slashing { .. } => {
                    ensure!(!held, "13: a bond is held after the outcome");
                }
                JobState::Settled { .. } | JobState::Rejected { .. } => ensure!(
                    !held && audit.slashes.is_empty() && audit.fund == 0,
                    "13: a final audit holds money"
                ),
                _ => return Err("13: an audit of a job that is in no audit".into()),
            }
            let (_, last) = audit.last_round().ok_or("13: an audit without a round")?;
            for round in &audit.rounds {
                let drawn: u32 = round.auditors.iter().map(|auditor| auditor.seats).sum();
                ensure!(
                    drawn == 0 || drawn == Self::seats_of(&job.terms.audit, round.kind),
                    "13: a round has too few or too many seats"
                );
            }
            if matches!(audit.phase, Phase::Commit | Phase::Reveal) {
                for auditor in last.auditors.iter().filter(|a| a.said != Said::Vacant) {
                    *open_audits.entry(auditor.who.clone()).or_default() += 1;
                    seats += 1;
                    ensure!(
                        Seats::<T>::contains_key(&auditor.who, job_key(id)),
                        "14: a seat is not in its auditor's list"
                    );
                }
            }
        }
        for (id, job) in Jobs::<T>::iter() {
            let needs_audit = matches!(
                job.state,
                JobState::Audit { .. }
                    | JobState::Decided { .. }
                    | JobState::Slashing { .. }
                    | JobState::Rejected { .. }
            );
            ensure!(
                !needs_audit || Audits::<T>::contains_key(id),
                "13: an audit is missing"
            );
        }
        ensure!(
            Seats::<T>::iter_keys().count() == seats,
            "14: a seat is left in a list"
        );
        for (who, worker) in Workers::<T>::iter() {
            ensure!(
                worker.open_audits == open_audits.remove(&who).unwrap_or_default(),
                "14: a worker's open audits are miscounted"
            );
        }
        ensure!(open_audits.is_empty(), "14: an auditor is missing");
        Ok(())
    }

    fn check_pools() -> Checked {
        let mut live: BTreeMap<(ModelId, Option<u32>), u32> = BTreeMap::new();
        for job in Jobs::<T>::iter_values().filter(|job| !job.state.status().is_final()) {
            *live.entry((job.model, job.pool)).or_default() += 1;
            ensure!(
                job.pool
                    .is_none_or(|period| Pools::<T>::contains_key(job.model, period)),
                "15: a job's pool is missing"
            );
        }
        for (model, pool, count) in LiveJobs::<T>::iter() {
            ensure!(
                live.remove(&(model, pool)) == Some(count),
                "15: a model's live jobs are miscounted"
            );
        }
        ensure!(live.is_empty(), "15: live jobs are not counted");
        Ok(())
    }

    fn check_pot() -> Checked {
        let pots = AuditPots::<T>::iter_values();
        let funds = Audits::<T>::iter_values().map(|audit| audit.fund);
        let recorded = pots
            .chain(funds)
            .fold(0, |sum: Balance, amount| sum.saturating_add(amount));
        ensure!(
            recorded == 0
                || T::Currency::balance(&T::AuditPotAccount::get())
                    >= recorded.saturating_add(Self::existential_deposit()),
            "16: the pot holds less than is recorded"
        );
        Ok(())
    }

    fn check_offers() -> Checked {
        let mut by_worker: BTreeMap<T::AccountId, u32> = BTreeMap::new();
        let mut by_model: BTreeMap<ModelId, u32> = BTreeMap::new();
        for (model, who, offer) in Offers::<T>::iter() {
            ensure!(offer.capacity > 0, "11: an offer without capacity");
            *by_worker.entry(who).or_default() += 1;
            *by_model.entry(model).or_default() += 1;
        }
        for (who, worker) in Workers::<T>::iter() {
            let offers = by_worker.remove(&who).unwrap_or_default();
            ensure!(
                worker.offers == offers,
                "11: a worker's offers are miscounted"
            );
        }
        ensure!(by_worker.is_empty(), "11: an offer's worker is missing");
        for (model, count) in OfferCounts::<T>::iter() {
            ensure!(
                by_model.remove(&model) == Some(count),
                "11: a model's offers are miscounted"
            );
        }
        ensure!(by_model.is_empty(), "11: a model's offers are not counted");
        Ok(())
    }
}
