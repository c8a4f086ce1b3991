//! What storage costs, measured. Do not edit: run `scripts/weights.sh`.
//!
//! ParityDB with 1000000 entries, on AMD EPYC.

use frame_support::{parameter_types, weights::RuntimeDbWeight};

parameter_types! {
/// One read and one write, in picoseconds.
pub const StorageWeight: RuntimeDbWeight = RuntimeDbWeight {
read: 7159000,
write: 30312000,
};
}
