"""The area of named configurations, block by block and in total, beside the published one."""

import re
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

from amaranth.back import rtlil

from host.errors import UserError, choose
from host.tables.area import AreaRow
from host.update import Update
from host.workers import WorkerDied, Workers
from hw.config import EngineConfig
from hw.configurations import CONFIGURATIONS
from hw.engine.engine import Engine
from hw.flow.synthesis import TOP, Area, Synthesis, synthesise

__all__ = ["PUBLISHED", "areas", "by_block", "chosen", "weights_per_cycle"]

BLOCKS = {
    "LFSR bank": r"lane\d+\.lfsr_bank",
    "decode": r"lane\d+\.(numerators|decoder)",
    "accumulate": r"lane\d+\.accumulator",
    "MAC": r"lane\d+(\.(mac|head))?",
    "activations": r"activations(\..*)?",
    "result": r"results(\..*)?",
    "DMA": r"read_dma|write_dma",
    "unpacker": r"unpacker",
}
"""By block: a regular expression of its modules' names below the engine.

A lane's pipeline registers and the scales of its rows count as MAC."""
CONTROL = "control"
"""The block of all other modules: registers, sequencer, descriptor, supervisor, counters, join."""
PUBLISHED = AreaRow(engine="paper, 4 bits", bus_bits=512, block="total", lut=67_000, ff=45_400, dsp=128, bram=144.0,
                    luts_per_weight=67_000 / 128, source="published")
"""arXiv 2410.10714, the FPGA experiment: a device like Virtex-7, 128 weights a cycle. Whether these cells are those of
the whole engine is unknown."""
_APART = "|".join(BLOCKS.values())
"""Pattern of the modules that are kept apart: those of the blocks."""
_ALSO = {"xc7": ("xcup",)}
"""By family of a configuration: other families for which its total is estimated too."""
_AT_ONCE = 2
"""Syntheses that run at once; each takes a core and half a gigabyte."""


def chosen(names: str) -> list[str]:
    """Return the names of configurations that are in a text; all for 7-series when it is blank.

    Raises
    ------
    UserError
        When there is no configuration of a name.
    """
    for name in names.split():
        choose(name, CONFIGURATIONS, "unknown configuration {!r}: use some of {}")
    return names.split() or [name for name, configuration in CONFIGURATIONS.items()
                             if configuration.target.family == "xc7"]


def weights_per_cycle(config: EngineConfig) -> float:
    """Return the weights that the bus brings in one cycle, all of which the lanes take."""
    return config.bus_bits / config.fmt.bits_per_weight


def by_block(modules: dict[str, Area]) -> dict[str, Area]:
    """Sum the areas of modules, given by hierarchical name, over the blocks; blocks without cells are left out."""
    sums = dict.fromkeys((*BLOCKS, CONTROL), Area())
    for name, area in modules.items():
        inner = name.removeprefix(f"{TOP}.")
        sums[next((block for block, names in BLOCKS.items() if re.fullmatch(names, inner)), CONTROL)] += area
    return {block: area for block, area in sums.items() if area != Area()}


def _synthesise(folder: Path, job: tuple[str, str, str]) -> Synthesis:
    """Synthesise a design, in a process of its own.

    Parameters
    ----------
    job : (str, str, str)
        The design as RTLIL, the family, and a pattern of the modules that are kept apart.
    """
    design, family, apart = job
    return synthesise(design, family, folder, apart)


_Key = tuple[str, str, str]
"""Name of a configuration, family, and a pattern of the modules that are kept apart."""


def _keys(name: str) -> list[_Key]:
    """Return the syntheses of a configuration: its blocks, its total, and its totals for other families."""
    family = CONFIGURATIONS[name].target.family
    return [(name, family, _APART), *((name, each, "") for each in (family, *_ALSO.get(family, ())))]


def _jobs(names: list[str]) -> Iterator[tuple[_Key, tuple[str, str, str]]]:
    """Yield the syntheses of configurations, and the job that each is."""
    for name in names:
        design = rtlil.convert(Engine(CONFIGURATIONS[name].engine), name=TOP, emit_src=False)
        for key in _keys(name):
            yield key, (design, *key[1:])


def areas(names: list[str], folder: Path, update: Update) -> Iterator[AreaRow]:
    """Yield the rows of configurations: their blocks, synthesised apart, and the total of one flat netlist.

    Configurations for 7-series have a second total, for UltraScale+, whose row comes last.

    Parameters
    ----------
    folder : Path
        Folder in which syntheses are kept, to be found again.

    Raises
    ------
    hw.flow.yosys.YosysError
        When a synthesis fails.
    UserError
        When the processes that synthesise are killed.
    """
    keys = [key for name in names for key in _keys(name)]
    results: dict[_Key, Synthesis] = {}
    update("synthesis", 0, len(keys))
    with Workers(_AT_ONCE) as workers:
        for key, outcome in workers.run(partial(_synthesise, folder), _jobs(names)):
            try:
                results[key] = outcome.result()
            except WorkerDied:
                raise UserError(f"the processes that synthesise {key[0]} are killed: make room in memory, and give the "
                                "same command again") from None
            update(f"synthesis of {key[0]}", len(results), len(keys))
    for (name, family, apart), synthesis in ((key, results[key]) for key in keys):
        config, own = CONFIGURATIONS[name].engine, family == CONFIGURATIONS[name].target.family
        whole = {"total" if own else f"total, {family}": synthesis.total}
        for block, area in (by_block(synthesis.modules) if apart else whole).items():
            yield AreaRow(engine=name, bus_bits=config.bus_bits, block=block, **asdict(area),
                          luts_per_weight=area.lut / weights_per_cycle(config), source="synthesised",
                          family=family)
