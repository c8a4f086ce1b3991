//! What can be read. The view functions and the runtime API answer from here.

use crate::{
    audits::{Auditor, Bond, Phase, Round, RoundKind, Said},
    jobs::{job_key, submit::Deposit, Job, JobState},
    Audits, Claims, Config, Evidence, Inputs, Jobs, LiveJobs, Manifests, MarketParameters, Models,
    OfferCounts, Offers, OpenJobs, Outputs, Pallet, Seats, Workers,
};
use alloc::vec::Vec;
use genesisflow_primitives::{
    pricing,
    views::{
        AuditView, AuditorView, BondView, ClaimView, JobSummary, JobView, ModelView, OfferView,
        PoolMemberView, Quote, ResultView, RoundView, SeatStatus, SeatView, SlashView,
        UnbondingView, WorkerView,
    },
    BlockNumber, JobId, ModelId, ModelManifest, Usage, MAX_PAGE, MAX_SEATS_PAGE,
};

/// Most offers that a quote looks at.
const MAX_QUOTED: usize = 4_096;
/// Most claims of a worker that are listed, the oldest jobs first.
const MAX_CLAIMS: usize = 4_096;

impl<T: Config> Pallet<T> {
    pub(crate) fn view_job(id: JobId) -> Option<JobView<T::AccountId>> {
        let job = Jobs::<T>::get(id)?;
        let claim = job.state.claim();
        let delivery = job.state.delivery();
        Some(JobView {
            id,
            status: job.state.status(),
            until: job.state.until(),
            overdue: job.state.due() <= Self::now(),
            worker: claim.map(|claim| claim.worker.clone()),
            prices: claim.map(|claim| claim.prices),
            worst_case_fee: claim.map(|claim| claim.worst_case_fee),
            usage: delivery.map(|delivery| delivery.usage),
            fault: delivery.and_then(|delivery| delivery.fault),
            fee: delivery.map(|delivery| delivery.fee),
            audit_chance: delivery.map(|delivery| delivery.audit_chance),
            premium: delivery.map(|delivery| delivery.premium),
            requester: job.requester,
            model: job.model,
            submitted_at: job.submitted_at,
            input_hash: job.input_hash,
            input_len: job.input_len,
            options: job.options,
            max_prices: job.max_prices,
            directed_to: job
                .directed
                .as_ref()
                .map(|directed| directed.worker.clone()),
            exclusive_until: job.directed.map(|directed| directed.until),
            barred: job.barred,
            terms: job.terms,
            max_fee: job.max_fee,
            escrow: job.escrow,
            deposit: job.deposit,
        })
    }

    pub(crate) fn view_result(id: JobId) -> Option<ResultView<T::AccountId>> {
        let attestation = Jobs::<T>::get(id)?.attestation(id)?;
        Some(ResultView {
            output: Outputs::<T>::get(id)?,
            evidence: Evidence::<T>::get(id),
            attestation_hash: attestation.hash(),
            attestation,
        })
    }

    pub(crate) fn view_open_jobs(
        model: ModelId,
        after: Option<JobId>,
        limit: u32,
    ) -> Vec<JobSummary<T::AccountId>> {
        let keys = match after {
            Some(job) => OpenJobs::<T>::iter_key_prefix_from(
                model,
                OpenJobs::<T>::hashed_key_for(model, job_key(job)),
            ),
            None => OpenJobs::<T>::iter_key_prefix(model),
        };
        keys.take(limit.min(MAX_PAGE) as usize)
            .filter_map(|key| Some(summary(key.job(), Jobs::<T>::get(key.job())?)))
            .collect()
    }

    pub(crate) fn view_jobs_of_worker(worker: T::AccountId) -> Vec<ClaimView> {
        let mut claimed: Vec<_> = Claims::<T>::iter_prefix_values(&worker).flatten().collect();
        // Sorted before it is cut, so that the oldest are listed and the others as those end.
        claimed.sort_unstable();
        claimed.truncate(MAX_CLAIMS);
        claimed
            .into_iter()
            .filter_map(|id| {
                let job = Jobs::<T>::get(id)?;
                let claim = job.state.claim()?;
                Some(ClaimView {
                    job: id,
                    model: job.model,
                    claimed_at: claim.claimed_at,
                    deliver_by: claim.deliver_by,
                    prices: claim.prices,
                    worst_case_fee: claim.worst_case_fee,
                    exposure: claim.exposure,
                })
            })
            .collect()
    }

