#!/usr/bin/env bash
# Measures how many calls of the market a node takes on this machine, against plain transfers.
# It builds the node and the benchmark if need be, starts a development node of its own and leaves
# nothing behind. See docs/throughput.md.
#
# Usage: scripts/throughput.sh [--short] [OPTION…]
#   --short   under a minute: shows that it works; its figures say little
#   others    as of `genesisflow-throughput --help`
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ -f "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"

short=()
if [ "${1:-}" = --short ]; then
  shift
  short=(--seconds 23 --rounds 1 --accounts 512 --workers 32 --in-flight 400 --transfers-in-flight 400 --review-window 5 --retention 1 --wait-blocks 0)
fi

if [ -z "${GENESISFLOW_NODE:-}" ]; then
  cargo build --release --locked --workspace
else
  cargo build --release --locked -p genesisflow-throughput
fi
target_dir=$(cargo metadata --format-version 1 --no-deps --locked | node -p 'JSON.parse(require("fs").readFileSync(0)).target_directory')
exec "$target_dir/release/genesisflow-throughput" "${short[@]}" "$@"
