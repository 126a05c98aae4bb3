"""Emitted SystemVerilog can be read, is taken by every tool, and does what Amaranth's RTLIL does."""

import os
import random
import re
import subprocess
from pathlib import Path

import pytest
from amaranth.hdl import Assert, Cat, Const, Instance, Module, Mux, ResetInserter, Signal, Value, signed, unsigned
from amaranth.lib import data, enum, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from pyslang.ast import Compilation
from pyslang.syntax import SyntaxTree

from golden.spec import FORMATS
from golden.tree import BUILD
from hw.config import EngineConfig
from hw.engine.interfaces import port_attributes
from hw.engine.pins import EnginePins
from hw.flow import yosys
from hw.flow.modules import hierarchy, unique
from hw.flow.verilog import emit, write
from sim.lint.accepted import ACCEPTED
from sim.tools.toolchain import environment
from tests.hw.flow.equivalence import Modules, prove_combinational

SLANG_ACCEPTED = {
    "ArithOpMismatch": "an operand is extended to the width of the other",
    "SignConversion": "sums of signed numbers are wires like all others",
    "EmptyOutputPortConn": "outputs that a design does not need stay open",
    "WidthExpand": "a result is a bit wider than what it is made of",
}
FAMILIES = {"xc7": "synth_xilinx -family xc7 -flatten", "ecp5": "synth_ecp5", "ice40": "synth_ice40",
            "gowin": "synth_gowin", "nexus": "synth_nexus"}


SMALL = {"addr_bits": 16, "max_rows": 64, "max_cols": 64, "latency": 16, "write_beats": 4}


