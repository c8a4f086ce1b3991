// Operator 2 for many rows of activations: tiles of weights and activations pass through shared
// memory, tensor cores give each block's dot products, and every output's chain of one fma a block
// stays in a register. The sum over the columns is never split.
#include "linear.cuh"

// Shape of a block of threads.
//
// warps_down: warps along the weight rows, each with two tiles (32 rows); the rest of the warps
// lie along the activations, each with `across` tiles of 8. depth: blocks of 32 columns a stage.
// stages: how many are on their way or in use.
template <bool q4_, u32 warps_down_, u32 across_, u32 depth_, u32 stages_>
struct Shape {
  static constexpr bool q4 = q4_;
  static constexpr u32 warps_down = warps_down_, across = across_, depth = depth_,
                       stages = stages_;
  static constexpr u32 weight_tiles = 2 * warps_down;
};

// A stage of shared memory: weights, their scales, activations, their scales.
template <class S>
struct Stage {
  static constexpr u32 weight_bytes = S::weight_tiles * S::depth * Weights<S::q4>::block_bytes;
  static constexpr u32 weight_scale_bytes = S::weight_tiles * S::depth * 32;
  // For each tile of 8 rows of activations.
  static constexpr u32 x_bytes = S::depth * 256;
  static constexpr u32 x_scale_bytes = S::depth * 32;
  u8 *weights, *weight_scales, *x, *x_scales;

  GF_DEVICE_MEMBER Stage(u8* at, u32 x_tiles) {
    weights = at;
    weight_scales = weights + weight_bytes;
    x = weight_scales + weight_scale_bytes;
    x_scales = x + x_tiles * x_bytes;
  }
  static GF_DEVICE_MEMBER u32 bytes(u32 x_tiles) {
    return weight_bytes + weight_scale_bytes + x_tiles * (x_bytes + x_scale_bytes);
  }
};

// Starts copying, for each of `tiles` tiles, the `count` blocks from `first` on. A tile's blocks
// are `block_bytes` each and lie one behind the other, in `stride` bytes a tile; tiles from
// `tiles_there` on do not exist and are left out.
GF_DEVICE void copy_blocks(u8* to, const u8* from, u32 tiles, u32 tiles_there, u64 stride,
                           u32 first, u32 count, u32 depth, u32 block_bytes) {
  const u32 units = depth * block_bytes / 16;  // of a tile
  for (u32 i = thread_index(); i < tiles * units; i += thread_count()) {
    const u32 tile = i / units, at = i % units * 16;
    if (tile < tiles_there && at < count * block_bytes) {
      copy_async(to + (u64)i * 16, from + tile * stride + (u64)first * block_bytes + at);
    }
  }
}

