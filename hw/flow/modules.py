"""Modules of a design: one for each component, with the component's own ports, and one for all equal ones.

Amaranth writes a module for every instance, and its netlist sees through their borders: what one module only passes on
vanishes, constants move into other modules, and ports are called ``port$1637$0``. :func:`hierarchy` converts every
component by itself instead, so that a module's ports are the members of the component's signature.
"""

import ast
import linecache
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from types import SimpleNamespace
from typing import NamedTuple

from amaranth.back import rtlil
from amaranth.hdl import Elaboratable, Fragment, Instance, Module, Signal, Value
from amaranth.hdl._ast import SignalDict
from amaranth.hdl._ir import Design, PortDirection
from amaranth.hdl._mem import MemoryInstance
from amaranth.hdl._xfrm import LHSMaskCollector, TransformedElaboratable
from amaranth.lib import wiring

__all__ = ["Origin", "hierarchy", "unique"]

_Port = tuple[str, Signal, PortDirection]
"""Name, signal and direction of a module's port."""


class Origin(NamedTuple):
    """Where a module comes from.

    Parameters
    ----------
    component : Elaboratable or None
        What it was elaborated from; None for a plain module.
    ports : list of str
        Names of its ports: clocks and resets, then the members of the component's signature.
    """

    component: Elaboratable | None
    ports: list[str]


def unique(design: str) -> tuple[str, dict[str, str]]:
    """Make equal modules of a design one, because Amaranth writes a module for every instance.

    Returns the new design, and for every module of ``design`` the name of the one in its place, both by hierarchical
    name.
    """
    places: dict[str, str] = {}
    known: dict[str, str] = {}
    texts: list[str] = []
    modules = re.findall(r"((?:^attribute .*\n)*)^module \\(\S+)\n([\s\S]*?^end\n)", design, re.MULTILINE)
    for attributes, name, text in reversed(modules):  # a module comes before its submodules
        text = re.sub(r"^  cell \\(\S+)", lambda match: f"  cell \\{places.get(match[1], match[1])}", text,
                      flags=re.MULTILINE)
        places[name] = known.setdefault(text, name)
        if places[name] == name:
            texts.append(f"{attributes}module \\{name}\n{text}")
    return "\n".join(reversed(texts)), places


def _made_from(fragment: Fragment) -> Elaboratable | None:
    """What a fragment was elaborated from, below all transformers; None when that is a plain module."""
    found = [origin for origin in fragment.origins or () if not isinstance(origin, Module | TransformedElaboratable)]
    return found[-1] if found else None


def _members(component: Elaboratable | None) -> Iterator[_Port]:
    """Ports in a component's signature; none if it is no component. The ready of a stream that is always ready is a
    constant."""
    if isinstance(component, wiring.Component):
        for path, member, value in component.signature.flatten(component):
            direction = PortDirection.Input if member.flow is wiring.In else PortDirection.Output
            yield "__".join(map(str, path)), Value.cast(value), direction


@contextmanager
def _named(names: Mapping[Signal, str]) -> Iterator[None]:
    """Call signals by other names for a while."""
    before = [(signal, signal.name) for signal in names]
    try:
        for signal, name in names.items():
            signal.name = name
        yield
    finally:
        for signal, name in before:
            signal.name = name


def _name_unpacked(signals: Iterable[Signal]) -> None:
    """Give signals made as ``a, b = Signal(), Signal()`` their names, which Amaranth does not find."""
    lines: dict[tuple[str, int], dict[int, Signal]] = {}
    for signal in signals:
        lines.setdefault(signal.src_loc, {})[signal.duid] = signal
    for (file, line), found in lines.items():
        if all(signal.name not in ("$signal", "$like") for signal in found.values()):
            continue
        with suppress(SyntaxError, AttributeError, IndexError, ValueError):  # another kind of statement
            statement = ast.parse(linecache.getline(file, line).strip()).body[0]
            targets, values = statement.targets[0].elts, statement.value.elts  # type: ignore[attr-defined]
            names = [target.id for target, value in zip(targets, values, strict=True)
                     if isinstance(value, ast.Call) and ast.unparse(value.func) in ("Signal", "Signal.like")]
            # Signals that one statement makes have numbers that follow one another.
            for number in found:
                group = [found[number + i] for i in range(len(names)) if number + i in found]
                if number - 1 not in found and len(group) == len(names):
                    for name, signal in zip(names, group, strict=True):
                        signal.name = name


def _show_states(signals: Iterable[Signal]) -> None:
    """Give the states of state machines their names, as attributes like those that Amaranth gives to enumerations."""
    for signal in signals:
        if callable(signal.decoder) and not isinstance(signal.decoder, type):
            for value in range(1 << len(signal)):
                with suppress(KeyError):
                    signal.attrs[f"enum_value_{value:0{len(signal)}b}"] = signal.decoder(value).partition("/")[0]


def _without_contents(memory: MemoryInstance) -> MemoryInstance:
    """A memory without its initial contents, on which Amaranth would spend most of its time, bit by bit."""
    other, data = copy(memory), memory._data
    other._data = SimpleNamespace(_shape=data._shape, _depth=data._depth, _init=SimpleNamespace(_raw=()))
    return other


