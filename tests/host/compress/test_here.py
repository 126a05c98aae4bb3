"""The runner of this process: reading, searching, packing and storing overlap, and every device has work."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from host.compress.compress import compress
from host.compress.here import run_here
from host.compress.plan import Slice
from host.compress.slices import Encoded, Work, encode_slice
from host.errors import UserError
from tests.host.compress.toy import SMALL, folder

NONE = Encoded(b"", 0, 0, 0, 0, 0)
Fraction = Callable[[int, int], None]


def slices(count: int, device: str = "") -> list[tuple[Slice, Work]]:
    """Slices that are told by the numbers of their first rows."""
    return [(Slice("key", "t", n, n + 1), Work(np.zeros((1, 8), np.float32), str(n), "4,2,6", "exact", 0, False,
                                               device=device)) for n in range(count)]


@pytest.fixture
def replaced(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Replaces what searches a slice, and what packs it, by what takes its number."""
    def replace(search: Callable[[int, str, Fraction], None],
                pack: Callable[[int], None] = lambda number: None) -> None:
        def packed(work: Work, matrix: Any) -> Encoded:
            pack(int(work.tensor))
            return NONE

        monkeypatch.setattr("host.compress.here.search_slice", lambda work, progress: search(
            int(work.tensor), work.device, progress))
        monkeypatch.setattr("host.compress.here.pack_slice", packed)

    return replace


class Happened:
    """What has happened, which others wait for."""

    def __init__(self) -> None:
        self._events = dict[str, threading.Event]()
        self._lock = threading.Lock()

    def _event(self, what: str) -> threading.Event:
        with self._lock:
            return self._events.setdefault(what, threading.Event())

    def tell(self, what: str) -> None:
        self._event(what).set()

    def wait(self, what: str) -> None:
        assert self._event(what).wait(20), f"{what} did not happen meanwhile"


def test_reading_searching_packing_and_storing_overlap(replaced: Callable[..., None]) -> None:
    happened = Happened()

    def read() -> Iterator[tuple[Slice, Work]]:
        for n, task in enumerate(slices(4)):
            happened.tell(f"read {n}")
            yield task

    def search(number: int, device: str, progress: Fraction) -> None:
        happened.tell(f"search {number}")
        if number == 0:
            happened.wait("read 1")

    def pack(number: int) -> None:
        if number == 0:
            happened.wait("search 1")

    stored = []
    replaced(search, pack)
    for part, _ in run_here(read(), lambda part, fraction: None):
        if part.start == 0:
            happened.wait("search 2")
        stored.append(part.start)
    assert sorted(stored) == [0, 1, 2, 3]


def test_devices_search_at_the_same_time_and_each_one_slice_at_a_time(replaced: Callable[..., None]) -> None:
    together, at_work, lock = threading.Barrier(3), list[str](), threading.Lock()

    def search(number: int, device: str, progress: Fraction) -> None:
        with lock:
            assert device not in at_work
            at_work.append(device)
        together.wait(20)
        with lock:
            at_work.remove(device)
        together.wait(20)

    replaced(search)
    found = [part.start for part, _ in run_here(slices(12, "cuda:0,cuda:1,cuda:2"), lambda part, fraction: None)]
    assert sorted(found) == list(range(12))


def test_refusals_of_two_devices_cost_no_other_slice(replaced: Callable[..., None]) -> None:
    both = threading.Barrier(3)

    def search(number: int, device: str, progress: Fraction) -> None:
        if number:
            both.wait(20)
            raise UserError(f"slice {number}")

    def pack(number: int) -> None:
        both.wait(20)
        time.sleep(0.2)  # until both are told

    replaced(search, pack)
    found = []
    with pytest.raises(UserError, match=r"slice [12]"):
        found.extend(part.start for part, _ in run_here(slices(3, "cuda:0,cuda:1"), lambda part, fraction: None))
    assert found == [0]


def test_an_interrupt_ends_the_searches_at_their_next_batch(replaced: Callable[..., None]) -> None:
    ended, told = list[int](), set[int]()

    def search(number: int, device: str, progress: Fraction) -> None:
        try:
            while True:
                progress(1, 4)
                time.sleep(0.01)
        finally:
            ended.append(number)

    def partial(part: Slice, fraction: float) -> None:
        assert fraction in (0, 0.25)
        told.add(part.start)
        if len(told) == 2:
            raise KeyboardInterrupt

    replaced(search)
    with pytest.raises(KeyboardInterrupt):
        list(run_here(slices(9, "cuda:0,cuda:1"), partial))
    assert set(ended) == told


def test_progress_adds_up_slices_that_are_searched_at_the_same_time(tmp_path: Path) -> None:
    told, halfway = list[tuple[int, int]](), list[tuple[int, int]]()

    def halves(work: Iterable[tuple[Slice, Work]], partial: Callable[[Slice, float], None]) -> Iterator[
            tuple[Slice, Encoded]]:
        tasks = list(work)
        for part, _ in tasks:
            partial(part, 0.5)
        halfway.append(told[-1])
        for part, task in tasks:
            yield part, encode_slice(task)

    def progress(tensor: str, done: int, total: int) -> None:
        told.append((done, total))

    compress(folder(tmp_path / "model"), tmp_path / "out", SMALL, runner=halves, progress=progress)
    total = told[-1][1]
    assert told == sorted(told)
    assert halfway == [(total // 2, total)]
    assert told[-1] == (total, total)
