//! Runs benchmarks inside the runtime's wasm.

use anyhow::{anyhow, bail, ensure, Context, Result};
use codec::{Decode, Encode};
use frame_benchmarking::{
    BenchmarkBatch, BenchmarkConfig, BenchmarkList, BenchmarkMetadata, BenchmarkParameter,
    BenchmarkResult,
};
use sc_chain_spec::GenesisConfigBuilderRuntimeCaller;
use sc_client_db::BenchmarkingState;
use sc_executor::WasmExecutor;
use sp_core::{
    storage::well_known_keys,
    traits::{CallContext, ReadRuntimeVersionExt, RuntimeCode, WrappedRuntimeCode},
};
use sp_externalities::Extensions;
use sp_runtime::traits::BlakeTwo256;
use sp_state_machine::{OverlayedChanges, StateMachine};
use sp_storage::Storage;

type BenchmarkHostFunctions = frame_benchmarking::benchmarking::HostFunctions;
type Executor = WasmExecutor<(sp_io::SubstrateHostFunctions, BenchmarkHostFunctions)>;
type State = BenchmarkingState<BlakeTwo256>;

/// What was measured of one function of `WeightInfo`.
pub struct Function {
    /// Its name.
    pub name: String,
    /// The lengths that it takes, with the range measured: name, least, most.
    pub components: Vec<(String, u32, u32)>,
    /// Runs for time, without counting storage.
    pub timed: Vec<BenchmarkResult>,
    /// Runs that counted reads and writes.
    pub tracked: Vec<BenchmarkResult>,
}

/// The benchmarks of a pallet, on the state of a genesis preset.
pub struct Benchmarks<'a> {
    runtime: Runtime<'a>,
    list: BenchmarkList,
}

impl<'a> Benchmarks<'a> {
    /// Those of `pallet` in the compiled runtime `wasm`.
    ///
    /// # Errors
    /// If the wasm has none.
    pub fn open(wasm: &'a [u8], preset: &str, pallet: &str) -> Result<Self> {
        let runtime = Runtime::new(wasm, preset)?;
        // The answer goes on with facts about storage, which only proofs need.
        let lists: Vec<BenchmarkList> = runtime
            .call(
                &runtime.untracked,
                "Benchmark_benchmark_metadata",
                &false.encode(),
            )
            .context(
                "no benchmarks: the runtime was built without the feature runtime-benchmarks",
            )?;
        let list = lists
            .into_iter()
            .find(|list| list.pallet == pallet.as_bytes())
            .ok_or_else(|| anyhow!("the runtime has no benchmarks of {pallet}"))?;
        Ok(Self { runtime, list })
    }

    /// Their names.
    pub fn names(&self) -> Vec<String> {
        let name = |benchmark: &BenchmarkMetadata| String::from_utf8_lossy(&benchmark.name).into();
        self.list.benchmarks.iter().map(name).collect()
    }

    /// Measures one of them.
    ///
    /// # Errors
    /// If there is none of that name, or it fails.
    pub fn measure(&self, name: &str, steps: u32, repeat: u32) -> Result<Function> {
        let benchmark = self
            .list
            .benchmarks
            .iter()
            .find(|benchmark| benchmark.name == name.as_bytes())
            .ok_or_else(|| anyhow!("no benchmark is called {name}"))?;
        self.runtime
            .measure_one(&self.list, benchmark, steps, repeat)
            .with_context(|| format!("benchmark {name}"))
    }
}

struct Runtime<'a> {
    wasm: &'a [u8],
    executor: Executor,
    tracked: State,
    untracked: State,
}

impl<'a> Runtime<'a> {
    fn new(wasm: &'a [u8], preset: &str) -> Result<Self> {
        let genesis = genesis(wasm, preset)?;
        let state = |track| {
            State::new(genesis.clone(), None, track, track)
                .map_err(|error| anyhow!("cannot build the genesis state: {error}"))
        };
        Ok(Self {
            wasm,
            executor: Executor::builder().build(),
            tracked: state(true)?,
            untracked: state(false)?,
        })
    }

