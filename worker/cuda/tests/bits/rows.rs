use genesisflow_canonical::{
    activation::{gelu_tanh_gated, swiglu},
    embedding,
    fused::Portable,
    kernels::WeightFormat,
    quantize_row::{self, blocks, BLOCK},
    rms_norm,
};
use genesisflow_cuda::{
    operators::{embed, gated, gather, quantize, rms_norm as norm, Activation, Faults, Matrix},
    pack,
};
use half::f16;

use crate::{
    memory::{assert_bits, faults, floats, numbers, Memory},
    values::Values,
};

/// Row lengths: one element, around a block, around a warp's and a block of threads' share.
const WIDTHS: [usize; 10] = [1, 31, 32, 33, 64, 100, 576, 1024, 2080, 5003];

fn expected_quants(row: &[f32]) -> (Vec<i8>, Vec<f32>) {
    let n = blocks(row.len());
    let (mut q, mut d) = (vec![0; n * BLOCK], vec![0.0; n]);
    quantize_row::quantize_row(row, &mut q, &mut d).unwrap();
    (q, d)
}

#[test]
fn quantised_rows() {
    let memory = Memory::new();
    let mut values = Values::new(1);
    for (width, rows) in WIDTHS.into_iter().zip([1, 2, 3, 8, 9, 1, 17, 4, 3, 2]) {
        let mut x = values.activations(rows * width);
        // The least magnitude that is not zero, and the largest that is no fault.
        x[0] = f32::from_bits(0x0d80_0000);
        if width > 40 {
            x[33] = f32::from_bits(0x537f_ffff);
            x[width - 1] = f32::from_bits(0x0d7f_ffff);
        }
        let out = memory.quantized(rows, width);
        let at = memory.faults(rows);
        let on_device = memory.floats(&x);
        quantize(
            memory.device(),
            on_device.span(),
            rows,
            width,
            out.spans(),
            faults(&at, 5),
        )
        .unwrap();
        for (row, x) in x.chunks_exact(width).enumerate() {
            let (q, d) = out.row(row);
            let (expected_q, expected_d) = expected_quants(x);
            assert_eq!(q, expected_q, "{width} columns, row {row}");
            assert_bits(&d, &expected_d, &format!("{width} columns, row {row}"));
        }
        assert_eq!(numbers(at.span()), vec![u32::MAX; rows]);
    }
}

#[test]
fn ties_round_to_even_and_the_factor_is_127_over_amax() {
    let memory = Memory::new();
    let mut rows = Vec::new();
    for i in 0..512 {
        let amax = 1.0 + i as f32 * 1.93e-3;
        let mut row = [0.0f32; BLOCK];
        row[0] = -amax;
        for (half, x) in row[1..].iter_mut().enumerate() {
            *x = (half as f32 * 4.0 + 0.5) / (127.0 / amax);
        }
        rows.extend(row);
    }
    let out = memory.quantized(512, BLOCK);
    let at = memory.faults(512);
    let x = memory.floats(&rows);
    quantize(
        memory.device(),
        x.span(),
        512,
        BLOCK,
        out.spans(),
        faults(&at, 0),
    )
    .unwrap();
    for (row, x) in rows.chunks_exact(BLOCK).enumerate() {
        assert_eq!(out.row(row), expected_quants(x), "row {row}");
    }
}

#[test]
fn faults_name_their_row_and_keep_the_least_code() {
    let memory = Memory::new();
    let (rows, width) = (6, 70);
    let mut x = vec![1.0f32; rows * width];
    x[width + 69] = f32::from_bits(0x5380_0000);
    x[3 * width + 5] = f32::NAN;
    x[4 * width] = f32::NEG_INFINITY;
    let out = memory.quantized(rows, width);
    let at = memory.numbers(&[u32::MAX, u32::MAX, u32::MAX, 2, 9, u32::MAX]);
    let x = memory.floats(&x);
    let device = memory.device();
    quantize(device, x.span(), rows, width, out.spans(), faults(&at, 7)).unwrap();
    assert_eq!(numbers(at.span()), [u32::MAX, 7, u32::MAX, 2, 7, u32::MAX]);
    // Rows of a step that are not all there: the third and fourth are the step's tenth and first.
    let at = memory.faults(10);
    let row_of = memory.numbers(&[2, 3, 9, 0, 4, 5]);
    let noted = Faults {
        at: at.span(),
        row_of: Some(row_of.span()),
        code: 3,
    };
    quantize(device, x.span(), rows, width, out.spans(), noted).unwrap();
    let mut expected = [u32::MAX; 10];
    (expected[3], expected[0], expected[4]) = (3, 3, 3);
    assert_eq!(numbers(at.span()), expected);
}

