//! How fast each kernel of this machine attends: one thread, one KV head, rows of 32 positions
//! after each other up to 512, and a single position behind as many.
//!
//! ```text
//! cargo run --release -p genesisflow-canonical --example attention_speed
//! ```

use std::time::Instant;

use genesisflow_canonical::{
    attention::{score_scale, Scoring},
    kernels::{AttentionScratch, AttentionTask, HeadCache, Kernel, KV_BLOCK},
};
use half::f16;

/// Positions of the sequence.
const POSITIONS: usize = 512;

fn main() {
    println!("kernel       head group   prefill [GMAC/s]   decode [us]");
    for kernel in Kernel::available() {
        for (head_dim, group) in [(64, 1), (64, 3), (64, 4), (128, 4)] {
            let blocks = POSITIONS / KV_BLOCK;
            let table: Vec<u32> = (0..blocks as u32).collect();
            let numbers = |n: usize| (0..n).map(|i| (i * 7919 % 251) as f32 / 251.0 - 0.5);
            let pool: Vec<f16> = numbers(POSITIONS * head_dim).map(f16::from_f32).collect();
            let cache = HeadCache {
                keys: &pool,
                values: &pool,
                table: &table,
                head_dim,
            };
            let queries: Vec<f32> = numbers(POSITIONS * group * head_dim).collect();
            let mut out = vec![0.0; queries.len()];
            let mut scratch = AttentionScratch::default();
            let mut attend = |from: usize, to: usize| {
                let part = from * group * head_dim..to * group * head_dim;
                let task = AttentionTask {
                    queries: &queries[part.clone()],
                    group,
                    positions: from..to,
                    cache,
                    window: None,
                    scoring: Scoring {
                        scale: score_scale(head_dim),
                        soft_cap: None,
                    },
                };
                kernel.attend(task, &mut scratch, &mut out[part]);
            };
            let mut best = [f64::INFINITY; 2];
            for _ in 0..if kernel == Kernel::SCALAR { 1 } else { 40 } {
                let start = Instant::now();
                for from in (0..POSITIONS).step_by(32) {
                    attend(from, from + 32);
                }
                best[0] = best[0].min(start.elapsed().as_secs_f64());
                let start = Instant::now();
                attend(POSITIONS - 1, POSITIONS);
                best[1] = best[1].min(start.elapsed().as_secs_f64());
            }
            let products = POSITIONS * (POSITIONS + 1) / 2 * group * head_dim * 2;
            println!(
                "{:12} {head_dim:4} {group:5} {:18.1} {:13.1}",
                kernel.name(),
                products as f64 / best[0] / 1e9,
                best[1] * 1e6
            );
        }
    }
}
