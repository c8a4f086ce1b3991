// Operator 2 for up to 8 rows of activations: bound by the memory that holds the weights.
//
// A block of threads has one tile of 16 weight rows. Its warps share out the columns, so that many
// wide loads are on their way; each weight block is one tensor core product of 16 weight rows by 8
// rows of activations, an exact integer. What has an order, the chain of one fma a block, is done
// by one thread for each output, from shared memory, while the other warps go on loading: the sum
// over the columns is never split.
#include "linear.cuh"

#define FEW_THREADS 256u
#define FEW_WARPS (FEW_THREADS / 32)
// Floats from one row's 16 dot products to the next: 4 more, so that a warp's stores meet
// different banks.
#define FEW_STRIDE 20u

// `loads`: blocks a warp has on its way.
template <bool q4, u32 loads>
GF_DEVICE void linear_few(const Linear& l) {
  constexpr u32 chunk = loads * FEW_WARPS;
  GF_SHARED(shared);
  // Two of each, so that a chunk is chained while the next is multiplied.
  int* dots = (int*)shared;                              // [2][chunk][rows][FEW_STRIDE]
  const u32 dots_len = chunk * l.rows * FEW_STRIDE;
  Words2* weight_scales = (Words2*)(dots + 2 * dots_len);  // [2][chunk][16] f16
  Floats2* row_scales = (Floats2*)(weight_scales + 2 * chunk * 4);  // [2][chunk][8] f32

  const u32 tile = block_x(), warp = warp_index(), lane = lane_index();
  const u32 g = lane / 4, t = lane % 4, thread = thread_index();
  const u8* tile_quants = l.quants + (u64)tile * l.blocks * Weights<q4>::block_bytes +
                          lane * Weights<q4>::lane_bytes;
  const Words2* tile_scales = (const Words2*)(l.scales + (u64)tile * l.blocks * 16);
  const Floats2* x_scales = (const Floats2*)l.x_scales;

  Packed<q4> a[loads];
  Words2 b[loads];
  Words2 next_weight_scales = {0, 0};
  Floats2 next_row_scales = {0.0f, 0.0f};
  // Nothing here waits for a load or branches around one. Behind the last block the last is read
  // again, and lanes without a row of activations read the last row: what they give is not used.
  const u32 x_row = min_u32(g, l.rows - 1);
  const auto load = [&](u32 first) {
    GF_UNROLL
    for (u32 i = 0; i < loads; i++) {
      const u32 block = min_u32(first + i * FEW_WARPS + warp, l.blocks - 1);
      a[i] = load_once((const Packed<q4>*)(tile_quants + (u64)block * Weights<q4>::block_bytes));
      b[i] = ((const Words2*)l.x_quants)[((u64)block * 8 + x_row) * 4 + t];
    }
    if (thread < chunk * 4) {
      const u32 at = min_u32(first * 4 + thread, l.blocks * 4 - 1);
      next_weight_scales = tile_scales[at];
      next_row_scales = x_scales[at];
    }
  };

  // The chain of outputs: thread 16 m + r has weight row r, activation row m.
  const u32 chain_row = thread / 16, r = thread % 16;
  const bool chains = warp * 2 < l.rows;
  const u32 m = min_u32(chain_row, l.rows - 1);
  float y = 0.0f;

  load(0);
  for (u32 first = 0, turn = 0; first < l.blocks; first += chunk, turn ^= 1) {
    int* turn_dots = dots + turn * dots_len;
    u16* turn_weight_scales = (u16*)(weight_scales + turn * chunk * 4);
    float* turn_row_scales = (float*)(row_scales + turn * chunk * 4);
    GF_UNROLL
    for (u32 i = 0; i < loads; i++) {
      u32 weights[4];
      unpack(a[i], weights);
      const u32 columns[2] = {b[i].x, b[i].y};
      int c[4];
      mma_s8(c, weights, columns, GF_ACCUMULATOR_START);
      int* at = turn_dots + (i * FEW_WARPS + warp) * l.rows * FEW_STRIDE;
      if (2 * t < l.rows) {
        at[2 * t * FEW_STRIDE + g] = c[0];
        at[2 * t * FEW_STRIDE + g + 8] = c[2];
      }
      if (2 * t + 1 < l.rows) {
        at[(2 * t + 1) * FEW_STRIDE + g] = c[1];
        at[(2 * t + 1) * FEW_STRIDE + g + 8] = c[3];
      }
    }
    if (thread < chunk * 4) {
      ((Words2*)turn_weight_scales)[thread] = next_weight_scales;
      ((Floats2*)turn_row_scales)[thread] = next_row_scales;
    }
    if (first + chunk < l.blocks) load(first + chunk);
    // One barrier a chunk does: whoever writes these dots again has passed the next one, and so
    // have the threads that chain them.
    block_barrier();
    if (chains) {
      const u32 count = min_u32(chunk, l.blocks - first);
      GF_UNROLL_BY(8)
      for (u32 i = 0; i < count; i++) {
        const float scale =
            mul_rn(half_to_float(turn_weight_scales[i * 16 + r]), turn_row_scales[i * 8 + m]);
        y = fma_rn(scale, dot_of<q4>(turn_dots[(i * l.rows + m) * FEW_STRIDE + r]), y);
      }
    }
  }
  if (chains) {
    // Rows g and g + 8 of a tile meet in the thread of the lower one.
    const float high = shuffle_xor(y, 8);
    if (r < 8) store_pair(l, tile, r, chain_row, y, high);
  }
}

// Up to 4 rows. Grid: tiles. Shared memory: see operators/linear.rs.
GF_KERNEL(FEW_THREADS, 2) gf_linear_few4_q8(GF_LINEAR_PARAMETERS) {
  const Linear l = GF_LINEAR;
  linear_few<false, 8>(l);
}

GF_KERNEL(FEW_THREADS, 2) gf_linear_few4_q4(GF_LINEAR_PARAMETERS) {
  const Linear l = GF_LINEAR;
  linear_few<true, 8>(l);
}

// Up to 8 rows.
GF_KERNEL(FEW_THREADS, 2) gf_linear_few8_q8(GF_LINEAR_PARAMETERS) {
  const Linear l = GF_LINEAR;
  linear_few<false, 4>(l);
}

GF_KERNEL(FEW_THREADS, 2) gf_linear_few8_q4(GF_LINEAR_PARAMETERS) {
  const Linear l = GF_LINEAR;
  linear_few<true, 4>(l);
}
