"""What drives each wire of a module, and which of them are needed."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping

from hw.flow.rtlil import Assign, Body, Cell, Module, Slice, Switch, Value, bits, read_by, sole
from hw.flow.simplify import assigned

__all__ = ["Netlist", "Register"]

Register = tuple[str, str, Body]
"""Edge, the wire of the clock, and what happens at the edge."""

_REGISTERS = ("$dff", "$adff")


def _merged(first: Body, second: Body) -> Body:
    """Statements of two processes that assign to different wires as one; equal switches become one."""
    merged, at = list(first), 0
    for statement in second:
        spot = at
        while isinstance(statement, Switch) and spot < len(merged):
            other = merged[spot]
            if isinstance(other, Switch) and other.test == statement.test and [
                    patterns for patterns, _ in other.cases] == [patterns for patterns, _ in statement.cases]:
                merged[spot] = Switch(other.test, [
                    (patterns, _merged(one, two))
                    for (patterns, one), (_, two) in zip(other.cases, statement.cases, strict=True)])
                at = spot + 1
                break
            spot += 1
        else:
            merged.insert(at, statement)
            at += 1
    return merged


class Netlist:
    """A module as a graph.

    Parameters
    ----------
    module : Module
        As :func:`hw.flow.simplify.simplify` leaves it.
    modules : mapping of str to Module
        All modules of the design, by their names.

    Attributes
    ----------
    cells, processes, aliases : dict
        What drives a wire, by the wire's name: the operator, register or read port of a memory, the process, or the
        value that it is connected with.
    fields : dict of str to list of (Slice, str)
        Parts of a wire that have a name.
    registers : list of Register
        All registers that are needed; those with the same conditions are together.
    count : Counter of str
        How often the text mentions each wire, at the most.
    """

    def __init__(self, module: Module, modules: Mapping[str, Module]) -> None:
        self.module, self._modules = module, modules
        self.cells = {sole(cell.ports[cell.output]).wire: cell for cell in module.cells if cell.output}
        self.processes = {left.wire: body for body in module.processes for left in assigned(body)}
        self.aliases = {sole(one.left).wire: one.right for one in module.connections
                        if bits(one.left) == module.wires[sole(one.left).wire].width}
        self._wholes = {value: wire for wire, value in reversed(self.aliases.items()) if len(value) > 1}
        self._driven = {sole(value).wire for cell in module.cells if cell.kind[1:] in modules
                        for port, value in cell.ports.items() if self._is_output(cell, port)}
        self.fields: dict[str, list[tuple[Slice, str]]] = {}
        for wire, value in self.aliases.items():
            part = value[0] if len(value) == 1 else ""
            if isinstance(part, Slice) and re.fullmatch(re.escape(part.wire) + r"[.[].*", wire):
                self.fields.setdefault(part.wire, []).append((part, wire))
        self._live = self._reached()
        self.registers = self._registers()
        self.count = self._counted()

    def parts(self, value: Value) -> Value:
        """A value, or the signal that has this value."""
        wire = self._wholes.get(value)
        return (Slice(wire, 0, bits(value)),) if wire else value

    def _is_output(self, cell: Cell, port: str) -> bool:
        return self._modules[cell.kind[1:]].wires[f"\\{port}"].port == "output"

    def drives(self, cell: Cell, port: str) -> bool:
        """Whether an instance drives the wire at a port; one of a foreign module does if nothing else drives it."""
        if cell.kind[1:] in self._modules:
            return self._is_output(cell, port)
        value = cell.ports[port]
        if len(value) != 1 or not isinstance(part := value[0], Slice):
            return False
        wire = self.module.wires[part.wire]
        return part.width == wire.width and wire.port in ("", "output") and not any(
            part.wire in known for known in (self.cells, self.processes, self.aliases, self._driven))

    def _sources(self, wire: str) -> Iterator[Value]:
        """What the value of a wire depends on."""
        if wire in self.aliases:
            yield from ((part,) for part in self.aliases[wire])
        elif cell := self.cells.get(wire):
            yield from (value for port, value in cell.ports.items() if port != cell.output)
            if cell.kind == "$memrd_v2":
                for other in self.module.cells:
                    if other.kind == "$memwr_v2" and other.parameters["MEMID"] == cell.parameters["MEMID"]:
                        yield from other.ports.values()
        else:
            yield from read_by(self.processes.get(wire, []))

    def _effects(self) -> Iterator[Value]:
        """What instances, assertions and three-state buffers read."""
        for cell in self.module.cells:
            if not cell.kind.startswith("$"):
                yield from (value for port, value in cell.ports.items() if not self.drives(cell, port))
            elif cell.kind in ("$check", "$tribuf"):
                yield from (value for port, value in cell.ports.items() if port != cell.output)
        yield from (one.right for one in self.module.connections if sole(one.left).wire not in self.aliases)

    def _wires(self, value: Value) -> Iterator[str]:
        return (part.wire for part in self.parts(value) if isinstance(part, Slice))

    def _reached(self) -> set[str]:
        """Wires that outputs, instances and assertions depend on, and those to keep."""
        live: set[str] = set()
        todo = [name for name, wire in self.module.wires.items() if wire.port == "output" or "keep" in wire.attributes]
        todo += (wire for value in self._effects() for wire in self._wires(value))
        while todo:
            if (wire := todo.pop()) not in live:
                live.add(wire)
                todo += (other for value in self._sources(wire) for other in self._wires(value))
        return live

    def _register(self, cell: Cell) -> Register:
        output, data = sole(cell.ports["Q"]), cell.ports["D"]

        def towards(body: Body) -> Body:
            return [Assign((output._replace(low=sole(one.left).low, width=sole(one.left).width),), one.right)
                    if isinstance(one, Assign) else
                    Switch(one.test, [(patterns, towards(inner)) for patterns, inner in one.cases]) for one in body]

        wire = sole(data).wire if len(data) == 1 and isinstance(data[0], Slice) else ""
        body = towards(self.processes.get(wire, [Assign((output,), data)]))
        if body[0] == Assign((output,), (output,)):
            del body[0]
        edge = "posedge" if cell.number("CLK_POLARITY") else "negedge"
        if cell.kind == "$adff":
            constant = (cell.parameters["ARST_VALUE"].partition("'")[2],)
            body.append(Switch(cell.ports["ARST"], [(("1",), [Assign((output,), constant)])]))
            edge = f"posedge {sole(cell.ports['ARST']).wire} or {edge}"
        return edge, sole(cell.ports["CLK"]).wire, body

    def _registers(self) -> list[Register]:
        groups: dict[object, Register] = {}
        for wire, cell in self.cells.items():
            if cell.kind in _REGISTERS and wire in self._live:
                edge, clock, body = self._register(cell)
                key = edge, clock, *((one.test, *(patterns for patterns, _ in one.cases)) for one in body
                                     if isinstance(one, Switch))
                groups[key] = edge, clock, _merged(groups[key][-1], body) if key in groups else body
        return list(groups.values())

    def _counted(self) -> Counter[str]:
        found = [value for _, _, body in self.registers for value in read_by(body)]
        found += self._effects()
        registers = [cell for cell in self.cells.values() if cell.kind in _REGISTERS]
        known = {sole(cell.ports["Q"]).wire for cell in registers}
        known |= {part.wire for cell in registers for part in cell.ports["D"]
                  if isinstance(part, Slice) and part.wire in self.processes}
        for wire in self.module.wires:
            if wire in self._live and wire not in known:
                found += self._sources(wire)
                known |= {left.wire for left in assigned(self.processes.get(wire, []))}
        return Counter(wire for value in found for wire in self._wires(value))
