// SPDX-License-Identifier: Apache-2.0
#include "tests/access/matrix.h"

#include <bit>
#include <chrono>
#include <memory>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tests/access/machine.h"
#include "tests/naive/naive_mmu.h"

namespace gnomon::access_test {
namespace {

constexpr uint64_t kWritable = 2;
constexpr size_t kKeptMismatches = 5;

/// The two entries of a case as the guest writes them, and the pointer above.
struct Tables {
  uint64_t pdpte = 0, pde = 0, pte = 0;
};

/// What the model says about one access: it is compared field by field.
struct Expected {
  NaiveResult result;
  uint64_t pde = 0, pte = 0;  ///< afterwards
};

struct Case {
  Step step;
  Expected first, second;
};

// The accesses of a case in order: either the access and itself again, or a supervisor read before it.
Access access_of(const Step& s, unsigned turn) {
  if (s.after_read && turn == 0) return {AccessOp::kRead, Privilege::kSupervisor};
  return {s.op, s.by};
}

// What a TLB would keep must allow nothing that the guest forbids, nor hide a first write. It need not
// have the guest's rights: a shadow pager serves CR0.WP = 0 with entries that are not the user's.
absl::string_view caching_error(const NaiveResult& expected, const Translation& got,
                                const PagingRules& rules) {
  for (const AccessOp op : {AccessOp::kRead, AccessOp::kWrite, AccessOp::kFetch}) {
    if (op == AccessOp::kWrite && !got.dirty) continue;
    for (const Privilege by : {Privilege::kUser, Privilege::kSupervisor, Privilege::kImplicit}) {
      const Access access{op, by};
      if (rules.allows(access, got.rights, got.key) &&
          !rules.allows(access, expected.rights, expected.key)) {
        return "allows more than the guest does";
      }
    }
  }
  if (got.dirty && !expected.dirty) return "dirty, but the guest's entry is clean";
  if (got.size > expected.guest_size) return "larger than the guest's page";
  if (got.splintered && got.size == expected.guest_size) return "splintered, but whole";
  if (rules.pke && (got.rights & kRightUser) != 0 && got.key != expected.key) {
    return "another protection key";
  }
  return "";
}

/// One thread: its own machines, its own share of the units.
class Worker {
 public:
  Worker(const MatrixOptions& options, unsigned number) : options_(options), number_(number) {
    model_.maxphyaddr = options.space.maxphyaddr;
    model_.accessed_before_fault = options.accessed_before_fault;
    model_.pdptes_in_memory = options.pdptes_in_memory;
    for (const std::string& name : options.backends) {
      BackendReport& report = reports_.emplace_back();
      report.backend = name;
      auto machine = Machine::create(name, model_);
      report.registered = !absl::IsNotFound(machine.status());
      if (!machine.ok() && report.registered) mismatch(report, machine.status().ToString());
      machines_.push_back(machine.ok() ? *std::move(machine) : nullptr);
    }
  }

  void run();
  std::vector<BackendReport>& reports() { return reports_; }

 private:
  void run_unit(const ControlSet& c, const EntryFlags& pde, bool writable_pointer, bool key,
                const std::vector<EntryFlags>& ptes, const std::vector<Step>& all);
  void set_tables(Machine& m, const Tables& t);
  void predict(Case& k, const Tables& t);
  Expected predict_access(const Step& s, unsigned turn);
  void check(size_t backend, const ControlSet& c, const Tables& t, const std::vector<Case>& cases);
  void check_access(BackendReport& report, Machine& m, const ControlSet& c, const Tables& t,
                    const Case& k, unsigned turn);
  void audit(size_t backend, const ControlSet& c);
  void mismatch(BackendReport& report, std::string text);

