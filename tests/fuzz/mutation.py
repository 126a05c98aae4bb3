"""Inputs made of others, by changes that are drawn from a seed: the same seed gives the same input."""

import json
import random
import struct
from typing import Any

__all__ = ["Mutator"]

_NUMBERS = (0, 1, 2, 3, 7, 8, 9, 31, 32, 33, 64, 127, 128, 255, 256, 257, 4096, 65535, 65536, 2**31 - 1, 2**31,
            2**32 - 1, 2**32, 2**40, 2**53, 2**61, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
_ODD: tuple[Any, ...] = (
    *_NUMBERS, -1, -2**31, -2**63, 10**30, 0.5, -0.0, 1e300, 1e-300, None, True, False, "", "0", "x", "..", "../x",
    "/etc/passwd", "a\0b", "\x1b[2J", "[/x]", "$x$", "\u202e", "\ud800", "é" * 300, "x" * 5000, "F32", "U8", "BF16",
    "F4", "seedlm4", "9,9,99", "llama", "rtl", "model.safetensors", [], {}, [[]], [None], {"": {}}, {"a": 1},
    [1, 2, 3], [0, 0], ["x"] * 70)
_TEXTS = (b"NaN", b"Infinity", b"-", b"1e999", b'"\\ud800"', b"[" * 3000, b'{"a":' * 3000, b"\xff", b"\0",
          b"\xef\xbb\xbf", b'"', b"9" * 400, b",", b"{}", b"[]", b"null", b"\\u0000", b"//", b"1" + b"0" * 4400)


class Mutator:
    """Changes of inputs.

    Parameters
    ----------
    seed : int
        What the changes are drawn from.
    """

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def bytes(self, data: bytes, other: bytes) -> bytes:
        """Return an input with one to eight changes; parts of ``other`` may be put into it."""
        changed = bytearray(data)
        for _ in range(self.rng.choice((1, 1, 1, 2, 2, 4, 8))):
            self._change(changed, other)
        return bytes(changed)

    def _change(self, data: bytearray, other: bytes) -> None:
        """Change some bytes in one of many ways."""
        rng, size = self.rng, len(data)
        # The beginning, where headers are, is changed more often than the rest.
        at = min(int(rng.random() ** rng.choice((1, 3)) * (size + 1)), size)
        way = rng.randrange(10)
        if way == 0 and size:
            data[at % size] ^= 1 << rng.randrange(8)
        elif way == 1 and size:
            data[at % size] = rng.randrange(256)
        elif way in (2, 3):
            form = rng.choice("BHIQ")
            number = rng.choice(_NUMBERS) % (1 << 8 * struct.calcsize(f"<{form}"))
            data[at:at + struct.calcsize(f"<{form}")] = struct.pack(f"<{form}", number)
        elif way == 4:
            del data[at:at + rng.choice((1, 1, 2, 4, 8, rng.randrange(1, 64)))]
        elif way == 5:
            data[at:at] = data[at:at + rng.randrange(1, 64)]
        elif way == 6:
            start = rng.randrange(len(other) + 1)
            data[at:at + rng.choice((0, 8))] = other[start:start + rng.randrange(64)]
        elif way == 7:
            data[at:at] = rng.choice(_TEXTS)
        elif way == 8:
            del data[at:]
        else:
            number = int.from_bytes(data[at:at + 8], "little") + rng.choice((-1, 1))
            data[at:at + 8] = struct.pack("<Q", number % 2**64)

    def json(self, text: bytes) -> bytes:
        """Return a JSON text with one to four of its values, keys or parts changed. Text that is no JSON stays."""
        try:
            whole = [json.loads(text)]
        except (ValueError, RecursionError):
            return text
        for _ in range(self.rng.choice((1, 1, 2, 4))):
            self._change_value(whole)
        try:
            made = json.dumps(whole[0], indent=self.rng.choice((None, 1))).encode()
        except (RecursionError, ValueError):
            return text
        if self.rng.random() < 0.1 and b'"' in made:  # a key that stands twice
            key = self.rng.choice(made.split(b'"')[1::2] or [b""])
            made = made.replace(b"{", b'{"' + key + b'":' + self.rng.choice((b"1", b"{}", b'"x"')) + b",", 1)
        return made

    def _change_value(self, whole: list[Any]) -> None:
        """Change one value somewhere in a document, which is the only element of a list."""
        rng = self.rng
        holder: Any = whole
        key: Any = 0
        while isinstance(inner := holder[key], dict | list) and inner and rng.random() < 0.8:
            holder, key = inner, rng.choice(list(inner) if isinstance(inner, dict) else range(len(inner)))
        way = rng.randrange(8)
        if way <= 3:
            holder[key] = rng.choice(_ODD)
        elif way == 4 and isinstance(holder, dict):
            del holder[key]
        elif way == 5 and isinstance(holder, dict):
            holder[str(rng.choice((*holder, "", "x", "__metadata__", "../x", "a\0", "\x1b", 7)))] = holder[key]
        elif way == 6 and isinstance(holder[key], int):
            holder[key] += rng.choice((-1, 1, 8, -holder[key] * 2))
        elif way == 7 and isinstance(holder, list) and holder is not whole:
            holder.append(rng.choice((holder[key], *_ODD)))
        else:
            for _ in range(rng.choice((1, 2, 70))):
                holder[key] = [holder[key]]
