// SPDX-License-Identifier: Apache-2.0
#include "traces/gtrace/file_header.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "traces/gtrace/coding.h"
#include "traces/gtrace/layout.h"

namespace gnomon::gtrace {
namespace {

constexpr uint16_t kMustKnow = 0x8000;
constexpr uint16_t kTagFlags = 0x8005;  // 4 bytes: kPhysical, kGuest
constexpr uint16_t kTagReferences = 6;  // 8 bytes
constexpr uint32_t kPhysical = 1;
constexpr uint32_t kGuest = 2;

struct TextField {
  uint16_t tag;
  std::string TraceInfo::*text;
};
constexpr TextField kTexts[] = {
    {1, &TraceInfo::program},
    {2, &TraceInfo::recorder},
    {3, &TraceInfo::machine},
    {4, &TraceInfo::note},
};

void put_field(std::string& to, uint16_t tag, absl::string_view value) {
  put_fixed(to, tag);
  put_fixed(to, static_cast<uint32_t>(value.size()));
  absl::StrAppend(&to, value);
}

template <std::unsigned_integral T>
std::string fixed(T value) {
  std::string bytes;
  put_fixed(bytes, value);
  return bytes;
}

constexpr absl::string_view kConverted = "converted from ";

/// Whether a note already ends in what note_with_origin() puts there.
bool names_origin(absl::string_view note) {
  const size_t at = note.rfind(kConverted);
  if (at == absl::string_view::npos ||
      note.find_first_of("; ", at + kConverted.size()) != note.npos)
    return false;
  return at == 0 || absl::EndsWith(note.substr(0, at), "; ");
}

/// A trace of another format becomes one of this; what it was goes into the note, once: a format
/// that keeps notes (CSV) may lie between two of ours, and what the trace was first is what counts.
std::string note_with_origin(const TraceInfo& info) {
  if (info.format.empty() || info.format == "gtrace" || names_origin(info.note)) return info.note;
  return absl::StrCat(info.note, info.note.empty() ? "" : "; ", kConverted, info.format);
}

/// Returns what is wrong.
std::string take_field(uint16_t tag, absl::string_view value, TraceInfo& info) {
  for (const TextField& field : kTexts) {
    if (tag != field.tag) continue;
    info.*field.text = std::string(value.substr(0, kMaxInfoText));
    return {};
  }
  if (tag == kTagFlags && value.size() == 4) {
    const uint32_t flags = get_fixed<uint32_t>(value.data());
    info.physical = (flags & kPhysical) != 0;
    info.guest = (flags & kGuest) != 0;
    if ((flags & ~(kPhysical | kGuest)) == 0) return {};
  } else if (tag == kTagReferences && value.size() == 8) {
    info.references = get_fixed<uint64_t>(value.data());
    return {};
  }
  if ((tag & kMustKnow) == 0) return {};
  return absl::StrCat("it needs a newer program: field ", tag & ~kMustKnow, " is not known");
}

}  // namespace

std::string encode_file_header(const TraceInfo& info) {
  TraceInfo kept = info;
  kept.note = note_with_origin(info);
  std::string fields;
  for (const TextField& field : kTexts) {
    const absl::string_view text = kept.*field.text;
    if (!text.empty()) put_field(fields, field.tag, text.substr(0, kMaxInfoText));
  }
  const uint32_t flags = (info.physical ? kPhysical : 0) | (info.guest ? kGuest : 0);
  if (flags != 0) put_field(fields, kTagFlags, fixed(flags));
  if (info.references) put_field(fields, kTagReferences, fixed(*info.references));

  std::string header(kFileMagic);
  put_fixed(header, kVersion);
  put_fixed(header, static_cast<uint32_t>(fields.size()));
  header += fields;
  put_fixed(header, checksum(header));
  return header;
}

std::string decode_file_header(absl::string_view header, TraceInfo& info) {
  info = TraceInfo();
  info.format = "gtrace";
  const uint32_t version = get_fixed<uint32_t>(&header[kMagicBytes]);
  if (version != kVersion) {
    return absl::StrCat("it is of version ", version, "; this program reads version ", kVersion);
  }
  header.remove_prefix(kFileHeaderFront);
  header.remove_suffix(kFileHeaderChecksum);
  Cursor cursor(header);
  while (!cursor.at_end()) {
    const absl::string_view front = cursor.bytes(6);
    if (!cursor.ok()) break;
    const absl::string_view value = cursor.bytes(get_fixed<uint32_t>(&front[2]));
    if (!cursor.ok()) break;
    std::string fault = take_field(get_fixed<uint16_t>(front.data()), value, info);
    if (!fault.empty()) return fault;
  }
  return cursor.ok() ? "" : "the fields of its header do not fit in it";
}

}  // namespace gnomon::gtrace
