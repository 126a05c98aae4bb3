"""JSON from outside: what is refused, in one sentence each, and what it may cost."""

import json
import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from host.errors import UserError
from host.json_reader import BASE_BYTES, DEEPEST, Json, parse_json, read_json

CURE = "make it again"


def document(value: object) -> Json:
    return parse_json(json.dumps(value).encode(), "x.json", CURE)


def test_values_by_type(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps({"a": 3, "b": [1, 2], "c": {"d": "é"}, "e": 2, "f": True, "g": None,
                                                   "h": 0.5}).encode())
    found = read_json(path, CURE)
    assert (found["a"].whole(3, 3), found["b"].wholes(1), found["c"].texts(), found["c"]["d"].text(),
            found["e"].number(), found["h"].number(), found["f"].truth(), found.get("g"), found.get("i"),
            "".join(key for key, _ in found.items())) == (
                3, [1, 2], {"d": "é"}, "é", 2.0, 0.5, True, None, None, "abcefgh")


@pytest.mark.parametrize(("value", "ask", "reason"), [
    ({"a": "2"}, lambda x: x["a"].whole(), 'field a must be a whole number, not "2"'),
    ({"a": 2.0}, lambda x: x["a"].whole(), "field a must be a whole number, not 2.0"),
    ({"a": True}, lambda x: x["a"].whole(), "field a must be a whole number, not true"),
    ({"a": 0}, lambda x: x["a"].whole(1), "field a must be a whole number of 1 or more, not 0"),
    ({"a": 9}, lambda x: x["a"].whole(1, 8), "field a must be a whole number from 1 to 8, not 9"),
    ({"a": 9}, lambda x: x["a"].whole(most=8), "field a must be a whole number of at most 8, not 9"),
    ({"a": {"b": [1, None]}}, lambda x: x["a"]["b"].wholes(), "field a.b[1] must be a whole number, not null"),
    ({"a": {}}, lambda x: x["a"]["b"], "field a.b is missing"),
    ({"a": {}}, lambda x: x["a"].text(), "field a must be a text, not an object"),
    ({"a": []}, lambda x: x["a"].number(), "field a must be a finite number, not a list"),
    ({"a": 10**39}, lambda x: x["a"].whole(), f"field a must be a whole number, not {10**39}"),
    ({"a": 1}, lambda x: x["a"].truth(), "field a must be true or false, not 1"),
    ({"a": "x" * 999}, lambda x: x["a"].elements(), f'field a must be a list, not "{"x" * 39}...'),
    ([], lambda x: x["a"], "it must be an object, not a list"),
    (None, lambda x: x.get("a"), "it must be an object, not null"),
    ({"\x1b[2J": {}}, lambda x: x.texts(), "field \\x1b[2J must be a text, not an object"),
])
def test_what_is_of_another_type(value: object, ask: Callable[[Json], Any], reason: str) -> None:
    with pytest.raises(UserError) as raised:
        ask(document(value))
    assert str(raised.value) == f"cannot use x.json ({reason}): {CURE}"


@pytest.mark.parametrize(("content", "reason"), [
    (b"", "Expecting value"), (b"{", "Expecting property name"), (b"\xff\xfe", "codec can't decode"),
    (b'{"a": 1, "b": {"a": 1, "a": 1}}', 'the key "a" stands twice'), (b"[NaN]", "NaN is no JSON"),
    (b"-Infinity", "-Infinity is no JSON"), (b"1e999", "the number 1e999 is too great"),
    (b"[" + b"1" * 5000 + b"]", r"the number 1{40}\.\.\. is too great"), (b'"\\ud800"', "surrogates not allowed"),
    (b"[" * (DEEPEST + 1) + b"]" * (DEEPEST + 1), f"nested more than {DEEPEST} deep"),
    (b"[" * 100_000, f"nested more than {DEEPEST} deep"), (b'{"a":' * 100_000, f"nested more than {DEEPEST} deep"),
    (b"[" + b"[]," * 3_000_000 + b"[]]", "MiB of memory, too much for a file of 9000004 bytes")])
def test_what_is_no_json(content: bytes, reason: str) -> None:
    with pytest.raises(UserError, match=rf"^cannot use x\.json \(.*{reason}.*\): make it again$"):
        parse_json(content, "x.json", CURE)


def test_nested_as_deeply_as_may_be() -> None:
    assert parse_json(b"[" * DEEPEST + b"]" * DEEPEST, "x.json", CURE).elements()
    assert parse_json(b'"\\ud83d\\ude00"', "x.json", CURE).text() == "\U0001f600"


def test_a_file_larger_than_any_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "x.json").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(UserError, match="MiB of memory, too much for a file of"):
        read_json(tmp_path / "x.json", CURE)


PATTERNS = {"lists": b"[],", "objects": b"{},", "fields": b'{"a":1},', "numbers": b"1,", "floats": b"1.5,",
            "texts": b'"ab",', "wide": '"\U0001f600x",'.encode(),
            "nested": b'{"a":[{}]},'}


@pytest.mark.parametrize("pattern", [*PATTERNS, "keys", "wide text"])
def test_cost_is_bounded_by_the_size(pattern: str) -> None:
    """The greatest document of a kind that is accepted, and some that are not, stay within the limits."""
    peaks = []
    for size in (400_000, 3_000_000):
        if pattern == "keys":
            content = b"{" + b",".join(b'"%x":1' % number for number in range(size // 9)) + b"}"
        elif pattern == "wide text":
            content = '"\U0001f600'.encode() + b"x" * size + b'"'
        else:
            content = b"[" + PATTERNS[pattern] * (size // len(PATTERNS[pattern])) + b"0]"
        start = time.process_time()
        with suppress(UserError):
            parse_json(content, "x.json", CURE)
        assert time.process_time() - start <= 1 + len(content) / 1e7  # threefold on a busy machine
        tracemalloc.start()
        try:
            found: Json | None = parse_json(content, "x.json", CURE)
        except UserError:
            found = None
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak + len(content) <= (64 << 20) + 2 * len(content)
        if found:
            peaks.append(peak)
    assert max(peaks) < BASE_BYTES
