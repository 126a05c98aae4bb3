// The main program of a simulated board (sim/board/simulated_board.py): its clock, and the far end of its serial line.
// The first argument is the descriptor of a terminal, whose bytes go over the line bit by bit in both directions. The
// second is the number of cycles of a bit. Simulated time goes on whether or not there are bytes, as a board's does.
// The end of standard input ends the program.

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "Vtop.h"
#include "verilated.h"

static const int POLL_CYCLES = 512;  // between looks at the terminal

// Bytes to the board's rx pin.
struct Sender {
  int divisor, timer = 0, left = 0;
  unsigned bits = 0;
  uint8_t waiting[4096];
  int count = 0, next = 0;

  int step() {
    if (timer) {
      timer--;
    } else if (left) {
      bits >>= 1, left--;
      timer = divisor - 1;
    }
    if (!left && next < count) {
      bits = waiting[next++] << 1 | 1 << 9;
      left = 10, timer = divisor - 1;
    }
    return left ? bits & 1 : 1;
  }
};

// Bytes from the board's tx pin.
struct Receiver {
  int divisor, timer = 0, left = 0;
  unsigned bits = 0;
  uint8_t byte = 0;

  bool step(int line) {
    if (!left) {
      if (!line) left = 10, timer = (divisor - 1) / 2;
      return false;
    }
    if (timer) {
      timer--;
      return false;
    }
    timer = divisor - 1;
    bits = bits >> 1 | line << 9;
    if (--left) return false;
    byte = bits >> 1;
    if (!(bits >> 9 & 1)) fprintf(stderr, "the board sent a byte without a stop bit\n"), exit(EXIT_FAILURE);
    return true;
  }
};

int main(int count, char** arguments) {
  if (count != 3) return EXIT_FAILURE;
  const int terminal = atoi(arguments[1]), divisor = atoi(arguments[2]);
  Sender sender{divisor};
  Receiver receiver{divisor};
  Vtop* top = new Vtop;
  top->rx = 1;
  top->rst = 1;
  for (uint64_t cycle = 0;; cycle++) {
    if (cycle == 3) top->rst = 0;
    top->clk = 0;
    top->eval();
    top->clk = 1;
    top->eval();
    if (Verilated::gotFinish()) return EXIT_FAILURE;
    top->rx = sender.step();
    if (receiver.step(top->tx) && write(terminal, &receiver.byte, 1) != 1) return EXIT_FAILURE;
    if (cycle % POLL_CYCLES == 0) {
      pollfd ends[] = {{terminal, POLLIN, 0}, {STDIN_FILENO, 0, 0}};
      poll(ends, 2, 0);
      if (ends[1].revents & POLLHUP) return EXIT_SUCCESS;
      if (sender.next == sender.count && ends[0].revents & POLLIN) {
        const ssize_t received = read(terminal, sender.waiting, sizeof sender.waiting);
        if (received > 0) sender.count = received, sender.next = 0;
      }
    }
  }
}
