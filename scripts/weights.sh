#!/usr/bin/env bash
# Measures the market's calls on this machine and writes their weights to
# runtime/src/weights/pallet_inference.rs. Run it on the hardware that
# validators are asked to have. STEPS and REPEAT change the effort.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# `check` runs the build script, which compiles the wasm: all that is needed here.
# The wasm lands where the ordinary one lies, so the next build must make that again.
trap 'touch runtime/build.rs' EXIT
cargo check --release --locked -p genesisflow-runtime --features runtime-benchmarks
target_dir=$(cargo metadata --format-version 1 --no-deps --locked | node -p 'JSON.parse(require("fs").readFileSync(0)).target_directory')
wasm=$(mktemp --suffix=.wasm)
trap 'touch runtime/build.rs; rm -f "$wasm"' EXIT
cp "$target_dir/release/wbuild/genesisflow-runtime/genesisflow_runtime.compact.compressed.wasm" "$wasm"

cargo run --release --locked -p genesisflow-weights -- \
  --runtime "$wasm" --steps "${STEPS:-20}" --repeat "${REPEAT:-10}" \
  --output runtime/src/weights/pallet_inference.rs
cargo fmt -p genesisflow-runtime
