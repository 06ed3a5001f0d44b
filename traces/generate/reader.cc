// SPDX-License-Identifier: Apache-2.0
#include "traces/generate/reader.h"

#include "absl/strings/str_cat.h"
#include "gnomon/version.h"

namespace gnomon::generate {

GeneratorReader::GeneratorReader(const Keys& keys, const CommonKeys& common)
    : common_(common), output_(common.refs, common.fetches), name_(keys.name()) {
  info_.format = "gen";
  info_.program = keys.program();
  info_.recorder = absl::StrCat("gnomon ", version());
  info_.note = "synthetic";
  info_.references = common.refs;
}

absl::StatusOr<size_t> GeneratorReader::read(absl::Span<TraceRecord> out,
                                             std::vector<TraceEvent>& events) {
  events.clear();
  if (out.size() < kLeastBatch) {
    return absl::InvalidArgumentError(absl::StrCat(
        name_, ": asked for ", out.size(), " records at once, wants at least ", kLeastBatch));
  }
  output_.bind(out, events);
  while (!ended_ && output_.room() >= kStepRecords) ended_ = !step(output_);
  stats_.events += events.size();
  stats_.records += output_.used() - events.size();
  return output_.used();
}

void GeneratorReader::map_code(Output& out) const {
  if (!common_.fetches) return;
  TraceEvent event;
  event.kind = EventKind::kMap;
  event.flags = kMapRead | kMapExec;
  event.address = kCode;
  event.length = kPage;
  event.file = 1;
  event.text = "code";
  out.event(std::move(event));
}

void GeneratorReader::map_data(Output& out, uint64_t address, uint64_t bytes,
                               absl::string_view what) const {
  TraceEvent event;
  event.kind = EventKind::kMap;
  event.flags = kMapRead | kMapWrite | (common_.huge ? kMapHuge : 0);
  event.address = address;
  event.length = round_up(bytes, kPage);
  event.text = std::string(what);
  out.event(std::move(event));
}

void GeneratorReader::unmap(Output& out, uint64_t address, uint64_t bytes) {
  TraceEvent event;
  event.kind = EventKind::kUnmap;
  event.address = address;
  event.length = round_up(bytes, kPage);
  out.event(std::move(event));
}

void GeneratorReader::switch_to(Output& out, uint32_t process) {
  TraceEvent event;
  event.kind = EventKind::kSwitch;
  event.process = process;
  out.event(std::move(event));
}

void GeneratorReader::exit(Output& out, uint32_t process) {
  constexpr uint32_t kWholeProcess = 1;
  TraceEvent event;
  event.kind = EventKind::kExit;
  event.process = process;
  event.flags = kWholeProcess;
  out.event(std::move(event));
}

}  // namespace gnomon::generate
