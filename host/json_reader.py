"""JSON from outside: files and headers that others wrote, read with limits, whose values are asked for by type.

A document must be UTF-8, where a byte order mark is accepted. No key of an object may stand twice, values nest at most
:data:`DEEPEST` deep, and there is no NaN and no infinity, as RFC 8259 has it. What it costs to parse is estimated from
the text before, and must be within :data:`BASE_BYTES` plus twice the file's size, which leaves room for a header of
another file's gigabytes, but none for megabytes of brackets.

Every value is a :class:`Json`, which knows its file and its place. A value of another type than the one asked for is a
UserError of one sentence with the file, the field, the value, and what to do about it.
"""

import json
import math
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from host.errors import UserError
from host.regular_file import open_regular

__all__ = ["BASE_BYTES", "DEEPEST", "Json", "parse_json", "read_json", "read_text"]

BASE_BYTES = 48 << 20
"""Bytes of memory that a document may cost, beside twice the size of its file."""
DEEPEST = 64
"""Objects and lists that may be nested in one another."""
_VALUE_BYTES = 100
"""Bytes that CPython 3.11 to 3.13 allocates at most for each of ``,`` ``:`` ``[`` and ``{``, beside the characters of
texts. The costliest value is an object of one field, some 300 bytes for three of these."""
_SHOWN = 40  # characters of a value that a message shows
_WHOLE_MAX = 2**63 - 1
_WIDE = re.compile(b"[\xf0-\xff]")  # first bytes of characters beyond 16 bits
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def _kind(value: Any) -> str:
    """Return what a message says of a value."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    text = json.dumps(value[:_SHOWN + 1] if isinstance(value, str) else value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


class Json:
    """A value of a document.

    Parameters
    ----------
    value : object
        The value as Python has it.
    source : str
        The name of the file, for messages.
    cure : str
        What the user can do about a document that is not as it should be, for messages.
    above, key
        The value that this one is part of, and its key or number there; none for a whole document.

    Raises
    ------
    UserError
        From every method whose docstring says so: when the value is of another type than the one asked for.
    """

    __slots__ = ("_above", "_cure", "_key", "_source", "value")

    def __init__(self, value: Any, source: str, cure: str, above: "Json | None" = None, key: str | int = "") -> None:
        self.value, self._source, self._cure, self._above, self._key = value, source, cure, above, key

    @property
    def place(self) -> str:
        """Where the value stands in the document, such as ``weight_map.lm_head`` or ``shape[0]``; empty for all."""
        if self._above is None:
            return ""
        if isinstance(self._key, int):
            return f"{self._above.place}[{self._key}]"
        return f"{self._above.place}.{self._key}".lstrip(".")

    def refuse(self, why: str) -> NoReturn:
        """Raise a UserError about this value, such as ``cannot use FILE (field x WHY): CURE``."""
        what = f"field {self.place}" if self._above else "it"
        raise UserError(f"cannot use {self._source} ({what} {why}): {self._cure}")

    def _must(self, be: str) -> NoReturn:
        self.refuse(f"must be {be}, not {_kind(self.value)}")

    def _part(self, key: str | int, value: Any) -> "Json":
        return Json(value, self._source, self._cure, self, key)

    def object(self) -> dict[str, Any]:
        """Return the value, which must be an object, as a dictionary whose values are of any type. UserError if not."""
        if not isinstance(self.value, dict):
            self._must("an object")
        return self.value

    def items(self) -> Iterator[tuple[str, "Json"]]:
        """Yield the keys and the values of an object. UserError when the value is none."""
        for key, value in self.object().items():
            yield key, self._part(key, value)

    def elements(self) -> list["Json"]:
        """Return the values of a list. UserError when the value is none."""
        if not isinstance(self.value, list):
            self._must("a list")
        return [self._part(number, value) for number, value in enumerate(self.value)]

    def get(self, key: str) -> "Json | None":
        """Return a field of an object; None when there is none or it is null. UserError when the value is no object."""
        value = self.object().get(key)
        return None if value is None else self._part(key, value)

    def __getitem__(self, key: str) -> "Json":
        """Return a field of an object. UserError when the value is no object or has no such field."""
        if key not in self.object():
            self._part(key, None).refuse("is missing")
        return self._part(key, self.value[key])

    def text(self) -> str:
        """Return a text. UserError when the value is none."""
        if not isinstance(self.value, str):
            self._must("a text")
        return self.value

    def whole(self, least: int = -_WHOLE_MAX, most: int = _WHOLE_MAX) -> int:
        """Return a whole number from ``least`` to ``most``. UserError when the value is none."""
        if not isinstance(self.value, int) or isinstance(self.value, bool) or not least <= self.value <= most:
            below, above = least > -_WHOLE_MAX, most < _WHOLE_MAX
            self._must("a whole number" + (f" from {least} to {most}" if below and above else
                                           f" of {least} or more" if below else f" of at most {most}" if above else ""))
        return self.value

    def number(self) -> float:
        """Return a finite number. UserError when the value is none."""
        # A whole number beyond the range of a float is as little use as an infinity.
        if (not isinstance(self.value, int | float) or isinstance(self.value, bool)
                or not abs(self.value) <= sys.float_info.max):
            self._must("a finite number")
        return float(self.value)

    def truth(self) -> bool:
        """Return true or false. UserError when the value is neither."""
        if not isinstance(self.value, bool):
            self._must("true or false")
        return self.value

    def texts(self) -> dict[str, str]:
        """Return an object whose values are texts. UserError when the value is none."""
        return {key: value.text() for key, value in self.items()}

    def wholes(self, least: int = -_WHOLE_MAX, most: int = _WHOLE_MAX) -> list[int]:
        """Return a list of whole numbers from ``least`` to ``most``. UserError when the value is none."""
        return [element.whole(least, most) for element in self.elements()]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; ValueError when a key stands twice, as readers differ in which of the two they take."""
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {_kind(twice)} stands twice in one object")
    return found


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _float(text: str) -> float:
    """Return a number; ValueError when it is beyond the range of a float."""
    if not math.isfinite(number := float(text)):
        raise ValueError(f"the number {text[:_SHOWN]} is too great")
    return number


