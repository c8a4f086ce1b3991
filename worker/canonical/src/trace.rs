//! The trace: one hash over the states that produced the output (docs/canonical.md, "Trace").

use blake2b_simd::{Params, State};
use half::f16;

const DOMAIN: &[u8] = b"genesisflow/trace/v1";
const AUDIT_DOMAIN: &[u8] = b"genesisflow/audit/v1";

/// Hashes the states of one job, in the order of its output tokens.
#[derive(Clone, Debug)]
pub struct Trace {
    state: State,
}

impl Trace {
    /// Starts the trace of a job with `outputs` output tokens on the model with this id.
    pub fn new(model_id: &[u8; 32], outputs: u32) -> Self {
        let mut state = Params::new().hash_length(32).to_state();
        state
            .update(DOMAIN)
            .update(model_id)
            .update(&outputs.to_le_bytes());
        Self { state }
    }

    /// Starts an auditor's digest of the same states under its round's seed. It shows that the
    /// auditor ran the model, which the published trace cannot do for it.
    pub fn audit(seed: &[u8; 32]) -> Self {
        let mut state = Params::new().hash_length(32).to_state();
        state.update(AUDIT_DOMAIN).update(seed);
        Self { state }
    }

    /// Adds the state after the final norm behind the next output token, `hidden_size` floats.
    pub fn state(&mut self, hidden: &[f32]) {
        for chunk in hidden.chunks(32) {
            let mut bytes = [0u8; 128];
            for (bytes, x) in bytes.chunks_exact_mut(4).zip(chunk) {
                bytes.copy_from_slice(&x.to_le_bytes());
            }
            self.state.update(&bytes[..4 * chunk.len()]);
        }
    }

    /// Adds the last key row written before a fault, KV heads in ascending order.
    pub fn last_key_row(&mut self, keys: &[f16]) {
        for chunk in keys.chunks(32) {
            let mut bytes = [0u8; 64];
            for (bytes, x) in bytes.chunks_exact_mut(2).zip(chunk) {
                bytes.copy_from_slice(&x.to_le_bytes());
            }
            self.state.update(&bytes[..2 * chunk.len()]);
        }
    }

    /// The 32 bytes that are published.
    pub fn finish(self) -> [u8; 32] {
        let mut out = [0u8; 32];
        out.copy_from_slice(self.state.finalize().as_bytes());
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_hash_of_the_concatenated_parts() {
        let mut trace = Trace::new(&[3; 32], 1);
        let hidden: [f32; 33] = core::array::from_fn(|i| i as f32 - 7.25);
        trace.state(&hidden);
        trace.last_key_row(&[f16::ONE, f16::NEG_INFINITY]);
        let mut bytes = [0u8; 20 + 32 + 4 + 33 * 4 + 4];
        bytes[..20].copy_from_slice(b"genesisflow/trace/v1");
        bytes[20..52].fill(3);
        bytes[52] = 1;
        for (i, x) in hidden.iter().enumerate() {
            bytes[56 + 4 * i..60 + 4 * i].copy_from_slice(&x.to_le_bytes());
        }
        bytes[188..].copy_from_slice(&[0x00, 0x3c, 0x00, 0xfc]);
        let expected = Params::new().hash_length(32).hash(&bytes);
        assert_eq!(trace.finish(), expected.as_bytes());
    }

    #[test]
    fn an_audit_digest_begins_with_the_seed() {
        let mut digest = Trace::audit(&[9; 32]);
        digest.state(&[1.0]);
        let mut bytes = [0u8; 20 + 32 + 4];
        bytes[..20].copy_from_slice(b"genesisflow/audit/v1");
        bytes[20..52].fill(9);
        bytes[52..].copy_from_slice(&1.0f32.to_le_bytes());
        let expected = Params::new().hash_length(32).hash(&bytes);
        assert_eq!(digest.finish(), expected.as_bytes());
    }
}
