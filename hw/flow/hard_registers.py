"""Hard registers: flip-flops beside ECP5's multipliers and block RAMs become those blocks' own registers.

Yosys does so for Xilinx and not for ECP5. A multiplier has registers at both inputs and at its output, a block RAM at
its output (FPGA-DS-02012, 2.8 and 2.9). They need no wires, and take a multiplier's or a block RAM's delay out of the
paths to and from it. Only flip-flops without reset and enable that start as 0 are absorbed, because the blocks'
registers are like that; cycle by cycle the netlist stays the same.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

__all__ = ["use_hard_registers"]

_Net = int | str
"""A net of one bit in Yosys's JSON: an integer, or a string for a constant."""
_A, _B, _P = ([f"{port}{i}" for i in range(width)] for port, width in (("A", 18), ("B", 18), ("P", 36)))
"""Ports of a multiplier, bit by bit: both inputs and the output."""


class _Netlist:
    """A module of Yosys's JSON.

    Parameters
    ----------
    module : dict
        The module, which the methods change in place.

    Attributes
    ----------
    cells : dict of str to dict
        Cells of the module by name.
    loads : Counter
        Number of ports that each net drives.
    by_input, by_output : dict of int to str
        Names of the flip-flops that only delay, by the net at their input and at their output.
    """

    def __init__(self, module: dict[str, Any]) -> None:
        self.cells: dict[str, dict[str, Any]] = module["cells"]
        self.loads: Counter[_Net] = Counter(bit for port in module["ports"].values() if port["direction"] != "input"
                                            for bit in port["bits"])
        self.by_input: dict[_Net, str] = {}
        self.by_output: dict[_Net, str] = {}
        for name, cell in self.cells.items():
            ports = cell["connections"]
            self.loads.update(bit for port, bits in ports.items() if cell["port_directions"][port] != "output"
                              for bit in bits)
            if self._only_delays(cell):
                self.by_input[ports["DI"][0]] = self.by_output[ports["Q"][0]] = name

    @staticmethod
    def _only_delays(cell: dict[str, Any]) -> bool:
        """Whether a cell is a flip-flop like those of the blocks."""
        settings = cell["parameters"]
        return (cell["type"] == "TRELLIS_FF" and settings["CEMUX"].strip() == "1" and settings["CLKMUX"] == "CLK"
                and settings["REGSET"] == "RESET" and cell["connections"]["LSR"] == ["0"])

    def _net(self, flip_flop: str, port: str) -> _Net:
        return self.cells[flip_flop]["connections"][port][0]

    def absorb_before(self, block: dict[str, Any], ports: Sequence[str]) -> _Net | None:
        """Move the flip-flops before a block's ports into it. Returns their clock; None, with nothing done, if a port
        has none or their clocks differ."""
        bits = block["connections"]
        found = {port: self.by_output.get(bits[port][0]) for port in ports if isinstance(bits[port][0], int)}
        clocks = {name and self._net(name, "CLK") for name in found.values()}
        if len(clocks) != 1 or None in clocks:
            return None
        names = {port: name for port, name in found.items() if name is not None}
        for port, name in names.items():
            self.loads[bits[port][0]] -= 1
            bits[port] = [self._net(name, "DI")]
            self.loads[bits[port][0]] += 1
        for name in {*names.values()}:
            if not self.loads[self._net(name, "Q")]:
                self._remove(name)
        return clocks.pop()

    def absorb_behind(self, block: dict[str, Any], ports: Sequence[str], clock: _Net) -> bool:
        """Move the flip-flops behind a block's ports into it. Returns False, with nothing done, if a port drives
        anything else than one flip-flop of the given clock."""
        bits = block["connections"]
        found = {port: self.by_input.get(bits[port][0]) for port in ports if self.loads[bits[port][0]]}
        names = {port: name for port, name in found.items() if name is not None}
        if not found or not all(port in names and self.loads[bits[port][0]] == 1
                                and self._net(names[port], "CLK") == clock for port in found):
            return False
        for port, name in names.items():
            bits[port] = [self._net(name, "Q")]
            self._remove(name)
        return True

    def _remove(self, flip_flop: str) -> None:
        before, behind = self._net(flip_flop, "DI"), self._net(flip_flop, "Q")
        del self.cells[flip_flop], self.by_output[behind]
        self.loads[before] -= 1
        if self.by_input.get(before) == flip_flop:
            del self.by_input[before]


def _use_multiplier_registers(netlist: _Netlist, block: dict[str, Any]) -> None:
    """Let a MULT18X18D absorb the flip-flops before both inputs and those behind its output.

    It absorbs none when there are none before an input, because nextpnr does not know the delays of a multiplier with
    other registers.
    """
    clock = netlist.absorb_before(block, [*_A, *_B])
    if clock is None:
        return
    registers = ["INPUTA", "INPUTB"]
    if netlist.absorb_behind(block, _P, clock):
        registers.append("OUTPUT")
    for register in registers:
        block["parameters"] |= {f"REG_{register}_CLK": "CLK0", f"REG_{register}_CE": "CE0",
                                f"REG_{register}_RST": "RST0"}
    block["connections"] |= {"CLK0": [clock], "CE0": ["1"], "RST0": ["0"]}
    block["port_directions"] |= dict.fromkeys(("CLK0", "CE0", "RST0"), "input")


def _use_ram_registers(netlist: _Netlist, block: dict[str, Any]) -> None:
    """Let a DP16KD absorb the flip-flops behind its ports."""
    # A port of 36 bits is both ports' pins, with enables of their own.
    for side in (side for side in "AB" if int(block["parameters"][f"DATA_WIDTH_{side}"], 2) <= 18):
        outputs = [f"DO{side}{i}" for i in range(18)]
        if netlist.absorb_behind(block, outputs, block["connections"][f"CLK{side}"][0]):
            block["parameters"][f"REGMODE_{side}"] = "OUTREG"


def use_hard_registers(module: dict[str, Any]) -> None:
    """Change a module of Yosys's JSON in place: MULT18X18D and DP16KD absorb the registers beside them.

    Parameters
    ----------
    module : dict
        Module as Yosys's ``write_json`` writes it after ``synth_ecp5``.
    """
    netlist = _Netlist(module)
    for block in list(netlist.cells.values()):
        if block["type"] == "MULT18X18D":
            _use_multiplier_registers(netlist, block)
        elif block["type"] == "DP16KD":
            _use_ram_registers(netlist, block)
