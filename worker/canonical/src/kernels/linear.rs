//! Operator 2 over tiles: the entry points, and the walk over tiles, panels and blocks that all
//! instruction sets share.

use std::ops::Range;

use half::f16;

use crate::quantize_row::BLOCK;

use super::{
    matrix::{Group, PackedMatrix, WeightFormat, TILE},
    output::{Destination, OutputColumns},
    rows::{Panel, QuantizedRows},
    InstructionSet, Kernel,
};

/// The instructions that products are made of. A tile's 16 output rows lie in 16 lanes.
///
/// # Safety
/// Of every function: the CPU has the instructions; pointers reach what their documentation says.
pub(super) trait Unit {
    /// 16 sums of f32.
    type Sums: Copy;
    /// 16 dot products of i32.
    type Dots: Copy;

    /// How it likes its activations.
    const SHAPE: UnitShape;

    /// 16 times +0.
    unsafe fn zero() -> Self::Sums;

    /// Dot products of a block: `T` tiles of Q8_0 weights (`weights`: eight groups of each) with `R`
    /// rows (`x`: the block of the panel).
    unsafe fn dots_q8<const R: usize, const T: usize>(
        weights: [*const Group; T],
        x: *const i32,
    ) -> [[Self::Dots; R]; T];

    /// The same with Q4_0 weights: four groups of each tile.
    unsafe fn dots_q4<const R: usize, const T: usize>(
        weights: [*const Group; T],
        x: *const i32,
    ) -> [[Self::Dots; R]; T];

    /// 16 f16 scales, widened.
    unsafe fn widen(scales: *const [f16; TILE]) -> Self::Sums;

    /// `fma(dw * dx, dots, y)`.
    unsafe fn chain(y: Self::Sums, dw: Self::Sums, dx: f32, dots: Self::Dots) -> Self::Sums;

    /// `y` plus 16 floats.
    unsafe fn add(y: Self::Sums, to: *const f32) -> Self::Sums;

    /// Writes 16 floats.
    unsafe fn store(y: Self::Sums, to: *mut f32);

    /// Asks for the cache line at an address, which need not exist.
    unsafe fn prefetch(at: *const u8);
}

/// How a kernel likes its work cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UnitShape {
    /// Rows of activations multiplied at once at most, up to eight.
    pub(super) rows: usize,
    /// Tiles multiplied at once where there are several rows: 1 or 2.
    pub(super) tiles: usize,
    /// Whether it reads activations as pairs of 16-bit numbers too.
    pub(super) pairs: bool,
}

/// Rows up to which memory is the limit: one tile at a time is then best, a single long stream of
/// weights that is asked for ahead of its use.
const FEW_ROWS: usize = 4;

/// Bytes of weights that stay in a core's second-level cache while all rows pass: a panel is then
/// read from further away once for several tiles.
const GROUP_BYTES: usize = 1 << 19;

/// How far ahead, in bytes.
const PREFETCH_AHEAD: usize = 4096;

/// What is to be multiplied, checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job<'a> {
    matrix: &'a PackedMatrix,
    rows: &'a QuantizedRows,
    /// One for each of the matrix's rows.
    bias: Option<&'a [f32]>,
    first_tile: usize,
    tiles: usize,
    out: Destination,
}

impl Kernel {
    /// Products of a range of tiles with every row of activations.
    ///
    /// `out`: `[tile in range][activation row][row in tile]`, so that threads that take different
    /// tiles write apart; for one activation row that is simply the output rows in order. Rows
    /// beyond the matrix's last (padding of the last tile) come out as +0.
    ///
    /// # Panics
    /// If the tiles do not exist, the inner dimensions differ, `out` has another length, or the rows
    /// were filled for another kernel.
    pub fn linear(
        self,
        matrix: &PackedMatrix,
        rows: &QuantizedRows,
        tiles: Range<usize>,
        out: &mut [f32],
    ) {
        assert!(tiles.end <= matrix.tiles(), "tiles out of range");
        assert_eq!(out.len(), tiles.len() * rows.rows() * TILE, "output length");
        self.run(Job {
            matrix,
            rows,
            bias: None,
            first_tile: tiles.start,
            tiles: tiles.len(),
            out: Destination {
                at: out.as_mut_ptr(),
                row_step: TILE,
                tile_step: rows.rows() * TILE,
                columns: tiles.len() * TILE,
                rows: rows.rows(),
            },
        });
    }

