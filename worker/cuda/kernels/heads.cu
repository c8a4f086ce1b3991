// From the outputs for queries, keys and values to rotated queries and the f16 cache: per-head
// norms (operator 4), RoPE (operator 5), rounding of keys and values (operator 6).
#include "quantized.cuh"

// Grid: (query heads + KV heads of keys + KV heads of values, rows); 64 threads.
// Shared memory: 65 floats (272 bytes), then the head.
GF_KERNEL(64, 1)
gf_heads(const float* qkv, u32 heads, u32 kv_heads, u32 head_dim, const float* query_norm,
         const float* key_norm, float eps, float count, const float* cosines, const float* sines,
         u32 rope_positions, const u32* positions, const u32* sequences, const u32* tables,
         u32 table_stride, u32 sequence_count, u16* keys, u16* values, u32 kv_blocks,
         float* queries, GF_FAULT_PARAMETERS) {
  GF_SHARED(shared);
  float* lanes = (float*)shared;
  float* head = (float*)(shared + 272);
  const u32 index = block_x(), row = block_y(), thread = thread_index();
  const float* from = qkv + ((u64)row * (heads + 2 * kv_heads) + index) * head_dim;
  for (u32 i = thread; i < head_dim; i += 64) head[i] = from[i];
  block_barrier();

  const u32 position = positions[row];
  const bool is_query = index < heads, is_value = index >= heads + kv_heads;
  if (!is_value) {
    const float* weight = is_query ? query_norm : key_norm;
    if (weight) {
      const float r = reciprocal_rms(sum_of_squares(head, head_dim, lanes), count, eps);
      for (u32 i = thread; i < head_dim; i += 64) head[i] = mul_rn(mul_rn(head[i], r), weight[i]);
      block_barrier();
    }
    const u32 half = head_dim / 2;
    const u64 angles = (u64)min_u32(position, rope_positions - 1) * half;
    for (u32 i = thread; i < half; i += 64) {
      const float a = head[i], b = head[i + half];
      const float c = cosines[angles + i], s = sines[angles + i];
      head[i] = fma_rn(a, c, -mul_rn(b, s));
      head[i + half] = fma_rn(b, c, mul_rn(a, s));
    }
    block_barrier();
  }
  if (is_query) {
    float* to = queries + ((u64)row * heads + index) * head_dim;
    for (u32 i = thread; i < head_dim; i += 64) to[i] = head[i];
    return;
  }
  const u32 sequence = min_u32(sequences[row], sequence_count - 1);
  const u32 slot = min_u32(position / 32, table_stride - 1);
  const u32 block = min_u32(tables[(u64)sequence * table_stride + slot], kv_blocks - 1);
  const u32 kv_head = is_value ? index - heads - kv_heads : index - heads;
  const u64 at = ((u64)block * kv_heads + kv_head) * head_dim * 32;
  const Faults faults = GF_FAULTS;
  for (u32 i = thread; i < head_dim; i += 64) {
    u16 rounded = float_to_half(head[i]);
    if ((rounded & 0x7c00) == 0x7c00) {
      note_fault(faults, row, code + is_value);
      rounded = 0;
    }
    // A key's 32 positions lie side by side, a value's elements do.
    if (is_value) {
      values[at + position % 32 * head_dim + i] = rounded;
    } else {
      keys[at + i * 32 + position % 32] = rounded;
    }
  }
}
