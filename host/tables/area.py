"""Rows of ``host area``: a block of an engine, or a whole engine, as synthesised."""

from host.tables.row import Row, column

__all__ = ["AreaRow"]


class AreaRow(Row):
    """Cells of a block, or (``block`` is ``total``) of a whole engine."""

    VIEW = ("engine", "bus_bits", "block", "lut", "ff", "dsp", "bram", "luts_per_weight", "family", "source")
    LABEL = "{engine} {block}"

    engine: str = column("engine", doc="Name of the configuration.")
    bus_bits: int = column("bus", "d", unit="bits", doc="Width of the memory bus.")
    block: str = column("block", doc="The block, synthesised apart; “total” is the whole engine as one flat netlist, "
                                     "and “total, xcup” is that for UltraScale+.")
    lut: int = column("LUTs", ",d", doc="LUTs of any size, LUT RAMs and shift registers included.")
    ff: int = column("flip-flops", ",d", doc="Flip-flops.")
    dsp: int = column("DSPs", ",d", doc="DSP slices.")
    bram: float = column("block RAMs", ",g", unit="36 kbit", doc="Block RAMs of 36 kbit; one of 18 kbit counts half.")
    carry: int | None = column("carry cells", ",d", default=None, optional=True, doc="Carry cells.")
    luts_per_weight: float = column("LUTs/weight", ",.0f", unit="LUTs/weight",
                                    doc="LUTs for each weight that the bus brings in a cycle.")
    source: str = column("source", doc="How the numbers were obtained.")
    family: str | None = column("family", default=None, optional=True, doc="Device family that it was synthesised for.")
