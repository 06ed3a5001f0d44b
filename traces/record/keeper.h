// SPDX-License-Identifier: Apache-2.0
#ifndef GNOMON_TRACES_RECORD_KEEPER_H_
#define GNOMON_TRACES_RECORD_KEEPER_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace gnomon::recording {

/// Runs a program, and answers for all its descendants: a process of ours between us and the
/// program becomes the parent of every orphan below it, so that none can get away, whatever happens
/// to us.
class Keeper {
 public:
  /// What became of the program.
  struct Outcome {
    int error = 0;        ///< errno: it could not be started
    int wait_status = 0;  ///< as of waitpid
  };

  /// `scratch` is removed by the keeper should this process die first. `environment` as for execve.
  /// `output_to_error`: what the program writes to its standard output goes to our standard error.
  static absl::StatusOr<Keeper> start(const std::vector<std::string>& command,
                                      const std::vector<std::string>& environment,
                                      const std::string& scratch, bool output_to_error);
  Keeper(Keeper&& other) noexcept;
  Keeper& operator=(Keeper&&) = delete;
  /// Kills what is left.
  ~Keeper();

  /// Readable when there is something to poll() for.
  int descriptor() const { return reports_; }
  /// Never blocks. True once no process is left.
  bool all_gone();
  /// Of the first process, once it ended.
  const std::optional<Outcome>& outcome() const { return outcome_; }

  /// Ends all processes: half a second after `gently` with SIGTERM, another second later with
  /// SIGKILL; else at once. May be called again.
  void stop(bool gently);

 private:
  Keeper(pid_t pid, int reports) : pid_(pid), reports_(reports) {}

  pid_t pid_;
  int reports_;
  std::optional<Outcome> outcome_;
  bool gone_ = false;
};

}  // namespace gnomon::recording

#endif  // GNOMON_TRACES_RECORD_KEEPER_H_
