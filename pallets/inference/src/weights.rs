//! Weights of the calls and of the pieces of `on_idle`.
//!
//! The implementation for `()` is for tests and for a first wiring: rough upper bounds by counting
//! reads and writes. A runtime uses the weights that its benchmarks measured.

use frame_support::weights::{constants::ParityDbWeight, Weight};

/// What each call costs, and each piece of `on_idle`. Lengths are in bytes.
pub trait WeightInfo {
    /// A manifest of `m` bytes.
    fn register_model(m: u32) -> Weight;
    /// A model that is dropped at once.
    fn retire_model() -> Weight;
    /// A worker with the longest endpoint.
    fn register_worker() -> Weight;
    /// Any amount.
    fn bond_more() -> Weight;
    /// The longest endpoint.
    fn set_endpoint() -> Weight;
    /// Any worker.
    fn chill() -> Weight;
    /// Any worker.
    fn activate() -> Weight;
    /// A worker with all but one of its unbonding parts in use.
    fn unbond() -> Weight;
    /// A worker with all of its unbonding parts in use.
    fn withdraw_unbonded() -> Weight;
    /// A new offer.
    fn set_offer() -> Weight;
    /// Any offer.
    fn remove_offer() -> Weight;
    /// An input of `i` bytes.
    fn submit_job(i: u32) -> Weight;
    /// An input of `i` bytes, with every condition set.
    fn submit_job_with(i: u32) -> Weight;
    /// A job that is not overdue.
    fn claim_job() -> Weight;
    /// An output of `o` bytes and evidence of `e` bytes.
    fn deliver(o: u32, e: u32) -> Weight;
    /// A job that is not overdue, nor the last one of its model or pool.
    fn accept_result() -> Weight;
    /// A job that is not overdue, nor the last one of its model or pool.
    fn cancel_job() -> Weight;
    /// What a job takes along that is the last one of its retired model and of its pool.
    fn close_last() -> Weight;
    /// Any parameters.
    fn set_parameters() -> Weight;
    /// Looking at the agenda.
    fn on_idle_base() -> Weight;
    /// Moving on a job that is not under audit, by all that can be overdue: late, open again,
    /// expired, dropped.
    fn on_idle_job() -> Weight;
    /// Moving an entry of the agenda to where its job is due by now.
    fn on_idle_relist() -> Weight;
    /// Reading an entry of the agenda and its job.
    fn on_idle_entry() -> Weight;
    /// A job that nobody claimed.
    fn on_idle_expire() -> Weight;
    /// A job that nobody delivered, for the first time.
    fn on_idle_late() -> Weight;
    /// A result that is paid.
    fn on_idle_settle() -> Weight;
    /// A record that is dropped.
    fn on_idle_drop() -> Weight;
    /// Filling the seats of a round.
    fn on_idle_draw() -> Weight;
    /// The end of a round.
    fn on_idle_round() -> Weight;
    /// The outcome of an audit.
    fn on_idle_outcome() -> Weight;
    /// The slashes of an audit.
    fn on_idle_slashes() -> Weight;
    /// Checking whether a ballot's sender has standing.
    fn check_standing() -> Weight;
    /// Checking whether a delivery's sender has standing.
    fn check_deliver_standing() -> Weight;
    /// Recording what a block contributes to seeds.
    fn on_initialize() -> Weight;
    /// Making a model's audit pool of `c` candidates, on top of a submission.
    fn make_pool(c: u32) -> Weight;
    /// `dispute_result`.
    fn dispute_result() -> Weight;
    /// `commit_ballot`.
    fn commit_ballot() -> Weight;
    /// `reveal_ballot`.
    fn reveal_ballot() -> Weight;
    /// `appeal_verdict`.
    fn appeal_verdict() -> Weight;
    /// `cancel_slash`.
    fn cancel_slash() -> Weight;
}

