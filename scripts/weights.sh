#!/usr/bin/env bash
# Measures the market's calls on this machine and writes their weights to
# runtime/src/weights/pallet_inference.rs. Run it on the hardware that
# validators are asked to have.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
command -v frame-omni-bencher >/dev/null || cargo install --locked frame-omni-bencher@0.28.0
steps=${STEPS:-20}
repeat=${REPEAT:-10}
cargo build --release --locked -p genesisflow-runtime --features runtime-benchmarks
target_dir=$(cargo metadata --format-version 1 --no-deps --locked | node -p 'JSON.parse(require("fs").readFileSync(0)).target_directory')
frame-omni-bencher v1 benchmark pallet \
  --runtime "$target_dir/release/wbuild/genesisflow-runtime/genesisflow_runtime.compact.compressed.wasm" \
  --genesis-builder=runtime --genesis-builder-preset=development \
  --pallet pallet_inference --extrinsic '*' \
  --steps "$steps" --repeat "$repeat" --heap-pages 4096 \
  --output runtime/src/weights/pallet_inference.rs
cargo fmt -p genesisflow-runtime
