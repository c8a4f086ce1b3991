//! How the rows of a step are laid out over slices and attention tasks.

use std::ops::Range;

use super::step::Run;

/// Rows of a slice at most: few enough to keep its activations in cache, enough to read each
/// weight rarely.
const SLICE_ROWS: usize = 32;

/// Rows below which one thread goes through the row phases alone: sharing would cost more.
const SHARED_ROWS: usize = 4;

/// Positions of one attention task at most.
const TASK_ROWS: usize = 32;

/// One row of a step.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowPlace {
    /// Which run.
    pub(super) run: usize,
    /// Index in the run.
    pub(super) index: usize,
}

/// Consecutive rows of one run whose attention is one task for each KV head.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) run: usize,
    /// Ranks of its rows.
    pub(super) ranks: Range<usize>,
}

/// The rows that take part in a layer, in their order. A row's place in it is its rank.
#[derive(Clone, Debug, Default)]
pub(super) struct Layout {
    pub(super) rows: Vec<RowPlace>,
    /// Ranks of each slice's rows.
    pub(super) slices: Vec<Range<usize>>,
    pub(super) blocks: Vec<Block>,
    /// For each rank, its slice.
    pub(super) slice_of: Vec<usize>,
    /// For each rank, its block.
    pub(super) block_of: Vec<usize>,
}

/// Which rows take part where.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// All rows: up to the keys and values of the last layer.
    pub(super) all: Layout,
    /// Sampled rows: what follows.
    pub(super) sampled: Layout,
}

impl Plan {
    /// Lays out the runs' rows for a number of threads.
    pub(super) fn lay_out(&mut self, runs: &[Run], threads: usize) {
        self.all.clear();
        self.sampled.clear();
        let total: usize = runs.iter().map(|run| run.tokens.len()).sum();
        let each = slice_rows(total, threads);
        for (index, run) in runs.iter().enumerate() {
            for row in 0..run.tokens.len() {
                let slice = self.all.rows.len() / each;
                let place = RowPlace {
                    run: index,
                    index: row,
                };
                self.all.push(place, slice);
                if row >= run.sampled_from {
                    self.sampled.push(place, slice);
                }
            }
        }
        // Both have the same slices; in the second, some may have no rows.
        let slices = total.div_ceil(each);
        self.all.finish(slices);
        self.sampled.finish(slices);
    }

    /// A layout of sampled rows only, for states that are brought from outside.
    pub(super) fn lay_out_states(&mut self, states: usize, threads: usize) {
        self.all.clear();
        self.sampled.clear();
        let each = slice_rows(states, threads);
        for index in 0..states {
            self.sampled.push(
                RowPlace {
                    run: index,
                    index: 0,
                },
                index / each,
            );
        }
        self.sampled.finish(states.div_ceil(each));
    }
}

/// Rows of each slice.
fn slice_rows(total: usize, threads: usize) -> usize {
    if total <= SHARED_ROWS {
        SHARED_ROWS
    } else {
        total.div_ceil(threads).min(SLICE_ROWS)
    }
}

impl Layout {
    fn clear(&mut self) {
        self.rows.clear();
        self.slices.clear();
        self.blocks.clear();
        self.slice_of.clear();
        self.block_of.clear();
    }

    fn push(&mut self, place: RowPlace, slice: usize) {
        let rank = self.rows.len();
        self.rows.push(place);
        self.slice_of.push(slice);
        match self.blocks.last_mut() {
            Some(block) if block.run == place.run && block.ranks.len() < TASK_ROWS => {
                block.ranks.end = rank + 1;
            }
            _ => self.blocks.push(Block {
                run: place.run,
                ranks: rank..rank + 1,
            }),
        }
        self.block_of.push(self.blocks.len() - 1);
    }

    fn finish(&mut self, slices: usize) {
        for slice in 0..slices {
            let start = self.slice_of.partition_point(|s| *s < slice);
            let end = self.slice_of.partition_point(|s| *s <= slice);
            self.slices.push(start..end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn run(rows: usize, sampled_from: usize) -> Run {
        Run {
            tokens: vec![0; rows],
            first: 0,
            table: Arc::new([]),
            sampled_from,
            choice: None,
        }
    }

    #[test]
    fn every_row_has_one_slice_and_one_block_of_its_own_run() {
        for threads in [1, 2, 3] {
            for runs in [
                vec![run(1, 0)],
                vec![run(1, 0), run(1, 1), run(90, 89), run(33, 0), run(2, 2)],
                vec![run(128, 0)],
            ] {
                let mut plan = Plan::default();
                plan.lay_out(&runs, threads);
                assert_eq!(plan.all.slices.len(), plan.sampled.slices.len());
                for layout in [&plan.all, &plan.sampled] {
                    let ranks: Vec<usize> = layout.slices.iter().cloned().flatten().collect();
                    assert_eq!(ranks, (0..layout.rows.len()).collect::<Vec<_>>());
                    for (rank, place) in layout.rows.iter().enumerate() {
                        assert!(layout.slices[layout.slice_of[rank]].contains(&rank));
                        let block = &layout.blocks[layout.block_of[rank]];
                        assert!(block.run == place.run && block.ranks.contains(&rank));
                    }
                }
                let sampled = runs.iter().map(|run| run.tokens.len() - run.sampled_from);
                assert_eq!(plan.sampled.rows.len(), sampled.sum::<usize>());
            }
        }
    }
}
