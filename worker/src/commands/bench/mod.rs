//! `bench`: how fast each device of this machine is, with models of real shapes
//! or the operator's own, how near that is to what its memory lets through, and
//! what a million tokens cost on it.

mod own;
mod price;

use crate::{
    cli::BenchArgs,
    config::Settings,
    error::{Error, Kind, Result},
    manifest::absolute,
    model_store::ModelStore,
};
use genesisflow_engine::{
    bench::{self, Bandwidth, BenchPlan, ModelSpeed, Shape, SpeedTable, StoredFormat},
    devices::Place,
    DeviceReport, LoadOptions,
};
use own::OwnSpeed;
use price::{Cost, Speed};
use serde::Serialize;
use serde_json::json;
use std::{fmt, path::PathBuf};

/// Runs `bench`.
pub async fn run(settings: &Settings, args: &BenchArgs) -> Result<()> {
    let settings = settings.clone();
    let args = args.clone();
    tokio::task::spawn_blocking(move || measure(&settings, &args))
        .await
        .map_err(|error| {
            Error::new(Kind::Internal, "measuring ended unexpectedly").because(error)
        })?
}

fn measure(settings: &Settings, args: &BenchArgs) -> Result<()> {
    let options = LoadOptions::from_environment().map_err(|error| {
        Error::new(Kind::Usage, "cannot compute as the environment says").because(error)
    })?;
    // Everything that was typed is looked at before anything takes minutes.
    let shapes = shapes(args)?;
    let formats = named(&args.formats, "format", StoredFormat::named, || {
        vec![StoredFormat::Q8_0.name(), StoredFormat::Q4_0.name()]
    })?;
    let store = ModelStore::open(&settings.data_dir)?;
    let folders = args.models.iter().map(|text| match store.named(text) {
        Some(dir) => Ok(dir),
        None => absolute(text.as_ref()),
    });
    let folders = folders.collect::<Result<Vec<_>>>()?;
    let batches: Vec<usize> = args.batches.iter().map(|n| *n as usize).collect();

    let devices = settings.device.look().map_err(|error| {
        let what = format!("cannot measure {}", settings.device);
        Error::new(Kind::Usage, what)
            .because(error)
            .fix("pass --device auto or --device cpu; docs/gpu.md says what a card needs")
    })?;
    for reason in &devices.passed_over {
        eprintln!("{reason}");
    }
    let mut measured = Vec::new();
    for place in devices.places(options) {
        let plan = BenchPlan {
            shapes: shapes.clone(),
            formats: formats.clone(),
            batches: batches.clone(),
            lengths: place.lengths(),
            repeats: args.repeats as usize,
            replay: args.replay,
        };
        measured.extend(on_device(args, &place, &folders, &plan)?);
    }
    if args.json {
        println!("{:#}", json!({ "devices": measured }));
        return Ok(());
    }
    for device in measured {
        println!("{device}\n");
    }
    if args.hourly_price.is_none() {
        println!("--hourly-price shows what a million tokens cost at these speeds.");
    }
    Ok(())
}

/// What was measured on one device.
#[derive(Serialize)]
struct Measured {
    device: DeviceReport,
    bandwidth: Bandwidth,
    models: Vec<OwnSpeed>,
    shapes: Vec<ModelSpeed>,
    costs: Option<Vec<Cost>>,
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.device, self.bandwidth)?;
        for model in &self.models {
            write!(f, "\n{model}")?;
        }
        if !self.shapes.is_empty() {
            write!(f, "\n\n{}", SpeedTable(&self.shapes))?;
        }
        match &self.costs {
            None => Ok(()),
            Some(costs) => write!(f, "\n\n{}", price::table(costs)),
        }
    }
}

/// Measures models and shapes on one device; none if there are neither.
fn on_device(
    args: &BenchArgs,
    place: &Place,
    folders: &[PathBuf],
    plan: &BenchPlan,
) -> Result<Option<Measured>> {
    let mut seen: Option<(DeviceReport, Bandwidth)> = None;
    let mut see = |device: DeviceReport, bandwidth: Bandwidth| match &mut seen {
        Some((_, best)) if best.bytes_per_second >= bandwidth.bytes_per_second => {}
        seen => *seen = Some((device, bandwidth)),
    };
    let mut models = Vec::new();
    for dir in folders {
        eprintln!("measuring {}", dir.display());
        let own = own::measure(dir, place, plan)?;
        see(own.device, own.bandwidth);
        models.push(own.speed);
    }
    let mut shapes = Vec::new();
    if !plan.shapes.is_empty() {
        let report = bench::run(plan, place, &mut |what| eprintln!("measuring {what}"));
        let report = report.map_err(|error| {
            Error::new(Kind::Model, "cannot measure")
                .because(error)
                .fix("measure fewer or smaller shapes with --shapes and --batches")
        })?;
        see(report.device, report.bandwidth);
        shapes = report.models;
    }
    Ok(seen.map(|(device, bandwidth)| Measured {
        device,
        bandwidth,
        costs: costs(args, &models, &shapes),
        models,
        shapes,
    }))
}

/// The shapes to measure: all, unless some, or a model, are named.
fn shapes(args: &BenchArgs) -> Result<Vec<Shape>> {
    match (&args.shapes[..], &args.models[..]) {
        ([], []) => Ok(Shape::all()),
        (names, _) => named(names, "shape", Shape::named, || {
            Shape::all().iter().map(|shape| shape.name).collect()
        }),
    }
}

fn named<T>(
    names: &[String],
    what: &str,
    find: impl Fn(&str) -> Option<T>,
    known: impl Fn() -> Vec<&'static str>,
) -> Result<Vec<T>> {
    let unknown = |name: &String| {
        Error::new(Kind::Usage, format!("there is no {what} `{name}`"))
            .fix(format!("choose among {}", known().join(", ")))
    };
    names
        .iter()
        .map(|name| find(name).ok_or_else(|| unknown(name)))
        .collect()
}

/// What tokens cost on everything that was measured, if an hour has a price.
fn costs(args: &BenchArgs, own: &[OwnSpeed], random: &[ModelSpeed]) -> Option<Vec<Cost>> {
    let hour = args.hourly_price?;
    let busy = f64::from(args.busy) / 100.0;
    let of_own = own.iter().map(|model| Speed {
        name: model.name.clone(),
        input: model.prefill_tokens_per_second,
        output: &model.decode,
    });
    let of_random = random.iter().map(|model| Speed {
        name: format!("{} {}", model.shape, model.format),
        input: model.prefill_tokens_per_second,
        output: &model.decode,
    });
    let speeds = of_own.chain(of_random);
    Some(
        speeds
            .map(|speed| price::cost(&speed, hour, busy))
            .collect(),
    )
}