/// `reads` and `writes` of storage, and `micros` microseconds of computing.
fn rough(reads: u64, writes: u64, micros: u64) -> Weight {
    ParityDbWeight::get()
        .reads_writes(reads, writes)
        .saturating_add(Weight::from_parts(micros.saturating_mul(1_000_000), 0))
}

/// `len` bytes to decode, hash and write.
fn bytes(len: u32) -> Weight {
    Weight::from_parts(u64::from(len).saturating_mul(10_000), 0)
}

impl WeightInfo for () {
    fn register_model(m: u32) -> Weight {
        rough(6, 6, 120).saturating_add(bytes(m))
    }
    fn retire_model() -> Weight {
        rough(4, 5, 60)
    }
    fn register_worker() -> Weight {
        rough(4, 3, 60)
    }
    fn bond_more() -> Weight {
        rough(3, 3, 60)
    }
    fn set_endpoint() -> Weight {
        rough(1, 1, 30)
    }
    fn chill() -> Weight {
        rough(1, 1, 20)
    }
    fn activate() -> Weight {
        rough(2, 1, 20)
    }
    fn unbond() -> Weight {
        rough(2, 1, 30)
    }
    fn withdraw_unbonded() -> Weight {
        rough(3, 3, 70)
    }
    fn set_offer() -> Weight {
        rough(7, 5, 70)
    }
    fn remove_offer() -> Weight {
        rough(5, 5, 70)
    }
    fn submit_job(i: u32) -> Weight {
        rough(5, 8, 150).saturating_add(bytes(i))
    }
    fn submit_job_with(i: u32) -> Weight {
        rough(8, 8, 150).saturating_add(bytes(i))
    }
    fn claim_job() -> Weight {
        rough(10, 14, 200)
    }
    fn deliver(o: u32, e: u32) -> Weight {
        rough(8, 12, 200)
            .saturating_add(bytes(o))
            .saturating_add(bytes(e))
    }
    fn accept_result() -> Weight {
        rough(10, 14, 200)
    }
    fn cancel_job() -> Weight {
        rough(12, 16, 200)
    }
    fn close_last() -> Weight {
        rough(4, 8, 60)
    }
    fn set_parameters() -> Weight {
        rough(1, 1, 20)
    }
    fn on_idle_base() -> Weight {
        rough(1, 0, 10)
    }
    fn on_idle_job() -> Weight {
        rough(15, 20, 310)
    }
    fn on_idle_relist() -> Weight {
        rough(1, 3, 20)
    }
    fn on_idle_entry() -> Weight {
        rough(2, 0, 10)
    }
    fn on_idle_expire() -> Weight {
        rough(6, 9, 80)
    }
    fn on_idle_late() -> Weight {
        rough(6, 9, 100)
    }
    fn on_idle_settle() -> Weight {
        rough(8, 12, 100)
    }
    fn on_idle_drop() -> Weight {
        rough(4, 6, 50)
    }
    fn on_idle_draw() -> Weight {
        rough(80, 70, 500)
    }
    fn on_idle_slashes() -> Weight {
        rough(60, 60, 1_000)
    }
    fn check_standing() -> Weight {
        rough(3, 0, 30)
    }
    fn check_deliver_standing() -> Weight {
        rough(1, 0, 10)
    }
    fn on_idle_round() -> Weight {
        rough(20, 20, 200)
    }
    fn on_idle_outcome() -> Weight {
        rough(60, 60, 1_000)
    }
    fn on_initialize() -> Weight {
        rough(1, 2, 10)
    }
    fn make_pool(c: u32) -> Weight {
        rough(2, 3, 20).saturating_add(rough(2, 0, 4).saturating_mul(c.into()))
    }
    fn dispute_result() -> Weight {
        rough(5, 5, 60)
    }
    fn commit_ballot() -> Weight {
        rough(10, 10, 60)
    }
    fn reveal_ballot() -> Weight {
        rough(15, 15, 80)
    }
    fn appeal_verdict() -> Weight {
        rough(6, 6, 60)
    }
    fn cancel_slash() -> Weight {
        rough(3, 3, 40)
    }
}
