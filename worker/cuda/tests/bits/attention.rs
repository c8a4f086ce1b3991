use genesisflow_canonical::{
    attention::{attend as reference, score_scale, Scoring},
    fused::Portable,
    quantize_row::{blocks, quantize_row, BLOCK},
};
use genesisflow_cuda::{
    layout::{attention_scratch_bytes, attention_tiles, kv_layer_bytes},
    operators::{attend, AttentionPlan, AttentionTask, HeadShape, Rows},
};
use half::f16;

use crate::{
    memory::{assert_bits, faults, floats, numbers, Memory},
    values::Values,
};

/// Blocks of the cache; half of them belong to each of two sequences, in no order.
const KV_BLOCKS: usize = 80;
const STRIDE: usize = KV_BLOCKS / 2;
const POSITIONS: usize = STRIDE * 32;

/// A layer's cache and some rows.
struct Case {
    shape: HeadShape,
    window: Option<usize>,
    soft_cap: Option<f32>,
    /// Of all heads, `[sequence][position][KV head][head_dim]`.
    keys: Vec<f16>,
    values: Vec<f16>,
    tables: Vec<u32>,
    queries: Vec<f32>,
    positions: Vec<u32>,
    sequences: Vec<u32>,
}

impl Case {
    fn new(values: &mut Values, shape: HeadShape, rows: &[(u32, u32)]) -> Self {
        let elements = 2 * POSITIONS * shape.kv_heads * shape.head_dim;
        let mut half = |_| match values.bits() % 16 {
            0 => f16::from_bits(values.bits() as u16 & 0x83ff),
            1 => f16::from_f32(values.unit() * 30.0),
            _ => f16::from_f32(values.unit()),
        };
        let (keys, stored) = (
            (0..elements).map(&mut half).collect(),
            (0..elements).map(&mut half).collect(),
        );
        let mut tables: Vec<u32> = (0..KV_BLOCKS as u32).collect();
        for i in (1..tables.len()).rev() {
            tables.swap(i, values.below(i + 1));
        }
        Self {
            shape,
            window: None,
            soft_cap: None,
            keys,
            values: stored,
            tables,
            // Moderate, so that no weight outdoes all others and every sum has many terms.
            queries: values.mild_activations(rows.len() * shape.heads * shape.head_dim),
            positions: rows.iter().map(|row| row.1).collect(),
            sequences: rows.iter().map(|row| row.0).collect(),
        }
    }

    fn expected(&self) -> Vec<f32> {
        let HeadShape {
            heads,
            kv_heads,
            head_dim: dim,
        } = self.shape;
        let scoring = Scoring {
            scale: score_scale(dim),
            soft_cap: self.soft_cap,
        };
        let mut out = vec![0.0; self.queries.len()];
        for (i, (query, out)) in self
            .queries
            .chunks_exact(dim)
            .zip(out.chunks_exact_mut(dim))
            .enumerate()
        {
            let (row, kv_head) = (i / heads, i % heads / (heads / kv_heads));
            let sequence = self.sequences[row] as usize;
            let of_head = |x: &[f16]| -> Vec<f16> {
                let at = |t| ((sequence * POSITIONS + t) * kv_heads + kv_head) * dim;
                (0..POSITIONS)
                    .flat_map(|t| x[at(t)..at(t) + dim].to_vec())
                    .collect()
            };
            reference::<Portable>(
                query,
                &of_head(&self.keys),
                &of_head(&self.values),
                self.positions[row] as usize,
                self.window,
                scoring,
                out,
            );
        }
        out
    }

    /// Keys and values as the cache has them; what no row may look at is NaN.
    fn cache(&self) -> (Vec<f16>, Vec<f16>) {
        let (kv_heads, dim) = (self.shape.kv_heads, self.shape.head_dim);
        let n = kv_layer_bytes(KV_BLOCKS, kv_heads, dim) / 2;
        let (mut keys, mut values) = (vec![f16::NAN; n], vec![f16::NAN; n]);
        for sequence in 0..2 {
            let last = self
                .sequences
                .iter()
                .zip(&self.positions)
                .filter(|row| *row.0 == sequence as u32)
                .map(|row| *row.1 as usize + 1)
                .max();
            for t in 0..last.unwrap_or(0) {
                let block = self.tables[sequence * STRIDE + t / 32] as usize;
                for head in 0..kv_heads {
                    for i in 0..dim {
                        let from = ((sequence * POSITIONS + t) * kv_heads + head) * dim + i;
                        let block = block * kv_heads + head;
                        keys[(block * dim + i) * 32 + t % 32] = self.keys[from];
                        values[(block * 32 + t % 32) * dim + i] = self.values[from];
                    }
                }
            }
        }
        (keys, values)
    }

