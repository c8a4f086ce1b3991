// Operator 6: attention over the paged f16 cache.
//
// A block of 128 threads goes over partitions of 128 positions for a few queries that share a KV
// head. For scores a thread has one position (a key block holds 32 positions side by side), for
// values one element of the head; every key and value read serves all queries. Nothing with an
// order is split: a score is made by one thread, and so is each sum over a partition's positions.
#include "quantized.cuh"

#define PARTITION 128u

struct Attention {
  const float* queries;  // [row][heads][head_dim]
  const u32* positions;
  const u32* sequences;
  const u32* tables;
  u32 table_stride, sequence_count;
  const u16* keys;    // [block][KV head][head_dim][32]
  const u16* values;  // [block][KV head][32][head_dim]
  u32 kv_blocks, heads, kv_heads, head_dim;
  u32 window;  // 0: none
  float scale;
  float soft_cap;  // 0: none
};

#define GF_ATTENTION_PARAMETERS                                                                \
  const float *queries, const u32 *positions, const u32 *sequences, const u32 *tables,         \
      u32 table_stride, u32 sequence_count, const u16 *keys, const u16 *values, u32 kv_blocks, \
      u32 heads, u32 kv_heads, u32 head_dim, u32 window, float scale, float soft_cap
#define GF_ATTENTION                                                                           \
  {                                                                                            \
    queries, positions, sequences, tables, table_stride, sequence_count, keys, values,         \
        kv_blocks, heads, kv_heads, head_dim, window, scale, soft_cap                          \
  }

// A row's position, within its table.
GF_DEVICE u32 position_of(const Attention& a, u32 row) {
  return min_u32(a.positions[row], a.table_stride * 32 - 1);
}

GF_DEVICE u32 first_visible(u32 position, u32 window) {
  return window && position + 1 > window ? position + 1 - window : 0;
}

// exp_c(old maximum - joint one) and exp_c(new maximum - joint one): factors of a fold.
struct Factors {
  float old_sum, new_sum;
};

// A running maximum and denominator over partitions.
struct Fold {
  float max, denominator;
  bool started;

  GF_DEVICE_MEMBER Factors add(float new_max, float new_denominator) {
    if (!started) {
      started = true;
      max = new_max;
      denominator = new_denominator;
      return {0.0f, 1.0f};
    }
    const float joint = new_max > max ? new_max : max;
    const Factors f = {exp_c(sub_rn(max, joint)), exp_c(sub_rn(new_max, joint))};
    denominator = fma_rn(new_denominator, f.new_sum, mul_rn(denominator, f.old_sum));
    max = joint;
    return f;
  }
};

// The first partition is copied, the others are folded in.
GF_DEVICE float fold_element(float sum, float partial, Factors f, bool first) {
  return first ? partial : fma_rn(partial, f.new_sum, mul_rn(sum, f.old_sum));
}

// Shared memory for Q queries.
template <u32 Q>
struct Scratch {
  float* queries;  // [head_dim][Q]
  float* weights;  // [PARTITION][Q]
  float* maxima;   // [4 warps][Q]
  Fold* folds;     // [Q]
  Factors* factors;  // [Q]
  u32* low;        // [Q], first visible position
  u32* high;       // [Q], one behind the last
  float* sums;     // [Q][head_dim], prefill only; aligned to 16 bytes

  GF_DEVICE_MEMBER Scratch(u8* at, u32 head_dim) {
    queries = (float*)at;
    weights = queries + Q * head_dim;
    maxima = weights + Q * PARTITION;
    folds = (Fold*)(maxima + 4 * Q);
    factors = (Factors*)(folds + Q);
    low = (u32*)(factors + Q);
    high = low + Q;
    sums = (float*)(high + Q);
  }
};

// The queries of a block of threads: query q is head `head + q % heads` of row `row + q / heads`.
struct Group {
  u32 row, rows, head, heads;
};

// Positions that some and that all queries see.
struct Visible {
  u32 low, high, all_low, all_high;
};

