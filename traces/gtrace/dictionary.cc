// SPDX-License-Identifier: Apache-2.0
#include "traces/gtrace/dictionary.h"

#include "absl/strings/string_view.h"
#include "traces/gtrace/coding.h"

namespace gnomon::gtrace {
namespace {

// A record without its address is one byte: kind in bits 0 and 1, supervisor in bit 2, size above;
// a size of 32 and more follows as a varint, and the bits are 0.
constexpr uint32_t kSizesInByte = 32;

void put_shape(std::string& to, const TraceRecord& record) {
  const uint32_t size = record.size < kSizesInByte ? record.size : 0;
  to.push_back(static_cast<char>(static_cast<uint32_t>(record.kind) |
                                 uint32_t{record.supervisor} << 2 | size << 3));
  if (size == 0) put_varint(to, record.size);
}
TraceRecord get_shape(Cursor& from) {
  TraceRecord record;
  const uint8_t b = from.byte();
  record.kind = static_cast<RecordKind>(b & 3);
  record.supervisor = (b >> 2 & 1) != 0;
  record.size = b >> 3;
  if (record.size == 0) record.size = static_cast<uint16_t>(from.varint_up_to(kMaxRecordBytes));
  return record;
}

bool wraps(const TraceRecord& record) {
  return record.address.value() + (record.size - 1u) < record.address.value();
}

// The slot of a data record: 0 a new one, 1 the one after the previous record's, then by distance
// from the newest.
constexpr uint64_t kNewSlot = 0;
constexpr uint64_t kNextSlot = 1;
constexpr uint64_t kOlderSlot = 2;

// The base of a slot.
constexpr uint64_t kOwnBase = 0;
constexpr uint64_t kBaseBefore = 1;
constexpr uint64_t kOtherBase = 2;

absl::string_view unpacked(const Streams& streams, Stream which) {
  absl::string_view all = streams[which];
  all.remove_suffix(Unpacker::kPadding);
  return all;
}

void put_basics(const Dictionary& d, std::string& to) {
  put_varint(to, d.basics.size());
  uint64_t address = 0;
  uint32_t slots = 0, previous_slot = 0;
  for (const BasicRun& run : d.basics) {
    put_varint(to, run.records);
    const uint32_t* slot = d.slot_of.data() + run.first_data;
    for (uint32_t i = 0; i < run.records; ++i) {
      const TraceRecord& record = d.records[run.first_record + i];
      put_shape(to, record);
      if (record.kind == RecordKind::kFetch) {
        // Fetches of a run follow each other; so it is the first that says where it is.
        if (i == 0) put_varint(to, zigzag(record.address.value() - address));
        address = record.address.value() + record.size;
        continue;
      }
      put_varint(to, *slot == slots               ? kNewSlot
                     : *slot == previous_slot + 1 ? kNextSlot
                                                  : kOlderSlot + (slots - 1 - *slot));
      slots += *slot == slots ? 1 : 0;
      previous_slot = *slot++;
    }
  }
}

/// Returns what is wrong, empty if nothing.
absl::string_view get_basics(Cursor from, Dictionary& d) {
  const uint64_t count = from.varint_up_to(kMaxRuns);
  uint64_t address = 0;
  uint32_t slots = 0, previous_slot = 0;
  for (uint64_t n = 0; n < count; ++n) {
    BasicRun run{static_cast<uint32_t>(d.records.size()), static_cast<uint32_t>(d.slot_of.size()),
                 static_cast<uint32_t>(from.varint_up_to(kMaxRunRecords)), 0};
    if (run.records == 0) return "a run has no records, or too many";
    if (run.first_record + run.records > kMaxRunRecordsTotal) return "too many runs";
    for (uint32_t i = 0; i < run.records; ++i) {
      TraceRecord record = get_shape(from);
      if (record.size == 0) return "a record has no good size";
      if (record.kind == RecordKind::kFetch) {
        if (i == 0) address += unzigzag(from.varint());
        record.address = Gva(address);
        if (wraps(record)) return "a fetch wraps around the end of the address space";
        address += record.size;
      } else {
        const uint64_t code = from.varint_up_to(uint64_t{slots} + kOlderSlot - 1);
        const uint32_t slot = code == kNewSlot ? slots++
                              : code == kNextSlot
                                  ? previous_slot + 1
                                  : slots - 1 - static_cast<uint32_t>(code - kOlderSlot);
        if (slot >= slots) return "a run names a slot that is not there";
        d.slot_of.push_back(previous_slot = slot);
        ++run.data;
      }
      d.records.push_back(record);
    }
    if (run.data > kMaxRunData) return "a run has too many data records";
    d.basics.push_back(run);
  }
  d.slots.resize(slots);
  return from.ok() && from.at_end() ? "" : "the runs are cut off or too long";
}

void put_slots(const Dictionary& d, std::string& to) {
  uint64_t last = 0;
  for (uint32_t i = 0; i < d.slots.size(); ++i) {
    const Slot& slot = d.slots[i];
    const uint64_t base = slot.base == Slot::kOwn ? kOwnBase
                          : slot.base == Slot::kBefore
                              ? kBaseBefore
                              : kOtherBase + zigzag(uint64_t{i} - slot.base);
    put_varint(to, base << 1 | (slot.learns ? 1 : 0));
    put_varint(to, zigzag(slot.offset));
    if (slot.base == Slot::kOwn) {
      put_varint(to, zigzag(slot.last - last));
      last = slot.last;
    }
  }
}

absl::string_view get_slots(Cursor from, Dictionary& d) {
  uint64_t last = 0;
  for (uint32_t i = 0; i < d.slots.size(); ++i) {
    Slot& slot = d.slots[i];
    const uint64_t code = from.varint();
    const uint64_t base = code >> 1;
    slot.learns = (code & 1) != 0;
    slot.offset = unzigzag(from.varint());
    if (base == kOwnBase) {
      slot.base = Slot::kOwn;
      slot.last = last += unzigzag(from.varint());
    } else if (base == kBaseBefore) {
      slot.base = Slot::kBefore;
    } else {
      const uint64_t other = i - unzigzag(base - kOtherBase);
      if (other >= d.slots.size()) return "a slot has a base that is not there";
      slot.base = static_cast<uint32_t>(other);
    }
  }
  return from.ok() && from.at_end() ? "" : "the slots are cut off or too long";
}

void put_pairs(const Dictionary& d, std::string& to) {
  put_varint(to, d.pairs.size());
  for (const auto& [a, b] : d.pairs) {
    put_varint(to, a);
    put_varint(to, b);
  }
}

absl::string_view get_pairs(Cursor from, Dictionary& d) {
  const uint64_t count = from.varint_up_to(kMaxRuns - d.basics.size());
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t runs_before = d.basics.size() + i;
    const uint64_t a = from.varint();
    const uint64_t b = from.varint();
    if (a >= runs_before || b >= runs_before) return "a pair names a run that is not there";
    d.pairs.emplace_back(static_cast<uint32_t>(a), static_cast<uint32_t>(b));
  }
  return from.ok() && from.at_end() ? "" : "the pairs are cut off or too long";
}

}  // namespace

void Dictionary::clear() {
  records.clear();
  slot_of.clear();
  basics.clear();
  slots.clear();
  pairs.clear();
}

void Dictionary::encode(Streams& to) const {
  put_basics(*this, to[kShapes]);
  put_slots(*this, to[kSlots]);
  put_pairs(*this, to[kPairs]);
}

absl::Status Dictionary::decode(const Streams& from) {
  clear();
  absl::string_view fault = get_basics(Cursor(unpacked(from, kShapes)), *this);
  if (fault.empty()) fault = get_slots(Cursor(unpacked(from, kSlots)), *this);
  if (fault.empty()) fault = get_pairs(Cursor(unpacked(from, kPairs)), *this);
  return fault.empty() ? absl::OkStatus() : absl::InvalidArgumentError(fault);
}

}  // namespace gnomon::gtrace
