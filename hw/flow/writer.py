"""Writes a module of RTLIL as SystemVerilog that people can read.

Registers become one ``always_ff`` for all that have the same conditions, with their reset first. Combinational
processes become choices where they are simple, else an ``always_comb``. Operators are written inside the expressions
that use them (:mod:`hw.flow.expressions`).

Yosys's own writer was tried first: it gives each operator a line and a numbered wire, and no option or pass of Yosys
writes one expression inside another. An engine took 44,000 lines of it, with initial contents of memories, and about
10,000 without; here it takes 4,000. Tests prove module by module that the text does what the RTLIL does.
"""

import re
import textwrap
from collections.abc import Mapping, Sequence
from itertools import groupby

from hw.flow.expression import literal
from hw.flow.expressions import Expressions
from hw.flow.names import Names, identifier, port_names, vector
from hw.flow.netlist import Netlist
from hw.flow.rtlil import Assign, Body, Cell, Module, Slice, Switch, Value, bits, cut, join, sole
from hw.flow.simplify import assigned

__all__ = ["ModuleWriter"]

_WIDTH = 100
"""Columns of a line."""
_FIXED_BLANK = "\N{NO-BREAK SPACE}"
"""A blank at which no line may end, until lines are of their width."""


def _wrapped(line: str) -> list[str]:
    """A line of code as lines of at most :data:`_WIDTH` columns, which end at a blank."""
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    lines = textwrap.wrap(line, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return [part.replace(_FIXED_BLANK, " ") for part in lines] or [""]


def _block(head: str, body: Sequence[str], before: Sequence[str] = (), chained: bool = False) -> list[str]:
    """Statements under a head such as ``if (...)``, behind the lines of an ``if`` before an ``else``.

    Statements that are one ``if`` are ``chained`` to an ``else``.
    """
    if before and before[-1] == "end":
        head, before = f"end {head}", before[:-1]
    if chained and body[0].startswith("if "):
        return [*before, f"{head} {body[0]}", *body[1:]]
    if not body:
        return [*before, f"{head} {';' if head[-1] == ':' else 'begin end'}"]
    nested = head.startswith("if") and body[0].startswith("if")  # an else behind it would be the inner one's
    if len(body) == 1 and len(head) + len(body[0]) < _WIDTH - 8 and not head.startswith("end") and not nested:
        return [*before, f"{head} {body[0]}"]
    return [*before, f"{head} begin", *(f"  {line}" for line in body), "end"]


def _marks(attributes: Mapping[str, str]) -> str:
    """Attributes of a wire or a memory that tools have to know, in Verilog."""
    found = [f'{name} = "true"' if text == "1" else f"{name} = {text}" for name, text in attributes.items()
             if name != "init" and not name.startswith("enum_")]
    return f"(* {', '.join(found)} *) " if found else ""


def _otherwise(check: Cell) -> str:
    """What an assertion does when it fails: its message, without the end of line that simulators add, is an error's."""
    if check.number("ARGS_WIDTH"):
        raise ValueError("messages of assertions that show values are not supported")
    message = check.parameters["FORMAT"].strip('"').removesuffix("\\n")
    message = message.replace("{{", "{").replace("}}", "}").replace("%", "%%").replace(" ", _FIXED_BLANK)
    return f' else $error("{message}")' if message else ""


class ModuleWriter(Expressions):
    """Text of one module.

    Parameters
    ----------
    module : Module
        As :func:`hw.flow.simplify.simplify` leaves it.
    modules : mapping of str to Module
        All modules of the design, by their names in RTLIL; the top is the first.
    titles : mapping of str to str
        The names that these get in Verilog.
    orders : mapping of str to sequence of str
        Names of ports, by module in RTLIL, in the order in which they are written; others come first.
    """

    def __init__(self, module: Module, modules: Mapping[str, Module], titles: Mapping[str, str],
                 orders: Mapping[str, Sequence[str]]) -> None:
        super().__init__(Netlist(module, modules), Names(module, module.name == next(iter(modules))))
        self._module, self._modules, self._titles, self._orders = module, modules, titles, orders
        self._variables: set[str] = set()
        self._declarations: list[str] = []

    # Statements.

    def _target(self, part: Slice) -> str:
        name, width = self.names.wire(part.wire), self._module.wires[part.wire].width
        if part.width == width:
            return name
        return f"{name}[{part.low + part.width - 1}:{part.low}]" if part.width > 1 else f"{name}[{part.low}]"

    def _statements(self, body: Body, sign: str) -> list[str]:
        """Statements of a process, that assign by ``=`` or ``<=``."""
        lines: list[str] = []
        for one in body:
            if isinstance(one, Switch):
                lines += self._switch(one, sign)
                continue
            target, root = sole(one.left), self.names.root
            self.names.root = self.names.wire(target.wire)
            right = self.label((target,), one.right) or self.value(one.right)
            lines.append(f"{self._target(target)} {sign} {right.text};")
            self.names.root = root
        return lines

    def _switch(self, switch: Switch, sign: str) -> list[str]:
        chain = self.chain(switch)
        if chain is None:
            return self._case(switch, sign)
        while chain and not chain[-1][2]:
            chain.pop()
        if len(chain) == 2 and not chain[0][2] and not chain[1][0]:
            chain = [(chain[0][0], not chain[0][1], chain[1][2])]
        lines: list[str] = []
        for bit, inverted, inner in chain:
            word = f"if ({self.condition(bit, inverted).text})" if bit else ""
            lines = _block(f"else {word}".rstrip() if lines else word, self._statements(inner, sign), lines)
        return lines

    def _case(self, switch: Switch, sign: str) -> list[str]:
        complete = any(not patterns for patterns, _ in switch.cases)
        wild = any("-" in pattern for patterns, _ in switch.cases for pattern in patterns)
        lines: list[str] = []
        for patterns, inner in switch.cases:
            if inner or complete or wild:
                labels = [(self.label(switch.test, (pattern,)) or literal(pattern.replace("-", "x"))).text
                          for pattern in patterns]
                head = f"{', '.join(labels).replace('x', '?') if wild else ', '.join(labels)}" if labels else "default"
                lines += _block(f"{head}:", self._statements(inner, sign))
        if not lines:
            return []
        word = "casez" if wild else "case"
        return [f"{word} ({self.index(switch.test).text})", *(f"  {line}" for line in lines),
                *([] if complete else ["  default: ;"]), "endcase"]

    # Combinational logic.

    def define(self, wire: str, name: str) -> None:
        """Write what drives a wire, or declare it if that is written elsewhere."""
        about, cell = self._module.wires[wire], self.netlist.cells.get(wire)
        if wire in self.netlist.aliases:
            text = self._layout(wire)
        elif found := self.operation(wire):
            text = found
        elif cell and cell.kind == "$memrd_v2" and not cell.number("CLK_ENABLE"):
            text = f"{self._memory(cell)}[{self.index(cell.ports['ADDR']).text}]"
        elif body := self.netlist.processes.get(wire):
            self._always(body)
            return
        else:
            self._declare(wire, name)
            return
        marks = _marks(about.attributes)
        if not about.port and not marks and wire not in self.early:
            self.lines.append(f"wire {vector(about.width)}{name} = {text};")
            return
        # Icarus 11 knows no attributes of wires that are declared with what drives them.
        self._declarations += [] if about.port else [f"{marks}wire {vector(about.width)}{name};"]
        self.lines.append(f"assign {name} = {text};")

    def _always(self, body: Body) -> None:
        """Write a process as an always_comb."""
        wires = list(dict.fromkeys(left.wire for left in assigned(body)))
        self._variables.update(wires)
        self.done.update(wires)
        self._declarations += [f"{_marks(about.attributes)}logic {vector(about.width)}{self.names.wire(wire)};"
                               for wire in wires if not (about := self._module.wires[wire]).port]
        self.combinational = True
        self.lines += ["", *_block("always_comb", self._statements(body, "=")), ""]
        self.combinational = False

    def _initial(self, wire: str) -> str:
        """The value of a register before its first clock, as a part of its declaration."""
        initial = self._module.wires[wire].attributes.get("init", "").partition("'")[2]
        if not initial or wire not in self.netlist.cells:
            return ""
        return f" = {self.names.state(wire, initial) or literal(initial).text}"

    def _declare(self, wire: str, name: str) -> None:
        """Declare a register or what an instance drives."""
        about, variable = self._module.wires[wire], wire in self.netlist.cells
        if variable:
            self._variables.add(wire)
        if not about.port:
            self._declarations.append(f"{_marks(about.attributes)}{'logic' if variable else 'wire'} "
                                      f"{vector(about.width)}{name}{self._initial(wire)};")

    def _layout(self, wire: str) -> str:
        """The value of a signal, field by field if it has some."""
        value = self.netlist.aliases[wire]
        if len(value) == 1:
            part, label = value[0], self.label((Slice(wire, 0, bits(value)),), value)
            return (label or (literal(part) if isinstance(part, str) else self.slice(part, plain=True))).text
        # A field that is all of the signal, beside others without bits, would be called by the signal's own name.
        fields = [right for name, right in self.netlist.aliases.items()
                  if re.fullmatch(re.escape(wire) + r"[.[]\w+\]?", name) and right and right != value]
        if join(part for right in fields for part in right) == value:
            return f"{{{', '.join(self.alone(right).text for right in reversed(fields))}}}"
        return self.joined(value)

    # Instances, registers and memories.

    def _instance(self, cell: Cell) -> list[str]:
        """An instance of a module; outputs that nothing uses stay open."""
        name, order = self.names.unused(identifier(cell.name)), self._orders.get(cell.kind[1:], ())
        other = self._modules.get(cell.kind[1:])
        known, texts = port_names(other) if other else {}, []
        for port in sorted(cell.ports, key=lambda port: order.index(port) if port in order else -1):
            value = cell.ports[port]
            self.names.root = f"{name}_{identifier(port)}"
            driven = self.netlist.drives(cell, port)
            wire = sole(value).wire if driven else ""
            opened = driven and not self.netlist.count[wire] and not self._module.wires[wire].port
            texts.append(f"  .{known.get(port, port)}({'' if opened else self.alone(value).text})")
        head = self._titles.get(cell.kind[1:], cell.kind[1:])
        values = [f".{key}({value if value[0] == chr(34) else value.replace(chr(39), chr(39) + 'b')})"
                  for key, value in cell.parameters.items()]
        head += f" #({', '.join(values)})" if values else ""
        return ["", f"{head} {name} (", *(f"{text}," for text in texts[:-1]), *texts[-1:], ");"]

    def _registers(self) -> list[str]:
        lines: list[str] = []
        for edge, clock, body in self.netlist.registers:
            edge = re.sub(r"[\\$]\S+", lambda wire: self.need(wire[0]), edge)
            targets = list(dict.fromkeys(left.wire for left in assigned(body)))
            for target in targets:
                self.need(target)
            self.names.root = self.names.wire(targets[0])
            last, start = body[-1], body[:-1]
            text = self._statements(body, "<=")
            if isinstance(last, Switch) and [patterns for patterns, _ in last.cases] == [("1",)] and start:
                inner = last.cases[0][1]
                whole = {sole(one.left).wire for one in inner if isinstance(one, Assign)
                         and sole(one.left).width == self._module.wires[sole(one.left).wire].width}
                if whole == set(targets):  # a reset, which overrides all before it
                    text = _block(f"if ({self.condition(last.test).text})", self._statements(inner, "<="))
                    text = _block("else", self._statements(start, "<="), text, chained=len(start) == 1)
            lines += ["", *_block(f"always_ff @({edge} {self.need(clock)})", text)]
        return lines

    def _memory(self, cell: Cell) -> str:
        """Name of the memory that a cell is a port of."""
        return self.names.memories[cell.parameters["MEMID"].strip('"').replace("\\\\", "\\")]

    def _enabled(self, enable: Value, statement: str) -> str:
        return statement if enable == ("1",) else f"if ({self.alone(enable).text}) {statement}"

    def _memory_port(self, cell: Cell) -> list[str]:
        """Writing of a memory, or reading with a clock."""
        word = f"{self._memory(cell)}[{self.index(cell.ports['ADDR']).text}]"
        if cell.kind == "$memrd_v2":
            if "1" in cell.parameters["TRANSPARENCY_MASK"].partition("'")[2]:
                raise ValueError("reads of memories that see a write of the same cycle are not supported")
            data = self.need(sole(cell.ports["DATA"]).wire)
            return [self._enabled(cell.ports["EN"], f"{data} <= {word};")]
        lines, low, width = [], 0, cell.number("WIDTH")
        for enable, same in groupby(cut(cell.ports["EN"], bit, 1) for bit in range(width)):
            size = len([*same])
            where = "" if size == width else f"[{low + size - 1}:{low}]"
            data = self.value(cut(cell.ports["DATA"], low, size)).text
            lines.append(self._enabled(enable, f"{word}{where} <= {data};"))
            low += size
        return lines

    def _memories(self) -> list[str]:
        """Contents of memories that are other than zeros, and ports with a clock."""
        lines: list[str] = []
        for cell in self._module.cells:
            if cell.kind not in ("$meminit_v2", "$memwr_v2", "$memrd_v2"):
                continue
            self.names.root = self._memory(cell)
            if cell.kind == "$meminit_v2":
                data, width = cell.ports["DATA"], cell.number("WIDTH")
                words = [cut(data, low, width)[0] for low in range(0, bits(data), width)]
                if any("1" in word for word in words):
                    lines += ["", "initial begin", *(f"  {self._memory(cell)}[{number}] = {literal(str(word)).text};"
                                                     for number, word in enumerate(words)), "end"]
            elif cell.number("CLK_ENABLE"):
                text = self._memory_port(cell)
                lines += ["", *_block(f"always_ff @(posedge {self.alone(cell.ports['CLK']).text})", text)]
        return lines

    def _checks(self) -> list[str]:
        """Assertions, for simulators."""
        lines: list[str] = []
        for cell in self._module.cells:
            if cell.kind == "$check":
                self.names.root = "assertion"
                text = f"assert ({self.alone(cell.ports['A']).text}){_otherwise(cell)};"
                text = self._enabled(cell.ports["EN"], text)
                lines.append(f"always @(posedge {self.alone(cell.ports['TRG']).text}) {text}")
        return ["", "`ifndef SYNTHESIS", *lines, "`endif"] if lines else []

    def _connections(self) -> list[str]:
        """Three-state buffers, and connections of parts of ports."""
        lines: list[str] = []
        for cell in self._module.cells:
            if cell.kind == "$tribuf":
                output, enable, data = (cell.ports[port] for port in ("Y", "EN", "A"))
                text = f"{self.alone(enable).inside(3)} ? {self.alone(data).inside(3)} : {bits(output)}'bz"
                lines.append(f"assign {self._target(sole(output))} = {text};")
        return lines + [f"assign {self._target(sole(one.left))} = {self.value(one.right).text};"
                        for one in self._module.connections if sole(one.left).wire not in self.netlist.aliases]

    def _head(self, port: str, attributes: Mapping[str, str]) -> list[str]:
        """The declaration of a port, below its attributes and behind the fields of its structure."""
        wires, about = self._module.wires, self._module.wires[port]
        fields = [(name[len(port) + 1:].strip("]"), wires[name].width) for name in wires
                  if re.fullmatch(re.escape(port) + r"[.[]\w+\]?", name)]
        lines = []
        if fields and sum(width for _, width in fields) == about.width:
            text = f"{{{', '.join(f'{name}{vector(width).strip()}' for name, width in reversed(fields))}}}"
            if all(name.isdigit() for name, _ in fields):
                text = f"{len(fields)} elements of {fields[0][1]} bits, the first one lowest"
            lines += textwrap.wrap(text, _WIDTH - 5, initial_indent="// ", subsequent_indent="//   ")
        if attributes:
            lines.append("(* " + ", ".join(f'{key} = "{value}"' for key, value in attributes.items()) + " *)")
        kind = "logic" if port in self._variables else "wire"
        return [*lines, f"{about.port} {kind} {vector(about.width)}{self.names.wire(port)}{self._initial(port)},"]

    def text(self, attributes: Mapping[str, Mapping[str, str]]) -> str:
        """The module. ``attributes`` are those of its ports: by port, an attribute's text by its name."""
        wires, order = self._module.wires, self._orders.get(self._module.name, ())
        ports = [name for name, wire in wires.items() if wire.port]
        ports.sort(key=lambda name: order.index(name[1:]) if name[1:] in order else -1)
        for port in ports:
            if wires[port].port == "output":
                self.need(port)
        others = [line for cell in self._module.cells if not cell.kind.startswith("$") for line in self._instance(cell)]
        others += [*self._connections(), *self._registers(), *self._memories(), *self._checks()]
        heads = [line for port in ports for line in self._head(port, attributes.get(port[1:], {}))]
        heads[-1] = heads[-1].removesuffix(",")
        declarations = [*(text for _, text in sorted(self.names.constants.items())),
                        *(f"{_marks(memory.attributes)}logic {vector(memory.width)}{self.names.memories[name]} "
                          f"[0:{memory.depth - 1}];" for name, memory in self._module.memories.items()),
                        *self._declarations]
        body = [*declarations, "", *self.lines, *others]
        lines = [f"module {self._titles[self._module.name]} (", *(f"  {line}" for line in heads), ");",
                 *(text for line in body for text in _wrapped(f"  {line}")), "endmodule", ""]
        return re.sub(r"\n(\s*\n)+", "\n\n", "\n".join(lines)).replace(");\n\n", ");\n", 1)
