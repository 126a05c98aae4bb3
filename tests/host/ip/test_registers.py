"""The register map of a package in C, SystemRDL and JSON, and as a page, beside the table of the hardware."""

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from systemrdl import RDLCompiler
from systemrdl.node import FieldNode, RegNode

from golden.block import CompressedMatrix
from golden.integers import GroupMatrix
from golden.product import Weights
from golden.spec import FP16, INT3, INT4, INT8, SEEDLM3, SEEDLM4R, TRELLIS2, BlockFormat, WeightFormat
from golden.trellis.matrix import TrellisMatrix
from host.ip import c_header, register_json, register_page, systemrdl
from host.ip.causes import CAUSES
from host.ip.core import DESCRIPTOR_WORDS, Core
from host.ip.operands import block_fields, head_fields
from host.packing.image import weight_image
from hw.config import EngineConfig
from hw.dma.descriptor import DESCRIPTOR_BYTES, descriptor_image
from hw.registers.register_map import ERRORS, OFFSETS, REGISTERS, Register, capability, identity
from sim.device.random_operands import random_weights

CORES = [Core(EngineConfig(fmt, bus_bits, addr_bits=addr_bits), f"core_{bus_bits}")
         for fmt, bus_bits, addr_bits in ((SEEDLM3, 128, 64), (FP16, 512, 32), (INT4, 1024, 40),
                                          (BlockFormat(4, 2, 3), 32, 20))]
FLAGS = ("-Wall", "-Wextra", "-Werror", "-pedantic")


def field_names(register: Register) -> list[str]:
    return [field.name for field in register.fields] or ["value"]


def numbers(core: Core, folder: Path, *compiler: str) -> dict[str, int]:
    """What a program prints of the header's macros, of its errors, and of the descriptor's words."""
    header, p = next(iter(c_header.files(core).values())), core.prefix
    (folder / f"{core.name}.h").write_text(header)
    macros = re.findall(rf"^#define ({p}_\w+) ", header, re.MULTILINE)
    errors = [f"{p}_ERROR_{name.upper()}" for name in ERRORS]
    words = [f"offsetof(struct {core.name}_descriptor, {word.lower()})" for word in DESCRIPTOR_WORDS]
    lines = [f'printf("%s %lu\\n", "{name.replace(" ", "")}", (unsigned long)({name}));'
             for name in (*macros, *errors, *words)]
    program = folder / "program.c"
    program.write_text(f'#include "{core.name}.h"\n#include <stddef.h>\n#include <stdio.h>\n'
                       f"int main(void) {{\n" + "\n".join(lines) + "\nreturn 0;\n}\n")
    subprocess.run([*compiler, *FLAGS, str(program), "-o", str(folder / "program")], check=True)
    printed = subprocess.run([str(folder / "program")], check=True, capture_output=True, text=True).stdout
    return {name: int(value) for name, value in (line.split() for line in printed.splitlines())}


@pytest.mark.parametrize("compiler", [("cc", "-std=c11"), ("c++", "-std=c++11", "-x", "c++")], ids=["c", "c++"])
@pytest.mark.parametrize("core", CORES, ids=lambda core: core.name)
def test_the_header_compiles_and_says_what_the_table_says(core: Core, compiler: tuple[str, ...],
                                                          tmp_path: Path) -> None:
    found, p = numbers(core, tmp_path, *compiler), core.prefix
    for register in REGISTERS:
        assert found[f"{p}_{register.name}_OFFSET"] == OFFSETS[register.name]
        assert found[f"{p}_{register.name}_RESET"] == core.reset_value(register)
        for field in register.fields:
            name = f"{p}_{register.name}_{field.name.upper()}"
            assert found[f"{name}_SHIFT"] == field.lsb
            assert found[f"{name}_MASK"] == ((1 << field.bits) - 1) << field.lsb
    status = next(register for register in REGISTERS if register.name == "STATUS")
    for name in ERRORS:
        assert found[f"{p}_ERROR_{name.upper()}"] == found[f"{p}_STATUS_{name.upper()}_MASK"]
    assert found[f"{p}_ERRORS"] == sum(1 << field.lsb for field in status.fields if field.name in ERRORS)
    for number, word in enumerate(DESCRIPTOR_WORDS):
        assert found[f"offsetof(structcore_{core.config.bus_bits}_descriptor,{word.lower()})"] == 4 * number
        image = descriptor_image({each: int(each == word) for each in DESCRIPTOR_WORDS})
        assert image.index(1) == 4 * number
    assert found[f"{p}_DESCRIPTOR_BYTES"] == DESCRIPTOR_BYTES
    assert found[f"{p}_ADDR_BITS"] == core.config.addr_bits


@pytest.mark.parametrize("core", CORES, ids=lambda core: core.name)
def test_the_description_in_systemrdl_is_the_table(core: Core, tmp_path: Path) -> None:
    path = tmp_path / f"{core.name}.rdl"
    path.write_text(next(iter(systemrdl.files(core).values())))
    compiler = RDLCompiler()
    compiler.compile_file(str(path))
    top = compiler.elaborate().top
    assert top.inst_name == core.name
    found = {node.inst_name: node for node in top.registers()}
    assert list(found) == [register.name for register in REGISTERS]
    for register in REGISTERS:
        node: RegNode = found[register.name]
        assert (node.address_offset, node.get_property("regwidth")) == (register.offset, 32)
        fields: dict[str, FieldNode] = {each.inst_name: each for each in node.fields()}
        assert list(fields) == field_names(register)
        reset = sum(each.get_property("reset") << each.lsb for each in fields.values())
        assert reset == core.reset_value(register)
        for field in register.fields:
            assert (fields[field.name].lsb, fields[field.name].width) == (field.lsb, field.bits)
            assert fields[field.name].get_property("desc") == field.doc
        for each in fields.values():
            assert each.is_sw_readable == (register.access != "wo")
            assert each.is_sw_writable == (register.access != "ro")


