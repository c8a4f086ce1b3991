//! A linear layer: a packed matrix and a bias.

use genesisflow_canonical::kernels::PackedMatrix;

use crate::{
    loading::matrix,
    weights::{TensorSource, WeightsError},
};

use super::check_magnitudes;

/// A matrix of quantised weights, and a bias if the layer has one.
#[derive(Debug)]
pub(crate) struct Linear {
    matrix: PackedMatrix,
    bias: Option<Vec<f32>>,
}

impl Linear {
    /// Loads layers of `columns` inputs as one, their outputs one below the other.
    ///
    /// `parts`: names (of which `.weight` and, if `biased`, `.bias` are read) and numbers of
    /// outputs.
    pub(super) fn load(
        source: &mut dyn TensorSource,
        parts: &[(String, usize)],
        columns: usize,
        biased: bool,
    ) -> Result<Self, WeightsError> {
        let weights: Vec<_> = parts
            .iter()
            .map(|(part, rows)| (format!("{part}.weight"), *rows))
            .collect();
        let matrix = matrix::stacked(source, &weights, columns)?;
        let mut bias = biased.then(Vec::new);
        if let Some(bias) = &mut bias {
            for (part, rows) in parts {
                let name = format!("{part}.bias");
                let values = source.vector(&name, *rows)?;
                check_magnitudes(&name, &values)?;
                bias.extend_from_slice(&values);
            }
        }
        Ok(Self { matrix, bias })
    }

    pub(crate) fn matrix(&self) -> &PackedMatrix {
        &self.matrix
    }

    pub(crate) fn bias(&self) -> Option<&[f32]> {
        self.bias.as_deref()
    }
}