    /// Runs it as decode and, for runs of so many rows, as prefill; both must give the same.
    #[track_caller]
    fn check(&self, runs: &[usize], what: &str) {
        let memory = Memory::new();
        let HeadShape {
            heads,
            kv_heads,
            head_dim: dim,
        } = self.shape;
        let (count, columns) = (self.positions.len(), heads * dim);
        let (keys, values) = self.cache();
        let (keys, values) = (memory.halves(&keys), memory.halves(&values));
        let (queries, tables) = (memory.floats(&self.queries), memory.numbers(&self.tables));
        let positions = memory.numbers(&self.positions);
        let sequences = memory.numbers(&self.sequences);
        let tiles = attention_tiles(runs, heads / kv_heads, dim);
        let tile_list = memory.numbers(tiles.as_flattened());
        let scratch = memory.zeroed(attention_scratch_bytes(count, heads, dim, POSITIONS));
        let expected = self.expected();
        for plan in [
            AttentionPlan::Decode {
                max_positions: POSITIONS,
                scratch: scratch.span(),
            },
            AttentionPlan::Prefill {
                tiles: tile_list.span(),
                tile_count: tiles.len(),
            },
        ] {
            let out = memory.zeroed(count * columns * 4);
            let quantized = memory.quantized(count, columns);
            let at = memory.faults(count);
            let task = AttentionTask {
                queries: queries.span(),
                shape: self.shape,
                rows: Rows {
                    count,
                    positions: positions.span(),
                    sequences: sequences.span(),
                    tables: tables.span(),
                    table_stride: STRIDE,
                    sequence_count: 2,
                },
                keys: keys.span(),
                values: values.span(),
                kv_blocks: KV_BLOCKS,
                window: self.window,
                scale: score_scale(dim),
                soft_cap: self.soft_cap,
                out: out.span(),
                quantized: Some(quantized.spans()),
            };
            attend(memory.device(), &task, plan, faults(&at, 1)).unwrap();
            let name = match plan {
                AttentionPlan::Decode { .. } => "decode",
                AttentionPlan::Prefill { .. } => "prefill",
            };
            let what = format!("{what}, {name}");
            assert_bits(&floats(out.span()), &expected, &what);
            for (row, expected) in expected.chunks_exact(columns).enumerate() {
                let n = blocks(columns);
                let (mut q, mut d) = (vec![0; n * BLOCK], vec![0.0; n]);
                quantize_row(expected, &mut q, &mut d).unwrap();
                assert_eq!(quantized.row(row), (q, d), "{what}: quantised row {row}");
            }
            assert_eq!(numbers(at.span()), vec![u32::MAX; count]);
        }
    }
}

fn shape(heads: usize, kv_heads: usize, head_dim: usize) -> HeadShape {
    HeadShape {
        heads,
        kv_heads,
        head_dim,
    }
}

/// Single rows of both sequences, and a run of rows that crosses a partition's end.
fn mixed_rows() -> (Vec<(u32, u32)>, Vec<usize>) {
    let mut rows = vec![(0, 0), (1, 127), (0, 31), (1, 1_279)];
    rows.extend((0..11).map(|i| (0, 121 + i)));
    (rows, vec![1, 1, 1, 1, 11])
}

#[test]
fn heads_of_all_widths() {
    let mut values = Values::new(31);
    let (rows, runs) = mixed_rows();
    for (heads, kv_heads, dim) in [
        (2, 1, 2),
        (3, 1, 24),
        (2, 2, 32),
        (8, 2, 64),
        (5, 1, 72),
        (4, 2, 96),
        (4, 1, 128),
        (2, 1, 200),
    ] {
        let case = Case::new(&mut values, shape(heads, kv_heads, dim), &rows);
        case.check(&runs, &format!("{heads}/{kv_heads} heads of {dim}"));
    }
}

#[test]
fn many_heads_share_a_kv_head() {
    let mut values = Values::new(32);
    let (rows, runs) = mixed_rows();
    for group in [7, 16, 21] {
        let case = Case::new(&mut values, shape(group, 1, 16), &rows);
        case.check(&runs, &format!("{group} heads a KV head"));
    }
}

#[test]
fn the_widest_heads() {
    let mut values = Values::new(33);
    let rows: Vec<(u32, u32)> = (0..5).map(|i| (1, 126 + i)).collect();
    for dim in [256, 258, 512] {
        let case = Case::new(&mut values, shape(2, 1, dim), &rows);
        case.check(&[5], &format!("heads of {dim}"));
    }
}

#[test]
fn windows_and_soft_caps() {
    let mut values = Values::new(34);
    let (rows, runs) = mixed_rows();
    for window in [1, 5, 32, 128, 129, 300, 100_000] {
        let mut case = Case::new(&mut values, shape(4, 2, 32), &rows);
        case.window = Some(window);
        case.soft_cap = (window % 2 == 1).then_some(20.0);
        case.check(&runs, &format!("window {window}"));
    }
}

/// Weights that underflow, scores that reach the ends of exp_c, sums that end in -0: no term may
/// be left out, and none added.
#[test]
fn sharp_scores() {
    let mut values = Values::new(35);
    let rows: Vec<(u32, u32)> = (0..20).map(|i| (0, 250 + i)).collect();
    let mut case = Case::new(&mut values, shape(2, 1, 16), &rows);
    for query in &mut case.queries {
        *query *= 40.0;
    }
    for value in case.values.iter_mut().step_by(3) {
        *value = f16::from_bits(0x8001);
    }
    case.check(&[20], "sharp scores");
}

/// A score exactly 87 below the largest still counts, one a little further below does not.
#[test]
fn the_end_of_the_exponential() {
    let mut values = Values::new(36);
    let mut case = Case::new(&mut values, shape(1, 1, 4), &[(0, 2)]);
    // The scale is 1/2, so the scores are 0, -87 and -87.0625.
    case.queries.copy_from_slice(&[2.0, 0.0, 0.0, 0.0]);
    for (t, (key, value)) in [(0.0, 0.0), (-87.0, 1.0), (-87.062_5, 3.0)]
        .into_iter()
        .enumerate()
    {
        case.keys[t * 4..t * 4 + 4].fill(f16::from_f32(key));
        case.values[t * 4..t * 4 + 4].fill(f16::from_f32(value));
    }
    let expected = case.expected();
    assert!(expected[0] > 0.0 && expected[0] < 2e-38, "{expected:?}");
    case.check(&[1], "the end of the exponential");
}
