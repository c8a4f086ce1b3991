//! Audits: how often a result is checked, by whom, and what the checkers say.
//!
//! Everything here is a pure function, so that the chain, an auditor and an onlooker compute the
//! same from the same block: whether a result is audited, which seats are drawn, what a seat
//! commits to, what a round of seats decides.
//!
//! | module | what it defines |
//! |---|---|
//! | [`terms`] | the rules that a job's audit follows, and the sums that come of them |
//! | [`draw`] | whether a result is audited, and by whom |
//! | [`ballot`] | what an auditor computes, commits and reveals, and what a round decides |

pub mod ballot;
pub mod draw;
pub mod terms;

pub use ballot::{ballot_commitment, AuditDigest, Ballot, Verdict};
pub use draw::{combined_seed, draw_seats, is_audited};
pub use terms::AuditTerms;

use sp_core::ConstU32;

/// Most seats of a round.
pub type MaxSeats = ConstU32<31>;
/// Most rounds of one job: two before the first verdict and one on appeal, each of them drawn
/// once more if nobody acted.
pub type MaxRounds = ConstU32<6>;
/// Most accounts in an audit pool.
pub type MaxPoolSize = ConstU32<256>;