def _int(text: str) -> int:
    """Return a whole number. ValueError when it has more digits than any use of one."""
    if len(text) > _SHOWN:
        raise ValueError(f"the number {text[:_SHOWN]}... is too great")
    return int(text)


def _require_within(cost: int, length: int, size: int) -> None:
    """Refuse, by a ValueError, a text of ``length`` bytes whose values cost too much for a file of ``size`` bytes."""
    if length + cost > BASE_BYTES + 2 * size:
        raise ValueError(f"it takes {(length + cost) / 2**20:.0f} MiB of memory, too much for a file of {size} bytes")


def _checked(content: bytes, size: int) -> Any:
    """Return the value of a document; ValueError when there is none, or it is beyond a limit."""
    # The bytes, their text, and the texts that are cut from it are there at the same time. CPython gives every
    # character of a text the width that its widest one needs.
    width = 1 if content.isascii() else 4 if _WIDE.search(content) else 2
    _require_within(2 * width * len(content) + _VALUE_BYTES * sum(map(content.count, (b",", b":", b"[", b"{"))),
                    len(content), size)
    text = content.decode("utf-8-sig")
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_constant, parse_float=_float,
                           parse_int=_int)
    except RecursionError:
        raise ValueError(f"values are nested more than {DEEPEST} deep") from None
    level: list[Any] = [[value]]
    depth = 0
    while level := [part for each in level for part in (each.values() if isinstance(each, dict) else each)
                    if isinstance(part, dict | list)]:
        depth += 1
        if depth > DEEPEST:
            raise ValueError(f"values are nested more than {DEEPEST} deep")
    if _SURROGATE.search(content):
        json.dumps(value, ensure_ascii=False).encode()  # UnicodeEncodeError, a ValueError, for half a character
    return value


def parse_json(content: bytes, source: object, cure: str, size: int | None = None) -> Json:
    """Parse a document that was read before.

    Parameters
    ----------
    content : bytes
    source : object
        What the document is, for messages: a path, or ``the header of PATH``.
    cure : str
        What the user can do about a document that is not as it should be; it ends every message.
    size : int, optional
        Bytes of the file that the document is part of. Default: those of the document.

    Raises
    ------
    UserError
        When it is not JSON, or is beyond a limit of this module.
    """
    try:
        value = _checked(content, len(content) if size is None else size)
    except ValueError as error:
        raise UserError(f"cannot use {source} ({error}): {cure}") from error
    return Json(value, str(source), cure)


def read_text(path: Path, cure: str) -> bytes:
    """Return the bytes of a file that :func:`parse_json` might take; ``cure`` as there.

    Raises
    ------
    UserError
        When the file cannot be read, or is beyond the limit of what may be parsed.
    """
    with open_regular(path, cure) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            _require_within(2 * size, size, size)
            return file.read(size + 1)
        except OSError as error:
            raise UserError(f"cannot read {path} ({error.strerror}): {cure}") from error
        except ValueError as error:
            raise UserError(f"cannot use {path} ({error}): {cure}") from error


def read_json(path: Path, cure: str) -> Json:
    """Read a file; ``cure`` as for :func:`parse_json`.

    Raises
    ------
    UserError
        When the file cannot be read, is not JSON, or is beyond a limit of this module.
    """
    return parse_json(read_text(path, cure), path, cure)
