"""The runner of a compression's slices in this process, in which reading, searching and packing overlap.

A slice is searched at a time on the processors, or on each of the devices. Meanwhile the caller's thread reads the next
ones and stores finished ones, and a few more threads pack, check and account.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from itertools import chain
from queue import SimpleQueue
from threading import Event

from host.compress.plan import Slice
from host.compress.slices import Encoded, Work, pack_slice, search_slice
from host.errors import UserError

__all__ = ["run_here"]

_PACKING = 3
"""Slices that are packed for each device while it searches: an H100 finds the codes of a slice in the time in which one
thread packs one."""
_TICK = 0.1  # seconds after which the fractions of slices are told again


class _Stopped(Exception):
    """The caller has no use for a slice any more."""


def run_here(work: Iterable[tuple[Slice, Work]],
             partial: Callable[[Slice, float], None]) -> Iterator[tuple[Slice, Encoded]]:
    """Encode slices in this process, on the devices that they name, or on all processors."""
    free, stopped, fractions = SimpleQueue[str](), Event(), dict[Slice, float]()
    running = dict[Future[Encoded], Slice]()

    def encoded(part: Slice, task: Work) -> Encoded:
        def progress(done: int, total: int) -> None:
            if stopped.is_set():
                raise _Stopped
            fractions[part] = done / total

        device = free.get()
        try:
            progress(0, 1)
            matrix = search_slice(replace(task, device=device), progress=progress)
        finally:
            fractions.pop(part, None)
            free.put(device)
        return pack_slice(task, matrix)

    def finished() -> Iterator[tuple[Slice, Encoded]]:
        """Wait for a slice or more."""
        while not (done := wait(running, _TICK, FIRST_COMPLETED).done):
            for part, fraction in list(fractions.items()):
                partial(part, fraction)
        for future in done:
            yield running.pop(future), future.result()

    tasks = iter(work)
    if not (first := next(tasks, None)):
        return
    for device in (devices := first[1].device.split(",")):
        free.put(device)
    threads, refusal = len(devices) * (1 + _PACKING) if all(devices) else 2, None
    pool = ThreadPoolExecutor(threads)
    try:
        try:
            for part, task in chain([first], tasks):
                running[pool.submit(encoded, part, task)] = part
                while len(running) > threads:
                    yield from finished()
        except UserError as error:  # what cannot be read or encoded must not cost the slices before it
            refusal = error
        while running:
            try:
                yield from finished()
            except UserError as error:
                refusal = refusal or error
        if refusal:
            raise refusal
    finally:
        stopped.set()
        pool.shutdown(cancel_futures=True)
