// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "gnomon/vmm/gdb_server.h"
#include "vmm/cpu/cpu.h"
#include "vmm/gdb/packet.h"
#include "vmm/gdb/session.h"

namespace gnomon::vmm {
namespace {

using gdb::PacketEvent;
using gdb::Session;

/// How long one call waits where there is nothing else to do.
constexpr int kPatience = 20;  // milliseconds
/// A debugger that does not read for so long is gone.
constexpr int kSendPatience = 5000;

class Socket {
 public:
  explicit Socket(int fd = -1) : fd_(fd) {}
  ~Socket() { close(); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  int fd() const { return fd_; }
  bool open() const { return fd_ >= 0; }
  void reset(int fd) {
    close();
    fd_ = fd;
  }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_;
};

bool readable(int fd, int milliseconds) {
  struct pollfd p = {fd, POLLIN, 0};
  return poll(&p, 1, milliseconds) > 0;
}

bool is_wide_image(const Machine& machine) {
  if (machine.guest().format == "linux64") return true;
  std::ifstream file(machine.options().load.image, std::ios::binary);
  std::array<char, 5> head = {};
  file.read(head.data(), head.size());
  constexpr char kElfClass64 = 2;
  return std::memcmp(head.data(), "\177ELF", 4) == 0 && head[4] == kElfClass64;
}

class Server final : public GdbServer {
 public:
  Server(Machine& machine, const GdbOptions& options)
      : machine_(machine), options_(options), wide_image_(is_wide_image(machine)) {}

  absl::Status listen();
  uint16_t port() const override { return port_; }
  bool connected() const override { return client_.open(); }
  Turn run(uint64_t instructions, RunEnd& end) override;
  void finish(const RunEnd& end) override;

 private:
  void say(absl::string_view line) const {
    if (options_.say) options_.say(line);
  }
  bool wide() const {
    if (options_.registers != GdbOptions::Registers::kAuto) {
      return options_.registers == GdbOptions::Registers::kX86_64;
    }
    return wide_image_ || machine_.cpu(0).long_mode();
  }
  void accept_client();
  void drop_client(absl::string_view why);
  void hear(int milliseconds);
  void take(const PacketEvent& event);
  void send_packets(const std::vector<std::string>& payloads);
  void send(absl::string_view bytes);

  Machine& machine_;
  const GdbOptions options_;
  const bool wide_image_;
  Socket listener_, client_;
  uint16_t port_ = 0;
  std::unique_ptr<Session> session_;  // of client_
  gdb::PacketReader reader_;
  std::string last_sent_;
  bool free_ = false;  // a debugger has detached, and the machine runs without one
  bool killed_ = false;
};

absl::Status failure(absl::string_view what) {
  return absl::UnavailableError(
      absl::StrCat("GDB server: cannot ", what, ": ", std::strerror(errno)));
}

absl::Status Server::listen() {
  listener_.reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener_.open()) return failure("make a socket");
  const int on = 1;
  setsockopt(listener_.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  struct sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(options_.port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* const generic = reinterpret_cast<struct sockaddr*>(&address);
  if (bind(listener_.fd(), generic, sizeof address) != 0) {
    return failure(absl::StrCat("use port ", options_.port));
  }
  if (::listen(listener_.fd(), 1) != 0) return failure("listen");
  socklen_t length = sizeof address;
  if (getsockname(listener_.fd(), generic, &length) != 0) return failure("find its port");
  port_ = ntohs(address.sin_port);
  return absl::OkStatus();
}

void Server::accept_client() {
  const int fd = accept4(listener_.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) return;
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  client_.reset(fd);
  reader_ = {};
  last_sent_.clear();
  session_ = std::make_unique<Session>(machine_, wide());
  free_ = false;
}

void Server::drop_client(absl::string_view why) {
  client_.close();
  session_.reset();
  if (!why.empty()) say(absl::StrCat("GDB server: ", why));
}

void Server::send(absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(client_.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n > 0) {
      bytes.remove_prefix(static_cast<size_t>(n));
      continue;
    }
    struct pollfd p = {client_.fd(), POLLOUT, 0};
    const bool full = n < 0 && (errno == EAGAIN || errno == EINTR);
    if (!full || poll(&p, 1, kSendPatience) <= 0) {
      return drop_client("the debugger is gone; the machine waits for the next one");
    }
  }
}

void Server::send_packets(const std::vector<std::string>& payloads) {
  for (const std::string& payload : payloads) {
    if (!client_.open()) return;
    last_sent_ = gdb::to_packet(payload);
    send(last_sent_);
  }
}

void Server::take(const PacketEvent& event) {
  switch (event.kind) {
    case PacketEvent::Kind::kAck: return;
    case PacketEvent::Kind::kNak: return send(last_sent_);
    case PacketEvent::Kind::kInterrupt: return send_packets(session_->interrupt());
    case PacketEvent::Kind::kTooLong:
      return drop_client(
          "a packet is longer than any may be; disconnected, the machine waits for the next "
          "debugger");
    case PacketEvent::Kind::kDamaged:
      if (!session_->no_acks()) send("-");
      return;
    case PacketEvent::Kind::kPacket: break;
  }
  if (session_->state() == Session::State::kRunning) return;  // only an interrupt may come then
  if (!session_->no_acks()) send("+");
  if (!client_.open()) return;
  send_packets(session_->handle(event.payload));
  if (!client_.open()) return;
  if (session_->state() == Session::State::kDetached) {
    free_ = true;
    drop_client("");
  } else if (session_->state() == Session::State::kKilled) {
    killed_ = true;
    drop_client("");
  }
}

// What the debugger has to say by now, waiting at most so long for it.
void Server::hear(int milliseconds) {
  if (!readable(client_.fd(), milliseconds)) return;
  std::array<char, 4096> bytes;
  const ssize_t n = recv(client_.fd(), bytes.data(), bytes.size(), 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) return drop_client("the debugger is gone; the machine waits for the next one");
  reader_.add(absl::string_view(bytes.data(), static_cast<size_t>(n)));
  while (client_.open()) {
    const auto event = reader_.next();
    if (!event) return;
    take(*event);
  }
}

GdbServer::Turn Server::run(uint64_t instructions, RunEnd& end) {
  if (!client_.open()) {
    if (readable(listener_.fd(), free_ ? 0 : kPatience)) accept_client();
  }
  if (client_.open()) {
    const bool running = session_->state() == Session::State::kRunning;
    hear(running && !session_->idle() ? 0 : kPatience);
  }
  if (killed_) return Turn::kKilled;
  if (!client_.open()) {
    if (!free_) return Turn::kStopped;
    end = machine_.run(instructions);
    return Turn::kRan;
  }
  if (session_->state() != Session::State::kRunning) return Turn::kStopped;
  std::vector<std::string> packets;
  end = RunEnd{};
  session_->run(instructions, end, packets);
  send_packets(packets);
  return Turn::kRan;
}

void Server::finish(const RunEnd& end) {
  if (client_.open()) send_packets({Session::ending(end)});
  drop_client("");
}

}  // namespace

absl::StatusOr<std::unique_ptr<GdbServer>> GdbServer::create(Machine& machine,
                                                             const GdbOptions& options) {
  auto server = std::make_unique<Server>(machine, options);
  if (absl::Status s = server->listen(); !s.ok()) return s;
  return server;
}

}  // namespace gnomon::vmm
