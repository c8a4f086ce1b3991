#!/usr/bin/env bash
# Formatting, clippy with warnings as errors, and the dependency rules of deny.toml.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cargo fmt --all -- --check
# The wasm runtime is built by the ordinary build; clippy need not build it again.
SKIP_WASM_BUILD=1 cargo clippy --release --locked --workspace --all-targets -- -D warnings
command -v cargo-deny >/dev/null || cargo install --locked cargo-deny@0.20.2
# The advisory database is fetched from a Git host; run `cargo deny check advisories` where it can be reached.
cargo deny check bans licenses sources
