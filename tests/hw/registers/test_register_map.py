"""The register map is an interface: drivers that others write rely on these offsets."""

import re
from itertools import pairwise

from golden.spec import FP16, INT4, SEEDLM4, SEEDLM4R, TRELLIS3
from hw.config import EngineConfig
from hw.dma.descriptor import WORDS, descriptor_alignment, descriptor_beats, descriptor_image
from hw.registers.register_map import ABORT, ID, OFFSETS, REGISTERS, START, Status, capability, identity


def test_offsets() -> None:
    assert ID == 0x5EED_0003
    assert OFFSETS == {
        "ID": 0x00, "FORMAT": 0x04, "CAPABILITY": 0x08, "CONTROL": 0x0C, "STATUS": 0x10, "IRQ_ENABLE": 0x14,
        "IRQ_PENDING": 0x18, "WATCHDOG": 0x1C, "ERROR_ADDR": 0x20, "ERROR_ADDR_HI": 0x24, "NEXT": 0x28,
        "NEXT_HI": 0x2C, "ACTIVATION_ADDR": 0x30, "ACTIVATION_ADDR_HI": 0x34, "WEIGHT_ADDR": 0x38,
        "WEIGHT_ADDR_HI": 0x3C, "RESULT_ADDR": 0x40, "RESULT_ADDR_HI": 0x44, "ROWS": 0x48, "BLOCKS": 0x4C,
        "ACTIVATION_BEATS": 0x50, "WEIGHT_BEATS": 0x54, "FACTOR_EXPONENT": 0x58, "CYCLES": 0x5C, "STARVED": 0x60,
        "REFRESH": 0x64, "STALLED": 0x68, "DRAIN": 0x6C, "BEATS": 0x70, "WRITE_BEATS": 0x74,
    }


def test_registers_are_described_in_sentences() -> None:
    for register in REGISTERS:
        for doc in (register.doc, *(field.doc for field in register.fields)):
            assert re.fullmatch(r"[A-Z0-9][^|]*\.", doc), doc


def test_fields_follow_each_other() -> None:
    for register in REGISTERS:
        for field, following in pairwise(register.fields):
            assert following.lsb == field.lsb + field.bits
        assert not register.fields or register.fields[-1].lsb + register.fields[-1].bits <= 32


def test_descriptors() -> None:
    """Sixteen little-endian words at a multiple of 64 bytes and of a beat."""
    assert WORDS == (
        "NEXT", "NEXT_HI", "ACTIVATION_ADDR", "ACTIVATION_ADDR_HI", "WEIGHT_ADDR", "WEIGHT_ADDR_HI", "RESULT_ADDR",
        "RESULT_ADDR_HI", "ROWS", "BLOCKS", "ACTIVATION_BEATS", "WEIGHT_BEATS", "FACTOR_EXPONENT", "FORMAT")
    assert (descriptor_image({name: 0x01020300 + n for n, name in enumerate(WORDS)})
            == b"".join(bytes([n, 3, 2, 1]) for n in range(14)) + bytes(8))
    assert [(descriptor_alignment(EngineConfig(SEEDLM4, bits)), descriptor_beats(EngineConfig(SEEDLM4, bits)))
            for bits in (32, 512, 1024)] == [(64, 16), (64, 1), (128, 1)]


def test_fields() -> None:
    assert (START, ABORT) == (1, 2)
    assert [name for name, _ in Status] == [
        "busy", "done", "read_error", "write_error", "not_finite", "bad_descriptor", "timeout", "bad_address",
        "bad_size", "bad_activations", "bad_weights", "protocol_error", "aborted", "settling"]
    assert identity(EngineConfig(SEEDLM4)) == 8 | 3 << 9 | 16 << 13 | 4 << 18 | 9 << 21 | 16 << 25
    assert identity(EngineConfig(INT4, 128, act_bits=8)) == 8 | 4 << 13 | 7 << 21 | 8 << 25
    assert identity(EngineConfig(FP16, 64)) == 1 | 6 << 21
    assert identity(EngineConfig(SEEDLM4R)) == 8 | 4 << 9 | 16 << 13 | 4 << 18 | 9 << 21 | 16 << 25 | 1 << 30
    assert identity(EngineConfig(TRELLIS3)) == 12 | 3 << 13 | 9 << 21 | 16 << 25 | 1 << 30
    assert capability(EngineConfig(SEEDLM4)) == 4 | 32 << 4 | 17 << 11 | 16 << 16
    assert capability(EngineConfig(FP16, 64, addr_bits=64, max_rows=1 << 24)) == 2 | 64 << 4 | 24 << 11 | 16 << 16
