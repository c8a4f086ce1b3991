#!/usr/bin/env bash
# Writes the runtime's metadata to worker/artifacts/genesisflow.scale, which the
# worker's chain client is generated from. Run it after every change of the
# runtime's calls, events, errors, storage or APIs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
UPDATE_METADATA=1 cargo test --release --locked --workspace --test metadata
