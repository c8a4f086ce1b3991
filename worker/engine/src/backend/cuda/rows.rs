//! How the rows of a step lie in a device's memory.

use std::sync::Arc;

use genesisflow_cuda::layout;

use crate::decoder::Run;

/// Words to which the parts of the inputs are padded, so that each begins aligned.
const PART: usize = 64;

/// Rows that take part in a phase, those that are alone in their run first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Order {
    /// Run and index in the run of each.
    pub(super) places: Vec<(usize, usize)>,
    /// How many come first that are alone in their run.
    pub(super) singles: usize,
    /// Rows of each of the runs that follow.
    lengths: Vec<usize>,
}

impl Order {
    /// The rows of each run from index `from` on.
    fn new(runs: &[Run], from: impl Fn(&Run) -> usize) -> Self {
        let rows = |run: &Run| run.tokens.len() - from(run);
        let mut order = Self::default();
        for (index, run) in runs.iter().enumerate().filter(|(_, run)| rows(run) == 1) {
            order.places.push((index, from(run)));
        }
        order.singles = order.places.len();
        for (index, run) in runs.iter().enumerate().filter(|(_, run)| rows(run) > 1) {
            let rows = from(run)..run.tokens.len();
            order.lengths.push(rows.len());
            order.places.extend(rows.map(|row| (index, row)));
        }
        order
    }

    /// Rows.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Attention's tiles over the rows behind the single ones, which count from 0.
    fn tiles(&self, group: usize, head_dim: usize) -> Vec<u32> {
        let tiles = layout::attention_tiles(&self.lengths, group, head_dim);
        tiles.into_iter().flatten().collect()
    }
}

/// Sizes of a step. Steps of equal sizes are the same launches on the same memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Sizes {
    /// All rows, and how many of them are alone in their run.
    pub(super) rows: usize,
    pub(super) singles: usize,
    /// Attention's tiles over the others.
    pub(super) tiles: usize,
    /// The same for the rows that are sampled.
    pub(super) sampled: usize,
    pub(super) sampled_singles: usize,
    pub(super) sampled_tiles: usize,
    /// Candidates that are wanted of each sampled row; 0 if only states are.
    pub(super) keep: u32,
    /// Sequences, and block ids of each in the table.
    pub(super) sequences: usize,
    pub(super) stride: usize,
    /// No position of a single row is as large as this.
    pub(super) positions: usize,
}

impl Sizes {
    /// Of a step that takes states to logits.
    pub(super) fn of_states(count: usize) -> Self {
        Self {
            rows: count,
            singles: 0,
            tiles: count,
            sampled: count,
            sampled_singles: 0,
            sampled_tiles: count,
            keep: 1,
            sequences: 1,
            stride: 1,
            positions: 1,
        }
    }

    /// Room for a sequence of so many blocks in the tables. Few numbers, so that steps seldom
    /// differ in them.
    pub(super) fn stride(blocks: usize) -> usize {
        blocks.next_power_of_two().max(16)
    }

    /// A bound for positions below this. Few numbers, too.
    pub(super) fn positions(positions: usize) -> usize {
        positions.next_power_of_two().max(1024)
    }

    /// Whether every row is sampled, and so none is left behind by the last layer.
    pub(super) fn all_sampled(&self) -> bool {
        self.sampled == self.rows
    }

    /// Whether every sequence has one row: such steps come again and again.
    pub(super) fn is_decode(&self) -> bool {
        self.singles == self.rows && self.all_sampled()
    }
}

/// Where a part of the inputs is, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    Tokens,
    Positions,
    Sequences,
    Tiles,
    SampledRows,
    SampledPositions,
    SampledSequences,
    SampledTiles,
}

impl Input {
    const ALL: [Self; 8] = [
        Self::Tokens,
        Self::Positions,
        Self::Sequences,
        Self::Tiles,
        Self::SampledRows,
        Self::SampledPositions,
        Self::SampledSequences,
        Self::SampledTiles,
    ];

    /// Its words.
    pub(super) fn words(self, sizes: &Sizes) -> usize {
        match self {
            Self::Tokens | Self::Positions | Self::Sequences => sizes.rows,
            Self::Tiles => 2 * sizes.tiles,
            // They are the rows themselves then.
            _ if sizes.all_sampled() => 0,
            Self::SampledRows | Self::SampledPositions | Self::SampledSequences => sizes.sampled,
            Self::SampledTiles => 2 * sizes.sampled_tiles,
        }
    }

    /// Words before it.
    pub(super) fn start(self, sizes: &Sizes) -> usize {
        let before = Self::ALL.iter().take_while(|part| **part != self);
        let padded = |part: &Self| part.words(sizes).next_multiple_of(PART);
        before.map(padded).sum()
    }

    /// Words of all inputs.
    pub(super) fn total(sizes: &Sizes) -> usize {
        let last = Self::SampledTiles;
        last.start(sizes) + last.words(sizes)
    }
}

/// A step, laid out.
#[derive(Debug)]
pub(super) struct Laid {
    pub(super) sizes: Sizes,
    pub(super) all: Order,
    pub(super) sampled: Order,
    /// What changes from step to step, as the device reads it.
    pub(super) inputs: Vec<u32>,
    /// The sequences' blocks.
    pub(super) tables: Vec<u32>,
}

