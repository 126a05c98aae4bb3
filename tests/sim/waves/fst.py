"""A reader of the head of FST files: signals and times (gtkwave's "Block Format" of FST). It shares nothing with what
writes them."""

import gzip
import struct
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Fst", "lz4_block", "read_fst"]

_HEADER, _HIERARCHY_GZIP, _HIERARCHY_LZ4, _HIERARCHY_LZ4_TWICE = 0, 4, 6, 7
_ATTRIBUTE_BEGIN, _ATTRIBUTE_END, _SCOPE, _UPSCOPE = 252, 253, 254, 255


@dataclass
class Fst:
    """What a file says of itself: first and last time, and the width of each signal by its whole name."""

    start: int
    end: int
    widths: dict[str, int]


def lz4_block(block: bytes) -> bytes:
    """The content of an LZ4 block."""
    out, at = bytearray(), 0

    def longer(count: int) -> int:
        nonlocal at
        if count == 15:
            while True:
                at += 1
                count += block[at - 1]
                if block[at - 1] != 255:
                    break
        return count

    while at < len(block):
        token = block[at]
        at += 1
        literals = longer(token >> 4)
        out += block[at:at + literals]
        at += literals
        if at >= len(block):
            break
        offset = int.from_bytes(block[at:at + 2], "little")
        at += 2
        for _ in range(longer(token & 15) + 4):
            out.append(out[-offset])
    return bytes(out)


def _signals(content: bytes) -> dict[str, int]:
    """Width by whole name, from an uncompressed hierarchy."""
    at, scopes, found = 0, list[str](), {}

    def text() -> str:
        nonlocal at
        end = content.index(0, at)
        word, at = content[at:end].decode(), end + 1
        return word

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            at += 1
            value |= (content[at - 1] & 127) << shift
            shift += 7
            if not content[at - 1] & 128:
                return value

    while at < len(content):
        kind = content[at]
        at += 1
        if kind == _SCOPE:
            at += 1
            scopes.append(text())
            text()
        elif kind == _UPSCOPE:
            scopes.pop()
        elif kind == _ATTRIBUTE_BEGIN:
            at += 2
            text()
            number()
        elif kind != _ATTRIBUTE_END:
            at += 1
            name = text().partition(" ")[0].partition("[")[0]
            found[".".join((*scopes, name))] = number()
            number()
    return found


def read_fst(path: Path) -> Fst:
    """What a file says of itself."""
    content, at, found = path.read_bytes(), 0, Fst(0, 0, {})
    while at < len(content):
        kind, (length,) = content[at], struct.unpack_from(">Q", content, at + 1)
        block = content[at + 9:at + 1 + length]
        at += 1 + length
        if kind == _HEADER:
            found.start, found.end = struct.unpack_from(">QQ", block)
        elif kind == _HIERARCHY_GZIP:
            found.widths = _signals(gzip.decompress(block[8:]))
        elif kind == _HIERARCHY_LZ4:
            found.widths = _signals(lz4_block(block[8:]))
        elif kind == _HIERARCHY_LZ4_TWICE:
            found.widths = _signals(lz4_block(lz4_block(block[16:])))
    return found
