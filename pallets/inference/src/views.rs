//! What can be read. The view functions and the runtime API answer from here.

use crate::{
    jobs::{job_key, submit::Deposit, Job},
    workers::Worker,
    Claims, Config, Evidence, Jobs, Manifests, MarketParameters, Models, OfferCounts, Offers,
    OpenJobs, Outputs, Pallet, Running, Workers,
};
use alloc::vec::Vec;
use frame_support::traits::Get;
use genesisflow_primitives::{
    pricing,
    views::{
        ClaimView, JobSummary, JobView, ModelView, OfferView, Quote, ResultView, UnbondingView,
        WorkerView,
    },
    JobId, ModelId, ModelManifest, Usage, MAX_PAGE,
};

/// Most offers that a quote looks at.
const MAX_QUOTED: usize = 4_096;

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
        Claims::<T>::iter_key_prefix(&worker)
            .take(T::MaxClaims::get() as usize)
            .filter_map(|key| {
                let job = Jobs::<T>::get(key.job())?;
                let claim = job.state.claim()?;
                Some(ClaimView {
                    job: key.job(),
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
        let worker = Workers::<T>::get(who)?;
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
            claims: worker.claims,
            settled: worker.settled,
            late: worker.late,
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
                let running = Running::<T>::get(&who, model);
                Some(OfferView {
                    prices: offer.prices,
                    capacity: offer.capacity,
                    running,
                    available: Self::takes_jobs(&worker) && running < offer.capacity,
                    free_stake: worker.free_stake(),
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
            live_jobs: model.live_jobs,
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
            let has_room = Running::<T>::get(&who, id) < offer.capacity;
            if !covered || !has_room || !Self::takes_jobs(&worker) {
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

    fn takes_jobs(worker: &Worker<T::MaxUnbondingChunks>) -> bool {
        !worker.chilled && worker.claims < T::MaxClaims::get()
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
