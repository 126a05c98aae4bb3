"""A timeline of one run: what each of the engine's streams does, cycle by cycle, while a chain of matrices passes."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from golden.product import product
from golden.spec import parse_format
from host.device.driver import Driver, check_shape
from host.display.meter import Step
from host.measure.layer import Job
from host.measure.layer_steps import layer_steps
from host.measure.matrices import Matrix, prepared
from host.tables.timeline import TimelineRow
from host.update import Update, no_progress
from hw.config import EngineConfig
from sim.timeline.device import RecordedDevice
from sim.timeline.streams import STREAMS, WAYS, ways
from sim.tools.errors import SimulationError

__all__ = ["Span", "Timeline", "timeline", "timeline_steps"]

_BUCKETS = 160
"""Buckets of the whole run."""
_NEAR, _NEAR_BUCKET = 512, 4
"""Cycles of a part that is looked at closely, and of its buckets."""
_BEFORE = 128
"""Of these, cycles before the last word of a matrix."""


@dataclass(frozen=True)
class Span:
    """A matrix of a run: the cycles in which the lanes take its first and its last word."""

    name: str
    first: int
    last: int


@dataclass(frozen=True)
class Timeline:
    """What a run leaves.

    Parameters
    ----------
    rows : list of TimelineRow
        The whole run at each stream; then buckets of all of it, of the first change from one matrix to the next if
        there is one, and of its end.
    matrices : list of Span
        In the order in which they pass.
    """

    rows: list[TimelineRow]
    matrices: list[Span]


def timeline_steps(job: Job, matrices: list[Matrix]) -> list[Step]:
    """Return the steps of :func:`timeline`, as it names them."""
    single = tuple(f"{job.formats[0]}: simulate {matrix.name}" for matrix in matrices)
    return [step for step in layer_steps(job, matrices, True) if step.begins[0] not in single]


def _counts(found: np.ndarray, view: str, start: int, end: int, bit_exact: bool | None = None) -> Iterator[TimelineRow]:
    """Yield the rows of all streams for the cycles from ``start`` to ``end``."""
    for stream, way in zip(STREAMS, found, strict=True):
        counts = np.bincount(way[start:end], minlength=len(WAYS)).tolist()
        yield TimelineRow(view=view, stage=f"{stream.producer} → {stream.consumer}", start=start, cycles=end - start,
                          bit_exact=bit_exact, **dict(zip(WAYS, counts, strict=True)))


def _buckets(found: np.ndarray, view: str, start: int, end: int, size: int) -> Iterator[TimelineRow]:
    """Yield rows for buckets of so many cycles; the last one may be shorter."""
    for at in range(start, end, size):
        yield from _counts(found, view, at, min(at + size, end))


def timeline(job: Job, matrices: list[Matrix], update: Update = no_progress) -> Timeline:
    """Run matrices as one chain, and return what the streams did meanwhile.

    Parameters
    ----------
    job : Job
        One format, simulated by Verilator.

    Raises
    ------
    UserError
        When the engine cannot take a matrix, or the format its weights.
    SimulationError
        When the record of the handshakes is not whole, or not that of the counters.
    """
    name, = job.formats
    config = EngineConfig(parse_format(name), job.bus_bits, act_bits=job.act_bits)
    for matrix in matrices:
        check_shape(config, matrix.shape)
    ready = [prepared(config, matrix, partial(update, f"{name}: compress {matrix.name}")) for matrix in matrices]
    expected = [product(weights, matrix.activations, job.act_bits)
                for weights, matrix in zip(ready, matrices, strict=True)]
    update(f"{name}: build the simulator", 0, 1)
    with RecordedDevice(config, job.memory) as device:
        driver = Driver(device, config)
        update(f"{name}: simulate all as a chain", 0, 1)
        loaded = driver.load(*((weights, matrix.activations) for weights, matrix in zip(ready, matrices, strict=True)))
        device.align(0)
        run = driver.run(loaded)
        found = ways(device.signals())
    counters = run.counters
    counted = [counters.beats, counters.starved, counters.refresh, counters.stalled, counters.drain]
    if np.bincount(found[0], minlength=len(WAYS)).tolist() != counted:
        raise SimulationError("the timeline does not have the cycles of the engine's counters: is the disk full?")
    exact = all(np.array_equal(y.view(np.uint32), wanted.view(np.uint32))
                for y, wanted in zip(run.results, expected, strict=True))

    words = [-(-matrix.shape[0] // config.lanes) * config.blocks(matrix.shape[1]) for matrix in matrices]
    taken = np.flatnonzero(found[1] == list(WAYS).index("moved"))
    ends = np.cumsum(words)
    spans = [Span(matrix.name, int(taken[end - count]), int(taken[end - 1]))
             for matrix, end, count in zip(matrices, ends.tolist(), words, strict=True)]
    cycles = found.shape[1]
    rows = [*_counts(found, "run", 0, cycles, exact),
            *_buckets(found, "whole", 0, cycles, -(-cycles // _BUCKETS))]
    if len(spans) > 1:
        start = max(spans[0].last - _BEFORE, 0)
        rows += _buckets(found, "change-over", start, min(start + _NEAR, cycles), _NEAR_BUCKET)
    start = min(max(spans[-1].last - _BEFORE, 0), cycles)
    rows += _buckets(found, "end", max(start, cycles - _NEAR), cycles, _NEAR_BUCKET)
    return Timeline(rows, spans)
