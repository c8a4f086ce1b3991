//! Measures this machine: read bandwidth, prefill and decode on random weights of real shapes.
//!
//! ```text
//! cargo run --release -p genesisflow-engine --example bench -- \
//!     [--shapes a,b] [--formats q8_0,q4_0] [--batches 1,4,8,16] [--repeats n] [--replay] [--json]
//! ```
//! The kernel and the threads are chosen by `GENESISFLOW_KERNEL` and `GENESISFLOW_THREADS`.

use std::error::Error;

use genesisflow_engine::{
    bench::{self, BenchPlan, Shape, StoredFormat},
    devices::Place,
    LoadOptions,
};

fn main() -> Result<(), Box<dyn Error>> {
    let place = Place::Processor(LoadOptions::from_environment()?);
    let mut plan = BenchPlan {
        shapes: Shape::all(),
        formats: vec![StoredFormat::Q8_0, StoredFormat::Q4_0],
        batches: vec![1, 4, 8, 16],
        lengths: place.lengths(),
        repeats: 5,
        replay: false,
    };
    let mut json = false;
    let mut arguments = std::env::args().skip(1);
    while let Some(flag) = arguments.next() {
        if flag == "--json" {
            json = true;
            continue;
        }
        if flag == "--replay" {
            plan.replay = true;
            continue;
        }
        let value = arguments.next().ok_or("the flag needs a value")?;
        let list = value.split(',');
        match flag.as_str() {
            "--shapes" => {
                plan.shapes = list
                    .map(|name| Shape::named(name).ok_or(format!("no shape `{name}`")))
                    .collect::<Result<_, _>>()?;
            }
            "--formats" => {
                plan.formats = list
                    .map(|name| StoredFormat::named(name).ok_or(format!("no format `{name}`")))
                    .collect::<Result<_, _>>()?;
            }
            "--batches" => plan.batches = list.map(str::parse).collect::<Result<_, _>>()?,
            "--repeats" => plan.repeats = value.parse()?,
            other => return Err(format!("unknown flag {other}").into()),
        }
    }
    let report = bench::run(&plan, &place, &mut |what| eprintln!("measuring {what}"))?;
    if json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{report}");
    }
    Ok(())
}
