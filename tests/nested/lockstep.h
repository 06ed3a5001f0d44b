// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_NESTED_LOCKSTEP_H_
#define TESTS_NESTED_LOCKSTEP_H_

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gnomon/memory/p2m.h"
#include "gnomon/tlb/walk_caches.h"
#include "mmu/native/native.h"
#include "mmu/nested/nested.h"

namespace gnomon::nested_test {

/// The same guest twice, once on the native MMU and once on a nested one. Each step does something to both
/// and compares what the guest could tell; the nested tables are audited.
class Lockstep {
 public:
  using Draw = std::function<uint64_t(uint64_t bound)>;

  struct Config {
    absl::string_view options;
    bool npt;
    bool cached;  ///< with paging-structure caches and a nested TLB
  };
  static constexpr std::array<Config, 8> kConfigs = {{{"ad=on", false, false},
                                                      {"ad=off", false, false},
                                                      {"levels=5,max_page=2M", false, true},
                                                      {"max_page=4K,ad=off", false, true},
                                                      {"levels=5,ad=off", false, false},
                                                      {"", true, false},
                                                      {"levels=5", true, true},
                                                      {"ad=on", false, true}}};

  explicit Lockstep(const Config& config) {
    native_.mmu = std::make_unique<NativeMmu>(native_.p2m);
    nested_.mmu = (config.npt ? create_npt : create_nested)(nested_.p2m, config.options).value();
    WalkCacheConfig geometry;
    for (unsigned level = 2; level <= 5; ++level) geometry.guest[level] = geometry.host[level] = {4, 2};
    geometry.nested = {8, 0};
    if (config.cached) caches_ = WalkCaches::create(geometry).value();
    nested_.cpu.caches = caches_.get();
    for (Side* side : {&native_, &nested_}) side->mmu->attach(side->cpu);
    set_controls(1);
  }
  ~Lockstep() {
    for (Side* side : {&native_, &nested_}) side->mmu->detach(side->cpu);
  }

  /// One step drawn from `draw`. Not empty: what is wrong.
  std::string step(const Draw& draw) {
    const std::string wrong = do_step(draw);
    if (!wrong.empty()) return wrong;
    const std::vector<AuditFinding> findings = nested_.mmu->audit();
    return findings.empty() ? "" : absl::StrCat("invariant ", findings[0].invariant, ": ", findings[0].text);
  }

 private:
  static constexpr uint64_t kRam = 8 << 20;
  static constexpr uint64_t kRom = 0x1000'0000;
  static constexpr uint64_t kMmio = 0xfee0'0000;
  static constexpr uint64_t kHigh = uint64_t{1} << 48;
  static constexpr uint64_t kTables = 6;  // pages from guest-physical 0x1000 on that hold tables

  struct Side {
    Side() : host(HostMemory::create(64 << 20).value()), p2m(*host), cpu(0, {.maxphyaddr = 52}) {
      const bool ok = p2m.add_slot(Gpa(0), kRam, {.backing = PageSize::k2M, .fragmented_percent = 30}).ok() &&
                      p2m.add_slot(Gpa(kRom), 0x4000, {.rom = true}).ok() &&
                      p2m.add_slot(Gpa(kHigh), 0x4000).ok() && p2m.add_mmio(Gpa(kMmio), 0x2000).ok();
      if (!ok) std::abort();
    }
    std::unique_ptr<HostMemory> host;
    P2m p2m;
    VcpuState cpu;
    std::unique_ptr<Backend> mmu;
  };

  template <class F>
  void both(F&& f) {
    f(native_);
    f(nested_);
  }

