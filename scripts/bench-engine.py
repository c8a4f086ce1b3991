#!/usr/bin/env python3
"""The engine beside llama.cpp: same shapes, same number of threads, one run, taken in turns.

    python3 -m venv venv
    CMAKE_ARGS="-DGGML_NATIVE=ON" venv/bin/pip install numpy==2.4.6 gguf==0.19.0 \\
        --no-binary llama-cpp-python llama-cpp-python==0.3.36
    cargo build --release -p genesisflow-engine --example bench
    venv/bin/python scripts/bench-engine.py --engine target/release/examples/bench

Both run random weights of the same shapes and formats. Every round measures each of them once, one
after the other; of all rounds the best figure of each counts, because whatever else the machine
does only ever slows them. `--kernel avx2` runs the engine without AVX-512; give it a llama.cpp that
was built so, too (`--llama-lib`, the folder of its libraries). `--results FILE` gathers rows over
several calls, for machines that cannot be kept quiet long enough for all shapes at once.

This file runs itself, with --measure, for the llama.cpp side.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

# hidden, inner, layers, heads, KV heads, head width, vocabulary, tied; as in src/bench/shape.rs.
SHAPES = {
    "smollm2-135m": ("llama", 576, 1536, 30, 9, 3, 64, 49152, True),
    "qwen2.5-0.5b": ("qwen2", 896, 4864, 24, 14, 2, 64, 151936, True),
    "llama-1b-32k": ("llama", 2048, 8192, 16, 32, 8, 64, 32000, False),
    "llama-3.2-1b": ("llama", 2048, 8192, 16, 32, 8, 64, 128256, True),
}
PREFILL, PROMPT, STEPS = 512, 32, 8


def write_model(path: pathlib.Path, shape: str, stored: str) -> None:
    """A GGUF file with random blocks; every matrix in the same format, no vocabulary."""
    import gguf
    import numpy as np

    architecture, hidden, inner, layers, heads, kv_heads, head_dim, vocabulary, tied = SHAPES[shape]
    kind = gguf.GGMLQuantizationType[stored]
    block, largest = (34, 127) if stored == "Q8_0" else (18, 8)
    random = np.random.default_rng(1)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name(shape)
    writer.add_context_length(8192)
    writer.add_embedding_length(hidden)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_rope_dimension_count(head_dim)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(vocabulary)
    writer.add_tokenizer_model("no_vocab")

    def matrix(name: str, rows: int, columns: int) -> None:
        data = random.integers(1, 256, (rows, columns // 32, block), dtype=np.uint8)
        if stored == "Q8_0":
            data[:, :, 2:] -= 128
        scale = np.array([1.7 / columns**0.5 / largest], dtype=np.float16).view(np.uint8)
        data[:, :, :2] = scale
        writer.add_tensor(name, data.reshape(rows, -1), raw_dtype=kind)

    def vector(name: str, size: int) -> None:
        writer.add_tensor(name, np.ones(size, dtype=np.float32))

    matrix("token_embd.weight", vocabulary, hidden)
    vector("output_norm.weight", hidden)
    if not tied:
        matrix("output.weight", vocabulary, hidden)
    for layer in range(layers):
        name = f"blk.{layer}."
        vector(name + "attn_norm.weight", hidden)
        matrix(name + "attn_q.weight", heads * head_dim, hidden)
        matrix(name + "attn_k.weight", kv_heads * head_dim, hidden)
        matrix(name + "attn_v.weight", kv_heads * head_dim, hidden)
        if architecture == "qwen2":
            vector(name + "attn_q.bias", heads * head_dim)
            vector(name + "attn_k.bias", kv_heads * head_dim)
            vector(name + "attn_v.bias", kv_heads * head_dim)
        matrix(name + "attn_output.weight", hidden, heads * head_dim)
        vector(name + "ffn_norm.weight", hidden)
        matrix(name + "ffn_gate.weight", inner, hidden)
        matrix(name + "ffn_up.weight", inner, hidden)
        matrix(name + "ffn_down.weight", hidden, inner)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def measure_llama(path: str, threads: int, batches: list[int], repeats: int) -> dict:
    """Seconds of llama.cpp for the same things that the engine's bench measures."""
    import ctypes

    import llama_cpp as lib

    lib.llama_backend_init()
    quiet = lib.llama_log_callback(lambda level, text, data: None)
    lib.llama_log_set(quiet, ctypes.c_void_p(0))
    model = lib.llama_model_load_from_file(path.encode(), lib.llama_model_default_params())
    if not model:
        sys.exit(f"llama.cpp cannot load {path}")
    vocabulary = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(model))

    def context(sequences: int, positions: int):
        params = lib.llama_context_default_params()
        params.n_ctx = max(256, sequences * max(positions, 256))
        params.n_batch = params.n_ubatch = PREFILL
        params.n_threads = params.n_threads_batch = threads
        params.n_seq_max = sequences
        params.no_perf = True
        found = lib.llama_init_from_model(model, params)
        if not found:
            sys.exit("llama.cpp cannot make a context")
        return found

    def decode(context, tokens: list[tuple[int, int, int, bool]]) -> float:
        """Feeds (token, position, sequence, whether logits are wanted); returns seconds."""
        batch = lib.llama_batch_init(len(tokens), 0, 1)
        batch.n_tokens = len(tokens)
        for i, (token, position, sequence, wanted) in enumerate(tokens):
            batch.token[i] = token
            batch.pos[i] = position
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = sequence
            batch.logits[i] = wanted
        start = time.perf_counter()
        status = lib.llama_decode(context, batch)
        lib.llama_synchronize(context)
        seconds = time.perf_counter() - start
        lib.llama_batch_free(batch)
        if status != 0:
            sys.exit(f"llama_decode says {status}")
        return seconds

    def prompt(sequence: int, count: int):
        return [
            ((i * 7919 + 31 * sequence) % vocabulary, i, sequence, i + 1 == count)
            for i in range(count)
        ]

    prefill = float("inf")
    for _ in range(repeats):
        fresh = context(1, PREFILL)
        prefill = min(prefill, decode(fresh, prompt(0, PREFILL)))
        lib.llama_free(fresh)
    speeds = []
    for sequences in batches:
        positions = PROMPT + STEPS * repeats
        fresh = context(sequences, positions)
        for sequence in range(sequences):
            decode(fresh, prompt(sequence, PROMPT))
        best, position = float("inf"), PROMPT
        for _ in range(repeats):
            seconds = 0.0
            for _ in range(STEPS):
                tokens = [
                    ((position * 31 + s) % vocabulary, position, s, True) for s in range(sequences)
                ]
                seconds += decode(fresh, tokens)
                position += 1
            best = min(best, seconds / STEPS)
        lib.llama_free(fresh)
        speeds.append({"sequences": sequences, "tokens_per_second": sequences / best})
    return {"prefill_tokens_per_second": PREFILL / prefill, "decode": speeds}


