// SPDX-License-Identifier: Apache-2.0
#include "vmm/gdb/session.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "vmm/gdb/packet.h"
#include "vmm/gdb/registers.h"
#include "vmm/monitor/guest_view.h"

namespace gnomon::vmm::gdb {
namespace {

constexpr absl::string_view kOk = "OK", kUnknown = "";
constexpr absl::string_view kMalformed = "E01", kNotThere = "E0e";  // EPERM, EFAULT by number
/// Half of a packet, since two digits are a byte.
constexpr uint64_t kMostBytes = kMostPayload / 2;
constexpr size_t kMostBreakpoints = 10'000;

// ADDR,LENGTH
std::optional<std::pair<uint64_t, uint64_t>> take_range(absl::string_view& text) {
  const auto at = take_hex(text);
  if (!at || !absl::ConsumePrefix(&text, ",")) return std::nullopt;
  const auto length = take_hex(text);
  if (!length) return std::nullopt;
  return std::pair(*at, *length);
}

absl::Span<const uint8_t> bytes_of_text(absl::string_view text) {
  return absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(text.data()), text.size());
}

}  // namespace

Session::Session(Machine& machine, bool wide)
    : machine_(machine),
      monitor_(machine),
      wide_(wide),
      actions_(machine.cpus(), Action::kContinue) {}

Session::~Session() {
  for (const auto& set : breakpoints_) {
    for (const uint64_t at : set) machine_.set_breakpoint(at, false);
  }
}

std::vector<std::string> Session::handle(absl::string_view packet) {
  const auto one = [](auto&& text) { return Packets{std::string(text)}; };
  if (packet.empty()) return one(kUnknown);
  const absl::string_view rest = packet.substr(1);
  switch (packet[0]) {
    case '?': return one(stop(stopped_, "05"));
    case 'g': return one(all_registers());
    case 'G': return one(set_all_registers(rest));
    case 'p': return one(one_register(rest));
    case 'P': return one(set_one_register(rest));
    case 'm': return one(read_memory(rest));
    case 'M': return one(write_memory(rest, /*binary=*/false));
    case 'X': return one(write_memory(rest, /*binary=*/true));
    case 'c':
    case 's': return resume_one(rest, packet[0] == 's');
    case 'C':
    case 'S': {  // the signal means nothing to a machine
      const size_t address = rest.find(';');
      return resume_one(address == absl::string_view::npos ? "" : rest.substr(address + 1),
                        packet[0] == 'S');
    }
    case 'H': return choose_thread(rest);
    case 'T': {
      absl::string_view id = rest;
      const auto thread = take_hex(id);
      return one(thread && valid_thread(*thread) ? kOk : kMalformed);
    }
    case 'Z':
    case 'z': return breakpoint(packet);
    case 'q': return query(rest);
    case 'Q':
      if (rest != "StartNoAckMode") return one(kUnknown);
      no_acks_ = true;
      return one(kOk);
    case 'v': return verbose(rest);
    case 'D': state_ = State::kDetached; return one(kOk);
    case 'k': state_ = State::kKilled; return {};
    default: return one(kUnknown);
  }
}

std::vector<std::string> Session::query(absl::string_view packet) {
  if (absl::ConsumePrefix(&packet, "Supported")) {
    says_swbreak_ = absl::StrContains(packet, "swbreak+");
    return {absl::StrFormat("PacketSize=%x;qXfer:features:read+;QStartNoAckMode+;vContSupported+%s",
                            kMostPayload, says_swbreak_ ? ";swbreak+" : "")};
  }
  if (packet == "C") return {absl::StrFormat("QC%x", cpu_ + 1)};
  if (packet == "Attached" || absl::StartsWith(packet, "Attached:")) return {"1"};
  if (packet == "fThreadInfo") {
    std::string list = "m";
    for (unsigned i = 0; i < machine_.cpus(); ++i)
      absl::StrAppendFormat(&list, "%s%x", i == 0 ? "" : ",", i + 1);
    return {list};
  }
  if (packet == "sThreadInfo") return {"l"};
  if (absl::ConsumePrefix(&packet, "ThreadExtraInfo,")) {
    const auto thread = take_hex(packet);
    if (!thread || !valid_thread(*thread)) return {std::string(kMalformed)};
    const Cpu& cpu = machine_.cpu(static_cast<unsigned>(*thread) - 1);
    return {to_hex(absl::StrFormat("CPU#%d [%s]", *thread - 1,
                                   cpu.state.waits_for_startup ? "waits for start-up"
                                   : cpu.state.halted          ? "halted"
                                                               : "running"))};
  }
  if (absl::ConsumePrefix(&packet, "Xfer:features:read:")) return transfer(packet);
  if (absl::ConsumePrefix(&packet, "Rcmd,")) return monitor_command(packet);
  return {std::string(kUnknown)};
}

