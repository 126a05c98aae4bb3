"""What the engine on a device is, as its first registers say."""

from typing import Any

from golden.spec import ACT_BITS, EXP_BITS, FP16, TRELLIS_FORMATS, BlockFormat, FormatError, GroupFormat, WeightFormat
from host.device.device import Device, DeviceError
from hw.config import ConfigError, EngineConfig
from hw.registers.register_map import ID, OFFSETS, Capability, Identity, capability, identity

__all__ = ["check_engine", "fields_of", "found_engine"]

_EDITION_BITS = 16
"""Bits of the ID register that hold the edition of the register map; the design's own number is above them."""


def _check_id(device: Device) -> None:
    """Raise DeviceError unless the device holds an engine of this design with this edition of the register map."""
    found = device.read_register(OFFSETS["ID"])
    (design, edition), (this, ours) = (divmod(value, 1 << _EDITION_BITS) for value in (found, ID))
    if design != this:
        raise DeviceError(f"the device's ID register reads {found:#010x} where a seedlm-fpga engine has {ID:#010x}: "
                          "load its bitstream, and check where its registers lie")
    if edition != ours:
        raise DeviceError(f"the engine has edition {edition} of the register map, and this program knows edition "
                          f"{ours}: load a bitstream of this version, or use the version that the bitstream is from")


def fields_of(register: str, layout: Any, value: int) -> Any:
    """Return the value of a register with its fields.

    Parameters
    ----------
    register : str
        Name of the register, for the message.
    layout
        Its layout, one of those of :mod:`hw.registers.register_map`.

    Raises
    ------
    DeviceError
        When a bit is set that the register does not have, as in what a bus reads where nothing answers.
    """
    if value >> layout.size:
        raise DeviceError(f"the register {register} reads {value:#010x}, which no engine of this version says: load "
                          "its bitstream, and check where its registers lie")
    return layout.from_bits(value)


def _fields(register: str, layout: Any, value: int) -> dict[str, int]:
    """Return the fields of a register by name. DeviceError as for :func:`fields_of`."""
    view = fields_of(register, layout, value)
    return {name: view[name] for name in layout.members}


def check_engine(device: Device, config: EngineConfig) -> None:
    """Refuse a device whose engine was not built from ``config``.

    Raises
    ------
    DeviceError
        When the device holds another design, another edition of the register map, or an engine that differs from
        ``config`` in a field of FORMAT or CAPABILITY, which the message names.
    """
    _check_id(device)
    for register, layout, wanted in (("FORMAT", Identity, identity(config)),
                                     ("CAPABILITY", Capability, capability(config))):
        found, expected = (_fields(register, layout, value) for value in (
            device.read_register(OFFSETS[register]), wanted))
        if others := [f"{name} = {value}, not {expected[name]}" for name, value in found.items()
                      if value != expected[name]]:
            raise DeviceError(f"the device holds another engine than {config.name} on a {config.bus_bits}-bit bus: its "
                              f"{register} register has {', '.join(others)}: load the matching bitstream")


def _format(c: int, p: int, k: int, coef_bits: int, row_heads: int) -> WeightFormat:
    """Return the format that these fields of the FORMAT register stand for; FormatError when there is none.

    Of a trellis they say how long its codes are; the rest is that of the named format.
    """
    if p:
        return BlockFormat(c, p, k, coef_bits, 0 if row_heads else EXP_BITS)
    if not row_heads:
        return GroupFormat(c, k) if k else FP16
    for fmt in TRELLIS_FORMATS.values():
        if (fmt.c, fmt.bits) == (c, k):
            return fmt
    raise FormatError(f"no trellis format has {c} weights of {k} bits in a block")


def found_engine(device: Device) -> EngineConfig:
    """Return the configuration of the engine on a device.

    It is what the registers tell: format, bus, addresses and largest matrix. All else, which software need not know,
    has the default value.

    Raises
    ------
    DeviceError
        When the device holds another design, another edition of the register map, or an engine that this program does
        not know.
    """
    _check_id(device)
    values = [device.read_register(OFFSETS[register]) for register in ("FORMAT", "CAPABILITY")]
    of, has = _fields("FORMAT", Identity, values[0]), _fields("CAPABILITY", Capability, values[1])
    try:
        fmt = _format(*(of[name] for name in ("c", "p", "k", "coef_bits", "row_heads")))
        config = EngineConfig(fmt, 1 << of["bus_log2"], addr_bits=has["addr_bits"], max_rows=1 << has["max_rows_log2"],
                              max_cols=1 << has["max_cols_log2"],
                              act_bits=of["act_bits"] if fmt.block_floating else ACT_BITS)
    except (FormatError, ConfigError) as error:
        raise DeviceError(f"the engine's registers FORMAT = {values[0]:#x} and CAPABILITY = {values[1]:#x} are those "
                          f"of no engine that this program knows ({error}): load a bitstream of this version") from None
    check_engine(device, config)
    return config
