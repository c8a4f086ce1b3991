//! Every kernel of this machine against the scalar reference, bit for bit, on random shapes and
//! on values from the edges of the formats.

use genesisflow_canonical::{
    activation, attend,
    attention::{score_scale, Scoring},
    fused::Portable,
    kernels::{
        AttentionScratch, AttentionTask, HeadCache, Kernel, OutputColumns, PackedMatrix,
        QuantizedRows, StoredRowError, WeightFormat, KV_BLOCK, TILE,
    },
    linear_row, quantize_row,
    quantize_row::{blocks, BLOCK},
    rms_norm, rope, sample, SamplerSettings, WeightFault,
};
use half::f16;
use proptest::prelude::*;

/// Numbers a test draws its data from: cheap, seeded, and rich in edge cases.
struct Source(u64);

impl Source {
    fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Mostly ordinary numbers up to `scale`, some zeros, subnormals and extremes.
    fn value(&mut self, scale: f32) -> f32 {
        let ordinary = (self.bits() >> 40) as f32 / (1u64 << 23) as f32 - 1.0;
        match self.bits() % 24 {
            0 => 0.0,
            1 => -0.0,
            2 => f32::from_bits((self.bits() as u32) & 0x807f_ffff),
            3 => scale * if ordinary < 0.0 { -1.0 } else { 1.0 },
            4 => ordinary * 1e-20,
            5 => (ordinary * 8.0).round() / 8.0 * scale,
            _ => ordinary * scale,
        }
    }

    /// A row in which some whole blocks are zero.
    fn row(&mut self, len: usize, scale: f32) -> Vec<f32> {
        let mut row: Vec<f32> = (0..len).map(|_| self.value(scale)).collect();
        for block in row.chunks_mut(BLOCK) {
            match self.bits() % 8 {
                0 => block.fill(0.0),
                1 => block.fill(-0.0),
                2 => block.iter_mut().for_each(|x| *x *= 1e-31),
                _ => {}
            }
        }
        row
    }

