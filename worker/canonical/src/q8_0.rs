//! Weights as Q8_0: blocks of 32 signed bytes with one f16 scale (docs/canonical.md, "Weights").

use half::f16;

use crate::quantize_row::BLOCK;

/// 2^-128: a block whose f32 scale does not exceed it is all zero.
const ZERO_UP_TO: f32 = f32::from_bits(0x0020_0000);

/// Why a block of weights cannot be used; such a model is refused at load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightFault {
    /// A weight is infinite or not a number.
    NotFinite,
    /// The weights are so large that their scale overflows f16 (magnitudes above about 8.3 million).
    ScaleOverflow,
    /// The scale of a stored block is infinite or not a number.
    ScaleNotFinite,
    /// A byte of a stored Q8_0 block is -128, which no quantiser makes.
    ByteOutOfRange,
}

impl core::fmt::Display for WeightFault {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::NotFinite => "a weight is infinite or not a number",
            Self::ScaleOverflow => "weights are too large: the scale of a block overflows f16",
            Self::ScaleNotFinite => "the scale of a stored block is infinite or not a number",
            Self::ByteOutOfRange => "a byte of a stored Q8_0 block is -128, outside -127..=127",
        })
    }
}

/// Quantises up to 32 weights along the input dimension; missing ones are zeros.
///
/// Returns the stored scale and the bytes. The bytes are made with the f32 scale, before it is
/// rounded to f16, and are kept even where the rounded scale is zero.
///
/// # Errors
/// See [`WeightFault`]; such a model is refused at load.
pub fn quantize_weights(x: &[f32]) -> Result<(f16, [i8; BLOCK]), WeightFault> {
    debug_assert!(x.len() <= BLOCK);
    let mut amax = 0.0f32;
    for v in x {
        if !v.is_finite() {
            return Err(WeightFault::NotFinite);
        }
        if v.abs() > amax {
            amax = v.abs();
        }
    }
    let d = amax / 127.0;
    let scale = f16::from_f32(d);
    if !scale.is_finite() {
        return Err(WeightFault::ScaleOverflow);
    }
    let mut q = [0i8; BLOCK];
    if d > ZERO_UP_TO {
        let inverse = 1.0 / d;
        for (q, v) in q.iter_mut().zip(x) {
            *q = round_half_away(v * inverse);
        }
    }
    Ok((scale, q))
}

/// Bytes of a stored block: the scale, then 32 signed bytes.
pub const STORED_BYTES: usize = 2 + BLOCK;

/// Reads a stored block (GGUF type 8: little-endian f16 scale, 32 signed bytes) as it is.
///
/// # Errors
/// [`WeightFault::ScaleNotFinite`] and [`WeightFault::ByteOutOfRange`].
pub fn read_stored(stored: &[u8; STORED_BYTES]) -> Result<(f16, [i8; BLOCK]), WeightFault> {
    let scale = f16::from_le_bytes([stored[0], stored[1]]);
    if !scale.is_finite() {
        return Err(WeightFault::ScaleNotFinite);
    }
    let q: [i8; BLOCK] = core::array::from_fn(|i| stored[2 + i] as i8);
    if q.contains(&i8::MIN) {
        return Err(WeightFault::ByteOutOfRange);
    }
    Ok((scale, q))
}

/// Nearest integer, ties away from zero, decided exactly (`floor(v + 0.5)` is wrong just below
/// a half). `|v|` is at most a little above 127.
fn round_half_away(v: f32) -> i8 {
    let magnitude = v.abs();
    let whole = magnitude as i32;
    let rounded = whole + i32::from(magnitude - whole as f32 >= 0.5);
    (if v < 0.0 { -rounded } else { rounded }) as i8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_away_from_zero_and_just_below_a_half_goes_down() {
        assert_eq!(round_half_away(0.5), 1);
        assert_eq!(round_half_away(-0.5), -1);
        assert_eq!(round_half_away(2.5), 3);
        assert_eq!(round_half_away(0.499_999_97), 0);
        assert_eq!(round_half_away(-0.499_999_97), 0);
        assert_eq!(round_half_away(127.000_01), 127);
    }

    #[test]
    fn a_block_keeps_its_bytes_where_the_stored_scale_is_zero() {
        let (scale, q) = quantize_weights(&[1e-7, -5e-8, 0.0]).unwrap();
        assert_eq!(scale.to_bits(), 0);
        assert_eq!(q[..3], [127, -64, 0]);
    }

    #[test]
    fn the_smallest_scales_give_zero_bytes() {
        // amax / 127 = 2^-128 exactly: 127 * 2^-128.
        let at_limit = 127.0 * f32::from_bits(0x0020_0000);
        assert_eq!(quantize_weights(&[at_limit]).unwrap().1[0], 0);
        let above = 127.0 * f32::from_bits(0x0020_0001);
        assert_eq!(quantize_weights(&[above]).unwrap().1[0], 127);
        assert_eq!(
            quantize_weights(&[f32::from_bits(1); 32]).unwrap().1,
            [0; 32]
        );
        assert_eq!(quantize_weights(&[-0.0; 32]).unwrap(), (f16::ZERO, [0; 32]));
    }

    #[test]
    fn stored_blocks_are_taken_as_they_are_or_refused() {
        let mut stored = [0u8; STORED_BYTES];
        stored[..2].copy_from_slice(&f16::from_f32(-0.5).to_le_bytes());
        (stored[2], stored[33]) = (0x81, 0x7f);
        let (scale, q) = read_stored(&stored).unwrap();
        assert_eq!((scale.to_f32(), q[0], q[1], q[31]), (-0.5, -127, 0, 127));
        stored[17] = 0x80;
        assert_eq!(read_stored(&stored), Err(WeightFault::ByteOutOfRange));
        stored[..2].copy_from_slice(&f16::NAN.to_le_bytes());
        assert_eq!(read_stored(&stored), Err(WeightFault::ScaleNotFinite));
    }

    #[test]
    fn unusable_weights_are_refused() {
        for v in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(quantize_weights(&[0.0, v]), Err(WeightFault::NotFinite));
        }
        // 65,504 is the largest f16; from 65,520 on the scale rounds to infinity.
        assert!(quantize_weights(&[65_519.0 * 127.0]).is_ok());
        assert_eq!(
            quantize_weights(&[65_520.0 * 127.0]),
            Err(WeightFault::ScaleOverflow)
        );
    }
}
