"""The slices of a compression on a Dask cluster: processes of this machine, or workers of many.

Weights travel with each task and the packed stream comes back, so workers need this package but none of the files.
When a worker dies, the scheduler gives its slices to another.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from host.compress.plan import Slice
from host.compress.slices import Encoded, Runner, Work, encode_slice
from host.errors import UserError

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["cluster_runner", "connected", "encode_alone"]

_TIMEOUT = 10  # seconds to wait for a scheduler
_AHEAD = 2  # slices for each thread that are read ahead, so that no thread waits; each takes a few megabytes


def encode_alone(work: Work) -> Encoded:
    """Encode one slice on one thread, because a worker runs as many slices at once as it has threads."""
    return encode_slice(work, threads=1)


@contextmanager
def connected(scheduler: str = "", workers: int = 0) -> "Iterator[Client]":
    """Connect to the scheduler at this address, or to ``workers`` new processes of this machine.

    Raises
    ------
    UserError
        When Dask is not installed or the scheduler does not answer.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise UserError("several processes need Dask: pip install 'seedlm-fpga[cluster]'") from None
    if scheduler:
        try:
            client = Client(scheduler, timeout=_TIMEOUT)
        except (OSError, ValueError) as error:
            raise UserError(f"cannot reach the Dask scheduler {scheduler} ({type(error).__name__}): start dask "
                            "scheduler and dask worker, and give the address that it prints") from error
        with client:
            yield client
        return
    with (LocalCluster(n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
          Client(cluster) as client):
        yield client


def cluster_runner(client: "Client") -> Runner:
    """Return a runner that encodes slices on the client's cluster."""
    def run(work: Iterable[tuple[Slice, Work]], partial: Callable[[Slice, float], None]) -> Iterator[
            tuple[Slice, Encoded]]:
        from distributed import KilledWorker, as_completed

        def submit() -> None:
            """Submit the next slice, if there is one."""
            for part, task in source:
                future = client.submit(encode_alone, task, pure=False)
                slices[future.key] = part
                results.add(future)
                return

        source, results = iter(work), as_completed()
        slices: dict[Any, Slice] = {}
        client.wait_for_workers(1)
        # Slices are read when a thread will soon be free for them: memory never holds the whole model.
        for _ in range(_AHEAD * max(sum(client.nthreads().values()), 1)):
            submit()
        for future in results:
            try:
                encoded = future.result()
            except KilledWorker as error:
                raise UserError(f"the workers of the cluster die on {slices[future.key].tensor}: see their logs, and "
                                "give them more memory") from error
            except ModuleNotFoundError as error:
                raise UserError(f"a worker of the cluster lacks a package ({error}): install this one there") from error
            yield slices.pop(future.key), encoded
            submit()

    return run
