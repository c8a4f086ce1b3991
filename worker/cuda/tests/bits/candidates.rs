use genesisflow_canonical::{
    fused::Portable,
    sampler::{choose, sample, Candidate, SamplerSettings},
};
use genesisflow_cuda::{
    layout::{candidates_bytes, candidates_scratch_bytes},
    operators::candidates,
};

use crate::{
    memory::{numbers, Memory},
    values::Values,
};

/// The first `keep` of each row, as the device orders them.
fn run(logits: &[f32], width: usize, keep: usize) -> Vec<Vec<Candidate>> {
    let memory = Memory::new();
    let rows = logits.len() / width;
    let on_device = memory.floats(logits);
    let scratch = memory.zeroed(candidates_scratch_bytes(rows, width));
    let out = memory.zeroed(candidates_bytes(rows));
    candidates(
        memory.device(),
        on_device.span(),
        rows,
        width,
        keep,
        scratch.span(),
        out.span(),
    )
    .unwrap();
    let pair = |pair: &[u32]| Candidate {
        logit: f32::from_bits(pair[0]),
        id: pair[1],
    };
    numbers(out.span())
        .chunks_exact(128)
        .map(|row| {
            row.chunks_exact(2)
                .take(keep.min(width))
                .map(pair)
                .collect()
        })
        .collect()
}

/// Logits with many equal ones, zeros of both signs among them.
fn logits(values: &mut Values, n: usize) -> Vec<f32> {
    let logit = |_| match values.bits() % 4 {
        0 => (values.below(40) as f32 - 30.0) * 0.5,
        1 => -0.0,
        _ => values.unit() * 12.0,
    };
    (0..n).map(logit).collect()
}

#[test]
fn ordered_by_logit_then_id() {
    let mut values = Values::new(41);
    for width in [1, 5, 63, 64, 65, 2_047, 2_048, 2_049, 7_000, 70_001] {
        let rows = if width < 3_000 { 3 } else { 1 };
        let all = logits(&mut values, rows * width);
        for keep in [1, 2, 40, 64] {
            let got = run(&all, width, keep);
            for (row, got) in all.chunks_exact(width).zip(got) {
                let mut ids: Vec<usize> = (0..width).collect();
                // The sort is stable, so equal logits stay in the order of their ids.
                ids.sort_by(|a, b| row[*b].partial_cmp(&row[*a]).unwrap());
                let expected: Vec<_> = ids
                    .into_iter()
                    .take(keep)
                    .map(|id| (row[id].to_bits(), id as u32))
                    .collect();
                let got: Vec<_> = got.iter().map(|c| (c.logit.to_bits(), c.id)).collect();
                assert_eq!(got, expected, "{width} wide, {keep} kept");
            }
        }
    }
}

#[test]
fn extremes_are_ordered_too() {
    let row = [
        f32::MIN,
        -1e-45,
        1e-45,
        0.0,
        f32::MAX,
        -0.0,
        f32::MIN_POSITIVE,
    ];
    let ids: Vec<u32> = run(&row, 7, 64)[0].iter().map(|c| c.id).collect();
    assert_eq!(ids, [4, 6, 2, 3, 5, 1, 0]);
}

/// The token chosen from the candidates is the one that the reference samples from the row.
#[test]
fn the_choice_is_that_of_the_whole_row() {
    let mut values = Values::new(42);
    let width = 3_000;
    let row = logits(&mut values, width);
    for (temperature, top_k, top_p) in [
        (0, 40, 900),
        (700, 1, 900),
        (900, 40, 950),
        (2_000, 64, 1_000),
    ] {
        let settings = SamplerSettings::new(temperature, top_k, top_p).unwrap();
        let best = &run(&row, width, settings.candidates())[0];
        for position in 0..50 {
            let seed = [position as u8; 32];
            assert_eq!(
                choose::<Portable>(best, settings, &seed, position),
                sample::<Portable>(&row, settings, &seed, position)
            );
        }
    }
}
