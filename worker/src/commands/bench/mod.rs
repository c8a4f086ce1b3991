//! `bench`: how fast this machine is, with models of real shapes or the
//! operator's own, and what a million tokens cost on it.

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
    bench::{self, BenchPlan, BenchReport, Shape, StoredFormat},
    LoadOptions,
};
use own::OwnSpeed;
use price::{Cost, Speed};
use serde_json::json;

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

    let mut own = Vec::new();
    for dir in folders {
        eprintln!("measuring {}", dir.display());
        own.push(own::measure(&dir, &batches, args.repeats)?);
    }
    let random = if shapes.is_empty() {
        None
    } else {
        let plan = BenchPlan {
            shapes,
            formats,
            batches,
            repeats: args.repeats as usize,
            replay: args.replay,
        };
        let report = bench::run(&plan, options, &mut |what| eprintln!("measuring {what}"))
            .map_err(|error| {
                Error::new(Kind::Model, "cannot measure")
                    .because(error)
                    .fix("measure fewer or smaller shapes with --shapes and --batches")
            })?;
        Some(report)
    };
    let costs = costs(args, &own, random.as_ref());
    if args.json {
        let report = json!({ "models": own, "shapes": random, "costs": costs });
        println!("{report:#}");
        return Ok(());
    }
    for model in &own {
        println!("{model}");
    }
    if let Some(report) = random {
        println!("{report}");
    }
    match costs {
        None => println!("\n--hourly-price shows what a million tokens cost at these speeds."),
        Some(costs) => println!("\n{}", price::table(&costs)),
    }
    Ok(())
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
fn costs(args: &BenchArgs, own: &[OwnSpeed], random: Option<&BenchReport>) -> Option<Vec<Cost>> {
    let hour = args.hourly_price?;
    let busy = f64::from(args.busy) / 100.0;
    let of_own = own.iter().map(|model| Speed {
        name: model.name.clone(),
        input: model.prefill_tokens_per_second,
        output: &model.decode,
    });
    let random = random.into_iter().flat_map(|report| &report.models);
    let of_random = random.map(|model| Speed {
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
