#!/usr/bin/env bash
# From a bare machine to a paid inference: installs what is missing, builds,
# starts a development chain and three workers, posts a job from Polkadot.js code,
# shows answer, audit if the draw hits it, and payment, and stops everything again.
#
# Usage: scripts/demo.sh [QUESTION]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

question=${1:-"Comment écrit-on 342 en lettres ?"}
model=worker/models/polyglot-tiny
started=$SECONDS
work=$(mktemp -d)
children=()

say() { printf '\033[1m[demo %3d s]\033[0m %s\n' $((SECONDS - started)) "$*"; }

finish() {
  status=$?
  trap - EXIT
  for child in "${children[@]}"; do kill "$child" 2>/dev/null || true; done
  for child in "${children[@]}"; do wait "$child" 2>/dev/null || true; done
  if [ "$status" -ne 0 ]; then
    for log in "$work"/*.log; do
      [ -s "$log" ] && printf '\n--- last lines of %s\n' "$(basename "$log")" && tail -n 20 "$log"
    done >&2
  fi
  rm -rf "$work"
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

# Runs the rest of its arguments until one succeeds, for at most $1 seconds.
wait_for() {
  local limit=$((SECONDS + $1)) what=$2 child=$3
  shift 3
  until "$@" >/dev/null 2>&1; do
    kill -0 "$child" 2>/dev/null || { echo "$what ended early" >&2 && exit 1; }
    [ "$SECONDS" -lt "$limit" ] || { echo "$what was not ready in time" >&2 && exit 1; }
    sleep 0.5
  done
}

./scripts/setup.sh
[ -f "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
say "building the node and the worker (25 to 35 minutes the first time on two cores)"
./scripts/build.sh
target_dir=$(cargo metadata --format-version 1 --no-deps --locked | node -p 'JSON.parse(require("fs").readFileSync(0)).target_directory')
node_binary=$target_dir/release/genesisflow-node
worker_binary=$target_dir/release/genesisflow-worker

read -r rpc p2p < <(node -e '
  const { createServer } = require("net");
  const open = () => new Promise((resolve) => { const s = createServer().listen(0, "127.0.0.1", () => resolve(s)); });
  (async () => {
    const servers = [await open(), await open()];
    console.log(servers.map((s) => s.address().port).join(" "));
    servers.forEach((s) => s.close());
  })()')
url=ws://127.0.0.1:$rpc

say "starting a development chain on $url"
"$node_binary" --dev --tmp --rpc-port "$rpc" --listen-addr "/ip4/127.0.0.1/tcp/$p2p" \
  --no-mdns --no-telemetry --no-prometheus >"$work/node.log" 2>&1 &
children+=($!)
wait_for 60 "the node" $! grep -q 'Imported #1' "$work/node.log"

# Three workers, so that two can be drawn to check the third.
worker() {
  local name=$1
  shift
  "$worker_binary" --url "$url" --dev-key "//$name" --data-dir "$work/$name" "$@"
}
say "Bob, Charlie and Dave become workers: stake, model, prices"
worker Bob model register "$model"
join_market() {
  worker "$1" register --stake 1000
  worker "$1" offer --model "$model" --price-input 0.0001 --price-output 0.0005 --capacity 2
}
joining=()
for name in Bob Charlie Dave; do
  join_market "$name" &
  joining+=($!)
done
for process in "${joining[@]}"; do wait "$process"; done
for name in Bob Charlie Dave; do
  # Not through a function: `$!` must be the worker itself, so that it is ended with the script.
  "$worker_binary" --url "$url" --dev-key "//$name" --data-dir "$work/$name" \
    run >"$work/$name.ready" 2>"$work/$name.log" &
  children+=($!)
done
for index in 1 2 3; do
  names=(Bob Charlie Dave)
  name=${names[$((index - 1))]}
  wait_for 60 "worker $name" "${children[$index]}" grep -q ready "$work/$name.ready"
done

say "who can be drawn is fixed every 10 blocks here (every hour on a real chain)"
wait_for 90 "the audit pool" "${children[0]}" node scripts/polkadot-js/audits.mjs --pool --members 3 --url "$url"
node scripts/polkadot-js/audits.mjs --pool --url "$url"

say "Alice asks, from Polkadot.js code"
echo
node scripts/polkadot-js/submit-job.mjs "$question" --key //Alice --url "$url" --accept
echo
say "the workers, as auditors and as authors"
grep -hE "audited|committed|revealed|delivered|is paid|audit over" "$work"/*.log | sed 's/^/  /' || true
say "Bob's side"
worker Bob status
say "done in $((SECONDS - started)) s"
