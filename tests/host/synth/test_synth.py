"""`area` and `pnr`: blocks, reports, and how they end when something is missing or too slow."""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from amaranth.back import rtlil

from golden.spec import FP16, SEEDLM3, SEEDLM4
from host import folders
from host.cli.main import main
from host.synth import area
from host.synth import place_and_route as place
from hw.config import EngineConfig
from hw.configurations import CONFIGURATIONS, XC7, Configuration, Ecp5
from hw.engine.engine import Engine
from hw.flow import nextpnr
from hw.flow.synthesis import Area
from hw.lanes.lfsr_bank import LfsrBank

TINY = EngineConfig(SEEDLM4, 32)


def ended(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    """Exit status of a command."""
    monkeypatch.setattr(sys, "argv", ["host", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of builds; instead of an engine, an LFSR bank is built, and named ``tiny`` and ``tiny-g6``."""
    monkeypatch.setattr(folders, "REPORTS", tmp_path / "build")
    for module in (area, place):
        monkeypatch.setattr(module, "Engine", lambda config: LfsrBank(config.fmt))
    monkeypatch.setitem(CONFIGURATIONS, "tiny", Configuration(TINY, XC7))
    monkeypatch.setitem(CONFIGURATIONS, "tiny-g6", Configuration(TINY, Ecp5(6, 50)))
    return tmp_path / "build"


def nextpnr_reaching(fmax: float) -> list[str]:
    """A command that takes nextpnr's place."""
    path = [{"type": "clk-to-q", "delay": 0.5, "from": {"cell": "a"}, "to": {"cell": "a"}},
            {"type": "routing", "delay": 1.5, "from": {"cell": "a"}, "to": {"cell": "b"}}]
    cells = {"TRELLIS_COMB": (50, 200), "TRELLIS_FF": (3, 9), "MULT18X18D": (2, 9), "DP16KD": (1, 9)}
    report = json.dumps({
        "fmax": {"clk": {"achieved": fmax, "constraint": 50}},
        "critical_paths": [{"from": "posedge clk", "to": "posedge clk", "path": path}],
        "utilization": {cell: {"used": used, "available": available} for cell, (used, available) in cells.items()}})
    return [sys.executable, "-c", "import pathlib, sys\n"
            f"'--version' in sys.argv or pathlib.Path('nextpnr.json').write_text({report!r})"]


def modules(config: EngineConfig) -> dict[str, Area]:
    """One LUT for every module of an engine."""
    design = rtlil.convert(Engine(config), name="top", emit_src=False)
    return dict.fromkeys(re.findall(r"^module \\([\w.]+)", design, re.MULTILINE), Area(lut=1))


def test_blocks_of_the_engines() -> None:
    assert list(area.by_block(modules(EngineConfig(SEEDLM3, 32)))) == [*area.BLOCKS, area.CONTROL]
    seedlm = area.by_block(modules(TINY))
    assert {*area.BLOCKS} - {*seedlm} == {"unpacker"}  # a beat is a word: wires
    assert seedlm["LFSR bank"] == seedlm["accumulate"] == Area(lut=TINY.lanes)
    assert seedlm["DMA"].lut == 2
    fp16 = area.by_block(modules(EngineConfig(FP16, 32)))
    assert set(seedlm) - set(fp16) == {"LFSR bank", "decode"}


def test_sums_of_blocks() -> None:
    sums = area.by_block({
        "top": Area(1, 2), "top.lane0": Area(lut=10), "top.lane0.mac": Area(100, 0, 3),
        "top.lane11.mac": Area(200, 0, 4), "top.results.drain": Area(ff=5), "top.results": Area(ff=6)})
    assert sums == {"MAC": Area(310, 0, 7), "result": Area(ff=11), "control": Area(1, 2)}


def test_weights_of_a_cycle() -> None:
    assert area.weights_per_cycle(EngineConfig(FP16)) == 32
    assert area.weights_per_cycle(EngineConfig(SEEDLM4)) == 128
    assert area.PUBLISHED.luts_per_weight == pytest.approx(523.4, abs=0.1)


def test_area(build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not ended(monkeypatch, "area", "--configs", "tiny tiny-g6")
    report = json.loads((build / "area" / "report.json").read_text())
    assert {"amaranth", "pyosys"} <= set(report["environment"]["versions"])
    assert report["configuration"]["configurations"]["tiny"]["engine"]["bus_bits"] == 32
    rows = report["results"]
    assert [(row["engine"], row["block"], row.get("family"), row["source"]) for row in rows] == [
        ("tiny", "control", "xc7", "synthesised"), ("tiny", "total", "xc7", "synthesised"),
        ("tiny", "total, xcup", "xcup", "synthesised"), ("tiny-g6", "control", "ecp5", "synthesised"),
        ("tiny-g6", "total", "ecp5", "synthesised"), ("paper, 4 bits", "total", None, "published")]
    total, ultrascale = rows[1:3]
    assert 24 <= ultrascale["lut"] <= 60
    assert 24 <= total["lut"] <= 60
    assert total["luts_per_weight"] == total["lut"] / 8
    assert rows[4]["lut"] > total["lut"]  # of four inputs
    assert (build / "area" / "report.md").read_text().count("\n") == 2 + len(rows)


@pytest.mark.parametrize(("fmax", "status"), [(50.0, 0), (49.9, 1)])
def test_pnr(fmax: float, status: int, build: Path, monkeypatch: pytest.MonkeyPatch,
             capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(nextpnr, "find", lambda: nextpnr_reaching(fmax))
    assert (ended(monkeypatch, "pnr", "--config", "tiny-g6", "--seed", "3") or 0) == status
    printed = capsys.readouterr()
    assert printed.err == ("failed: tiny-g6 reaches 49.9 MHz, below its target of 50 MHz\n" if status else "")
    assert re.search(r"critical path: 2.00 ns, of which routing 1.50 ns\n +from a\n +to +b\n", printed.out)
    report = json.loads((build / "pnr" / "tiny-g6" / "report.json").read_text())
    assert report["configuration"]["target"] == {"speed": 6, "target_mhz": 50, "size": "85k", "package": "CABGA381"}
    row, = report["results"]
    expected = {"config": "tiny-g6", "fmax_mhz": fmax, "target_mhz": 50, "met": not status, "lut4": 50, "ff": 3,
                "dsp": 2, "bram": 1, "lut4_fraction": 0.25, "seed": 3, "routed": True}
    assert {key: row[key] for key in expected} == expected
    assert (build / "pnr" / "tiny-g6" / "seed-3" / "nextpnr.log").exists()


@pytest.mark.skipif(nextpnr.find() is None, reason="nextpnr-ecp5 is not installed (make pnr installs it)")
def test_a_clock_that_cannot_be_reached(build: Path, monkeypatch: pytest.MonkeyPatch,
                                        capsys: pytest.CaptureFixture[str]) -> None:
    tiny = CONFIGURATIONS["tiny-g6"]
    assert isinstance(tiny.target, Ecp5)
    monkeypatch.setitem(CONFIGURATIONS, "tiny-g6", replace(tiny, target=replace(tiny.target, target_mhz=5000)))
    assert ended(monkeypatch, "pnr", "--config", "tiny-g6") == 1
    assert re.fullmatch(r"failed: tiny-g6 reaches \d+\.\d MHz, below its target of 5000 MHz\n",
                        capsys.readouterr().err)


@pytest.mark.parametrize(("arguments", "message"), [
    (("area", "--configs", "fp16 seedlm9"), "unknown configuration 'seedlm9': use some of fp16, "),
    (("pnr", "--config", "seedlm9"), "no configuration 'seedlm9' to place and route: CONFIG must be one of fp16-"),
    (("pnr", "--config", "fp16"), "no configuration 'fp16' to place and route: CONFIG must be one of "),
    (("pnr",), "Missing option '--config'"),
    (("pnr", "--config", "tiny-g6"), "nextpnr-ecp5 is not installed: run `make pnr`")])
def test_options_without_sense(arguments: tuple[str, ...], message: str, build: Path, monkeypatch: pytest.MonkeyPatch,
                               capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(nextpnr, "find", lambda: None)
    assert ended(monkeypatch, *arguments) == 2
    printed = capsys.readouterr().err
    assert printed.startswith(f"error: {message}")
    assert printed.count("\n") == 1
    assert not build.exists()
