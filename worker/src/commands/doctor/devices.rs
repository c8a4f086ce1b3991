//! What models run on: each device with its driver and its memory, and how fast
//! that memory is, which decides how fast a job alone can be.

use super::Examination;
use crate::{
    error::{Error, Kind},
    executor::{system_memory, SystemMemory},
};
use genesisflow_engine::{
    devices::{DeviceChoice, Place},
    LoadOptions,
};

/// Bytes that are moved to measure a bandwidth: few enough for a machine whose
/// worker is at work, and more than caches hold.
const MOVED: usize = 256 << 20;
/// Passes of which the fastest counts.
const PASSES: usize = 5;

/// Looks at the devices of the choice.
pub(super) async fn examine(choice: &DeviceChoice, found: &mut Examination) {
    let devices = match choice.look() {
        Ok(devices) => devices,
        Err(error) => return found.bad("device", &unusable(choice, &error)),
    };
    for card in &devices.cards {
        match measured(Place::card(card.index)).await {
            Ok(bandwidth) => found.good("device", format!("{card}; {bandwidth}")),
            // `run` passes it over.
            Err(error) if *choice == DeviceChoice::Auto => {
                found.doubtful("device", format!("{card}: cannot be used: {error}"));
            }
            Err(error) => found.bad("device", &unusable(choice, &error)),
        }
    }
    if devices.cards.is_empty() {
        let passed_over = devices.passed_over.iter();
        let why: String = passed_over.map(|reason| format!("; {reason}")).collect();
        match LoadOptions::from_environment() {
            Ok(options) => match measured(Place::Processor(options)).await {
                Ok(bandwidth) => {
                    let cpu = processor(&options, system_memory());
                    found.good("device", format!("{cpu}; {bandwidth}{why}"));
                }
                Err(error) => found.doubtful("device", format!("CPU: {error}{why}")),
            },
            Err(error) => found.bad("device", &unusable(choice, &error)),
        }
    } else if !devices.passed_over.is_empty() {
        found.doubtful("device", devices.passed_over.join("; "));
    }
}

fn unusable(choice: &DeviceChoice, error: &dyn std::fmt::Display) -> Error {
    Error::new(Kind::Usage, format!("models cannot run on {choice}"))
        .because(error)
        .fix("set device to auto or cpu, or to a card that is there: see docs/gpu.md")
}

/// The bandwidth of a device, in words.
async fn measured(place: Place) -> Result<String, String> {
    let measure = move || place.bandwidth(MOVED, PASSES);
    match tokio::task::spawn_blocking(measure).await {
        Ok(Ok(bandwidth)) => Ok(bandwidth.to_string()),
        Ok(Err(error)) => Err(format!("{}: {}", error.device, error.reason)),
        Err(error) => Err(error.to_string()),
    }
}

/// The processor, and the memory that it shares with all programs.
fn processor(options: &LoadOptions, memory: Option<SystemMemory>) -> String {
    let LoadOptions { kernel, threads } = options;
    let cpu = format!(
        "CPU, kernel {}, {threads} threads, no driver",
        kernel.name()
    );
    let gib = |bytes: usize| bytes as f64 / (1u64 << 30) as f64;
    match memory {
        Some(SystemMemory { total, left }) => {
            format!(
                "{cpu}, {:.1} GiB of memory, {:.1} free",
                gib(total),
                gib(left)
            )
        }
        None => cpu,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use genesisflow_cuda_shim::Shim;

    #[tokio::test]
    async fn the_processor_shows_its_memory_and_how_fast_that_is() {
        let mut found = Examination::default();
        examine(&DeviceChoice::Processor, &mut found).await;
        let says = &found.0[0].says;
        for part in ["CPU, kernel ", "no driver", "GiB of memory", "GB/s read"] {
            assert!(says.contains(part), "{part} in {says}");
        }
        assert_eq!(found.worst(), None);
    }

    /// The way of a card, through the stand-in that a machine without one has.
    #[tokio::test]
    async fn a_device_is_measured_by_copies_within_it() {
        let says = measured(Place::opened_by(|| Ok(Shim::new()))).await;
        assert!(says.unwrap().contains("GB/s copied"));
    }

    #[tokio::test]
    async fn a_device_that_cannot_be_opened_says_why() {
        let refuse = || {
            Err(genesisflow_cuda::DeviceError::Failed {
                device: "cuda:7".into(),
                operation: "opening the card".into(),
                reason: "it is not there".into(),
            })
        };
        let says = measured(Place::opened_by(refuse)).await.unwrap_err();
        assert_eq!(says, "cuda:7: opening the card: it is not there");
    }
}
