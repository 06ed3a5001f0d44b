// SPDX-License-Identifier: Apache-2.0
#include "traces/gtrace/block_decoder.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "traces/gtrace/block_encoder.h"
#include "traces/gtrace/event_coding.h"

namespace gnomon::gtrace {
namespace {

// Records are copied this many at a time; what is copied too much is overwritten by the next run.
constexpr size_t kCopied = 4;

// No access of at most kMaxRecordBytes below this wraps around.
constexpr uint64_t kTop = ~uint64_t{0} - kMaxRecordBytes + 1;

bool wraps(const TraceRecord& record) {
  return record.kind != RecordKind::kEvent &&
         record.address.value() + (record.size - 1u) < record.address.value();
}

constexpr uint32_t kBeforeState = 0;
constexpr uint32_t state_of(uint32_t slot) { return slot + 1; }

inline void copy_run(const TraceRecord* from, size_t count, TraceRecord* to, size_t room) {
  if (count + kCopied > room) {
    std::copy_n(from, count, to);
    return;
  }
  for (size_t i = 0; i < count; i += kCopied) std::copy_n(from + i, kCopied, to + i);
}

size_t raw_size(const std::string& stream) { return stream.size() - Unpacker::kPadding; }

}  // namespace

absl::Status BlockDecoder::start(const BlockHeader& header, absl::string_view stored) {
  tokens_ = token_ = 0;  // nothing to read if this fails
  header_ = header;
  if (absl::Status status = unpacker_.unpack(stored, streams_); !status.ok()) return status;
  if (absl::Status status = dictionary_.decode(streams_); !status.ok()) return status;
  if (raw_size(streams_[kTokenLow]) != raw_size(streams_[kTokenHigh])) {
    return absl::InvalidArgumentError("its tokens lack a half");
  }
  if (const absl::string_view fault = expand(); !fault.empty()) {
    return absl::InvalidArgumentError(fault);
  }
  tokens_ = raw_size(streams_[kTokenLow]);
  fresh_ = miss_count_ = 0;
  miss_ = streams_[kMisses].data();
  misses_end_ = miss_ + raw_size(streams_[kMisses]);
  correction_ = streams_[kCorrections].data();
  corrections_end_ = correction_ + raw_size(streams_[kCorrections]);
  event_byte_ = 0;
  left_.records = header.records;
  left_.events = header.events;
  left_.references = header.references;
  highest_ = 0;
  return absl::OkStatus();
}

/// Makes the dictionary's runs ready for copying; returns what is wrong.
absl::string_view BlockDecoder::expand() {
  states_.assign(dictionary_.slots.size() + 1, SlotState{0, 0, 0});
  for (uint32_t i = 0; i < dictionary_.slots.size(); ++i) {
    const Slot& slot = dictionary_.slots[i];
    states_[state_of(i)] = {slot.last, slot.offset, slot.learns ? ~uint64_t{0} : 0};
  }
  runs_.clear();
  records_.clear();
  patches_.clear();
  for (const BasicRun& basic : dictionary_.basics) expand_basic(basic);
  for (const auto& [a, b] : dictionary_.pairs) {
    if (const absl::string_view fault = expand_pair(a, b); !fault.empty()) return fault;
  }
  records_.resize(records_.size() + kCopied);
  return {};
}

void BlockDecoder::expand_basic(const BasicRun& basic) {
  Run run{static_cast<uint32_t>(records_.size()), static_cast<uint32_t>(patches_.size()),
          basic.records, basic.data, 0};
  const TraceRecord* const first = dictionary_.records.data() + basic.first_record;
  records_.insert(records_.end(), first, first + basic.records);
  uint32_t before = kBeforeState;
  uint32_t data = basic.first_data;
  for (uint32_t position = 0; position < basic.records; ++position) {
    run.references += static_cast<uint32_t>(references_of(first[position].kind));
    if (first[position].kind == RecordKind::kFetch) continue;
    const uint32_t slot = dictionary_.slot_of[data++];
    const uint32_t base = dictionary_.slots[slot].base;
    const uint32_t state = state_of(slot);
    patches_.push_back({position, state,
                        base == Slot::kOwn      ? state
                        : base == Slot::kBefore ? before
                                                : state_of(base)});
    before = state;
  }
  runs_.push_back(run);
}

absl::string_view BlockDecoder::expand_pair(uint32_t a, uint32_t b) {
  Run run{static_cast<uint32_t>(records_.size()), static_cast<uint32_t>(patches_.size()), 0, 0, 0};
  for (const uint32_t part : {a, b}) {
    const Run half = runs_[part];
    if (run.records + half.records > kMaxRunRecords || run.data + half.data > kMaxRunData) {
      return "a pair is too long";
    }
    if (records_.size() + half.records > kMaxRunRecordsTotal) return "too many runs";
    // Both grow while they are copied from.
    const size_t to = records_.size();
    records_.resize(to + half.records);
    std::copy_n(records_.begin() + half.first_record, half.records,
                records_.begin() + static_cast<std::ptrdiff_t>(to));
    for (uint32_t i = 0; i < half.data; ++i) {
      Patch patch = patches_[half.first_patch + i];
      patch.position += run.records;
      // What came before the half is in the run now.
      if (patch.base == kBeforeState && run.data > 0) patch.base = patches_.back().state;
      patches_.push_back(patch);
    }
    run.records += half.records;
    run.data += half.data;
    run.references += half.references;
  }
  runs_.push_back(run);
  return {};
}

/// All addresses of the run are as foretold.
inline void BlockDecoder::patch(const Run& run, TraceRecord* to) {
  if (run.data == 0) return;
  SlotState* const states = states_.data();
  const Patch* const end = patches_.data() + run.first_patch + run.data;
  uint64_t address = 0;
  uint64_t highest = highest_;
  for (const Patch* p = end - run.data; p != end; ++p) {
    SlotState& state = states[p->state];
    address = states[p->base].last + state.offset;
    state.last = address;
    to[p->position].address = Gva(address);
    highest = std::max(highest, address);
  }
  states[kBeforeState].last = address;
  highest_ = highest;
}

/// The same with corrections; false if those make no sense.
inline bool BlockDecoder::patch_corrected(const Run& run, TraceRecord* to, size_t misses) {
  if (static_cast<size_t>(misses_end_ - miss_) < misses) return false;
  const char* miss = miss_;
  const char* const misses_end = miss + misses;
  const auto next_miss = [&] {
    return miss == misses_end ? kMaxRunData : static_cast<uint8_t>(*miss) >> kCorrectionSizeBits;
  };
  SlotState* const states = states_.data();
  const Patch* const patches = patches_.data() + run.first_patch;
  uint64_t address = 0;
  uint32_t missed = next_miss();
  for (uint32_t i = 0; i < run.data; ++i) {
    const Patch& p = patches[i];
    SlotState& state = states[p.state];
    address = states[p.base].last + state.offset;
    if (i == missed) {
      const size_t bytes = kCorrectionBytes[*miss & 3];
      if (static_cast<size_t>(corrections_end_ - correction_) < bytes) return false;
      const uint64_t code = get_fixed<uint64_t>(correction_) & ~uint64_t{0} >> (64 - 8 * bytes);
      correction_ += bytes;
      const uint64_t correction = unzigzag(code);
      address += correction;
      state.offset += correction & state.learns;
      ++miss;
      missed = next_miss();
    }
    state.last = address;
    to[p.position].address = Gva(address);
    highest_ = std::max(highest_, address);
  }
  states[kBeforeState].last = address;
  miss_ = miss;
  return miss == misses_end;
}

absl::StatusOr<size_t> BlockDecoder::read(absl::Span<TraceRecord> out,
                                          std::vector<TraceEvent>& events) {
  const char* const low = streams_[kTokenLow].data();
  const char* const high = streams_[kTokenHigh].data();
  const char* const miss_counts = streams_[kMissCounts].data();
  const size_t all_miss_counts = raw_size(streams_[kMissCounts]);
  const size_t first_event = events.size();
  absl::string_view fault;
  size_t done = 0;
  while (token_ < tokens_) {
    const uint32_t token =
        static_cast<uint8_t>(low[token_]) | uint32_t{static_cast<uint8_t>(high[token_])} << 8;
    uint32_t number = token - kFirstRunToken;
    if (token == kTokenEvent) {
      if (done == out.size()) break;
      fault = take_event(events);
      if (!fault.empty()) break;
      out[done++] = {Gva(events.size() - 1), 0, RecordKind::kEvent, false};
      ++token_;
      continue;
    }
    const bool is_fresh = token == kTokenFresh;
    if (is_fresh) number = fresh_;
    if (number >= runs_.size() || (is_fresh && number >= dictionary_.basics.size()) ||
        miss_count_ == all_miss_counts) {
      fault = "a token names a run that is not there";
      break;
    }
    const Run run = runs_[number];
    const size_t room = out.size() - done;
    if (run.records > room) break;
    TraceRecord* const to = out.data() + done;
    copy_run(records_.data() + run.first_record, run.records, to, room);
    const size_t misses = static_cast<uint8_t>(miss_counts[miss_count_]);
    if (misses == 0) {
      patch(run, to);
    } else if (!patch_corrected(run, to, misses)) {
      fault = "the corrections of a run make no sense";
      break;
    }
    fresh_ += is_fresh ? 1 : 0;
    ++miss_count_;
    ++token_;
    done += run.records;
    left_.references -= run.references;  // below 0 it is not 0 at the end either
  }
  return check(out, done, events, first_event, fault);
}

/// One more event; returns what is wrong.
absl::string_view BlockDecoder::take_event(std::vector<TraceEvent>& events) {
  absl::string_view bytes = streams_[kEvents];
  bytes.remove_suffix(Unpacker::kPadding);
  bytes.remove_prefix(event_byte_);
  Cursor cursor(bytes);
  TraceEvent event;
  const absl::string_view fault = get_event(cursor, event);
  if (!fault.empty()) return fault;
  event_byte_ += bytes.size() - cursor.left();
  events.push_back(std::move(event));
  return {};
}

/// The first `done` of `out` are decoded; `fault` says why no more, empty if nothing is wrong.
absl::StatusOr<size_t> BlockDecoder::check(absl::Span<TraceRecord> out, size_t done,
                                           const std::vector<TraceEvent>& events,
                                           size_t first_event, absl::string_view fault) {
  if (highest_ >= kTop) {
    const auto front = out.first(done);
    const auto bad = std::find_if(front.begin(), front.end(), wraps);
    if (bad != front.end()) {
      fault = "an access wraps around the end of the address space";
      done = static_cast<size_t>(bad - front.begin());
    }
    highest_ = 0;
  }
  const size_t new_events = events.size() - first_event;
  if (done > left_.records || new_events > left_.events) {
    done = std::min<size_t>(done, left_.records);
    fault = "it holds more than its header says";
  }
  left_.records -= done;
  left_.events -= std::min<uint64_t>(new_events, left_.events);
  const bool at_end = token_ == tokens_;
  if (fault.empty() && at_end) {
    const bool all_used = left_.records == 0 && left_.events == 0 && left_.references == 0 &&
                          miss_count_ == raw_size(streams_[kMissCounts]) && miss_ == misses_end_ &&
                          correction_ == corrections_end_ &&
                          event_byte_ == raw_size(streams_[kEvents]);
    if (!all_used) fault = "it does not hold what its header says";
  }
  if (fault.empty()) return done;
  token_ = tokens_;
  salvaged_ = done;
  return absl::InvalidArgumentError(fault);
}

}  // namespace gnomon::gtrace