impl Laid {
    /// Lays out a step. `group`: query heads of each KV head.
    pub(super) fn new(runs: &[Run], group: usize, head_dim: usize) -> Self {
        let all = Order::new(runs, |_| 0);
        let sampled = Order::new(runs, |run| run.sampled_from);
        let tiles = all.tiles(group, head_dim);
        let sampled_tiles = sampled.tiles(group, head_dim);
        let position = |(run, index): &(usize, usize)| (runs[*run].first + index) as u32;
        let furthest = |order: &Order| {
            let singles = order.places[..order.singles].iter();
            singles.map(position).max().unwrap_or(0) as usize
        };
        let longest = runs.iter().map(|run| run.table.len()).max().unwrap_or(0);
        let keep = runs.iter().filter_map(|run| run.choice);
        let keep = keep.map(|choice| choice.settings.candidates()).max();
        let sizes = Sizes {
            rows: all.len(),
            singles: all.singles,
            tiles: tiles.len() / 2,
            sampled: sampled.len(),
            sampled_singles: sampled.singles,
            sampled_tiles: sampled_tiles.len() / 2,
            // Few numbers, so that steps seldom differ in them.
            keep: match keep {
                None => 0,
                Some(1) => 1,
                Some(_) => u32::from(genesisflow_canonical::sampler::MAX_TOP_K),
            },
            sequences: runs.len(),
            stride: Sizes::stride(longest),
            positions: Sizes::positions(furthest(&all).max(furthest(&sampled)) + 1),
        };
        let mut inputs = vec![0; Input::total(&sizes)];
        let mut put = |part: Input, words: Vec<u32>| {
            if part.words(&sizes) > 0 {
                let start = part.start(&sizes);
                inputs[start..start + words.len()].copy_from_slice(&words);
            }
        };
        let each = |order: &Order, word: &dyn Fn(&(usize, usize)) -> u32| -> Vec<u32> {
            order.places.iter().map(word).collect()
        };
        let sequence = |(run, _): &(usize, usize)| *run as u32;
        put(
            Input::Tokens,
            each(&all, &|(run, index)| runs[*run].tokens[*index]),
        );
        put(Input::Positions, each(&all, &position));
        put(Input::Sequences, each(&all, &sequence));
        put(Input::Tiles, tiles);
        if !sizes.all_sampled() {
            put(Input::SampledRows, ranks(&all, &sampled, runs));
            put(Input::SampledPositions, each(&sampled, &position));
            put(Input::SampledSequences, each(&sampled, &sequence));
            put(Input::SampledTiles, sampled_tiles);
        }
        let mut tables = vec![0; sizes.sequences * sizes.stride];
        for (run, table) in runs.iter().zip(tables.chunks_exact_mut(sizes.stride)) {
            let blocks: &Arc<[u32]> = &run.table;
            table[..blocks.len()].copy_from_slice(blocks);
        }
        Self {
            sizes,
            all,
            sampled,
            inputs,
            tables,
        }
    }
}

/// For each sampled row, which of all rows it is.
fn ranks(all: &Order, sampled: &Order, runs: &[Run]) -> Vec<u32> {
    let mut first = vec![0; runs.len()];
    for (rank, (run, index)) in all.places.iter().enumerate() {
        if *index == 0 {
            first[*run] = rank;
        }
    }
    let rank = |(run, index): &(usize, usize)| (first[*run] + index) as u32;
    sampled.places.iter().map(rank).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decoder::Choice;
    use genesisflow_canonical::SamplerSettings;

    fn run(tokens: &[u32], first: usize, sampled_from: usize) -> Run {
        Run {
            tokens: tokens.to_vec(),
            first,
            table: Arc::new([7, 8]),
            sampled_from,
            choice: Some(Choice {
                settings: SamplerSettings::new(700, 40, 900).unwrap(),
                seed: [0; 32],
            }),
        }
    }

    #[test]
    fn rows_that_are_alone_come_first_and_each_sampled_row_knows_its_place() {
        let runs = [
            run(&[1, 2, 3], 10, 2),
            run(&[4], 40, 0),
            run(&[5, 6], 0, 2),
            run(&[9], 3, 1),
            run(&[11, 12], 5, 0),
        ];
        let laid = Laid::new(&runs, 4, 64);
        let sizes = laid.sizes;
        let words = |part: Input| {
            let start = part.start(&sizes);
            &laid.inputs[start..start + part.words(&sizes)]
        };
        assert_eq!((sizes.rows, sizes.singles, sizes.sampled), (9, 2, 4));
        assert_eq!(words(Input::Tokens), [4, 9, 1, 2, 3, 5, 6, 11, 12]);
        assert_eq!(words(Input::Positions), [40, 3, 10, 11, 12, 0, 1, 5, 6]);
        assert_eq!(words(Input::Sequences), [1, 3, 0, 0, 0, 2, 2, 4, 4]);
        assert_eq!(laid.sampled.places, [(0, 2), (1, 0), (4, 0), (4, 1)]);
        assert_eq!(words(Input::SampledRows), [4, 0, 7, 8]);
        assert_eq!(words(Input::SampledPositions), [12, 40, 5, 6]);
        assert_eq!(sizes.sampled_singles, 2);
        assert_eq!(sizes.keep, 64);
        assert_eq!(laid.tables[sizes.stride..][..3], [7, 8, 0]);
        assert!(!sizes.is_decode());
        for part in Input::ALL {
            assert_eq!(part.start(&sizes) % PART, 0);
        }
    }

    #[test]
    fn a_step_of_single_sampled_rows_needs_no_second_set() {
        let laid = Laid::new(&[run(&[1], 8, 0), run(&[2], 9, 0)], 1, 8);
        assert!(laid.sizes.is_decode());
        assert_eq!(Input::SampledRows.words(&laid.sizes), 0);
        assert_eq!(Input::total(&laid.sizes), 3 * PART);
    }
}
