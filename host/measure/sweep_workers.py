"""Runners of a sweep's points: processes of this machine, or the workers of a Dask cluster."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from golden.tree import source_digest
from host.device.device import DeviceError
from host.errors import UserError
from host.measure.stored_point import stored_weights
from host.measure.sweep_point import Point, Result, measured
from host.scheduler import Tls, connected
from host.workers import WorkerDied, Workers
from hw.config import ConfigError
from sim.tools.errors import SimulationError, ToolError
from sim.tools.toolchain import python_versions

__all__ = ["Runner", "cluster", "processes", "sources"]

Runner = Callable[[Sequence[Point]], Iterator[tuple[Point, Result]]]
"""Runs points and yields their results in any order, as :func:`host.measure.sweep_point.measured` gives them."""


@cache
def sources(stored: bool) -> str:
    """Return a digest of all that results depend on, but for the point itself: sources and versions.

    Parameters
    ----------
    stored : bool
        Whether the point's weights are those of a checkpoint, so that results depend on how that is read, too.
    """
    modules = [measured.__module__, *([stored_weights.__module__] if stored else [])]
    known = (sorted(python_versions().items()), source_digest(*modules))
    return hashlib.sha256(repr(known).encode()).hexdigest()


def _run(task: tuple[str, Point]) -> Result:
    """Run a point on a worker whose sources must have the digest that is given first; what goes wrong is its
    ``error``."""
    wanted, point = task
    if sources(point.stored) != wanted:
        return {"error": "the worker's sources are not those that the sweep began with: install the same there, or run "
                         "again"}
    try:
        return measured(point, stored_weights(point))
    except (UserError, ConfigError, ToolError, DeviceError, SimulationError, MemoryError, OSError) as error:
        return {"error": str(error) or type(error).__name__}


def _result(future: Any) -> Result:
    """Return the result of a future that is done; a worker that died is an ``error`` too."""
    try:
        return future.result()
    except WorkerDied:
        return {"error": "the processes that ran it were killed, perhaps for their memory: run again to go on, or give "
                         "fewer --workers"}
    except Exception as error:  # not the point's, which _run catches
        return {"error": f"the worker failed: {error or type(error).__name__}"}


@contextmanager
def processes(count: int) -> Iterator[Runner]:
    """Provide a runner with ``count`` processes of this machine, which end with the context."""
    with Workers(count) as workers:
        def run(points: Sequence[Point]) -> Iterator[tuple[Point, Result]]:
            for point, future in workers.run(_run, ((point, (sources(point.stored), point)) for point in points)):
                yield point, _result(future)

        yield run


@contextmanager
def cluster(scheduler: str, tls: Tls) -> Iterator[Runner]:
    """Provide a runner on the workers of the Dask scheduler at this address.

    Raises
    ------
    UserError
        As :func:`host.scheduler.connected`.
    """
    with connected(scheduler, tls) as client:
        from distributed import as_completed as completed

        def run(points: Sequence[Point]) -> Iterator[tuple[Point, Result]]:
            futures = {client.submit(_run, (sources(point.stored), point), pure=False): point for point in points}
            for future in completed(futures):
                yield futures[future], _result(future)

        yield run
