"""Makes the golden files of worker/engine/tests/golden, against Hugging Face transformers.

    python3 -m venv venv && venv/bin/pip install -r scripts/engine-golden/requirements.txt
    venv/bin/python scripts/engine-golden/make.py worker/engine/tests/golden

Nothing is downloaded: models are small and random, tokenizers are trained on the sentences of
corpus.py. The same versions give the same files, so a second run must leave `git diff` empty.
"""

import pathlib
import shutil
import sys
from importlib import metadata

import blocks
import chats
import models
import text


README = """# Golden files

What other people's software computes; `tests/engine/golden.rs` compares the engine with it. Made by
`scripts/engine-golden/make.py`, which writes this file too (docs/engine.md says how to run it), with

{versions}

| files | what they hold |
|---|---|
| `<family>/` | a small random model: `config.json`, `model.safetensors` (F32, the values of its Q8_0 blocks), `model.gguf` (the same blocks), `expected.safetensors` (logits of transformers in f32 at some positions of `tokens`, and a greedy continuation of `prompt`) |
| `llama-q4_0/` | the same in Q4_0 |
| `tokenizers/<kind>/` | a trained `tokenizer.json`; texts with their ids and decodings |
| `templates.json` | templates of every construct, rendered |
| `chats/` | the families' chat formats, rendered and tokenized; `spelled`: messages that spell special tokens, which stay text |
| `blocks.safetensors` | Q8_0, Q4_0 and Q6_K blocks of the gguf package with their values |
"""


def readme(folder: pathlib.Path) -> None:
    """Says beside the files what made them, with the versions that did."""
    names = ["torch", "transformers", "tokenizers", "gguf", "safetensors", "numpy", "jinja2"]
    versions = "\n".join(f"- {name} {metadata.version(name)}" for name in names)
    (folder / "README.md").write_text(README.format(versions=versions))


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    blocks.make(folder)
    models.make(folder)
    text.make(folder)
    chats.make(folder)
    readme(folder)
    total = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(f"{total} bytes in {folder}")


if __name__ == "__main__":
    main()