def emitted(folder: Path, fmt: str, bus_bits: int, **options: int) -> Path:
    """The engine of a format, emitted as ``make ip`` does it."""
    engine = EnginePins(EngineConfig(FORMATS[fmt], bus_bits, **options))
    path = folder / f"{fmt}-{bus_bits}.sv"
    emit(engine, path, f"{fmt}_engine", port_attributes(engine), "An engine.\nMade by a test.")
    return path


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small engine."""
    return emitted(tmp_path_factory.mktemp("emitted"), "int4", 32, **SMALL)


def code(path: Path) -> str:
    """The text of a file without comments and attributes."""
    return re.sub(r"//.*|\(\* .*? \*\)", "", path.read_text())


def test_names_can_be_read(small: Path) -> None:
    text = code(small)
    assert "\\" not in text
    assert set(re.findall(r"\$\w*", text)) == {"$signed"}
    assert not re.search(r"\b_\d+_\b", text)
    assert max(map(len, text.splitlines())) <= 100


def test_one_module_for_each_kind(small: Path) -> None:
    modules = re.findall(r"^module (\w+)", code(small), re.MULTILINE)
    assert modules[0] == "int4_engine"
    assert all(name.startswith("int4_engine_") and not name[-1].isdigit() for name in modules[1:])
    assert {"int4_engine_engine", "int4_engine_mac_array", "int4_engine_stream_queue_jobs",
            "int4_engine_stream_queue_pending"} < set(modules)
    assert len(modules) == len(set(modules)) < 40


def test_heads_and_comments(small: Path) -> None:
    text = small.read_text()
    assert text.startswith("// An engine.\n// Made by a test.\n//\n")
    assert "// SPDX-License-Identifier: Apache-2.0\n" in text[:400]
    comment = text[:text.index("module int4_engine_credit_gate")].rpartition("\n\n")[2]
    assert comment.startswith("// CreditGate: Gate at the head of a pipeline.\n//\n// Credit gate: lets no more ")
    assert "\n// Latency: 0 cycles" in comment
    assert "\n//   returned : In(1)\n//     Strobe: a payload leaves the queue.\n" in comment
    assert "`" not in comment
    assert max(len(line) for line in comment.splitlines()) <= 100


def test_no_initial_contents(small: Path) -> None:
    assert "initial" not in code(small)


def test_attributes_of_ports(small: Path) -> None:
    text = small.read_text()
    port = r'\(\* X_INTERFACE_INFO = "xilinx.com:{}"(?:, X_INTERFACE_PARAMETER = "([^"]*)")? \*\)\n  {}[;,\n]'
    for kind, declaration, parameters in (
            ("signal:clock:1.0 clk CLK", "input wire clk",
             "XIL_INTERFACENAME clk, ASSOCIATED_BUSIF m_axi:s_axil, ASSOCIATED_RESET rst"),
            ("signal:reset:1.0 rst RST", "input wire rst", "XIL_INTERFACENAME rst, POLARITY ACTIVE_HIGH"),
            ("signal:interrupt:1.0 irq INTERRUPT", "output wire irq", "XIL_INTERFACENAME irq, SENSITIVITY LEVEL_HIGH"),
            ("interface:aximm:1.0 m_axi RDATA", r"input wire \[31:0\] m_axi_rdata", None),
            ("interface:aximm:1.0 s_axil WSTRB", r"input wire \[3:0\] s_axil_wstrb", None)):
        found = re.search(port.format(kind, declaration), text)
        assert found, kind
        assert found[1] == parameters
    for bus, protocol in (("m_axi", "AXI4,"), ("s_axil", "AXI4LITE,")):
        assert len(re.findall(f"XIL_INTERFACENAME {bus}, PROTOCOL {protocol}", text)) == 1


def test_equal_designs_give_equal_files(small: Path, tmp_path: Path) -> None:
    assert emitted(tmp_path, "int4", 32, **SMALL).read_text() == small.read_text()


@pytest.mark.parametrize(("fmt", "bus_bits"), [
    ("seedlm4", 32), ("seedlm4", 128), ("seedlm3", 32), ("seedlm3", 128), ("int4", 128), ("fp16", 32), ("fp16", 512)])
def test_slang_verilator_and_icarus_take_it(fmt: str, bus_bits: int, tmp_path: Path) -> None:
    path = emitted(tmp_path, fmt, bus_bits)
    compilation = Compilation()
    compilation.addSyntaxTree(SyntaxTree.fromFile(str(path)))
    found = compilation.getAllDiagnostics()
    assert not [one for one in found if one.isError()]
    assert {str(one.code).removeprefix("DiagCode(").removesuffix(")") for one in found} <= SLANG_ACCEPTED.keys()

    tools = {**os.environ, **environment(BUILD / "tools")}
    for command in (["verilator", "--lint-only", "-Wall", *(f"-Wno-{rule}" for rule in ACCEPTED), "--top-module",
                     f"{fmt}_engine", str(path)],
                    ["iverilog", "-g2012", "-s", f"{fmt}_engine", "-o", str(tmp_path / "engine"), str(path)]):
        done = subprocess.run(command, env=tools, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), command[0]


@pytest.mark.parametrize("family", FAMILIES)
def test_yosys_synthesises_it(family: str, small: Path) -> None:
    printed = yosys.run([f"read_verilog -sv {small}", f"{FAMILIES[family]} -top int4_engine", "check -assert", "stat"])
    assert "\\initial" not in printed
    left = re.findall(r"^ +\d+ +(?:[\d.]+ +)?(\$\w+)$", printed.rpartition("Printing statistics")[2], re.MULTILINE)
    assert set(left) <= {"$scopeinfo"}


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Modules:
    """The modules of a small engine."""
    return Modules(EnginePins(EngineConfig(FORMATS["int4"], 32, **SMALL)), tmp_path_factory.mktemp("modules"))


def test_the_modules_of_an_engine_are_proven(modules: Modules) -> None:
    # Proofs of the larger memories and of the register file take half a minute.
    for name in modules.titles.keys() - {"top.engine.activations.queue", "top.engine.activations.store",
                                         "top.engine.registers"}:
        modules.prove(name)


class Anything(wiring.Component):
    """Random expressions of inputs of all widths and signs, in all kinds of statements. Equal seeds, equal designs."""

    _LAYOUT = data.StructLayout({"a": signed(5), "b": 3, "c": data.ArrayLayout(unsigned(2), 3)})

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        shapes = [(signed if n % 2 else unsigned)(self._random.randint(1, 8)) for n in range(6)]
        super().__init__({
            **{f"i{n}": In(shape) for n, shape in enumerate(shapes)}, "s": In(self._LAYOUT), "word": In(32),
            **{f"o{n}": Out(self._random.choice([signed, unsigned])(self._random.randint(1, 12))) for n in range(8)},
            "structure": Out(self._LAYOUT)})

    def _leaf(self) -> Value:
        pick = self._random.choice
        return pick([Const(self._random.randint(-8, 8)), self.s.a, self.s.b, self.s.c[0], self.s.c[2], self.word[3:9],
                     self.s.as_value(), *(getattr(self, f"i{self._random.randrange(6)}") for _ in range(9))])

    def _value(self, depth: int) -> Value:
        pick = self._random.choice
        if not depth or self._random.random() < 0.15:
            return self._leaf()
        a, b, c = (self._value(depth - 1) for _ in range(3))
        low = self._random.randrange(len(a))
        width = self._random.randint(1, len(a) - low)
        index = b.as_unsigned()
        return pick([lambda: a + b, lambda: a + b, lambda: a - b, lambda: a - b, lambda: a * b, lambda: -a, lambda: ~a,
                     lambda: a & b, lambda: a | b, lambda: a ^ b, lambda: a << index[:2], lambda: a >> index[:3],
                     lambda: pick([a == b, a != b, a < b, a <= b, a > b, a >= b]), lambda: Mux(a, b, c),
                     lambda: pick([a.any(), a.all(), a.xor()]), lambda: Cat(a, b), lambda: a[low:low + width],
                     lambda: self.word.word_select(index[:2], pick([3, 4, 8])),
                     lambda: self.word.bit_select(index[:4], pick([1, 3])),
                     a.as_signed, a.as_unsigned, lambda: a.shift_left(low)])()

    def _assign(self, m: Module, o: Value) -> None:
        kind = self._random.randrange(4)
        if kind == 0:
            m.d.comb += o.eq(self._value(4))
        elif kind == 1:
            m.d.comb += o.eq(self._value(2))
            with m.If(self._value(2).bool()):
                m.d.comb += o.eq(self._value(3))
            with m.Elif(self._value(2).bool()):
                with m.If(self._value(1).bool()):
                    m.d.comb += o.eq(self._value(3))
                with m.Else():
                    m.d.comb += o[:(len(o) + 1) // 2].eq(self._value(2))
        else:
            with m.Switch(Cat(self._value(2), Const(0, 3))[:3]):
                with m.Case(1) if kind == 2 else m.Case("--1"):
                    m.d.comb += (o if kind == 2 else o[:1]).eq(self._value(3))
                with m.Case(2, 4):
                    m.d.comb += o.eq(self._value(3))
                if self._random.randrange(2):
                    with m.Default():
                        m.d.comb += o.eq(self._value(2))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for n in range(8):
            self._assign(m, getattr(self, f"o{n}"))
        with m.If(self.word[0]):
            m.d.comb += self.structure.a.eq(self._value(3))
        m.d.comb += self.structure.b.eq(self._value(3))
        return m


@pytest.mark.parametrize("seed", range(12))
def test_expressions_are_proven(seed: int, tmp_path: Path) -> None:
    prove_combinational(Anything(seed), Anything(seed), tmp_path)


class Colour(enum.Enum, shape=2):
    """A value with names."""

    RED = 0
    GREEN = 2


class Parts(wiring.Component):
    """What the engine has not: contents of a memory, a foreign module, a port called by a word of Verilog."""

    byte: In(8)
    colour: In(Colour)
    o: Out(8)
    green: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.table = table = Memory(shape=8, depth=4, init=[1, 2, 3])
        read = table.read_port()
        found = Signal(8)
        m.d.comb += [read.addr.eq(self.byte), self.green.eq(self.colour == Colour.GREEN)]
        m.submodules.foreign = Instance("FOREIGN", p_WIDTH=8, p_NAME="x", i_i=read.data, o_o=found)
        m.d.comb += self.o.eq(found)
        return m


def test_what_the_engine_has_not(tmp_path: Path) -> None:
    emit(Parts(), tmp_path / "parts.sv", "parts")
    text = code(tmp_path / "parts.sv")
    assert "input wire [7:0] \\byte ," in text
    assert re.findall(r"table_\[\d\] = (.*);", text) == ["8'd1", "8'd2", "8'd3", "8'd0"]
    assert "FOREIGN #(.WIDTH(8), .NAME(\"x\")) foreign (" in text
    assert "assign green = colour == COLOUR_GREEN;" in text


class Stored(wiring.Component):
    """A memory that is written byte by byte and read with a clock, and registers of all kinds."""

    i: In(16)
    at: In(2)
    write: In(2)
    read: In(1)
    o: Out(16)
    count: Out(4, init=3)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.words = words = Memory(shape=16, depth=4, init=[])
        write, read = words.write_port(granularity=8), words.read_port()
        kept = Signal(4, reset_less=True, attrs={"keep": 1})
        m.d.comb += [write.addr.eq(self.at), write.data.eq(self.i), write.en.eq(self.write), read.addr.eq(self.at),
                     read.en.eq(self.read), self.o.eq(read.data)]
        m.d.sync += [kept.eq(self.i[:4]), Assert(self.count != 9),
                     Assert(self.count != 8, 'the "count" is 8\n')]
        with m.FSM():
            with m.State("LOW"):
                m.d.sync += self.count[:2].eq(kept)
                with m.If(self.read):
                    m.next = "HIGH"
            with m.State("HIGH"), m.If(self.write.any()):
                m.d.sync += self.count.eq(self.count + kept)
                m.next = "LOW"
        return m


def test_memories_and_registers_are_proven(tmp_path: Path) -> None:
    Modules(Stored(), tmp_path).prove("top")
    emit(Stored(), tmp_path / "top.sv")
    text = (tmp_path / "top.sv").read_text()
    assert '(* keep = "true" *) logic [3:0] kept = 4\'d0;' in text
    assert "logic fsm_state = STATE_LOW;" in text
    assert "output logic [3:0] count = 4'd3" in text
    assert "if (write[1]) words[at][15:8] <= i[15:8];" in text
    assert "`ifndef SYNTHESIS\n  always @(posedge clk) assert (count != 4'd9);\n  always @(posedge clk) assert (" \
        'count != 4\'d8) else $error("the \\"count\\" is 8");\n  `endif' in text


class Twice(wiring.Component):
    """The same component twice, once with a reset of its own."""

    i: In(8)
    o: Out(8)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.first, m.submodules.second = first, second = Register(), Register()
        m.submodules.third = ResetInserter(self.i[0])(third := Register())
        m.d.comb += [first.i.eq(self.i), second.i.eq(first.o), third.i.eq(second.o), self.o.eq(third.o)]
        return m


class Register(wiring.Component):
    """A register."""

    i: In(8)
    o: Out(8)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.sync += self.o.eq(self.i)
        return m


def test_modules_of_instances(tmp_path: Path) -> None:
    design, origins = hierarchy(Twice(), "top")
    places = unique(design)[1]
    assert places["top.first"] == places["top.second"] != places["top.third"]
    assert {name: type(origin.component) for name, origin in origins.items()} == {
        "top": Twice, **{f"top.{name}": Register for name in ("first", "second", "third")}}
    assert origins["top.first"].ports == ["clk", "rst", "i", "o"]
    emit(Twice(), tmp_path / "top.sv")
    assert re.findall(r"^module (\w+)", code(tmp_path / "top.sv"), re.MULTILINE) == [
        "top", "top_register_third", "top_register_first"]
    write(design, tmp_path / "plain.sv")
    assert re.findall(r"^  (\w+) (\w+) \($", code(tmp_path / "plain.sv"), re.MULTILINE) == [
        ("top_first", "first"), ("top_first", "second"), ("top_third", "third")]
