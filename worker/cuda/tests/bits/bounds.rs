//! Wrong content of buffers gives wrong numbers, but no access outside of them: the shim would
//! crash, or see its guards changed.

use genesisflow_canonical::kernels::WeightFormat;
use genesisflow_cuda::{
    layout::{attention_scratch_bytes, kv_layer_bytes},
    operators::{
        attend, embed, gather, heads, quantize, AttentionPlan, AttentionTask, Faults, HeadShape,
        HeadsTask, Matrix, Rope, Rows,
    },
    pack,
};
use half::f16;

use crate::memory::{faults, floats, numbers, Memory};

const WRONG: u32 = u32::MAX;

#[test]
fn ids_beyond_the_end_read_the_last_row() {
    let memory = Memory::new();
    let packed = pack::pack(WeightFormat::Q8_0, 3, 32, |row, scales, numbers| {
        scales.fill(f16::ONE);
        numbers.fill(row as i8);
    });
    let (q, s) = (memory.bytes(&packed.quants), memory.bytes(&packed.scales));
    let matrix = Matrix::new(&packed, q.span(), s.span());
    let tokens = memory.numbers(&[3, WRONG]);
    let out = memory.zeroed(2 * 32 * 4);
    embed(memory.device(), &matrix, tokens.span(), 2, out.span()).unwrap();
    assert_eq!(floats(out.span()), [2.0; 64]);

    let from = memory.floats(&[1.0, 2.0, 3.0]);
    let rows = memory.numbers(&[WRONG, 0, 3]);
    let device = memory.device();
    gather(device, from.span(), rows.span(), 3, 1, out.span()).unwrap();
    assert_eq!(floats(out.span())[..3], [3.0, 1.0, 3.0]);
}

#[test]
fn faults_of_rows_that_are_not_there_go_to_the_last() {
    let memory = Memory::new();
    let x = memory.floats(&[f32::NAN; 2]);
    let (at, row_of) = (memory.faults(2), memory.numbers(&[WRONG, 2]));
    let out = memory.quantized(2, 1);
    let noted = Faults {
        at: at.span(),
        row_of: Some(row_of.span()),
        code: 1,
    };
    quantize(memory.device(), x.span(), 2, 1, out.spans(), noted).unwrap();
    assert_eq!(numbers(at.span()), [WRONG, 1]);
}

#[test]
fn positions_sequences_and_blocks_that_are_not_there() {
    let memory = Memory::new();
    let shape = HeadShape {
        heads: 2,
        kv_heads: 1,
        head_dim: 4,
    };
    let wrong = memory.numbers(&[WRONG; 4]);
    let rows = Rows {
        count: 2,
        positions: wrong.span(),
        sequences: wrong.span(),
        tables: wrong.span(),
        table_stride: 2,
        sequence_count: 2,
    };
    let layer = kv_layer_bytes(1, 1, 4);
    let (keys, values) = (memory.zeroed(layer), memory.zeroed(layer));
    let (qkv, queries) = (memory.floats(&[1.0; 2 * 16]), memory.floats(&[1.0; 2 * 8]));
    let angles = memory.floats(&[0.5; 2]);
    let at = memory.faults(2);
    let task = HeadsTask {
        qkv: qkv.span(),
        shape,
        query_norm: None,
        key_norm: None,
        eps: 1e-5,
        rope: Rope {
            cosines: angles.span(),
            sines: angles.span(),
            positions: 1,
        },
        rows,
        keys: keys.span(),
        values: values.span(),
        kv_blocks: 1,
        queries: queries.span(),
    };
    heads(memory.device(), &task, faults(&at, 1)).unwrap();

    let out = memory.zeroed(2 * 8 * 4);
    let scratch = memory.zeroed(attention_scratch_bytes(2, 2, 4, 64));
    for plan in [
        AttentionPlan::Decode {
            max_positions: 64,
            scratch: scratch.span(),
        },
        AttentionPlan::Prefill {
            tiles: wrong.span(),
            tile_count: 2,
        },
    ] {
        let task = AttentionTask {
            queries: queries.span(),
            shape,
            rows,
            keys: keys.span(),
            values: values.span(),
            kv_blocks: 1,
            window: None,
            scale: 0.5,
            soft_cap: None,
            out: out.span(),
            quantized: None,
        };
        attend(memory.device(), &task, plan, faults(&at, 1)).unwrap();
    }
}

#[test]
#[should_panic(expected = "out needs 64 bytes, not 63")]
fn buffers_that_are_too_small_are_refused() {
    let memory = Memory::new();
    let (from, rows) = (memory.floats(&[1.0; 4]), memory.numbers(&[0; 4]));
    let out = memory.zeroed(63);
    let device = memory.device();
    let _ = gather(device, from.span(), rows.span(), 4, 4, out.span());
}