// ANNEX:OFFSET,LENGTH
std::vector<std::string> Session::transfer(absl::string_view packet) {
  if (!absl::ConsumePrefix(&packet, "target.xml:")) return {"E00"};
  const auto range = take_range(packet);
  if (!range || !packet.empty()) return {std::string(kMalformed)};
  const std::string xml = target_xml(wide_);
  const uint64_t offset = std::min<uint64_t>(range->first, xml.size());
  // Escapes may make it longer on its way.
  const std::string part = xml.substr(offset, std::min(range->second, kMostBytes - 1));
  return {absl::StrCat(offset + part.size() < xml.size() ? "m" : "l", part)};
}

std::vector<std::string> Session::monitor_command(absl::string_view hex) {
  const auto line = from_hex(hex);
  if (!line) return {std::string(kMalformed)};
  monitor_.set_cpu(cpu_);
  MonitorAnswer answer = monitor_.run(*line);
  cpu_ = monitor_.cpu();
  switch (answer.then) {
    case MonitorAnswer::Then::kStay: break;
    case MonitorAnswer::Then::kContinue:
    case MonitorAnswer::Then::kQuit:
      answer.text += "to go on or to end the machine, use GDB's own continue or kill\n";
      break;
    case MonitorAnswer::Then::kEnded: fatal_ = answer.end; break;
  }
  if (answer.text.empty()) return {std::string(kOk)};
  // Console output (O) may come in parts before the answer itself.
  Packets packets;
  for (size_t at = 0; at < answer.text.size(); at += kMostBytes - 1) {
    packets.push_back(
        absl::StrCat("O", to_hex(absl::string_view(answer.text).substr(at, kMostBytes - 1))));
  }
  packets.emplace_back(kOk);
  return packets;
}

std::vector<std::string> Session::verbose(absl::string_view packet) {
  if (packet == "Cont?") return {"vCont;c;C;s;S"};
  if (absl::ConsumePrefix(&packet, "Cont;")) return resume(packet);
  if (absl::StartsWith(packet, "Kill")) {
    state_ = State::kKilled;
    return {std::string(kOk)};
  }
  return {std::string(kUnknown)};
}

// ACTION[:THREAD];ACTION[:THREAD]...: the first that names a thread counts.
std::vector<std::string> Session::resume(absl::string_view actions) {
  std::vector<std::optional<Action>> chosen(machine_.cpus());
  for (absl::string_view part : absl::StrSplit(actions, ';')) {
    if (part.empty()) return {std::string(kMalformed)};
    const char letter = part[0];
    const bool step = letter == 's' || letter == 'S';
    if (!step && letter != 'c' && letter != 'C') return {std::string(kMalformed)};
    const size_t colon = part.find(':');
    uint64_t thread = 0;
    if (colon != absl::string_view::npos && part.substr(colon + 1) != "-1") {
      absl::string_view id = part.substr(colon + 1);
      const auto number = take_hex(id);
      if (!number || !id.empty() || !valid_thread(*number)) return {std::string(kMalformed)};
      thread = *number;
    }
    for (unsigned i = 0; i < machine_.cpus(); ++i) {
      if ((thread == 0 || thread == i + 1) && !chosen[i])
        chosen[i] = step ? Action::kStep : Action::kContinue;
    }
  }
  for (unsigned i = 0; i < machine_.cpus(); ++i) actions_[i] = chosen[i].value_or(Action::kStay);
  state_ = State::kRunning;
  return {};
}

// [ADDR]
std::vector<std::string> Session::resume_one(absl::string_view packet, bool step) {
  if (!packet.empty()) {
    const auto at = take_hex(packet);
    if (!at || !packet.empty()) return {std::string(kMalformed)};
    machine_.cpu(control_).rip = *at;
  }
  std::fill(actions_.begin(), actions_.end(),
            step || !control_all_ ? Action::kStay : Action::kContinue);
  actions_[control_] = step ? Action::kStep : Action::kContinue;
  state_ = State::kRunning;
  return {};
}

