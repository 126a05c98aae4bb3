"""Processes of this machine: outcomes, processes that die, what they leave, and that nobody can reach them."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from host.errors import UserError
from host.workers import WorkerDied, Workers


def squared(value: int) -> int:
    return value * value


def die_once(task: tuple[Path, int]) -> int:
    """Kill this process unless another one has died of the same task."""
    mark, value = task
    if value == 3 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return value


def die(value: int) -> int:
    if value == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return value


def fail(value: int) -> int:
    if value == 0:
        raise UserError("no such thing")
    if value == 1:
        raise Unpicklable
    return value


class Unpicklable(Exception):
    def __reduce__(self) -> str:
        raise TypeError("no")


def endless(mark: Path) -> None:
    """Start a process, leave its number and that of this one, and wait for ever."""
    child = os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "1000")
    mark.write_text(f"{os.getpid()} {child}")
    while True:
        time.sleep(1)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_every_task_has_its_outcome_and_processes_end() -> None:
    asked: list[int] = []

    def tasks() -> Iterator[tuple[int, int]]:
        for n in range(20):
            asked.append(n)
            yield n, n

    with Workers(2) as workers:
        results = {}
        for key, outcome in workers.run(squared, tasks()):
            results[key] = outcome.result()
            assert len(asked) <= len(results) + 5  # never all of them at once
        pids = workers.pids
    assert results == {n: n * n for n in range(20)}
    assert len(pids) == 2
    assert not any(map(alive, pids))


def test_no_port_is_opened() -> None:
    with Workers(2) as workers:
        assert len(list(workers.run(squared, [(n, n) for n in range(4)]))) == 4
        listening = set()
        for table in ("tcp", "tcp6", "udp", "udp6"):
            lines = Path(f"/proc/net/{table}").read_text().splitlines()[1:]
            listening |= {line.split()[9] for line in lines if table.startswith("udp") or line.split()[3] == "0A"}
        named = {line.split()[6] for line in Path("/proc/net/unix").read_text().splitlines()[1:] if
                 len(line.split()) > 7}
        for pid in workers.pids:
            for entry in Path(f"/proc/{pid}/fd").iterdir():
                target = os.readlink(entry)
                if target.startswith("socket:"):
                    assert target.strip("socket:[]") not in listening | named


def test_a_dead_process_gives_its_tasks_to_others(tmp_path: Path) -> None:
    with Workers(2) as workers:
        tasks = [(n, (tmp_path / "mark", n)) for n in range(8)]
        assert sorted(outcome.result() for _, outcome in workers.run(die_once, tasks)) == list(range(8))


def test_a_task_of_which_every_process_dies_is_given_up() -> None:
    with Workers(2) as workers:
        outcomes = dict(workers.run(die, [(n, n) for n in range(4)]))
    with pytest.raises(WorkerDied):
        outcomes[1].result()
    assert [outcomes[n].result() for n in (0, 2, 3)] == [0, 2, 3]


def test_errors_come_back() -> None:
    with Workers(1) as workers:
        outcomes = dict(workers.run(fail, [(n, n) for n in range(3)]))
    with pytest.raises(UserError, match="no such thing"):
        outcomes[0].result()
    with pytest.raises(RuntimeError, match="Unpicklable"):
        outcomes[1].result()
    assert outcomes[2].result() == 2


def test_an_exception_ends_processes_at_work_and_what_they_started(tmp_path: Path) -> None:
    mark = tmp_path / "mark"

    def interrupt(number: int, frame: object) -> None:
        if mark.exists() and mark.read_text():
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
        with Workers(1) as workers:
            list(workers.run(endless, [(0, mark)]))
        pytest.fail("the task ended")
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGALRM, before)
    deadline = time.monotonic() + 10
    while any(map(alive, map(int, mark.read_text().split()))):
        assert time.monotonic() < deadline
        time.sleep(0.01)
