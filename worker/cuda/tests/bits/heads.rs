use genesisflow_canonical::{
    attention::round_key_value,
    fused::Portable,
    rms_norm::rms_norm_in_place,
    rope::{cos_sin, frequency, rotate, RopeScaling},
};
use genesisflow_cuda::{
    layout::kv_layer_bytes,
    operators::{heads, HeadShape, HeadsTask, Rope, Rows},
};
use half::f16;

use crate::{
    memory::{assert_bits, faults, floats, halves, numbers, Memory},
    values::Values,
};

const POSITIONS: usize = 100;
const KV_BLOCKS: usize = 9;
const TABLES: [u32; 8] = [3, 0, 8, 1, 5, 2, 7, 4];
const STRIDE: usize = 4;
const EPS: f32 = 1e-6;

struct Tables {
    cosines: Vec<f32>,
    sines: Vec<f32>,
}

fn tables(head_dim: usize) -> Tables {
    let mut t = Tables {
        cosines: Vec::new(),
        sines: Vec::new(),
    };
    for position in 0..POSITIONS as u32 {
        for i in 0..head_dim / 2 {
            let (c, s) = cos_sin(position, frequency(1e4, i, head_dim, RopeScaling::None));
            t.cosines.push(c);
            t.sines.push(s);
        }
    }
    t
}

struct Outcome {
    queries: Vec<f32>,
    keys: Vec<f16>,
    values: Vec<f16>,
    faults: Vec<u32>,
}

fn run(
    shape: HeadShape,
    qkv: &[f32],
    norms: Option<(&[f32], &[f32])>,
    positions: &[u32],
    sequences: &[u32],
) -> Outcome {
    let memory = Memory::new();
    let dim = shape.head_dim;
    let count = positions.len();
    let tables = tables(dim);
    let (cosines, sines) = (memory.floats(&tables.cosines), memory.floats(&tables.sines));
    let (positions, sequences) = (memory.numbers(positions), memory.numbers(sequences));
    let (blocks, qkv) = (memory.numbers(&TABLES), memory.floats(qkv));
    let norms = norms.map(|(q, k)| (memory.floats(q), memory.floats(k)));
    let layer = kv_layer_bytes(KV_BLOCKS, shape.kv_heads, dim);
    let (keys, values) = (memory.zeroed(layer), memory.zeroed(layer));
    let queries = memory.zeroed(count * shape.heads * dim * 4);
    let at = memory.faults(count);
    let task = HeadsTask {
        qkv: qkv.span(),
        shape,
        query_norm: norms.as_ref().map(|n| n.0.span()),
        key_norm: norms.as_ref().map(|n| n.1.span()),
        eps: EPS,
        rope: Rope {
            cosines: cosines.span(),
            sines: sines.span(),
            positions: POSITIONS,
        },
        rows: Rows {
            count,
            positions: positions.span(),
            sequences: sequences.span(),
            tables: blocks.span(),
            table_stride: STRIDE,
            sequence_count: TABLES.len() / STRIDE,
        },
        keys: keys.span(),
        values: values.span(),
        kv_blocks: KV_BLOCKS,
        queries: queries.span(),
    };
    heads(memory.device(), &task, faults(&at, 20)).unwrap();
    Outcome {
        queries: floats(queries.span()),
        keys: halves(keys.span()),
        values: halves(values.span()),
        faults: numbers(at.span()),
    }
}

