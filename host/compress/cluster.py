"""Runners of a compression's slices beside this process: other processes of this machine, or the workers of a Dask
cluster.

Weights travel with each task and the packed stream comes back, so workers need this package but none of the files.
When a worker dies, its slices are given to another. What a cluster is trusted with is said in docs/security.md.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from host.compress.plan import Slice
from host.compress.slices import Encoded, Runner, Work, encode_slice
from host.errors import UserError
from host.workers import WorkerDied, Workers

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["cluster_runner", "encode_alone", "process_runner"]

_AHEAD = 2  # slices for each thread that are read ahead, so that no thread waits; each takes a few megabytes
_MEMORY = "give them more memory, or make smaller slices with --slice-weights"


def encode_alone(work: Work) -> Encoded:
    """Encode one slice on one thread, because a worker runs as many slices at once as it has threads."""
    return encode_slice(work, threads=1)


def cluster_runner(client: "Client") -> Runner:
    """Return a runner that encodes slices on the client's cluster."""
    def run(work: Iterable[tuple[Slice, Work]], partial: Callable[[Slice, float], None]) -> Iterator[
            tuple[Slice, Encoded]]:
        from concurrent.futures import CancelledError

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
        # Slices are read when a thread will soon be free for them: memory never holds the whole model.
        for _ in range(_AHEAD * max(sum(client.nthreads().values()), 1)):
            submit()
        for future in results:
            try:
                encoded = future.result()
            except KilledWorker as error:
                raise UserError(f"the workers of the cluster die on {slices[future.key].tensor}: see their logs, and "
                                f"{_MEMORY}") from error
            except ModuleNotFoundError as error:
                raise UserError(f"a worker of the cluster lacks a package ({error}): install this one there") from error
            except CancelledError as error:
                raise UserError("the connection to the scheduler was lost: start it and its workers again, then give "
                                "the same command again, which goes on where this one stopped") from error
            yield slices.pop(future.key), encoded
            submit()

    return run


def process_runner(workers: Workers) -> Runner:
    """Return a runner that encodes slices on processes of this machine."""
    def run(work: Iterable[tuple[Slice, Work]], partial: Callable[[Slice, float], None]) -> Iterator[
            tuple[Slice, Encoded]]:
        for part, outcome in workers.run(encode_alone, work):
            try:
                yield part, outcome.result()
            except WorkerDied as error:
                raise UserError(f"the processes that encode {part.tensor} are killed: give fewer --workers, or "
                                "make smaller slices with --slice-weights, if memory is short") from error

    return run