    /// Stored blocks of any bytes a file may hold: scales of either sign, zeros and subnormals too.
    fn stored_row(&mut self, format: WeightFormat, columns: usize) -> Vec<u8> {
        let mut stored = Vec::new();
        for _ in 0..columns / BLOCK {
            let scale = f16::from_f32(self.value([1e-3, 6e4, 1e-7][self.0 as usize % 3]));
            stored.extend(scale.to_le_bytes());
            for _ in 2..format.stored_bytes() {
                let byte = self.bits() as u8;
                // -128 is no Q8_0 weight.
                let refused = format == WeightFormat::Q8_0 && byte == 0x80;
                stored.push(if refused { 0x81 } else { byte });
            }
        }
        stored
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

/// All kernels but the scalar one; if there are none, the tests compare scalar layouts.
fn kernels() -> Vec<Kernel> {
    Kernel::available().collect()
}

/// What the reference makes of one row: bytes and scales.
fn quantized(x: &[f32]) -> (Vec<i8>, Vec<f32>) {
    let n = blocks(x.len());
    let (mut q, mut d) = (vec![0; n * BLOCK], vec![0.0; n]);
    quantize_row(x, &mut q, &mut d).unwrap();
    (q, d)
}

/// Magnitudes up to the limit of operator 1.
const SCALES: [f32; 5] = [1.0, 1e-28, 3e4, 1.0e12, 1e-3];

fn compare_linear(
    seed: u64,
    outputs: usize,
    inputs: usize,
    rows: usize,
    scale: f32,
    format: WeightFormat,
) -> Result<(), TestCaseError> {
    let mut source = Source(seed | 1);
    // Q4_0 comes in whole blocks only.
    let inputs = match format {
        WeightFormat::Q8_0 => inputs,
        WeightFormat::Q4_0 => blocks(inputs) * BLOCK,
    };
    let mut matrix = PackedMatrix::zeros_in(format, outputs, inputs);
    for row in 0..outputs {
        match format {
            WeightFormat::Q8_0 => {
                let weights = source.row(inputs, [0.05, 8e6, 1e-6][row % 3]);
                matrix.set_row(row, &weights).unwrap();
            }
            WeightFormat::Q4_0 => {
                let stored = source.stored_row(format, inputs);
                matrix.set_stored_row(row, format, &stored).unwrap();
            }
        }
    }
    let x: Vec<Vec<f32>> = (0..rows).map(|_| source.row(inputs, scale)).collect();

    let mut expected = vec![0.0; rows * outputs];
    let n = blocks(inputs);
    let (mut scales, mut weights) = (vec![f16::ZERO; n], vec![0; n * BLOCK]);
    for output in 0..outputs {
        matrix.row(output, &mut scales, &mut weights);
        for (row, x) in x.iter().enumerate() {
            let (q, d) = quantized(x);
            expected[row * outputs + output] =
                linear_row::<Portable>(&scales, &weights, &d, &q, None);
        }
    }
    let bias = source.row(outputs, scale);
    let biased: Vec<f32> = expected
        .chunks_exact(outputs)
        .flat_map(|row| row.iter().zip(&bias).map(|(y, bias)| y + bias))
        .collect();
    for kernel in kernels() {
        let mut quantized = QuantizedRows::default();
        quantized.fill(kernel, &x.concat(), inputs).unwrap();
        for (bias, expected) in [(None, &expected), (Some(&bias[..]), &biased)] {
            for tiles in [1, 2, 3, matrix.tiles()] {
                let mut out = vec![f32::NAN; rows * outputs];
                for part in OutputColumns::new(&mut out, rows, outputs).chunks(tiles) {
                    kernel.linear_columns(&matrix, &quantized, bias, part);
                }
                prop_assert_eq!(bits(&out), bits(expected), "{}", kernel.name());
            }
        }
        // In one piece, and in two as threads would.
        for middle in [0, matrix.tiles() / 2] {
            let mut tiled = vec![f32::NAN; matrix.tiles() * rows * TILE];
            let (low, high) = tiled.split_at_mut(middle * rows * TILE);
            kernel.linear(&matrix, &quantized, 0..middle, low);
            kernel.linear(&matrix, &quantized, middle..matrix.tiles(), high);
            for row in 0..rows {
                for output in 0..outputs {
                    let got = tiled[output / TILE * rows * TILE + row * TILE + output % TILE];
                    let wanted = expected[row * outputs + output];
                    prop_assert_eq!(
                        got.to_bits(),
                        wanted.to_bits(),
                        "{}: row {}, output {}: {} is not {}",
                        kernel.name(),
                        row,
                        output,
                        got,
                        wanted
                    );
                }
            }
        }
    }
    Ok(())
}

#[allow(clippy::too_many_arguments)]
fn compare_attention(
    seed: u64,
    head_dim: usize,
    group: usize,
    first: usize,
    rows: usize,
    window: Option<usize>,
    soft_cap: Option<f32>,
    scale: f32,
) -> Result<(), TestCaseError> {
    let mut source = Source(seed | 1);
    let total = first + rows;
    let mut half = |scale: f32| -> Vec<f16> {
        (0..total * head_dim)
            .map(|_| f16::from_f32(source.value(scale)))
            .collect()
    };
    let (keys, values) = (half(scale), half(60_000.0));
    let queries: Vec<f32> = (0..rows * group * head_dim)
        .map(|_| source.value(scale))
        .collect();
    let scoring = Scoring {
        scale: score_scale(head_dim),
        soft_cap,
    };
    let mut expected = vec![0.0; queries.len()];
    for ((index, query), out) in queries
        .chunks_exact(head_dim)
        .enumerate()
        .zip(expected.chunks_exact_mut(head_dim))
    {
        let position = first + index / group;
        attend::<Portable>(query, &keys, &values, position, window, scoring, out);
    }
    // A pool with strangers' blocks in it, this sequence's in random order; what lies beyond its
    // end must not show.
    let blocks = total.div_ceil(KV_BLOCK);
    let mut table: Vec<u32> = (0..blocks as u32 + 3).collect();
    for i in 0..blocks {
        let other = i + (source.bits() as usize) % (table.len() - i);
        table.swap(i, other);
    }
    let len = KV_BLOCK * head_dim;
    let stranger = || vec![f16::MAX; (blocks + 3) * len];
    let (mut key_pool, mut value_pool) = (stranger(), stranger());
    for t in 0..total {
        let block = table[t / KV_BLOCK] as usize * len;
        for i in 0..head_dim {
            key_pool[block + i * KV_BLOCK + t % KV_BLOCK] = keys[t * head_dim + i];
            value_pool[block + t % KV_BLOCK * head_dim + i] = values[t * head_dim + i];
        }
    }
    let cache = HeadCache {
        keys: &key_pool,
        values: &value_pool,
        table: &table[..blocks],
        head_dim,
    };
    for kernel in kernels() {
        // Scratch that another call left behind must not show.
        let mut scratch = AttentionScratch::default();
        for _ in 0..2 {
            let mut out = vec![f32::NAN; queries.len()];
            let task = AttentionTask {
                queries: &queries,
                group,
                positions: first..total,
                cache,
                window,
                scoring,
            };
            kernel.attend(task, &mut scratch, &mut out);
            prop_assert_eq!(bits(&out), bits(&expected), "{}", kernel.name());
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn linear(
        seed: u64,
        outputs in 1usize..70,
        inputs in 1usize..200,
        rows in 1usize..20,
        scale in prop::sample::select(&SCALES[..]),
        format in prop::sample::select(&[WeightFormat::Q8_0, WeightFormat::Q4_0][..]),
    ) {
        compare_linear(seed, outputs, inputs, rows, scale, format)?;
    }

    #[test]
    fn attention(
        seed: u64,
        head_dim in prop::sample::select(&[2usize, 16, 24, 40, 64, 72, 96, 128][..]),
        group in 1usize..4,
        first in 0usize..300,
        rows in 1usize..5,
        window in prop::option::of(1usize..200),
        soft_cap in prop::option::of(1.0f32..50.0),
        scale in prop::sample::select(&[0.1f32, 1.0, 5.0, 6e4][..]),
    ) {
        compare_attention(seed, head_dim, group, first, rows, window, soft_cap, scale)?;
    }

    #[test]
    fn quantised_rows(seed: u64, len in 1usize..200, scale in prop::sample::select(&SCALES[..])) {
        let x = Source(seed | 1).row(len, scale);
        let expected = quantized(&x);
        for kernel in kernels() {
            let n = blocks(len);
            let (mut q, mut d) = (vec![9i8; n * BLOCK], vec![f32::NAN; n]);
            prop_assert!(kernel.quantize_row(&x, &mut q, &mut d).is_ok());
            prop_assert_eq!(&q, &expected.0, "{}", kernel.name());
            prop_assert_eq!(bits(&d), bits(&expected.1), "{}", kernel.name());
        }
    }

    #[test]
    fn norms(seed: u64, len in 1usize..300, scale in prop::sample::select(&[1f32, 1e-22, 1e19, 3e38][..])) {
        let mut source = Source(seed | 1);
        let (x, weight) = (source.row(len, scale), source.row(len, 1_048_576.0));
        let mut expected = vec![0.0; len];
        rms_norm::<Portable>(&x, &weight, 1e-5, &mut expected);
        for kernel in kernels() {
            let mut out = vec![f32::NAN; len];
            kernel.rms_norm(&x, &weight, 1e-5, &mut out);
            prop_assert_eq!(bits(&out), bits(&expected), "{}", kernel.name());
            let mut out = x.clone();
            kernel.rms_norm_in_place(&mut out, &weight, 1e-5);
            prop_assert_eq!(bits(&out), bits(&expected), "{} in place", kernel.name());
        }
    }

    #[test]
    fn gated_activations_and_rope(seed: u64, half in 1usize..100, scale in prop::sample::select(&[1f32, 90.0, 1e30][..])) {
        let mut source = Source(seed | 1);
        let (gate, up) = (source.row(half, scale), source.row(half, scale));
        let mut expected = gate.clone();
        activation::swiglu::<Portable>(&mut expected, &up);
        let mut expected_gelu = gate.clone();
        activation::gelu_tanh_gated::<Portable>(&mut expected_gelu, &up);
        let head = source.row(2 * half, scale);
        let (cos, sin): (Vec<f32>, Vec<f32>) = (0..half)
            .map(|i| rope::cos_sin((seed % 5000) as u32, 1.0 / (i + 1) as f64))
            .unzip();
        let mut turned = head.clone();
        rope::rotate::<Portable>(&mut turned, &cos, &sin);
        for kernel in kernels() {
            let mut out = gate.clone();
            kernel.swiglu(&mut out, &up);
            prop_assert_eq!(bits(&out), bits(&expected), "{}", kernel.name());
            let mut out = gate.clone();
            kernel.gelu_tanh_gated(&mut out, &up);
            prop_assert_eq!(bits(&out), bits(&expected_gelu), "{}", kernel.name());
            let mut out = head.clone();
            kernel.rotate(&mut out, &cos, &sin);
            prop_assert_eq!(bits(&out), bits(&turned), "{}", kernel.name());
        }
    }

    #[test]
    fn sampling(
        seed: u64,
        rows in 1usize..300,
        temperature in 0u32..3000,
        top_k in 1u16..=64,
        top_p in 1u16..=1000,
    ) {
        let logits = Source(seed | 1).row(rows, 20.0);
        let settings = SamplerSettings::new(temperature, top_k, top_p).unwrap();
        let key = [seed as u8; 32];
        let expected = sample::<Portable>(&logits, settings, &key, seed >> 32);
        for kernel in kernels() {
            prop_assert_eq!(kernel.sample(&logits, settings, &key, seed >> 32), expected);
        }
    }
}

/// A Q4_0 row gives the same bits in a Q4_0 matrix and, widened, in a Q8_0 one.
#[test]
fn q4_0_rows_keep_their_bits_in_a_q8_0_matrix() {
    let mut source = Source(77);
    let (rows, columns) = (21, 96);
    let mut narrow = PackedMatrix::zeros_in(WeightFormat::Q4_0, rows, columns);
    let mut wide = PackedMatrix::zeros(rows, columns);
    for row in 0..rows {
        let stored = source.stored_row(WeightFormat::Q4_0, columns);
        for matrix in [&mut narrow, &mut wide] {
            matrix
                .set_stored_row(row, WeightFormat::Q4_0, &stored)
                .unwrap();
        }
        let mut read = [(); 2].map(|()| (vec![f16::ONE; 3], vec![0i8; 96]));
        narrow.row(row, &mut read[0].0, &mut read[0].1);
        wide.row(row, &mut read[1].0, &mut read[1].1);
        assert_eq!(read[0], read[1]);
        assert_eq!(read[0].1[5], (stored[2 + 5] & 15) as i8 - 8);
        assert_eq!(read[0].1[21], (stored[2 + 5] >> 4) as i8 - 8);
    }
    assert_eq!(narrow.bytes(), 2 * 3 * 16 * 18);
    let x = source.row(3 * columns, 1.0);
    for kernel in kernels() {
        let mut quantized = QuantizedRows::default();
        quantized.fill(kernel, &x, columns).unwrap();
        let mut out = [(); 2].map(|()| vec![f32::NAN; 2 * 3 * TILE]);
        kernel.linear(&narrow, &quantized, 0..2, &mut out[0]);
        kernel.linear(&wide, &quantized, 0..2, &mut out[1]);
        assert_eq!(bits(&out[0]), bits(&out[1]), "{}", kernel.name());
    }
}

#[test]
fn stored_rows_that_do_not_fit_are_refused() {
    let mut q8 = PackedMatrix::zeros(1, 64);
    let mut q4 = PackedMatrix::zeros_in(WeightFormat::Q4_0, 1, 64);
    let good = vec![0u8; 68];
    assert_eq!(q8.set_stored_row(0, WeightFormat::Q8_0, &good), Ok(()));
    let length = |given, expected| Err(StoredRowError::Length { expected, given });
    for given in [0, 67, 69] {
        let result = q8.set_stored_row(0, WeightFormat::Q8_0, &vec![0; given]);
        assert_eq!(result, length(given, 68));
    }
    assert_eq!(
        q4.set_stored_row(0, WeightFormat::Q4_0, &good),
        length(68, 36)
    );
    let format = q4.set_stored_row(0, WeightFormat::Q8_0, &good);
    assert_eq!(format, Err(StoredRowError::Format));
    assert!(format.unwrap_err().to_string().contains("Q8_0"));
    let mut odd = PackedMatrix::zeros(1, 40);
    let columns = odd.set_stored_row(0, WeightFormat::Q8_0, &good);
    assert_eq!(columns, Err(StoredRowError::Columns(40)));
    for (at, byte, fault) in [
        (40, 0x80, WeightFault::ByteOutOfRange),
        (35, 0x7c, WeightFault::ScaleNotFinite),
    ] {
        let mut bad = good.clone();
        bad[at] = byte;
        let result = q8.set_stored_row(0, WeightFormat::Q8_0, &bad);
        assert_eq!(result, Err(StoredRowError::Weights(fault)));
    }
    // 0x80 is two ordinary nibbles.
    assert_eq!(
        q4.set_stored_row(0, WeightFormat::Q4_0, &[0x80; 36]),
        Ok(())
    );
}

/// The largest dot products, alone and with the largest scales.
#[test]
fn linear_at_the_largest_magnitudes() {
    for sign in [1.0, -1.0] {
        let mut matrix = PackedMatrix::zeros(17, 64);
        for row in 0..17 {
            matrix.set_row(row, &[sign * 8_000_000.0; 64]).unwrap();
        }
        let x = [-1.0e12f32; 64];
        let (q, d) = quantized(&x);
        let (mut scales, mut weights) = (vec![f16::ZERO; 2], vec![0; 64]);
        matrix.row(16, &mut scales, &mut weights);
        let expected = linear_row::<Portable>(&scales, &weights, &d, &q, None);
        assert!(expected.abs() > 1e20);
        for kernel in kernels() {
            let mut rows = QuantizedRows::default();
            rows.fill(kernel, &x, 64).unwrap();
            let mut out = [0.0; 2 * TILE];
            kernel.linear(&matrix, &rows, 0..2, &mut out);
            assert_eq!(bits(&out[..17]), vec![expected.to_bits(); 17]);
            assert_eq!(bits(&out[17..]), vec![0; 15], "padding rows are +0");
        }
    }
}

#[test]
fn a_fault_is_a_fault_on_every_kernel() {
    for kernel in kernels() {
        for bad in [1.1e12, f32::INFINITY, f32::NAN, -f32::NAN] {
            let mut x = vec![1.0; 100];
            x[77] = bad;
            let (mut q, mut d) = (vec![0; 128], vec![0.0; 4]);
            assert!(kernel.quantize_row(&x, &mut q, &mut d).is_err());
        }
    }
}

#[test]
fn kernels_are_found_by_name_and_the_fastest_comes_first() {
    let names: Vec<_> = Kernel::available().map(Kernel::name).collect();
    assert_eq!(names.last(), Some(&"scalar"));
    assert_eq!(Kernel::detect().name(), names[0]);
    for name in &names {
        assert_eq!(Kernel::named(name).unwrap().name(), *name);
    }
    let error = Kernel::named("abacus").unwrap_err().to_string();
    assert!(
        error.contains("abacus") && error.contains("scalar"),
        "{error}"
    );
}