template <u32 Q>
GF_DEVICE Visible start(const Attention& a, const Group& group, const Scratch<Q>& s) {
  for (u32 i = thread_index(); i < Q * a.head_dim; i += thread_count()) {
    const u32 q = i % Q, row = q / group.heads;
    const u64 from = ((u64)(group.row + row) * a.heads + group.head + q % group.heads) * a.head_dim;
    s.queries[i] = row < group.rows ? a.queries[from + i / Q] : 0.0f;
  }
  if (thread_index() < Q) {
    const u32 q = thread_index(), row = q / group.heads;
    const bool there = row < group.rows;
    const u32 position = there ? position_of(a, group.row + row) : 0;
    s.low[q] = there ? first_visible(position, a.window) : 0;
    s.high[q] = there ? position + 1 : 0;
    s.folds[q] = {0.0f, 0.0f, false};
  }
  block_barrier();
  Visible v = {s.low[0], s.high[0], s.low[0], s.high[0]};
  GF_UNROLL
  for (u32 q = 1; q < Q; q++) {
    if (s.high[q] == 0) continue;
    v.low = min_u32(v.low, s.low[q]);
    v.high = max_u32(v.high, s.high[q]);
    v.all_low = max_u32(v.all_low, s.low[q]);
    v.all_high = min_u32(v.all_high, s.high[q]);
  }
  return v;
}

GF_DEVICE u64 cache_block(const Attention& a, u32 sequence, u32 kv_head, u32 position) {
  const u32 slot = min_u32(position / 32, a.table_stride - 1);
  const u32 block = min_u32(a.tables[(u64)sequence * a.table_stride + slot], a.kv_blocks - 1);
  return ((u64)block * a.kv_heads + kv_head) * a.head_dim * 32;
}

// Keys and values where they are in the cache.
struct InCache {
  const Attention& a;
  u32 sequence, kv_head;

  // Of the 32 positions from `position` on, which is a multiple of 32.
  GF_DEVICE_MEMBER const u16* keys(u32 position) const {
    return a.keys + cache_block(a, sequence, kv_head, position);
  }
  GF_DEVICE_MEMBER const u16* values(u32 position) const {
    return a.values + cache_block(a, sequence, kv_head, position);
  }
  GF_DEVICE_MEMBER void wait_for_keys() const {}
  GF_DEVICE_MEMBER void wait_for_values() const {}
};

// Keys and values of a partition on their way to shared memory, all at once: what decode is bound
// by is how many bytes are on their way.
struct Staged {
  u8 *staged_keys, *staged_values;
  u32 block_bytes;  // of 32 positions

  GF_DEVICE_MEMBER Staged(u8* at, u32 head_dim)
      : staged_keys(at), staged_values(at + PARTITION * head_dim * 2), block_bytes(head_dim * 64) {}

  GF_DEVICE_MEMBER void start(const InCache& cache, const Visible& v, u32 partition) const {
    copy(cache, v, partition, staged_keys, true);
    copy_async_close_group();
    copy(cache, v, partition, staged_values, false);
    copy_async_close_group();
  }
  GF_DEVICE_MEMBER void copy(const InCache& cache, const Visible& v, u32 partition, u8* to,
                             bool keys) const {
    for (u32 block = 0; block < PARTITION / 32; block++) {
      const u32 position = partition * PARTITION + block * 32;
      if (position >= v.high || position + 32 <= v.low) continue;
      const u8* from = (const u8*)(keys ? cache.keys(position) : cache.values(position));
      for (u32 i = thread_index() * 16; i < block_bytes; i += thread_count() * 16) {
        copy_async(to + block * block_bytes + i, from + i);
      }
    }
  }

  GF_DEVICE_MEMBER const u16* keys(u32 position) const {
    return (const u16*)(staged_keys + position % PARTITION / 32 * block_bytes);
  }
  GF_DEVICE_MEMBER const u16* values(u32 position) const {
    return (const u16*)(staged_values + position % PARTITION / 32 * block_bytes);
  }
  GF_DEVICE_MEMBER void wait_for_keys() const {
    copy_async_wait<1>();
    block_barrier();
  }
  // Followed by a barrier.
  GF_DEVICE_MEMBER void wait_for_values() const { copy_async_wait<0>(); }
};

