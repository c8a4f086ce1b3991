//! Muon for the linear layers, AdamW for the embedding and the norms.
//!
//! Muon (Keller Jordan, 2024) makes the update of a matrix nearly orthogonal
//! by five Newton-Schulz steps. It is known to need fewer steps than AdamW,
//! and steps are what two cores have too few of.

use anyhow::Result;
use candle_core::{Device, Tensor};

use crate::model::{Model, Parameter};
use crate::parallel;

/// Learning rate of the linear layers at its peak.
const MUON_RATE: f64 = 0.02;
/// Learning rate of embedding and norms at its peak.
const ADAM_RATE: f64 = 4e-3;
/// Part of a weight that a step at rate 1 takes away, linear layers only.
const WEIGHT_DECAY: f64 = 0.05;
const MUON_MOMENTUM: f32 = 0.95;
const ADAM_BETAS: (f32, f32) = (0.9, 0.98);
const ADAM_EPS: f32 = 1e-9;

/// Running averages of one parameter's gradient.
#[derive(Clone)]
pub struct Moments {
    /// Of the gradient.
    pub first: Vec<f32>,
    /// Of its square; unused (zero) where Muon steps.
    pub second: Vec<f32>,
}

/// The state of both optimisers.
pub struct Optimizer {
    /// One entry a parameter, in the model's order.
    pub moments: Vec<Moments>,
}

fn is_linear(parameter: &Parameter) -> bool {
    parameter.name.ends_with("_proj.weight")
}

impl Optimizer {
    /// A fresh state.
    pub fn new(model: &Model) -> Self {
        let moments = model
            .parameters
            .iter()
            .map(|parameter| {
                let zeros = vec![0f32; parameter.var.elem_count()];
                Moments {
                    first: zeros.clone(),
                    second: zeros,
                }
            })
            .collect();
        Self { moments }
    }

    /// Takes step `step` (from 0) at `rate`, a fraction of the peak rates, and writes the parameters.
    ///
    /// # Errors
    /// If a tensor operation fails.
    pub fn step(
        &mut self,
        model: &Model,
        gradients: &[Vec<f32>],
        step: usize,
        rate: f64,
        threads: usize,
    ) -> Result<()> {
        let moments = &self.moments;
        let stepped = parallel::in_order(threads, model.parameters.len(), |i| {
            let (parameter, mut moments) = (&model.parameters[i], moments[i].clone());
            let value = if is_linear(parameter) {
                muon(parameter, &mut moments, &gradients[i], rate)
            } else {
                adam(parameter, &mut moments, &gradients[i], step, rate)
            };
            value.map(|value| (value, moments))
        });
        for (i, stepped) in stepped.into_iter().enumerate() {
            let (value, moments) = stepped?;
            model.parameters[i].var.set(&value)?;
            self.moments[i] = moments;
        }
        Ok(())
    }
}

fn muon(parameter: &Parameter, moments: &mut Moments, grad: &[f32], rate: f64) -> Result<Tensor> {
    let (rows, columns) = parameter.var.dims2()?;
    let mut update = Vec::with_capacity(grad.len());
    for (m, g) in moments.first.iter_mut().zip(grad) {
        *m = *m * MUON_MOMENTUM + g;
        update.push(g + *m * MUON_MOMENTUM);
    }
    let update = orthogonal(&Tensor::from_vec(update, (rows, columns), &Device::Cpu)?)?;
    let size = (rows as f64 / columns as f64).max(1.0).sqrt();
    let rate = MUON_RATE * rate;
    let kept = (parameter.var.as_tensor() * (1.0 - rate * WEIGHT_DECAY))?;
    Ok((kept - (update * (rate * size))?)?)
}

/// The nearest matrix with singular values around 1.
fn orthogonal(matrix: &Tensor) -> Result<Tensor> {
    let (rows, columns) = matrix.dims2()?;
    let tall = rows > columns;
    let wide = if tall { matrix.t()? } else { matrix.clone() };
    let norm = f64::from(wide.sqr()?.sum_all()?.to_scalar::<f32>()?).sqrt();
    let mut x = (wide.contiguous()? / (norm + 1e-7))?;
    for _ in 0..5 {
        let a = x.matmul(&x.t()?)?;
        let b = ((&a * -4.7750)? + (a.matmul(&a)? * 2.0315)?)?;
        x = ((&x * 3.4445)? + b.matmul(&x)?)?;
    }
    Ok(if tall { x.t()?.contiguous()? } else { x })
}

fn adam(
    parameter: &Parameter,
    moments: &mut Moments,
    grad: &[f32],
    step: usize,
    rate: f64,
) -> Result<Tensor> {
    let (b1, b2) = ADAM_BETAS;
    let steps = step as i32 + 1;
    let (c1, c2) = (1.0 - b1.powi(steps), 1.0 - b2.powi(steps));
    let rate = (ADAM_RATE * rate) as f32;
    let mut values = parameter.var.flatten_all()?.to_vec1::<f32>()?;
    for (((x, g), m), v) in values
        .iter_mut()
        .zip(grad)
        .zip(&mut moments.first)
        .zip(&mut moments.second)
    {
        *m = *m * b1 + g * (1.0 - b1);
        *v = *v * b2 + g * g * (1.0 - b2);
        *x -= rate * (*m / c1) / ((*v / c2).sqrt() + ADAM_EPS);
    }
    Ok(Tensor::from_vec(
        values,
        parameter.var.shape(),
        &Device::Cpu,
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn newton_schulz_brings_singular_values_near_one() {
        let mut random = Random::new(1, 0);
        let data: Vec<f32> = (0..48 * 16).map(|_| random.normal()).collect();
        let x = Tensor::from_vec(data, (48, 16), &Device::Cpu).unwrap();
        let y = orthogonal(&x).unwrap();
        let gram = y.t().unwrap().matmul(&y).unwrap();
        for (i, row) in gram.to_vec2::<f32>().unwrap().iter().enumerate() {
            for (j, value) in row.iter().enumerate() {
                if i == j {
                    assert!((0.4..1.6).contains(value), "diagonal {value}");
                } else {
                    assert!(value.abs() < 0.4, "off the diagonal {value}");
                }
            }
        }
    }
}