    pub(crate) fn view_worker(who: T::AccountId) -> Option<WorkerView> {
        let worker = Workers::<T>::get(&who)?;
        Some(WorkerView {
            stake: worker.stake,
            unbonding: worker
                .unbonding
                .iter()
                .map(|part| UnbondingView {
                    amount: part.amount,
                    from: part.from,
                })
                .collect(),
            withdrawable: worker.withdrawable(Self::now()),
            exposure: worker.exposure,
            free_stake: worker.free_stake(),
            chilled: worker.chilled,
            offers: worker.offers,
            claims: Claims::<T>::iter_prefix_values(&who).fold(0, |sum: u32, of_model| {
                sum.saturating_add(of_model.len() as u32)
            }),
            settled: worker.settled,
            late: worker.late,
            rejected: worker.rejected,
            last_rejection: worker.last_rejection,
            audited: worker.audited,
            open_audits: worker.open_audits,
            endpoint: worker.endpoint,
        })
    }

    pub(crate) fn view_offers(
        model: ModelId,
        after: Option<T::AccountId>,
        limit: u32,
    ) -> Vec<OfferView<T::AccountId>> {
        let offers = match after {
            Some(worker) => {
                Offers::<T>::iter_prefix_from(model, Offers::<T>::hashed_key_for(model, worker))
            }
            None => Offers::<T>::iter_prefix(model),
        };
        offers
            .take(limit.min(MAX_PAGE) as usize)
            .filter_map(|(who, offer)| {
                let worker = Workers::<T>::get(&who)?;
                let running = Self::running(&who, model);
                Some(OfferView {
                    prices: offer.prices,
                    capacity: offer.capacity,
                    running,
                    available: !worker.chilled && running < offer.capacity,
                    free_stake: worker.free_stake(),
                    audited_valid: offer.record.valid,
                    audited_failed: offer.record.failed,
                    worker: who,
                })
            })
            .collect()
    }

    pub(crate) fn view_model(id: ModelId) -> Option<ModelView<T::AccountId>> {
        let model = Models::<T>::get(id)?;
        let manifest = ModelManifest::parse(&Manifests::<T>::get(id)?).ok()?;
        Some(ModelView {
            owner: model.owner,
            name: manifest.name.into_inner(),
            retired: model.retired,
            limits: model.limits,
            terms: model.terms,
            deposit: model.deposit,
            live_jobs: LiveJobs::<T>::iter_prefix_values(id)
                .fold(0, |sum: u32, jobs| sum.saturating_add(jobs)),
            offers: OfferCounts::<T>::get(id),
        })
    }

    pub(crate) fn view_quote(
        id: ModelId,
        input_len: u32,
        max_output: u32,
    ) -> Option<Quote<T::AccountId>> {
        let model = Models::<T>::get(id).filter(|model| !model.retired)?;
        if max_output == 0 || max_output > model.limits.max_output {
            return None;
        }
        let parameters = MarketParameters::<T>::get().parameters;
        let deposit = Deposit::of(&parameters, input_len, max_output)?.total()?;
        let most = Usage {
            input: pricing::max_input_units(input_len, &model.limits, max_output)?,
            output: max_output,
        };
        let mut workers = 0;
        let mut cheapest = None;
        for (who, offer) in Offers::<T>::iter_prefix(id).take(MAX_QUOTED) {
            let Some(worker) = Workers::<T>::get(&who) else {
                continue;
            };
            let Some(fee) = pricing::fee(offer.prices, most, model.terms.min_fee) else {
                continue;
            };
            let covered = pricing::exposure(fee, parameters.exposure_factor)
                .is_some_and(|exposure| exposure <= worker.free_stake());
            let has_room = Self::running(&who, id) < offer.capacity;
            if !covered || !has_room || worker.chilled {
                continue;
            }
            workers += 1;
            if cheapest.as_ref().is_none_or(|(lowest, _)| fee < *lowest) {
                cheapest = Some((fee, who));
            }
        }
        cheapest.map(|(fee, worker)| Quote {
            fee,
            worker,
            workers,
            deposit,
        })
    }

    pub(crate) fn view_seats(
        auditor: T::AccountId,
        after: Option<JobId>,
        limit: u32,
    ) -> Vec<SeatView<T::AccountId>> {
        let keys = match after {
            Some(job) => Seats::<T>::iter_key_prefix_from(
                &auditor,
                Seats::<T>::hashed_key_for(&auditor, job_key(job)),
            ),
            None => Seats::<T>::iter_key_prefix(&auditor),
        };
        keys.take(limit.min(MAX_SEATS_PAGE) as usize)
            .filter_map(|key| Self::view_seat(key.job(), &auditor))
            .collect()
    }

