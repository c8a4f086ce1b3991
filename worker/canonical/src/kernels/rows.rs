//! Activations in the layout the matrix kernels read.
//!
//! Rows are held in panels of a few rows, as many as a kernel multiplies at once, block after block
//! with the rows side by side: a kernel walks a panel from one end to the other.

use std::ops::Range;

use crate::quantize_row::{blocks, ActivationOverflow, BLOCK};

use super::Kernel;

/// Words (of four bytes) that a row takes in each block of a panel, see [`Panel`].
const WORDS: usize = BLOCK / 4 + 2;

/// Additional words where the kernel asks for pairs.
const PAIR_WORDS: usize = BLOCK / 2;

/// How a panel of `R` rows lies in memory, block after block, each `words_per_row * R` words:
///
/// - `[group of 4][row]`: four quantised elements a word;
/// - `[row]`: the f32 scale;
/// - `[row]`: -128 times the sum of the block, as i32, which takes back the weights' offset;
/// - for kernels that multiply 16-bit numbers only, `[group of 4][row][2]`: elements 0 and 2 of the
///   group as i16, then elements 1 and 3.
#[derive(Clone, Copy, Debug)]
pub(super) struct Panel<'a> {
    /// Index of its first row.
    pub(super) first: usize,
    /// Rows it is laid out for.
    pub(super) rows: usize,
    /// Its words.
    pub(super) words: &'a [i32],
}

/// Rows of activations after operator 1, for one kernel.
#[derive(Clone, Debug, Default)]
pub struct QuantizedRows {
    kernel: Option<Kernel>,
    columns: usize,
    /// Rows the panels were laid out for.
    laid_out: usize,
    /// Rows held: those before the first fault.
    rows: usize,
    words: Vec<i32>,
}

/// Some rows of a [`QuantizedRows`] that is being filled, see [`QuantizedRows::prepare`].
#[derive(Debug)]
pub struct PanelMut<'a> {
    kernel: Kernel,
    columns: usize,
    rows: Range<usize>,
    words: &'a mut [i32],
}

impl QuantizedRows {
    /// Quantises rows of `columns` elements that follow each other in `x`, replacing what was held.
    ///
    /// On a fault the rows before the faulty one are held and its index is returned.
    ///
    /// # Errors
    /// The index of the first row with an element of 2^40 or more, see [`ActivationOverflow`].
    pub fn fill(&mut self, kernel: Kernel, x: &[f32], columns: usize) -> Result<(), usize> {
        debug_assert!(x.len().is_multiple_of(columns));
        let filled = self
            .prepare(kernel, x.len() / columns, columns)
            .try_for_each(|mut panel| {
                let rows = panel.rows();
                panel.fill(&x[rows.start * columns..rows.end * columns])
            });
        if let Err(row) = filled {
            self.truncate(row);
        }
        filled
    }

    /// Makes room for `rows` rows of `columns` elements and hands out its parts, to be filled one by
    /// one or by several threads. What was held is gone.
    ///
    /// If a part reports a fault, [`QuantizedRows::truncate`] to the lowest faulty row.
    pub fn prepare(
        &mut self,
        kernel: Kernel,
        rows: usize,
        columns: usize,
    ) -> impl ExactSizeIterator<Item = PanelMut<'_>> {
        let row_words = blocks(columns) * words_per_row(kernel);
        (self.kernel, self.columns) = (Some(kernel), columns);
        (self.laid_out, self.rows) = (rows, rows);
        self.words.resize(rows * row_words, 0);
        let mut rest = &mut self.words[..];
        (0..panels(kernel, rows)).map(move |index| {
            let rows = panel_rows(kernel, rows, index);
            let (words, after) = std::mem::take(&mut rest).split_at_mut(rows.len() * row_words);
            rest = after;
            PanelMut {
                kernel,
                columns,
                rows,
                words,
            }
        })
    }

    /// Keeps the first `rows` rows only.
    pub fn truncate(&mut self, rows: usize) {
        self.rows = self.rows.min(rows);
    }

    /// Rows held.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Blocks of 32 in each row.
    pub fn blocks(&self) -> usize {
        blocks(self.columns)
    }

    /// The kernel they were laid out for.
    pub(super) fn kernel(&self) -> Option<Kernel> {
        self.kernel
    }

    /// Panels that hold rows.
    pub(super) fn panels(&self) -> impl Iterator<Item = Panel<'_>> {
        let kernel = self.kernel.unwrap_or(Kernel::SCALAR);
        let row_words = self.blocks() * words_per_row(kernel);
        (0..panels(kernel, self.laid_out))
            .map(move |index| {
                let rows = panel_rows(kernel, self.laid_out, index);
                Panel {
                    first: rows.start,
                    rows: rows.len(),
                    words: &self.words[rows.start * row_words..rows.end * row_words],
                }
            })
            .take_while(|panel| panel.first < self.rows)
    }
}

