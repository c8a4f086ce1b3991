"""Tokenizers and chat templates: ids, texts and renderings as transformers gives them."""

import json
import pathlib

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

import corpus

SPECIAL = ["<s>", "</s>", "<|start|>", "<|end|>"]

# How the families split text before merging.
SPLITS = {
    # Llama 3: numbers in groups of up to three.
    "triples": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    # Qwen: every digit by itself, text in NFC.
    "digits": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
}


def byte_level(kind: str) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    if kind == "digits":
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLITS[kind]), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=520,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus.TRAINING, trainer)
    if kind == "triples":
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
        )
    return tokenizer


def gpt2() -> Tokenizer:
    """SmolLM2: digits apart, then GPT-2's own splitting."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus.TRAINING, trainer)
    return tokenizer


def sentencepiece() -> Tokenizer:
    """Llama 2 and Mistral: blanks as U+2581, unknown characters as bytes."""
    pieces = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    pieces.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=500, special_tokens=["<unk>", *SPECIAL, *bytes_], show_progress=False
    )
    # Latin letters only, so that other scripts fall back to bytes.
    pieces.train_from_iterator(corpus.TRAINING[:10], trainer)
    # Bytes are no special tokens: they show when decoded.
    state = json.loads(pieces.to_str())
    state["added_tokens"] = [t for t in state["added_tokens"] if not t["content"].startswith("<0x")]
    tokenizer = Tokenizer.from_str(json.dumps(state))
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(content=" ", left=1),
        ]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
    )
    return tokenizer


def cases(tokenizer: Tokenizer) -> list[dict]:
    found = []
    for text in corpus.CASES:
        ids = tokenizer.encode(text, add_special_tokens=True).ids
        found.append(
            {
                "text": text,
                "ids": ids,
                "bare_ids": tokenizer.encode(text, add_special_tokens=False).ids,
                "decoded": tokenizer.decode(ids, skip_special_tokens=True),
                # Cut in the middle, perhaps of a character.
                "half_decoded": tokenizer.decode(ids[: len(ids) // 2], skip_special_tokens=True),
            }
        )
    return found


def make(folder: pathlib.Path) -> None:
    tokenizers = {
        "triples": byte_level("triples"),
        "digits": byte_level("digits"),
        "gpt2": gpt2(),
        "sentencepiece": sentencepiece(),
    }
    for name, tokenizer in tokenizers.items():
        target = folder / "tokenizers" / name
        target.mkdir(parents=True)
        (target / "tokenizer.json").write_text(tokenizer.to_str(), encoding="utf-8")
        lines = ",\n".join(json.dumps(case, ensure_ascii=True) for case in cases(tokenizer))
        (target / "cases.json").write_text(f"[\n{lines}\n]\n")

    renderer = PreTrainedTokenizerFast(
        tokenizer_object=tokenizers["triples"], bos_token="<s>", eos_token="</s>"
    )
    renderings = {}
    for name, template in corpus.TEMPLATES.items():
        renderings[name] = {"template": template, "bos_token": "<s>", "eos_token": "</s>", "cases": {}}
        for conversation, messages in corpus.CONVERSATIONS.items():
            try:
                shown = renderer.apply_chat_template(
                    messages, chat_template=template, add_generation_prompt=True, tokenize=False
                )
            except Exception as error:  # What the template raises is part of what it says.
                assert "alternate" in str(error) or "turns" in str(error), error
                shown = None
            renderings[name]["cases"][conversation] = {"messages": messages, "rendered": shown}
    (folder / "templates.json").write_text(json.dumps(renderings, indent=1) + "\n")
