// Writes what sim/timeline/probe.sv sees into a file, four bytes for each cycle. The environment says which:
//   SEEDLM_TIMELINE_FILE

#include <cstdint>
#include <cstdio>
#include <cstdlib>

extern "C" void record(unsigned signals) {
  static FILE* const file = fopen(getenv("SEEDLM_TIMELINE_FILE"), "wb");
  const uint32_t cycle = signals;
  if (!file || fwrite(&cycle, sizeof cycle, 1, file) != 1) {
    perror("writing the timeline");
    exit(EXIT_FAILURE);
  }
}
