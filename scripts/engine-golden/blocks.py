"""Block formats: bytes and values as the `gguf` package makes them."""

import pathlib

import numpy as np
from gguf import GGMLQuantizationType, quants
from safetensors.numpy import save_file

# The one corner where the project's definition differs on purpose: there every byte is zero.
SMALLEST_SCALE = np.float32(2.0**-128)


def q8_0_values() -> np.ndarray:
    """Rows of 32 values: random ones of many magnitudes, and the edges."""
    random = np.random.default_rng(8)
    rows = []
    for exponent in range(-120, 20, 2):
        rows.append(random.standard_normal(32) * 2.0**exponent)
    for _ in range(80):
        # Heavy tails, and elements far apart.
        rows.append(random.standard_cauchy(32).clip(-1e5, 1e5))
    for _ in range(40):
        # Scales of which the reciprocal is exact, and elements on ties.
        scale = 2.0 ** random.integers(-20, 8)
        row = (random.integers(-127, 127, 32) + 0.5) * scale
        row[random.integers(32)] = 127 * scale
        rows.append(row)
    for _ in range(40):
        # Just below and above ties.
        scale = random.uniform(1e-4, 10)
        row = (random.integers(-127, 127, 32) + 0.5) * scale
        row *= 1 + random.integers(-3, 4, 32) * 2.0**-24
        row[0] = 127 * scale
        rows.append(row)
    rows.append(np.zeros(32))
    rows.append(np.full(32, -0.0))
    rows.append(np.full(32, 65519.0 * 127))
    # The stored scale is a subnormal f16, then zero; the bytes stay.
    for amax in [1e-3, 1e-5, 7.6e-6, 3.7e-6, 1e-7, 1e-20, 1e-36]:
        rows.append(np.linspace(-amax, amax, 32))
    # f32 subnormals beside ordinary values, and a single element.
    row = np.full(32, 1e-40)
    row[5] = 1.0
    rows.append(row)
    rows.append(np.eye(1, 32, 31)[0] * -3.25)
    values = np.array(rows, dtype=np.float64).astype(np.float32)
    scales = np.abs(values).max(axis=1) / np.float32(127)
    keep = (scales == 0) | (scales > SMALLEST_SCALE)
    assert keep.all(), "a row lies in the corner that the definition settles differently"
    return values


def make(folder: pathlib.Path) -> None:
    values = q8_0_values()
    stored = quants.quantize(values, GGMLQuantizationType.Q8_0)

    random = np.random.default_rng(6)
    q6 = random.integers(0, 256, (6, 210), dtype=np.uint8)
    # The last two bytes are the scale of the block: any f16 that is finite.
    scales = np.array([1.0, -0.37, 6e-8, 0.0, 251.5, 3e-4], dtype=np.float16)
    q6[:, 208:] = scales.view(np.uint8).reshape(6, 2)
    q6_values = quants.dequantize(q6, GGMLQuantizationType.Q6_K)

    q4 = random.integers(0, 256, (6, 18), dtype=np.uint8)
    q4[:, :2] = scales.view(np.uint8).reshape(6, 2)
    q4_values = quants.dequantize(q4, GGMLQuantizationType.Q4_0)
    tensors = {
        "q8_0.values": values,
        "q8_0.blocks": stored,
        "q6_k.blocks": q6,
        "q6_k.values": np.ascontiguousarray(q6_values),
        "q4_0.blocks": q4,
        "q4_0.values": np.ascontiguousarray(q4_values),
    }
    save_file(tensors, folder / "blocks.safetensors")
