// SPDX-License-Identifier: Apache-2.0
#include "vmm/monitor/guest_view.h"

#include <algorithm>
#include <array>

#include "gnomon/memory/bytes.h"
#include "vmm/cpu/cpu.h"

namespace gnomon::vmm {
namespace {

constexpr uint64_t kPage = 4096;

/// The guest's tables for the walker.
class ViewTables {
 public:
  using Address = Gpa;
  struct Ref {};

  explicit ViewTables(const GuestView& view) : view_(view) {}

  template <class Entry>
  bool read(Gpa at, unsigned, Ref&, uint64_t& value) const {
    std::array<uint8_t, sizeof(Entry)> bytes;
    if (!view_.read_physical(at, absl::MakeSpan(bytes))) return false;
    value = load_bytes(bytes.data(), sizeof(Entry));
    return true;
  }
  static bool prepare_write(Ref&, Gpa, unsigned) { return true; }
  template <class Entry>
  static bool exchange(Ref&, uint64_t, uint64_t) {
    return true;  // walks are probes
  }

 private:
  const GuestView& view_;
};

/// What looking costs is not the guest's.
class KeepCounters {
 public:
  explicit KeepCounters(Counters& counters) : counters_(counters), before_(counters) {}
  ~KeepCounters() { counters_ = before_; }
  KeepCounters(const KeepCounters&) = delete;
  KeepCounters& operator=(const KeepCounters&) = delete;

 private:
  Counters& counters_;
  const Counters before_;
};

}  // namespace

const Controls& GuestView::controls() const { return machine_.cpu(cpu_).controls(); }

PagingRules GuestView::rules() const {
  PagingRules rules = machine_.cpu(cpu_).mmu().state().rules;
  rules.permitted.fill(0xff);
  rules.pke = false;
  return rules;
}

uint64_t GuestView::linear_pc() const {
  const Cpu& cpu = machine_.cpu(cpu_);
  return cpu.linear(kCs, cpu.rip);
}

bool GuestView::read_physical(Gpa from, absl::Span<uint8_t> to) const {
  const KeepCounters keep(machine_.cpu(0).mmu().counters());  // whom Machine::read_memory asks
  for (size_t done = 0; done < to.size();) {
    const auto at = from.checked_add(done);
    if (!at) return false;
    const size_t n = std::min<uint64_t>(to.size() - done, kPage - at->offset_in(PageSize::k4K));
    const absl::Span<uint8_t> part = to.subspan(done, n);
    const P2mEntry frame = machine_.p2m().lookup(*at);
    if (frame.state() == FrameState::kLazy) {
      std::fill(part.begin(), part.end(), uint8_t{0});
    } else if (!frame.is_ram() || !machine_.read_memory(*at, part)) {
      return false;
    }
    done += n;
  }
  return true;
}

Walk<Gpa> GuestView::walk(uint64_t linear) const {
  ViewTables tables(*this);
  const Access how{AccessOp::kRead, Privilege::kSupervisor, /*probe=*/true};
  const PagingRules permissive = rules();
  return with_guest_format(
      controls(), permissive, Gva(linear), how,
      [&](auto format, WalkStart<Gpa> start) {
        return gnomon::walk<decltype(format)>(tables, start, Gva(linear), how, permissive);
      },
      [](const Walk<Gpa>& w) { return w; });
}

std::optional<Gpa> GuestView::find(uint64_t linear) const {
  // Debuggers extend 32-bit addresses by their sign, or not.
  if ((controls().efer & efer::kLMA) == 0) linear &= 0xffff'ffff;
  const Walk<Gpa> w = walk(linear);
  if (!w.ok()) return std::nullopt;
  return w.address;
}

template <class F>
size_t GuestView::by_pages(uint64_t linear, size_t bytes, F&& f) const {
  size_t done = 0;
  while (done < bytes) {
    const uint64_t at = linear + done;
    const size_t n = std::min<uint64_t>(bytes - done, kPage - at % kPage);
    const auto gpa = find(at);
    if (!gpa || !f(*gpa, done, n)) break;
    done += n;
  }
  return done;
}

size_t GuestView::read(uint64_t linear, absl::Span<uint8_t> to) const {
  return by_pages(linear, to.size(), [&](Gpa at, size_t offset, size_t n) {
    return read_physical(at, to.subspan(offset, n));
  });
}

size_t GuestView::write(uint64_t linear, absl::Span<const uint8_t> from) const {
  const KeepCounters keep(machine_.cpu(0).mmu().counters());
  return by_pages(linear, from.size(), [&](Gpa at, size_t offset, size_t n) {
    return machine_.write_memory(at, from.subspan(offset, n));
  });
}

}  // namespace gnomon::vmm
