"""Which flip-flops multipliers and block RAMs absorb. The stages' tests simulate that results stay the same."""

import json
from pathlib import Path
from typing import Any

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.flow.synthesis import Area, synthesise

WIDTH = 12
INPUT = {f"REG_INPUT{side}_{setting}": value for side in "AB"
         for setting, value in (("CLK", "CLK0"), ("CE", "CE0"), ("RST", "RST0"))}
OUTPUT = {name.replace("INPUTA", "OUTPUT"): value for name, value in INPUT.items() if "INPUTA" in name}


class Product(wiring.Component):
    """The registered product of two registers. ``change`` makes one of the registers unlike a block's own."""

    def __init__(self, change: str) -> None:
        self._change = change
        super().__init__({"a": In(WIDTH), "b": In(WIDTH), "enable": In(1), "o": Out(2 * WIDTH), "too": Out(2 * WIDTH)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        change = self._change
        a, b = Signal(WIDTH, reset_less=change != "reset"), Signal(WIDTH, reset_less=True, init=change == "init")
        product = a * b
        with m.If(self.enable if change == "enable" else 1):
            m.d.sync += a.eq(self.a)
        o = Signal(2 * WIDTH, reset_less=change != "reset behind")
        m.d.sync += [b.eq(self.b), o.eq(product)]
        m.d.comb += self.o.eq(o)
        if change == "shared output":
            m.d.comb += self.too.eq(product)
        elif change == "shared input":
            m.d.comb += self.too.eq(a)
        return m


class Table(wiring.Component):
    """A memory and two registers behind it. The first is always the block RAM's; the second may have an ``enable``."""

    def __init__(self, enable: bool) -> None:
        self._enable = enable
        super().__init__({"at": In(13), "to": In(13), "i": In(2), "write": In(1), "enable": In(1), "o": Out(2)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.memory = memory = Memory(shape=2, depth=8192, init=[], attrs={"no_rw_check": 1})
        write, read = memory.write_port(), memory.read_port(domain="comb")
        m.d.comb += [write.addr.eq(self.to), write.data.eq(self.i), write.en.eq(self.write), read.addr.eq(self.at)]
        found, o = Signal(2, reset_less=True), Signal(2, reset_less=True)
        m.d.sync += found.eq(read.data)
        with m.If(self.enable if self._enable else 1):
            m.d.sync += o.eq(found)
        m.d.comb += self.o.eq(o)
        return m


def _block(component: wiring.Component, folder: Path) -> tuple[Area, dict[str, Any]]:
    """Area of a component, and the only block in it."""
    found = synthesise(component, "ecp5", folder)
    cells = json.loads(found.netlist.read_text())["modules"]["top"]["cells"].values()
    block, = (cell for cell in cells if cell["type"] in ("MULT18X18D", "DP16KD"))
    return found.total, block


@pytest.mark.parametrize(("change", "settings", "ff"), [
    ("reset", {}, 4 * WIDTH),
    ("enable", {}, 4 * WIDTH),
    ("init", {}, 4 * WIDTH),
    ("", INPUT | OUTPUT, 0),
    ("reset behind", INPUT, 2 * WIDTH),
    ("shared output", INPUT, 2 * WIDTH),
    ("shared input", INPUT | OUTPUT, WIDTH),
])
def test_a_multiplier(change: str, settings: dict[str, str], ff: int, tmp_path: Path) -> None:
    area, block = _block(Product(change), tmp_path)
    assert block["parameters"] == settings
    assert (area.ff, area.dsp) == (ff, 1)


def test_a_block_ram(tmp_path: Path) -> None:
    area, block = _block(Table(False), tmp_path)
    assert block["parameters"]["REGMODE_B"] == "OUTREG"
    assert area == Area(bram=1)
    area, block = _block(Table(True), tmp_path)
    assert block["parameters"]["REGMODE_B"] == "NOREG"
    assert area == Area(ff=2, bram=1)
