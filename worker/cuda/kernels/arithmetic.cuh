// Operators 3 and 7 of docs/canonical.md: fixed sequences of f32 operations.
#pragma once
#include "platform.cuh"

// 1.5 * 2^23: an f32 of this size has no bits below one, so adding it rounds ties to even.
#define GF_SHIFT 12582912.0f

// e^x; see the definition for its ends. Never given a NaN but after a fault, where any result does.
GF_DEVICE float exp_c(float x) {
  const bool underflows = x < -87.0f;
  x = underflows ? -87.0f : x;
  x = x > 88.0f ? 88.0f : x;
  const float shifted = add_rn(mul_rn(x, bits_float(0x3fb8aa3bu)), GF_SHIFT);
  const float n = sub_rn(shifted, GF_SHIFT);
  float r = fma_rn(-n, bits_float(0x3f317218u), x);
  r = fma_rn(-n, bits_float(0xb102e308u), r);
  float p = bits_float(0x3ab6887eu);
  p = fma_rn(p, r, bits_float(0x3c0905b1u));
  p = fma_rn(p, r, bits_float(0x3d2aaa8du));
  p = fma_rn(p, r, bits_float(0x3e2aaa6fu));
  p = fma_rn(p, r, 0.5f);
  p = fma_rn(p, r, 1.0f);
  p = fma_rn(p, r, 1.0f);
  const u32 scaled = float_bits(p) + (float_bits(shifted) << 23);
  return underflows ? 0.0f : bits_float(scaled);
}

GF_DEVICE float silu(float x) { return div_rn(x, add_rn(1.0f, exp_c(-x))); }

GF_DEVICE float gelu_tanh(float x) {
  const float inner = fma_rn(bits_float(0x3d922279u), mul_rn(x, x), bits_float(0x3fcc422au));
  return div_rn(x, add_rn(1.0f, exp_c(-mul_rn(x, inner))));
}

GF_DEVICE float tanh_c(float x) {
  return sub_rn(1.0f, div_rn(2.0f, add_rn(exp_c(mul_rn(2.0f, x)), 1.0f)));
}

// The activation of a gated layer. 1: silu, 2: gelu_tanh.
#define GF_SILU 1u
#define GF_GELU_TANH 2u
GF_DEVICE float gate(u32 activation, float x) {
  return activation == GF_GELU_TANH ? gelu_tanh(x) : silu(x);
}

// The last five steps of a lane sum: every lane of the warp holds the sum of 32 lanes.
GF_DEVICE float fold_lanes(float v) {
  GF_UNROLL
  for (u32 half = 16; half > 0; half /= 2) v = add_rn(v, shuffle_xor(v, half));
  return v;
}

// Sum of squares over 64 lanes (operator 3), `x` of `n` elements. All threads of the block call
// it, at least 64; `lanes` is shared memory for 65 floats. Every thread gets the result.
GF_DEVICE float sum_of_squares(const float* x, u32 n, float* lanes) {
  if (thread_index() < 64) {
    float sum = 0.0f;
    GF_UNROLL_BY(8)
    for (u32 i = thread_index(); i < n; i += 64) sum = fma_rn(x[i], x[i], sum);
    lanes[thread_index()] = sum;
  }
  block_barrier();
  if (thread_index() < 32) {
    const float sum = fold_lanes(add_rn(lanes[thread_index()], lanes[thread_index() + 32]));
    if (thread_index() == 0) lanes[64] = sum;
  }
  block_barrier();
  return lanes[64];
}

// 1 / sqrt(s / n + eps).
GF_DEVICE float reciprocal_rms(float sum, float n, float eps) {
  return div_rn(1.0f, sqrt_rn(add_rn(div_rn(sum, n), eps)));
}
