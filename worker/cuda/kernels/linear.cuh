// What the kernels of operator 2 share: how an output leaves.
#pragma once
#include "quantized.cuh"

// Arguments of every linear kernel.
struct Linear {
  const u8* quants;
  const u16* scales;
  u32 tiles;   // of 16 rows
  u32 blocks;  // of 32 columns
  const u8* x_quants;
  const float* x_scales;
  u32 rows;  // of activations
  const float* bias;      // in the order of the packed rows, or null
  const float* residual;  // [row][outputs], or null
  float* out;             // [row][outputs]
  u32 outputs;
  u32 activation;  // 0: plain; else tiles hold 8 rows of gates, then 8 rows of ups
};

// y + bias, if there is one.
GF_DEVICE float with_bias(const Linear& l, u32 tile, u32 row_in_tile, float y) {
  return l.bias ? add_rn(y, l.bias[tile * 16 + row_in_tile]) : y;
}

GF_DEVICE void store(const Linear& l, u32 row, u32 output, float y) {
  if (row >= l.rows || output >= l.outputs) return;
  const u64 at = (u64)row * l.outputs + output;
  l.out[at] = l.residual ? add_rn(l.residual[at], y) : y;
}

// Stores what a tile's rows g (`low`) and g + 8 (`high`) gave for a row of activations, g < 8.
GF_DEVICE void store_pair(const Linear& l, u32 tile, u32 g, u32 row, float low, float high) {
  if (tile >= l.tiles) return;
  low = with_bias(l, tile, g, low);
  high = with_bias(l, tile, g + 8, high);
  if (l.activation) {
    store(l, row, tile * 8 + g, mul_rn(gate(l.activation, low), high));
  } else {
    store(l, row, tile * 16 + g, low);
    store(l, row, tile * 16 + g + 8, high);
  }
}

#define GF_LINEAR_PARAMETERS                                                                   \
  const u8 *quants, const u16 *scales, u32 tiles, u32 blocks, const u8 *x_quants,              \
      const float *x_scales, u32 rows, const float *bias, const float *residual, float *out,   \
      u32 outputs, u32 activation
#define GF_LINEAR                                                                              \
  {                                                                                            \
    quants, scales, tiles, blocks, x_quants, x_scales, rows, bias, residual, out, outputs,     \
        activation                                                                             \
  }
