"""Small random models of every family: weights, and what transformers computes with them."""

import json
import pathlib

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType, quants
from safetensors.torch import save_file
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

# Tokens of a greedy continuation. Of so many random prompts of so many tokens the one is taken
# whose tokens lead the second best by most: small errors cannot change it.
GREEDY = 8
PROMPTS = 256
PROMPT = 9

COMMON = dict(
    num_hidden_layers=2,
    rms_norm_eps=1e-5,
    max_position_embeddings=512,
    pad_token_id=None,
    bos_token_id=0,
    eos_token_id=None,
    use_cache=False,
    attn_implementation="eager",
)

FAMILIES = {
    "llama": (
        LlamaForCausalLM,
        LlamaConfig(
            hidden_size=64,
            intermediate_size=96,
            num_attention_heads=4,
            num_key_value_heads=2,
            vocab_size=96,
            tie_word_embeddings=False,
            rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
            **COMMON,
        ),
    ),
    "llama3": (
        LlamaForCausalLM,
        LlamaConfig(
            hidden_size=32,
            intermediate_size=64,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=32,
            vocab_size=80,
            tie_word_embeddings=True,
            # A short original context, so that all three branches of the scaling are met.
            rope_parameters={
                "rope_type": "llama3",
                "rope_theta": 500000.0,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 64,
            },
            **COMMON,
        ),
    ),
    "mistral": (
        MistralForCausalLM,
        MistralConfig(
            hidden_size=32,
            intermediate_size=64,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=24,
            vocab_size=80,
            sliding_window=19,
            tie_word_embeddings=False,
            rope_parameters={"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0},
            **COMMON,
        ),
    ),
    "qwen2": (
        Qwen2ForCausalLM,
        Qwen2Config(
            # No multiple of 32: blocks at the end of a row are padded.
            hidden_size=48,
            intermediate_size=80,
            num_attention_heads=3,
            num_key_value_heads=1,
            vocab_size=80,
            tie_word_embeddings=True,
            rope_parameters={"rope_type": "default", "rope_theta": 1000000.0},
            **COMMON,
        ),
    ),
    "qwen3": (
        Qwen3ForCausalLM,
        Qwen3Config(
            hidden_size=32,
            intermediate_size=64,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=16,
            vocab_size=80,
            tie_word_embeddings=True,
            rope_parameters={"rope_type": "default", "rope_theta": 1000000.0},
            **COMMON,
        ),
    ),
    # Llama with a tied head and three query heads for each key head.
    "smollm2": (
        LlamaForCausalLM,
        LlamaConfig(
            hidden_size=96,
            intermediate_size=128,
            num_attention_heads=3,
            num_key_value_heads=1,
            vocab_size=80,
            tie_word_embeddings=True,
            rope_parameters={"rope_type": "default", "rope_theta": 100000.0},
            **COMMON,
        ),
    ),
}


def blocks_of(weight: np.ndarray, kind: GGMLQuantizationType) -> np.ndarray:
    """Stored blocks of a matrix, its rows padded with zeros to a multiple of 32."""
    padding = -weight.shape[1] % 32
    return quants.quantize(np.pad(weight, ((0, 0), (0, padding))), kind)


def rounded(weight: np.ndarray, kind: GGMLQuantizationType) -> np.ndarray:
    """A matrix through its quantisation and back."""
    values = quants.dequantize(blocks_of(weight, kind), kind)
    return np.ascontiguousarray(values[:, : weight.shape[1]])


def random_state(model: torch.nn.Module, seed: int) -> dict[str, np.ndarray]:
    """Random weights: matrices that keep magnitudes, norms around one, biases that matter."""
    random = np.random.default_rng(seed)
    state = {}
    for name, parameter in model.state_dict().items():
        shape = tuple(parameter.shape)
        if name == "lm_head.weight" and model.config.tie_word_embeddings:
            continue
        values = random.standard_normal(shape)
        if len(shape) == 2:
            if "embed_tokens" not in name:
                values /= np.sqrt(shape[1])
            elif model.config.tie_word_embeddings:
                # Small, or the head would only find the token that was fed.
                values *= 0.2
        elif name.endswith("bias"):
            values *= 0.5
        else:
            values = 1 + 0.2 * values
        state[name] = values.astype(np.float32)
    return state


def load(model: torch.nn.Module, state: dict[str, np.ndarray]) -> None:
    tensors = {name: torch.from_numpy(values) for name, values in state.items()}
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    assert not unexpected and all("lm_head" in name for name in missing), (missing, unexpected)
    model.tie_weights()
    model.eval()


@torch.no_grad()
def logits(model: torch.nn.Module, tokens: list[int]) -> np.ndarray:
    return model(torch.tensor([tokens])).logits[0].float().numpy()


@torch.no_grad()
def clear_prompt(model: torch.nn.Module, seed: int) -> tuple[list[int], list[int], float]:
    """A prompt, its greedy continuation, and by how much every token of it leads."""
    random = np.random.default_rng(seed)
    tokens = torch.from_numpy(random.integers(0, model.config.vocab_size, (PROMPTS, PROMPT)))
    leads = torch.full((PROMPTS,), float("inf"))
    for _ in range(GREEDY):
        best = model(tokens).logits[:, -1].topk(2)
        leads = leads.minimum(best.values[:, 0] - best.values[:, 1])
        tokens = torch.cat([tokens, best.indices[:, :1]], dim=1)
    clearest = int(leads.argmax())
    row = tokens[clearest].tolist()
    return row[:PROMPT], row[PROMPT:], float(leads[clearest])


def expectations(model: torch.nn.Module, seed: int) -> dict[str, torch.Tensor]:
    random = np.random.default_rng(seed + 1000)
    # Longer than one partition of attention (128 positions) and than the window.
    tokens = random.integers(0, model.config.vocab_size, 150).tolist()
    every = logits(model, tokens)
    positions = [0, 1, 5, 17, 18, 19, 20, 31, 32, 63, 64, 100, 126, 127, 128, 129, 148, 149]
    prompt, continuation, lead = clear_prompt(model, seed + 2000)
    print(f"{model.config.model_type}: greedy tokens lead by {lead:.3f}")
    ids = lambda values: torch.tensor(values, dtype=torch.int32)
    return {
        "tokens": ids(tokens),
        "positions": ids(positions),
        "logits": torch.from_numpy(every[positions].copy()),
        "prompt": ids(prompt),
        "greedy": ids(continuation),
    }


def permuted(values: np.ndarray, heads: int) -> np.ndarray:
    """Rows of queries or keys as llama.cpp wants them: pairs of the rotation side by side."""
    head_dim = values.shape[0] // heads
    split = values.reshape(heads, 2, head_dim // 2, *values.shape[1:])
    return split.swapaxes(1, 2).reshape(values.shape)


GGUF_NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def gguf_name(name: str) -> str:
    fixed = {
        "model.embed_tokens.weight": "token_embd.weight",
        "model.norm.weight": "output_norm.weight",
        "lm_head.weight": "output.weight",
    }
    if name in fixed:
        return fixed[name]
    layer, rest = name.removeprefix("model.layers.").split(".", 1)
    part, kind = rest.rsplit(".", 1)
    return f"blk.{layer}.{GGUF_NAMES[part]}.{kind}"


def rope_divisors(config) -> np.ndarray:
    """Llama 3's scaling as llama.cpp's converter writes it: a divisor for each frequency."""
    p = config.rope_parameters
    head_dim = config.head_dim
    frequencies = 1.0 / p["rope_theta"] ** (np.arange(0, head_dim, 2) / head_dim)
    context = p["original_max_position_embeddings"]
    low, high, factor = p["low_freq_factor"], p["high_freq_factor"], p["factor"]
    divisors = []
    for frequency in frequencies:
        wavelength = 2 * np.pi / frequency
        if wavelength < context / high:
            divisors.append(1.0)
        elif wavelength > context / low:
            divisors.append(factor)
        else:
            smooth = (context / wavelength - low) / (high - low)
            divisors.append(1 / ((1 - smooth) / factor + smooth))
    return np.array(divisors, dtype=np.float32)


def write_gguf(path: pathlib.Path, model, state, kind: GGMLQuantizationType) -> None:
    config = model.config
    architecture = {"mistral": "llama"}.get(config.model_type, config.model_type)
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name("golden")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_rope_dimension_count(head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    writer.add_token_list([f"<{i}>" for i in range(config.vocab_size)])
    if config.model_type == "mistral":
        writer.add_sliding_window(config.sliding_window)
    if config.rope_parameters["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(config.rope_parameters["factor"])
    if config.rope_parameters["rope_type"] == "llama3":
        writer.add_tensor("rope_freqs.weight", rope_divisors(config))
    for name, values in state.items():
        if architecture == "llama" and "q_proj" in name:
            values = permuted(values, config.num_attention_heads)
        if architecture == "llama" and "k_proj" in name:
            values = permuted(values, config.num_key_value_heads)
        if values.ndim == 2 and kind != GGMLQuantizationType.F32:
            writer.add_tensor(gguf_name(name), blocks_of(values, kind), raw_dtype=kind)
        else:
            writer.add_tensor(gguf_name(name), values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def make(folder: pathlib.Path) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    for seed, (family, (architecture, config)) in enumerate(FAMILIES.items()):
        target = folder / family
        target.mkdir()
        model = architecture(config).float()
        original = random_state(model, seed)
        q8 = GGMLQuantizationType.Q8_0
        state = {
            name: rounded(values, q8) if values.ndim == 2 else values
            for name, values in original.items()
        }
        load(model, state)
        json_config = json.loads(model.config.to_json_string(use_diff=False))
        (target / "config.json").write_text(json.dumps(json_config, indent=1, sort_keys=True) + "\n")
        tensors = {name: torch.from_numpy(values) for name, values in state.items()}
        save_file(tensors, target / "model.safetensors")
        save_file(expectations(model, seed), target / "expected.safetensors")
        # Rows that fill no whole blocks stay F32 in GGUF.
        kind = q8 if config.hidden_size % 32 == 0 else GGMLQuantizationType.F32
        write_gguf(target / "model.gguf", model, state, kind)
        if family == "llama":
            four = GGMLQuantizationType.Q4_0
            state = {
                name: rounded(values, four) if values.ndim == 2 else values
                for name, values in original.items()
            }
            load(model, state)
            (folder / "llama-q4_0").mkdir()
            write_gguf(folder / "llama-q4_0" / "model.gguf", model, original, four)
            save_file(expectations(model, seed + 50), folder / "llama-q4_0" / "expected.safetensors")
