//! Stopping and going on: everything a run needs, in one file, written atomically.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{bail, ensure, Context, Result};
use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::model::{Model, Shape};
use crate::optimizer::Optimizer;

/// What makes two runs the same run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Seed of weights and samples.
    pub seed: u64,
    /// Steps of the whole run: the learning rate follows from it.
    pub steps: usize,
    /// Samples a step.
    pub batch: usize,
    /// The model.
    pub shape: Shape,
}

#[derive(Serialize, Deserialize)]
struct Header {
    settings: Settings,
    done: usize,
    seconds: f64,
}

/// Writes the state after `done` steps and `seconds` of training to `path`.
///
/// # Errors
/// If the file cannot be written.
pub fn save(
    path: &Path,
    settings: &Settings,
    done: usize,
    seconds: f64,
    model: &Model,
    optimizer: &Optimizer,
) -> Result<()> {
    let header = serde_json::to_vec(&Header {
        settings: *settings,
        done,
        seconds,
    })?;
    let mut tensors = HashMap::new();
    let length = header.len();
    tensors.insert(
        "header".to_string(),
        Tensor::from_vec(header, length, &Device::Cpu)?,
    );
    for (parameter, moments) in model.parameters.iter().zip(&optimizer.moments) {
        let name = &parameter.name;
        let shape = parameter.var.shape();
        tensors.insert(format!("value {name}"), parameter.var.as_tensor().clone());
        for (kind, data) in [("first", &moments.first), ("second", &moments.second)] {
            let tensor = Tensor::from_slice(data, shape, &Device::Cpu)?;
            tensors.insert(format!("{kind} {name}"), tensor);
        }
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
    }
    let partial = path.with_extension("partial");
    candle_core::safetensors::save(&tensors, &partial)
        .with_context(|| format!("cannot write {}", partial.display()))?;
    std::fs::rename(&partial, path)
        .with_context(|| format!("cannot rename {} to {}", partial.display(), path.display()))
}

/// Reads the state at `path` into `model` and `optimizer`: steps done and seconds spent on them.
///
/// # Errors
/// If the file is damaged or belongs to a run with other settings.
pub fn load(
    path: &Path,
    settings: &Settings,
    model: &Model,
    optimizer: &mut Optimizer,
) -> Result<(usize, f64)> {
    let tensors = candle_core::safetensors::load(path, &Device::Cpu)
        .with_context(|| format!("{} is no readable checkpoint; remove it", path.display()))?;
    let get = |name: String| {
        tensors
            .get(&name)
            .with_context(|| format!("{} lacks {name:?}; remove it", path.display()))
    };
    let header: Header = serde_json::from_slice(&get("header".into())?.to_vec1::<u8>()?)
        .with_context(|| format!("{} has an unreadable header; remove it", path.display()))?;
    if header.settings != *settings {
        bail!(
            "{} belongs to another run ({:?}); remove it or choose another --checkpoint",
            path.display(),
            header.settings
        );
    }
    for (parameter, moments) in model.parameters.iter().zip(&mut optimizer.moments) {
        let name = &parameter.name;
        let value = get(format!("value {name}"))?;
        ensure!(
            value.shape() == parameter.var.shape(),
            "{name} has another shape"
        );
        parameter.var.set(value)?;
        moments.first = get(format!("first {name}"))?.flatten_all()?.to_vec1()?;
        moments.second = get(format!("second {name}"))?.flatten_all()?.to_vec1()?;
    }
    Ok((header.done, header.seconds))
}