    /// Output columns of the layer `rows * matrix + bias`, written where they belong.
    ///
    /// `out` tells which: its columns are the matrix's rows, cut at multiples of 16.
    ///
    /// # Panics
    /// If columns do not exist or are not cut at tiles, the inner dimensions differ, `bias` is not
    /// one number for each of the matrix's rows, `out` has fewer rows than `rows`, or the rows were
    /// filled for another kernel.
    pub fn linear_columns(
        self,
        matrix: &PackedMatrix,
        rows: &QuantizedRows,
        bias: Option<&[f32]>,
        mut out: OutputColumns<'_>,
    ) {
        let columns = out.columns();
        assert!(columns.end <= matrix.rows(), "columns out of range");
        assert!(
            columns.start.is_multiple_of(TILE)
                && (columns.end.is_multiple_of(TILE) || columns.end == matrix.rows()),
            "columns are cut inside a tile"
        );
        assert!(bias.is_none_or(|b| b.len() == matrix.rows()), "bias length");
        self.run(Job {
            matrix,
            rows,
            bias,
            first_tile: columns.start / TILE,
            tiles: columns.len().div_ceil(TILE),
            out: out.destination(),
        });
    }

    fn run(self, job: Job<'_>) {
        let rows = job.rows;
        assert!(rows.rows() <= job.out.rows, "rows of the output");
        if rows.rows() == 0 || job.tiles == 0 {
            return;
        }
        assert_eq!(
            rows.kernel(),
            Some(self),
            "rows were filled for another kernel"
        );
        assert_eq!(
            job.matrix.blocks(),
            rows.blocks(),
            "inner dimensions differ"
        );
        // SAFETY: a kernel exists only where its instructions were detected, and the job's lengths
        // were checked: by the callers for the output, above for the rest.
        unsafe {
            match self.0 {
                InstructionSet::Scalar => multiply::<super::linear_scalar::Scalar>(&job),
                #[cfg(target_arch = "x86_64")]
                InstructionSet::Avx2 => super::linear_avx2::multiply_avx2(&job),
                #[cfg(target_arch = "x86_64")]
                InstructionSet::Avx512 => super::linear_avx512::multiply_avx512(&job),
                #[cfg(target_arch = "aarch64")]
                InstructionSet::Neon => multiply::<super::linear_neon::Neon<false>>(&job),
                #[cfg(target_arch = "aarch64")]
                InstructionSet::NeonDotprod => super::linear_neon::multiply_dotprod(&job),
            }
        }
    }

    /// How this kernel likes its work cut.
    pub(super) fn unit_shape(self) -> UnitShape {
        match self.0 {
            InstructionSet::Scalar => super::linear_scalar::Scalar::SHAPE,
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => super::linear_avx2::Avx2::SHAPE,
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 => super::linear_avx512::Vnni::SHAPE,
            #[cfg(target_arch = "aarch64")]
            InstructionSet::Neon => super::linear_neon::Neon::<false>::SHAPE,
            #[cfg(target_arch = "aarch64")]
            InstructionSet::NeonDotprod => super::linear_neon::Neon::<true>::SHAPE,
        }
    }
}

/// All tiles of a job against all rows.
///
/// # Safety
/// The CPU has the unit's instructions; the job's tiles exist, its rows have the matrix's number of
/// blocks and the unit's shape, and its output has room for them.
#[inline(always)]
pub(super) unsafe fn multiply<U: Unit>(job: &Job<'_>) {
    // SAFETY: as this function's.
    unsafe {
        match job.matrix.format() {
            WeightFormat::Q8_0 => multiply_format::<U, false>(job),
            WeightFormat::Q4_0 => multiply_format::<U, true>(job),
        }
    }
}

/// # Safety
/// As [`multiply`]; `Q4` is the matrix's format.
#[inline(always)]
unsafe fn multiply_format<U: Unit, const Q4: bool>(job: &Job<'_>) {
    let tile_bytes = job.matrix.blocks() * WeightFormat::stored_bytes(job.matrix.format()) * TILE;
    let group = (GROUP_BYTES / tile_bytes.max(1)).max(1).next_multiple_of(2);
    let mut first = 0;
    while first < job.tiles {
        let end = job.tiles.min(first + group);
        for panel in job.rows.panels() {
            let mut tile = first;
            // Two tiles share each activation that is read.
            if U::SHAPE.tiles == 2 && job.rows.rows() > FEW_ROWS {
                while tile + 2 <= end {
                    // SAFETY: as this function's; both tiles are the job's.
                    unsafe { multiply_rows::<U, Q4, 2>(job, tile, panel) };
                    tile += 2;
                }
            }
            while tile < end {
                // SAFETY: as this function's; the tile is the job's.
                unsafe { multiply_rows::<U, Q4, 1>(job, tile, panel) };
                tile += 1;
            }
        }
        first = end;
    }
}