def child(command: list[str], environment: dict[str, str]) -> dict:
    done = subprocess.run(
        command, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr.decode()}")
    return json.loads(done.stdout)


def best_of(runs: list[dict]) -> dict:
    """The best figure of several runs, each by itself."""
    best = {"prefill": max(run["prefill_tokens_per_second"] for run in runs)}
    for index, speed in enumerate(runs[0]["decode"]):
        best[speed["sequences"]] = max(run["decode"][index]["tokens_per_second"] for run in runs)
    return best


def compare(arguments: argparse.Namespace) -> None:
    folder = pathlib.Path(arguments.models)
    folder.mkdir(parents=True, exist_ok=True)
    batches = [int(n) for n in arguments.batches.split(",")]
    engine_environment = {"GENESISFLOW_THREADS": str(arguments.threads)}
    if arguments.kernel:
        engine_environment["GENESISFLOW_KERNEL"] = arguments.kernel
    llama_environment = {"LLAMA_CPP_LIB_PATH": arguments.llama_lib} if arguments.llama_lib else {}
    results = pathlib.Path(arguments.results) if arguments.results else None
    rows = json.loads(results.read_text()) if results and results.exists() else []
    for shape in arguments.shapes.split(","):
        for stored in arguments.formats.upper().split(","):
            path = folder / f"{shape}-{stored}.gguf"
            if not path.exists():
                write_model(path, shape, stored)
            ours, theirs, bandwidth = [], [], 0.0
            for number in range(arguments.rounds):
                common = ["--batches", arguments.batches, "--repeats", str(arguments.repeats)]
                # Long, and a ratio of figures of the same moment: once is enough.
                replay = ["--replay"] if arguments.replay and number == 0 else []
                report = child(
                    [arguments.engine, "--json", "--shapes", shape, "--formats", stored]
                    + [*common, *replay],
                    engine_environment,
                )
                bandwidth = max(bandwidth, report["bandwidth"]["bytes_per_second"])
                ours.append(report["models"][0])
                theirs.append(
                    child(
                        [sys.executable, __file__, "--measure", str(path), *common]
                        + ["--threads", str(arguments.threads)],
                        llama_environment,
                    )
                )
            model = ours[0]
            engine, llama = best_of(ours), best_of(theirs)
            row = {
                "time": f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d %H:%M} UTC",
                "shape": shape,
                "format": stored,
                "kernel": report["device"]["kernel"],
                "bandwidth": bandwidth,
                "engine": {str(column): speed for column, speed in engine.items()},
                "llama": {str(column): speed for column, speed in llama.items()},
            }
            shares = [run["share_of_bandwidth"] for run in ours if run["share_of_bandwidth"]]
            if shares:
                row["share"] = statistics.median(shares)
            if model.get("resident_bytes"):
                row["memory"] = model["resident_bytes"] / (
                    model["weight_bytes"] + model["cache_bytes"]
                )
            if model.get("replay"):
                row["replay"] = (
                    model["replay"]["replay_seconds"] / model["replay"]["generate_seconds"]
                )
            rows.append(row)
            if results:
                results.write_text(json.dumps(rows, indent=1))
            if not arguments.keep:
                path.unlink()
    show(rows, arguments)


