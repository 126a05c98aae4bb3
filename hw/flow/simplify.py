"""Makes a module of RTLIL shorter and gives its wires back the names of signals, without a change of what it does.

Amaranth's netlist knows wires by what drives them, so that many bear a number although a signal of the same value has a
name; it writes an expression once for every use; and its sums are as wide as they can get, although most are cut off.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise

from hw.flow.rtlil import Assign, Body, Module, Slice, Switch, Value, Wire, bits, cut, join, reads, sole

__all__ = ["PURE", "assigned", "simplify"]

PURE = {"$not", "$neg", "$reduce_and", "$reduce_or", "$reduce_xor", "$reduce_bool", "$add", "$sub", "$mul", "$shl",
        "$shr", "$sshr", "$shift", "$and", "$or", "$xor", "$eq", "$ne", "$lt", "$le", "$gt", "$ge", "$mux"}
"""Operators: cells whose output ``Y`` is a function of their inputs."""
_MODULAR = {"$not", "$neg", "$add", "$sub", "$mul", "$and", "$or", "$xor", "$mux", "$shl"}
"""Operators whose low bits depend on the low bits of their inputs only; of ``$shl`` that is its input A."""
_OPPOSITES = {"$eq": "$ne", "$ne": "$eq", "$lt": "$ge", "$ge": "$lt", "$gt": "$le", "$le": "$gt"}


def _changed(body: Body, change: Callable[[Value], Value]) -> Body:
    return [Assign(change(one.left), change(one.right)) if isinstance(one, Assign)
            else Switch(change(one.test), [(patterns, _changed(inner, change)) for patterns, inner in one.cases])
            for one in body]


def _substitute(module: Module, places: dict[str, Value]) -> None:
    """Replace the wires that ``places`` holds by values, and those in these values likewise."""
    def change(value: Value) -> Value:
        if not any(isinstance(part, Slice) and part.wire in places for part in value):
            return value
        return join(new for part in value for new in
                    (change(cut(places[part.wire], part.low, part.width))
                     if isinstance(part, Slice) and part.wire in places else (part,)))

    for cell in module.cells:
        cell.ports = {port: change(value) for port, value in cell.ports.items()}
    module.processes = [_changed(body, change) for body in module.processes]
    module.connections = [Assign(one.left, change(one.right)) for one in module.connections]


def _fold(module: Module) -> None:
    """Make one of the unconditional assignments at the start of a process; without others, it becomes a connection."""
    kept = []
    for first, *others in module.processes:
        assert isinstance(first, Assign)
        value = first.right
        while others and isinstance(others[0], Assign):
            left, new = others.pop(0)
            low, width = sole(left).low, sole(left).width
            value = join([*cut(value, 0, low), *new, *cut(value, low + width, bits(value))])
        if others:
            kept.append([Assign(first.left, value), *others])
        else:
            module.connections.append(Assign(first.left, value))
    module.processes = kept


def assigned(body: Body) -> Iterator[Slice]:
    """What the statements of a process assign to."""
    for statement in body:
        if isinstance(statement, Assign):
            yield sole(statement.left)
        else:
            for _, inner in statement.cases:
                yield from assigned(inner)


def _in_pieces(body: Body, pieces: dict[int, Slice]) -> Body:
    """Statements that assign to pieces of a wire, by their lowest bits, instead of to the wire."""
    found: Body = []
    for one in body:
        if isinstance(one, Switch):
            found.append(Switch(one.test, [(patterns, _in_pieces(inner, pieces)) for patterns, inner in one.cases]))
        else:
            left = sole(one.left)
            found += [Assign((piece,), cut(one.right, low - left.low, piece.width))
                      for low, piece in pieces.items() if left.low <= low < left.low + left.width]
    return found


def _split(module: Module) -> None:
    """Give the parts of a wire that combinational logic assigns one by one wires of their own.

    Icarus 11 evaluates an always_comb that assigns to a part of a vector for ever.
    """
    registers = {part.wire for cell in module.cells if cell.kind in ("$dff", "$adff") for part in cell.ports["D"]
                 if isinstance(part, Slice)}
    for number, body in enumerate(module.processes):
        wire = next(assigned(body)).wire
        edges = sorted({edge for left in assigned(body) for edge in (left.low, left.low + left.width)})
        if wire in registers or len(edges) == 2:
            continue
        pieces: dict[int, Slice] = {}
        for low, high in pairwise(edges):
            fields = [one for one in module.connections if one.right == (Slice(wire, low, high - low),)]
            name = sole(fields[0].left).wire if fields else f"{wire}.{high - 1}_{low}"
            module.connections = [one for one in module.connections if one not in fields[:1]]
            module.wires.setdefault(name, Wire(high - low, "", {}))
            pieces[low] = Slice(name, 0, high - low)
        body = _in_pieces(body, pieces)
        chosen = {left.wire for left in assigned([one for one in body if isinstance(one, Switch)])}
        fixed = [one for one in body if isinstance(one, Assign) and sole(one.left).wire not in chosen]
        module.connections += fixed
        module.processes[number] = [one for one in body if one not in fixed]
        module.connections.append(Assign((Slice(wire, 0, edges[-1]),), join(pieces.values())))


def _rename(module: Module) -> None:
    """Call a wire by the name of a signal that has the same value, best by that of an output."""
    order = list(module.wires)
    names: dict[Slice, list[str]] = {}
    for one in module.connections:
        source = one.right[0] if len(one.right) == 1 else ""
        if (isinstance(source, Slice) and source.width == module.wires[source.wire].width
                and not module.wires[source.wire].port):
            names.setdefault(source, [source.wire]).append(sole(one.left).wire)
    places: dict[str, Value] = {}
    for source, found in names.items():
        best = min(found, key=lambda name: (not module.wires[name].port, name.startswith("$"), "$" in name[1:],
                                            order.index(name)))
        if best != source.wire:
            places[source.wire] = (source._replace(wire=best),)
            module.wires[best].attributes = module.wires.pop(source.wire).attributes | module.wires[best].attributes
            module.connections = [one for one in module.connections if sole(one.left).wire != best]
    _substitute(module, places)


def _constants(module: Module) -> None:
    """Leave out operators of which an operand is a constant that makes them needless, and negations of comparisons."""
    drivers = {sole(cell.ports["Y"]).wire: cell for cell in module.cells if cell.kind in PURE}
    places: dict[str, Value] = {}
    for wire, cell in drivers.items():
        a, b = cell.ports["A"], cell.ports.get("B", ())
        other = drivers.get(a[0].wire) if cell.kind == "$not" and len(a) == 1 and isinstance(a[0], Slice) else None
        if other and other.kind in _OPPOSITES:
            cell.kind, cell.parameters, cell.ports = _OPPOSITES[other.kind], other.parameters, {
                **other.ports, "Y": cell.ports["Y"]}
            continue
        for value, constant in ((a, b), (b, a)):
            bit = "".join({*"".join(part if isinstance(part, str) else "-" for part in constant)})
            needless = {"$and": bit == "1" and bits(constant) == bits(value), "$or": bit in ("", "0"),
                        "$xor": bit in ("", "0"), "$add": bit in ("", "0"),
                        "$sub": bit in ("", "0") and value is a}.get(cell.kind)
            if needless and bits(value) == bits(cell.ports["Y"]) and not module.wires[wire].port:
                places[wire] = value
    module.cells = [cell for cell in module.cells if cell.kind not in PURE or sole(cell.ports["Y"]).wire not in places]
    module.connections += [Assign((Slice(wire, 0, bits(value)),), value) for wire, value in places.items()
                           if not wire.startswith("$")]
    _substitute(module, places)


def _merge(module: Module) -> None:
    """Make equal operators one, as long as there are some."""
    while True:
        places: dict[str, Value] = {}
        first: dict[object, Slice] = {}
        pure = [(sole(cell.ports["Y"]), cell) for cell in module.cells if cell.kind in PURE]
        # Outputs with names come first, so that the others are replaced by them.
        for output, cell in sorted(pure, key=lambda one: one[0].wire.startswith("$")):
            key = (cell.kind, *cell.parameters.items(), *(cell.ports.get(port) for port in "ABS"))
            known = first.setdefault(key, output)
            if known is not output and output.wire.startswith("$"):
                places[output.wire] = (known,)
        if not places:
            return
        module.cells = [cell for cell in module.cells
                        if cell.kind not in PURE or sole(cell.ports["Y"]).wire not in places]
        _substitute(module, places)


def _narrow(module: Module) -> None:
    """Leave out the high bits of results that nothing reads, as long as there are some."""
    changed = True
    while changed:
        changed = False
        needed: dict[str, int] = {}
        for part in (part for value in reads(module) for part in value if isinstance(part, Slice)):
            needed[part.wire] = max(needed.get(part.wire, 0), part.low + part.width)
        for cell in module.cells:
            if cell.kind not in _MODULAR:
                continue
            output = sole(cell.ports["Y"])
            width = needed.get(output.wire, output.width) if output.wire.startswith("$") else output.width
            changed |= width < output.width
            module.wires[output.wire].width = width
            cell.ports["Y"] = (output._replace(width=width),)
            operands = "A" if cell.kind == "$shl" else [port for port in "AB" if port in cell.ports]
            for port in operands:
                cell.ports[port] = cut(cell.ports[port], 0, width)
            if all(bits(cell.ports[port]) == width for port in operands):
                cell.parameters |= dict.fromkeys(("A_SIGNED", "B_SIGNED"), "0")


def simplify(module: Module) -> None:
    """Change a module in place; see the module's docstring. Widths in the cells' parameters are no longer right."""
    _fold(module)
    _split(module)
    driven = [(sole(one.left), one.right) for one in module.connections]
    _substitute(module, {left.wire: right for left, right in driven if left.width == module.wires[left.wire].width})
    _rename(module)
    _constants(module)
    _merge(module)
    _narrow(module)
    _constants(module)
