"""Runners of a sweep's points: processes of this machine, or the workers of a Dask cluster."""

import hashlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache, partial
from threading import Thread
from typing import Any

from golden.tree import source_digest
from host.compress.cluster import connected
from host.device.device import DeviceError
from host.errors import UserError
from host.measure.sweep_point import Point, Result, measured
from hw.config import ConfigError
from sim.tools.errors import SimulationError, ToolError
from sim.tools.toolchain import python_versions

__all__ = ["Runner", "cluster", "processes", "sources"]

Runner = Callable[[Sequence[Point]], Iterator[tuple[Point, Result]]]
"""Runs points and yields their results in any order, as :func:`host.measure.sweep_point.measured` gives them."""


@cache
def sources() -> str:
    """Return a digest of all that results depend on, but for the point itself: sources and versions."""
    known = (sorted(python_versions().items()), source_digest(measured.__module__))
    return hashlib.sha256(repr(known).encode()).hexdigest()


def _run(point: Point, wanted: str) -> Result:
    """Run a point on a worker whose sources must have the digest ``wanted``; what goes wrong is its ``error``."""
    if sources() != wanted:
        return {"error": "the worker's sources are not those that the sweep began with: install the same there, or run "
                         "again"}
    try:
        return measured(point)
    except (UserError, ConfigError, ToolError, DeviceError, SimulationError, MemoryError, OSError) as error:
        return {"error": str(error) or type(error).__name__}


def _finished(futures: dict[Any, Point], completed: Iterator[Any]) -> Iterator[tuple[Point, Result]]:
    """Yield points and their results as their futures are completed; a worker that dies is an ``error`` too."""
    for future in completed:
        try:
            yield futures[future], future.result()
        except Exception as error:  # not the point's, which _run catches
            died = isinstance(error, BrokenProcessPool)
            yield futures[future], {"error": "a process of the sweep was killed, perhaps for its memory: run again to "
                                             "go on" if died else f"the worker failed: {error}"}


def _prepare() -> None:
    """Prepare a process of the sweep to end with the process that started it, however that one ends.

    Ctrl-C reaches all processes of a terminal; only the first one answers it, so that the report is in order.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def follow() -> None:
        parent = multiprocessing.parent_process()
        assert parent
        parent.join()
        os._exit(1)

    Thread(target=follow, daemon=True).start()


@contextmanager
def processes(count: int) -> Iterator[Runner]:
    """Provide a runner with ``count`` processes of this machine, which end with the context."""
    pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), initializer=_prepare)

    def run(points: Sequence[Point]) -> Iterator[tuple[Point, Result]]:
        futures: dict[Future[Result], Point] = {pool.submit(_run, point, sources()): point for point in points}
        yield from _finished(futures, as_completed(futures))

    try:
        yield run
    except BaseException:
        for child in multiprocessing.active_children():
            child.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def cluster(scheduler: str) -> Iterator[Runner]:
    """Provide a runner on the workers of the Dask scheduler at this address.

    Raises
    ------
    UserError
        When Dask is not installed or the scheduler does not answer.
    """
    with connected(scheduler) as client:
        from distributed import as_completed as completed

        def run(points: Sequence[Point]) -> Iterator[tuple[Point, Result]]:
            futures = {client.submit(partial(_run, point), sources(), pure=False): point for point in points}
            yield from _finished(futures, completed(futures))

        yield run