// Node of the tree of operator 3 with 16 lanes: sum of `lane` and all lanes `width` apart. A leaf
// is a lane: elements lane, lane + 16, … by fma from +0. `keys` is at the thread's position.
template <u32 Q, u32 lane, u32 width>
GF_DEVICE void lane_sum(const float* queries, const u16* keys, u32 head_dim, float (&sum)[Q]) {
  if constexpr (width == 16) {
    GF_UNROLL
    for (u32 q = 0; q < Q; q++) sum[q] = 0.0f;
    GF_UNROLL_BY(4)
    for (u32 i = lane; i < head_dim; i += 16) {
      const float key = half_to_float(keys[i * 32]);
      GF_UNROLL
      for (u32 q = 0; q < Q; q += 4) {
        const Floats4 query = *(const Floats4*)(queries + i * Q + q);
        sum[q] = fma_rn(query.x, key, sum[q]);
        sum[q + 1] = fma_rn(query.y, key, sum[q + 1]);
        sum[q + 2] = fma_rn(query.z, key, sum[q + 2]);
        sum[q + 3] = fma_rn(query.w, key, sum[q + 3]);
      }
    }
  } else {
    lane_sum<Q, lane, 2 * width>(queries, keys, head_dim, sum);
    float other[Q];
    lane_sum<Q, lane + width, 2 * width>(queries, keys, head_dim, other);
    GF_UNROLL
    for (u32 q = 0; q < Q; q++) sum[q] = add_rn(sum[q], other[q]);
  }
}

// A query's largest score in the partition, from those of the four warps.
template <u32 Q>
GF_DEVICE float maximum(const Scratch<Q>& s, u32 q) {
  float max = s.maxima[q];
  GF_UNROLL
  for (u32 warp = 1; warp < 4; warp++) {
    const float other = s.maxima[warp * Q + q];
    max = other > max ? other : max;
  }
  return max;
}

// Scores, weights and denominators of a partition; folds the denominators. Afterwards
// `s.weights`, `s.factors` and `s.folds` are there for all threads.
template <u32 Q, class Cache>
GF_DEVICE void weigh(const Attention& a, const Scratch<Q>& s, const Visible& v, const Cache& cache,
                     u32 partition) {
  cache.wait_for_keys();
  const u32 position = partition * PARTITION + thread_index();
  const u32 warp_from = partition * PARTITION + warp_index() * 32;
  float score[Q];
  GF_UNROLL
  for (u32 q = 0; q < Q; q++) score[q] = 0.0f;
  if (warp_from < v.high && warp_from + 32 > v.low) {
    const u16* keys = cache.keys(warp_from) + lane_index();
    lane_sum<Q, 0, 1>(s.queries, keys, a.head_dim, score);
    GF_UNROLL
    for (u32 q = 0; q < Q; q++) {
      score[q] = mul_rn(a.scale, score[q]);
      if (a.soft_cap != 0.0f) score[q] = mul_rn(a.soft_cap, tanh_c(div_rn(score[q], a.soft_cap)));
    }
  }
  GF_UNROLL
  for (u32 q = 0; q < Q; q++) {
    const bool visible = position >= s.low[q] && position < s.high[q];
    float max = visible ? score[q] : bits_float(0xff800000u);
    GF_UNROLL
    for (u32 half = 16; half > 0; half /= 2) {
      const float other = shuffle_xor(max, half);
      max = other > max ? other : max;
    }
    if (lane_index() == 0) s.maxima[warp_index() * Q + q] = max;
  }
  block_barrier();
  // Weights of positions that are not visible are never used.
  GF_UNROLL
  for (u32 q = 0; q < Q; q += 4) {
    Floats4 weight;
    weight.x = exp_c(sub_rn(score[q], maximum(s, q)));
    weight.y = exp_c(sub_rn(score[q + 1], maximum(s, q + 1)));
    weight.z = exp_c(sub_rn(score[q + 2], maximum(s, q + 2)));
    weight.w = exp_c(sub_rn(score[q + 3], maximum(s, q + 3)));
    *(Floats4*)(s.weights + thread_index() * Q + q) = weight;
  }
  block_barrier();
  if (thread_index() < Q) {
    const u32 q = thread_index(), from = partition * PARTITION;
    const u32 low = max_u32(s.low[q], from), high = min_u32(s.high[q], from + PARTITION);
    if (low < high) {
      float denominator = 0.0f;
      GF_UNROLL_BY(8)
      for (u32 t = low; t < high; t++) {
        denominator = add_rn(denominator, s.weights[(t - from) * Q + q]);
      }
      s.factors[q] = s.folds[q].add(maximum(s, q), denominator);
    }
  }
  cache.wait_for_values();
  block_barrier();
}