/// `T` tiles from the job's tile `tile` on against a panel of any number of rows.
///
/// # Safety
/// As [`multiply_format`]; the tiles are the job's, the panel is one of its rows'.
#[inline(always)]
unsafe fn multiply_rows<U: Unit, const Q4: bool, const T: usize>(
    job: &Job<'_>,
    tile: usize,
    panel: Panel<'_>,
) {
    // SAFETY: as this function's. No panel has more rows than the unit's shape says.
    unsafe {
        match panel.rows {
            1 => multiply_panel::<U, Q4, 1, T>(job, tile, panel),
            2 => multiply_panel::<U, Q4, 2, T>(job, tile, panel),
            3 => multiply_panel::<U, Q4, 3, T>(job, tile, panel),
            4 => multiply_panel::<U, Q4, 4, T>(job, tile, panel),
            5 if U::SHAPE.rows >= 5 => multiply_panel::<U, Q4, 5, T>(job, tile, panel),
            6 if U::SHAPE.rows >= 6 => multiply_panel::<U, Q4, 6, T>(job, tile, panel),
            7 if U::SHAPE.rows >= 7 => multiply_panel::<U, Q4, 7, T>(job, tile, panel),
            8 if U::SHAPE.rows >= 8 => multiply_panel::<U, Q4, 8, T>(job, tile, panel),
            rows => unreachable!("a panel of {rows} rows"),
        }
    }
}

/// `T` tiles against the `R` rows of a panel.
///
/// # Safety
/// As [`multiply_rows`]; the panel has `R` rows.
#[inline(always)]
unsafe fn multiply_panel<U: Unit, const Q4: bool, const R: usize, const T: usize>(
    job: &Job<'_>,
    tile: usize,
    panel: Panel<'_>,
) {
    let blocks = job.matrix.blocks();
    let groups = job.matrix.format().groups();
    let step = R * if U::SHAPE.pairs {
        BLOCK / 4 + 2 + BLOCK / 2
    } else {
        BLOCK / 4 + 2
    };
    debug_assert_eq!(panel.words.len(), blocks * step);
    let mut weights = [std::ptr::null::<Group>(); T];
    let mut scales = [std::ptr::null::<[f16; TILE]>(); T];
    for t in 0..T {
        weights[t] = job.matrix.groups_from(job.first_tile + tile + t).as_ptr();
        scales[t] = job.matrix.scales_from(job.first_tile + tile + t).as_ptr();
    }
    let few = R <= FEW_ROWS && T == 1 && job.rows.rows() <= FEW_ROWS;
    let mut x = panel.words.as_ptr();
    // SAFETY: each tile has `blocks` blocks of `groups` groups and 16 scales, the panel `blocks`
    // blocks of `step` words; the pointers move on by one block at a time.
    let sums = unsafe {
        let mut y = [[U::zero(); R]; T];
        for _ in 0..blocks {
            if few {
                for weights in weights {
                    for line in 0..groups {
                        let ahead = weights.wrapping_add(line).cast::<u8>();
                        U::prefetch(ahead.wrapping_add(PREFETCH_AHEAD));
                    }
                }
            }
            let dots = if Q4 {
                U::dots_q4::<R, T>(weights, x)
            } else {
                U::dots_q8::<R, T>(weights, x)
            };
            let dx = x.add(BLOCK / 4 * R).cast::<f32>();
            for t in 0..T {
                let dw = U::widen(scales[t]);
                for r in 0..R {
                    y[t][r] = U::chain(y[t][r], dw, *dx.add(r), dots[t][r]);
                }
                weights[t] = weights[t].add(groups);
                scales[t] = scales[t].add(1);
            }
            x = x.add(step);
        }
        y
    };
    let rows = R.min(job.rows.rows() - panel.first);
    for (t, sums) in sums.iter().enumerate() {
        for (r, y) in sums.iter().enumerate().take(rows) {
            // SAFETY: this tile is the job's, this row is held; the output has room for both.
            unsafe { finish::<U>(job, tile + t, panel.first + r, *y) };
        }
    }
}

/// Adds the bias and writes a row of a tile.
///
/// # Safety
/// As [`multiply`]; `tile` is the job's and `row` is held.
#[inline(always)]
unsafe fn finish<U: Unit>(job: &Job<'_>, tile: usize, row: usize, y: U::Sums) {
    let out = job.out;
    let columns = out.columns - tile * TILE;
    let bias = job.bias.map(|bias| &bias[(job.first_tile + tile) * TILE..]);
    // SAFETY: by the caller, `columns` floats of this row follow `to`; a bias has as many.
    unsafe {
        let to = out.at.add(row * out.row_step + tile * out.tile_step);
        if columns >= TILE {
            let y = match bias {
                Some(bias) => U::add(y, bias.as_ptr()),
                None => y,
            };
            U::store(y, to);
        } else {
            let mut last = [0.0f32; TILE];
            U::store(y, last.as_mut_ptr());
            for (i, y) in last.iter().enumerate().take(columns) {
                *to.add(i) = match bias {
                    Some(bias) => y + bias[i],
                    None => *y,
                };
            }
        }
    }
}
