//! How fast products of quantised matrices are on this machine, against what its memory delivers.
//!
//! ```text
//! cargo run --release -p genesisflow-canonical --example linear_speed -- [threads] [kernel] [shape] [rows]
//! ```
//! For each format, shape and number of activation rows: giga multiply-adds a second, weight bytes
//! read a second (each weight once, whatever the rows), and the share of the read bandwidth that was
//! measured in the same run, with the same threads. Matrices (and pieces of plain memory) are taken
//! in turn from a set far larger than the caches, as the layers of a model are, and each is timed by
//! itself; every figure is the best of many, so that a busy machine disturbs it little.

use std::{
    error::Error,
    sync::{
        atomic::{AtomicUsize, Ordering},
        Mutex,
    },
    time::{Duration, Instant},
};

use genesisflow_canonical::kernels::{
    ask_for_huge_pages, Kernel, OutputColumns, PackedMatrix, QuantizedRows, WeightFormat,
};

/// Bytes of weights, and of the memory that is read for comparison: far more than caches hold.
const WORKING_SET: usize = 256 << 20;
/// Activation rows tried: decoding one sequence, batches, prefill.
const ROWS: [usize; 5] = [1, 4, 8, 16, 512];
/// Time spent on each figure.
const BUDGET: Duration = Duration::from_millis(800);

/// `(name, outputs, inputs)` of linear layers.
const SHAPES: [(&str, usize, usize); 6] = [
    ("135M qkv", 960, 576),
    ("135M gate and up", 3072, 576),
    ("135M down", 576, 1536),
    ("1B qkv", 3072, 2048),
    ("1B gate and up", 16_384, 2048),
    ("1B down", 2048, 8192),
];

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// A matrix of random stored blocks. Rows repeat: speed does not depend on values.
fn matrix(
    format: WeightFormat,
    outputs: usize,
    inputs: usize,
    random: &mut Random,
) -> PackedMatrix {
    let mut row = Vec::new();
    for _ in 0..inputs / 32 {
        row.extend([0x00, 0x20]);
        row.extend((2..format.stored_bytes()).map(|_| (random.next() as u8).max(1) & 0x7f));
    }
    let mut matrix = PackedMatrix::zeros_in(format, outputs, inputs);
    for index in 0..outputs {
        matrix
            .set_stored_row(index, format, &row)
            .unwrap_or_else(|e| unreachable!("{e}"));
    }
    matrix
}

/// Runs `pass(thread, round)` on every thread at once until the time is up; the shortest round, in
/// seconds.
fn best_round(threads: usize, pass: impl Fn(usize, usize) + Sync) -> f64 {
    let (arrived, finished) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (pass, arrived, finished) = (&pass, &arrived, &finished);
    // Threads spin between rounds: being woken would be measured too.
    let wait = |counter: &AtomicUsize, count: usize| {
        while counter.load(Ordering::Acquire) < count {
            std::hint::spin_loop();
        }
    };
    std::thread::scope(|scope| {
        for thread in 1..threads {
            scope.spawn(move || {
                for round in 1.. {
                    wait(arrived, round);
                    if arrived.load(Ordering::Acquire) == usize::MAX {
                        break;
                    }
                    pass(thread, round);
                    finished.fetch_add(1, Ordering::Release);
                }
            });
        }
        let (begin, mut best) = (Instant::now(), f64::INFINITY);
        let mut round = 0;
        while round < 3 || begin.elapsed() < BUDGET {
            round += 1;
            let start = Instant::now();
            arrived.store(round, Ordering::Release);
            pass(0, round);
            wait(finished, round * (threads - 1));
            best = best.min(start.elapsed().as_secs_f64());
        }
        arrived.store(usize::MAX, Ordering::Release);
        best
    })
}

