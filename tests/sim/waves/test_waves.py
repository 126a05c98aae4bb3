"""Waveforms of the simulated system, and what viewers show of them."""

import random
import re
import subprocess
from pathlib import Path

import pytest

from golden.spec import FP16
from golden.tree import ROOT
from hw.config import EngineConfig
from sim.tools.errors import ToolError
from sim.waves import build, waves
from sim.waves.hierarchy import Instance, Port, instances
from sim.waves.layout import groups, gtkwave, surfer
from sim.waves.window import Window, require_window
from tests.sim.waves.fst import lz4_block, read_fst

CONFIG = EngineConfig(FP16, 32, max_rows=64, max_cols=64)


def shown(folder: Path) -> tuple[dict[str, int], set[str]]:
    """Widths of the signals in GTKWave's file, and names in Surfer's."""
    saved = re.findall(r"^(top\.[\w.]+)(?:\[(\d+):0\])?$", (folder / "top.gtkw").read_text(), re.MULTILINE)
    commands = (folder / "top.sucl").read_text()
    return ({name: int(high or 0) + 1 for name, high in saved}, set(re.findall(r"^variable_add (.*)$", commands,
                                                                                re.MULTILINE)))


def check(folder: Path) -> None:
    """Every signal that the viewers are told of is in the dump, with its width; the stages are among them."""
    found = read_fst(folder / "top.fst").widths
    saved, commands = shown(folder)
    assert {name: found.get(name) for name in saved} == saved
    assert commands <= {*saved}
    for stage in ("read_dma", "unpacker", "activations", "join_", "lane0", "results", "write_dma", "counters"):
        assert any(name.startswith(f"top.engine.{stage}.") for name in commands), stage
    assert {"top.clk", "top.engine.unpacker.o__valid", "top.memory.axi__r__ready"} <= commands


def test_a_window_of_the_native_simulator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(waves, "BUILD", tmp_path)
    monkeypatch.setattr(build, "_OPTIMISE", "OPT_FAST=-O0 OPT_SLOW=-O0 OPT_GLOBAL=-O0")  # half the time to build
    for window, start, end in ((Window(10, 20), 95, 200), (Window(), 0, 0)):
        with waves.open_device(CONFIG, "ideal", 1 << 20, "verilator", window) as device:
            for _ in range(20):
                device.read_register(0)
        found = read_fst(device.waves / "top.fst")
        assert found.start == start
        assert found.end == end or (window.whole and found.end > 400)
        check(device.waves)
        assert f"[timestart] {found.start}\n" in (device.waves / "top.gtkw").read_text()


def test_icarus_dumps_the_same_signals(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(waves, "BUILD", tmp_path)
    with waves.open_device(CONFIG, "ideal", 1 << 20, "icarus", Window()) as device:
        device.read_register(0)
    assert device.waves.parent.parent == tmp_path
    check(device.waves)


@pytest.mark.parametrize(("text", "window"), [
    ("", None), ("0", None), ("1", Window()), ("yes", ""), ("7", Window()), ("10:20", Window(10, 20)),
    (":20", Window(0, 20)), ("10:", Window(10)), (":", Window()), ("5:5", Window(5, 5)), ("6:5", ""), ("1:2:3", ""),
    ("-1:5", ""), ("1e3:", "")])
def test_windows(text: str, window: Window | str | None) -> None:
    """Given as users give them; an empty string here stands for a refusal."""
    if window == "":
        with pytest.raises(ToolError, match=re.escape(f"{text!r} is no window of cycles: give WAVES=1 for all, or ")):
            Window.parse(text)
    else:
        assert Window.parse(text) == window


def test_a_window_of_icarus_is_refused() -> None:
    assert require_window(Window(), "icarus") == Window()
    with pytest.raises(ToolError, match="with Icarus there are waveforms of all cycles only"):
        require_window(Window(0, 5), "icarus")


SOURCE = """module top (
  input wire clk,
  input wire rst,
  output wire irq
);
  top_engine engine (
    .clk(clk)
  );
  ram #(.WIDTH(64)) ram (
  );
endmodule

module top_engine (
  input wire clk,
  // {last, data[63:0]}
  input wire [64:0] i__payload,
  output logic [2:0] count = 3'd0,
  output logic i__ready = 1'b0,
  input wire i__valid
);
endmodule
"""


def test_instances() -> None:
    assert instances(SOURCE) == [
        Instance(("top",), (Port("irq", 1),)),
        Instance(("top", "engine"), (Port("i__payload", 65), Port("count", 3), Port("i__ready", 1),
                                     Port("i__valid", 1)))]


def test_groups_have_streams_together() -> None:
    further = (("engine", "lane7"), Port("x", 1)), (("engine", "unpacker"), Port("y", 2)), (("memory",), Port("z", 1))
    found = groups([*instances(SOURCE), *(Instance(("top", *path), (port,)) for path, port in further)])
    assert [(group.name, group.open) for group in found] == [
        ("clock", True), ("engine", False), ("engine.unpacker", True), ("engine.lane7", False), ("memory", True)]
    assert [name.rpartition(".")[2] for name, _ in found[1].signals] == ["i__valid", "i__ready", "i__payload", "count"]
    saved = gtkwave(found, Path("/x/top.fst"), 1000, 9000)
    assert "[timestart] 1000\n" in saved
    assert "\n*-11.380822 1000\n" in saved  # 2 ** 11.380822 * 600 / 200 are 8,000
    assert "@22\ntop.engine.unpacker.y[1:0]\n@1000200\n-engine.unpacker" in saved
    assert surfer(found).splitlines()[3:] == [
        "divider_add engine.unpacker", "variable_add top.engine.unpacker.y", "divider_add memory",
        "variable_add top.memory.z", "zoom_fit"]


def test_what_is_packed_is_what_was_given(tmp_path: Path) -> None:
    """Empty, short, long, repeated and random contents, by a program around the header of the FST writer."""
    rng = random.Random(4)
    contents = [b"", b"a", b"abcdefghijkl", b"ab" * 500, bytes(70_000), rng.randbytes(3000),
                *(bytes(rng.choices(b"abcd", k=rng.randrange(1, 5000))) for _ in range(20)),
                rng.randbytes(300) + bytes(66_000) + rng.randbytes(300)]
    (tmp_path / "main.cpp").write_text('#include "lz4.h"\n#include <cstdio>\nint main() {\n  static char in[1 << 18];\n'
                                       "  const int size = fread(in, 1, sizeof in, stdin);\n"
                                       "  std::vector<char> out(LZ4_compressBound(size));\n"
                                       "  const int packed = LZ4_compress_default(in, out.data(), size, out.size());\n"
                                       "  if (packed > (int)out.size()) return 1;\n"
                                       "  fwrite(out.data(), 1, packed, stdout);\n}\n")
    subprocess.run(["g++", "-fsanitize=address,undefined", f"-I{ROOT / 'sim' / 'waves'}", "-o", "main", "main.cpp"],
                   cwd=tmp_path, check=True)
    sizes = []
    for content in contents:
        packed = subprocess.run([tmp_path / "main"], input=content, capture_output=True, check=True).stdout
        assert lz4_block(packed) == content
        sizes.append(len(packed))
    assert max(sizes[3:5]) < 300
