#!/usr/bin/env bash
# Installs what is missing to build, test and run GenesisFlow. Says what it does;
# does nothing where everything is there already.
#
# Needs: a Debian or Ubuntu machine, rustup, Node.js 20.11 or newer.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '\033[1m[setup]\033[0m %s\n' "$*"; }
fail() {
  printf '[setup] %s\n' "$*" >&2
  exit 1
}

# --- system packages --------------------------------------------------------
# protobuf-compiler: the network crates; libssl-dev: the system's OpenSSL.
packages=(build-essential pkg-config libssl-dev protobuf-compiler)
if command -v dpkg-query >/dev/null; then
  missing=()
  for package in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  if [ ${#missing[@]} -gt 0 ]; then
    say "installing system packages: ${missing[*]}"
    as_root=()
    if [ "$(id -u)" -ne 0 ]; then
      command -v sudo >/dev/null || fail "need root to install: ${missing[*]}. Install them, then run this again."
      as_root=(sudo)
    fi
    "${as_root[@]}" apt-get update -qq
    DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  fi
else
  for tool in cc c++ pkg-config protoc; do
    command -v "$tool" >/dev/null || fail "$tool is missing: install a C and a C++ compiler, pkg-config, OpenSSL headers and protoc."
  done
fi

# --- Rust -------------------------------------------------------------------
[ -f "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
command -v rustup >/dev/null || fail "rustup is missing: install it from the Rust project's site, then run this again."
toolchain=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
target=wasm32v1-none
installed() { (cd / && rustup "+$toolchain" "$@" 2>/dev/null) || true; }
if ! (cd / && rustup run "$toolchain" rustc --version >/dev/null 2>&1) ||
  ! installed target list --installed | grep -qx "$target" ||
  ! installed component list --installed | grep -q '^rust-src' ||
  ! installed component list --installed | grep -q '^rustfmt' ||
  ! installed component list --installed | grep -q '^clippy'; then
  say "installing Rust $toolchain with $target, rust-src, rustfmt, clippy"
  rustup toolchain install "$toolchain" --profile minimal --target "$target" \
    --component rust-src --component rustfmt --component clippy --no-self-update
fi

# --- Node.js packages -------------------------------------------------------
command -v node >/dev/null || fail "Node.js is missing: install version 20.11 or newer, then run this again."
node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 11) ? 0 : 1)' ||
  fail "Node.js $(node --version) is too old: 20.11 or newer is needed."
stamp=scripts/polkadot-js/node_modules/.installed-from
lock=scripts/polkadot-js/package-lock.json
if ! cmp -s "$lock" "$stamp"; then
  say "installing Node.js packages"
  (cd scripts/polkadot-js && npm ci --no-audit --no-fund --loglevel=error)
  cp "$lock" "$stamp"
fi

say "everything is there: $(rustc --version), node $(node --version)"
