// SPDX-License-Identifier: Apache-2.0
#include "tests/native_cpu/host_runner.h"

#if defined(__x86_64__) && defined(__linux__)

#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>

#include <cerrno>
#include <cstddef>
#include <iterator>

// The way in and out are a few instructions that find everything at one absolute address, because
// no register is theirs: all of them are the snippet's.

namespace gnomon::vmm::native {
namespace {

constexpr uintptr_t kContext = 0x5a3c7000;  // named in the assembly below, too
constexpr uintptr_t kStub = kExit;          // the jump out of snippets ends here

struct Context {
  uint64_t gpr[16];
  uint64_t flags;
  uint64_t rip;
  uint64_t host_rsp;
  uint64_t leave;       // address of gnomon_native_leave
  uint32_t far_offset;  // entry in 32-bit code
  uint16_t far_selector;
  uint16_t padding;
  uint32_t host_mxcsr;
  uint32_t inside;
  uint8_t unused[16];
  uint64_t serial;  // of the run, for the watchdog
  uint64_t vector, error, cr2;
  uint8_t more[24];
  FxImage fx;
};
static_assert(offsetof(Context, gpr) == 0 && offsetof(Context, flags) == 128 &&
              offsetof(Context, rip) == 136);
static_assert(offsetof(Context, host_rsp) == 144 && offsetof(Context, leave) == 152);
static_assert(offsetof(Context, far_offset) == 160 && offsetof(Context, host_mxcsr) == 168);
static_assert(offsetof(Context, fx) == 256);

Context* const context = reinterpret_cast<Context*>(kContext);

extern "C" void gnomon_native_enter64();
extern "C" void gnomon_native_enter32();
extern "C" void gnomon_native_leave();
extern "C" void gnomon_native_resume();

asm(R"(
.text
.set ctx, 0x5a3c7000
.macro gnomon_native_load
  fxrstor64 ctx+256
  pushq ctx+128
  popfq
  movq ctx+0, %rax
  movq ctx+8, %rcx
  movq ctx+16, %rdx
  movq ctx+24, %rbx
  movq ctx+40, %rbp
  movq ctx+48, %rsi
  movq ctx+56, %rdi
  movq ctx+64, %r8
  movq ctx+72, %r9
  movq ctx+80, %r10
  movq ctx+88, %r11
  movq ctx+96, %r12
  movq ctx+104, %r13
  movq ctx+112, %r14
  movq ctx+120, %r15
  movq ctx+32, %rsp
.endm
.macro gnomon_native_save_host
  pushq %rbx
  pushq %rbp
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, ctx+144
.endm
.type gnomon_native_enter64, @function
gnomon_native_enter64:
  gnomon_native_save_host
  gnomon_native_load
  jmpq *ctx+136
.type gnomon_native_enter32, @function
gnomon_native_enter32:
  gnomon_native_save_host
  movl $0x2b, %eax
  movl %eax, %ds
  movl %eax, %es
  movl %eax, %ss
  gnomon_native_load
  ljmpl *ctx+160
.type gnomon_native_leave, @function
gnomon_native_leave:
  movq %rax, ctx+0
  movq %rcx, ctx+8
  movq %rdx, ctx+16
  movq %rbx, ctx+24
  movq %rsp, ctx+32
  movq %rbp, ctx+40
  movq %rsi, ctx+48
  movq %rdi, ctx+56
  movq %r8, ctx+64
  movq %r9, ctx+72
  movq %r10, ctx+80
  movq %r11, ctx+88
  movq %r12, ctx+96
  movq %r13, ctx+104
  movq %r14, ctx+112
  movq %r15, ctx+120
  movq ctx+144, %rsp
  pushfq
  popq ctx+128
  fxsave64 ctx+256
gnomon_native_resume:
  movq ctx+144, %rsp
  cld
  fninit
  ldmxcsr ctx+168
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbp
  popq %rbx
  ret
)");

// RFLAGS without what is the system's: the arithmetic flags and DF.
constexpr uint64_t kFlags = 0xcd5;
constexpr int kSignals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGALRM};

struct sigaction before[std::size(kSignals)];
stack_t stack_before;
uint64_t last_serial = 0;
alignas(64) uint8_t signal_stack[256 * 1024];

void on_signal(int number, siginfo_t*, void* where) {
  auto* const u = static_cast<ucontext_t*>(where);
  auto& r = u->uc_mcontext.gregs;
  if (number == SIGALRM) {
    const bool stuck = context->inside != 0 && context->serial == last_serial;
    last_serial = context->serial;
    if (!stuck) return;
  } else if (context->inside == 0) {
    // Not ours: let it strike again as if we were not here.
    signal(number, SIG_DFL);
    return;
  }
  static constexpr int kOrder[] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                   REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                   REG_R12, REG_R13, REG_R14, REG_R15};
  for (int i = 0; i < 16; ++i) context->gpr[i] = static_cast<uint64_t>(r[kOrder[i]]);
  context->flags = static_cast<uint64_t>(r[REG_EFL]);
  context->rip = static_cast<uint64_t>(r[REG_RIP]);
  context->vector = number == SIGALRM ? Stop::kEndless : static_cast<uint64_t>(r[REG_TRAPNO]);
  context->error = static_cast<uint64_t>(r[REG_ERR]);
  context->cr2 = static_cast<uint64_t>(r[REG_CR2]);
  std::memcpy(static_cast<void*>(&context->fx), u->uc_mcontext.fpregs, sizeof context->fx);
  r[REG_RIP] = reinterpret_cast<greg_t>(&gnomon_native_resume);
  r[REG_RSP] = static_cast<greg_t>(context->host_rsp);
  r[REG_EFL] &= ~static_cast<greg_t>(kFlags);
  r[REG_CSGSFS] = (r[REG_CSGSFS] & ~greg_t{0xffff}) | 0x33;
}