  static Gpa some_address(const Draw& draw) {
    switch (draw(16)) {
      case 0: return Gpa(kRom + draw(4) * 0x1000);
      case 1: return Gpa(kMmio + draw(4) * 0x1000);  // and just beyond it
      case 2: return Gpa(kHigh + draw(4) * 0x1000);
      case 3: return Gpa(draw(8) * 0x20'0000);  // and beyond the RAM
      case 4: case 5: case 6: return Gpa(0x10'0000 + draw(64) * 0x1000);
      default: return Gpa(0x1000 + draw(kTables) * 0x1000);
    }
  }
  static Gva some_va(const Draw& draw) {
    const uint64_t indices = draw(256);  // one of four entries at each level
    uint64_t va = draw(8);
    for (unsigned level = 0; level < 4; ++level) va |= ((indices >> (2 * level)) & 3) << (12 + 9 * level);
    return Gva(draw(4) == 0 ? va & 0xffff'ffff : va);
  }

  void set_controls(uint64_t bits) {
    both([&](Side& s) {
      Controls& c = s.cpu.controls;
      const unsigned mode = bits & 7;
      c.cr0 = cr0::kPE | (mode == 7 ? 0 : cr0::kPG) | ((bits & 8) != 0 ? cr0::kWP : 0);
      c.cr4 = (mode == 6 ? 0 : cr4::kPAE) | (mode == 5 ? cr4::kLA57 : 0) |
              ((bits & 16) != 0 ? cr4::kSMEP : 0) | ((bits & 32) != 0 ? cr4::kSMAP : 0) |
              ((bits & 64) != 0 ? cr4::kPKE : 0) | ((bits & 128) != 0 ? cr4::kPSE : 0) | cr4::kPGE;
      c.efer = (mode <= 3 || mode == 5 ? efer::kLME | efer::kLMA : 0) | ((bits & 256) != 0 ? efer::kNXE : 0);
      c.ac = (bits & 512) != 0;
      c.pkru = static_cast<uint32_t>(bits >> 10 & 0xf);
      c.cr3 = 0x1000 + ((bits >> 14) % kTables) * 0x1000;
      s.cpu.update_rules();
      load_pdptes(s.p2m, c, s.cpu.rules);
    });
    if (caches_ != nullptr) caches_->flush_all();
  }

  std::string do_step(const Draw& draw) {
    switch (draw(16)) {
      case 0: case 1: case 2: case 3: case 4: return write_entry(draw);
      case 5: return change_p2m(draw);
      case 6:
        if (draw(4) == 0) set_controls(draw(1 << 18));
        if (draw(16) == 0) nested_.mmu->drop_caches();
        return "";
      default: return access(draw);
    }
  }

  std::string write_entry(const Draw& draw) {
    const Gpa at(0x1000 + draw(kTables) * 0x1000 + draw(4) * 8);
    constexpr std::array<uint64_t, 4> kRare = {pte::kNoExecute, uint64_t{1} << 50, pte::kGlobal,
                                               uint64_t{5} << pte::kKeyShift};
    uint64_t value = some_address(draw).value() | draw(256);
    if (draw(4) != 0) value |= pte::kPresent | pte::kUser | pte::kWritable;
    if (draw(4) != 0) value &= ~pte::kLarge;
    if (draw(8) == 0) value |= kRare[draw(4)];
    std::array<StoreResult, 2> results{};
    const unsigned size = draw(8) == 0 ? 1 + static_cast<unsigned>(draw(8)) : 8;
    results[0] = native_.mmu->write_physical(native_.cpu, at, value, size);
    results[1] = nested_.mmu->write_physical(nested_.cpu, at, value, size);
    if (caches_ != nullptr) caches_->flush_guest();  // as INVLPG would
    return results[0] == results[1] ? "" : "a store ended differently";
  }

  std::string change_p2m(const Draw& draw) {
    const Gpa at = some_address(draw);
    const uint64_t frames = 1 + draw(draw(4) == 0 ? 2048 : 4);
    const uint64_t what = draw(8);
    std::vector<std::vector<Gpa>> dirty;
    both([&](Side& s) {
      switch (what) {
        case 0: (void)s.p2m.remap(at); break;
        case 1: (void)s.p2m.balloon(at); break;
        case 2: (void)s.p2m.deflate(at); break;
        case 3: (void)s.p2m.split(at); break;
        case 4: (void)s.p2m.promote(at); break;
        case 5: s.p2m.start_dirty_log(at, frames); break;
        case 6: s.p2m.stop_dirty_log(at, frames); break;
        default: dirty.push_back(s.p2m.take_dirty(at, frames)); break;
      }
    });
    if (dirty.empty()) return "";
    // With accessed and dirty flags, walked tables are marked too.
    for (const Gpa gpa : dirty[0]) {
      if (std::find(dirty[1].begin(), dirty[1].end(), gpa) == dirty[1].end()) {
        return absl::StrCat("not marked dirty: ", to_string(gpa));
      }
    }
    return "";
  }

  std::string access(const Draw& draw) {
    const Gva va = some_va(draw);
    const Access a{static_cast<AccessOp>(draw(3)), static_cast<Privilege>(draw(3)), draw(16) == 0};
    const Translation x = native_.mmu->miss(native_.cpu, va, a);
    const Translation y = nested_.mmu->miss(nested_.cpu, va, a);
    const auto differ = [&](absl::string_view what) {
      return absl::StrCat(what, ": ", to_string(a), " of ", to_string(va), "\n  native ", to_string(x),
                          "\n  nested ", to_string(y));
    };
    if (x.outcome != y.outcome) return differ("outcome");
    if (x.cause != y.cause || x.level != y.level || x.gpa != y.gpa) return differ("cause or place");
    if (x.error_code != y.error_code) return differ("error code");
    if (!x.ok() || a.probe()) return "";
    if (x.rights != y.rights || x.key != y.key || x.global != y.global) return differ("rights");
    // While anything is logged, the native processor's TLB keeps 4K pieces of every page.
    if (y.size > x.size && !native_.p2m.logging()) return differ("size");
    // The nested side marks walked tables dirty (accessed and dirty flags), so a page may be writable there
    // that is still logged on the native side.
    const P2mEntry e = nested_.p2m.lookup(y.gpa);
    if ((y.dirty && !x.dirty && !e.writable()) || (a.write() && !y.dirty)) return differ("dirty");
    if (!e.is_ram() || y.hpa != e.frame().with_offset(PageSize::k4K, y.gpa.value())) return differ("frame");
    return same_tables() ? "" : differ("accessed and dirty flags");
  }

  bool same_tables() const {
    for (uint64_t at = 0x1000; at < 0x1000 + kTables * 0x1000; at += 0x1000) {
      const uint8_t* x = native_.p2m.ram_at(Gpa(at));
      const uint8_t* y = nested_.p2m.ram_at(Gpa(at));
      if (x != nullptr && y != nullptr && std::memcmp(x, y, 64) != 0) return false;
    }
    return true;
  }

  Side native_, nested_;
  std::unique_ptr<WalkCaches> caches_;
};

}  // namespace gnomon::nested_test

#endif  // TESTS_NESTED_LOCKSTEP_H_
