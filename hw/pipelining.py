"""Where an engine spends registers for the sake of its clock: one number for each stage whose depth can be chosen."""

from dataclasses import dataclass, fields

__all__ = ["FAST", "LEAN", "Pipelining"]


@dataclass(frozen=True)
class Pipelining:
    """How deep the stages of an engine are.

    For each stage, 0 is its shortest form and 1 the form for high clocks, which the stage's own docstring describes.
    Each further step delays the stage by one more cycle. The results do not depend on these numbers.

    Parameters
    ----------
    read : int
        Slices between the memory bus and the parts that the read DMA serves.
    descriptor : int
        Registers between the read DMA and the registers that a descriptor is loaded into.
    unpacker : int
        Slices behind the gearbox.
    buffer : int
        Registers before the activation store, and in the search for the greatest exponent.
    store : int
        Registers before and behind the block RAMs of the activation store.
    align : int
        Steps of the shift that aligns activations.
    words : int
        Slices between the activations and the join.
    join : int
        Registers between the join and the lanes.
    numerators, mac : int
        Registers within the numerators and before the multipliers of a lane.
    product : int
        Registers between the multiplier and the shift of an FP16 lane.
    drain : int
        Steps in which one lane of many is chosen.
    normalise, scale : int
        Steps of the conversion to float32.
    results : int
        Slices between the results and the write DMA.
    apart : bool
        Whether registers of the same value are kept apart, so that each can lie near what it drives: the resets of the
        stages, and the activation in each FP16 lane. This costs no cycles.
    """

    read: int = 0
    descriptor: int = 0
    unpacker: int = 0
    buffer: int = 0
    store: int = 0
    align: int = 0
    words: int = 0
    join: int = 0
    numerators: int = 0
    mac: int = 0
    product: int = 0
    drain: int = 0
    normalise: int = 0
    scale: int = 0
    results: int = 0
    apart: bool = False


LEAN = Pipelining()
"""As few registers as possible, for devices on which area matters more than the clock."""
FAST = Pipelining(**{field.name: 1 for field in fields(Pipelining) if field.name != "apart"}, apart=True)
"""Every stage in its form for high clocks, for devices with slow wires."""