#[test]
fn queries_keys_and_values() {
    let mut values = Values::new(21);
    for (heads, kv_heads, dim) in [(1, 1, 2), (4, 2, 24), (3, 3, 64), (6, 2, 72), (2, 1, 160)] {
        for normed in [false, true] {
            let shape = HeadShape {
                heads,
                kv_heads,
                head_dim: dim,
            };
            let positions = [0u32, 99, 31, 32, 64];
            let sequences = [0u32, 0, 1, 1, 1];
            let all = heads + 2 * kv_heads;
            let mut qkv = values.units(positions.len() * all * dim);
            // Subnormals of f16, ties and zeros among keys and values.
            for x in qkv.iter_mut().step_by(7) {
                *x *= 1e-6;
            }
            (qkv[0], qkv[dim]) = (-0.0, f32::from_bits(3));
            let norms = normed.then(|| (values.units(dim), values.units(dim)));
            let norms = norms.as_ref().map(|(q, k)| (q.as_slice(), k.as_slice()));
            let got = run(shape, &qkv, norms, &positions, &sequences);
            let tables = tables(dim);

            let mut queries = Vec::new();
            let layer = KV_BLOCKS * kv_heads * dim * 32;
            let (mut keys, mut stored) = (vec![f16::ZERO; layer], vec![f16::ZERO; layer]);
            for (row, x) in qkv.chunks_exact_mut(all * dim).enumerate() {
                let position = positions[row] as usize;
                let angles = position * dim / 2..(position + 1) * dim / 2;
                for (head, x) in x.chunks_exact_mut(dim).enumerate() {
                    if head < heads + kv_heads {
                        if let Some((q, k)) = norms {
                            let weight = if head < heads { q } else { k };
                            rms_norm_in_place::<Portable>(x, weight, EPS);
                        }
                        let (c, s) = (
                            &tables.cosines[angles.clone()],
                            &tables.sines[angles.clone()],
                        );
                        rotate::<Portable>(x, c, s);
                    }
                    if head < heads {
                        queries.extend_from_slice(x);
                        continue;
                    }
                    let mut rounded = vec![f16::ZERO; dim];
                    round_key_value(x, &mut rounded).unwrap();
                    let table = sequences[row] as usize * STRIDE + position / 32;
                    let block = TABLES[table] as usize * kv_heads;
                    for (i, rounded) in rounded.into_iter().enumerate() {
                        if head < heads + kv_heads {
                            let at = (block + head - heads) * dim + i;
                            keys[at * 32 + position % 32] = rounded;
                        } else {
                            let at = (block + head - heads - kv_heads) * 32 + position % 32;
                            stored[at * dim + i] = rounded;
                        }
                    }
                }
            }
            let what = format!("{heads}/{kv_heads} heads of {dim}, norms: {normed}");
            assert_bits(&got.queries, &queries, &what);
            let bits = |x: &[f16]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert!(bits(&got.keys) == bits(&keys), "{what}: keys");
            assert!(bits(&got.values) == bits(&stored), "{what}: values");
            assert_eq!(got.faults, [u32::MAX; 5]);
        }
    }
}

#[test]
fn rounding_to_f16_keeps_subnormals_and_faults_beyond() {
    let shape = HeadShape {
        heads: 1,
        kv_heads: 1,
        head_dim: 2,
    };
    // Position 0 turns nothing. Rows: query, key, value.
    let cases: [([f32; 2], [f32; 2], u32); 6] = [
        ([65_519.0, -5.96e-8], [1.0, -65_519.0], u32::MAX),
        ([65_520.0, 0.0], [0.0, 0.0], 20),
        ([0.0, 0.0], [0.0, -65_520.0], 21),
        ([f32::NAN, 0.0], [f32::INFINITY, 0.0], 20),
        ([2.9e-8, 2.981e-8], [6.1e-5, 6.097e-5], u32::MAX),
        ([-0.0, 1.0], [f32::NAN, 0.0], 21),
    ];
    for (key, value, fault) in cases {
        let qkv = [1.0, 2.0, key[0], key[1], value[0], value[1]];
        let got = run(shape, &qkv, None, &[0], &[0]);
        assert_eq!(got.faults, [fault], "{key:?} {value:?}");
        if fault == u32::MAX {
            let block = TABLES[0] as usize * 2 * 32;
            let stored = [got.keys[block], got.keys[block + 32], got.values[block]];
            let expected = [key[0], key[1], value[0]].map(|x| f16::from_f32(x).to_bits());
            assert_eq!(stored.map(f16::to_bits), expected);
        }
    }
}
