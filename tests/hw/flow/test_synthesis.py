"""Synthesis counts cells right, keeps modules apart, and is not run twice; nextpnr's reports are read right."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.spec import SEEDLM4, TRELLIS4
from hw.config import EngineConfig
from hw.configurations import CONFIGURATIONS, Ecp5
from hw.engine.checker import Checker
from hw.flow import nextpnr, synthesis, yosys
from hw.flow.pnr_harness import Harness
from hw.flow.synthesis import Area, synthesise
from hw.lanes.lfsr_bank import LfsrBank
from hw.rounding.scale import Scale

HARNESSED_FFS = 1 + 8 + 8 + 8 + 2 + 1
"""Flip-flops of a :class:`Running` in its harness: reset, inputs, registers, outputs, and two levels of the fold."""


class Running(wiring.Component):
    """XOR of all inputs so far."""

    i: In(8)
    o: Out(8)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.sync += self.o.eq(self.o ^ self.i)
        return m


class Pair(wiring.Component):
    """Two equal LFSR banks, and AND gates between their outputs."""

    def __init__(self) -> None:
        self._banks = LfsrBank(SEEDLM4), LfsrBank(SEEDLM4)
        window = self._banks[0].window.shape()
        super().__init__({"seed": In(2 * SEEDLM4.k), "both": Out(window)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.first, m.submodules.second = first, second = self._banks
        m.d.comb += Signal(name="second").eq(0)  # numbers the submodule's name
        m.d.comb += [first.seed.eq(self.seed[:SEEDLM4.k]), second.seed.eq(self.seed[SEEDLM4.k:]),
                     self.both.eq(first.window & second.window)]
        return m


def test_the_lfsr_bank_fits_in_60_luts_and_is_synthesised_once(tmp_path: Path,
                                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    found = synthesise(LfsrBank(SEEDLM4), "xc7", tmp_path)
    assert 24 <= found.total.lut <= 60  # 24 bits are XORs
    assert found.total == found.modules["top"] == Area(lut=found.total.lut)
    assert [path.name for path in tmp_path.iterdir()] == [found.netlist.parent.name]

    def refuse(script: Any) -> None:
        raise AssertionError("run again")

    monkeypatch.setattr(yosys, "run", refuse)
    assert synthesise(LfsrBank(SEEDLM4), "xc7", tmp_path) == found
    with pytest.raises(AssertionError, match="run again"):
        synthesise(LfsrBank(SEEDLM4), "ecp5", tmp_path)
    assert len(list(tmp_path.glob("*/.done"))) == 1


def test_dsps_of_xc7_are_for_weights(tmp_path: Path) -> None:
    for stage in (Checker(EngineConfig(TRELLIS4)), Scale(EngineConfig(TRELLIS4))):
        assert synthesise(stage, "xc7", tmp_path).total.dsp == 0


def test_modules_apart(tmp_path: Path) -> None:
    window = SEEDLM4.k - 1 + SEEDLM4.c * SEEDLM4.p
    apart = synthesise(Pair(), "ecp5", tmp_path, "first|second").modules
    bank = apart["top.first"]
    assert apart == {"top": Area(lut=window), "top.first": bank, "top.second": bank}
    assert 24 <= bank.lut <= 100
    assert set(synthesise(Pair(), "ecp5", tmp_path, "second").modules) == {"top", "top.second"}
    flat = synthesise(Pair(), "ecp5", tmp_path)
    assert set(flat.modules) == {"top"}
    assert bank.lut < flat.total.lut <= window + 2 * bank.lut


def test_what_cells_take() -> None:
    cells = {"LUT1": 1, "LUT6": 2, "RAM32M": 3, "SRL16E": 1, "RAMB18E1": 1, "RAMB36E1": 2, "FDRE": 5, "FDSE": 1,
             "DSP48E1": 4, "CARRY4": 6, "MUXF7": 9, "$scopeinfo": 8, "top.lane0": 2}
    assert synthesis._area(cells, "xc7", {"top", "top.lane0"}) == Area(1 + 2 + 12 + 1, 6, 4, 2.5, 6)
    cells = {"LUT6": 2, "RAM32M16": 1, "RAMB36E2": 3, "RAMB18E2": 1, "DSP48E2": 4, "CARRY8": 2, "FDRE": 5, "MUXF9": 1}
    assert synthesis._area(cells, "xcup", {"top"}) == Area(2 + 8, 5, 4, 3.5, 4)
    cells = {"LUT4": 5, "CCU2C": 2, "TRELLIS_DPR16X4": 1, "TRELLIS_FF": 3, "MULT18X18D": 1, "DP16KD": 2, "PFUMX": 1}
    assert synthesis._area(cells, "ecp5", {"top"}) == Area(5 + 4 + 6, 3, 1, 2, 2)
    with pytest.raises(yosys.YosysError, match=r"left cells of an unknown type: 2 of \$check"):
        synthesis._area({"$check": 2}, "xc7", {"top"})


def test_a_harness_holds_its_component_between_flip_flops(tmp_path: Path) -> None:
    assert synthesise(Harness(Running()), "ecp5", tmp_path).total.ff == HARNESSED_FFS


def test_names_and_targets_of_the_configurations() -> None:
    for name, configuration in CONFIGURATIONS.items():
        engine, target = configuration.engine, configuration.target
        assert name.startswith(engine.name)
        if isinstance(target, Ecp5):
            assert name.startswith(f"{engine.name}-{engine.bus_bits}-g{target.speed}")
            assert engine.lanes * engine.c <= 156  # multipliers of an LFE5U-85F
    for name, target in (("seedlm4-512-g8", 100), ("seedlm4-512-g6", 80), ("seedlm4-128-g6", 120)):
        assert CONFIGURATIONS[name].target.target_mhz == target


def hop(kind: str, delay: float, source: str, sink: str) -> dict[str, Any]:
    """A step of a critical path, ``delay`` ns long, as nextpnr writes it."""
    return {"type": kind, "delay": delay, "from": {"cell": source}, "to": {"cell": sink}}


def report(fmax: float) -> str:
    """A report of a design that reaches ``fmax`` MHz, as nextpnr writes it."""
    inputs = {"from": "<async>", "to": "posedge clk", "path": [hop("source", 9.0, "i", "i"),
                                                              hop("routing", 9.0, "i", "a")]}
    clocked = {"from": "posedge clk", "to": "posedge clk", "path": [
        hop("clk-to-q", 0.5, "a", "a"), hop("routing", 1.5, "a", "b"), hop("logic", 0.25, "b", "b"),
        hop("routing", 2.0, "b", "c"), hop("setup", 0.0, "c", "c")]}
    kinds = ("TRELLIS_COMB", "TRELLIS_FF", "MULT18X18D", "DP16KD")
    return json.dumps({"fmax": {"clk": {"achieved": fmax, "constraint": 100}}, "critical_paths": [inputs, clocked],
                       "utilization": {kind: {"used": i, "available": 10} for i, kind in enumerate(kinds)}})


def test_a_report_of_nextpnr() -> None:
    found = nextpnr.parse(report(235.5))
    assert found.fmax_mhz == 235.5
    assert found.path == nextpnr.CriticalPath("a", "c", 4.25, 3.5)
    assert found.used == {"TRELLIS_COMB": 0, "TRELLIS_FF": 1, "MULT18X18D": 2, "DP16KD": 3}
    assert set(found.available.values()) == {10}


def fake(script: str) -> list[str]:
    """A command that runs a script in Python in place of nextpnr. Asked for its version, it does nothing."""
    return [sys.executable, "-c", "import pathlib, sys\nargs = sys.argv[1:]\n"
            f"'--version' in args and sys.exit()\n{script}"]


def test_a_run_of_nextpnr(tmp_path: Path) -> None:
    (tmp_path / "n.json").write_text("{}")
    stages: list[str] = []
    line = "Info:       2000 |      231       1768 |   96   904 |     82677|       1.16       5.38|"
    command = fake(f"print(*args)\nprint({line!r})\n"
                   f"pathlib.Path('nextpnr.json').write_text({report(80.0)!r})")
    found = nextpnr.run(command, tmp_path / "n.json", Ecp5(6, 100), 5, tmp_path, stages.append)
    assert found == nextpnr.parse(report(80.0))
    assert stages == ["routing, 82677 connections left"]
    arguments = (tmp_path / "nextpnr.log").read_text().splitlines()[0]
    assert "--85k --package CABGA381 --speed 6 --freq 100 --seed 5 " in arguments


def test_the_same_netlist_is_routed_once(tmp_path: Path) -> None:
    (tmp_path / "n.json").write_text("{}")
    command = fake("pathlib.Path('runs').open('a').write('x')\n"
                   f"pathlib.Path('nextpnr.json').write_text({report(80.0)!r})\n"
                   "pathlib.Path('top.config').write_text('routed')")

    def runs(seed: int, constraints: str | None = None) -> int:
        found = nextpnr.run(command, tmp_path / "n.json", Ecp5(6, 100), seed, tmp_path, constraints=constraints)
        assert found == nextpnr.parse(report(80.0))
        return len((tmp_path / "runs").read_text())

    assert [runs(1), runs(1), runs(2), runs(2), runs(1)] == [1, 1, 2, 2, 3]
    (tmp_path / "n.json").write_text("{ }")
    assert [runs(1), runs(1)] == [4, 4]
    (tmp_path / "nextpnr.json").write_text(report(90.0))
    assert [runs(1), runs(1, "pins"), runs(1, "pins"), runs(1, "other pins")] == [5, 6, 6, 7]
    (tmp_path / "top.config").unlink()
    assert [runs(1, "other pins"), runs(1, "other pins")] == [8, 8]


def test_a_run_of_nextpnr_that_fails(tmp_path: Path) -> None:
    (tmp_path / "n.json").write_text("{}")
    (tmp_path / "nextpnr.json").write_text(report(1.0))  # of an earlier run
    for script, message in (("print('Info: on'); print('ERROR: no room'); sys.exit(1)", "ERROR: no room\nlog: "),
                            ("print('nothing left')", "nothing left\nlog: ")):
        with pytest.raises(nextpnr.NextpnrError) as failed:
            nextpnr.run(fake(script), tmp_path / "n.json", Ecp5(6, 100), 1, tmp_path)
        assert str(failed.value) == f"{message}{tmp_path}/nextpnr.log"


@pytest.mark.skipif(nextpnr.find() is None, reason="nextpnr-ecp5 is not installed (make pnr installs it)")
def test_nextpnr_itself(tmp_path: Path) -> None:
    command = nextpnr.find()
    assert command
    netlist = synthesise(Harness(Running()), "ecp5", tmp_path).netlist
    found = nextpnr.run(command, netlist, Ecp5(6, 100), 1, tmp_path)
    assert 100 < found.fmax_mhz < 1000
    assert found.path.delay_ns == pytest.approx(1000 / found.fmax_mhz, rel=1e-3)
    assert found.used["TRELLIS_FF"] == HARNESSED_FFS
    assert found.used["DCCA"] == 1  # the clock is a global net
    assert nextpnr.version(command).startswith("nextpnr-0.")
