#!/usr/bin/env bash
# All tests: formatting, Rust (unit, property, vectors, worker end to end), the
# canonical operators under an ARM emulator where there is one, workers that cheat,
# then Node.js (metadata, consensus, market end to end with real processes).
# Ends with one line that sums up every runner: "total: N passed, N failed".
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

started=$SECONDS
say() { printf '\033[1m[test %3d min]\033[0m %s\n' $(((SECONDS - started) / 60)) "$*"; }
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

./scripts/setup.sh || exit 1
[ -f "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
failed_steps=0

say "formatting"
cargo fmt --all -- --check || {
  echo "run 'cargo fmt --all'" >&2
  failed_steps=$((failed_steps + 1))
}

say "building the node and the worker (25 to 35 minutes the first time on two cores)"
./scripts/build.sh || exit 1

target_dir=$(cargo metadata --format-version 1 --no-deps --locked | node -p 'JSON.parse(require("fs").readFileSync(0)).target_directory')
export GENESISFLOW_NODE="$target_dir/release/genesisflow-node"
export GENESISFLOW_WORKER="$target_dir/release/genesisflow-worker"

say "Rust tests"
cargo test --release --locked --workspace --no-fail-fast 2>&1 | tee "$logs/rust"
[ "${PIPESTATUS[0]}" -eq 0 ] || failed_steps=$((failed_steps + 1))

if command -v qemu-aarch64 >/dev/null && command -v aarch64-linux-gnu-gcc >/dev/null &&
  [ -d "$(rustc --print sysroot)/lib/rustlib/aarch64-unknown-linux-gnu" ]; then
  say "canonical operators on 64-bit ARM (NEON), emulated"
  CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -L /usr/aarch64-linux-gnu" \
    cargo test --release --locked -p genesisflow-canonical --target aarch64-unknown-linux-gnu \
    --no-fail-fast 2>&1 | tee "$logs/arm"
  [ "${PIPESTATUS[0]}" -eq 0 ] || failed_steps=$((failed_steps + 1))
else
  say "skipped: NEON kernels (needs qemu-user, gcc-aarch64-linux-gnu and 'rustup target add aarch64-unknown-linux-gnu')"
  : >"$logs/arm"
fi

# A worker that cheats, for tests alone. It takes the place of the real one in
# the target directory for as long as that takes.
say "tests with a worker that cheats"
# The whole workspace is named so that nothing but the worker is compiled again.
cargo test --release --locked --workspace --features genesisflow-worker/cheats --test audits --no-fail-fast 2>&1 | tee "$logs/cheats"
[ "${PIPESTATUS[0]}" -eq 0 ] || failed_steps=$((failed_steps + 1))
cargo test --release --locked --workspace --features genesisflow-worker/cheats --lib --no-fail-fast -- cheat:: 2>&1 | tee -a "$logs/cheats"
[ "${PIPESTATUS[0]}" -eq 0 ] || failed_steps=$((failed_steps + 1))
cp "$GENESISFLOW_WORKER" "$logs/worker-that-cheats" && export GENESISFLOW_CHEAT="$logs/worker-that-cheats"
cargo build --release --locked --workspace || exit 1

say "Polkadot.js and end-to-end tests"
(cd scripts/polkadot-js && npm test --silent) 2>&1 | tee "$logs/node"
[ "${PIPESTATUS[0]}" -eq 0 ] || failed_steps=$((failed_steps + 1))

# Adds up "test result: ok. 3 passed; 0 failed; …" of Cargo and "# pass 3", "# fail 0" of Node.js.
read -r passed failed < <(cat "$logs/rust" "$logs/arm" "$logs/cheats" "$logs/node" | sed 's/\x1b\[[0-9;]*m//g' | awk '
  /^test result:/ { for (i = 1; i < NF; i++) { if ($(i + 1) ~ /^passed/) p += $i; if ($(i + 1) ~ /^failed/) f += $i } }
  /^(#|ℹ) pass / { p += $3 }
  /^(#|ℹ) fail / { f += $3 }
  END { print p + 0, f + 0 }')
# A step that broke without naming a failed test still counts as a failure.
[ "$failed" -gt 0 ] || failed=$failed_steps

say "done in $(((SECONDS - started) / 60)) min"
echo "total: $passed passed, $failed failed"
[ "$failed_steps" -eq 0 ]