bool map(uint64_t at, uint64_t bytes, int protection, std::string& why) {
  void* const wanted = reinterpret_cast<void*>(at);
  void* const got = mmap(wanted, bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_POPULATE, -1, 0);
  if (got != wanted) {
    if (got != MAP_FAILED) munmap(got, bytes);
    why = "the kernel does not map a low address that the snippets need";
    return false;
  }
  // Each page is present before it is protected, so that faults say so.
  std::memset(got, 0, bytes);
  if (mprotect(got, bytes, protection) != 0) {
    why = "the kernel does not let this process write and execute the same page";
    return false;
  }
  mlock(got, bytes);  // may be refused: it only keeps pages from being swapped
  return true;
}

void unmap_all() {
  munmap(reinterpret_cast<void*>(kCode), kCodeBytes);
  munmap(reinterpret_cast<void*>(kData), kDataBytes + kPage);
  munmap(reinterpret_cast<void*>(kStack), kPage);
  munmap(reinterpret_cast<void*>(kStub), kPage);
  munmap(reinterpret_cast<void*>(kContext), kPage);
}

uint8_t* at(uint64_t address) { return reinterpret_cast<uint8_t*>(address); }

void set_constant_writable(bool on) {
  mprotect(at(kConstant), kPage, on ? PROT_READ | PROT_WRITE : PROT_READ);
}

}  // namespace

std::unique_ptr<HostRunner> HostRunner::create(std::string& why) {
  constexpr int kReadWrite = PROT_READ | PROT_WRITE;
  if (!map(kCode, kCodeBytes, kReadWrite | PROT_EXEC, why) ||
      !map(kData, kDataBytes + kPage, kReadWrite, why) || !map(kStack, kPage, kReadWrite, why) ||
      !map(kStub, kPage, kReadWrite | PROT_EXEC, why) || !map(kContext, kPage, kReadWrite, why)) {
    unmap_all();
    return nullptr;
  }
  *context = Context{};
  context->leave = reinterpret_cast<uint64_t>(&gnomon_native_leave);
  asm volatile("stmxcsr %0" : "=m"(context->host_mxcsr));
  const uint32_t leave_at = kContext + offsetof(Context, leave);
  uint8_t jump[7] = {0xff, 0x24, 0x25};  // jmp [leave_at]
  std::memcpy(jump + 3, &leave_at, 4);
  std::memcpy(at(kStub), jump, sizeof jump);

  stack_t s{};
  s.ss_sp = signal_stack;
  s.ss_size = sizeof signal_stack;
  sigaltstack(&s, &stack_before);
  struct sigaction a {};
  a.sa_sigaction = on_signal;
  a.sa_flags = SA_SIGINFO | SA_ONSTACK;
  for (size_t i = 0; i < std::size(kSignals); ++i) sigaction(kSignals[i], &a, &before[i]);
  const itimerval every{{2, 0}, {2, 0}};
  setitimer(ITIMER_REAL, &every, nullptr);
  return std::unique_ptr<HostRunner>(new HostRunner);
}

HostRunner::~HostRunner() {
  const itimerval never{};
  setitimer(ITIMER_REAL, &never, nullptr);
  for (size_t i = 0; i < std::size(kSignals); ++i) sigaction(kSignals[i], &before[i], nullptr);
  sigaltstack(&stack_before, nullptr);
  unmap_all();
}