// The weights of N queries at a position.
template <u32 N>
GF_DEVICE void load_weights(const float* from, float (&weights)[N]) {
  if constexpr (N % 4 == 0) {
    GF_UNROLL
    for (u32 n = 0; n < N; n += 4) {
      const Floats4 four = *(const Floats4*)(from + n);
      weights[n] = four.x, weights[n + 1] = four.y;
      weights[n + 2] = four.z, weights[n + 3] = four.w;
    }
  } else {
    GF_UNROLL
    for (u32 n = 0; n < N; n++) weights[n] = from[n];
  }
}

// Weighted sums of element `element` of the values over a partition, for queries first .. first + N.
template <u32 Q, u32 N, class Cache>
GF_DEVICE void weigh_values(const Attention& a, const Scratch<Q>& s, const Visible& v,
                            const Cache& cache, u32 partition, u32 first, u32 element,
                            float (&sum)[N]) {
  GF_UNROLL
  for (u32 n = 0; n < N; n++) sum[n] = 0.0f;
  const u32 from = partition * PARTITION;
  const u32 low = max_u32(v.low, from), high = min_u32(v.high, from + PARTITION);
  for (u32 block = low / 32 * 32; block < high; block += 32) {
    const u16* values = cache.values(block) + element;
    const float* weights = s.weights + (block - from) * Q + first;
    if (block >= v.all_low && block + 32 <= v.all_high) {
      GF_UNROLL_BY(8)
      for (u32 t = 0; t < 32; t++) {
        const float value = half_to_float(values[t * a.head_dim]);
        float weight[N];
        load_weights(weights + t * Q, weight);
        GF_UNROLL
        for (u32 n = 0; n < N; n++) sum[n] = fma_rn(weight[n], value, sum[n]);
      }
    } else {
      const u32 begin = max_u32(low, block) - block, end = min_u32(high, block + 32) - block;
      for (u32 t = begin; t < end; t++) {
        const float value = half_to_float(values[t * a.head_dim]);
        GF_UNROLL
        for (u32 n = 0; n < N; n++) {
          // Positions that a query does not see are skipped: adding 0 could change -0.
          if (block + t >= s.low[first + n] && block + t < s.high[first + n]) {
            sum[n] = fma_rn(weights[t * Q + n], value, sum[n]);
          }
        }
      }
    }
  }
}

GF_DEVICE bool sees(const u32* low, const u32* high, u32 q, u32 partition) {
  const u32 from = partition * PARTITION;
  return max_u32(low[q], from) < min_u32(high[q], from + PARTITION);
}

// Where a partition's results of a head wait to be folded.
struct Partials {
  float* sums;       // [row][head][partition][head_dim]
  Floats2* weights;  // [row][head][partition]: maximum, denominator
  u32 partitions;
};

GF_DEVICE u64 partial_at(const Attention& a, const Partials& p, u32 row, u32 head, u32 partition) {
  return ((u64)row * a.heads + head) * p.partitions + min_u32(partition, p.partitions - 1);
}

// Sums over a partition, for every query and element, into `p`.
template <u32 Q, u32 N, class Cache>
GF_DEVICE void decode_values(const Attention& a, const Scratch<Q>& s, const Visible& v,
                             const Group& group, const Cache& cache, u32 partition, u32 width,
                             const Partials& p) {
  const u32 first = thread_index() / width * N;
  for (u32 element = thread_index() % width; element < a.head_dim; element += width) {
    if (first >= Q) break;
    float sum[N];
    weigh_values<Q, N>(a, s, v, cache, partition, first, element, sum);
    GF_UNROLL
    for (u32 n = 0; n < N; n++) {
      if (first + n >= group.heads) continue;
      const u64 at = partial_at(a, p, group.row, group.head + first + n, partition);
      p.sums[at * a.head_dim + element] = sum[n];
    }
  }
}

// Threads side by side along a head: a multiple of 32, at most 128.
GF_DEVICE u32 value_width(u32 head_dim) { return min_u32(ceil_div(head_dim, 32) * 32, PARTITION); }

