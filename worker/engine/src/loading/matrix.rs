//! From a source's rows to the matrices that the kernels read.

use genesisflow_canonical::kernels::{PackedMatrix, WeightFormat};

use crate::weights::{Row, TensorSource, WeightsError};

/// Loads tensors of `columns` columns as one matrix, one below the other. `parts`: names and
/// numbers of rows.
///
/// Stored blocks are taken as they are, other elements are quantised to Q8_0. If all parts are
/// Q4_0, so is the matrix; else it is Q8_0, which holds the values of Q4_0 blocks too, with the
/// same bits in every product.
///
/// # Errors
/// [`WeightsError`].
pub(crate) fn stacked(
    source: &mut dyn TensorSource,
    parts: &[(String, usize)],
    columns: usize,
) -> Result<PackedMatrix, WeightsError> {
    let total = parts.iter().map(|(_, rows)| rows).sum();
    let format = if parts.iter().all(|(name, _)| source.is_q4_0(name)) {
        WeightFormat::Q4_0
    } else {
        WeightFormat::Q8_0
    };
    // Made when the first tensor has proved to exist in the size the config claims.
    let mut matrix: Option<PackedMatrix> = None;
    let mut first = 0;
    for (name, rows) in parts {
        source.rows(name, &[*rows, columns], &mut |row, stored| {
            let matrix =
                matrix.get_or_insert_with(|| PackedMatrix::zeros_in(format, total, columns));
            let at = first + row;
            match stored {
                Row::Values(weights) => matrix.set_row(at, weights).map_err(|e| e.to_string()),
                Row::Q8_0(blocks) => matrix
                    .set_stored_row(at, WeightFormat::Q8_0, blocks)
                    .map_err(|e| e.to_string()),
                Row::Q4_0(blocks) => matrix
                    .set_stored_row(at, WeightFormat::Q4_0, blocks)
                    .map_err(|e| e.to_string()),
            }
            .map_err(|fault| WeightsError::Values {
                name: name.clone(),
                reason: format!("row {row}: {fault}"),
            })
        })?;
        first += rows;
    }
    Ok(matrix.unwrap_or_else(|| PackedMatrix::zeros_in(format, 0, columns)))
}
