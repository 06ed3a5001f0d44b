// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "traces/formats/all.h"
#include "traces/formats/dynamorio_threads.h"
#include "traces/formats/reader_base.h"
#include "traces/formats/writer_base.h"

// Packed records of 12 bytes: u16 type, u16 size, u64 address (or whatever the type says). The
// numbers are those of trace_type_t in DynamoRIO's trace_entry.h; new ones are only ever appended
// there.

namespace gnomon {
namespace {

constexpr size_t kEntryBytes = 12;
enum Type : uint16_t {
  kRead = 0,
  kWrite = 1,
  kInstr = 10,
  kInstrBundle = 17,  // several that follow each other; their lengths lie in the address
  kThread = 22,
  kThreadExit = 23,
  kPid = 24,
  kHeader = 25,
  kFooter = 26,
  kMarker = 28,
  kInstrMaybeFetch = 30,  // a fetch unless it repeats the instruction before
  kTypes = 50,
};

enum class Action : uint8_t { kSkip, kLoad, kStore, kFetch, kBundle, kMaybe, kThread, kExit, kPid };

/// 2 to 9, 32 to 46 are prefetches; 18 to 21 cache flushes; 27 a simulated prefetch; 29 an
/// instruction that was not fetched again (REP); 47 the bytes of the instruction to come.
constexpr std::array<Action, kTypes> actions() {
  std::array<Action, kTypes> table{};
  for (const size_t instruction : {10, 11, 12, 13, 14, 15, 16, 31, 48, 49}) {
    table[instruction] = Action::kFetch;
  }
  table[kRead] = Action::kLoad;
  table[kWrite] = Action::kStore;
  table[kInstrBundle] = Action::kBundle;
  table[kInstrMaybeFetch] = Action::kMaybe;
  table[kThread] = Action::kThread;
  table[kThreadExit] = Action::kExit;
  table[kPid] = Action::kPid;
  return table;
}
constexpr std::array<Action, kTypes> kActions = actions();

/// Sub-types of markers, in the size field.
enum Marker : uint16_t {
  kTimestamp = 2,
  kCpuId = 3,
  kFileType = 9,
  kCacheLine = 10,
  kVersion = 12,
  kPageSize = 18,
};

class DynamorioReader final : public BinaryReader {
 public:
  DynamorioReader(std::unique_ptr<ByteSource> source, ReadMode mode)
      : BinaryReader(std::move(source), mode, "dynamorio", kReadBuffer) {}

 private:
  static constexpr size_t kMost = 1 + 8;  // a switch, and the instructions of a bundle

  size_t decode(absl::Span<TraceRecord> out, std::vector<TraceEvent>& events) override {
    size_t taken = 0;
    while (taken + kMost <= out.size() && !stopped() && have(kEntryBytes)) {
      ++entries_;
      taken += take(load<uint16_t>(0), load<uint16_t>(2), load<uint64_t>(4), &out[taken], events);
      skip(kEntryBytes);
    }
    if (!stopped() && source_ended_ && taken + kMost <= out.size()) {
      if (available() > 0) {
        cut_off(entries_ + 1, kEntryBytes);
      } else if (last_type_ != kFooter && entries_ > 0) {
        warn(place(entries_), "the trace was cut off: it has no footer");
      }
    }
    return taken;
  }

  size_t take(uint16_t type, uint16_t size, uint64_t address, TraceRecord* out,
              std::vector<TraceEvent>& events) {
    if (entries_ == 1) {
      if (type != kHeader) {
        fault(place(1), absl::StrCat("not a DynamoRIO trace: type ", type, " instead of a header"));
        return 0;
      }
      info_.recorder = absl::StrCat("DynamoRIO drmemtrace, version ", address);
    }
    if (type >= kTypes) {
      fault(place(entries_), absl::StrCat("type ", type, " is unknown"));
      return 0;
    }
    last_type_ = type;
    switch (kActions[type]) {
      case Action::kSkip: return 0;
      case Action::kLoad: return operation(RecordKind::kLoad, address, size, out, events);
      case Action::kStore: return operation(RecordKind::kStore, address, size, out, events);
      case Action::kMaybe:
        if (address == last_instruction_) return 0;
        [[fallthrough]];
      case Action::kFetch:
        last_instruction_ = address;
        next_instruction_ = address + size;
        // No bytes: only says where the data accesses to come are made (filtered traces).
        return size == 0 ? 0 : operation(RecordKind::kFetch, address, size, out, events);
      case Action::kBundle: return bundle(size, address, out, events);
      case Action::kThread: return threads_.run(address), 0;
      case Action::kPid:
        if (!threads_.set_process(address)) too_many();
        return 0;
      case Action::kExit: return exit(address, out, events);
    }
    return 0;
  }

  size_t operation(RecordKind kind, uint64_t address, uint16_t size, TraceRecord* out,
                   std::vector<TraceEvent>& events) {
    if (const char* const wrong = operation_fault(address, size); wrong != nullptr) {
      fault(place(entries_), absl::StrFormat("type %d, size %d, address 0x%x: %s",
                                             load<uint16_t>(0), size, address, wrong));
      return 0;
    }
    const size_t switched = switch_thread(out, events);
    if (stopped()) return 0;
    out[switched] = {Gva(address), size, kind, false};
    return switched + 1;
  }

