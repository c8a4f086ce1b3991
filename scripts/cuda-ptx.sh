#!/usr/bin/env bash
# Compiles the CUDA kernels to PTX and commits nothing: writes worker/cuda/ptx/genesisflow.ptx
# and, beside it, the hashes that a test checks (of the kernels' sources, and of the PTX).
# Then lets the assembler compile the PTX for several cards, and fails if registers spill.
#
# Needs python3 with venv and a C++ compiler, on x86-64 Linux; no card, no driver, no installed
# CUDA. The compiler (about 250 MB) is fetched as Python packages of pinned hashes into a
# temporary folder. Set NVCC to use one that is there already (CUDA 13.0).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '\033[1m[ptx]\033[0m %s\n' "$*"; }
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT

if [ -z "${NVCC:-}" ]; then
  say "fetching the compiler"
  python3 -m venv "$temporary/venv"
  "$temporary/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps \
    --require-hashes -r scripts/cuda-ptx.txt
  toolkit=$(echo "$temporary"/venv/lib/python3*/site-packages/nvidia/cu13)
  # Files of Python packages are not executable.
  chmod +x "$toolkit"/bin/* "$toolkit"/nvvm/bin/*
  NVCC="$toolkit/bin/nvcc"
fi

kernels=worker/cuda/kernels
ptx=worker/cuda/ptx
# Divisions and square roots are rounded once, subnormals kept, nothing contracted.
say "compiling $kernels for compute capability 8.0 and newer"
"$NVCC" -ptx -arch=compute_80 -std=c++17 -Werror all-warnings \
  -ftz=false -prec-div=true -prec-sqrt=true -fmad=false \
  -o "$temporary/genesisflow.ptx" "$kernels/genesisflow.cu"

for card in sm_80 sm_86 sm_89 sm_90 sm_100 sm_120; do
  "$(dirname "$NVCC")/ptxas" -arch="$card" -v "$temporary/genesisflow.ptx" -o "$temporary/cubin" \
    2>"$temporary/report" || {
    cat "$temporary/report" >&2
    exit 1
  }
  if grep -E '[1-9][0-9]* bytes (stack frame|spill)' "$temporary/report"; then
    echo "$card: registers spill; see the kernels before these lines in 'ptxas -v'" >&2
    exit 1
  fi
  say "$card: no spills; registers: $(sed -n "s/.*entry function '\(.*\)' for.*/\1/p; s/.*Used \([0-9]*\) registers.*/\1/p" \
    "$temporary/report" | paste -sd ' \n' | awk '{ printf "%s %s, ", $1, $2 }' | sed 's/gf_//g; s/, $//')"
done

mkdir -p "$ptx"
cp "$temporary/genesisflow.ptx" "$ptx/genesisflow.ptx"
# Names and contents, in the order of the names; tests/ptx.rs does the same.
(cd "$kernels" && for file in $(LC_ALL=C ls); do
  printf '%s\n' "$file"
  cat "$file"
done) | b2sum -l 256 | cut -d ' ' -f 1 >"$ptx/sources.blake2b"
b2sum -l 256 <"$ptx/genesisflow.ptx" | cut -d ' ' -f 1 >"$ptx/genesisflow.blake2b"
say "written to $ptx; run 'cargo test --release -p genesisflow-cuda'"
