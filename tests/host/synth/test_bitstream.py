"""`bitstream`: reports, and how it ends when something is missing or too slow. A lamp takes the top's place."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from amaranth.hdl import Elaboratable, Module
from amaranth.lib import io

from host import folders
from host.cli.main import main
from host.cli.options import board_format
from host.synth import bitstream
from hw.flow import ecppack, nextpnr
from hw.flow.synthesis import Area, Synthesis


class Lamp(Elaboratable):
    """Something small with a pin."""

    def __init__(self, board: Any, fmt: Any):
        pass

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.led = led = io.Buffer("o", platform.request("led", 0, dir="-"))
        m.d.comb += [led.o.eq(1), led.oe.eq(1)]
        return m


def reaching(fmax: float) -> list[str]:
    """A command that takes nextpnr's place."""
    path = [{"type": "clk-to-q", "delay": 0.5, "from": {"cell": "a"}, "to": {"cell": "a"}},
            {"type": "routing", "delay": 1.5, "from": {"cell": "a"}, "to": {"cell": "b"}}]
    cells = {"TRELLIS_COMB": (50, 200), "TRELLIS_FF": (3, 9), "MULT18X18D": (2, 9), "DP16KD": (1, 9)}
    report = json.dumps({
        "fmax": {"clk": {"achieved": fmax, "constraint": 100}},
        "critical_paths": [{"from": "posedge clk", "to": "posedge clk", "path": path}],
        "utilization": {cell: {"used": used, "available": available} for cell, (used, available) in cells.items()}})
    return [sys.executable, "-c", "import pathlib, sys\n"
            "assert 'LOCATE COMP \"led_0__io\" SITE \"B2\"' in pathlib.Path('pins.lpf').read_text()\n"
            "assert sys.argv[sys.argv.index('--textcfg') + 1] == 'top.config'\n"
            "pathlib.Path('top.config').write_text('routed')\n"
            f"pathlib.Path('nextpnr.json').write_text({report!r})"]


PACK = [sys.executable, "-c", "import pathlib, sys\n"
        "text = pathlib.Path(sys.argv[sys.argv.index('--input') + 1]).read_text()\n"
        "pathlib.Path(sys.argv[sys.argv.index('--bit') + 1]).write_text(text + ' and packed')"]


@pytest.fixture(autouse=True)
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of builds."""
    monkeypatch.setattr(folders, "REPORTS", tmp_path)
    monkeypatch.setattr(bitstream, "BoardTop", Lamp)
    monkeypatch.setattr(ecppack, "find", lambda: PACK)
    return tmp_path


def ended(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    """Exit status of the command."""
    monkeypatch.setattr(sys, "argv", ["host", "bitstream", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code


@pytest.mark.parametrize(("fmax", "status"), [(100.0, None), (99.9, 1)])
def test_a_bitstream(fmax: float, status: int | None, build: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
                     ) -> None:
    monkeypatch.setattr(nextpnr, "find", lambda: reaching(fmax))
    assert ended(monkeypatch, "--board", "ulx3s_85f", "--format", "seedlm3") == status
    assert (build / "ulx3s_85f" / "seedlm3.bit").read_text() == "routed and packed"
    row, = json.loads((build / "ulx3s_85f" / "seedlm3" / "report.json").read_text())["results"]
    assert (row["board"], row["format"], row["fmax_mhz"], row["met"]) == ("ulx3s_85f", "seedlm3", fmax, fmax >= 100)
    assert (row["lut4"], row["ff"], row["dsp"], row["bram"], row["lut4_fraction"]) == (50, 3, 2, 1, 0.25)
    printed = capsys.readouterr()
    assert "not yet run on hardware" in printed.out
    if status:
        assert "ulx3s_85f with seedlm3 reaches 99.9 MHz, below its clock of 100 MHz: try another SEED" in printed.err


def test_what_is_missing(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    assert ended(monkeypatch, "--board", "ulx4s") == 2
    assert "unknown board 'ulx4s': BOARD must be one of ulx3s_85f, icesugar_pro" in capsys.readouterr().err
    assert ended(monkeypatch, "--format", "fp8") == 2
    assert "unknown format 'fp8'" in capsys.readouterr().err
    monkeypatch.setattr(nextpnr, "find", lambda: reaching(100))
    monkeypatch.setattr(ecppack, "find", lambda: None)
    assert ended(monkeypatch) == 2
    assert "ecppack is not installed" in capsys.readouterr().err


def test_a_packer_that_fails(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(nextpnr, "find", lambda: reaching(100))
    monkeypatch.setattr(ecppack, "find", lambda: [sys.executable, "-c", "raise SystemExit('no such device')"])
    assert ended(monkeypatch) == 1
    assert "ecppack failed:\nno such device" in capsys.readouterr().err


def test_two_commands_for_one_bitstream(build: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """The tools leave files of fixed names, so the second command waits for the first."""
    program, script, text = reaching(100)
    alone = ("import os, pathlib, sys, time\n'--version' in sys.argv and sys.exit()\n"
             "os.close(os.open('busy', os.O_CREAT | os.O_EXCL))\n" + text
             + "\ntime.sleep(0.3)\npathlib.Path('busy').unlink()\n")  # the tool's work takes time
    monkeypatch.setattr(nextpnr, "find", lambda: [program, script, alone])
    # Amaranth's elaboration is not for threads.
    monkeypatch.setattr(bitstream, "synthesise", lambda *_: synthesised)
    board, fmt = bitstream.chosen("ulx3s_85f"), board_format("seedlm3")
    synthesised = Synthesis({"top": Area()}, build / "netlist.json")
    synthesised.netlist.write_text("{}")
    plan = board.platform().build(Lamp(board, fmt), name="top", do_build=False)
    monkeypatch.setattr(type(board.platform()), "build", lambda *_, **__: plan)
    with ThreadPoolExecutor(3) as pool:
        rows = list(pool.map(lambda seed: bitstream.bitstream(board, "seedlm3", fmt, seed, build, lambda stage: None),
                             range(3)))
    assert [row.seed for row in rows] == [0, 1, 2]
    assert (build / "ulx3s_85f" / "seedlm3.bit").read_text() == "routed and packed"
    assert "another command works in" in capsys.readouterr().err
