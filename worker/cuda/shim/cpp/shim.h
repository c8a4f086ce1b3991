// Exact stand-ins for what kernels/platform.cuh takes from CUDA, so that the kernels compile as
// plain C++ and run on a CPU.
//
// A block's threads are fibers of one system thread. A fiber runs until it reaches a barrier, of
// its block or (in shuffles, reductions and matrix products) of its warp, and goes on when all
// others have come to the same one. Blocks run one after the other. What CUDA leaves open is used
// against the kernels: fibers run in either order, shared memory starts as garbage, and
// asynchronous copies arrive as late as they may.
//
// Compiled with -ffp-contract=off and without fast-math: every operation here rounds once.
#pragma once
#include <cmath>
#include <cstring>

#define GF_DEVICE static inline
#define GF_DEVICE_MEMBER inline
#define GF_KERNEL(threads, blocks_per_sm) extern "C" void
#define GF_UNROLL
#define GF_UNROLL_BY(n)
#define GF_SHARED(name) u8* name = shim::shared_memory()

namespace shim {

struct Indices {
  u32 x, y, z;
};

// The running fiber's place. Set by the scheduler.
struct Place {
  u32 thread, threads;
  Indices block, grid;
};
extern thread_local Place place;

// What a fiber waits for; all that meet must name the same.
enum class Meeting : u32 { none, block, shuffle, reduce, product };

u8* shared_memory();
// Returns when all threads of the block (Meeting::block) or of the warp (others) are here.
void meet(Meeting meeting);
// A slot of 32 bytes of the given lane of the running fiber's warp, for the present exchange.
void* slot(u32 lane);
// The running fiber has read what it wanted; the next exchange uses other slots.
void end_exchange();

void copy_later(void* to, const void* from);
void close_group();
void wait_for_groups(u32 pending);

// f32 with the sum rounded once (canonical.md, "Numbers"): exact product in f64, sum by TwoSum
// with round to odd, one rounding to f32. The platform's fmaf is not trusted.
inline float fma(float a, float b, float c) {
  const double product = (double)a * (double)b, addend = c;
  const double sum = product + addend;
  const double addend_part = sum - product;
  const double error = (product - (sum - addend_part)) + (addend - addend_part);
  u64 bits;
  std::memcpy(&bits, &sum, 8);
  if (!std::isfinite(sum) || error == 0.0 || (bits & 1)) return (float)sum;
  bits += (error > 0.0) == (sum > 0.0) ? 1 : -1;
  double odd;
  std::memcpy(&odd, &bits, 8);
  return (float)odd;
}

}  // namespace shim

GF_DEVICE float add_rn(float a, float b) { return a + b; }
GF_DEVICE float sub_rn(float a, float b) { return a - b; }
GF_DEVICE float mul_rn(float a, float b) { return a * b; }
GF_DEVICE float div_rn(float a, float b) { return a / b; }
GF_DEVICE float sqrt_rn(float a) { return std::sqrt(a); }
GF_DEVICE float fma_rn(float a, float b, float c) { return shim::fma(a, b, c); }
GF_DEVICE float small_int_to_float(int i) { return (float)i; }
GF_DEVICE u32 float_bits(float x) {
  u32 bits;
  std::memcpy(&bits, &x, 4);
  return bits;
}
GF_DEVICE float bits_float(u32 bits) {
  float x;
  std::memcpy(&x, &bits, 4);
  return x;
}

