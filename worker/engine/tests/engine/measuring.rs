//! What `bench` and `doctor` measure, on the processor and on a device: the stand-in that runs the
//! CUDA kernels on a CPU. Its speed means nothing; what is counted does.

use crate::on_device::Recorder;
use genesisflow_canonical::kernels::Kernel;
use genesisflow_cuda_shim::Shim;
use genesisflow_engine::{
    bench::{self, BenchError, BenchPlan, Lengths, RandomWeights, Shape, StoredFormat, Traffic},
    config::DecoderConfig,
    decoder::Decoder,
    devices::Place,
    threads::Threads,
    LoadOptions,
};

fn places() -> [Place; 2] {
    [
        Place::Processor(LoadOptions {
            kernel: Kernel::detect(),
            threads: 1,
        }),
        Place::opened_by(|| Ok(Shim::new())),
    ]
}

/// A model of two layers, with whole blocks of weights.
fn small(window: Option<usize>, tied_embeddings: bool) -> Shape {
    let config = DecoderConfig {
        hidden_size: 64,
        intermediate_size: 96,
        layers: 2,
        heads: 4,
        kv_heads: 2,
        head_dim: 16,
        vocab_size: 160,
        window,
        tied_embeddings,
        ..Shape::llama_8b().config
    };
    Shape {
        name: "small",
        config,
    }
}

fn plan(shapes: Vec<Shape>) -> BenchPlan {
    BenchPlan {
        shapes,
        formats: vec![StoredFormat::Q8_0],
        batches: vec![1, 2],
        lengths: Lengths {
            prefill: 40,
            prompt: 8,
            steps: 2,
            replayed: 6,
            moved: 1 << 20,
        },
        repeats: 2,
        replay: true,
    }
}

#[test]
fn a_report_says_what_ran_how_fast_memory_is_and_how_much_of_it_decoding_reaches() {
    for (place, traffic) in places().iter().zip([Traffic::Read, Traffic::Copy]) {
        let plan = plan(vec![small(None, false), small(None, true)]);
        let report = bench::run(&plan, place, &mut |_| {}).unwrap();
        assert_eq!(report.bandwidth.traffic, traffic);
        assert!(report.bandwidth.bytes_per_second > 0.0);
        assert_eq!(report.device.memory.is_some(), traffic == Traffic::Copy);
        for model in &report.models {
            let share = model.share_of_bandwidth.unwrap();
            let single = model.decode[0].tokens_per_second;
            let bytes = model.bytes_per_token as f64;
            // The share is of the bandwidth around each run, not of the best.
            assert!(share > 0.0 && single > 0.0 && bytes > 0.0);
            assert_eq!(model.decode[1].sequences, 2);
            assert_eq!(model.replay.unwrap().tokens, 6);
            assert_eq!(model.prefill_tokens, 40);
        }
        let json: serde_json::Value =
            serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
        for key in [
            "/device/name",
            "/device/driver",
            "/bandwidth/bytes_per_second",
        ] {
            assert!(json.pointer(key).is_some(), "{key} in {json}");
        }
        let text = report.to_string();
        assert!(
            text.contains("GB/s") && text.contains("of bandwidth"),
            "{text}"
        );
    }
}

/// A share of 1 is what reading every byte once at full speed would be.
#[test]
fn a_token_reads_weights_keys_and_values_and_no_embedding_row_by_row() {
    let mut read = Vec::new();
    for place in places() {
        for (window, tied) in [(None, true), (None, false), (Some(5), true)] {
            let config = small(window, tied).config;
            let mut weights = RandomWeights::new(StoredFormat::Q8_0);
            let decoder = match &place {
                Place::Processor(options) => {
                    let threads = Threads::new(1).unwrap();
                    Decoder::new(config, &mut weights, options.kernel, threads)
                }
                Place::Device(open) => Decoder::on_device(config, &mut weights, open().unwrap()),
            };
            let decoder = decoder.unwrap();
            // Keys and values of 2 heads of 16 in 2 layers, 2 bytes each.
            let position = 2 * 2 * 2 * 16 * 2;
            let at = |positions| decoder.bytes_per_token(positions);
            assert_eq!(at(3) - at(0), 3 * position);
            let far = if window.is_some() { 4 } else { 100 };
            assert_eq!(at(100) - at(0), far * position);
            let unread = decoder.bytes() + position - at(0);
            let embedding = 160 * 64 * 34 / 32;
            assert_eq!(unread, if tied { 0 } else { embedding });
            read.push(at(7));
        }
    }
    assert_eq!(read[..3], read[3..], "the same on both");
}

#[test]
fn nothing_to_measure_and_a_broken_device_are_errors() {
    let place = Place::opened_by(|| Ok(Shim::new()));
    let nothing = bench::run(&plan(Vec::new()), &place, &mut |_| {});
    assert!(matches!(nothing, Err(BenchError::Nothing)));
    let broken = Place::opened_by(|| {
        let recorder = Recorder::new(Shim::new());
        recorder.break_after(5);
        Ok(recorder)
    });
    let failed = bench::run(&plan(vec![small(None, true)]), &broken, &mut |_| {});
    assert!(matches!(failed, Err(BenchError::Device(_))), "{failed:?}");
}