  const MatrixOptions& options_;
  const unsigned number_;
  CpuModel model_;
  std::unique_ptr<Machine> memory_ = Machine::memory_only();
  std::vector<std::unique_ptr<Machine>> machines_;
  std::vector<BackendReport> reports_;
  Path path_;
  uint64_t unit_ = 0, case_ = 0;
  std::vector<Case> cases_;
};

void Worker::run() {
  const Space& space = options_.space;
  const Gva va = test_address(space.mode);
  bool mapped = false;
  for (const ControlSet& c : control_sets(space)) {
    memory_->set_controls(space.mode, c);
    for (auto& m : machines_) {
      if (m != nullptr) m->set_controls(space.mode, c);
    }
    if (!mapped) {
      path_ = memory_->map_path(space.mode, va);
      for (auto& m : machines_) {
        if (m != nullptr) m->map_path(space.mode, va);
      }
      mapped = true;
    }
    const auto ptes = table_entries(space, c);
    const auto all_steps = steps(space, c);
    for (const bool writable_pointer : {true, false}) {
      for (const bool key : {false, true}) {
        if (!space.long_mode() && (!writable_pointer || key)) continue;
        for (const EntryFlags& pde : directory_entries(space, c)) {
          if (unit_++ % options_.threads == number_) {
            run_unit(c, pde, writable_pointer, key, ptes, all_steps);
          } else {
            for (const EntryFlags& pte : ptes) {
              if (is_legal(space, pde, pte)) case_ += all_steps.size();
            }
          }
        }
      }
    }
    for (size_t i = 0; i < machines_.size(); ++i) audit(i, c);
  }
}

void Worker::run_unit(const ControlSet& c, const EntryFlags& pde, bool writable_pointer, bool key,
                      const std::vector<EntryFlags>& ptes, const std::vector<Step>& all) {
  const Space& space = options_.space;
  const bool large = (pde.bits & 0x80) != 0;
  Tables t;
  t.pdpte = memory_->entry(path_.entry[3]);
  if (space.long_mode()) t.pdpte = writable_pointer ? t.pdpte | kWritable : t.pdpte & ~kWritable;
  // An entry that points to a table carries a key that must be ignored.
  t.pde = kRegion | pde.bits | (key ? (large ? uint64_t{1} : uint64_t{2}) << 59 : 0);
  for (const EntryFlags& pte : ptes) {
    if (!is_legal(space, pde, pte)) continue;
    t.pte = kSmallPage | pte.bits | (key ? uint64_t{1} << 59 : 0);
    const int away = std::popcount((pde.bits ^ 0x67) & ~uint64_t{0x80}) +
                     std::popcount(pte.bits ^ 0x67) + (writable_pointer ? 0 : 1) + (key ? 1 : 0);
    cases_.clear();
    for (const Step& s : all) {
      if (case_++ % options_.stride == 0 || away <= 2) cases_.emplace_back().step = s;
    }
    if (cases_.empty()) continue;
    set_tables(*memory_, t);
    for (Case& k : cases_) predict(k, t);
    for (size_t i = 0; i < machines_.size(); ++i) {
      if (machines_[i] != nullptr) check(i, c, t, cases_);
    }
  }
}

void Worker::set_tables(Machine& m, const Tables& t) {
  if (options_.space.long_mode()) m.update(path_.entry[3], t.pdpte, path_.va);
  m.update(path_.entry[2], t.pde, path_.va);
  m.update(path_.entry[1], t.pte, path_.va);
}

Expected Worker::predict_access(const Step& s, unsigned turn) {
  Expected e;
  e.result = NaiveMmu(memory_->p2m())
                 .translate(memory_->controls(), model_, path_.va, access_of(s, turn), true);
  e.pde = memory_->entry(path_.entry[2]);
  e.pte = memory_->entry(path_.entry[1]);
  return e;
}

void Worker::predict(Case& k, const Tables& t) {
  memory_->set_step(k.step.ac, k.step.pkru);
  set_tables(*memory_, t);
  k.first = predict_access(k.step, 0);
  k.second = predict_access(k.step, 1);
}

void Worker::check(size_t backend, const ControlSet& c, const Tables& t,
                   const std::vector<Case>& cases) {
  BackendReport& report = reports_[backend];
  Machine& m = *machines_[backend];
  const auto start = std::chrono::steady_clock::now();
  for (const Case& k : cases) {
    m.set_step(k.step.ac, k.step.pkru);
    set_tables(m, t);
    check_access(report, m, c, t, k, 0);
    check_access(report, m, c, t, k, 1);
  }
  report.cases += cases.size();
  report.accesses += 2 * cases.size();
  report.seconds +=
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void Worker::check_access(BackendReport& report, Machine& m, const ControlSet& c, const Tables& t,
                          const Case& k, unsigned turn) {
  const Expected& expected = turn == 0 ? k.first : k.second;
  const Access access = access_of(k.step, turn);
  const Translation got = m.access(path_.va, access);
  std::string wrong = difference(expected.result, got, m.p2m());
  if (!got.ok()) ++report.faults;
  const uint64_t pde = m.entry(path_.entry[2]), pte = m.entry(path_.entry[1]);
  if (wrong.empty() && (pde != expected.pde || pte != expected.pte)) [[unlikely]] {
    wrong = absl::StrFormat("afterwards pde %x pte %x, expected %x %x", pde, pte, expected.pde,
                            expected.pte);
  }
  if (wrong.empty() && got.ok() && got.cacheable) {
    wrong = std::string(caching_error(expected.result, got, m.cpu().rules));
  }
  if (wrong.empty()) [[likely]] return;
  mismatch(report, absl::StrFormat("[%s] pdpte %x pde %x pte %x, %s, access %d: %s", to_string(c),
                                   t.pdpte, t.pde, t.pte, to_string(k.step), turn + 1, wrong));
}

void Worker::audit(size_t backend, const ControlSet& c) {
  if (machines_[backend] == nullptr) return;
  ++reports_[backend].audits;
  for (const AuditFinding& f : machines_[backend]->backend().audit()) {
    mismatch(reports_[backend],
             absl::StrCat("[", to_string(c), "] audit: invariant ", f.invariant, ": ", f.text));
  }
}

void Worker::mismatch(BackendReport& report, std::string text) {
  ++report.mismatches;
  if (report.first_mismatches.size() < kKeptMismatches) {
    report.first_mismatches.push_back(std::move(text));
  }
}

}  // namespace

std::vector<BackendReport> run_matrix(const MatrixOptions& options) {
  std::vector<std::unique_ptr<Worker>> workers;
  for (unsigned i = 0; i < options.threads; ++i) {
    workers.push_back(std::make_unique<Worker>(options, i));
  }
  std::vector<std::thread> threads;
  for (auto& w : workers) threads.emplace_back([&w] { w->run(); });
  for (std::thread& t : threads) t.join();

  std::vector<BackendReport> total = workers[0]->reports();
  for (size_t i = 1; i < workers.size(); ++i) {
    for (size_t b = 0; b < total.size(); ++b) {
      const BackendReport& part = workers[i]->reports()[b];
      total[b].cases += part.cases;
      total[b].accesses += part.accesses;
      total[b].faults += part.faults;
      total[b].mismatches += part.mismatches;
      total[b].audits += part.audits;
      total[b].seconds += part.seconds;
      for (const std::string& text : part.first_mismatches) {
        if (total[b].first_mismatches.size() < kKeptMismatches) {
          total[b].first_mismatches.push_back(text);
        }
      }
    }
  }
  return total;
}

std::string to_string(const BackendReport& r) {
  if (!r.registered) return absl::StrCat(r.backend, ": skipped: not registered");
  return absl::StrFormat("%s: %d cases, %d accesses (%d faults), %d mismatches, %.2f us a case",
                         r.backend, r.cases, r.accesses, r.faults, r.mismatches,
                         r.cases == 0 ? 0.0 : 1e6 * r.seconds / static_cast<double>(r.cases));
}

}  // namespace gnomon::access_test