// Decode: one row, up to 4 heads of a KV head, every grid_x()-th partition.
template <bool staged>
GF_DEVICE void decode(const Attention& a, const Partials& p) {
  constexpr u32 Q = 4;
  GF_SHARED(shared);
  const u32 shared_heads = a.heads / a.kv_heads, groups = ceil_div(shared_heads, Q);
  const u32 kv_head = block_y() / groups, in_group = block_y() % groups * Q;
  const Group group = {block_z(), 1, kv_head * shared_heads + in_group,
                       min_u32(Q, shared_heads - in_group)};
  const u32 position = position_of(a, group.row);
  const u32 first = first_visible(position, a.window) / PARTITION;
  if (first + block_x() > position / PARTITION) return;
  const Scratch<Q> s(shared, a.head_dim);
  // 16 bytes at a time; the sums are prefill's.
  const Staged stage((u8*)s.sums, a.head_dim);
  const u32 sequence = min_u32(a.sequences[group.row], a.sequence_count - 1);
  const InCache in_cache = {a, sequence, kv_head};
  const Visible v = start<Q>(a, group, s);
  const u32 width = value_width(a.head_dim);
  const auto partition_by = [&](const auto& cache, u32 partition) {
    weigh<Q>(a, s, v, cache, partition);
    if (width == 32) {
      decode_values<Q, 1>(a, s, v, group, cache, partition, width, p);
    } else if (width == 64) {
      decode_values<Q, 2>(a, s, v, group, cache, partition, width, p);
    } else {
      decode_values<Q, 4>(a, s, v, group, cache, partition, width, p);
    }
  };
  for (u32 partition = first + block_x(); partition <= position / PARTITION;
       partition += grid_x()) {
    if (thread_index() < Q) s.folds[thread_index()].started = false;
    if constexpr (staged) {
      stage.start(in_cache, v, partition);
      partition_by(stage, partition);
    } else {
      partition_by(in_cache, partition);
    }
    if (thread_index() < group.heads) {
      const Fold fold = s.folds[thread_index()];
      const u32 head = group.head + thread_index();
      p.weights[partial_at(a, p, group.row, head, partition)] = {fold.max, fold.denominator};
    }
    block_barrier();
  }
}

// Grid: (partitions at once, KV heads * groups of 4 query heads, rows); 128 threads.
GF_KERNEL(128, 3)
gf_attention_decode(GF_ATTENTION_PARAMETERS, float* sums, Floats2* weights, u32 partitions) {
  const Attention a = GF_ATTENTION;
  decode<true>(a, {sums, weights, partitions});
}

// The same for heads too wide for a partition of them to fit in shared memory.
GF_KERNEL(128, 3)
gf_attention_decode_wide(GF_ATTENTION_PARAMETERS, float* sums, Floats2* weights, u32 partitions) {
  const Attention a = GF_ATTENTION;
  decode<false>(a, {sums, weights, partitions});
}

// Folds the partitions of a head in ascending order; operator 1 of the result if `quants` is there
// (head_dim is a multiple of 32 then). Grid: (heads, rows); head_dim threads, rounded up to 32.
GF_KERNEL(512, 1)
gf_attention_fold(const u32* positions, u32 heads, u32 head_dim, u32 window, const float* sums,
                  const Floats2* weights, u32 partitions, float* out, u8* quants, float* scales,
                  GF_FAULT_PARAMETERS) {
  const u32 head = block_x(), row = block_y(), element = thread_index();
  const u32 position = positions[row];
  const u32 first = first_visible(position, window) / PARTITION;
  const u32 last = min_u32(position / PARTITION, partitions - 1);
  const u64 at = ((u64)row * heads + head) * partitions;
  Fold fold = {0.0f, 0.0f, false};
  float sum = 0.0f;
  if (element < head_dim) {
    // Several are read at once, so that folding does not wait for each by itself.
    constexpr u32 ahead = 8;
    for (u32 from = first; from <= last; from += ahead) {
      Floats2 weight[ahead];
      float partial[ahead];
      GF_UNROLL
      for (u32 i = 0; i < ahead; i++) {
        const u64 partition = at + min_u32(from + i, last);
        weight[i] = weights[partition];
        partial[i] = sums[partition * head_dim + element];
      }
      GF_UNROLL
      for (u32 i = 0; i < ahead; i++) {
        if (from + i > last) break;
        const bool starts = !fold.started;
        const Factors f = fold.add(weight[i].x, weight[i].y);
        sum = fold_element(sum, partial[i], f, starts);
      }
    }
    sum = div_rn(sum, fold.denominator);
    if (out) out[((u64)row * heads + head) * head_dim + element] = sum;
  }
  if (quants) {
    const Faults faults = GF_FAULTS;
    const u32 blocks = heads * head_dim / 32;
    quantize_block(sum, row, head * (head_dim / 32) + warp_index(), blocks, quants, scales, faults);
  }
}

