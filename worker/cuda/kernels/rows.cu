// Operators on rows: quantise, norm, embedding, gather, gated activation.
#include "quantized.cuh"

// Operator 1. Grid: (groups of blocks, rows); each warp a block.
GF_KERNEL(256, 1)
gf_quantize(const float* x, u32 columns, u8* quants, float* scales, GF_FAULT_PARAMETERS) {
  const u32 row = block_y(), blocks = ceil_div(columns, 32);
  const Faults faults = GF_FAULTS;
  for (u32 b = block_x() * warp_count() + warp_index(); b < blocks; b += grid_x() * warp_count()) {
    const u32 i = b * 32 + lane_index();
    const float v = i < columns ? x[(u64)row * columns + i] : 0.0f;
    quantize_block(v, row, b, blocks, quants, scales, faults);
  }
}

// Operator 4, and operator 1 of its result. Grid: rows. `normed`, `quants`: either may be null.
// `count` is `columns` as an f32. Shared memory: 65 floats (272 bytes), then the row if `staged`.
GF_KERNEL(1024, 1)
gf_rms_norm(const float* x, const float* weight, float eps, u32 columns, float count, u32 staged,
            float* normed, u8* quants, float* scales, GF_FAULT_PARAMETERS) {
  GF_SHARED(shared);
  float* lanes = (float*)shared;
  const u32 row = block_x(), blocks = ceil_div(columns, 32);
  const float* values = x + (u64)row * columns;
  if (staged) {
    float* copy = (float*)(shared + 272);
    for (u32 i = thread_index(); i < columns; i += thread_count()) copy[i] = values[i];
    block_barrier();
    values = copy;
  }
  const float r = reciprocal_rms(sum_of_squares(values, columns, lanes), count, eps);
  const Faults faults = GF_FAULTS;
  for (u32 b = warp_index(); b < blocks; b += warp_count()) {
    const u32 i = b * 32 + lane_index();
    float y = 0.0f;
    if (i < columns) {
      y = mul_rn(mul_rn(values[i], r), weight[i]);
      if (normed) normed[(u64)row * columns + i] = y;
    }
    if (quants) quantize_block(y, row, b, blocks, quants, scales, faults);
  }
}

template <bool q4>
GF_DEVICE void embed(const u8* quants, const u16* scales, u32 matrix_rows, u32 columns,
                     const u32* tokens, float* out) {
  const u32 row = block_y(), blocks = ceil_div(columns, 32);
  const u32 token = min_u32(tokens[row], matrix_rows - 1);
  for (u32 i = block_x() * thread_count() + thread_index(); i < columns;
       i += grid_x() * thread_count()) {
    const float d = half_to_float(scales[((u64)(token / 16) * blocks + i / 32) * 16 + token % 16]);
    const int q = weight_at<q4>(quants, token, i, blocks);
    out[(u64)row * columns + i] = mul_rn(d, small_int_to_float(q));
  }
}

// Operator 8. Grid: (groups of columns, rows).
GF_KERNEL(256, 1)
gf_embed_q8(const u8* quants, const u16* scales, u32 matrix_rows, u32 columns, const u32* tokens,
            float* out) {
  embed<false>(quants, scales, matrix_rows, columns, tokens, out);
}

GF_KERNEL(256, 1)
gf_embed_q4(const u8* quants, const u16* scales, u32 matrix_rows, u32 columns, const u32* tokens,
            float* out) {
  embed<true>(quants, scales, matrix_rows, columns, tokens, out);
}

// out[i] = from[rows[i]], whole rows. Grid: (groups of columns, rows).
GF_KERNEL(256, 1)
gf_gather(const float* from, u32 from_rows, const u32* rows, u32 width, float* out) {
  const u32 row = min_u32(rows[block_y()], from_rows - 1);
  for (u32 i = block_x() * thread_count() + thread_index(); i < width;
       i += grid_x() * thread_count()) {
    out[(u64)block_y() * width + i] = from[(u64)row * width + i];
  }
}

// out = act(gate) * up, for layers whose halves are matrices of different formats.
GF_KERNEL(256, 1)
gf_gated(const float* gates, const float* ups, u32 activation, u32 count, float* out) {
  for (u32 i = block_x() * thread_count() + thread_index(); i < count;
       i += grid_x() * thread_count()) {
    out[i] = mul_rn(gate(activation, gates[i]), ups[i]);
  }
}
