"""Makes the golden files of worker/engine/tests/golden, against Hugging Face transformers.

    python3 -m venv venv && venv/bin/pip install -r scripts/engine-golden/requirements.txt
    venv/bin/python scripts/engine-golden/make.py worker/engine/tests/golden

Nothing is downloaded: models are small and random, tokenizers are trained on the sentences of
corpus.py. The same versions give the same files, so a second run must leave `git diff` empty.
"""

import pathlib
import shutil
import sys

import blocks
import models
import text


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    blocks.make(folder)
    models.make(folder)
    text.make(folder)
    total = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(f"{total} bytes in {folder}")


if __name__ == "__main__":
    main()
