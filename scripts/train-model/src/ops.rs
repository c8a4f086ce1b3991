//! The operators of a decoder that candle has no backward pass for, fused.
//!
//! Rows of all sequences of a shard stand one under the other, without
//! padding. Each operator runs on the calling thread only, in a fixed order:
//! the trainer runs one shard a thread, and the result must not depend on how
//! many threads there are.

// Several arrays are walked in step: an index reads better than nested zips.
#![allow(clippy::needless_range_loop)]

use std::sync::Arc;

use candle_core::{bail, CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};

/// Width of a head. Fixed, so that the inner loops have a known length.
pub const HEAD_DIM: usize = 32;

/// The contiguous f32 values behind a storage.
fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let Some((start, end)) = layout.contiguous_offsets() else {
        bail!("this operator needs contiguous rows");
    };
    Ok(&storage.as_slice::<f32>()?[start..end])
}

/// The values of a tensor, copied out.
fn copied(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor.flatten_all()?.to_vec1::<f32>()
}

fn like(data: Vec<f32>, tensor: &Tensor) -> Result<Tensor> {
    Tensor::from_vec(data, tensor.shape(), tensor.device())
}

/// e^x by range reduction and a polynomial, without a branch or a call, so that loops over it vectorise.
/// Good to 2 ulp or so between -87 and 88, clamped outside.
#[inline(always)]
fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23: adding and taking it away rounds to an integer
    let x = x.clamp(-87.0, 88.0);
    let n = (x * std::f32::consts::LOG2_E + ROUND) - ROUND;
    let r = (x - n * 0.693_359_4) - n * -2.121_944_4e-4;
    let mut p = 1.0 / 720.0;
    for c in [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        p = p * r + c;
    }
    f32::from_bits((p.to_bits() as i32).wrapping_add((n as i32) << 23) as u32)
}

/// Sum in eight lanes: a fixed order that vectorises.
#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0f32; 8];
    let (a_chunks, b_chunks) = (a.chunks_exact(8), b.chunks_exact(8));
    let tail: f32 = a_chunks
        .remainder()
        .iter()
        .zip(b_chunks.remainder())
        .map(|(x, y)| x * y)
        .sum();
    for (x, y) in a_chunks.zip(b_chunks) {
        for i in 0..8 {
            lanes[i] += x[i] * y[i];
        }
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + e) + (c + g)) + ((b + f) + (d + h)) + tail
}

#[inline(always)]
fn add_scaled(into: &mut [f32], from: &[f32], factor: f32) {
    for (x, y) in into.iter_mut().zip(from) {
        *x += y * factor;
    }
}

/// Root-mean-square norm of rows `[rows, width]` with a weight `[width]`.
pub struct RmsNorm {
    /// Added to the mean square.
    pub eps: f32,
}

impl RmsNorm {
    fn scale(&self, row: &[f32]) -> f32 {
        1.0 / (dot(row, row) / row.len() as f32 + self.eps).sqrt()
    }
}

impl CustomOp2 for RmsNorm {
    fn name(&self) -> &'static str {
        "rms-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        w: &CpuStorage,
        w_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, w) = (values(x, x_layout)?, values(w, w_layout)?);
        let mut out = vec![0f32; x.len()];
        for (row, out) in x.chunks_exact(w.len()).zip(out.chunks_exact_mut(w.len())) {
            let scale = self.scale(row);
            for ((o, x), w) in out.iter_mut().zip(row).zip(w) {
                *o = x * scale * w;
            }
        }
        Ok((CpuStorage::F32(out), x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (xs, ws, gs) = (copied(x)?, copied(w)?, copied(grad)?);
        let width = ws.len();
        let (mut gx, mut gw) = (vec![0f32; xs.len()], vec![0f32; width]);
        let mut weighted = vec![0f32; width];
        for ((row, g), gx) in xs
            .chunks_exact(width)
            .zip(gs.chunks_exact(width))
            .zip(gx.chunks_exact_mut(width))
        {
            let scale = self.scale(row);
            for i in 0..width {
                gw[i] += g[i] * row[i] * scale;
                weighted[i] = g[i] * ws[i];
            }
            let pull = dot(&weighted, row) * scale * scale * scale / width as f32;
            for i in 0..width {
                gx[i] = weighted[i] * scale - row[i] * pull;
            }
        }
        Ok((Some(like(gx, x)?), Some(like(gw, w)?)))
    }
}

/// `silu(gate) * up` for rows `[rows, 2 * width]` that hold gate, then up.
pub struct SwiGlu;

