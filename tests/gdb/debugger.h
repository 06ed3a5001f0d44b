// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_GDB_DEBUGGER_H_
#define TESTS_GDB_DEBUGGER_H_

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gnomon/vmm/gdb_server.h"
#include "gnomon/vmm/machine.h"
#include "vmm/gdb/packet.h"

namespace gnomon::vmm {

/// A machine, its server, and a debugger on the other end; the server runs whenever the debugger
/// waits.
class Debugger {
 public:
  explicit Debugger(std::unique_ptr<Machine> machine, GdbOptions options = {})
      : machine_(std::move(machine)) {
    options.say = [this](absl::string_view line) { said += absl::StrCat(line, "\n"); };
    auto server = GdbServer::create(*machine_, options);
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    connect_again();
  }
  ~Debugger() { close(fd_); }
  Debugger(const Debugger&) = delete;
  Debugger& operator=(const Debugger&) = delete;

  void connect_again() {
    if (fd_ >= 0) close(fd_);
    fd_ = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(server_->port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(connect(fd_, reinterpret_cast<struct sockaddr*>(&address), sizeof address), 0);
    received_.clear();
    run();  // may first have to notice that the one before is gone
    run();
    EXPECT_TRUE(server_->connected());
  }
  void hang_up() {
    close(fd_);
    fd_ = -1;
    for (int i = 0; i < 100 && server_->connected(); ++i) run();
  }

  void send_raw(absl::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n <= 0) {
        run();
        if (!server_->connected()) return;
        continue;
      }
      bytes.remove_prefix(static_cast<size_t>(n));
    }
  }
  GdbServer::Turn run() { return turn = server_->run(kSlice, end); }
  /// Until the machine ends, or is killed.
  void run_to_the_end() {
    for (int i = 0;
         i < 10 && end.reason == RunEnd::Reason::kLimit && turn != GdbServer::Turn::kKilled; ++i)
      run();
  }

  /// The next byte of the server, which runs until it says something. 0: it does not.
  char next() {
    for (int i = 0; i < 200 && received_.empty(); ++i) {
      struct pollfd p = {fd_, POLLIN, 0};
      if (poll(&p, 1, 0) > 0) {
        char bytes[4096];
        const ssize_t n = recv(fd_, bytes, sizeof bytes, 0);
        if (n <= 0) return 0;
        received_.append(bytes, static_cast<size_t>(n));
      } else {
        run();
      }
    }
    if (received_.empty()) return 0;
    const char c = received_[0];
    received_.erase(0, 1);
    return c;
  }
  /// The next packet's payload; acknowledgements before it are skipped.
  std::string packet() {
    char c = next();
    while (c == '+') c = next();
    if (c != '$') return absl::StrCat("no packet but ", static_cast<int>(c));
    std::string payload;
    for (c = next(); c != '#' && c != 0; c = next()) {
      payload += c == '}' ? static_cast<char>(next() ^ 0x20) : c;
    }
    next();
    next();
    return payload;
  }
  std::string ask(absl::string_view payload) {
    send_raw(gdb::to_packet(payload));
    return packet();
  }
  /// The text that a monitor command prints.
  std::string monitor(absl::string_view line) {
    send_raw(gdb::to_packet(absl::StrCat("qRcmd,", gdb::to_hex(line))));
    std::string text;
    for (std::string p = packet(); p != "OK"; p = packet()) {
      if (p.empty() || p[0] != 'O') return absl::StrCat("unexpected: ", p);
      text += gdb::from_hex(absl::string_view(p).substr(1)).value_or("?");
    }
    return text;
  }

  Machine& machine() { return *machine_; }
  GdbServer& server() { return *server_; }
  RunEnd end;
  GdbServer::Turn turn = GdbServer::Turn::kStopped;
  std::string said;

 private:
  static constexpr uint64_t kSlice = 10'000;

  std::unique_ptr<Machine> machine_;
  std::unique_ptr<GdbServer> server_;
  int fd_ = -1;
  std::string received_;
};

}  // namespace gnomon::vmm

#endif  // TESTS_GDB_DEBUGGER_H_
