//! Weights as Q4_0: blocks of 32 four-bit numbers with one f16 scale, read from GGUF only
//! (docs/canonical.md, "Weights").

use half::f16;

use crate::{q8_0::WeightFault, quantize_row::BLOCK};

/// Bytes of a stored block: the scale, then 16 bytes of two numbers each.
pub const STORED_BYTES: usize = 2 + BLOCK / 2;

/// What is subtracted from a stored nibble: weights are -8..=7.
pub const NIBBLE_OFFSET: i8 = 8;

/// The 32 numbers of 16 stored bytes: low nibbles are elements 0..16, high nibbles 16..32.
pub fn unpack(bytes: &[u8; BLOCK / 2]) -> [i8; BLOCK] {
    core::array::from_fn(|i| {
        let nibble = if i < BLOCK / 2 {
            bytes[i] & 15
        } else {
            bytes[i - BLOCK / 2] >> 4
        };
        nibble as i8 - NIBBLE_OFFSET
    })
}

/// Reads a stored block (GGUF type 2: little-endian f16 scale, 16 bytes) as it is.
///
/// # Errors
/// [`WeightFault::ScaleNotFinite`].
pub fn read_stored(stored: &[u8; STORED_BYTES]) -> Result<(f16, [u8; BLOCK / 2]), WeightFault> {
    let scale = f16::from_le_bytes([stored[0], stored[1]]);
    if !scale.is_finite() {
        return Err(WeightFault::ScaleNotFinite);
    }
    Ok((scale, core::array::from_fn(|i| stored[2 + i])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_nibbles_come_first() {
        let mut bytes = [0x88u8; 16];
        (bytes[0], bytes[15]) = (0xf0, 0x1a);
        let q = unpack(&bytes);
        assert_eq!((q[0], q[16]), (-8, 7));
        assert_eq!((q[15], q[31]), (2, -7));
        assert_eq!(q[1], 0);
    }

    #[test]
    fn scales_that_are_not_finite_are_refused() {
        let mut stored = [0u8; STORED_BYTES];
        stored[2] = 0x21;
        assert_eq!(read_stored(&stored).unwrap().1[0], 0x21);
        for scale in [f16::INFINITY, f16::NEG_INFINITY, f16::NAN] {
            stored[..2].copy_from_slice(&scale.to_le_bytes());
            assert_eq!(read_stored(&stored), Err(WeightFault::ScaleNotFinite));
        }
    }
}
