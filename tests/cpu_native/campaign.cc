// SPDX-License-Identifier: Apache-2.0
#include "tests/cpu_native/campaign.h"

#include <cstdio>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tests/cpu_native/values.h"
#include "vmm/cpu/fault.h"

namespace gnomon::vmm::native {
namespace {

constexpr unsigned kInputs = 4;            // for each snippet
constexpr uint64_t kMostMismatches = 400;  // then it is time to read
constexpr size_t kMostFindings = 40;

Snippet without(const Snippet& s, size_t i) {
  Snippet t = s;
  t.pieces.erase(t.pieces.begin() + static_cast<std::ptrdiff_t>(i));
  for (Piece& p : t.pieces) {
    if (p.relative && p.target > i) --p.target;
  }
  assemble(t);
  return t;
}

}  // namespace

void Tally::add(const Tally& other) {
  snippets += other.snippets;
  cases += other.cases;
  instructions += other.instructions;
  mismatches += other.mismatches;
  for (const auto& [k, n] : other.faults) faults[k] += n;
  for (const auto& [k, n] : other.executed) executed[k] += n;
  for (const auto& [k, f] : other.unbound) {
    unbound[k].first += f.first;
    unbound[k].second = f.second;
  }
  for (const auto& [k, f] : other.findings) {
    auto& mine = findings[k];
    mine.first += f.first;
    if (mine.second.empty()) mine.second = f.second;
  }
}

Campaign::Campaign(HostRunner& host, GuestRunner& guest, uint64_t seed)
    : host_(host),
      guest_(guest),
      rng_(seed),
      images_(kImages),
      fx_(kFx),
      executed_(ZYDIS_MNEMONIC_MAX_VALUE + 1) {
  refresh();
}

void Campaign::refresh() {
  for (Image& i : images_) fill_image(rng_, i);
  // The page that is not written is the same in all.
  for (Image& i : images_)
    std::copy_n(images_[0].data() + kDataBytes, kPage, i.data() + kDataBytes);
  for (FxImage& f : fx_) f = random_fx(rng_);
}

void Campaign::load(const Snippet& s) {
  host_.load(s.mode, s.code, s.end);
  guest_.load(s.mode, s.code, s.end);
}

Campaign::Outcome Campaign::run_both(const Snippet& s, const Input& input, const Image& image) {
  host_.write_memory(image);
  guest_.write_memory(image);
  for (const Poke& p : input.pokes) {
    const absl::Span<const uint8_t> bytes(p.bytes.data(), p.size);
    host_.write_bytes(p.address, bytes);
    guest_.write_bytes(p.address, bytes);
  }
  Outcome o;
  o.host.state = input.state;
  o.guest.state = input.state;
  o.host.state.rip = o.guest.state.rip = s.start();
  o.host.stop = host_.run(s.mode, o.host.state);
  o.guest.stop = guest_.run(s.mode, o.guest.state);
  o.undefined = undefined_after(s, input, o.host);
  if (o.guest.stop.vector == kInvalidOpcode && o.host.stop.vector != kInvalidOpcode) {
    o.unbound = s.piece_at(o.guest.state.rip) < s.pieces.size();
  }
  o.equal = is_open(s, o.host, o.guest) || (same(s, o.host, o.guest, o.undefined) &&
                                            host_.memory_equals(guest_.low3(), guest_.stack()));
  if (!host_.code_intact(s.code, s.end) || !guest_.code_intact(s.code, s.end)) load(s);
  return o;
}

std::string Campaign::memory_difference() const {
  const auto host = std::make_unique<Image>();
  const auto guest = std::make_unique<Image>();
  host_.read_memory(*host);
  guest_.read_memory(*guest);
  std::string out;
  unsigned shown = 0;
  for (unsigned i = 0; i < kImageBytes && shown < 24; ++i) {
    if ((*host)[i] == (*guest)[i]) continue;
    const uint64_t at = i < 3 * kPage ? kData + i : kStack + i - 3 * kPage;
    absl::StrAppendFormat(&out, "%s[%x]: host %02x guest %02x", shown++ == 0 ? "  memory " : ", ",
                          at, (*host)[i], (*guest)[i]);
  }
  if (shown != 0) out += '\n';
  return out;
}

void Campaign::note(const Snippet& s, const Outcome& o) {
  ++tally_.cases;
  size_t done = s.pieces.size();
  if (o.host.stop.vector != Stop::kEnd) {
    ++tally_.faults[o.host.stop.vector];
    done = std::min(done, s.piece_at(o.host.state.rip) + 1);
  }
  tally_.instructions += done;
  for (size_t i = 0; i < done; ++i) ++executed_[s.pieces[i].d.i.mnemonic];
}

void Campaign::report(Snippet s, Input input, const Image& image, const Outcome& o) {
  ++tally_.mismatches;
  Outcome last = o;
  std::string memory = memory_difference();
  // The smallest part of it that still differs.
  for (size_t i = 0; s.pieces.size() > 1 && i < s.pieces.size();) {
    Snippet t = without(s, i);
    bool sound = true;
    undefined_flags(t, -1, sound);
    if (sound) {
      load(t);
      const Outcome again = run_both(t, input, image);
      if (!again.equal && !again.unbound) {
        s = std::move(t);
        last = again;
        memory = memory_difference();
        i = 0;
        continue;
      }
    }
    ++i;
  }
  std::string key = s.mode == Mode::k64 ? "64:" : "32:";
  for (const Piece& p : s.pieces) absl::StrAppend(&key, " ", mnemonic_name(p.d.i.mnemonic));
  if (tally_.findings.size() >= kMostFindings && !tally_.findings.contains(key)) key = "others";
  auto& [count, example] = tally_.findings[key];
  if (count++ != 0) return;
  input.state.rip = s.start();
  example = absl::StrCat(s.text(), describe(s, input),
                         differences(s, last.host, last.guest, last.undefined), memory);
}

void Campaign::run_snippet(const Snippet& s, unsigned inputs, bool show) {
  load(s);
  ++tally_.snippets;
  Input input;
  for (unsigned k = 0; k < inputs; ++k) {
    bool fits = false;
    for (int tries = 0; tries < 4 && !fits; ++tries) fits = make_input(rng_, s, input);
    if (!fits) continue;
    input.state.fx = rng_.pick(fx_);
    const Image& image = rng_.pick(images_);
    const Outcome o = run_both(s, input, image);
    note(s, o);
    if (show) {
      std::printf("%sinput\n%s%s\n", k == 0 ? s.text().c_str() : "", describe(s, input).c_str(),
                  o.equal ? "  the same\n" : "");
      Result before{{}, input.state};
      before.stop = o.host.stop;
      before.state.rip = o.host.state.rip;
      std::printf("changes (host: before, guest: after)\n%s",
                  differences(s, before, o.host, 0).c_str());
    }
    if (o.unbound) {
      const Piece& p = s.pieces[s.piece_at(o.guest.state.rip)];
      auto& [count, example] = tally_.unbound[std::string(mnemonic_name(p.d.i.mnemonic))];
      if (count++ == 0) example = s.text();
      continue;
    }
    if (o.equal) continue;
    if (show)
      std::printf("differences\n%s%s", differences(s, o.host, o.guest, o.undefined).c_str(),
                  memory_difference().c_str());
    report(s, input, image, o);
    load(s);
  }
}

void Campaign::run(const GeneratorOptions& options, uint64_t cases) {
  const uint64_t until = tally_.cases + cases;
  const uint64_t most = tally_.mismatches + kMostMismatches;
  while (tally_.cases < until && tally_.mismatches < most) {
    if (tally_.snippets % 2048 == 2047) refresh();
    run_snippet(generate(rng_, options), kInputs, false);
  }
  for (unsigned m = 0; m < executed_.size(); ++m) {
    if (executed_[m] != 0) tally_.executed[std::string(mnemonic_name(m))] += executed_[m];
    executed_[m] = 0;
  }
}

}  // namespace gnomon::vmm::native
