//! Which open jobs to claim: the checks that the chain will make, made first,
//! and the deadline that the worker must be able to meet.

use crate::market::AccountId;
use genesisflow_primitives::{
    pricing,
    views::{JobSummary, OfferView},
    Balance, BlockNumber, Prices, Usage, SECONDS_PER_BLOCK,
};
use std::time::Duration;

/// Blocks kept free between the expected end of a run and the deadline: for
/// the claim and the delivery to be included and finalised.
const SPARE_BLOCKS: BlockNumber = 8;
/// How much longer than expected a run may take.
const SPEED_MARGIN: f64 = 1.5;

/// What a claim is decided on, besides the job.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// This worker.
    pub account: AccountId,
    /// Its prices for the model.
    pub prices: Prices,
    /// The model's least fee.
    pub min_fee: Balance,
    /// Stake that new claims can still reserve.
    pub free_stake: Balance,
    /// Exposure of a claim, in worst-case fees.
    pub exposure_factor: u32,
    /// The finalised block.
    pub head: BlockNumber,
}

/// Why a job is left to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It asks for lower prices than the offer's.
    Price,
    /// Its escrow does not cover the worst case.
    Escrow,
    /// The claim would expose more stake than is free.
    Stake,
    /// It is another worker's for now.
    Directed,
    /// This worker was late with it once.
    Barred,
    /// It can no longer be claimed in time.
    TooLate,
    /// It cannot be run before its deadline.
    TooSlow,
}

impl std::fmt::Display for Unfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Price => "its highest price is below this worker's offer",
            Self::Escrow => "its escrow does not cover the worst case at this worker's prices",
            Self::Stake => "too little of this worker's stake is free for it",
            Self::Directed => "it is directed to another worker for now",
            Self::Barred => "this worker was late with it before",
            Self::TooLate => "it can no longer be claimed in time",
            Self::TooSlow => "it cannot be run before its deadline here",
        })
    }
}

impl Unfit {
    /// Whether it may be fit at a later block.
    pub fn may_pass(self) -> bool {
        matches!(self, Self::Stake | Self::Directed | Self::TooSlow)
    }
}

/// A job that can be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fit {
    /// The most that it can pay.
    pub worst_case_fee: Balance,
    /// Stake that the claim reserves.
    pub exposure: Balance,
}

/// Checks what can be checked without the job's input.
pub fn check(job: &JobSummary<AccountId>, terms: &Terms) -> Result<Fit, Unfit> {
    if job.barred == Some(terms.account) {
        return Err(Unfit::Barred);
    }
    // A claim sent now is included two blocks on at the earliest.
    let earliest = terms.head.saturating_add(2);
    if earliest > job.claim_by {
        return Err(Unfit::TooLate);
    }
    let is_others = job.directed_to.is_some_and(|to| to != terms.account);
    if is_others && job.exclusive_until.is_some_and(|until| earliest <= until) {
        return Err(Unfit::Directed);
    }
    if terms.prices.input > job.max_prices.input || terms.prices.output > job.max_prices.output {
        return Err(Unfit::Price);
    }
    let worst_case = Usage {
        input: job.max_input_units,
        output: job.max_output_units,
    };
    let worst_case_fee = pricing::fee(terms.prices, worst_case, terms.min_fee)
        .filter(|fee| *fee <= job.max_fee)
        .ok_or(Unfit::Escrow)?;
    let exposure = pricing::exposure(worst_case_fee, terms.exposure_factor)
        .filter(|exposure| *exposure <= terms.free_stake)
        .ok_or(Unfit::Stake)?;
    Ok(Fit {
        worst_case_fee,
        exposure,
    })
}

/// Checks that a run of `expected` length ends well before the deadline.
pub fn check_deadline(expected: Duration, deliver_window: BlockNumber) -> Result<(), Unfit> {
    let usable = deliver_window
        .saturating_sub(SPARE_BLOCKS)
        .saturating_mul(SECONDS_PER_BLOCK);
    if expected.as_secs_f64() * SPEED_MARGIN > f64::from(usable) {
        return Err(Unfit::TooSlow);
    }
    Ok(())
}

/// Sorts jobs by how much this worker wants them: those directed to it first,
/// then the dearest, then the oldest.
pub fn by_preference(jobs: &mut [JobSummary<AccountId>], account: AccountId) {
    jobs.sort_by_key(|job| {
        (
            job.directed_to != Some(account),
            std::cmp::Reverse(job.max_fee),
            job.id,
        )
    });
}

/// How many more jobs of a model may be claimed, where `pending` claims are
/// not in finalised state yet.
pub fn room(offer: &OfferView<AccountId>, pending: u32) -> u32 {
    if !offer.available {
        return 0;
    }
    offer
        .capacity
        .saturating_sub(offer.running)
        .saturating_sub(pending)
}

#[cfg(test)]
mod tests {
    use super::*;
    use genesisflow_primitives::JobOptions;

