"""Hard registers: flip-flops beside ECP5's multipliers and block RAMs become those blocks' own registers.

Yosys does so for Xilinx and not for ECP5. A multiplier has registers at both inputs and at its output, a block RAM at
its output (FPGA-DS-02012, 2.8 and 2.9). They need no wires, and take a multiplier's or a block RAM's delay out of the
paths to and from it. Taken are flip-flops without reset and enable that start as 0, as the blocks' registers do; cycle
by cycle the netlist stays the same.
"""

from collections import Counter

__all__ = ["use_hard_registers"]

_A, _B, _P = ([f"{port}{i}" for i in range(width)] for port, width in (("A", 18), ("B", 18), ("P", 36)))


class _Netlist:
    """A module of Yosys's JSON: its cells, the number of ports that each net drives, and flip-flops that only delay, by
    the net before and the net behind them."""

    def __init__(self, module):
        self.cells = module["cells"]
        self.driven = Counter(bit for port in module["ports"].values() if port["direction"] != "input"
                              for bit in port["bits"])
        self.into, self.out_of = {}, {}
        for name, cell in self.cells.items():
            ports = cell["connections"]
            self.driven.update(bit for port, bits in ports.items() if cell["port_directions"][port] != "output"
                               for bit in bits)
            if self._only_delays(cell):
                self.into[ports["DI"][0]] = self.out_of[ports["Q"][0]] = name

    @staticmethod
    def _only_delays(cell):
        settings = cell["parameters"]
        return (cell["type"] == "TRELLIS_FF" and settings["CEMUX"].strip() == "1" and settings["CLKMUX"] == "CLK"
                and settings["REGSET"] == "RESET" and cell["connections"]["LSR"] == ["0"])

    def _net(self, flip_flop, port):
        return self.cells[flip_flop]["connections"][port][0]

    def take_before(self, block, ports):
        """Move the flip-flops before a block's ports into it. Returns their clock; None, with nothing done, if a port
        has none or they have different ones."""
        bits = block["connections"]
        # Yosys's constants are strings, its nets integers.
        found = {port: self.out_of.get(bits[port][0]) for port in ports if isinstance(bits[port][0], int)}
        clocks = {name and self._net(name, "CLK") for name in found.values()}
        if len(clocks) != 1 or None in clocks:
            return None
        for port, name in found.items():
            self.driven[bits[port][0]] -= 1
            bits[port] = [self._net(name, "DI")]
            self.driven[bits[port][0]] += 1
        for name in {*found.values()}:
            if not self.driven[self._net(name, "Q")]:
                self._remove(name)
        return clocks.pop()

    def take_behind(self, block, ports, clock):
        """Move the flip-flops behind a block's ports into it. Returns False, with nothing done, if a port drives
        anything else than one of the given clock."""
        bits = block["connections"]
        found = {port: self.into.get(bits[port][0]) for port in ports if self.driven[bits[port][0]]}
        if not found or not all(name and self.driven[bits[port][0]] == 1 and self._net(name, "CLK") == clock
                                for port, name in found.items()):
            return False
        for port, name in found.items():
            bits[port] = [self._net(name, "Q")]
            self._remove(name)
        return True

    def _remove(self, flip_flop):
        before, behind = self._net(flip_flop, "DI"), self._net(flip_flop, "Q")
        del self.cells[flip_flop], self.out_of[behind]
        self.driven[before] -= 1
        if self.into.get(before) == flip_flop:
            del self.into[before]


def use_hard_registers(module):
    """Change a module of Yosys's JSON in place: MULT18X18D and DP16KD take up the registers beside them.

    A multiplier takes those before both inputs or none, as nextpnr knows no delays of others.
    """
    netlist = _Netlist(module)
    for block in list(netlist.cells.values()):
        if block["type"] == "MULT18X18D":
            clock = netlist.take_before(block, [*_A, *_B])
            if clock is None:
                continue
            registers = ["INPUTA", "INPUTB"]
            if netlist.take_behind(block, _P, clock):
                registers.append("OUTPUT")
            for register in registers:
                block["parameters"] |= {f"REG_{register}_CLK": "CLK0", f"REG_{register}_CE": "CE0",
                                        f"REG_{register}_RST": "RST0"}
            block["connections"] |= {"CLK0": [clock], "CE0": ["1"], "RST0": ["0"]}
            block["port_directions"] |= dict.fromkeys(("CLK0", "CE0", "RST0"), "input")
        elif block["type"] == "DP16KD":
            # A port of 36 bits is both ports' pins, with enables of their own.
            for side in (side for side in "AB" if int(block["parameters"][f"DATA_WIDTH_{side}"], 2) <= 18):
                outputs = [f"DO{side}{i}" for i in range(18)]
                if netlist.take_behind(block, outputs, block["connections"][f"CLK{side}"][0]):
                    block["parameters"][f"REGMODE_{side}"] = "OUTREG"