  size_t bundle(uint16_t count, uint64_t lengths, TraceRecord* out,
                std::vector<TraceEvent>& events) {
    if (count > 8) {
      fault(place(entries_), absl::StrCat("a bundle of ", count, " instructions; 8 is the most"));
      return 0;
    }
    size_t taken = 0;
    for (unsigned i = 0; i < count && !stopped(); ++i) {
      const auto length = static_cast<uint16_t>(lengths >> (8 * i) & 0xff);
      last_instruction_ = next_instruction_;
      taken += operation(RecordKind::kFetch, next_instruction_, length, out + taken, events);
      next_instruction_ += length;
    }
    return taken;
  }

  size_t exit(uint64_t tid, TraceRecord* out, std::vector<TraceEvent>& events) {
    const std::optional<DynamorioThreads::Who> who = threads_.find(tid);
    if (!who) return too_many();
    out[0] = add_event(events, EventKind::kExit, who->process, who->thread);
    return 1;
  }

  /// What comes next is done by the thread that was named last.
  size_t switch_thread(TraceRecord* out, std::vector<TraceEvent>& events) {
    if (!threads_.changed()) return 0;
    const std::optional<DynamorioThreads::Who> who = threads_.running();
    if (!who) return too_many();
    if (*who == running_) return 0;
    running_ = *who;
    out[0] = add_event(events, EventKind::kSwitch, who->process, who->thread);
    return 1;
  }

  size_t too_many() {
    fault(place(entries_), absl::StrCat("more than ", DynamorioThreads::kMostThreads, " threads"));
    give_up();
    return 0;
  }

  DynamorioThreads threads_;
  DynamorioThreads::Who running_;
  uint64_t entries_ = 0;
  uint64_t last_instruction_ = 0;
  uint64_t next_instruction_ = 0;
  uint16_t last_type_ = 0;
};

class DynamorioWriter final : public WriterBase {
 public:
  explicit DynamorioWriter(std::unique_ptr<ByteSink> sink) : WriterBase(std::move(sink)) {
    constexpr uint64_t kFormat = 7;
    constexpr uint64_t kX86_64 = 0x40;
    entry(kHeader, 0, kFormat);
    entry(kMarker, kVersion, kFormat);
    entry(kMarker, kFileType, kX86_64);
    run(0, 0);
    entry(kMarker, kCacheLine, 64);
    entry(kMarker, kPageSize, 4096);
    entry(kMarker, kTimestamp, 1);  // its reader wants one; a fixed time keeps files reproducible
    entry(kMarker, kCpuId, 0);
  }

 private:
  void put(const TraceRecord& record) override {
    const uint64_t address = record.address.value();
    exited_ = false;
    switch (record.kind) {
      case RecordKind::kFetch: return entry(kInstr, record.size, address);
      case RecordKind::kLoad: return entry(kRead, record.size, address);
      case RecordKind::kStore: return entry(kWrite, record.size, address);
      case RecordKind::kModify:
        entry(kRead, record.size, address);
        return entry(kWrite, record.size, address);
      case RecordKind::kEvent: return;
    }
  }
  void put_event(const TraceEvent& event) override {
    if (event.kind == EventKind::kSwitch) {
      run(event.process, event.thread);
    } else if (event.kind == EventKind::kExit) {
      const uint64_t gone = tid(event.process, event.thread);
      entry(kThreadExit, 0, gone);
      if (gone == tid_) exited_ = true;
    } else {
      leave_out();
    }
  }
  void put_end() override {
    if (!exited_) entry(kThreadExit, 0, tid_);
    entry(kFooter, 0, 0);
  }

  static uint64_t tid(uint32_t process, uint32_t thread) {
    return (uint64_t{process} + 1) << 32 | thread;
  }
  void run(uint32_t process, uint32_t thread) {
    tid_ = tid(process, thread);
    exited_ = false;
    entry(kThread, 4, tid_);
    entry(kPid, 4, uint64_t{process} + 1);
  }
  void entry(uint16_t type, uint16_t size, uint64_t address) {
    char bytes[kEntryBytes];
    std::memcpy(bytes, &type, 2);
    std::memcpy(bytes + 2, &size, 2);
    std::memcpy(bytes + 4, &address, 8);
    text_.append(bytes, kEntryBytes);
  }

  uint64_t tid_ = 0;
  bool exited_ = false;
};

}  // namespace

bool is_dynamorio(absl::string_view front) {
  if (front.size() < kEntryBytes) return false;
  uint16_t type, second = 0;
  uint64_t version;
  std::memcpy(&type, front.data(), 2);
  std::memcpy(&version, front.data() + 4, 8);
  if (front.size() >= 2 * kEntryBytes) std::memcpy(&second, front.data() + kEntryBytes, 2);
  return type == kHeader && version >= 1 && version < 64 && second < kTypes;
}

Reader make_dynamorio_reader(std::unique_ptr<ByteSource> source, ReadMode mode) {
  return std::make_unique<DynamorioReader>(std::move(source), mode);
}
Writer create_dynamorio_writer(std::unique_ptr<ByteSink> sink, const TraceInfo& /*info*/) {
  return std::make_unique<DynamorioWriter>(std::move(sink));
}

}  // namespace gnomon
