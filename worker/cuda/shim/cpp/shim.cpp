// The scheduler behind shim.h, and the table of kernels.
#include "../../kernels/genesisflow.cu"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

// --- switching between fibers ------------------------------------------------
#if defined(__x86_64__)
extern "C" void gf_shim_switch(void** save, void* to);
// Callee-saved registers go to the stack; rounding mode and flags are the same for all fibers.
asm(R"(
.text
.globl gf_shim_switch
.type gf_shim_switch, @function
gf_shim_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size gf_shim_switch, . - gf_shim_switch
.section .note.GNU-stack,"",@progbits
.text
)");
// Six registers, the entry, and an address to return to that is never used.
static void* first_stack(u8* top, void (*entry)()) {
  void** at = (void**)top;
  *--at = nullptr;
  *--at = (void*)entry;
  for (int i = 0; i < 6; i++) *--at = nullptr;
  return at;
}
#elif defined(__aarch64__)
extern "C" void gf_shim_switch(void** save, void* to);
asm(R"(
.text
.globl gf_shim_switch
.type gf_shim_switch, %function
gf_shim_switch:
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
.size gf_shim_switch, . - gf_shim_switch
.section .note.GNU-stack,"",%progbits
.text
)");
static void* first_stack(u8* top, void (*entry)()) {
  void** at = (void**)(top - 160);
  for (int i = 0; i < 20; i++) at[i] = nullptr;
  at[11] = (void*)entry;  // x30
  return at;
}
#else
#error "the shim switches fibers on x86-64 and 64-bit ARM only"
#endif

namespace shim {

thread_local Place place;

namespace {

constexpr size_t STACK = 128 * 1024;
constexpr u32 MAX_THREADS = 1024;
constexpr size_t MAX_SHARED = 96 * 1024;
constexpr u32 GUARD = 256;  // bytes watched behind a block's shared memory

struct Pending {
  void* to;
  const void* from;
  u32 group;
};

enum class State { ready, waiting, finished };

struct Fiber {
  void* stack_pointer;
  State state;
  Meeting meeting;
  u32 exchanges;
  u32 groups;
  std::vector<Pending> copies;
};

// One block in the making, of one system thread.
struct Machine {
  std::vector<Fiber> fibers = std::vector<Fiber>(MAX_THREADS);
  u8* stacks = (u8*)std::aligned_alloc(4096, STACK * MAX_THREADS);
  alignas(16) u8 slots[2][MAX_THREADS][32];
  u8* shared = (u8*)std::aligned_alloc(16, MAX_SHARED + GUARD);
  void* scheduler = nullptr;
  const std::pair<void (*)(const u64*), const u64*>* work = nullptr;

  ~Machine() {
    std::free(stacks);
    std::free(shared);
  }
};

Machine& machine() {
  static thread_local Machine m;
  return m;
}

// noinline: the address of a thread-local must not be kept across a switch by an inlined copy.
__attribute__((noinline)) Fiber& running() { return machine().fibers[place.thread]; }

void yield() {
  Machine& m = machine();
  gf_shim_switch(&m.fibers[place.thread].stack_pointer, m.scheduler);
}

void fiber_main() {
  Machine& m = machine();
  m.work->first(m.work->second);
  running().state = State::finished;
  yield();
  std::abort();  // a finished fiber is never resumed
}

void resume(Machine& m, u32 thread) {
  place.thread = thread;
  gf_shim_switch(&m.scheduler, m.fibers[thread].stack_pointer);
}

// Lets all fibers of a range go on if they wait for the same meeting. Says whether they did.
bool release(Machine& m, u32 from, u32 to, bool of_block) {
  const Meeting meeting = m.fibers[from].meeting;
  if ((meeting == Meeting::block) != of_block) return false;
  for (u32 i = from; i < to; i++) {
    const Fiber& f = m.fibers[i];
    if (f.state != State::waiting || f.meeting != meeting) return false;
  }
  for (u32 i = from; i < to; i++) m.fibers[i].state = State::ready;
  return true;
}

// Runs a block. False if its threads do not come to the same barriers.
bool run_block(Machine& m, bool backwards) {
  const u32 threads = place.threads, warps = threads / 32;
  for (u32 i = 0; i < threads; i++) {
    Fiber& f = m.fibers[i];
    f.stack_pointer = first_stack(m.stacks + STACK * (i + 1), fiber_main);
    f.state = State::ready;
    f.meeting = Meeting::none;
    f.exchanges = f.groups = 0;
    f.copies.clear();
  }
  for (;;) {
    bool progress = false, all_finished = true;
    for (u32 w = 0; w < warps; w++) {
      const u32 from = (backwards ? warps - 1 - w : w) * 32;
      bool ran = true;
      while (ran) {
        ran = false;
        for (u32 lane = 0; lane < 32; lane++) {
          const u32 thread = from + (backwards ? 31 - lane : lane);
          if (m.fibers[thread].state == State::ready) {
            resume(m, thread);
            ran = progress = true;
          }
        }
        if (ran) release(m, from, from + 32, false);
      }
      for (u32 i = from; i < from + 32; i++) {
        all_finished = all_finished && m.fibers[i].state == State::finished;
      }
    }
    if (all_finished) return true;
    if (release(m, 0, threads, true)) progress = true;
    if (!progress) return false;
  }
}

}  // namespace

u8* shared_memory() { return machine().shared; }

void meet(Meeting meeting) {
  Fiber& f = running();
  f.meeting = meeting;
  f.state = State::waiting;
  yield();
}

// Slots of one parity are written again two exchanges later, when all lanes have met once more and
// so have read them.
void* slot(u32 lane) {
  Machine& m = machine();
  return m.slots[m.fibers[place.thread].exchanges % 2][place.thread / 32 * 32 + lane];
}

void end_exchange() { running().exchanges++; }

void copy_later(void* to, const void* from) {
  Fiber& f = running();
  f.copies.push_back({to, from, f.groups});
}

void close_group() { running().groups++; }

void wait_for_groups(u32 pending) {
  Fiber& f = running();
  size_t kept = 0;
  for (const Pending& copy : f.copies) {
    if (copy.group + pending < f.groups) {
      std::memcpy(copy.to, copy.from, 16);
    } else {
      f.copies[kept++] = copy;
    }
  }
  f.copies.resize(kept);
}

}  // namespace shim

