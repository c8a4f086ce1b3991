//! Evidence: the token ids of a result's output, so that anyone can replay it in one prefill.
//!
//! Each id is a SCALE compact `u32`; ids follow each other without a length in front (1 byte below
//! 2^6, 2 below 2^14, 4 below 2^30, 5 above). Only the shortest form of an id is accepted, so one
//! list of ids has exactly one encoding.

use alloc::vec::Vec;
use codec::{Compact, CompactLen, Decode, Encode};

/// Bytes that are not evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedEvidence {
    /// How many ids were read before the bytes stopped making sense.
    pub after: u32,
}

impl core::fmt::Display for MalformedEvidence {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            f,
            "evidence is malformed after {} token ids: each id must be a SCALE compact u32 in its shortest form",
            self.after
        )
    }
}

impl core::error::Error for MalformedEvidence {}

/// Bytes that one id takes.
pub fn encoded_len(id: u32) -> usize {
    Compact::<u32>::compact_len(&id)
}

/// Writes token ids as evidence.
///
/// ```
/// use genesisflow_primitives::evidence;
/// let bytes = evidence::encode(&[1, 64, 40_000]);
/// assert_eq!(bytes.len(), 1 + 2 + 4);
/// assert_eq!(evidence::decode(&bytes), Ok(vec![1, 64, 40_000]));
/// ```
pub fn encode(ids: &[u32]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(ids.iter().map(|id| encoded_len(*id)).sum());
    for id in ids {
        Compact(*id).encode_to(&mut bytes);
    }
    bytes
}

/// Reads evidence back into token ids.
pub fn decode(bytes: &[u8]) -> Result<Vec<u32>, MalformedEvidence> {
    let mut ids = Vec::new();
    visit(bytes, |id| ids.push(id))?;
    Ok(ids)
}

/// Counts the token ids in evidence without storing them.
pub fn count(bytes: &[u8]) -> Result<u32, MalformedEvidence> {
    visit(bytes, |_| ())
}

fn visit(mut bytes: &[u8], mut each: impl FnMut(u32)) -> Result<u32, MalformedEvidence> {
    let mut read = 0u32;
    while !bytes.is_empty() {
        let Compact(id) =
            Compact::<u32>::decode(&mut bytes).map_err(|_| MalformedEvidence { after: read })?;
        each(id);
        read = read.saturating_add(1);
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_every_size_come_back() {
        let ids = [
            0,
            1,
            63,
            64,
            16_383,
            16_384,
            (1 << 30) - 1,
            1 << 30,
            u32::MAX,
        ];
        let bytes = encode(&ids);
        assert_eq!(bytes.len(), 3 + 2 * 2 + 2 * 4 + 2 * 5);
        assert_eq!(decode(&bytes), Ok(ids.to_vec()));
        assert_eq!(count(&bytes), Ok(9));
    }

    #[test]
    fn no_ids_are_no_bytes() {
        assert!(encode(&[]).is_empty());
        assert_eq!(decode(&[]), Ok(Vec::new()));
    }

    #[test]
    fn cut_bytes_are_malformed() {
        let bytes = encode(&[5, 70_000]);
        for cut in 2..bytes.len() {
            assert_eq!(decode(&bytes[..cut]), Err(MalformedEvidence { after: 1 }));
        }
    }

    #[test]
    fn a_longer_form_of_a_small_id_is_malformed() {
        // 1 written in the two-byte form.
        assert_eq!(
            decode(&[0b0000_0101, 0]),
            Err(MalformedEvidence { after: 0 })
        );
    }
}