bool HostRunner::runs_32(std::string& why) {
  const uint8_t increment[] = {
      0x40};  // inc eax; in 64-bit mode a prefix of the jump's, which is none there
  load(Mode::k32, increment, kCode + 0x100);
  State s;
  s.rip = kCode + 0xff;
  s.gpr[0] = 0x7fffffff;
  const Stop stop = run(Mode::k32, s);
  std::memset(at(kCode), 0, kCodeBytes);  // as in the guest
  if (stop.vector == Stop::kEnd && (s.gpr[0] & 0xffffffff) == 0x80000000) return true;
  why = "the kernel offers no 32-bit code segment with selector 23h";
  return false;
}

void HostRunner::load(Mode mode, absl::Span<const uint8_t> code, uint64_t end) {
  std::memcpy(at(end - code.size()), code.data(), code.size());
  const auto jump = tail(mode, end);
  std::memcpy(at(end), jump.data(), jump.size());
}

bool HostRunner::code_intact(absl::Span<const uint8_t> code, uint64_t end) const {
  return std::memcmp(at(end - code.size()), code.data(), code.size()) == 0;
}

void HostRunner::write_memory(const Image& image) {
  constexpr unsigned kWritable = kDataBytes;
  std::memcpy(at(kData), image.data(), kWritable);
  if (std::memcmp(at(kConstant), image.data() + kWritable, kPage) != 0) {
    set_constant_writable(true);
    std::memcpy(at(kConstant), image.data() + kWritable, kPage);
    set_constant_writable(false);
  }
  std::memcpy(at(kStack), image.data() + 3 * kPage, kPage);
}

void HostRunner::write_bytes(uint64_t address, absl::Span<const uint8_t> bytes) {
  std::memcpy(at(address), bytes.data(), bytes.size());
}

void HostRunner::read_bytes(uint64_t address, absl::Span<uint8_t> bytes) const {
  std::memcpy(bytes.data(), at(address), bytes.size());
}

bool HostRunner::memory_equals(const uint8_t* low3, const uint8_t* stack) const {
  return std::memcmp(at(kData), low3, 3 * kPage) == 0 && std::memcmp(at(kStack), stack, kPage) == 0;
}

void HostRunner::read_memory(Image& image) const {
  std::memcpy(image.data(), at(kData), 3 * kPage);
  std::memcpy(image.data() + 3 * kPage, at(kStack), kPage);
}

Stop HostRunner::run(Mode mode, State& state) {
  Context& c = *context;
  std::memcpy(c.gpr, state.gpr.data(), sizeof c.gpr);
  c.flags = (state.rflags & kFlags) | 0x202;
  c.rip = state.rip;
  c.far_offset = static_cast<uint32_t>(state.rip);
  c.far_selector = 0x23;
  c.fx = state.fx;
  c.vector = Stop::kEnd;
  c.error = c.cr2 = 0;
  ++c.serial;
  c.inside = 1;
  asm volatile("" ::: "memory");
  if (mode == Mode::k64) {
    gnomon_native_enter64();
  } else {
    gnomon_native_enter32();
  }
  asm volatile("" ::: "memory");
  c.inside = 0;
  std::memcpy(state.gpr.data(), c.gpr, sizeof c.gpr);
  state.rflags = (c.flags & kFlags) | 2;
  state.rip = c.rip;
  state.fx = c.fx;
  return {static_cast<unsigned>(c.vector), static_cast<uint32_t>(c.error), c.cr2};
}

}  // namespace gnomon::vmm::native

#else  // another host

namespace gnomon::vmm::native {

std::unique_ptr<HostRunner> HostRunner::create(std::string& why) {
  why = "the host is not x86-64 Linux";
  return nullptr;
}
HostRunner::~HostRunner() = default;
bool HostRunner::runs_32(std::string&) { return false; }
void HostRunner::load(Mode, absl::Span<const uint8_t>, uint64_t) {}
bool HostRunner::code_intact(absl::Span<const uint8_t>, uint64_t) const { return true; }
void HostRunner::write_memory(const Image&) {}
void HostRunner::write_bytes(uint64_t, absl::Span<const uint8_t>) {}
void HostRunner::read_bytes(uint64_t, absl::Span<uint8_t>) const {}
bool HostRunner::memory_equals(const uint8_t*, const uint8_t*) const { return true; }
void HostRunner::read_memory(Image&) const {}
Stop HostRunner::run(Mode, State&) { return {}; }

}  // namespace gnomon::vmm::native

#endif