impl CustomOp1 for SwiGlu {
    fn name(&self) -> &'static str {
        "swiglu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, both) = layout.shape().dims2()?;
        let width = both / 2;
        let x = values(x, layout)?;
        let mut out = vec![0f32; rows * width];
        for (row, out) in x.chunks_exact(both).zip(out.chunks_exact_mut(width)) {
            let (gate, up) = row.split_at(width);
            for ((o, g), u) in out.iter_mut().zip(gate).zip(up) {
                *o = g / (1.0 + exp(-g)) * u;
            }
        }
        Ok((CpuStorage::F32(out), (rows, width).into()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let (_, both) = x.dims2()?;
        let width = both / 2;
        let (xs, gs) = (copied(x)?, copied(grad)?);
        let mut gx = vec![0f32; xs.len()];
        for ((row, grad), gx) in xs
            .chunks_exact(both)
            .zip(gs.chunks_exact(width))
            .zip(gx.chunks_exact_mut(both))
        {
            let (gate, up) = row.split_at(width);
            let (g_gate, g_up) = gx.split_at_mut(width);
            for i in 0..width {
                let sigmoid = 1.0 / (1.0 + exp(-gate[i]));
                let silu = gate[i] * sigmoid;
                g_up[i] = grad[i] * silu;
                g_gate[i] = grad[i] * up[i] * (sigmoid + silu * (1.0 - sigmoid));
            }
        }
        Ok(Some(like(gx, x)?))
    }
}

/// Sum over rows of the negative log-likelihood of `targets` under logits `[rows, vocabulary]`.
pub struct CrossEntropy {
    /// The right token of each row.
    pub targets: Arc<Vec<u32>>,
}

impl CustomOp1 for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross-entropy"
    }

    fn cpu_fwd(&self, logits: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, width) = layout.shape().dims2()?;
        let mut loss = 0f64;
        for (row, &target) in values(logits, layout)?
            .chunks_exact(width)
            .zip(self.targets.iter())
        {
            let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let sum: f32 = row.iter().map(|x| exp(x - max)).sum();
            loss += f64::from(max + sum.ln() - row[target as usize]);
        }
        Ok((CpuStorage::F32(vec![loss as f32]), Shape::from(())))
    }

    fn bwd(&self, logits: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let factor = grad.to_scalar::<f32>()?;
        let (_, width) = logits.dims2()?;
        let mut out = copied(logits)?;
        for (row, &target) in out.chunks_exact_mut(width).zip(self.targets.iter()) {
            let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let mut sum = 0f32;
            for x in row.iter_mut() {
                *x = exp(*x - max);
                sum += *x;
            }
            let factor = factor / sum;
            for x in row.iter_mut() {
                *x *= factor;
            }
            row[target as usize] -= factor * sum;
        }
        Ok(Some(like(out, logits)?))
    }
}

/// Causal attention with rotary positions over rows `[rows, 3 * heads * HEAD_DIM]` of q, k and v.
pub struct Attention {
    /// Rows of each sequence, one after the other.
    pub lengths: Arc<Vec<usize>>,
    /// Cosine and sine tables.
    pub rotary: Arc<Rotary>,
}

/// Cosines and sines, `HEAD_DIM / 2` a position.
pub struct Rotary {
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl Rotary {
    /// Tables for `positions` positions.
    pub fn new(theta: f64, positions: usize) -> Self {
        let half = HEAD_DIM / 2;
        let angles = (0..positions).flat_map(|position| {
            (0..half).map(move |i| position as f64 * theta.powf(-2.0 * i as f64 / HEAD_DIM as f64))
        });
        let (cos, sin) = angles.map(|a| (a.cos() as f32, a.sin() as f32)).unzip();
        Self { cos, sin }
    }

    /// Turns pairs (i, i + half); `direction` -1 turns back.
    fn turn(&self, head: &mut [f32], position: usize, direction: f32) {
        let half = HEAD_DIM / 2;
        let (a, b) = head.split_at_mut(half);
        let cos = &self.cos[position * half..][..half];
        let sin = &self.sin[position * half..][..half];
        for i in 0..half {
            let (x, y, s) = (a[i], b[i], sin[i] * direction);
            a[i] = x * cos[i] - y * s;
            b[i] = y * cos[i] + x * s;
        }
    }
}

/// One head of one sequence, copied out of the rows.
struct Head {
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
}

impl Attention {
    fn scale() -> f32 {
        1.0 / (HEAD_DIM as f32).sqrt()
    }