    /// An account's seats in the present round of a job's audit.
    fn view_seat(id: JobId, who: &T::AccountId) -> Option<SeatView<T::AccountId>> {
        let job = Jobs::<T>::get(id)?;
        let audit = Audits::<T>::get(id)?;
        let (number, round) = audit.last_round()?;
        let auditor = round.auditors.iter().find(|auditor| auditor.who == *who)?;
        let (claim, delivery) = (job.state.claim()?, job.state.delivery()?);
        let until = job.state.until();
        let terms = job.terms.audit;
        Some(SeatView {
            job: id,
            round: number,
            seed: round.seed?,
            status: seat_status(audit.phase, auditor, Self::now() > until),
            until,
            reveal_window: terms.reveal_window,
            seats: auditor.seats,
            excused: auditor.excused,
            commitment: commitment(auditor),
            pay: terms.pay(delivery.fee),
            silent_fine: terms.silent_fine(delivery.fee, claim.exposure),
            wrong_fine: terms.wrong_fine(claim.exposure),
            attestation: job.attestation(id)?,
            model: job.model,
            input: Inputs::<T>::get(id)?.into_inner(),
            options: job.options,
            output: Outputs::<T>::get(id)?.into_inner(),
            evidence: Evidence::<T>::get(id)?.into_inner(),
            terms: job.terms,
        })
    }

    pub(crate) fn view_audit(id: JobId) -> Option<AuditView<T::AccountId>> {
        let audit = Audits::<T>::get(id)?;
        let state = Jobs::<T>::get(id)?.state;
        // Slashes are written down when the delay begins, and gone when it is over.
        let slash_at: BlockNumber = match state {
            JobState::Slashing { .. } => state.due(),
            _ => 0,
        };
        Some(AuditView {
            valid: audit.verdict().map(|(_, verdict)| verdict.valid),
            rounds: (0..).zip(audit.rounds).map(round_view).collect(),
            dispute: audit.dispute.map(bond_view),
            appeal: audit.appeal.map(bond_view),
            slashes: audit
                .slashes
                .into_iter()
                .map(|slash| SlashView {
                    who: slash.who,
                    amount: slash.amount,
                    at: slash_at,
                })
                .collect(),
        })
    }

    pub(crate) fn view_pool(model: ModelId) -> Vec<PoolMemberView<T::AccountId>> {
        Self::present_pool(model)
            .into_iter()
            .map(|member| PoolMemberView {
                who: member.who,
                stake: member.stake,
            })
            .collect()
    }

    /// How many jobs on a model a worker has claimed and not delivered.
    fn running(who: &T::AccountId, model: ModelId) -> u32 {
        Claims::<T>::decode_len(who, model).unwrap_or(0) as u32
    }
}

fn summary<AccountId: Clone>(id: JobId, job: Job<AccountId>) -> JobSummary<AccountId> {
    JobSummary {
        id,
        claim_by: job.state.until(),
        requester: job.requester,
        input_len: job.input_len,
        max_input_units: job.terms.max_input_units,
        max_output_units: job.terms.max_output_units,
        options: job.options,
        max_prices: job.max_prices,
        max_fee: job.max_fee,
        deliver_window: job.terms.deliver_window,
        directed_to: job
            .directed
            .as_ref()
            .map(|directed| directed.worker.clone()),
        exclusive_until: job.directed.map(|directed| directed.until),
        barred: job.barred,
    }
}

fn seat_status<AccountId>(phase: Phase, auditor: &Auditor<AccountId>, late: bool) -> SeatStatus {
    match (phase, auditor.said) {
        (_, Said::Revealed(_)) => SeatStatus::Revealed,
        (Phase::Commit, Said::Nothing) if !late => SeatStatus::ToCommit,
        (Phase::Commit, Said::Committed(_)) => SeatStatus::Committed,
        (Phase::Reveal, Said::Committed(_)) if !late => SeatStatus::ToReveal,
        _ => SeatStatus::Missed,
    }
}

fn commitment<AccountId>(auditor: &Auditor<AccountId>) -> Option<genesisflow_primitives::H256> {
    match auditor.said {
        Said::Committed(commitment) => Some(commitment),
        Said::Vacant | Said::Nothing | Said::Revealed(_) => None,
    }
}

fn round_view<AccountId: Clone>((number, round): (u8, Round<AccountId>)) -> RoundView<AccountId> {
    RoundView {
        number,
        seed: round.seed,
        appeal: round.kind == RoundKind::Appeal,
        auditors: round
            .auditors
            .into_iter()
            .map(|auditor| AuditorView {
                seats: auditor.seats,
                vacant: auditor.said == Said::Vacant,
                commitment: commitment(&auditor),
                ballot: auditor.ballot(),
                who: auditor.who,
            })
            .collect(),
        verdict: round.verdict,
    }
}

fn bond_view<AccountId>(bond: Bond<AccountId>) -> BondView<AccountId> {
    BondView {
        who: bond.who,
        amount: bond.held,
    }
}