// --- kernels by name ---------------------------------------------------------
namespace {

template <class T>
T argument(u64 bits) {
  T value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

struct Entry {
  const char* name;
  void (*run)(const u64* args);
  std::vector<u8> sizes;  // bytes of each argument
};

template <auto kernel, class... A, size_t... I>
Entry entry_of(const char* name, void (*)(A...), std::index_sequence<I...>) {
  return {name, [](const u64* args) { kernel(argument<A>(args[I])...); }, {(u8)sizeof(A)...}};
}

template <auto kernel, class... A>
Entry entry_of(const char* name, void (*f)(A...)) {
  return entry_of<kernel>(name, f, std::index_sequence_for<A...>());
}

const std::vector<Entry>& entries() {
#define ENTRY(kernel) entry_of<kernel>(#kernel, kernel)
  static const std::vector<Entry> all = {
      ENTRY(gf_quantize),          ENTRY(gf_rms_norm),
      ENTRY(gf_embed_q8),          ENTRY(gf_embed_q4),
      ENTRY(gf_gather),            ENTRY(gf_gated),
      ENTRY(gf_linear_few4_q8),    ENTRY(gf_linear_few4_q4),
      ENTRY(gf_linear_few8_q8),    ENTRY(gf_linear_few8_q4),
      ENTRY(gf_linear_batch_q8),   ENTRY(gf_linear_batch_q4),
      ENTRY(gf_linear_many_q8),    ENTRY(gf_linear_many_q4),
      ENTRY(gf_heads),             ENTRY(gf_attention_decode),
      ENTRY(gf_attention_decode_wide), ENTRY(gf_attention_fold),
      ENTRY(gf_attention_prefill),
      ENTRY(gf_attention_prefill_wide), ENTRY(gf_candidates_of_stretch),
      ENTRY(gf_candidates),
  };
#undef ENTRY
  return all;
}

}  // namespace

// Results of gf_shim_launch.
enum { LAUNCHED = 0, NO_SUCH_KERNEL = 1, WRONG_ARGUMENTS = 2, WRONG_SIZE = 3, DIVERGED = 4 };

// Runs a kernel. `sizes`: bytes of each of `count` arguments. `shared_bytes` of shared memory are
// filled with NaNs before every block; what a kernel writes behind them is found out.
extern "C" int gf_shim_launch(const char* name, const u32* grid, u32 threads, u32 shared_bytes,
                              const u64* args, const u8* sizes, u32 count, bool backwards) {
  const Entry* entry = nullptr;
  for (const Entry& e : entries()) {
    if (std::strcmp(e.name, name) == 0) entry = &e;
  }
  if (!entry) return NO_SUCH_KERNEL;
  if (entry->sizes != std::vector<u8>(sizes, sizes + count)) return WRONG_ARGUMENTS;
  if (threads == 0 || threads % 32 || threads > shim::MAX_THREADS) return WRONG_SIZE;
  if (shared_bytes > shim::MAX_SHARED) return WRONG_SIZE;
  shim::Machine& m = shim::machine();
  const std::pair<void (*)(const u64*), const u64*> work = {entry->run, args};
  m.work = &work;
  shim::place.threads = threads;
  shim::place.grid = {grid[0], grid[1], grid[2]};
  for (u32 z = 0; z < grid[2]; z++) {
    for (u32 y = 0; y < grid[1]; y++) {
      for (u32 x = 0; x < grid[0]; x++) {
        shim::place.block = {x, y, z};
        std::memset(m.shared, 0xff, shared_bytes + shim::GUARD);
        if (!shim::run_block(m, backwards)) return DIVERGED;
        for (u32 i = 0; i < shim::GUARD; i++) {
          if (m.shared[shared_bytes + i] != 0xff) return WRONG_SIZE;
        }
      }
    }
  }
  return LAUNCHED;
}
