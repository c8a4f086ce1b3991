#!/usr/bin/env bash
# Decoding at batch 1 on an NVIDIA card: the engine beside Hugging Face transformers in bf16, at the
# shape of Llama 3.1 8B with random weights, one after the other in one run.
#
#   scripts/compare-transformers.sh [--card 0] [--json]
#   scripts/compare-transformers.sh --cpu          # a tiny shape on the CPU: shows that it runs
#
# Python packages go to target/transformers, several gigabytes of them for a card's libraries; with
# PYTHON=… that interpreter's packages are used instead. `compare-transformers.py --help` has the
# other options.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}

if [ -z "${PYTHON:-}" ]; then
    PYTHON=$target/transformers/bin/python
    [ -x "$PYTHON" ] || python3 -m venv "$target/transformers"
    "$PYTHON" -m pip install --quiet --requirement scripts/compare-transformers.txt
fi
# The workspace as a whole, as everything else is built: its dependencies are compiled once.
SKIP_WASM_BUILD=1 cargo build --release --locked --workspace --example gpu_check --example bench
exec "$PYTHON" scripts/compare-transformers.py --examples "$target/release/examples" "$@"
