"""The register map is an interface: drivers that others write rely on these offsets."""

import re

from golden.spec import FP16, INT4, SEEDLM4
from hw.config import EngineConfig
from hw.dma.descriptor import descriptor_alignment, descriptor_beats, descriptor_image
from hw.registers.register_map import OFFSETS, REGISTERS, START, Status, identity


def test_offsets() -> None:
    assert OFFSETS == {
        "ID": 0x00, "FORMAT": 0x04, "LANES": 0x08, "CONTROL": 0x0C, "STATUS": 0x10, "NEXT": 0x14,
        "ACTIVATION_ADDR": 0x18, "WEIGHT_ADDR": 0x1C, "RESULT_ADDR": 0x20, "ROWS": 0x24, "BLOCKS": 0x28,
        "ACTIVATION_BEATS": 0x2C, "WEIGHT_BEATS": 0x30, "FACTOR_EXPONENT": 0x34, "WATCHDOG": 0x38, "ERROR_ADDR": 0x3C,
        "CYCLES": 0x40, "STARVED": 0x44, "REFRESH": 0x48, "STALLED": 0x4C, "DRAIN": 0x50, "BEATS": 0x54,
        "BYTES_READ": 0x58, "BYTES_WRITTEN": 0x5C,
    }


def test_registers_are_described_in_sentences() -> None:
    for register in REGISTERS:
        assert re.fullmatch(r"[A-Z][^|]*\.", register.doc), register


def test_descriptors() -> None:
    """Sixteen little-endian words at a multiple of 64 bytes and of a beat."""
    assert descriptor_image({name: 0x01020300 + n for n, name in enumerate((
        "NEXT", "FORMAT", "ACTIVATION_ADDR", "WEIGHT_ADDR", "RESULT_ADDR", "ROWS", "BLOCKS", "ACTIVATION_BEATS",
        "WEIGHT_BEATS", "FACTOR_EXPONENT"))}) == b"".join(bytes([n, 3, 2, 1]) for n in range(10)) + bytes(24)
    assert [(descriptor_alignment(EngineConfig(SEEDLM4, bits)), descriptor_beats(EngineConfig(SEEDLM4, bits)))
            for bits in (32, 512, 1024)] == [(64, 16), (64, 1), (128, 1)]


def test_fields() -> None:
    assert START == 1
    assert {name: Status[name].offset for name, _ in Status} == {
        "busy": 0, "done": 1, "read_error": 2, "write_error": 3, "not_finite": 4, "bad_descriptor": 5, "timeout": 6}
    assert identity(EngineConfig(SEEDLM4)) == 8 | 3 << 9 | 16 << 13 | 4 << 18 | 9 << 21 | 16 << 25
    assert identity(EngineConfig(INT4, 128, act_bits=8)) == 8 | 4 << 18 | 7 << 21 | 8 << 25
    assert identity(EngineConfig(FP16, 64)) == 1 | 6 << 21
