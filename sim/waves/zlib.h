// What Verilator's FST writer needs of zlib, whose headers are not on every machine. Where it calls zlib, it writes what
// was not made smaller as it is: so nothing is. That concerns times and first values, a small part of a waveform.

#pragma once

#include <cstring>

typedef unsigned char Bytef;
typedef unsigned long uLong;
typedef unsigned long uLongf;
enum { Z_OK = 0 };

inline uLong compressBound(uLong size) { return size; }

inline int compress2(Bytef* target, uLongf* written, const Bytef* source, uLong size, int) {
  memcpy(target, source, size);
  *written = size;
  return Z_OK;
}
