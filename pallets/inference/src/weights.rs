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
    /// A job whose first worker was late.
    fn claim_job() -> Weight;
    /// An output of `o` bytes and evidence of `e` bytes.
    fn deliver(o: u32, e: u32) -> Weight;
    /// The last job of a retired model.
    fn accept_result() -> Weight;
    /// A job whose first worker was late.
    fn cancel_job() -> Weight;
    /// The longest chain: late, open again, expired, dropped.
    fn progress_job() -> Weight;
    /// Any parameters.
    fn set_parameters() -> Weight;
    /// Looking at the agenda.
    fn on_idle_base() -> Weight;
    /// Moving on one job of the agenda.
    fn on_idle_job() -> Weight;
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
    fn progress_job() -> Weight {
        rough(14, 20, 300)
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
}