GF_DEVICE float half_to_float(u16 h) {
  const u32 sign = (u32)(h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 0x3ff;
  if (exponent == 31) return bits_float(sign | 0x7f800000u | fraction << 13);
  // A subnormal: fraction * 2^-24.
  if (exponent == 0) return bits_float(sign | float_bits((float)fraction * 0x1p-24f));
  return bits_float(sign | (exponent + 112) << 23 | fraction << 13);
}

// Nearest even, subnormals kept.
GF_DEVICE u16 float_to_half(float f) {
  const u32 bits = float_bits(f), magnitude = bits & 0x7fffffffu;
  const u16 sign = (u16)(bits >> 16 & 0x8000);
  if (magnitude > 0x7f800000u) return 0x7fff;
  if (magnitude >= 0x477ff000u) return sign | 0x7c00;  // 65520 and above
  if (magnitude < 0x38800000u) {                       // below the smallest normal, 2^-14
    // Adding 0.5 rounds to multiples of 2^-24, ties to even.
    return sign | (u16)(float_bits(bits_float(magnitude) + 0.5f) - 0x3f000000u);
  }
  const u32 odd = magnitude >> 13 & 1;
  return sign | (u16)((magnitude - 0x38000000u + 0xfff + odd) >> 13);
}

GF_DEVICE u32 thread_index() { return shim::place.thread; }
GF_DEVICE u32 thread_count() { return shim::place.threads; }
GF_DEVICE u32 block_x() { return shim::place.block.x; }
GF_DEVICE u32 block_y() { return shim::place.block.y; }
GF_DEVICE u32 block_z() { return shim::place.block.z; }
GF_DEVICE u32 grid_x() { return shim::place.grid.x; }
GF_DEVICE void block_barrier() { shim::meet(shim::Meeting::block); }

template <class T>
inline T shuffle_xor_of(T v, u32 mask) {
  std::memcpy(shim::slot(thread_index() % 32), &v, sizeof v);
  shim::meet(shim::Meeting::shuffle);
  std::memcpy(&v, shim::slot(thread_index() % 32 ^ mask), sizeof v);
  shim::end_exchange();
  return v;
}
GF_DEVICE float shuffle_xor(float v, u32 mask) { return shuffle_xor_of(v, mask); }
GF_DEVICE u64 shuffle_xor(u64 v, u32 mask) { return shuffle_xor_of(v, mask); }

GF_DEVICE u32 warp_max(u32 v) {
  *(u32*)shim::slot(thread_index() % 32) = v;
  shim::meet(shim::Meeting::reduce);
  for (u32 lane = 0; lane < 32; lane++) {
    const u32 other = *(const u32*)shim::slot(lane);
    v = other > v ? other : v;
  }
  shim::end_exchange();
  return v;
}

// m16n8k32, as PTX describes the fragments: lane 4g + t holds of A (row g, columns 4t..), (row
// g + 8, 4t..), (g, 16 + 4t..), (g + 8, 16 + 4t..), of B (rows 4t.., column g), (rows 16 + 4t..,
// column g), and of the result (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1).
GF_DEVICE void mma_s8(int (&acc)[4], const u32 (&a)[4], const u32 (&b)[2], int start) {
  struct Fragments {
    u32 a[4], b[2];
  };
  const u32 lane = thread_index() % 32, g = lane / 4, t = lane % 4;
  Fragments mine;
  std::memcpy(mine.a, a, sizeof mine.a);
  std::memcpy(mine.b, b, sizeof mine.b);
  std::memcpy(shim::slot(lane), &mine, sizeof mine);
  shim::meet(shim::Meeting::product);
  for (u32 i = 0; i < 4; i++) {
    const u32 row = g + i / 2 * 8, column = 2 * t + i % 2;
    int sum = start;
    for (u32 k = 0; k < 32; k++) {
      const Fragments* of_a = (const Fragments*)shim::slot(row % 8 * 4 + k % 16 / 4);
      const Fragments* of_b = (const Fragments*)shim::slot(column * 4 + k % 16 / 4);
      const u32 wa = of_a->a[k / 16 * 2 + row / 8], wb = of_b->b[k / 16];
      sum += (int)(signed char)(wa >> k % 4 * 8) * (int)(signed char)(wb >> k % 4 * 8);
    }
    acc[i] = sum;
  }
  shim::end_exchange();
}

GF_DEVICE Words4 load_once(const Words4* p) { return *p; }
GF_DEVICE Words2 load_once(const Words2* p) { return *p; }
GF_DEVICE void copy_async(void* shared, const void* global) { shim::copy_later(shared, global); }
GF_DEVICE void copy_async_close_group() { shim::close_group(); }
template <int pending>
GF_DEVICE void copy_async_wait() {
  shim::wait_for_groups(pending);
}
GF_DEVICE void atomic_min(u32* at, u32 v) { *at = v < *at ? v : *at; }
