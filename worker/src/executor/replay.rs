//! Replays: what an auditor asks of an executor, and what it learns.

use super::Assignment;
use genesisflow_primitives::{Fault, H256};

/// A claimed output to check with one prefill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayTask {
    /// The job, as its worker had it.
    pub assignment: Assignment,
    /// The output's token ids, as claimed.
    pub tokens: Vec<u32>,
    /// Seed of the audit round.
    pub seed: H256,
}

/// What a replay found. The same on every machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// How the claimed tokens compare with the true ones.
    pub outcome: ReplayOutcome,
    /// Shows under the round's seed that the model was run: see
    /// [`genesisflow_primitives::audit::AuditDigest`].
    pub digest: H256,
}

/// How claimed tokens compare with the true ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplayOutcome {
    /// They are the sampler's choice up to the end, and the output ends where it must.
    Matches(TrueResult),
    /// They are not, first at this index. An output that ends too early or goes on too long
    /// differs at its end.
    Differs {
        /// Index in the output tokens.
        index: u32,
    },
    /// No machine can have a result for this job: its prompt exceeds the context, say.
    Impossible {
        /// Why not.
        reason: String,
    },
}

/// What an honest worker delivers along with the tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrueResult {
    /// Tokens of the prompt.
    pub input_units: u32,
    /// The output as the requester reads it.
    pub output: Vec<u8>,
    /// The fault that ended the run, if one did.
    pub fault: Option<Fault>,
    /// The trace.
    pub trace: H256,
}
