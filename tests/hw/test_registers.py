"""The register map is an interface: drivers that others write rely on these offsets."""

from golden.spec import INT4, SEEDLM4
from hw.config import EngineConfig
from hw.registers import OFFSETS, START, Status, identity


def test_offsets():
    assert OFFSETS == {
        "ID": 0x00, "FORMAT": 0x04, "LANES": 0x08, "CONTROL": 0x0C, "STATUS": 0x10, "ACTIVATION_ADDR": 0x14,
        "WEIGHT_ADDR": 0x18, "RESULT_ADDR": 0x1C, "ROWS": 0x20, "BLOCKS": 0x24, "ACTIVATION_BEATS": 0x28,
        "WEIGHT_BEATS": 0x2C, "FACTOR_EXPONENT": 0x30, "CYCLES": 0x34, "STARVED": 0x38, "STALLED": 0x3C, "BEATS": 0x40,
        "BYTES_READ": 0x44, "BYTES_WRITTEN": 0x48,
    }


def test_fields():
    assert START == 1
    assert {name: Status[name].offset for name, _ in Status} == {
        "busy": 0, "done": 1, "read_error": 2, "write_error": 3, "not_finite": 4}
    assert identity(EngineConfig(SEEDLM4)) == 8 | 3 << 9 | 16 << 13 | 4 << 18 | 9 << 21 | 16 << 25
    assert identity(EngineConfig(INT4, 128, act_bits=8)) == 8 | 4 << 18 | 7 << 21 | 8 << 25
    assert identity(EngineConfig(None, 64)) == 1 | 6 << 21
