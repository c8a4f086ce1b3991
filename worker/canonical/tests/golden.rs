//! Golden hashes of every operator's outputs on fixed inputs, made once with the scalar reference: a
//! change of a formula, a constant or an order shows here even where everything changes together.
//!
//! After a change of the definition, the failing assertion prints the new value.

use genesisflow_canonical::{
    activation, attend,
    attention::{round_key_value, score_scale, Scoring},
    embedding::embed,
    exp_c,
    fused::Portable,
    lane_sum, linear_row, q4_0, quantize_row,
    quantize_row::BLOCK,
    quantize_weights, rms_norm, rope,
};
use half::f16;

/// Inputs: a generator of no quality but fixed for ever.
struct Numbers(u32);

impl Numbers {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0 >> 8
    }

    /// Numbers of about `scale`, exact in f32.
    fn row(&mut self, len: usize, scale: f32) -> Vec<f32> {
        (0..len)
            .map(|_| (self.next() as f32 / 8_388_608.0 - 1.0) * scale)
            .collect()
    }
}

fn hash(values: &[f32]) -> String {
    let mut hash = blake2b_simd::Params::new().hash_length(8).to_state();
    for value in values {
        hash.update(&value.to_le_bytes());
    }
    hash.finalize().to_hex().to_string()
}

#[test]
fn quantised_rows() {
    let mut out = Vec::new();
    for scale in [1.0, 1e-29, 1e11] {
        let x = Numbers(1).row(100, scale);
        let (mut q, mut d) = ([0i8; 128], [0.0; 4]);
        quantize_row(&x, &mut q, &mut d).unwrap();
        out.extend(d);
        out.extend(q.map(f32::from));
    }
    assert_eq!(hash(&out), "505ae35eaa87b67e");
}

#[test]
fn linear_layers_of_both_formats() {
    let mut numbers = Numbers(2);
    let (x, w) = (numbers.row(20 * BLOCK, 3.0), numbers.row(20 * BLOCK, 0.1));
    let (mut q, mut d) = ([0i8; 20 * BLOCK], [0.0; 20]);
    quantize_row(&x, &mut q, &mut d).unwrap();
    let (mut scales, mut weights, mut nibbles) = (Vec::new(), Vec::new(), Vec::new());
    for block in w.chunks(BLOCK) {
        let (scale, bytes) = quantize_weights(block).unwrap();
        scales.push(scale);
        weights.extend(bytes);
        nibbles.extend(q4_0::unpack(&std::array::from_fn(|i| bytes[i] as u8)));
    }
    let mut out = vec![0.0; 40];
    embed(&scales[..2], &weights[..2 * BLOCK], Some(1.7), &mut out);
    for bias in [None, Some(0.3)] {
        out.push(linear_row::<Portable>(&scales, &weights, &d, &q, bias));
        out.push(linear_row::<Portable>(&scales, &nibbles, &d, &q, bias));
    }
    assert_eq!(hash(&out), "c2856a2bb7712431");
}

#[test]
fn norms_and_lane_sums() {
    let mut out = Vec::new();
    for len in [24, 72, 96, 576, 2048] {
        let mut numbers = Numbers(len as u32);
        let (x, w) = (numbers.row(len, 4.0), numbers.row(len, 1.5));
        let mut normed = vec![0.0; len];
        rms_norm::<Portable>(&x, &w, 1e-5, &mut normed);
        out.extend(normed);
        out.push(lane_sum::<Portable, 16>(&x, &w));
    }
    assert_eq!(hash(&out), "802c5e3b6b265b20");
}

#[test]
fn activations_over_their_range() {
    let mut out = Vec::new();
    for x in (-2000..=2000).map(|i| i as f32 * 0.047) {
        out.extend([
            exp_c::<Portable>(x),
            activation::silu::<Portable>(x),
            activation::gelu_tanh::<Portable>(x),
            activation::gelu_erf::<Portable>(x),
            activation::tanh_c::<Portable>(x),
            activation::soft_cap::<Portable>(x, 30.0),
        ]);
    }
    assert_eq!(hash(&out), "61bdad7e4b9789f5");
}

#[test]
fn rotations() {
    let mut head = Numbers(5).row(96, 2.0);
    for position in [0, 1, 777, 100_000] {
        let (cos, sin): (Vec<f32>, Vec<f32>) = (0..48)
            .map(|i| {
                let frequency = rope::frequency(500_000.0, i, 96, rope::RopeScaling::None);
                rope::cos_sin(position, frequency)
            })
            .unzip();
        rope::rotate::<Portable>(&mut head, &cos, &sin);
    }
    assert_eq!(hash(&head), "db1a3d7373a0de86");
}

/// Head widths whose scale differs between f32 and f64 arithmetic, over several partitions.
#[test]
fn attention_of_odd_widths() {
    let mut out = Vec::new();
    for (dim, window, soft_cap) in [
        (24, None, None),
        (72, Some(150), None),
        (96, None, Some(20.0)),
    ] {
        let mut numbers = Numbers(dim as u32);
        let positions = 300;
        let mut halves = |scale: f32| {
            let x = numbers.row(positions * dim, scale);
            let mut rounded = vec![f16::ZERO; x.len()];
            round_key_value(&x, &mut rounded).unwrap();
            rounded
        };
        let (keys, values) = (halves(2.0), halves(1.0));
        let query = numbers.row(dim, 2.0);
        let scoring = Scoring {
            scale: score_scale(dim),
            soft_cap,
        };
        let mut attended = vec![0.0; dim];
        let last = positions - 1;
        attend::<Portable>(&query, &keys, &values, last, window, scoring, &mut attended);
        out.extend(attended);
    }
    assert_eq!(hash(&out), "06c7a09dec798867");
}
