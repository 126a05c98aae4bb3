// The main program of sim/device/native_harness.cpp around a model that dumps a waveform. The environment says where:
//   SEEDLM_WAVES_FILE    the FST file
//   SEEDLM_WAVES_FIRST   number of the first rising edge that is dumped
//   SEEDLM_WAVES_LAST    number of the last one
// Rising edge n is at n * 10 ns, the falling one before it 5 ns earlier.

#include <cstdint>
#include <cstdlib>

#include "Vtop.h"
#include "verilated.h"
#include "verilated_fst_c.h"

namespace {

constexpr uint64_t kPeriod = 10;

VerilatedFstC* dump;

void finish() { dump->close(); }

uint64_t number(const char* name) { return strtoull(getenv(name), nullptr, 10); }

class TracedTop : public Vtop {
 public:
  TracedTop() : Vtop(""), first(number("SEEDLM_WAVES_FIRST")), last(number("SEEDLM_WAVES_LAST")) {
    dump = new VerilatedFstC;
    trace(dump, 99);
    dump->set_time_unit("1ns");
    dump->set_time_resolution("1ns");
    dump->open(getenv("SEEDLM_WAVES_FILE"));
    atexit(finish);
  }

  // Inputs change, and settle, after a rising edge; the falling one shows them.
  void eval() {
    Vtop::eval();
    if (clk == level) return;
    level = clk;
    if (edge >= first && edge <= last && (level || edge)) dump->dump(edge * kPeriod - (level ? 0 : kPeriod / 2));
    edge += level;
  }

 private:
  const uint64_t first, last;
  uint64_t edge = 0;
  uint8_t level = 1;
};

}  // namespace

#define Vtop TracedTop
#define main run
#include "../device/native_harness.cpp"
#undef main

int main(int count, char** arguments) {
  Verilated::traceEverOn(true);
  return run(count, arguments);
}