    fn head(&self, qkv: &[f32], width: usize, head: usize) -> Head {
        let take = |part: usize| {
            let mut rows = Vec::with_capacity(qkv.len() / (3 * width) * HEAD_DIM);
            for row in qkv.chunks_exact(3 * width) {
                rows.extend_from_slice(&row[part * width + head * HEAD_DIM..][..HEAD_DIM]);
            }
            rows
        };
        let mut out = Head {
            q: take(0),
            k: take(1),
            v: take(2),
        };
        for rows in [&mut out.q, &mut out.k] {
            for (position, row) in rows.chunks_exact_mut(HEAD_DIM).enumerate() {
                self.rotary.turn(row, position, 1.0);
            }
        }
        out
    }

    /// Softmax weights of query `i` over keys `0..=i`.
    fn weights(head: &Head, i: usize, out: &mut [f32]) {
        let q = &head.q[i * HEAD_DIM..][..HEAD_DIM];
        let mut max = f32::NEG_INFINITY;
        for (j, w) in out[..=i].iter_mut().enumerate() {
            *w = dot(q, &head.k[j * HEAD_DIM..][..HEAD_DIM]) * Self::scale();
            max = max.max(*w);
        }
        let mut sum = 0f32;
        for w in &mut out[..=i] {
            *w = exp(*w - max);
            sum += *w;
        }
        for w in &mut out[..=i] {
            *w /= sum;
        }
    }
}

impl CustomOp1 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(&self, qkv: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, triple) = layout.shape().dims2()?;
        let width = triple / 3;
        let qkv = values(qkv, layout)?;
        let mut out = vec![0f32; rows * width];
        let mut start = 0;
        for &length in self.lengths.iter() {
            let sequence = &qkv[start * triple..][..length * triple];
            let out = &mut out[start * width..][..length * width];
            let mut weights = vec![0f32; length];
            for h in 0..width / HEAD_DIM {
                let head = self.head(sequence, width, h);
                for i in 0..length {
                    Self::weights(&head, i, &mut weights);
                    let o = &mut out[i * width + h * HEAD_DIM..][..HEAD_DIM];
                    for (j, &w) in weights[..=i].iter().enumerate() {
                        add_scaled(o, &head.v[j * HEAD_DIM..][..HEAD_DIM], w);
                    }
                }
            }
            start += length;
        }
        Ok((CpuStorage::F32(out), (rows, width).into()))
    }

    fn bwd(&self, qkv: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let (_, triple) = qkv.dims2()?;
        let width = triple / 3;
        let (data, grads) = (copied(qkv)?, copied(grad)?);
        let mut out = vec![0f32; data.len()];
        let mut start = 0;
        for &length in self.lengths.iter() {
            let sequence = &data[start * triple..][..length * triple];
            let grads = &grads[start * width..][..length * width];
            let out = &mut out[start * triple..][..length * triple];
            let (mut weights, mut pulls) = (vec![0f32; length], vec![0f32; length]);
            for h in 0..width / HEAD_DIM {
                let head = self.head(sequence, width, h);
                let size = length * HEAD_DIM;
                let (mut gq, mut gk, mut gv) =
                    (vec![0f32; size], vec![0f32; size], vec![0f32; size]);
                for i in 0..length {
                    Self::weights(&head, i, &mut weights);
                    let g = &grads[i * width + h * HEAD_DIM..][..HEAD_DIM];
                    let mut mean = 0f32;
                    for j in 0..=i {
                        let at = j * HEAD_DIM;
                        add_scaled(&mut gv[at..][..HEAD_DIM], g, weights[j]);
                        pulls[j] = dot(g, &head.v[at..][..HEAD_DIM]);
                        mean += weights[j] * pulls[j];
                    }
                    let q = &head.q[i * HEAD_DIM..][..HEAD_DIM];
                    let gq = &mut gq[i * HEAD_DIM..][..HEAD_DIM];
                    for j in 0..=i {
                        let at = j * HEAD_DIM;
                        let pull = weights[j] * (pulls[j] - mean) * Self::scale();
                        add_scaled(gq, &head.k[at..][..HEAD_DIM], pull);
                        add_scaled(&mut gk[at..][..HEAD_DIM], q, pull);
                    }
                }
                for position in 0..length {
                    let at = position * HEAD_DIM;
                    self.rotary.turn(&mut gq[at..][..HEAD_DIM], position, -1.0);
                    self.rotary.turn(&mut gk[at..][..HEAD_DIM], position, -1.0);
                    let row = &mut out[position * triple..][..triple];
                    for (part, grad) in [&gq, &gk, &gv].into_iter().enumerate() {
                        row[part * width + h * HEAD_DIM..][..HEAD_DIM]
                            .copy_from_slice(&grad[at..][..HEAD_DIM]);
                    }
                }
            }
            start += length;
        }
        Ok(Some(like(out, qkv)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use candle_core::{Device, Var};

    fn random_var(rows: usize, width: usize, seed: u64) -> Var {
        let mut random = Random::new(seed, 0);
        let data: Vec<f32> = (0..rows * width).map(|_| random.normal() * 0.7).collect();
        Var::from_vec(data, (rows, width), &Device::Cpu).unwrap()
    }

    /// The gradient of `f` at a few places, against a central difference.
    fn check_gradient(x: &Var, f: impl Fn(&Tensor) -> Tensor) {
        let grads = f(x.as_tensor()).backward().unwrap();
        let grad = copied(grads.get(x.as_tensor()).unwrap()).unwrap();
        let base = copied(x.as_tensor()).unwrap();
        for place in (0..base.len()).step_by(base.len() / 37 + 1) {
            let at = |shift: f32| {
                let mut moved = base.clone();
                moved[place] += shift;
                f(&like(moved, x.as_tensor()).unwrap())
                    .to_scalar::<f32>()
                    .unwrap()
            };
            let numeric = (at(1e-2) - at(-1e-2)) / 2e-2;
            assert!(
                (numeric - grad[place]).abs() < 2e-2 * (1.0 + numeric.abs()),
                "place {place}: {numeric} by differences, {} by backward",
                grad[place]
            );
        }
    }

    /// A scalar that depends on every value in its own way.
    fn mixed(x: Tensor) -> Tensor {
        let n = x.elem_count();
        let weights: Vec<f32> = (0..n).map(|i| ((i * 7 % 11) as f32 - 5.0) / 5.0).collect();
        let weights = like(weights, &x).unwrap();
        (x * weights).unwrap().sum_all().unwrap()
    }

    #[test]
    fn exp_is_close_to_the_exact_one() {
        for i in -8700..8800 {
            let x = i as f32 / 100.0;
            let exact = f64::from(x).exp();
            assert!((f64::from(exp(x)) / exact - 1.0).abs() < 1e-6, "{x}");
        }
    }

    #[test]
    fn norm_gradients_match_differences() {
        let (x, w) = (random_var(3, 24, 1), random_var(1, 24, 2));
        let w = w.as_tensor().squeeze(0).unwrap();
        let norm = |x: &Tensor, w: &Tensor| x.apply_op2(w, RmsNorm { eps: 1e-5 }).unwrap();
        check_gradient(&x, |x| mixed(norm(x, &w)));
        let w = Var::from_tensor(&w).unwrap();
        check_gradient(&w, |w| mixed(norm(x.as_tensor(), w)));
    }

    #[test]
    fn swiglu_gradient_matches_differences() {
        check_gradient(&random_var(3, 20, 3), |x| {
            mixed(x.apply_op1(SwiGlu).unwrap())
        });
    }

    #[test]
    fn cross_entropy_gradient_matches_differences() {
        let targets = Arc::new(vec![4, 0, 6]);
        check_gradient(&random_var(3, 7, 4), |x| {
            let targets = targets.clone();
            x.apply_op1(CrossEntropy { targets }).unwrap()
        });
    }

    #[test]
    fn attention_gradient_matches_differences() {
        let lengths = Arc::new(vec![3, 1, 5]);
        let rotary = Arc::new(Rotary::new(10_000.0, 8));
        check_gradient(&random_var(9, 3 * 2 * HEAD_DIM, 5), |x| {
            let (lengths, rotary) = (lengths.clone(), rotary.clone());
            mixed(x.apply_op1(Attention { lengths, rotary }).unwrap())
        });
    }

    #[test]
    fn attention_does_not_look_ahead_or_into_other_sequences() {
        let op = |lengths: &[usize]| Attention {
            lengths: Arc::new(lengths.to_vec()),
            rotary: Arc::new(Rotary::new(10_000.0, 8)),
        };
        let x = random_var(6, 3 * HEAD_DIM, 6);
        let all = copied(&x.apply_op1(op(&[2, 4])).unwrap()).unwrap();
        let first = x.narrow(0, 0, 2).unwrap().contiguous().unwrap();
        let second = x.narrow(0, 2, 3).unwrap().contiguous().unwrap();
        let first = copied(&first.apply_op1(op(&[2])).unwrap()).unwrap();
        let second = copied(&second.apply_op1(op(&[3])).unwrap()).unwrap();
        assert_eq!(all[..2 * HEAD_DIM], first);
        assert_eq!(all[2 * HEAD_DIM..5 * HEAD_DIM], second);
    }
}
