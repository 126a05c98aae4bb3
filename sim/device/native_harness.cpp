// The main program of the native simulator: clock, registers and memory of the simulated system (sim/device/system.py),
// served to sim/device/native_device.py. Arguments: the descriptor of the memory's file, which both ends map, and its
// size in bytes.
//
// Commands come on standard input, one a line, and each is answered by one line on standard output:
//   read OFFSET             a register: response and value
//   write OFFSET VALUE      a register: response and 0
//   wait LIMIT              let up to LIMIT cycles pass until the interrupt: 0 and whether it came
//   align OFFSET INTERVAL   let time pass until it is OFFSET cycles past a multiple of INTERVAL: 0 and 0
// Simulated time stands still between commands. The end of standard input ends the program.

#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "Vtop.h"
#include "svdpi.h"
#include "verilated.h"

// Verilator's name of a port of the design's.
#define AXIL(channel, part) top->axil___05F##channel##___05F##part

static uint8_t* memory;
static Vtop* top;
static uint64_t now;  // cycles, as cocotb counts them: the edge that ends the reset has number 2

extern "C" void ram_read(int bytes, unsigned long long word, svBit, svBitVecVal* data) {
  memcpy(data, memory + word * bytes, bytes);
}

extern "C" void ram_write(int bytes, unsigned long long word, const svBitVecVal* data, const svBitVecVal* strobe) {
  const uint8_t* from = reinterpret_cast<const uint8_t*>(data);
  uint8_t* to = memory + word * bytes;
  for (int i = 0; i < bytes; i++)
    if (strobe[i / 32] >> i % 32 & 1) to[i] = from[i];
}

// One cycle, after inputs were set; outputs are then those after the rising edge.
static void cycle() {
  top->clk = 0;
  top->eval();
  top->clk = 1;
  top->eval();
  now++;
  if (Verilated::gotFinish()) exit(EXIT_FAILURE);
}

// Outputs of the cycle that the next rising edge ends.
static void settle() { top->eval(); }

static void write_register(unsigned offset, uint64_t value, unsigned& response) {
  AXIL(aw, payload) = offset;
  AXIL(w, payload) = value | uint64_t(15) << 32;
  AXIL(aw, valid) = AXIL(w, valid) = 1;
  while (AXIL(aw, valid) || AXIL(w, valid)) {
    settle();
    const bool address = AXIL(aw, ready), data = AXIL(w, ready);
    cycle();
    if (address) AXIL(aw, valid) = 0;
    if (data) AXIL(w, valid) = 0;
  }
  AXIL(b, ready) = 1;
  for (bool valid = false; !valid;) {
    settle();
    valid = AXIL(b, valid);
    response = AXIL(b, payload);
    cycle();
  }
  AXIL(b, ready) = 0;
}

static uint32_t read_register(unsigned offset, unsigned& response) {
  AXIL(ar, payload) = offset;
  AXIL(ar, valid) = 1;
  for (bool ready = false; !ready;) {
    settle();
    ready = AXIL(ar, ready);
    cycle();
  }
  AXIL(ar, valid) = 0;
  AXIL(r, ready) = 1;
  uint64_t payload = 0;
  for (bool valid = false; !valid;) {
    settle();
    valid = AXIL(r, valid);
    payload = AXIL(r, payload);
    cycle();
  }
  AXIL(r, ready) = 0;
  response = payload >> 32;
  return payload;
}

// Whether nobody is left to send commands.
static bool abandoned() {
  pollfd commands = {STDIN_FILENO, 0, 0};
  poll(&commands, 1, 0);
  return commands.revents & POLLHUP;
}

static bool wait(uint64_t limit) {
  settle();
  for (; !top->irq && limit; limit--) {
    cycle();
    if (limit % 65536 == 0 && abandoned()) exit(EXIT_FAILURE);
  }
  cycle();
  return top->irq;
}

static void align(uint64_t offset, uint64_t interval) {
  while (now % interval != offset) cycle();
}

int main(int count, char** arguments) {
  if (count != 3) return EXIT_FAILURE;
  void* mapped = mmap(nullptr, strtoull(arguments[2], nullptr, 10), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
                      atoi(arguments[1]), 0);
  if (mapped == MAP_FAILED) {
    perror("mapping the memory");
    return EXIT_FAILURE;
  }
  memory = static_cast<uint8_t*>(mapped);
  top = new Vtop;
  top->rst = 1;
  for (int i = 0; i < 3; i++) cycle();
  top->rst = 0;
  now = 2;

  char line[80], name[8];
  while (fgets(line, sizeof line, stdin)) {
    uint64_t first = 0, second = 0, value = 0;
    unsigned response = 0;
    sscanf(line, "%7s %" SCNu64 " %" SCNu64, name, &first, &second);
    if (!strcmp(name, "read")) value = read_register(first, response);
    else if (!strcmp(name, "write")) write_register(first, second, response);
    else if (!strcmp(name, "wait")) value = wait(first);
    else if (!strcmp(name, "align")) align(first, second);
    else return EXIT_FAILURE;
    printf("%u %" PRIu64 "\n", response, value);
    fflush(stdout);
  }
  return EXIT_SUCCESS;
}