/// Reads memory and does nothing with it, as fast as plain code can, on the kind of pages that weights lie
/// on: bytes a second.
fn read_bandwidth(threads: usize) -> f64 {
    const PIECE: usize = 8 << 20;
    let mut memory = Vec::with_capacity(WORKING_SET / 8);
    ask_for_huge_pages(memory.spare_capacity_mut());
    memory.resize(WORKING_SET / 8, 1u64);
    let sum = AtomicUsize::new(0);
    let seconds = best_round(threads, |thread, round| {
        let piece = &memory[round * PIECE % WORKING_SET / 8..][..PIECE / 8];
        let part = piece.len() / threads;
        let mut sums = [0u64; 32];
        for line in piece[thread * part..(thread + 1) * part].chunks_exact(32) {
            for (sum, x) in sums.iter_mut().zip(line) {
                *sum = sum.wrapping_add(*x);
            }
        }
        sum.fetch_add(sums.iter().sum::<u64>() as usize, Ordering::Relaxed);
    });
    std::hint::black_box(sum);
    PIECE as f64 / seconds
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let threads = arguments.next().map_or(Ok(2), |n| n.parse())?;
    let kernel = match arguments.next() {
        Some(name) => Kernel::named(&name)?,
        None => Kernel::detect(),
    };
    let only = arguments.next();
    let rows_tried = match arguments.next() {
        Some(rows) => vec![rows.parse()?],
        None => ROWS.to_vec(),
    };
    let bandwidth = read_bandwidth(threads);
    println!(
        "kernel {}, {threads} threads, reading memory: {:.1} GB/s",
        kernel.name(),
        bandwidth / 1e9
    );
    println!("format shape                 rows   GMAC/s     GB/s  of reading");
    let mut random = Random(88_172_645_463_325_252);
    for format in [WeightFormat::Q8_0, WeightFormat::Q4_0] {
        for (name, outputs, inputs) in SHAPES {
            if only
                .as_ref()
                .is_some_and(|only| !name.contains(only.as_str()))
            {
                continue;
            }
            let first = matrix(format, outputs, inputs, &mut random);
            let bytes = first.bytes();
            let matrices = vec![first; WORKING_SET.div_ceil(bytes)];
            for rows in rows_tried.iter().copied() {
                let x: Vec<f32> = (0..rows * inputs)
                    .map(|_| (random.next() >> 40) as f32 / 8_388_608.0 - 1.0)
                    .collect();
                let mut quantized = QuantizedRows::default();
                quantized
                    .fill(kernel, &x, inputs)
                    .map_err(|row| format!("row {row} overflows"))?;
                // Each thread takes some tiles a round: a few milliseconds of work at most.
                let tiles = outputs.div_ceil(16);
                let each = (300_000_000 / (rows * inputs * 16)).clamp(2, tiles.div_ceil(threads));
                let rounds_a_matrix = tiles.div_ceil(each * threads);
                let buffers: Vec<_> = (0..threads)
                    .map(|_| Mutex::new(vec![0.0f32; rows * outputs]))
                    .collect();
                let seconds = best_round(threads, |thread, round| {
                    let mut out = buffers[thread].lock().unwrap_or_else(|e| e.into_inner());
                    let all = OutputColumns::new(&mut out, rows, outputs);
                    // The last round of a matrix overlaps the one before, to be as long.
                    let first =
                        (round % rounds_a_matrix * each * threads).min(tiles - each * threads);
                    let from = (first + thread * each) * 16;
                    let part = all.split_at(from).1.split_at(from + each * 16).0;
                    let matrix = &matrices[round / rounds_a_matrix % matrices.len()];
                    kernel.linear_columns(matrix, &quantized, None, part);
                });
                let outputs = each * 16 * threads;
                let products = (rows * outputs * inputs) as f64;
                let read = (bytes / tiles * each * threads) as f64 / seconds;
                println!(
                    "{:<6} {name:<20} {rows:>5} {:>8.1} {:>8.1} {:>10.0} %",
                    format!("{format:?}"),
                    products / seconds / 1e9,
                    read / 1e9,
                    100.0 * read / bandwidth
                );
            }
        }
    }
    Ok(())
}
