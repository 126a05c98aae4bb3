"""Reads the RTLIL that Amaranth writes.

RTLIL is Yosys's text of a netlist (*RTLIL text representation* in Yosys's manual). Here a module is what Amaranth makes
of it: wires, each driven as a whole by one cell, process or connection.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["Assign", "Body", "Cell", "Memory", "Module", "Slice", "Switch", "Value", "Wire", "bits", "cut", "join",
           "read", "read_by", "reads", "sole"]


class Slice(NamedTuple):
    """``width`` bits of a wire from bit ``low`` on."""

    wire: str
    low: int
    width: int


_OUTPUTS = {"$dff": "Q", "$adff": "Q", "$memrd_v2": "DATA", "$check": "", "$memwr_v2": "", "$meminit_v2": ""}
"""Port by which a cell drives a wire, where it is not ``Y``."""

Value = tuple[Slice | str, ...]
"""A concatenation of slices and of constants (strings of 0, 1 and x), least significant part first. A constant is
written most significant bit first."""


class Assign(NamedTuple):
    """An assignment in a process."""

    left: Value
    right: Value


class Switch(NamedTuple):
    """A switch in a process: patterns and statements of each case. A default case has no patterns."""

    test: Value
    cases: "list[tuple[tuple[str, ...], Body]]"


Body = list[Assign | Switch]
"""Statements of a process. A later assignment overrides an earlier one."""


@dataclass
class Wire:
    """A wire. ``port`` is ``input``, ``output``, ``inout`` or empty."""

    width: int
    port: str
    attributes: dict[str, str]


@dataclass
class Cell:
    """A cell: an operator, a register, a port of a memory, or an instance of a module."""

    kind: str
    name: str
    attributes: dict[str, str]
    parameters: dict[str, str] = field(default_factory=dict)
    ports: dict[str, Value] = field(default_factory=dict)

    @property
    def output(self) -> str:
        """Port by which a cell that is no instance drives a wire; empty if it drives none."""
        return _OUTPUTS.get(self.kind, "Y" if self.kind.startswith("$") else "")

    def number(self, parameter: str) -> int:
        """Value of a parameter that is a number or a constant."""
        text = self.parameters[parameter]
        return int(text.partition("'")[2], 2) if "'" in text else int(text)


@dataclass
class Memory:
    """A memory of ``depth`` words."""

    width: int
    depth: int
    attributes: dict[str, str]


@dataclass
class Module:
    """A module of a design; its wires and memories are found by their names in RTLIL, ``\\\\name`` or ``$1``."""

    name: str
    wires: dict[str, Wire] = field(default_factory=dict)
    memories: dict[str, Memory] = field(default_factory=dict)
    cells: list[Cell] = field(default_factory=list)
    processes: list[Body] = field(default_factory=list)
    connections: list[Assign] = field(default_factory=list)


def bits(value: Value) -> int:
    """Width of a value."""
    return sum(len(part) if isinstance(part, str) else part.width for part in value)


def sole(value: Value) -> Slice:
    """The slice that a value consists of, such as what a cell drives or an assignment assigns to."""
    (part,) = value
    assert isinstance(part, Slice)
    return part


def join(parts: Iterable[Slice | str]) -> Value:
    """A value in which neighbours that fit together are one part."""
    joined: list[Slice | str] = []
    for part in parts:
        last = joined[-1] if joined else None
        if isinstance(part, str):
            if not part:
                continue
            if isinstance(last, str):
                joined[-1] = part + last
                continue
        elif isinstance(last, Slice) and last.wire == part.wire and last.low + last.width == part.low:
            joined[-1] = last._replace(width=last.width + part.width)
            continue
        joined.append(part)
    return tuple(joined)


def cut(value: Value, low: int, width: int) -> Value:
    """``width`` bits of a value from bit ``low`` on."""
    found: list[Slice | str] = []
    at = 0
    for part in value:
        size = len(part) if isinstance(part, str) else part.width
        start, stop = max(low - at, 0), min(low + width - at, size)
        if start < stop:
            found.append(part[size - stop:size - start] if isinstance(part, str)
                         else Slice(part.wire, part.low + start, stop - start))
        at += size
    return join(found)


def read_by(body: Body) -> Iterator[Value]:
    """All values that the statements of a process read."""
    for statement in body:
        if isinstance(statement, Assign):
            yield statement.right
        else:
            yield statement.test
            for _, inner in statement.cases:
                yield from read_by(inner)


def reads(module: Module) -> Iterator[Value]:
    """All values that cells, processes and connections of a module read, and those that instances drive."""
    for cell in module.cells:
        yield from (value for port, value in cell.ports.items() if port != cell.output)
    for body in module.processes:
        yield from read_by(body)
    yield from (one.right for one in module.connections)


_PART = re.compile(r"(\d+)'([01xz-]+)|([\\$]\S+)(?: \[(\d+)(?::(\d+))?\])?")


def _value(text: str, wires: dict[str, Wire]) -> Value:
    parts: list[Slice | str] = []
    for width, constant, wire, high, low in _PART.findall(text):
        if wire:
            first = int(low or high or 0)
            parts.append(Slice(wire, first, int(high) - first + 1 if high else wires[wire].width))
        else:
            parts.append(constant.rjust(int(width), "0"))
    return join(reversed(parts))


def _pair(text: str, wires: dict[str, Wire]) -> Assign:
    """Left and right side of an assignment."""
    left, right = re.fullmatch(r"(\{.*?\}|\S+(?: \[[\d:]+\])?) (.*)", text).groups()  # type: ignore[union-attr]
    return Assign(_value(left, wires), _value(right, wires))


def _body(lines: Iterator[list[str]], wires: dict[str, Wire]) -> tuple[Body, list[str]]:
    """Statements up to the next ``case`` or ``end``, and that line."""
    body: Body = []
    for word, rest in lines:
        if word == "assign":
            assignment = _pair(rest, wires)
            body += [assignment] if assignment.left else []  # of no bits
        elif word == "switch":
            switch = Switch(_value(rest, wires), [])
            line = next(lines)
            while line[0] == "case":
                patterns = tuple(re.findall(r"'([01-]*)", line[1]))
                inner, line = _body(lines, wires)
                switch.cases.append((patterns, inner))
            # Amaranth puts assignments that follow a switch into one without a test.
            body += [switch] if switch.test else switch.cases[0][1]
        else:
            return body, [word, rest]
    raise ValueError("RTLIL ends within a process")


def read(design: str) -> list[Module]:
    """Modules of a design, in the order of the text."""
    modules: list[Module] = []
    attributes: dict[str, str] = {}
    lines = ([*line.split(None, 1), ""][:2] for line in design.splitlines() if line.strip())
    for word, rest in lines:
        if word == "attribute":
            name, text = rest.split(" ", 1)
            attributes[name[1:]] = text
            continue
        if word == "module":
            module = Module(rest[1:])
            modules.append(module)
        elif word == "wire":
            width, port, name = re.fullmatch(  # type: ignore[union-attr]
                r"width (\d+)(?: (input|output|inout) \d+)?(?: +signed)? +(\S+)", rest).groups()
            module.wires[name] = Wire(int(width), port or "", attributes)
        elif word == "memory":
            width, depth, name = re.fullmatch(r"width (\d+) size (\d+) (\S+)", rest).groups()  # type: ignore[union-attr]
            module.memories[name] = Memory(int(width), int(depth), attributes)
        elif word == "cell":
            kind, name = rest.split(" ", 1)
            cell = Cell(kind, name, attributes)
            module.cells.append(cell)
            for inner, text in lines:
                if inner == "end":
                    break
                name, text = text.removeprefix("signed ").removeprefix("real ").split(" ", 1)
                if inner == "connect":
                    cell.ports[name[1:]] = _value(text, module.wires)
                else:
                    cell.parameters[name[1:]] = text
        elif word == "process":
            module.processes.append(_body(lines, module.wires)[0])
        elif word == "connect":
            connection = _pair(rest, module.wires)
            module.connections += [connection] if bits(connection.left) else []
        attributes = {}
    return modules
