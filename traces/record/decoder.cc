// SPDX-License-Identifier: Apache-2.0
#include "traces/record/decoder.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"

namespace gnomon::recording {
namespace {

static_assert(GNOMON_WORD_SIZE_MOST <= kMaxRecordBytes);
static_assert(GNOMON_MAP_READ == kMapRead && GNOMON_MAP_WRITE == kMapWrite &&
              GNOMON_MAP_EXEC == kMapExec && GNOMON_MAP_SHARED == kMapShared &&
              GNOMON_MAP_STACK == kMapStack && GNOMON_MAP_HUGE == kMapHuge &&
              GNOMON_MAP_POPULATE == kMapPopulate);

// More than Linux can number.
constexpr size_t kMostProcesses = size_t{1} << 22;
constexpr uint32_t kMostThreads = 1u << 16;
constexpr uint64_t kKilledStatus = 128 + 9;

constexpr std::array<RecordKind, 4> kWordKinds = {RecordKind::kFetch, RecordKind::kLoad,
                                                  RecordKind::kStore, RecordKind::kModify};

// The events that are taken over as they are; kCount for those with a meaning of their own here.
constexpr auto kPlainEvents = [] {
  std::array<EventKind, GNOMON_EVENT_KINDS> kinds;
  kinds.fill(EventKind::kCount);
  kinds[GNOMON_MAP] = EventKind::kMap;
  kinds[GNOMON_UNMAP] = EventKind::kUnmap;
  kinds[GNOMON_PROTECT] = EventKind::kProtect;
  kinds[GNOMON_BREAK] = EventKind::kBreak;
  kinds[GNOMON_REMAP] = EventKind::kRemap;
  kinds[GNOMON_ADVISE] = EventKind::kAdvise;
  kinds[GNOMON_SYSCALL] = EventKind::kSyscall;
  kinds[GNOMON_KERNEL_READ] = EventKind::kKernelRead;
  kinds[GNOMON_KERNEL_WRITE] = EventKind::kKernelWrite;
  return kinds;
}();

TraceEvent make_event(EventKind kind, uint32_t process = 0, uint32_t thread = 0) {
  TraceEvent event;
  event.kind = kind;
  event.process = process;
  event.thread = thread;
  return event;
}

template <typename T>
T load(absl::Span<const char> bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

}  // namespace

absl::Status Decoder::fault(absl::string_view what) const {
  return absl::DataLossError(
      absl::StrFormat("the recording tool's stream makes no sense at byte %u: %s; the recorded "
                      "program may have written into valgrind's memory",
                      offset_, what));
}

void Decoder::clear_batch() {
  batch_.records.clear();
  batch_.events.clear();
}

absl::StatusOr<size_t> Decoder::take(absl::Span<const char> bytes) {
  size_t taken = 0;
  while (!limit_reached_ && bytes.size() - taken >= sizeof(gnomon_packet)) {
    const absl::Span<const char> rest = bytes.subspan(taken);
    const auto packet = load<gnomon_packet>(rest);
    if (packet.magic != GNOMON_PACKET_MAGIC) return fault("no packet starts there");
    if (packet.bytes < sizeof packet || packet.bytes > GNOMON_PACKET_MOST || packet.bytes % 8) {
      return fault(absl::StrFormat("a packet of %d bytes", packet.bytes));
    }
    if (packet.bytes > rest.size()) return taken;
    const absl::Status status =
        take_packet(packet, rest.subspan(sizeof packet, packet.bytes - sizeof packet));
    if (!status.ok()) return status;
    taken += packet.bytes;
    offset_ += packet.bytes;
  }
  return limit_reached_ ? bytes.size() : taken;
}

absl::Status Decoder::take_packet(const gnomon_packet& packet, absl::Span<const char> body) {
  if (packet.kind == GNOMON_EVENT) return take_event(packet, body);
  if (packet.kind != GNOMON_REFERENCES) {
    return fault(absl::StrFormat("a packet of kind %d", packet.kind));
  }
  const absl::StatusOr<Process*> process = find(packet);
  if (!process.ok()) return process.status();
  return take_references(**process, packet.thread, body);
}

absl::StatusOr<Decoder::Process*> Decoder::find(const gnomon_packet& packet) {
  const auto found = alive_.find(packet.process);
  if (found == alive_.end()) {
    return fault(absl::StrFormat("a packet of process %x, which nobody started", packet.process));
  }
  Process& process = found->second;
  if (packet.sequence != process.sequence) {
    return fault(absl::StrFormat("packet %u of process %d, where number %u was due",
                                 packet.sequence, process.number, process.sequence));
  }
  ++process.sequence;
  return &process;
}

absl::StatusOr<uint32_t> Decoder::thread_number(Process& process, uint32_t thread) {
  const auto found = process.threads.find(thread);
  if (found != process.threads.end()) return found->second;
  if (process.threads.size() >= kMostThreads) return fault("too many threads");
  const uint32_t number = process.next_thread++;
  process.threads.emplace(thread, number);
  ++threads_seen_;
  emit(make_event(EventKind::kThread, process.number, number));
  return number;
}

void Decoder::run(uint32_t process, uint32_t thread) {
  if (process == running_process_ && thread == running_thread_) return;
  running_process_ = process;
  running_thread_ = thread;
  emit(make_event(EventKind::kSwitch, process, thread));
}

void Decoder::emit(TraceEvent event) {
  ++events_;
  batch_.records.push_back(
      {.address = Gva{batch_.events.size()}, .size = 0, .kind = RecordKind::kEvent});
  batch_.events.push_back(std::move(event));
}

absl::Status Decoder::take_references(Process& process, uint32_t thread,
                                      absl::Span<const char> words) {
  const absl::StatusOr<uint32_t> number = thread_number(process, thread);
  if (!number.ok()) return number.status();
  run(process.number, *number);
  // Room for all at once, then what was not needed goes: this is the inner loop.
  std::vector<TraceRecord>& records = batch_.records;
  const size_t before = records.size();
  records.resize(before + words.size() / 8);
  TraceRecord* to = records.data() + before;
  const uint64_t most = limit_ == 0 ? ~uint64_t{0} : limit_;
  uint64_t references = references_;
  uint32_t bad_size = 0;
  bool bad = false;
  for (size_t at = 0; at < words.size(); at += 8) {
    const auto word = load<uint64_t>(words.subspan(at));
    if (word == 0) continue;
    const auto size = static_cast<uint32_t>(word & GNOMON_WORD_SIZE_MASK);
    const RecordKind kind = kWordKinds[(word >> GNOMON_WORD_KIND_SHIFT) & 3];
    if (size - 1 >= GNOMON_WORD_SIZE_MOST) {
      bad = true;
      bad_size = size;
      break;
    }
    if (references + references_of(kind) > most) {
      limit_reached_ = true;
      break;
    }
    references += references_of(kind);
    // Shifting as a signed number makes the address canonical again.
    const auto address =
        static_cast<uint64_t>(static_cast<int64_t>(word) >> GNOMON_WORD_ADDRESS_SHIFT);
    *to++ = {.address = Gva{address}, .size = static_cast<uint16_t>(size), .kind = kind};
  }
  records.resize(static_cast<size_t>(to - records.data()));
  references_ = references;
  if (bad) return fault(absl::StrFormat("an access of %d bytes", bad_size));
  return absl::OkStatus();
}

absl::Status Decoder::take_event(const gnomon_packet& packet, absl::Span<const char> body) {
  if (body.size() < sizeof(gnomon_event)) return fault("an event that is cut short");
  const auto event = load<gnomon_event>(body);
  const absl::Span<const char> text = body.subspan(sizeof event);
  if (event.kind >= GNOMON_EVENT_KINDS) {
    return fault(absl::StrFormat("an event of kind %u", event.kind));
  }
  if (event.text_bytes > text.size()) {
    return fault(absl::StrFormat("a text of %u bytes", event.text_bytes));
  }
  return take_event(packet, event, absl::string_view(text.data(), event.text_bytes));
}

absl::Status Decoder::take_event(const gnomon_packet& packet, const gnomon_event& event,
                                 absl::string_view text) {
  // These two come first, from a process that may not be known yet.
  if (event.kind == GNOMON_BEGIN) return begin(packet, text);
  if (event.kind == GNOMON_FORKED) {
    if (packet.sequence != 0) return fault("a child that was running already");
    return fork(event.value, packet.process, true, packet.thread);
  }
  const absl::StatusOr<Process*> found = find(packet);
  if (!found.ok()) return found.status();
  Process& process = **found;
  if (event.kind == GNOMON_FORK) return fork(packet.process, event.value, false, 0);

  const absl::StatusOr<uint32_t> thread = thread_number(process, packet.thread);
  if (!thread.ok()) return thread.status();
  switch (event.kind) {
    case GNOMON_THREAD_START: return absl::OkStatus();
    case GNOMON_THREAD_EXIT:
      // After the last one, the process says with which status it exits.
      if (process.threads.size() == 1) return absl::OkStatus();
      process.threads.erase(packet.thread);
      emit(make_event(EventKind::kExit, process.number, *thread));
      return absl::OkStatus();
    case GNOMON_EXIT: exit_process(packet.process, *thread, event.value); return absl::OkStatus();
    default: break;
  }
  run(process.number, *thread);
  const EventKind kind = kPlainEvents[event.kind];
  const EventFields fields = info(kind).fields;
  TraceEvent out = make_event(kind);
  if (fields & kFieldFlags) out.flags = event.flags;
  if (fields & kFieldAddress) out.address = event.address;
  if (fields & kFieldLength) out.length = event.length;
  if (fields & kFieldValue) out.value = event.value;
  if (fields & kFieldExtra) out.extra = event.extra;
  if (fields & kFieldFile) out.file = event.file;
  if (fields & kFieldText) out.text = std::string(text.substr(0, kMaxEventText));
  emit(std::move(out));
  return absl::OkStatus();
}

absl::Status Decoder::begin(const gnomon_packet& packet, absl::string_view command) {
  if (packet.sequence != 0) return fault("a program that was running already");
  auto found = alive_.find(packet.process);
  if (found == alive_.end()) {
    if (processes_seen_ != 0 || packet.process != kFirstProcess) {
      return fault(absl::StrFormat("process %x begins, which nobody started", packet.process));
    }
    found = alive_.emplace(kFirstProcess, Process{}).first;
    ++processes_seen_;
    ++threads_seen_;
  }
  Process& process = found->second;
  process.sequence = 1;
  // Of the threads, one is left.
  process.threads = {{packet.thread, 0}};
  run(process.number, 0);
  TraceEvent event = make_event(EventKind::kExec, process.number);
  event.text = std::string(command.substr(0, kMaxEventText));
  emit(std::move(event));
  return absl::OkStatus();
}

absl::Status Decoder::fork(uint64_t parent, uint64_t child, bool told_by_child, uint32_t thread) {
  // Both tell of it, and either may come first: in the trace it stands where the first did, as
  // before that neither has changed anything. The child may even be gone when the parent tells.
  if (!told_by_child && told_.erase(child) != 0) return absl::OkStatus();
  auto known = alive_.find(child);
  if (known == alive_.end()) {
    const auto from = alive_.find(parent);
    if (from == alive_.end()) return fault("a fork of a process that nobody started");
    if (alive_.size() >= kMostProcesses) return fault("too many processes");
    const uint32_t parent_number = from->second.number;
    known = alive_.emplace(child, Process{}).first;
    known->second.number = processes_seen_++;
    ++threads_seen_;
    if (told_by_child) told_.insert(child);
    // The trace says who acts by who runs.
    run(parent_number, 0);
    TraceEvent event = make_event(EventKind::kFork, parent_number);
    event.value = known->second.number;
    emit(std::move(event));
  } else if (!told_by_child || !known->second.threads.empty()) {
    return fault("a child that was running already");
  }
  if (told_by_child) {
    known->second.threads = {{thread, 0}};
    known->second.sequence = 1;
  }
  return absl::OkStatus();
}

void Decoder::exit_process(uint64_t id, uint32_t thread, uint64_t status) {
  TraceEvent event = make_event(EventKind::kExit, alive_[id].number, thread);
  event.flags = 1;
  event.value = status;
  emit(std::move(event));
  alive_.erase(id);
}

void Decoder::finish() {
  std::vector<std::pair<uint32_t, uint64_t>> left;
  for (const auto& [id, process] : alive_) left.emplace_back(process.number, id);
  std::sort(left.begin(), left.end());
  for (const auto& [number, id] : left) exit_process(id, 0, kKilledStatus);
}

}  // namespace gnomon::recording
