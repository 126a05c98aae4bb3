"""Names in Verilog: of wires, of instances, and of constants that are states or values of an enumeration."""

import re

from hw.flow.expression import literal
from hw.flow.rtlil import Module

__all__ = ["Names", "identifier", "port_names", "vector"]

_KEYWORDS = frozenset(re.findall(r"\w+", """always always_comb always_ff always_latch and assert assign assume automatic
    before begin bind bins binsof bit break buf bufif0 bufif1 byte case casex casez cell chandle checker class clocking
    cmos config const constraint context continue cover covergroup coverpoint cross deassign default defparam design
    disable dist do edge else end endcase enum event expect export extends extern final first_match for force foreach
    forever fork forkjoin function generate genvar global highz0 highz1 if iff ifnone implements implies import incdir
    include initial inout input inside instance int integer interconnect interface intersect join join_any join_none
    large let liblist library local localparam logic longint macromodule matches medium modport module nand negedge
    nettype new nexttime nmos nor noshowcancelled not notif0 notif1 null or output package packed parameter pmos
    posedge primitive priority program property protected pull0 pull1 pulldown pullup pure rand randc randcase
    randsequence rcmos real realtime ref reg reject_on release repeat restrict return rnmos rpmos rtran rtranif0
    rtranif1 s_always s_eventually s_nexttime s_until s_until_with scalared sequence shortint shortreal showcancelled
    signed small soft solve specify specparam static string strong strong0 strong1 struct super supply0 supply1
    sync_accept_on sync_reject_on table tagged task this throughout time timeprecision timeunit tran tranif0 tranif1
    tri tri0 tri1 triand trior trireg type typedef union unique unique0 unsigned until until_with untyped use uwire var
    vectored virtual void wait wait_order wand weak weak0 weak1 while wildcard wire with within wor xnor xor"""))
"""Words that are no names (IEEE 1800-2017, annex B)."""


def identifier(name: str) -> str:
    """A name in RTLIL as one that Verilog takes without a backslash."""
    name = re.sub(r"\$\d+$", "", name.lstrip("\\$"))
    name = re.sub(r"\W+", "_", name.replace("]", "")).strip("_")
    return f"{name}_" if name in _KEYWORDS else name


def vector(width: int) -> str:
    """The range of a wire in its declaration; nothing for a single bit."""
    return f"[{width - 1}:0] " if width > 1 else ""


def port_names(module: Module, top: bool = False) -> dict[str, str]:
    """Names of a module's ports in Verilog, by their names in RTLIL without the backslash.

    Those of the ``top`` stay as they are: one that is no name in Verilog, such as ``byte``, gets a backslash.
    """
    names: dict[str, str] = {}
    for name in (name[1:] for name, wire in module.wires.items() if wire.port):
        plain, number = identifier(name), 1
        while plain in names.values():
            number += 1
            plain = f"{identifier(name)}_{number}"
        names[name] = plain if plain == name or not top else f"\\{name} "
    return names


class Names:
    """The names within a module.

    A wire that is a signal is called like the signal. Other wires are called by :attr:`root` and a hint.

    Parameters
    ----------
    module : Module
    top : bool
        As of :func:`port_names`.

    Attributes
    ----------
    root : str
        Name of the signal that is being written.
    memories : dict of str to str
        Names of memories, by their names in RTLIL.
    constants : dict of (str, str) to str
        Declarations of the constants that were asked for.
    """

    def __init__(self, module: Module, top: bool) -> None:
        self._module = module
        self._wires = {f"\\{port}": name for port, name in port_names(module, top).items()}
        self._given = set(self._wires.values())
        self._signals = {identifier(name) for name in module.wires if name.startswith("\\")}
        self.root = ""
        self.constants: dict[tuple[str, str], str] = {}
        self.memories = {memory: self.unused(identifier(memory)) for memory in module.memories}

    def unused(self, name: str, signal: bool = False) -> str:
        """``name``, or ``name_2``, ... if something else is called so. A signal may have the name of a signal."""
        found, number = name, 1
        while found in self._given or (found in self._signals and not (signal and number == 1)):
            number += 1
            found = f"{name}_{number}"
        self._given.add(found)
        return found

    def wire(self, wire: str, hint: str = "value") -> str:
        """Name of a wire."""
        if wire not in self._wires:
            signal = wire.startswith("\\") and not wire.startswith("\\$")
            name = identifier(wire) if signal else f"{self.root}_{hint}".strip("_")
            self._wires[wire] = self.unused(name, signal)
        return self._wires[wire]

    def state(self, wire: str, constant: str) -> str | None:
        """Name of a constant that is a value of a wire with an enumeration or of a state machine; None for others."""
        attributes = self._module.wires[wire].attributes
        if not (state := attributes.get(f"enum_value_{constant}")):
            return None
        kind = identifier(attributes.get("enum_base_type", wire[1:].removeprefix("fsm_")).strip('"'))
        name = identifier(f"{kind}_{state.strip(chr(34))}").upper()
        self.constants[kind, constant] = f"localparam {vector(len(constant))}{name} = {literal(constant).text};"
        return name