@pytest.mark.parametrize("core", CORES, ids=lambda core: core.name)
def test_the_json_is_the_table(core: Core) -> None:
    content = json.loads(next(iter(register_json.files(core).values())))
    assert content["registers"] == [
        {"name": register.name, "offset": register.offset, "access": register.access, "description": register.doc,
         "reset": core.reset_value(register),
         "fields": [{"name": field.name, "lsb": field.lsb, "bits": field.bits, "description": field.doc}
                    for field in register.fields]} for register in REGISTERS]
    assert set(content["errors"]) == set(ERRORS)
    assert content["descriptor"]["alignment"] == max(64, core.config.bus_bytes)


@pytest.mark.parametrize("fmt", [SEEDLM3, FP16])
def test_what_a_register_reads_after_reset(fmt: WeightFormat) -> None:
    config = EngineConfig(fmt, 64, addr_bits=48)
    core = Core(config, "a_core")
    assert [core.reset_value(register) for register in REGISTERS[:3]] == [
        0x5EED0003, identity(config), capability(config)]
    assert core.reset_value(next(each for each in REGISTERS if each.name == "WATCHDOG")) == 1 << 16


@pytest.mark.parametrize("fmt", [SEEDLM3, SEEDLM4R, TRELLIS2, INT8, INT4, INT3, FP16, BlockFormat(5, 2, 7, 3)],
                         ids=lambda fmt: fmt.name)
@pytest.mark.parametrize("bus_bits", [32, 128])
def test_the_page_says_how_weights_lie_in_memory(fmt: WeightFormat, bus_bits: int) -> None:
    """An image that is packed as the page says, field by field, is the image that the host packs."""
    config = EngineConfig(fmt, bus_bits)
    rows, cols = 2 * config.lanes, 5 * fmt.c * fmt.group_blocks // 2
    weights = random_weights(fmt, rows, cols, np.random.default_rng(0))
    stream: list[tuple[int, int]] = []
    for group in range(0, rows, config.lanes):
        for block in range(-fmt.head_blocks, config.weight_blocks(cols)):
            fields = head_fields(fmt) if block < 0 else block_fields(fmt)
            for row in range(group, group + config.lanes):
                found = head_values(weights, row) if block < 0 else values(weights, row, block)
                stream += [(int(value) & (1 << field.bits) - 1, field.bits)
                           for field, value in zip(fields, found, strict=True)]
                stream.append((0, config.block_bits - sum(field.bits for field in fields)))
    bits = "".join(f"{value:0{width}b}" for value, width in reversed(stream) if width)
    beats = -(-len(bits) // bus_bits)
    assert weight_image(weights, config) == int(bits, 2).to_bytes(beats * config.bus_bytes, "little")


def head_values(weights: Weights, row: int) -> list[int]:
    """The fields of a row's head as numbers, from bit 0 up."""
    assert isinstance(weights, (CompressedMatrix, TrellisMatrix))
    assert weights.scales is not None
    start = [int(weights.starts[row])] if isinstance(weights, TrellisMatrix) else []
    return [int(weights.scales[row].view(np.uint16)), *start]


def values(weights: Weights, row: int, block: int) -> list[int]:
    """The fields of a block as numbers, from bit 0 up."""
    if isinstance(weights, CompressedMatrix):
        exponent = [] if weights.fmt.head_blocks else [weights.exponents[row, block]]
        return [weights.seeds[row, block], *exponent, *weights.coefs[row, block]]
    if isinstance(weights, TrellisMatrix):
        found = weights.codes[row, block * weights.fmt.c:(block + 1) * weights.fmt.c].tolist()
        return found + [0] * (weights.fmt.c - len(found))
    if isinstance(weights, GroupMatrix):
        group, number = divmod(block, weights.fmt.group_blocks)
        left = group == weights.scales.shape[1]
        bit = 0 if left else int(weights.scales[row, group].view(np.uint16)) >> number & 1
        return [*weights.codes[row, block * weights.fmt.c:(block + 1) * weights.fmt.c], bit]
    return [weights[row, block].view(np.uint16)]


def test_every_cause_has_a_remedy() -> None:
    assert list(CAUSES) == list(ERRORS)


@pytest.mark.parametrize("core", [None, CORES[0]])
def test_the_page_has_every_register_field_and_cause(core: Core | None) -> None:
    page = register_page.page(core)
    for register in REGISTERS:
        assert f"| {register.offset:#04x} | {register.name} |" in page
        for field in register.fields:
            assert f"| {register.name} | {field.name} |" in page
    for name, doc in ERRORS.items():
        assert re.search(rf"^\| {name} \| \d+ \| {re.escape(doc)} \|", page, re.MULTILINE)
    assert (f"| {identity(CORES[0].config):#010x} |" in page) == (core is not None)
