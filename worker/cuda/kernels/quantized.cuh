// Operator 1 and the layouts of quantised rows and weights (worker/cuda/src/layout.rs).
#pragma once
#include "arithmetic.cuh"

// A place for faults: `at[row of the step]` becomes the least code.
struct Faults {
  u32* at;
  u32 rows;
  const u32* row_of;  // or null: the same
  u32 code;
};

#define GF_FAULT_PARAMETERS u32 *fault, u32 fault_rows, const u32 *row_of, u32 code
#define GF_FAULTS \
  { fault, fault_rows, row_of, code }

GF_DEVICE void note_fault(const Faults& faults, u32 row, u32 code) {
  const u32 of_step = faults.row_of ? faults.row_of[row] : row;
  atomic_min(faults.at + min_u32(of_step, faults.rows - 1), code);
}

// Where the 32 bytes of a block of a quantised row begin: tiles of 8 rows, blocks ascending.
GF_DEVICE u64 block_of_row(u32 row, u32 block, u32 blocks) {
  return ((u64)(row / 8) * blocks + block) * 8 + row % 8;
}

// Quantises a block, one element a lane (0 beyond the end of the row).
//
// Bytes are stored in the order of the B fragment of the tensor cores' 16 x 8 x 32 product: lane t
// of four holds elements 4t .. 4t + 3 and 16 + 4t .. 16 + 4t + 3.
GF_DEVICE void quantize_block(float v, u32 row, u32 block, u32 blocks, u8* quants, float* scales,
                              const Faults& faults) {
  const u32 lane = lane_index();
  const u32 largest = warp_max(float_bits(v) & 0x7fffffffu);
  float d = 0.0f;
  u8 q = 0;
  if (largest >= 0x53800000u) {
    if (lane == 0) note_fault(faults, row, faults.code);
  } else if (largest >= 0x0d800000u) {
    const float amax = bits_float(largest);
    d = div_rn(amax, 127.0f);
    q = (u8)float_bits(add_rn(mul_rn(v, div_rn(127.0f, amax)), GF_SHIFT));
  }
  const u64 at = block_of_row(row, block, blocks);
  quants[at * 32 + (lane / 4 % 4) * 8 + (lane / 16) * 4 + lane % 4] = q;
  if (lane == 0) scales[at] = d;
}

// --- weights: tiles of 16 rows, blocks ascending, in the order of the A fragment ---------------

// Bytes of a tile's block: 32 lanes of 16 (Q8_0) or 8 (Q4_0) bytes.
template <bool q4>
struct Weights {
  using Lane = Words4;
  static constexpr u32 block_bytes = 512, lane_bytes = 16;
};
template <>
struct Weights<true> {
  using Lane = Words2;
  static constexpr u32 block_bytes = 256, lane_bytes = 8;
};

// What a lane holds of a tile's block.
template <bool q4>
using Packed = typename Weights<q4>::Lane;

// The fragment in what a lane holds. Q8_0: as it is.
GF_DEVICE void unpack(Words4 packed, u32 (&a)[4]) {
  a[0] = packed.x, a[1] = packed.y, a[2] = packed.z, a[3] = packed.w;
}

// Q4_0 nibbles are stored as two's complement (stored nibble - 8). In the high half of a byte
// such a nibble reads as 16 times the weight, so no offset is left to subtract; products are 16
// times too large, exactly.
GF_DEVICE void unpack(Words2 packed, u32 (&a)[4]) {
  a[0] = (packed.x << 4) & 0xf0f0f0f0u;
  a[1] = packed.x & 0xf0f0f0f0u;
  a[2] = (packed.y << 4) & 0xf0f0f0f0u;
  a[3] = packed.y & 0xf0f0f0f0u;
}

// One weight of a packed matrix, as an integer.
template <bool q4>
GF_DEVICE int weight_at(const u8* quants, u32 row, u32 column, u32 blocks) {
  const u64 tile_block = (u64)(row / 16) * blocks + column / 32;
  const u32 k = column % 32;
  const u32 lane = (row % 8) * 4 + k % 16 / 4, word = k / 16 * 2 + row % 16 / 8;
  const u8* lane_at = quants + tile_block * Weights<q4>::block_bytes + lane * Weights<q4>::lane_bytes;
  if (q4) {
    const u8 pair = lane_at[word / 2 * 4 + k % 4];
    return (int)(signed char)(word % 2 ? pair & 0xf0 : (u8)(pair << 4)) / 16;
  }
  return (signed char)lane_at[word * 4 + k % 4];
}

// The start of every int32 accumulator: read as an f32, 0x4b400000 + i is 12582912 + i. So a dot
// product becomes an f32 by one exact subtraction and no conversion.
#define GF_ACCUMULATOR_START 0x4b400000

// The dot product behind an accumulator. Q4_0: (12582912 + 16 i) / 16 - 786432, exact too.
template <bool q4>
GF_DEVICE float dot_of(int accumulator) {
  const float shifted = bits_float((u32)accumulator);
  return q4 ? fma_rn(shifted, 0.0625f, -786432.0f) : sub_rn(shifted, GF_SHIFT);
}
