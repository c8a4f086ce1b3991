//! Operator 1: a row of activations in int8, in blocks of 32.

use crate::fused::small_integer;

/// Elements in a quantisation block, of weights and activations alike.
pub const BLOCK: usize = 32;

/// 2^40 as f32 bits: a magnitude from here on is a fault (infinities and NaN lie above it).
const FAULT_FROM: u32 = 0x5380_0000;
/// 2^-100 as f32 bits: a block whose largest magnitude is below is taken as zero.
const ZERO_BELOW: u32 = 0x0d80_0000;

/// A row of activations holds a magnitude of 2^40 or more, an infinity or a NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActivationOverflow;

/// Number of blocks of a row of `len` elements; the last one is padded with zeros.
pub const fn blocks(len: usize) -> usize {
    len.div_ceil(BLOCK)
}

/// Quantises one row of activations.
///
/// `x`: the row, any length. `q`: `blocks(x.len()) * 32` signed bytes. `d`: `blocks(x.len())` f32
/// scales. Element `i` is then about `d[i / 32] * q[i]`.
///
/// # Errors
/// [`ActivationOverflow`] if an element reaches 2^40; `q` and `d` then hold no meaning.
#[inline(always)]
pub fn quantize_row(x: &[f32], q: &mut [i8], d: &mut [f32]) -> Result<(), ActivationOverflow> {
    debug_assert_eq!(q.len(), blocks(x.len()) * BLOCK);
    debug_assert_eq!(d.len(), blocks(x.len()));
    for ((x, q), d) in x.chunks(BLOCK).zip(q.as_chunks_mut().0).zip(d.iter_mut()) {
        (*q, *d) = quantize_block(x)?;
    }
    Ok(())
}

/// Quantises one block of up to 32 elements; missing ones are zeros. Returns the 32 bytes and the
/// scale.
///
/// # Errors
/// [`ActivationOverflow`] if an element reaches 2^40.
#[inline(always)]
pub fn quantize_block(x: &[f32]) -> Result<([i8; BLOCK], f32), ActivationOverflow> {
    let mut padded = [0.0f32; BLOCK];
    let whole = match x.first_chunk::<BLOCK>() {
        Some(whole) => whole,
        None => {
            padded[..x.len()].copy_from_slice(x);
            &padded
        }
    };
    let mut largest = 0u32;
    for v in whole {
        largest = largest.max(v.to_bits() & 0x7fff_ffff);
    }
    if largest >= FAULT_FROM {
        return Err(ActivationOverflow);
    }
    let mut q = [0i8; BLOCK];
    if largest < ZERO_BELOW {
        return Ok((q, 0.0));
    }
    let amax = f32::from_bits(largest);
    // Rounded by itself: not 1 / d.
    let inverse = 127.0 / amax;
    for (q, v) in q.iter_mut().zip(whole) {
        *q = small_integer(v * inverse);
    }
    Ok((q, amax / 127.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fused::round_ties_even;

    fn quantized(x: &[f32]) -> Result<([i8; 64], [f32; 2]), ActivationOverflow> {
        let (mut q, mut d) = ([99i8; 64], [9.0f32; 2]);
        let n = blocks(x.len());
        quantize_row(x, &mut q[..n * BLOCK], &mut d[..n])?;
        Ok((q, d))
    }

    #[test]
    fn zeros_and_tiny_rows_become_positive_zero() {
        for v in [0.0, -0.0, f32::from_bits(1), f32::from_bits(ZERO_BELOW - 1)] {
            let (q, d) = quantized(&[v; 32]).unwrap();
            assert_eq!(d[0].to_bits(), 0);
            assert!(q[..32].iter().all(|q| *q == 0));
        }
        let smallest = f32::from_bits(ZERO_BELOW);
        let (q, d) = quantized(&[smallest; 32]).unwrap();
        assert_eq!(d[0].to_bits(), (smallest / 127.0).to_bits());
        assert_eq!(q[0], 127);
    }

    #[test]
    fn the_fault_starts_at_two_to_the_forty() {
        let below = f32::from_bits(FAULT_FROM - 1);
        assert_eq!(quantized(&[-below; 32]).unwrap().0[31], -127);
        for v in [
            1_099_511_627_776.0,
            -1_099_511_627_776.0,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::NAN,
        ] {
            let mut row = [1.0; 40];
            row[39] = v;
            assert_eq!(quantized(&row), Err(ActivationOverflow), "{v}");
        }
    }

    #[test]
    fn ties_go_to_even_and_the_tail_is_padded() {
        let mut row = [0.0f32; 33];
        row[..5].copy_from_slice(&[127.0, 0.5, 1.5, 2.5, -0.5]);
        row[32] = -3.0;
        let (q, d) = quantized(&row).unwrap();
        assert_eq!(q[..5], [127, 0, 2, 2, 0]);
        assert_eq!(d[0], 1.0);
        assert_eq!(q[32], -127);
        assert!(q[33..].iter().all(|q| *q == 0));
        assert_eq!(d[1], 3.0 / 127.0);
    }

    /// 127 / amax and 1 / (amax / 127) round differently, and here the difference shows.
    #[test]
    fn the_factor_is_127_over_amax() {
        let mut found = 0;
        for i in 0..200_000u32 {
            let amax = 1.0 + i as f32 * 4.7e-6;
            let inverse = 127.0 / amax;
            if inverse == 1.0 / (amax / 127.0) {
                continue;
            }
            for half in [0.5f32, 1.5, 2.5, 3.5, 60.5, 100.5] {
                let v = half / inverse;
                let expected = round_ties_even(v * inverse).0;
                let mut row = [0.0f32; 32];
                (row[0], row[1]) = (amax, v);
                assert_eq!(quantized(&row).unwrap().0[1], expected as i8);
                found += u32::from(expected != round_ties_even(v * (1.0 / (amax / 127.0))).0);
            }
        }
        assert!(found > 100, "the sweep no longer tells the two apart");
    }
}
