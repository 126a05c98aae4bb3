"""What every memory preset delivers to a master that only reads, beside the figures of independent simulators."""

from collections.abc import Iterator
from dataclasses import dataclass

from host.tables.memory import MemoryRow
from host.update import Update
from sim.device.memory_rate import sequential_rate
from sim.dram.memory import QUEUE_LATENCY
from sim.dram.presets import PRESETS, VARIANTS

__all__ = ["INDEPENDENT", "Independent", "memories"]


@dataclass(frozen=True)
class Independent:
    """A figure of simulators that are not this project's.

    Parameters
    ----------
    share : float
        Share of the peak that a sequential stream of reads reaches, 0 to 1.
    remark : str
        Why this project's figure differs; empty where it hardly does.
    """

    share: float
    remark: str = ""


INDEPENDENT = {
    "lpddr5-6400": Independent(
        0.9587, "The simulators answer reads in any order, so that reads of other bank groups pass those of a bank "
                "that is refreshed. A master with one AXI ID takes its words in order and waits. The same rules, "
                "stepped from clock to clock, give 93.4 % in order, and 95.9 to 96.7 % out of order with 16 to 32 "
                "requests in the queue (tests/sim/dram/test_clock_by_clock.py)."),
    "lpddr5-6400-allbank": Independent(0.9158),
    "hbm2": Independent(
        0.919, "A simulator such as DRAMsim3 closes the 16 open banks before each refresh one by one, a command a CK; "
               "one PREA closes all of them here, as JESD235 has it. These 15 of 3,900 CK are 0.38 points."),
}
"""Two independent simulators of LPDDR5 (16 Gb x16, refreshes in the order of a counter, or of all banks) and one of
HBM2, by the preset that has the same refreshes. They were run outside this project."""


def memories(bus_bits: int, simulator: str, update: Update) -> Iterator[MemoryRow]:
    """Yield a row for every memory with a DRAM's timing as soon as it is measured.

    Raises
    ------
    sim.tools.errors.ToolError, sim.tools.errors.SimulationError
        When the simulator cannot be built, or a word is wrong.
    """
    known = [dram for dram in (PRESETS | VARIANTS).values() if dram.banks]
    for done, dram in enumerate(known):
        update(dram.name, done, len(known))
        measured, other = sequential_rate(dram, bus_bits, simulator), INDEPENDENT.get(dram.name)
        hit = QUEUE_LATENCY + dram.read_latency(bus_bits)
        yield MemoryRow(
            memory=dram.name, limit=dram.sequential_limit, measured=measured,
            independent=other.share if other else None,
            difference=100 * (measured - other.share) if other else None, controller=dram.controller,
            row_hit_ns=dram.fabric_mhz and hit * 1e3 / dram.fabric_mhz, remark=other.remark if other else "",
            source=dram.source)