#[test]
fn norms() {
    let memory = Memory::new();
    let mut values = Values::new(2);
    // The last does not fit in shared memory.
    for (width, rows) in WIDTHS
        .into_iter()
        .chain([20_001])
        .zip([1, 3, 2, 5, 9, 1, 2, 3, 1, 2, 1])
    {
        for eps in [1e-5f32, 1.0] {
            let x = if eps == 1.0 {
                values.mild_activations(rows * width)
            } else {
                values.activations(rows * width)
            };
            let weight = values.units(width);
            let mut expected = vec![0.0; rows * width];
            for (x, out) in x.chunks_exact(width).zip(expected.chunks_exact_mut(width)) {
                rms_norm::<Portable>(x, &weight, eps, out);
            }
            let (x, weight) = (memory.floats(&x), memory.floats(&weight));
            let normed = memory.zeroed(rows * width * 4);
            let quantized = memory.quantized(rows, width);
            let at = memory.faults(rows);
            norm(
                memory.device(),
                x.span(),
                weight.span(),
                eps,
                rows,
                width,
                Some(normed.span()),
                Some(quantized.spans()),
                faults(&at, 1),
            )
            .unwrap();
            let what = format!("{width} columns, eps {eps}");
            assert_bits(&floats(normed.span()), &expected, &what);
            for (row, expected) in expected.chunks_exact(width).enumerate() {
                assert_eq!(quantized.row(row), expected_quants(expected), "{what}");
            }
            assert_eq!(numbers(at.span()), vec![u32::MAX; rows]);
        }
    }
}

#[test]
fn a_norm_whose_sum_overflows_goes_on_and_one_of_its_result_is_a_fault() {
    let memory = Memory::new();
    let x = memory.floats(&[3e38, -3e38, 1e-30, 1e-30]);
    let weight = memory.floats(&[1.0, 1.0]);
    let normed = memory.zeroed(16);
    let quantized = memory.quantized(2, 2);
    let at = memory.faults(2);
    let run = |weight: &genesisflow_cuda::Buffer| {
        norm(
            memory.device(),
            x.span(),
            weight.span(),
            1e-30,
            2,
            2,
            Some(normed.span()),
            Some(quantized.spans()),
            faults(&at, 4),
        )
        .unwrap();
    };
    run(&weight);
    assert_eq!(numbers(normed.span())[..2], [0, 0x8000_0000]);
    assert_eq!(numbers(at.span()), [u32::MAX; 2]);
    run(&memory.floats(&[f32::MAX, 1.0]));
    assert_eq!(numbers(at.span()), [u32::MAX, 4]);
}

#[test]
fn embeddings() {
    let memory = Memory::new();
    let mut values = Values::new(3);
    for format in [WeightFormat::Q8_0, WeightFormat::Q4_0] {
        for (tokens, width) in [(1, 1), (40, 65), (17, 576)] {
            let n = blocks(width);
            let scales: Vec<f16> = (0..tokens * n).map(|_| values.scale()).collect();
            let numbers = crate::linear::weights(&mut values, format, tokens * n * BLOCK);
            let packed = pack::pack(format, tokens, width, |row, s, q| {
                s.copy_from_slice(&scales[row * n..(row + 1) * n]);
                q.copy_from_slice(&numbers[row * n * BLOCK..(row + 1) * n * BLOCK]);
            });
            let (q, s) = (memory.bytes(&packed.quants), memory.bytes(&packed.scales));
            let matrix = Matrix::new(&packed, q.span(), s.span());
            let ids: Vec<u32> = (0..9).map(|_| values.below(tokens) as u32).collect();
            let out = memory.zeroed(9 * width * 4);
            let on_device = memory.numbers(&ids);
            embed(memory.device(), &matrix, on_device.span(), 9, out.span()).unwrap();
            let mut expected = vec![0.0; 9 * width];
            for (id, out) in ids.iter().zip(expected.chunks_exact_mut(width)) {
                let id = *id as usize;
                embedding::embed(
                    &scales[id * n..(id + 1) * n],
                    &numbers[id * n * BLOCK..(id + 1) * n * BLOCK],
                    None,
                    out,
                );
            }
            assert_bits(&floats(out.span()), &expected, &format!("{format:?}"));
        }
    }
}

#[test]
fn gathered_rows() {
    let memory = Memory::new();
    let mut values = Values::new(4);
    let x = values.activations(7 * 300);
    let rows = [6u32, 0, 0, 3];
    let out = memory.zeroed(4 * 300 * 4);
    let (from, list) = (memory.floats(&x), memory.numbers(&rows));
    gather(
        memory.device(),
        from.span(),
        list.span(),
        4,
        300,
        out.span(),
    )
    .unwrap();
    let expected: Vec<f32> = rows
        .iter()
        .flat_map(|row| x[*row as usize * 300..][..300].to_vec())
        .collect();
    assert_bits(&floats(out.span()), &expected, "gathered");
}

#[test]
fn gated_activations() {
    let memory = Memory::new();
    let mut values = Values::new(5);
    let mut gates = values.activations(20_000);
    // Arguments around the ends of exp_c, and beyond.
    for (i, gate) in gates.iter_mut().enumerate().take(8_000) {
        *gate = (i as f32 - 4_000.0) * 0.025;
    }
    gates[8_000..8_005].copy_from_slice(&[87.0, 87.000_01, 88.0, 88.1, 1e30]);
    let ups = values.units(gates.len());
    type Reference = fn(&mut [f32], &[f32]);
    let cases: [(Activation, Reference); 2] = [
        (Activation::Silu, swiglu::<Portable>),
        (Activation::GeluTanh, gelu_tanh_gated::<Portable>),
    ];
    for (activation, reference) in cases {
        let mut expected = gates.clone();
        reference(&mut expected, &ups);
        let (gate, up) = (memory.floats(&gates), memory.floats(&ups));
        gated(
            memory.device(),
            gate.span(),
            up.span(),
            activation,
            gates.len(),
            gate.span(),
        )
        .unwrap();
        assert_bits(&floats(gate.span()), &expected, &format!("{activation:?}"));
    }
}