template <class S>
GF_DEVICE void linear_many(const Linear& l) {
  GF_SHARED(shared);
  const u32 warps_across = warp_count() / S::warps_down;
  const u32 x_tiles = warps_across * S::across;
  const u32 first_x_tile = block_x() * x_tiles, first_tile = block_y() * S::weight_tiles;
  const u32 all_x_tiles = ceil_div(l.rows, 8);
  const u32 tiles_there = min_u32(S::weight_tiles, l.tiles - first_tile);
  const u32 x_tiles_there = min_u32(x_tiles, all_x_tiles - first_x_tile);

  const u64 tile_stride = (u64)l.blocks * Weights<S::q4>::block_bytes;
  const u8* weights = l.quants + first_tile * tile_stride;
  const u8* weight_scales = (const u8*)l.scales + (u64)first_tile * l.blocks * 32;
  const u8* x = l.x_quants + (u64)first_x_tile * l.blocks * 256;
  const u8* x_scales = (const u8*)l.x_scales + (u64)first_x_tile * l.blocks * 32;
  const u32 stage_bytes = Stage<S>::bytes(x_tiles);

  const auto copy = [&](u32 step) {
    const u32 first = step * S::depth;
    if (first < l.blocks) {
      const Stage<S> stage(shared + step % S::stages * stage_bytes, x_tiles);
      const u32 count = min_u32(S::depth, l.blocks - first);
      copy_blocks(stage.weights, weights, S::weight_tiles, tiles_there, tile_stride, first, count,
                  S::depth, Weights<S::q4>::block_bytes);
      copy_blocks(stage.weight_scales, weight_scales, S::weight_tiles, tiles_there,
                  (u64)l.blocks * 32, first, count, S::depth, 32);
      copy_blocks(stage.x, x, x_tiles, x_tiles_there, (u64)l.blocks * 256, first, count, S::depth,
                  256);
      copy_blocks(stage.x_scales, x_scales, x_tiles, x_tiles_there, (u64)l.blocks * 32, first,
                  count, S::depth, 32);
    }
    // Empty groups too, so that waiting for a number of them means the same at the end.
    copy_async_close_group();
  };

  const u32 lane = lane_index(), g = lane / 4, t = lane % 4;
  const u32 down = warp_index() % S::warps_down * 2;              // this warp's weight tiles
  const u32 across = warp_index() / S::warps_down * S::across;    // and tiles of activations
  float y[2][S::across][4];
  GF_UNROLL
  for (u32 i = 0; i < 2; i++) {
    GF_UNROLL
    for (u32 j = 0; j < S::across; j++) {
      y[i][j][0] = y[i][j][1] = y[i][j][2] = y[i][j][3] = 0.0f;
    }
  }

  GF_UNROLL
  for (u32 step = 0; step + 1 < S::stages; step++) copy(step);
  for (u32 step = 0; step * S::depth < l.blocks; step++) {
    copy_async_wait<(int)S::stages - 2>();
    // This step's stage is there for all, and all are done with the one that is filled next.
    block_barrier();
    copy(step + S::stages - 1);
    const Stage<S> stage(shared + step % S::stages * stage_bytes, x_tiles);
    const u32 count = min_u32(S::depth, l.blocks - step * S::depth);
    GF_UNROLL
    for (u32 b = 0; b < S::depth; b++) {
      if (b >= count) break;
      u32 a[2][4];
      float weight_scale[2][2];
      GF_UNROLL
      for (u32 i = 0; i < 2; i++) {
        const u32 at = (down + i) * S::depth + b;
        const u8* lane_at = stage.weights + at * Weights<S::q4>::block_bytes +
                            lane * Weights<S::q4>::lane_bytes;
        unpack(*(const Packed<S::q4>*)lane_at, a[i]);
        const u16* scales = (const u16*)(stage.weight_scales + at * 32);
        weight_scale[i][0] = half_to_float(scales[g]);
        weight_scale[i][1] = half_to_float(scales[g + 8]);
      }
      GF_UNROLL
      for (u32 j = 0; j < S::across; j++) {
        const u32 at = (across + j) * S::depth + b;
        const Words2 v = *(const Words2*)(stage.x + at * 256 + lane * 8);
        const u32 columns[2] = {v.x, v.y};
        const Floats2 x_scale = *(const Floats2*)(stage.x_scales + at * 32 + t * 8);
        GF_UNROLL
        for (u32 i = 0; i < 2; i++) {
          int c[4];
          mma_s8(c, a[i], columns, GF_ACCUMULATOR_START);
          float(&sum)[4] = y[i][j];
          sum[0] = fma_rn(mul_rn(weight_scale[i][0], x_scale.x), dot_of<S::q4>(c[0]), sum[0]);
          sum[1] = fma_rn(mul_rn(weight_scale[i][0], x_scale.y), dot_of<S::q4>(c[1]), sum[1]);
          sum[2] = fma_rn(mul_rn(weight_scale[i][1], x_scale.x), dot_of<S::q4>(c[2]), sum[2]);
          sum[3] = fma_rn(mul_rn(weight_scale[i][1], x_scale.y), dot_of<S::q4>(c[3]), sum[3]);
        }
      }
    }
  }
  GF_UNROLL
  for (u32 i = 0; i < 2; i++) {
    GF_UNROLL
    for (u32 j = 0; j < S::across; j++) {
      const u32 tile = first_tile + down + i;
      const u32 row = (first_x_tile + across + j) * 8 + 2 * t;
      store_pair(l, tile, g, row, y[i][j][0], y[i][j][2]);
      store_pair(l, tile, g, row + 1, y[i][j][1], y[i][j][3]);
    }
  }
}

// 9 to 64 rows: few blocks of threads would fill a card if tiles were large, so each has 32 weight
// rows and all rows of activations, and six stages keep enough bytes on their way. Grid: (1, 32
// weight rows); threads: 32 for each 8 rows of activations.
GF_KERNEL(256, 1) gf_linear_batch_q8(GF_LINEAR_PARAMETERS) {
  const Linear l = GF_LINEAR;
  linear_many<Shape<false, 1, 1, 4, 6>>(l);
}

GF_KERNEL(256, 1) gf_linear_batch_q4(GF_LINEAR_PARAMETERS) {
  const Linear l = GF_LINEAR;
  linear_many<Shape<true, 1, 1, 4, 6>>(l);
}

// More rows: 128 weight rows by 64 rows of activations. Grid: (64 rows of activations, 128 weight
// rows).
GF_KERNEL(256, 2) gf_linear_many_q8(GF_LINEAR_PARAMETERS) {
  const Linear l = GF_LINEAR;
  linear_many<Shape<false, 4, 4, 2, 3>>(l);
}

GF_KERNEL(256, 2) gf_linear_many_q4(GF_LINEAR_PARAMETERS) {
  const Linear l = GF_LINEAR;
  linear_many<Shape<true, 4, 4, 2, 3>>(l);
}