std::vector<std::string> Session::choose_thread(absl::string_view packet) {
  const bool for_control = absl::ConsumePrefix(&packet, "c");
  if (!for_control && !absl::ConsumePrefix(&packet, "g")) return {std::string(kUnknown)};
  unsigned cpu = for_control ? stopped_ : cpu_;
  const bool all = packet == "-1" || packet == "0";
  if (!all) {
    const auto id = take_hex(packet);
    if (!id || !packet.empty() || !valid_thread(*id)) return {std::string(kMalformed)};
    cpu = static_cast<unsigned>(*id) - 1;
  }
  if (for_control) {
    control_ = cpu;
    control_all_ = all;
  } else {
    cpu_ = cpu;
  }
  return {std::string(kOk)};
}

// TYPE,ADDR,KIND[;...]
std::vector<std::string> Session::breakpoint(absl::string_view packet) {
  const bool insert = packet[0] == 'Z';
  packet.remove_prefix(1);
  const auto type = take_hex(packet);
  if (!type || !absl::ConsumePrefix(&packet, ",")) return {std::string(kMalformed)};
  if (*type > 1) return {std::string(kUnknown)};  // watchpoints: GDB steps instead
  const auto range = take_range(packet);
  if (!range) return {std::string(kMalformed)};
  const uint64_t at = (GuestView(machine_, cpu_).controls().efer & efer::kLMA) == 0
                          ? range->first & 0xffff'ffff
                          : range->first;
  auto& set = breakpoints_[*type];
  if (!insert) {
    set.erase(at);
    set.erase(range->first);  // where it was put in another mode
    for (const uint64_t gone : {at, range->first}) {
      if (!breakpoints_[1 - *type].contains(gone)) machine_.set_breakpoint(gone, false);
    }
    return {std::string(kOk)};
  }
  if (set.size() >= kMostBreakpoints) return {"E1c"};
  set.insert(at);
  machine_.set_breakpoint(at, true);
  return {std::string(kOk)};
}

std::string Session::read_memory(absl::string_view packet) {
  const auto range = take_range(packet);
  if (!range || !packet.empty()) return std::string(kMalformed);
  std::vector<uint8_t> bytes(std::min(range->second, kMostBytes));
  const size_t n = GuestView(machine_, cpu_).read(range->first, absl::MakeSpan(bytes));
  if (n == 0 && !bytes.empty()) return std::string(kNotThere);
  return to_hex(absl::MakeConstSpan(bytes).first(n));
}

std::string Session::write_memory(absl::string_view packet, bool binary) {
  const auto range = take_range(packet);
  if (!range || !absl::ConsumePrefix(&packet, ":")) return std::string(kMalformed);
  std::optional<std::string> bytes = std::string(packet);
  if (!binary) bytes = from_hex(packet);
  if (!bytes || bytes->size() != range->second) return std::string(kMalformed);
  const size_t n = GuestView(machine_, cpu_).write(range->first, bytes_of_text(*bytes));
  return std::string(n == bytes->size() ? kOk : kNotThere);
}

std::string Session::all_registers() {
  std::string text;
  for (unsigned n = 0; n < register_count(wide_); ++n) {
    text += to_hex(read_register(machine_.cpu(cpu_), wide_, n));
  }
  return text;
}

std::string Session::set_all_registers(absl::string_view hex) {
  const auto bytes = from_hex(hex);
  size_t wanted = 0;
  for (unsigned n = 0; n < register_count(wide_); ++n) wanted += register_bytes(wide_, n);
  if (!bytes || bytes->size() != wanted) return std::string(kMalformed);
  bool all = true;
  for (size_t at = 0, n = 0; n < register_count(wide_); ++n) {
    const auto number = static_cast<unsigned>(n);
    const size_t size = register_bytes(wide_, number);
    all = write_register(machine_.cpu(cpu_), wide_, number,
                         absl::string_view(*bytes).substr(at, size)) &&
          all;
    at += size;
  }
  return std::string(all ? kOk : kMalformed);
}

std::string Session::one_register(absl::string_view packet) {
  const auto n = take_hex(packet);
  if (!n || !packet.empty() || *n >= register_count(wide_)) return std::string(kMalformed);
  return to_hex(read_register(machine_.cpu(cpu_), wide_, static_cast<unsigned>(*n)));
}

std::string Session::set_one_register(absl::string_view packet) {
  const auto n = take_hex(packet);
  if (!n || *n >= register_count(wide_) || !absl::ConsumePrefix(&packet, "="))
    return std::string(kMalformed);
  const auto bytes = from_hex(packet);
  const bool done =
      bytes && write_register(machine_.cpu(cpu_), wide_, static_cast<unsigned>(*n), *bytes);
  return std::string(done ? kOk : kMalformed);
}

}  // namespace gnomon::vmm::gdb