class _Splitter:
    """Converts a design component by component.

    Parameters
    ----------
    design : Design
        Of Amaranth, with its domains resolved.

    Attributes
    ----------
    texts : list of str
        RTLIL of the components converted so far; those inside a component come before it.
    origins : dict of str to Origin
        Of each module, by hierarchical name.
    """

    def __init__(self, design: Design) -> None:
        self._design = design
        self.texts: list[str] = []
        self.origins: dict[str, Origin] = {}

    def _driven(self, fragment: Fragment) -> SignalDict:
        """Signals that a fragment or one below it drives."""
        masks = LHSMaskCollector()
        if isinstance(fragment, Instance):
            for value, kind in fragment.ports.values():
                if kind == "o":
                    masks.visit_value(value, ~0)
        for port in getattr(fragment, "_read_ports", ()):
            masks.visit_value(port._data, ~0)
        for statements in fragment.statements.values():
            masks.visit_stmt(statements)
        for below, _, _ in fragment.subfragments:
            masks.lhs.update(self._driven(below))
        return masks.lhs

    def _ports(self, fragment: Fragment) -> list[_Port]:
        """Ports of a component's module: clocks and resets, the members, and other signals that cross its border."""
        info = self._design.fragments[fragment]
        above = self._design.fragments[info.parent].used_signals
        domains = {id(domain): domain for domain in fragment.domains.values()
                   if domain.clk in info.used_signals and domain.clk in above}
        ports = []
        for domain in domains.values():
            prefix = "" if len(domains) == 1 else f"{domain.name}_"
            ports += [(f"{prefix}{name}", signal, PortDirection.Input)
                      for name, signal in (("clk", domain.clk), ("rst", domain.rst)) if signal is not None]
        ports += [port for port in _members(_made_from(fragment)) if isinstance(port[1], Signal)]
        known, driven = SignalDict((signal, None) for _, signal, _ in ports), self._driven(fragment)
        for signal in info.used_signals:
            if signal in above and signal not in known:
                name, number = signal.name, 1
                while any(name == other for other, _, _ in ports):
                    number += 1
                    name = f"{signal.name}_{number}"
                ports.append((name, signal, PortDirection.Output if signal in driven else PortDirection.Input))
        return ports

    def _opaque(self, fragment: Fragment, names: SignalDict) -> Fragment:
        """A fragment with an instance in the place of each below it, which are converted.

        The signals of the instances' members get ``names``.
        """
        opaque = Fragment(src_loc=fragment.src_loc)
        opaque.attrs, opaque.statements, opaque.domains = fragment.attrs, fragment.statements, fragment.domains
        for below, _, src_loc in fragment.subfragments:
            path = self._design.fragments[below].name
            name = re.sub(r"\$\d+", "", path[-1])
            if type(below) is Fragment:
                ports = self._ports(below)
                self.convert(below, ports)
                for port, signal, _ in _members(_made_from(below)):
                    if isinstance(signal, Signal):
                        names.setdefault(signal, f"{name}_{port}")
                below = Instance(".".join(path), *((way.value[0], port, signal) for port, signal, way in ports))
            elif isinstance(below, MemoryInstance) and not any(below._data._init._raw):
                below = _without_contents(below)
            opaque.add_subfragment(below, name, src_loc=src_loc)
        return opaque

    def convert(self, fragment: Fragment, ports: Sequence[_Port]) -> None:
        """Convert a fragment with the ports given, and all those below it."""
        info = self._design.fragments[fragment]
        names = SignalDict((signal, name) for name, signal, _ in ports if isinstance(signal, Signal))
        opaque = self._opaque(fragment, names)
        name = ".".join(info.name)
        _show_states(info.used_signals)
        with _named(names):
            text, _ = rtlil.convert_fragment(Design(opaque, ports, hierarchy=(name,)), emit_src=False)
        self.texts.append(text)
        self.origins[name] = Origin(_made_from(fragment), [port for port, _, _ in ports])


def hierarchy(component: Elaboratable, name: str) -> tuple[str, dict[str, Origin]]:
    """A component as RTLIL, in which every component below it is a module with the ports of its signature.

    Clock and reset of a module with one clock domain are called ``clk`` and ``rst``. Inside a module, the signals of a
    submodule's port are called by the submodule and the port: ``queue_i__payload``.

    Parameters
    ----------
    component : wiring.Component
    name : str
        Name of the top module.

    Returns
    -------
    str
        Design as RTLIL, with one module for every instance; see :func:`unique`.
    dict of str to Origin
        Of each module, by hierarchical name. A memory is a part of the module that holds it.
    """
    design = Fragment.get(component, None).prepare(list(_members(component)), hierarchy=(name,))
    _name_unpacked(signal for info in design.fragments.values() for signal in info.used_signals)
    splitter = _Splitter(design)
    # Clock and reset come last in Amaranth's list.
    splitter.convert(design.fragment, sorted(design.ports, key=lambda port: port[0] not in ("clk", "rst")))
    top, *others = (text.replace("attribute \\top 1\n", "") for text in reversed(splitter.texts))
    return "".join([f"attribute \\top 1\n{top}", *others]), splitter.origins