    fn call<R: Decode>(&self, state: &State, method: &str, data: &[u8]) -> Result<R> {
        let fetcher = WrappedRuntimeCode(self.wasm.into());
        let code = RuntimeCode {
            code_fetcher: &fetcher,
            heap_pages: None,
            hash: vec![0],
        };
        let mut overlay = OverlayedChanges::default();
        let mut extensions = Extensions::default();
        extensions.register(ReadRuntimeVersionExt::new(self.executor.clone()));
        let answer = StateMachine::new(
            state,
            &mut overlay,
            &self.executor,
            method,
            data,
            &mut extensions,
            &code,
            CallContext::Offchain,
        )
        .execute()
        .map_err(|error| anyhow!("{method}: {error}"))?;
        R::decode(&mut &answer[..]).with_context(|| format!("{method}: unexpected answer"))
    }

    fn run(&self, state: &State, config: &BenchmarkConfig) -> Result<Vec<BenchmarkResult>> {
        let batches: Result<Vec<BenchmarkBatch>, String> =
            self.call(state, "Benchmark_dispatch_benchmark", &config.encode())?;
        let results: Vec<_> = batches
            .map_err(|error| anyhow!("{error}"))?
            .into_iter()
            .flat_map(|batch| batch.results)
            .collect();
        ensure!(!results.is_empty(), "it gave no result");
        Ok(results)
    }

    fn measure_one(
        &self,
        list: &BenchmarkList,
        benchmark: &BenchmarkMetadata,
        steps: u32,
        repeat: u32,
    ) -> Result<Function> {
        let config =
            |selected_components: &[(BenchmarkParameter, u32)], verify, repeats| BenchmarkConfig {
                pallet: list.pallet.clone(),
                instance: list.instance.clone(),
                benchmark: benchmark.name.clone(),
                selected_components: selected_components.to_vec(),
                verify,
                internal_repeats: repeats,
            };
        let mut timed = Vec::new();
        let mut tracked = Vec::new();
        for point in points(&benchmark.components, steps)? {
            self.run(&self.untracked, &config(&point, true, 1))?;
            tracked.extend(self.run(&self.tracked, &config(&point, false, 1))?);
            timed.extend(self.run(&self.untracked, &config(&point, false, repeat))?);
        }
        Ok(Function {
            name: String::from_utf8_lossy(&benchmark.name).into_owned(),
            components: benchmark
                .components
                .iter()
                .map(|(name, low, high)| (name.to_string(), *low, *high))
                .collect(),
            timed,
            tracked,
        })
    }
}

/// The storage of a genesis preset, with the runtime's code in it.
fn genesis(wasm: &[u8], preset: &str) -> Result<Storage> {
    let mut storage = GenesisConfigBuilderRuntimeCaller::<BenchmarkHostFunctions>::new(wasm)
        .get_storage_for_named_preset(Some(&preset.to_string()))
        .map_err(|error| anyhow!("genesis preset {preset}: {error}"))?;
    storage
        .top
        .insert(well_known_keys::CODE.to_vec(), wasm.to_vec());
    Ok(storage)
}

/// The points to measure at: each component goes through `steps` values of its
/// range while the others are at their largest.
fn points(
    components: &[(BenchmarkParameter, u32, u32)],
    steps: u32,
) -> Result<Vec<Vec<(BenchmarkParameter, u32)>>> {
    if components.is_empty() {
        return Ok(vec![Vec::new()]);
    }
    let mut points = Vec::new();
    for (varied, low, high) in components {
        let Some(range) = high.checked_sub(*low) else {
            bail!("component {varied} has an empty range, {low} to {high}");
        };
        for step in 0..steps {
            let value = u64::from(*low)
                + u64::from(range) * u64::from(step) / u64::from(steps.saturating_sub(1).max(1));
            points.push(
                components
                    .iter()
                    .map(|(name, _, most)| {
                        let value = if name == varied {
                            u32::try_from(value).unwrap_or(*most)
                        } else {
                            *most
                        };
                        (*name, value)
                    })
                    .collect(),
            );
        }
    }
    Ok(points)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_component_goes_through_its_range_while_the_others_are_largest() {
        let components = [
            (BenchmarkParameter::o, 0, 100),
            (BenchmarkParameter::e, 10, 20),
        ];
        let points = points(&components, 3).unwrap();
        let values: Vec<Vec<u32>> = points
            .iter()
            .map(|point| point.iter().map(|(_, value)| *value).collect())
            .collect();
        assert_eq!(
            values,
            [
                [0, 20],
                [50, 20],
                [100, 20],
                [100, 10],
                [100, 15],
                [100, 20]
            ]
        );
    }

    #[test]
    fn an_empty_range_is_refused() {
        assert!(points(&[(BenchmarkParameter::o, 2, 1)], 3).is_err());
    }
}
