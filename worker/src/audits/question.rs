//! A result to check, put together from what the chain tells.

use crate::{executor::Assignment, job_loop::assignment, journal::Delivery, market::AccountId};
use genesisflow_primitives::{
    sampling_seed,
    views::{JobView, ResultView, SeatView},
    Attestation, ResultClaim, H256,
};

/// What was asked, what was answered, and for which round of an audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The job, as its worker had it.
    pub assignment: Assignment,
    /// What it delivered.
    pub claimed: Delivery,
    /// Seed of the audit round; any value if the result is checked for other
    /// reasons.
    pub seed: H256,
}

impl Question {
    /// The result behind a seat, on the chain with this genesis hash.
    pub fn of_seat(seat: &SeatView<AccountId>, genesis: H256) -> Self {
        Self {
            assignment: Assignment {
                job: seat.job,
                model: seat.model,
                input: seat.input.clone(),
                options: seat.options,
                seed: sampling_seed(&genesis, seat.job, &seat.options.seed),
                max_input_units: seat.terms.max_input_units,
                max_output_units: seat.terms.max_output_units,
                max_output_bytes: seat.terms.max_output_bytes,
                max_evidence_bytes: seat.terms.max_evidence_bytes,
            },
            claimed: Delivery {
                output: seat.output.clone(),
                evidence: seat.evidence.clone(),
                claim: claim(&seat.attestation),
            },
            seed: seat.seed,
        }
    }

    /// The result of a job.
    ///
    /// # Returns
    /// `None` if its evidence was dropped, because the job is final.
    pub fn of_job(
        job: &JobView<AccountId>,
        input: Vec<u8>,
        result: ResultView<AccountId>,
        genesis: H256,
    ) -> Option<Self> {
        Some(Self {
            assignment: assignment(job, input, genesis),
            claimed: Delivery {
                output: result.output.into_inner(),
                evidence: result.evidence?.into_inner(),
                claim: claim(&result.attestation),
            },
            seed: H256::zero(),
        })
    }
}

fn claim(attestation: &Attestation<AccountId>) -> ResultClaim {
    ResultClaim {
        usage: attestation.usage,
        fault: attestation.fault,
        trace: attestation.trace,
        engine_version: attestation.engine_version,
    }
}
