#!/usr/bin/env bash
# Builds the node and the worker (release profile) and prints where they lie.
# The first build takes 25 to 35 minutes on two cores; later ones are incremental.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ -f "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"

# The whole workspace in one go: Cargo unifies features over what it is asked to
# build, so building packages one by one would compile shared crates again.
cargo build --release --locked --workspace
