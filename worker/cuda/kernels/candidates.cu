// The sampler's candidates: the largest logits of a row, ordered by (logit descending, id
// ascending). What follows (weights, noise, choice) is a few numbers and done by the CPU.
//
// A logit and its id make one 64-bit key whose order is the candidates' order, so that no two
// are equal and any way of sorting gives the same.
#include "platform.cuh"

#define CANDIDATES 64u
#define SORTED 2048u

// 0 stands for no candidate. -0 compares equal to +0, so it has the same key.
GF_DEVICE u64 key_of(float logit, u32 id) {
  const u32 bits = logit == 0.0f ? 0 : float_bits(logit);
  const u32 ordered = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
  return (u64)ordered << 32 | (0xffffffffu - id);
}

GF_DEVICE u32 id_of(u64 key) { return 0xffffffffu - (u32)key; }

// Sorts SORTED keys in shared memory, largest first.
GF_DEVICE void sort_keys(u64* keys) {
  for (u32 run = 2; run <= SORTED; run *= 2) {
    for (u32 apart = run / 2; apart > 0; apart /= 2) {
      for (u32 i = thread_index(); i < SORTED / 2; i += thread_count()) {
        const u32 low = i / apart * 2 * apart + i % apart, high = low + apart;
        const bool descending = (low & run) == 0;
        const u64 a = keys[low], b = keys[high];
        if ((a < b) == descending) {
          keys[low] = b;
          keys[high] = a;
        }
      }
      block_barrier();
    }
  }
}

// The largest of SORTED keys becomes keys[0].
GF_DEVICE void find_largest(u64* keys) {
  u64 best = 0;
  for (u32 i = thread_index(); i < SORTED; i += thread_count()) best = best < keys[i] ? keys[i] : best;
  GF_UNROLL
  for (u32 half = 16; half > 0; half /= 2) {
    const u64 other = shuffle_xor(best, half);
    best = best < other ? other : best;
  }
  block_barrier();
  if (lane_index() == 0) keys[warp_index()] = best;
  block_barrier();
  if (thread_index() == 0) {
    for (u32 i = 1; i < warp_count(); i++) best = best < keys[i] ? keys[i] : best;
    keys[0] = best;
  }
  block_barrier();
}

GF_DEVICE void order(u64* keys, u32 keep) {
  if (keep == 1) {
    find_largest(keys);
  } else {
    sort_keys(keys);
  }
}

// The first `keep` keys of each stretch of 2048 logits. Grid: (stretches, rows); 256 threads.
// `kept`: [row][stretch][keep].
GF_KERNEL(256, 4)
gf_candidates_of_stretch(const float* logits, u32 width, u32 keep, u64* kept) {
  GF_SHARED(shared);
  u64* keys = (u64*)shared;
  const u32 row = block_y(), from = block_x() * SORTED;
  for (u32 i = thread_index(); i < SORTED; i += thread_count()) {
    const u32 id = from + i;
    keys[i] = id < width ? key_of(logits[(u64)row * width + id], id) : 0;
  }
  block_barrier();
  order(keys, keep);
  u64* to = kept + ((u64)row * grid_x() + block_x()) * keep;
  for (u32 i = thread_index(); i < keep; i += thread_count()) to[i] = keys[i];
}

// The first `keep` of a row's `count` keys. Grid: rows; 256 threads. `out`: [row][64] of a logit
// and an id.
GF_KERNEL(256, 4)
gf_candidates(const u64* kept, u32 count, const float* logits, u32 width, u32 keep, Words2* out) {
  GF_SHARED(shared);
  u64* keys = (u64*)shared;
  const u32 row = block_x();
  // The best so far stay in front; the rest of the room takes the next keys.
  for (u32 i = thread_index(); i < CANDIDATES; i += thread_count()) keys[i] = 0;
  for (u32 from = 0; from < count; from += SORTED - CANDIDATES) {
    block_barrier();
    for (u32 i = CANDIDATES + thread_index(); i < SORTED; i += thread_count()) {
      const u32 at = from + i - CANDIDATES;
      keys[i] = at < count ? kept[(u64)row * count + at] : 0;
    }
    block_barrier();
    order(keys, keep);
  }
  for (u32 i = thread_index(); i < min_u32(keep, width); i += thread_count()) {
    const u32 id = id_of(keys[i]);
    out[row * CANDIDATES + i] = {float_bits(logits[(u64)row * width + id]), id};
  }
}