def show(rows: list[dict], arguments: argparse.Namespace) -> None:
    """The table, in Markdown."""
    print(f"{rows[0]['time']} to {rows[-1]['time']}, {processor()}, {arguments.threads} threads; ", end="")
    print(f"best of {arguments.rounds} x {arguments.repeats} runs; ", end="")
    print("tokens a second, engine / llama.cpp = ratio\n")
    columns = list(rows[0]["engine"])
    titles = ["shape", "format", "kernel"]
    titles += ["prefill(512)" if c == "prefill" else f"decode x{c}" for c in columns]
    titles += ["GB/s read", "x1 of it", "memory", "replay"]
    print("| " + " | ".join(titles) + " |")
    print("|" + " --- |" * len(titles))
    for row in rows:
        cells = [row["shape"], row["format"], row["kernel"]]
        for column in columns:
            ours, theirs = row["engine"][column], row["llama"][column]
            cells.append(f"{ours:.1f} / {theirs:.1f} = {ours / theirs:.2f}")
        cells.append(f"{row['bandwidth'] / 1e9:.1f}")
        cells.append(f"{100 * row['share']:.0f} %" if "share" in row else "")
        cells.append(f"{row['memory']:.2f}" if "memory" in row else "")
        cells.append(f"{100 * row['replay']:.0f} %" if "replay" in row else "")
        print("| " + " | ".join(cells) + " |")
    print("\nx1 of it: weights, keys and values read for each token of one sequence, over the read bandwidth just before ", end="")
    print("and after; the median of all runs. Memory: resident memory of the process over weights and KV. ", end="")
    print("Replay: its time over that of generating the same 256 tokens.")


def processor() -> str:
    try:
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engine", default="target/release/examples/bench", help="the bench example")
    parser.add_argument("--shapes", default="smollm2-135m,qwen2.5-0.5b,llama-1b-32k,llama-3.2-1b")
    parser.add_argument("--formats", default="Q8_0,Q4_0")
    parser.add_argument("--batches", default="1,4,8,16")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3, help="times that both take their turn")
    parser.add_argument("--repeats", type=int, default=3, help="runs within a turn")
    parser.add_argument("--kernel", help="the engine's kernel: avx512, avx2, ...")
    parser.add_argument("--llama-lib", help="folder with another build of llama.cpp")
    parser.add_argument("--models", default="/tmp/bench-engine", help="where random models are written")
    parser.add_argument("--keep", action="store_true", help="keep the random models")
    parser.add_argument("--replay", action="store_true", help="time a replay, too")
    parser.add_argument("--results", help="JSON file that rows are added to; the table has them all")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        batches = [int(n) for n in arguments.batches.split(",")]
        found = measure_llama(arguments.measure, arguments.threads, batches, arguments.repeats)
        print(json.dumps(found))
    else:
        compare(arguments)


if __name__ == "__main__":
    main()
