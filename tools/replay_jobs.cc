// SPDX-License-Identifier: Apache-2.0
#include "tools/replay_jobs.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "absl/strings/str_format.h"
#include "tools/guest_session.h"
#include "tools/progress.h"
#include "tools/units.h"

namespace gnomon::tools {
namespace {

/// Some backends of one plan, replayed in one reading of its traces; or one backend under which its guest is run.
struct Job {
  const ReplayPlan* plan;
  std::vector<std::string> backends;
  ReplayProgress progress;
  bool done = false;
  absl::StatusOr<BackendRun> result = absl::UnknownError("not run");
};

absl::StatusOr<BackendRun> run_job(Job& job) {
  if (job.plan->guest != nullptr) return run_guest_session(*job.plan, job.backends.front(), job.progress);
  absl::StatusOr<SessionResult> result = replay(job.plan->setup, job.backends, &job.progress);
  if (!result.ok()) return result.status();
  return BackendRun{*std::move(result), job.backends.front(), ""};
}

bool reads_once(const ReplayPlan& plan) {
  const std::vector<std::string>& traces = plan.setup.traces;
  return std::any_of(traces.begin(), traces.end(), [](const std::string& t) { return tools::reads_once(t); });
}

class Jobs {
 public:
  explicit Jobs(absl::Span<const ReplayPlan> plans, bool split) {
    for (const ReplayPlan& plan : plans) {
      if (plan.guest == nullptr && (!split || reads_once(plan))) {
        add(plan, plan.backends);
      } else {
        for (const std::string& backend : plan.backends) add(plan, {backend});
      }
    }
  }

  size_t size() const { return jobs_.size(); }

  void run(unsigned workers, bool show_progress) {
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < workers; ++i) threads.emplace_back([this] { work(); });
    watch(show_progress);
    for (std::thread& thread : threads) thread.join();
  }

  absl::StatusOr<std::vector<SessionResult>> results(absl::Span<const ReplayPlan> plans) {
    // The error that the user would have met first.
    for (const Job& job : jobs_) {
      if (!job.result.ok() && !absl::IsCancelled(job.result.status())) return job.result.status();
    }
    std::vector<SessionResult> results;
    auto job = jobs_.begin();
    for (const ReplayPlan& plan : plans) {
      BackendRun first = *std::move(job->result);
      SessionResult& whole = first.session;
      for (++job; whole.machines.size() < plan.backends.size(); ++job) {
        if (absl::Status s = check_same_end(first, *job->result); !s.ok()) return s;
        if (absl::Status s = check_rejected(whole, job->result->session); !s.ok()) return s;
        for (ReplayResult& machine : job->result->session.machines) whole.machines.push_back(std::move(machine));
      }
      results.push_back(std::move(whole));
    }
    return results;
  }

 private:
  void add(const ReplayPlan& plan, std::vector<std::string> backends) {
    Job& job = jobs_.emplace_back();
    job.plan = &plan;
    job.backends = std::move(backends);
  }

  void work() {
    for (;;) {
      Job* job = nullptr;
      {
        const std::lock_guard lock(mutex_);
        if (next_ < jobs_.size()) job = &jobs_[next_++];
      }
      if (job == nullptr) return;
      absl::StatusOr<BackendRun> result = absl::CancelledError();
      if (!failed_.load()) result = run_job(*job);
      if (!result.ok()) {
        failed_.store(true);
        // Those before it go on: theirs is the error to report, if they have one.
        bool after = false;
        for (Job& other : jobs_) {
          if (after) other.progress.stop.store(true);
          after |= &other == job;
        }
      }
      const std::lock_guard lock(mutex_);
      job->result = std::move(result);
      job->done = true;
      ++done_;
      changed_.notify_all();
    }
  }

  /// Shows progress until all jobs are done.
  void watch(bool show) {
    Progress line(show);
    std::unique_lock lock(mutex_);
    while (done_ < jobs_.size()) {
      changed_.wait_for(lock, std::chrono::milliseconds(200));
      uint64_t references = 0;
      double parts = 0;
      for (const Job& job : jobs_) {
        references += job.progress.references.load();
        parts += job.done ? 1 : part_done(job.progress);
      }
      const double part = parts / static_cast<double>(jobs_.size());
      line.update(references, part, jobs_.size() > 1
                                        ? absl::StrFormat(", replay %d of %d", std::min(done_ + 1, jobs_.size()),
                                                          jobs_.size())
                                        : "");
    }
  }

  static double part_done(const ReplayProgress& p) {
    const auto part = [](uint64_t done, uint64_t total) {
      return total == 0 ? 0 : std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
    };
    return std::max(part(p.references.load(), p.total_references.load()),
                    part(p.bytes.load(), p.total_bytes.load()));
  }

  std::deque<Job> jobs_;  // does not move its elements
  std::mutex mutex_;
  std::condition_variable changed_;
  size_t next_ = 0;
  size_t done_ = 0;
  std::atomic<bool> failed_{false};
};

/// Copies that read for themselves take some megabytes each, for each replay that is under way.
absl::Status check_readings(absl::Span<const ReplayPlan> plans, size_t at_once) {
  constexpr size_t kMostReadings = 256;
  for (const ReplayPlan& plan : plans) {
    const ReplaySetup& setup = plan.setup;
    if (setup.copies == 1 || setup.slice <= kMostSharedSlice) continue;
    const size_t readings = setup.copies * setup.traces.size() * at_once;
    if (readings <= kMostReadings) continue;
    return absl::InvalidArgumentError(absl::StrFormat(
        "--copies: with a --slice above %s every copy reads for itself, and %s readings at once are more "
        "than %s; take a smaller --slice, fewer copies or --jobs 1",
        with_separators(kMostSharedSlice), with_separators(readings), with_separators(kMostReadings)));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<SessionResult>> run_plans(absl::Span<const ReplayPlan> plans,
                                                     unsigned workers, bool show_progress) {
  if (workers == 0) workers = std::max(1u, std::thread::hardware_concurrency());
  Jobs jobs(plans, workers > 1);
  if (absl::Status s = check_readings(plans, std::min<size_t>(workers, jobs.size())); !s.ok()) return s;
  jobs.run(workers, show_progress);
  return jobs.results(plans);
}

}  // namespace gnomon::tools
