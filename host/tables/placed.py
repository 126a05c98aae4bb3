"""Rows of ``host pnr`` and ``host bitstream``: what nextpnr made of a netlist on an ECP5."""

from typing import Any

from host.tables.row import Row, column

__all__ = ["BitstreamRow", "PlacedRow", "PnrRow"]


class PlacedRow(Row):
    """What of a placed and routed netlist goes into a report."""

    target_mhz: float = column("target MHz", ".0f", unit="MHz", doc="Clock that was asked for.")
    fmax_mhz: float = column("Fmax MHz", ".1f", unit="MHz", doc="Highest clock between flip-flops, after routing.")
    lut4: int = column("LUT4", ",d", doc="LUTs of four inputs.")
    ff: int = column("flip-flops", ",d", doc="Flip-flops.")
    dsp: int = column("MULT18", ",d", doc="Multipliers of 18 by 18 bits.")
    bram: int = column("DP16K", ",d", unit="16 kbit", doc="Block RAMs of 16 kbit.")
    lut4_fraction: float = column("of LUT4", ".0%", doc="Share of the device's LUTs.")
    seed: int = column("seed", "d", doc="Seed of the placer.")
    routed: bool = column("routed", doc="Whether every net was routed.")
    met: bool = column("target met", doc="Whether Fmax reaches the target.")
    critical_path: dict[str, Any] = column(
        "critical path", doc="Cells in which the slowest path starts and ends; its delay and its share of routing, ns.")
    synthesised: dict[str, Any] = column("synthesised", doc="Cells before placing, as Yosys counts them.")
    used: dict[str, int] = column("used", doc="Cells of the device that are used, by nextpnr's name of their type.")
    available: dict[str, int] = column("available", doc="Cells that the device has, by the same names.")
    seconds: float | None = column("seconds", ".1f", unit="s", default=None,
                                   doc="Duration of the build; short where the same netlist had been routed before.")


class PnrRow(PlacedRow):
    """A configuration of the engine, in a harness of flip-flops."""

    VIEW = ("config", "target_mhz", "fmax_mhz", "lut4", "ff", "dsp", "bram", "lut4_fraction", "seed", "routed", "met")
    LABEL = "{config}"

    config: str = column("configuration", doc="Name of the configuration.")


class BitstreamRow(PlacedRow):
    """A bitstream: the engine with its memory controller and serial link on a board."""

    VIEW = ("board", "format", "target_mhz", "fmax_mhz", "lut4", "ff", "dsp", "bram", "lut4_fraction", "seed", "met")
    LABEL = "{board} {format}"

    board: str = column("board", doc="Name of the board.")
    format: str = column("format", doc="Format of the weights.")
    bitstream: str = column("bitstream", doc="File name of the bitstream, in the folder above the report's.")
    target_mhz: float = column("clock, MHz", ".0f", unit="MHz", doc="The board's clock.")
    fmax_mhz: float = column("Fmax, MHz", ".1f", unit="MHz", doc="Highest clock between flip-flops, after routing.")
    met: bool = column("timing met", doc="Whether Fmax reaches the board's clock.")
