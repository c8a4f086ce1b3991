//! What a worker states, with its stake behind it, when it delivers a result.

use crate::{Fault, JobId, ModelId, Usage, H256};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// Domain of an attestation's hash.
pub const DOMAIN: &[u8] = b"genesisflow/attestation/v1";

/// A worker's statement about a job: these bytes in, these out, at this usage. It needs no
/// signature of its own: the transaction that delivered it was signed by `worker`.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Attestation<AccountId> {
    /// The job.
    pub job: JobId,
    /// The model it ran.
    pub model: ModelId,
    /// Who ran it.
    pub worker: AccountId,
    /// [`content_hash`](crate::content_hash) of the input.
    pub input_hash: H256,
    /// [`content_hash`](crate::content_hash) of the output.
    pub output_hash: H256,
    /// [`content_hash`](crate::content_hash) of the evidence.
    pub evidence_hash: H256,
    /// Units read and written.
    pub usage: Usage,
    /// Where and why the run stopped, if no machine can finish it.
    pub fault: Option<Fault>,
    /// The trace: a hash over the states behind every output token.
    pub trace: H256,
    /// Version of the engine that ran it. For statistics; every version computes the same bits.
    pub engine_version: u32,
}

impl<AccountId: Encode> Attestation<AccountId> {
    /// `blake2_256("genesisflow/attestation/v1" ‖ SCALE(self))`.
    pub fn hash(&self) -> H256 {
        let mut bytes = DOMAIN.to_vec();
        self.encode_to(&mut bytes);
        crate::content_hash(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FaultCode;

    fn attestation() -> Attestation<u64> {
        Attestation {
            job: 1,
            model: H256::repeat_byte(1),
            worker: 2,
            input_hash: H256::repeat_byte(3),
            output_hash: H256::repeat_byte(4),
            evidence_hash: H256::repeat_byte(5),
            usage: Usage {
                input: 6,
                output: 7,
            },
            fault: None,
            trace: H256::repeat_byte(8),
            engine_version: 9,
        }
    }

    #[test]
    fn every_field_is_bound_by_the_hash() {
        let base = attestation();
        let variants = [
            Attestation {
                job: 0,
                ..base.clone()
            },
            Attestation {
                model: H256::zero(),
                ..base.clone()
            },
            Attestation {
                worker: 0,
                ..base.clone()
            },
            Attestation {
                input_hash: H256::zero(),
                ..base.clone()
            },
            Attestation {
                output_hash: H256::zero(),
                ..base.clone()
            },
            Attestation {
                evidence_hash: H256::zero(),
                ..base.clone()
            },
            Attestation {
                usage: Usage {
                    input: 7,
                    output: 6,
                },
                ..base.clone()
            },
            Attestation {
                fault: Some(Fault {
                    code: FaultCode::Template,
                    position: 0,
                }),
                ..base.clone()
            },
            Attestation {
                trace: H256::zero(),
                ..base.clone()
            },
            Attestation {
                engine_version: 0,
                ..base.clone()
            },
        ];
        for variant in variants {
            assert_ne!(variant.hash(), base.hash(), "{variant:?}");
        }
    }

    #[test]
    fn the_domain_comes_first() {
        let mut bytes = b"genesisflow/attestation/v1".to_vec();
        bytes.extend(attestation().encode());
        assert_eq!(
            attestation().hash().0,
            sp_crypto_hashing::blake2_256(&bytes)
        );
    }
}