impl PanelMut<'_> {
    /// The rows that this part holds.
    pub fn rows(&self) -> Range<usize> {
        self.rows.clone()
    }

    /// Quantises its rows; they follow each other in `x`.
    ///
    /// # Errors
    /// The index of the first row with an element of 2^40 or more, counted from the first row of
    /// all parts. Rows before it are filled.
    ///
    /// # Panics
    /// If `x` has another length.
    pub fn fill(&mut self, x: &[f32]) -> Result<(), usize> {
        assert_eq!(x.len(), self.rows.len() * self.columns, "elements of rows");
        for (row, x) in x.chunks_exact(self.columns).enumerate() {
            let lane = (row, self.rows.len());
            self.kernel
                .quantize_into_panel(x, self.words, lane)
                .map_err(|ActivationOverflow| self.rows.start + row)?;
        }
        Ok(())
    }
}

/// Whether a kernel reads pairs of 16-bit numbers.
pub(super) fn has_pairs(kernel: Kernel) -> bool {
    kernel.unit_shape().pairs
}

/// Words a row takes in each block.
pub(super) fn words_per_row(kernel: Kernel) -> usize {
    if has_pairs(kernel) {
        WORDS + PAIR_WORDS
    } else {
        WORDS
    }
}

/// Panels that `rows` rows are cut into.
fn panels(kernel: Kernel, rows: usize) -> usize {
    rows.div_ceil(kernel.unit_shape().rows)
}

/// Rows of panel `index`: their numbers differ by one at most.
fn panel_rows(kernel: Kernel, rows: usize, index: usize) -> Range<usize> {
    let panels = panels(kernel, rows);
    let (each, larger) = (rows / panels, rows % panels);
    let start = index * each + index.min(larger);
    start..start + each + usize::from(index < larger)
}

/// Quantises a row into its place of a panel. `lane`: its index and the number of rows there.
///
/// # Errors
/// [`ActivationOverflow`], see [`crate::quantize_row()`].
#[inline(always)]
pub(super) fn quantize_into_panel<const PAIRS: bool>(
    x: &[f32],
    words: &mut [i32],
    lane: (usize, usize),
) -> Result<(), ActivationOverflow> {
    let (row, rows) = lane;
    let block_words = rows * if PAIRS { WORDS + PAIR_WORDS } else { WORDS };
    for (x, words) in x.chunks(BLOCK).zip(words.chunks_exact_mut(block_words)) {
        let (quants, scale) = crate::quantize_row::quantize_block(x)?;
        let (groups, rest) = words.split_at_mut(BLOCK / 4 * rows);
        let mut sum = 0i32;
        for q in quants {
            sum = sum.wrapping_add(i32::from(q));
        }
        let (fours, _) = quants.as_chunks::<4>();
        for (words, four) in groups.chunks_exact_mut(rows).zip(fours) {
            words[row] = i32::from_ne_bytes(four.map(|q| q as u8));
        }
        rest[row] = scale.to_bits() as i32;
        rest[rows + row] = sum.wrapping_mul(-128);
        if PAIRS {
            for (words, q) in rest[2 * rows..].chunks_exact_mut(2 * rows).zip(fours) {
                let pair = |a: i8, b: i8| (i32::from(b) << 16) | (i32::from(a) & 0xffff);
                words[2 * row] = pair(q[0], q[2]);
                words[2 * row + 1] = pair(q[1], q[3]);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_faulty_row_is_named_and_those_before_it_kept() {
        for kernel in Kernel::available() {
            let mut rows = QuantizedRows::default();
            let mut x = vec![1.0f32; 3 * 5];
            x[12] = f32::INFINITY;
            assert_eq!(rows.fill(kernel, &x, 5), Err(2));
            assert_eq!(rows.rows(), 2);
            x[12] = 0.0;
            assert_eq!(rows.fill(kernel, &x, 5), Ok(()));
            assert_eq!((rows.rows(), rows.blocks()), (3, 1));
            rows.truncate(7);
            assert_eq!(rows.rows(), 3);
        }
    }

    #[test]
    fn panels_cover_every_row_once_and_differ_by_one_at_most() {
        for kernel in Kernel::available() {
            for rows in 1..60 {
                let mut quantized = QuantizedRows::default();
                let parts: Vec<_> = quantized
                    .prepare(kernel, rows, 40)
                    .map(|p| p.rows())
                    .collect();
                let covered: Vec<usize> = parts.iter().cloned().flatten().collect();
                assert_eq!(covered, (0..rows).collect::<Vec<_>>());
                let lens = || parts.iter().map(Range::len);
                assert!(lens().max().unwrap_or(0) - lens().min().unwrap_or(0) <= 1);
                assert!(lens().all(|len| (1..=kernel.unit_shape().rows).contains(&len)));
                assert_eq!(quantized.panels().count(), parts.len());
            }
        }
    }
}
