// What the kernels need of the machine, under names of their own: on a card the CUDA intrinsics
// and a few PTX instructions, elsewhere the shim's exact stand-ins.
//
// Kernels use nothing else of CUDA, so that one source compiles for both.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

struct alignas(8) Words2 {
  u32 x, y;
};
struct alignas(16) Words4 {
  u32 x, y, z, w;
};
struct alignas(8) Floats2 {
  float x, y;
};
struct alignas(16) Floats4 {
  float x, y, z, w;
};

#if defined(GENESISFLOW_SHIM)
#include "shim.h"
#else

#define GF_DEVICE static __device__ __forceinline__
#define GF_DEVICE_MEMBER __device__ __forceinline__
#define GF_KERNEL(threads, blocks_per_sm) \
  extern "C" __global__ void __launch_bounds__(threads, blocks_per_sm)
#define GF_UNROLL _Pragma("unroll")
#define GF_UNROLL_BY(n) _Pragma(GF_TEXT(unroll n))
#define GF_TEXT(x) #x
extern __shared__ __align__(16) u8 gf_shared_memory[];
// The block's dynamic shared memory, aligned to 16 bytes.
#define GF_SHARED(name) u8* const name = gf_shared_memory

// --- f32, every operation rounded once to nearest even, none contracted -----
GF_DEVICE float add_rn(float a, float b) { return __fadd_rn(a, b); }
GF_DEVICE float sub_rn(float a, float b) { return __fsub_rn(a, b); }
GF_DEVICE float mul_rn(float a, float b) { return __fmul_rn(a, b); }
GF_DEVICE float div_rn(float a, float b) { return __fdiv_rn(a, b); }
GF_DEVICE float sqrt_rn(float a) { return __fsqrt_rn(a); }
GF_DEVICE float fma_rn(float a, float b, float c) { return __fmaf_rn(a, b, c); }
GF_DEVICE float small_int_to_float(int i) { return __int2float_rn(i); }
GF_DEVICE u32 float_bits(float x) { return __float_as_uint(x); }
GF_DEVICE float bits_float(u32 x) { return __uint_as_float(x); }

GF_DEVICE float half_to_float(u16 h) {
  float f;
  asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(h));
  return f;
}
GF_DEVICE u16 float_to_half(float f) {
  u16 h;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(f));
  return h;
}

// --- threads -----------------------------------------------------------------
GF_DEVICE u32 thread_index() { return threadIdx.x; }
GF_DEVICE u32 thread_count() { return blockDim.x; }
GF_DEVICE u32 block_x() { return blockIdx.x; }
GF_DEVICE u32 block_y() { return blockIdx.y; }
GF_DEVICE u32 block_z() { return blockIdx.z; }
GF_DEVICE u32 grid_x() { return gridDim.x; }
GF_DEVICE void block_barrier() { __syncthreads(); }

// --- a whole warp together ---------------------------------------------------
GF_DEVICE float shuffle_xor(float v, u32 mask) { return __shfl_xor_sync(0xffffffffu, v, mask); }
GF_DEVICE u64 shuffle_xor(u64 v, u32 mask) { return __shfl_xor_sync(0xffffffffu, v, mask); }
GF_DEVICE u32 warp_max(u32 v) { return __reduce_max_sync(0xffffffffu, v); }

// acc += A (16 x 32, row-major fragments) * B (32 x 8), exact in int32.
GF_DEVICE void mma_s8(int (&acc)[4], const u32 (&a)[4], const u32 (&b)[2], int start) {
  asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%10, %10, %10, %10};"
      : "=r"(acc[0]), "=r"(acc[1]), "=r"(acc[2]), "=r"(acc[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "r"(start));
}

// --- memory ------------------------------------------------------------------
// Weights pass once: they need not stay in the first-level cache.
GF_DEVICE Words4 load_once(const Words4* p) {
  Words4 v;
  asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(p));
  return v;
}
GF_DEVICE Words2 load_once(const Words2* p) {
  Words2 v;
  asm volatile("ld.global.nc.L1::no_allocate.v2.u32 {%0, %1}, [%2];"
               : "=r"(v.x), "=r"(v.y)
               : "l"(p));
  return v;
}
// 16 bytes from global to shared memory; there once the group it was closed into was waited for.
GF_DEVICE void copy_async(void* shared, const void* global) {
  const u32 at = (u32)__cvta_generic_to_shared(shared);
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(at), "l"(global) : "memory");
}
GF_DEVICE void copy_async_close_group() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits until at most `pending` of this thread's groups are on their way.
template <int pending>
GF_DEVICE void copy_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
}
GF_DEVICE void atomic_min(u32* at, u32 v) { atomicMin(at, v); }

#endif

GF_DEVICE u32 warp_index() { return thread_index() / 32; }
GF_DEVICE u32 lane_index() { return thread_index() % 32; }
GF_DEVICE u32 warp_count() { return thread_count() / 32; }
GF_DEVICE u32 min_u32(u32 a, u32 b) { return a < b ? a : b; }
GF_DEVICE u32 max_u32(u32 a, u32 b) { return a > b ? a : b; }
GF_DEVICE u32 ceil_div(u32 a, u32 b) { return (a + b - 1) / b; }