template <u32 Q, u32 N>
GF_DEVICE void prefill_values(const Attention& a, const Scratch<Q>& s, const Visible& v,
                              const InCache& cache, u32 partition, u32 width) {
  const u32 first = thread_index() / width * N;
  for (u32 element = thread_index() % width; element < a.head_dim; element += width) {
    if (first >= Q) break;
    float sum[N];
    weigh_values<Q, N>(a, s, v, cache, partition, first, element, sum);
    GF_UNROLL
    for (u32 n = 0; n < N; n++) {
      const u32 q = first + n;
      if (!sees(s.low, s.high, q, partition)) continue;
      float& folded = s.sums[q * a.head_dim + element];
      const bool starts = s.low[q] / PARTITION == partition;
      folded = fold_element(folded, sum[n], s.factors[q], starts);
    }
  }
}

// `tiles`: (first row, rows) of one sequence each, of as many rows as Q queries allow.
template <u32 Q>
GF_DEVICE void prefill(const Attention& a, const u32* tiles, u32 rows, float* out) {
  GF_SHARED(shared);
  const u32 shared_heads = a.heads / a.kv_heads, groups = ceil_div(shared_heads, Q);
  const u32 kv_head = block_y() / groups, in_group = block_y() % groups * Q;
  const u32 first_row = min_u32(tiles[2 * block_x()], rows - 1);
  const Group group = {first_row, min_u32(tiles[2 * block_x() + 1], rows - first_row),
                       kv_head * shared_heads + in_group, min_u32(Q, shared_heads - in_group)};
  const Scratch<Q> s(shared, a.head_dim);
  const Visible v = start<Q>(a, group, s);
  const u32 sequence = min_u32(a.sequences[group.row], a.sequence_count - 1);
  const InCache cache = {a, sequence, kv_head};
  const u32 width = value_width(a.head_dim);
  for (u32 partition = v.low / PARTITION; partition * PARTITION < v.high; partition++) {
    weigh<Q>(a, s, v, cache, partition);
    if (width == 32) {
      prefill_values<Q, Q / 4>(a, s, v, cache, partition, width);
    } else if (width == 64) {
      prefill_values<Q, Q / 2>(a, s, v, cache, partition, width);
    } else {
      prefill_values<Q, Q>(a, s, v, cache, partition, width);
    }
    block_barrier();
  }
  for (u32 i = thread_index(); i < Q * a.head_dim; i += thread_count()) {
    const u32 q = i / a.head_dim, element = i % a.head_dim, row = q / group.heads;
    if (row >= group.rows) continue;
    const u32 head = group.head + q % group.heads;
    out[((u64)(group.row + row) * a.heads + head) * a.head_dim + element] =
        div_rn(s.sums[i], s.folds[q].denominator);
  }
}

// Prefill. Grid: (tiles, KV heads * groups of query heads); 128 threads.
GF_KERNEL(128, 4) gf_attention_prefill(GF_ATTENTION_PARAMETERS, const u32* tiles, u32 rows, float* out) {
  const Attention a = GF_ATTENTION;
  prefill<16>(a, tiles, rows, out);
}

// The same for heads wider than 256, whose 16 queries would not fit in shared memory.
GF_KERNEL(128, 4)
gf_attention_prefill_wide(GF_ATTENTION_PARAMETERS, const u32* tiles, u32 rows, float* out) {
  const Attention a = GF_ATTENTION;
  prefill<4>(a, tiles, rows, out);
}
