"""Writes values and operators as expressions, one inside the other where Verilog's rules allow it."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import groupby

from hw.flow.expression import BINARY, UNARY, Expression, literal
from hw.flow.names import Names, vector
from hw.flow.netlist import Netlist
from hw.flow.rtlil import Assign, Body, Cell, Slice, Switch, Value, bits, cut, sole
from hw.flow.simplify import PURE

__all__ = ["Expressions"]

_HINTS = {"$add": "sum", "$sub": "difference", "$mul": "product", "$neg": "negative", "$not": "inverted",
          "$shl": "shifted", "$shr": "shifted", "$sshr": "shifted", "$shift": "selected", "$mux": "chosen",
          "$and": "and", "$or": "or", "$xor": "xor"}
"""What a result that needs a name is called, behind the name of the signal that it is a part of."""
_SHORT, _LONG = 24, 160
"""Characters of an expression that is written again wherever it is used, and of one that gets a name of its own."""
_COMPARISONS = ("$eq", "$ne", "$lt", "$le", "$gt", "$ge")


def _widened(value: Value, width: int, signed: bool) -> Value:
    """A constant that is at least as wide as the other operand; another value as it is."""
    if any(isinstance(part, Slice) for part in value):
        return value
    text = "".join(map(str, value)) or "0"
    return (text.rjust(width, text[0] if signed else "0"),)


class Expressions(ABC):
    """Writes expressions. What they mention is written before them.

    Parameters
    ----------
    netlist : Netlist
    names : Names

    Attributes
    ----------
    lines : list of str
        Combinational logic written so far.
    early : set of str
        Wires that something written before them mentions.
    combinational : bool
        Whether an always_comb is being written. Icarus 11 knows no constant selects in it, so that these become wires.
    """

    def __init__(self, netlist: Netlist, names: Names) -> None:
        self.netlist, self.names = netlist, names
        self.lines: list[str] = []
        self.early: set[str] = set()
        self.combinational = False
        self._picked: dict[Slice, str] = {}
        self._operations: dict[tuple[str, bool], Expression | None] = {}
        self._open: set[str] = set()
        self.done: set[str] = set()

    @abstractmethod
    def define(self, wire: str, name: str) -> None:
        """Write what drives a wire, or declare it if that is written elsewhere."""

    def need(self, wire: str) -> str:
        """Name of a wire, which is written before it is mentioned."""
        cell = self.netlist.cells.get(wire)
        name = self.names.wire(wire, _HINTS.get(cell.kind, "value") if cell else "value")
        if wire in self._open:
            self.early.add(wire)
        elif wire not in self.done and self.netlist.module.wires[wire].port not in ("input", "inout"):
            self._open.add(wire)
            before = self.names.root, self.combinational
            self.names.root, self.combinational = self.names.root if wire.startswith("$") else name, False
            self.define(wire, name)
            self.names.root, self.combinational = before
            self._open.remove(wire)
            self.done.add(wire)
        return name

    # Values.

    def slice(self, part: Slice, plain: bool = False) -> Expression:
        """A part of a wire: an operation, or a name with a select. ``plain`` keeps fields out."""
        wire, width = part.wire, self.netlist.module.wires[part.wire].width
        if part.width == width and wire.startswith("$"):
            found, times = self._operation(wire), self.netlist.count[wire]
            if found and len(found.text) <= (_LONG if times == 1 else _SHORT):
                return found
        inside = [(field.width, field, name) for field, name in self.netlist.fields.get(wire, ())
                  if field.low <= part.low and part.low + part.width <= field.low + field.width and field.width < width]
        if inside and not plain:
            _, field, wire = min(inside)
            part, width = part._replace(low=part.low - field.low), field.width
        text = self.need(wire)
        if part.width < width:
            high = part.low + part.width - 1
            place = f"{high}:{part.low}" if part.width > 1 else f"{high}"
            text = self._pick(part._replace(wire=wire), text, place) if self.combinational else f"{text}[{place}]"
        return Expression(text, part.width, part.width)

    def _pick(self, part: Slice, text: str, place: str) -> str:
        """The name of a wire that is a select."""
        if part not in self._picked:
            self._picked[part] = name = self.names.unused(f"{text}_{place.replace(':', '_')}")
            self.lines.append(f"wire {vector(part.width)}{name} = {text}[{place}];")
        return self._picked[part]

    def value(self, value: Value) -> Expression:
        """A value as an expression."""
        parts = self.netlist.parts(value)
        if len(parts) == 1:
            return literal(parts[0]) if isinstance(parts[0], str) else self.slice(parts[0])
        return Expression(self.joined(parts), bits(value), bits(value))

    def joined(self, value: Value) -> str:
        """The parts of a value as a concatenation."""
        texts: list[str] = []
        for part, same in groupby(reversed(value)):
            text, times = self.alone((part,)).text, len([*same])
            texts.append(text if times == 1 else f"{{{times}{{{text}}}}}")
        return texts[0] if len(texts) == 1 else f"{{{', '.join(texts)}}}"

    def _named(self, value: Value) -> Expression:
        """A value that is one wire, by its name."""
        part = sole(value)
        return Expression(self.need(part.wire), part.width, part.width)

    def alone(self, value: Value) -> Expression:
        """A value where nothing around it counts."""
        found = self.value(value or ("0",))
        return found if found.exact else self._named(value)

    def _operand(self, value: Value, width: int, signed: bool = False, exact: bool = False) -> Expression:
        """A value as an operand of an expression of which the widest operand or the result has ``width``.

        It is ``exact`` where only operands count, as in a comparison.
        """
        value = value or ("0",)
        if signed and len(value) == 1 and isinstance(value[0], str):
            return literal(value[0], signed=True)
        found = self.value(value)
        fits = (found.grows or found.width >= width) and (found.exact or not exact)
        if found.signed == signed and fits:
            return found
        if found.signed or not (found.exact if signed else fits):
            found = self._named(value)
        if signed:
            return Expression(f"$signed({found.text})", found.width, found.width, signed=True)
        return found

    def index(self, value: Value) -> Expression:
        """A value as an index or as what cases are compared with: a number without a sign."""
        return self._operand(value, bits(value), exact=True)

    def label(self, value: Value, constant: Value) -> Expression | None:
        """A constant that is compared with a value or assigned to it, by its name; None if it has none."""
        part = value[0] if len(value) == 1 else ""
        if not isinstance(part, Slice) or not all(isinstance(one, str) for one in constant):
            return None
        wire = next((name for field, name in self.netlist.fields.get(part.wire, ()) if field == part), part.wire)
        text = "".join(map(str, constant))
        name = self.names.state(wire, text)
        return Expression(name, len(text), len(text)) if name else None

    # Operators.

    def _operation(self, wire: str) -> Expression | None:
        """The operation that drives a wire; None if that is no expression."""
        key = wire, self.combinational
        if key not in self._operations:
            self._operations[key] = None  # while it is being written
            cell = self.netlist.cells.get(wire)
            if cell and cell.kind in PURE:
                self._operations[key] = self._operator(cell)
            elif wire in self.netlist.processes:
                self._operations[key] = self._choice(self.netlist.processes[wire])
        return self._operations[key]

    def operation(self, wire: str) -> str | None:
        """The text of the operation that drives a wire."""
        found = self._operation(wire)
        return found.text if found else None

    def _operator(self, cell: Cell) -> Expression:
        a, b, width = cell.ports["A"], cell.ports.get("B", ()), bits(cell.ports["Y"])
        if cell.kind == "$mux":
            return self._chosen([(self.alone(cell.ports["S"]), b)], a)
        if cell.kind == "$shift":
            return self._selected(cell)
        signed = cell.number("A_SIGNED") == 1
        if cell.kind in UNARY:
            return self._unary(cell.kind, a, width, signed)
        if cell.kind in ("$and", "$or") and width == 1:
            sign, precedence = ("&&", 4) if cell.kind == "$and" else ("||", 3)
            left, right = (self.alone(value).inside(precedence) for value in (a, b))
            return Expression(f"{left} {sign} {right}", 1, 1, True, precedence)
        sign, precedence = BINARY[cell.kind]
        if cell.kind in ("$shl", "$shr", "$sshr"):
            one, by = self._operand(a, width, signed), self.alone(b).inside(precedence + 1)
            if len(b) == 1 and isinstance(b[0], str):
                by = str(min(int(b[0], 2), bits(a) - 1) if cell.kind == "$sshr" else int(b[0], 2))
            text = f"{one.inside(precedence)} {sign} {by}"
            grows = one.grows and cell.kind != "$shl" and width >= bits(a)
            return Expression(text, width, one.own, grows, precedence, signed)
        return self._binary(cell.kind, a, b, width, signed)

    def _binary(self, kind: str, a: Value, b: Value, width: int, signed: bool) -> Expression:
        sign, precedence = BINARY[kind]
        wide = max(bits(a), bits(b), 1)
        a, b = (_widened(value, wide, signed) for value in (a, b))
        if kind in _COMPARISONS:
            left, right = (self._operand(value, wide, signed, exact=True) for value in (a, b))
            if kind in ("$eq", "$ne"):
                right = self.label(a, b) or right
            return Expression(f"{left.inside(precedence + 1)} {sign} {right.inside(precedence + 1)}", 1, 1, True,
                              precedence)
        left, right = (self._operand(value, max(width, wide), signed) for value in (a, b))
        # Bits that hold every result.
        room = {"$add": wide + 1, "$sub": wide + 1 if signed else width + 1, "$mul": bits(a) + bits(b)}.get(kind, wide)
        grows = left.grows and right.grows and width >= room
        text = f"{left.inside(precedence)} {sign} {right.inside(precedence + (kind == '$sub'))}"
        return Expression(text, width, max(left.own, right.own), grows, precedence, signed)

    def _unary(self, kind: str, a: Value, width: int, signed: bool) -> Expression:
        if kind.startswith("$reduce") or width == 1:
            found = self.alone(a)
            if bits(a) == 1 and kind != "$not":
                return found
            return Expression(f"{'!' if kind == '$not' else UNARY[kind]}{found.inside(15)}", 1, 1, True, 14)
        found = self._operand(a, width, signed)
        grows = signed and kind == "$neg" and width > bits(a) and found.grows
        return Expression(f"{UNARY[kind]}{found.inside(15)}", width, found.own, grows, 14, signed)

    def _chosen(self, arms: list[tuple[Expression, Value]], default: Value) -> Expression:
        """The value of the first condition that is true, or the default."""
        if len(arms) == 1 and bits(default) == 1 and (default == ("0",) or arms[0][1] == ("1",)):
            (condition, value), = arms
            if default == ("0",) and value == ("1",):
                return condition
            sign, precedence, other = ("&&", 4, value) if default == ("0",) else ("||", 3, default)
            text = f"{condition.inside(precedence)} {sign} {self.alone(other).inside(precedence)}"
            return Expression(text, 1, 1, True, precedence)
        width, own, grows, texts = bits(default), 0, True, list[str]()
        for value in [*(value for _, value in arms), default]:
            arm = self._operand(value, width)
            own, grows = max(own, arm.own), grows and arm.grows
            texts.append(arm.inside(3))
        text = "".join(f"{condition.inside(3)} ? {text} : " for (condition, _), text in zip(arms, texts, strict=False))
        return Expression(text + texts[-1], width, own, grows, 2)

    def _selected(self, cell: Cell) -> Expression:
        """Some of the bits of a value, from a bit on that depends on a number."""
        a, b, width = cell.ports["A"], cell.ports["B"], bits(cell.ports["Y"])
        stride, offset = 1, b
        other = self.netlist.cells.get(b[0].wire) if len(b) == 1 and isinstance(b[0], Slice) else None
        if other and other.kind == "$mul" and isinstance(factor := other.ports["B"][0], str):
            stride, offset = int(factor, 2), other.ports["A"]
        base = self.netlist.parts(a)
        if len(base) == 1 and isinstance(base[0], Slice) and ((1 << bits(offset)) - 1) * stride + width <= bits(a):
            named = self._named(base) if base[0].wire.startswith("$") else self.slice(base[0])
            if re.fullmatch(r"\w+", named.text):
                text = self.index(offset).text if stride == 1 else f"{self._operand(offset, 32).inside(12)} * {stride}"
                return Expression(f"{named.text}[{text}{f' +: {width}' if width > 1 else ''}]", width, width)
        if cell.number("A_SIGNED"):
            raise ValueError("a signed value is indexed beyond its end")
        left, right = self._operand(a, max(width, bits(a))), self.alone(b)
        return Expression(f"{left.inside(10)} >> {right.inside(11)}", width, left.own, False, 10)

    # Processes.

    def condition(self, bit: Value, inverted: bool = False) -> Expression:
        """A bit, or its inverse, as a condition."""
        found = self.alone(bit)
        if not inverted:
            return found
        if found.text[0] == "!" and found.precedence == 14:
            return found._replace(text=found.text[1:], precedence=15)
        return Expression(f"!{found.inside(15)}", 1, 1, True, 14)

    def chain(self, switch: Switch) -> list[tuple[Value, bool, Body]] | None:
        """A switch as a chain of ifs: bit, whether 0 is meant, and statements; an else has no bit.

        None if the cases ask for more than one bit each, or for the states of a state machine.
        """
        chain: list[tuple[Value, bool, Body]] = []
        if self.label(switch.test, ("0" * bits(switch.test),)):
            return None
        for patterns, inner in switch.cases:
            if not patterns or not patterns[0].strip("-"):
                return [*chain, ((), False, inner)]
            if len(patterns) > 1 or len(patterns[0].strip("-")) > 1:
                return None
            position = next(i for i, bit in enumerate(reversed(patterns[0])) if bit != "-")
            bit, inverted = cut(switch.test, position, 1), "0" in patterns[0]
            if chain and chain[-1][:2] == (bit, not inverted):
                return [*chain, ((), False, inner)]
            chain.append((bit, inverted, inner))
        return chain

    def _branches(self, switch: Switch) -> Iterator[tuple[Expression | None, Body]]:
        """Condition (None for an else) and statements of each case; nothing if that does not say all."""
        chain = self.chain(switch)
        if chain is not None:
            # Of a chain, only the last may have conditions of its own.
            simple = all(inner and isinstance(inner[0], Assign) for _, _, inner in chain[:-1])
            if simple and all(inner for _, _, inner in chain):
                yield from ((self.condition(bit, inverted) if bit else None, inner) for bit, inverted, inner in chain)
            return
        cases = [(patterns, inner) for patterns, inner in switch.cases if inner]
        if all(len(patterns) == 1 and "-" not in patterns[0] for patterns, _ in cases):
            for patterns, inner in cases:
                label = self.label(switch.test, patterns) or literal(patterns[0])
                yield Expression(f"{self.index(switch.test).inside(9)} == {label.text}", 1, 1, True, 8), inner

    def _arms(self, body: Body) -> list[tuple[list[Expression], Value]]:
        """What a process assigns, each under conditions; nothing if that is not the first whose conditions are true."""
        if len(body) != 1:
            return []
        if isinstance(body[0], Assign):
            return [([], body[0].right)]
        arms: list[tuple[list[Expression], Value]] = []
        for condition, inner in self._branches(body[0]):
            found = self._arms(inner)
            if not found:
                return []
            arms += [([condition, *conditions] if condition else conditions, value) for conditions, value in found]
        return arms

    def _choice(self, body: Body) -> Expression | None:
        """A process as an expression, if it is as simple as that."""
        arms = self._arms(body[1:])
        if not arms or not isinstance(body[0], Assign):
            return None
        default = arms.pop()[1] if not arms[-1][0] else body[0].right
        if not 1 <= len(arms) <= 2:
            return None
        conditions = [found[0] if len(found) == 1 else
                      Expression(" && ".join(one.inside(4) for one in found), 1, 1, True, 4) for found, _ in arms]
        return self._chosen(list(zip(conditions, (value for _, value in arms), strict=True)), default)
