// SPDX-License-Identifier: Apache-2.0
#include "tools/kept_guest.h"

#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_format.h"
#include "gnomon/x86/controls.h"

namespace gnomon::tools {
namespace {

constexpr uint64_t kPage = 4096;
constexpr unsigned kWord = 8;
constexpr size_t kMostDevices = 64;  // no replay takes more
constexpr uint64_t kRoot = ~cr3::kNoFlush & ~(kPage - 1);  // of CR3
// More than the tables of a guest with 64G of memory, all in pages of 4K, need twice over.
constexpr size_t kMostWords = size_t{1} << 25;
constexpr size_t kMostRoots = size_t{1} << 20;
constexpr size_t kMostProcessors = 1024;

/// Hands events on to a writer, many at a time.
class Out {
 public:
  explicit Out(TraceWriter& writer) : writer_(writer) {}
  void add(TraceEvent event) {
    batch_.records.push_back({Gva(batch_.events.size()), 0, RecordKind::kEvent, false});
    batch_.events.push_back(std::move(event));
    ++count_;
    if (batch_.records.size() == 4096) write_out();
  }
  void add(EventKind kind, uint64_t address, uint64_t value, uint32_t flags = 0) {
    TraceEvent event;
    event.kind = kind;
    event.address = address;
    event.value = value;
    event.flags = flags;
    add(std::move(event));
  }
  void run(uint32_t processor) {
    TraceEvent event;
    event.kind = EventKind::kSwitch;
    event.thread = processor;
    add(std::move(event));
  }
  absl::Status finish(uint64_t& count) {
    write_out();
    count += count_;
    return status_;
  }

 private:
  void write_out() {
    if (status_.ok()) status_ = writer_.write(batch_.records, batch_.events);
    batch_.records.clear();
    batch_.events.clear();
  }

  TraceWriter& writer_;
  TraceBatch batch_;
  uint64_t count_ = 0;
  absl::Status status_;
};

}  // namespace

bool KeptGuest::in_memory(uint64_t address, uint64_t bytes) const {
  const uint64_t memory = guest_ ? guest_->length & ~(kPage - 1) : 0;
  return bytes <= memory && address <= memory - bytes;
}

void KeptGuest::use(uint64_t page) {
  if (in_use_.insert(page).second) pages_.push_back(page);
}

void KeptGuest::store(uint64_t address, unsigned bytes, uint64_t value) {
  if (bytes == 0 || bytes > kWord || address % kPage + bytes > kPage || !in_memory(address, bytes))
    return;
  use(address & ~(kPage - 1));
  for (unsigned i = 0; i < bytes; ++i) {
    const unsigned shift = 8 * ((address + i) % kWord);
    uint64_t& word = words_[(address + i) & ~uint64_t{kWord - 1}];
    word = (word & ~(uint64_t{0xff} << shift)) | (value >> (8 * i) & 0xff) << shift;
  }
}

/// With zeros or with data, of which a trace says nothing: the page is no table any longer.
void KeptGuest::fill(uint64_t page) {
  if (page % kPage != 0 || !in_memory(page, kPage)) return;
  use(page);
  words_.erase(words_.lower_bound(page), words_.lower_bound(page + kPage));
  for (auto& [number, processor] : processors_) {
    const auto it = processor.roots.find(page);
    if (it == processor.roots.end() || it->second.order == processor.last) continue;
    processor.roots.erase(it);
    --roots_;
  }
}

void KeptGuest::load_root(uint64_t value) {
  Processor& processor = processors_[running_];
  Load& load = processor.roots[value & kRoot];
  roots_ += load.order == 0;
  load = {value, ++loads_};
  processor.last = loads_;
}

absl::Status KeptGuest::pass(const TraceEvent& event) {
  switch (event.kind) {
    case EventKind::kGuest:
      if (!guest_) guest_ = event;
      break;
    case EventKind::kSwitch: running_ = event.thread; break;
    case EventKind::kTableWrite: store(event.address, event.flags, event.value); break;
    case EventKind::kStoreValue: store(event.extra, event.flags & 15, event.value); break;
    case EventKind::kContents: store(event.address, kWord, event.value); break;
    case EventKind::kDevices:
      if (devices_.size() < kMostDevices) devices_.push_back(event);
      break;
    case EventKind::kTableRead:
      if (in_memory(event.address, 1)) use(event.address & ~(kPage - 1));
      break;
    case EventKind::kClearPage: fill(event.address); break;
    case EventKind::kCopyPage:
      if (event.value % kPage == 0 && in_memory(event.value, kPage)) fill(event.address);
      break;
    case EventKind::kCr3: load_root(event.value); break;
    case EventKind::kControls: processors_[running_].controls = event; break;
    case EventKind::kRights: processors_[running_].rights = event; break;
    case EventKind::kMark:
      if (event.flags == 1) region_ = event;
      if (event.flags == 2) region_.reset();
      break;
    default: break;
  }
  if (words_.size() <= kMostWords && pages_.size() <= kMostWords && roots_ <= kMostRoots &&
      processors_.size() <= kMostProcessors)
    return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrFormat(
      "the part that --skip leaves out has more than %d words of tables, %d roots or %d processors",
      kMostWords, kMostRoots, kMostProcessors));
}

