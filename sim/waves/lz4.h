// What Verilator's FST writer needs of LZ4, whose library is not on every machine: blocks in the published format
// (github.com/lz4/lz4, doc/lz4_Block_format.md), by the first match that a table of hashes finds.

#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

inline int LZ4_compressBound(int size) { return size + size / 255 + 16; }

namespace seedlm_lz4 {

inline void length(uint8_t*& out, int rest) {
  for (; rest >= 255; rest -= 255) *out++ = 255;
  *out++ = static_cast<uint8_t>(rest);
}

// A sequence: literals, and a match of `matched` bytes `offset` bytes before; without a match at the end.
inline void sequence(uint8_t*& out, const uint8_t* literals, int count, int offset, int matched) {
  uint8_t* token = out++;
  *token = static_cast<uint8_t>((count < 15 ? count : 15) << 4);
  if (count >= 15) length(out, count - 15);
  memcpy(out, literals, count);
  out += count;
  if (!matched) return;
  *out++ = static_cast<uint8_t>(offset);
  *out++ = static_cast<uint8_t>(offset >> 8);
  const int extra = matched - 4;
  *token |= static_cast<uint8_t>(extra < 15 ? extra : 15);
  if (extra >= 15) length(out, extra - 15);
}

}  // namespace seedlm_lz4

// The size of the compressed block, which has room for LZ4_compressBound(size) bytes.
inline int LZ4_compress_default(const char* source, char* target, int size, int) {
  constexpr int kHashBits = 14, kMinMatch = 4, kLastLiterals = 5, kNoMatchBefore = 12, kFarthest = 65535;
  const uint8_t* const begin = reinterpret_cast<const uint8_t*>(source);
  uint8_t* out = reinterpret_cast<uint8_t*>(target);
  std::vector<int> seen(1 << kHashBits, -1);
  int anchor = 0;
  for (int at = 0; at + kNoMatchBefore < size;) {
    uint32_t word;
    memcpy(&word, begin + at, 4);
    int& place = seen[(word * 2654435761u) >> (32 - kHashBits)];
    const int before = place;
    place = at;
    if (before < 0 || at - before > kFarthest || memcmp(begin + before, begin + at, kMinMatch)) {
      at++;
      continue;
    }
    int matched = kMinMatch;
    while (at + matched < size - kLastLiterals && begin[before + matched] == begin[at + matched]) matched++;
    seedlm_lz4::sequence(out, begin + anchor, at - anchor, at - before, matched);
    anchor = at += matched;
  }
  seedlm_lz4::sequence(out, begin + anchor, size - anchor, 0, 0);
  return static_cast<int>(out - reinterpret_cast<uint8_t*>(target));
}