    const ME: AccountId = [1; 32];
    const OTHER: AccountId = [2; 32];

    fn terms() -> Terms {
        Terms {
            account: ME,
            prices: Prices {
                input: 2,
                output: 3,
            },
            min_fee: 10,
            free_stake: 10_000,
            exposure_factor: 50,
            head: 100,
        }
    }

    fn job() -> JobSummary<AccountId> {
        JobSummary {
            id: 7,
            requester: OTHER,
            input_len: 6,
            max_input_units: 10,
            max_output_units: 20,
            options: JobOptions::default(),
            max_prices: Prices {
                input: 2,
                output: 3,
            },
            max_fee: 80,
            claim_by: 200,
            deliver_window: 150,
            directed_to: None,
            exclusive_until: None,
            barred: None,
        }
    }

    fn refused(change: impl FnOnce(&mut JobSummary<AccountId>, &mut Terms)) -> Unfit {
        let (mut job, mut terms) = (job(), terms());
        change(&mut job, &mut terms);
        check(&job, &terms).unwrap_err()
    }

    #[test]
    fn a_job_at_every_limit_is_taken() {
        let fit = Fit {
            worst_case_fee: 80,
            exposure: 4_000,
        };
        assert_eq!(check(&job(), &terms()), Ok(fit));
    }

    #[test]
    fn the_least_fee_counts_when_the_price_is_below_it() {
        let mut terms = terms();
        terms.min_fee = 81;
        assert_eq!(check(&job(), &terms), Err(Unfit::Escrow));
        let mut job = job();
        job.max_fee = 81;
        assert_eq!(check(&job, &terms).map(|fit| fit.worst_case_fee), Ok(81));
    }

    #[test]
    fn a_job_beyond_a_limit_is_left_to_others() {
        assert_eq!(refused(|job, _| job.max_prices.input = 1), Unfit::Price);
        assert_eq!(refused(|job, _| job.max_prices.output = 2), Unfit::Price);
        assert_eq!(refused(|job, _| job.max_fee = 79), Unfit::Escrow);
        assert_eq!(refused(|_, terms| terms.free_stake = 3_999), Unfit::Stake);
        assert_eq!(refused(|job, _| job.barred = Some(ME)), Unfit::Barred);
        assert_eq!(refused(|job, _| job.claim_by = 101), Unfit::TooLate);
    }

    #[test]
    fn prices_that_overflow_are_no_fee_and_no_panic() {
        let error = refused(|job, terms| {
            terms.prices.output = Balance::MAX;
            job.max_prices.output = Balance::MAX;
            job.max_fee = Balance::MAX;
        });
        assert_eq!(error, Unfit::Escrow);
    }

    #[test]
    fn a_directed_job_is_its_workers_first_and_anyones_later() {
        let directed = |job: &mut JobSummary<AccountId>, until| {
            job.directed_to = Some(OTHER);
            job.exclusive_until = Some(until);
        };
        assert_eq!(refused(|job, _| directed(job, 102)), Unfit::Directed);
        let mut free = job();
        directed(&mut free, 101);
        assert!(check(&free, &terms()).is_ok());
        let mut mine = job();
        mine.directed_to = Some(ME);
        mine.exclusive_until = Some(150);
        assert!(check(&mine, &terms()).is_ok());
    }

    #[test]
    fn a_run_must_end_well_before_its_deadline() {
        // 150 - 8 blocks are 284 s; with the margin that is 189 s of work.
        assert_eq!(check_deadline(Duration::from_secs(189), 150), Ok(()));
        assert_eq!(
            check_deadline(Duration::from_secs(190), 150),
            Err(Unfit::TooSlow)
        );
        assert_eq!(check_deadline(Duration::MAX, 150), Err(Unfit::TooSlow));
        assert_eq!(
            check_deadline(Duration::from_millis(1), 8),
            Err(Unfit::TooSlow)
        );
    }

    #[test]
    fn directed_jobs_come_first_then_the_dearest() {
        let with = |id, max_fee, directed_to| JobSummary {
            id,
            max_fee,
            directed_to,
            ..job()
        };
        let mut jobs = vec![
            with(1, 5, None),
            with(2, 9, None),
            with(3, 1, Some(ME)),
            with(4, 9, Some(OTHER)),
        ];
        by_preference(&mut jobs, ME);
        let order: Vec<_> = jobs.iter().map(|job| job.id).collect();
        assert_eq!(order, [3, 2, 4, 1]);
    }

    #[test]
    fn claims_in_flight_take_room() {
        let offer = OfferView {
            worker: ME,
            prices: Prices::default(),
            capacity: 4,
            running: 1,
            available: true,
            free_stake: 0,
            audited_valid: 0,
            audited_failed: 0,
        };
        assert_eq!(room(&offer, 2), 1);
        assert_eq!(room(&offer, 9), 0);
        let closed = OfferView {
            available: false,
            ..offer
        };
        assert_eq!(room(&closed, 0), 0);
    }
}