/// In their order, none of them with the bit that spares the TLB: there is nothing in it.
std::vector<uint64_t> KeptGuest::loads_of(const Processor& processor) {
  const std::optional<TraceEvent>& c = processor.controls;
  const bool paging = c && (c->value & cr0::kPG) != 0;
  // A load in PAE paging reads the table, which may no longer be one that can be loaded.
  const bool all = paging && (c->extra & cr4::kPAE) != 0 && (c->address & efer::kLME) != 0;
  const bool pcids = c && (c->extra & cr4::kPCIDE) != 0;
  std::vector<Load> loads;
  for (const auto& [page, load] : processor.roots) {
    if (all || load.order == processor.last) loads.push_back(load);
  }
  absl::c_sort(loads, [](const Load& a, const Load& b) { return a.order < b.order; });
  std::vector<uint64_t> values;
  for (const Load& load : loads) values.push_back(load.value & ~(pcids ? cr3::kNoFlush : 0));
  return values;
}

absl::Status KeptGuest::write(TraceWriter& writer, uint64_t& events) const {
  Out out(writer);
  if (guest_) out.add(*guest_);
  for (const TraceEvent& event : devices_) out.add(event);
  for (const uint64_t page : pages_) {
    const auto first = words_.lower_bound(page);
    const auto end = words_.lower_bound(page + kPage);
    if (first == end) {
      out.add(EventKind::kClearPage, page, 0);
      continue;
    }
    bool any = false;
    for (auto it = first; it != end; ++it) {
      if (it->second == 0) continue;
      out.add(EventKind::kTableWrite, it->first, it->second, kWord);
      any = true;
    }
    // An empty table is one all the same: a backend may track it.
    if (!any) out.add(EventKind::kTableWrite, page, 0, kWord);
  }
  uint32_t at = 0;
  const auto go_to = [&](uint32_t processor) {
    if (std::exchange(at, processor) != processor) out.run(processor);
  };
  for (const auto& [number, processor] : processors_) {
    go_to(number);
    const std::vector<uint64_t> roots = loads_of(processor);
    // Outside long mode CR3 takes 32 bits, and PCIDs are enabled while it holds none.
    const auto low = absl::c_find_if(roots, [](uint64_t cr3) { return cr3 << 1 >> 33 == 0; });
    const bool pcids = processor.controls && (processor.controls->extra & cr4::kPCIDE) != 0;
    const uint64_t start = low == roots.end() ? 0 : *low & ~(pcids ? cr3::kPcidMask : 0);
    if (low != roots.end()) out.add(EventKind::kCr3, 0, start);
    if (processor.controls) out.add(*processor.controls);
    if (processor.rights) out.add(*processor.rights);
    if (roots.size() == 1 && low != roots.end() && roots.front() == start) continue;
    for (const uint64_t cr3 : roots) out.add(EventKind::kCr3, 0, cr3);
  }
  go_to(running_);
  if (region_) out.add(*region_);
  return out.finish(events);
}

}  // namespace gnomon::tools
