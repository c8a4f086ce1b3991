#!/usr/bin/env python3
"""The engine beside Hugging Face transformers in bf16: decoding one sequence, same shape, same device.

Run it by `scripts/compare-transformers.sh`, which sees to packages and binaries.

The engine is measured first, then transformers, then the engine once more, each in a process of its
own, so that neither holds memory while the other runs. Both have random weights of the shape of
Llama 3.1 8B: the engine in Q8_0, transformers in bf16. Of transformers' runs the fastest counts, of
the engine's two the slower: the ratio is what is there at least. `generate` runs as it comes, with
greedy choice and the cache and attention that it chooses; `--compile` measures it with a static cache
and compiled steps, too.

With --cpu both run a tiny shape on the CPU. Its figures mean nothing; it shows that all of this works.

This file runs itself, with --measure, for the side of transformers.
"""

import argparse
import datetime
import json
import pathlib
import subprocess
import sys
import time

# As in worker/engine/src/bench/shape.rs.
SHAPES = {
    "llama-3.1-8b": {
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 128256,
        "tie_word_embeddings": False,
        "rope_parameters": {
            "rope_type": "llama3",
            "rope_theta": 500000.0,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        },
    },
    "tiny": {
        "hidden_size": 192,
        "intermediate_size": 512,
        "num_hidden_layers": 6,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "vocab_size": 1024,
        "tie_word_embeddings": True,
        "rope_parameters": {"rope_type": "default", "rope_theta": 500000.0},
    },
}


def measure(arguments: argparse.Namespace) -> dict:
    """Tokens a second of transformers, for one sequence."""
    import torch
    import transformers

    device = torch.device("cpu" if arguments.cpu else f"cuda:{arguments.card}")
    config = transformers.LlamaConfig(
        **SHAPES[arguments.shape],
        max_position_embeddings=131072,
        rms_norm_eps=1e-5,
        # No token ends an output.
        eos_token_id=None,
        bos_token_id=None,
        pad_token_id=0,
    )
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    with device:
        model = transformers.LlamaForCausalLM(config).eval()
    parameters = {parameter.dtype for parameter in model.parameters()}
    if parameters != {torch.bfloat16}:
        raise SystemExit(f"the model is in {parameters}, not in bf16")
    prompt = torch.arange(arguments.prompt, device=device).unsqueeze(0) * 7919 % config.vocab_size
    mask = torch.ones_like(prompt)

    def seconds(tokens: int, **options) -> float:
        if not arguments.cpu:
            torch.cuda.synchronize(device)
        start = time.perf_counter()
        with torch.inference_mode():
            made = model.generate(
                prompt,
                attention_mask=mask,
                do_sample=False,
                min_new_tokens=tokens,
                max_new_tokens=tokens,
                **options,
            )
        if not arguments.cpu:
            torch.cuda.synchronize(device)
        if made.shape[1] != arguments.prompt + tokens:
            raise SystemExit(f"{made.shape[1] - arguments.prompt} tokens instead of {tokens}")
        return time.perf_counter() - start

    def decode(**options) -> float:
        # The first run of each length compiles, chooses kernels and finds memory.
        seconds(1, **options)
        seconds(arguments.tokens, **options)
        first = min(seconds(1, **options) for _ in range(arguments.repeats))
        whole = min(seconds(arguments.tokens, **options) for _ in range(arguments.repeats))
        # What both have in common, the prompt and one token, drops out.
        return (arguments.tokens - 1) / (whole - first)

    speeds = {"generate": decode()}
    if arguments.compile:
        speeds["generate, compiled"] = decode(cache_implementation="static")
    return {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "device": "CPU" if arguments.cpu else torch.cuda.get_device_name(device),
        "weight_bytes": sum(p.numel() * p.element_size() for p in model.parameters()),
        "tokens_per_second": speeds,
    }


def child(command: list[str]) -> dict:
    """Runs a command and reads the JSON that it prints."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"`{' '.join(command)}` ended with {done.returncode}")
    return json.loads(done.stdout)


def engine(arguments: argparse.Namespace) -> dict:
    """A report of the engine: device, bandwidth and one model."""
    examples = pathlib.Path(arguments.examples)
    if arguments.cpu:
        command = [str(examples / "bench"), "--shapes", arguments.shape, "--formats", "Q8_0"]
        command += ["--batches", "1", "--repeats", str(arguments.repeats), "--json"]
    else:
        command = [str(examples / "gpu_check"), "bench", "--card", str(arguments.card), "--json"]
    return child(command)


def decoded(report: dict) -> float:
    """Tokens a second of one sequence."""
    (model,) = report["models"]
    return next(s["tokens_per_second"] for s in model["decode"] if s["sequences"] == 1)


def compare(arguments: argparse.Namespace) -> None:
    before = engine(arguments)
    (model,) = before["models"]
    if model["shape"] != arguments.shape:
        raise SystemExit(f"the engine measured {model['shape']}, not {arguments.shape}")
    theirs = child([sys.executable, __file__, "--measure", *sys.argv[1:]])
    after = engine(arguments)
    ours = min(decoded(before), decoded(after))
    ratios = {name: ours / speed for name, speed in theirs["tokens_per_second"].items()}
    now = datetime.datetime.now(datetime.timezone.utc)
    if arguments.json:
        report = {
            "time": now.isoformat(timespec="seconds"),
            "engine_before": before,
            "engine_after": after,
            "transformers": theirs,
            "ratios": ratios,
        }
        print(json.dumps(report, indent=1))
        return
    device, bandwidth = before["device"], before["bandwidth"]
    driver = device["driver"] or "none"
    print(f"{now:%Y-%m-%d %H:%M} UTC, {device['name']}, driver {driver}")
    print(f"{arguments.shape}, one sequence, prompt of {arguments.prompt} tokens")
    print(f"bandwidth ({bandwidth['traffic']}): {bandwidth['bytes_per_second'] / 1e9:.0f} GB/s")
    for when, report in (("before", before), ("after", after)):
        share = report["models"][0]["share_of_bandwidth"]
        print(f"engine, Q8_0, {when:6}  {decoded(report):9.1f} tok/s, {100 * share:.0f} % of it")
    versions = f"transformers {theirs['transformers']}, torch {theirs['torch']}"
    for name, speed in theirs["tokens_per_second"].items():
        print(f"{versions}, bf16, {name}: {speed:.1f} tok/s")
        print(f"  the engine is {ratios[name]:.2f} times as fast")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", default="target/release/examples", help="where the engine's examples are")
    parser.add_argument("--card", type=int, default=0, help="number of the card")
    parser.add_argument("--cpu", action="store_true", help="a tiny shape on the CPU, to try this script")
    parser.add_argument("--compile", action="store_true", help="measure compiled steps, too")
    parser.add_argument("--prompt", type=int, default=128, help="tokens of the prompt")
    parser.add_argument("--tokens", type=int, default=129, help="tokens that are generated, at least 2")
    parser.add_argument("--repeats", type=int, default=5, help="runs of which the fastest counts")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.tokens < 2 or arguments.repeats < 1 or arguments.prompt < 1:
        parser.error("--tokens must be at least 2, --repeats and --prompt at least 1")
    arguments.shape = "tiny" if arguments.cpu else "llama-3.1-8b"
    if arguments.measure:
        print(json.dumps(measure(arguments)))
    else:
        compare(arguments)


if __name__ == "__main__":
    main()
