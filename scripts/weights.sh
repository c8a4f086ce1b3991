#!/usr/bin/env bash
# Measures on this machine what calls of the market and of balances take, and what reads and writes
# of storage take, and writes all to runtime/src/weights/. Then fills blocks with the dearest calls and sees whether
# they fit. Run it on the hardware that validators are asked to have, while it does nothing else.
# See docs/weights.md.
#
# Usage: scripts/weights.sh [STEP…]      without a step: all of them, in this order
#   prepare   compile the measuring program, and the runtime with its benchmarks
#   calls     measure the calls        (STEPS, REPEAT: effort; SECONDS_A_RUN: stop after so long,
#                                       the next run goes on)
#   storage   measure the database     (ENTRIES: how many; it lies in the target folder)
#   runtime   compile the runtime as nodes run it, with the new weights
#   blocks    fill blocks
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ -f "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"

target_dir=$(cargo metadata --format-version 1 --no-deps --locked | node -p 'JSON.parse(require("fs").readFileSync(0)).target_directory')
wasm="$target_dir/release/wbuild/genesisflow-runtime/genesisflow_runtime.compact.compressed.wasm"
tool="$target_dir/release/genesisflow-weights"
work="$target_dir/weights"
mkdir -p "$work"

prepare() {
  # All of the workspace's features, as other builds use them: else most crates are compiled anew.
  SKIP_WASM_BUILD=1 cargo build --release --locked --workspace --bin genesisflow-weights
  # `check` runs the build script, which compiles the wasm: all that is needed here. The wasm lands
  # where the ordinary one lies, so the next build must make that again.
  unset SKIP_WASM_BUILD
  touch runtime/build.rs
  cargo check --release --locked -p genesisflow-runtime --features runtime-benchmarks
  cp "$wasm" "$work/benchmarks.wasm"
  touch runtime/build.rs
  rm -rf "$work/parts"
}

calls() {
  local limit=()
  [ -z "${SECONDS_A_RUN:-}" ] || limit=(--seconds "$SECONDS_A_RUN")
  local pallet
  for pallet in pallet_balances pallet_inference; do
    "$tool" calls --runtime "$work/benchmarks.wasm" --pallet "$pallet" --steps "${STEPS:-20}" \
      --repeat "${REPEAT:-10}" --parts "$work/parts/$pallet" "${limit[@]}" \
      --output "runtime/src/weights/$pallet.rs"
  done
  cargo fmt -p genesisflow-runtime
}

storage() {
  "$tool" storage --base "$work" --entries "${ENTRIES:-1000000}" --output runtime/src/weights/storage.rs
  cargo fmt -p genesisflow-runtime
}

runtime() {
  touch runtime/build.rs
  cargo build --release --locked --workspace --bin genesisflow-weights
  cp "$wasm" "$work/runtime.wasm"
}

blocks() {
  "$tool" blocks --runtime "$work/runtime.wasm"
}

steps=("$@")
[ $# -gt 0 ] || steps=(prepare calls storage runtime blocks)
for step in "${steps[@]}"; do
  case $step in
    prepare | calls | storage | runtime | blocks) "$step" ;;
    *)
      echo "unknown step '$step': one of prepare, calls, storage, runtime, blocks" >&2
      exit 2
      ;;
  esac
done
