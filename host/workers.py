"""Processes of this machine that work on tasks. They open no port: each is joined to this process by a pair of sockets
without a name, which no other process can reach.

A process that dies, because somebody kills it or memory runs out, is replaced, and its tasks are given to others.
"""

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from queue import SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Any, Generic, TypeVar

from golden.processes import away_from_keys, end_trees

__all__ = ["WorkerDied", "Workers"]

_K = TypeVar("_K")
_T = TypeVar("_T")
_R = TypeVar("_R")

_AHEAD = 2
"""Tasks that a process has at most: one that it works on, and one that it takes up while its result is stored."""
_LIVES = 3
"""Processes that may die of a task before it is given up."""
_FAREWELL = 2.0
"""Seconds in which an idle process ends by itself."""


class WorkerDied(RuntimeError):
    """Every process that took up a task died."""


def _refuse(error: Exception) -> None:
    """Stand in for a task that could not be unpickled."""
    raise error


def _serve(connection: Connection) -> None:
    """Work on tasks until the other end is closed, or the process there has died.

    A thread receives them, so that this process ends at once, in the middle of a task too, when nobody wants the result
    any more.
    """
    tasks: SimpleQueue[tuple[Callable[[Any], Any], Any]] = SimpleQueue()

    def receive() -> None:
        with suppress(EOFError, OSError):
            while True:
                try:
                    tasks.put(connection.recv())
                except ImportError as error:
                    tasks.put((_refuse, error))
        end_trees({os.getpid()}, themselves=False)  # simulators and compilers
        os._exit(0)

    Thread(target=receive, daemon=True).start()
    while True:
        function, task = tasks.get()
        try:
            answer = True, function(task)
        except Exception as error:
            answer = False, error
        try:
            connection.send(answer)
        except OSError:
            return
        except Exception as error:  # it cannot be pickled
            connection.send((False, RuntimeError(f"{type(answer[1]).__name__}: {answer[1]} ({error})")))


@dataclass
class _Worker(Generic[_K, _T]):
    """A process, this end of its connection, and the tasks that it has, in their order."""

    process: BaseProcess
    connection: Connection
    tasks: deque[tuple[_K, _T]] = field(default_factory=deque)


class Workers:
    """A number of processes, from the beginning of the context to its end.

    Parameters
    ----------
    count : int

    Members
    -------
    pids : list of int
        Numbers of the processes that are there now.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._workers: list[_Worker[Any, Any]] = []

    @property
    def pids(self) -> list[int]:
        return [worker.process.pid for worker in self._workers if worker.process.pid]

    def _start(self) -> _Worker[Any, Any]:
        """Start one more process. It begins from nothing, so that it holds no file and no lock of this one."""
        here, there = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(target=_serve, args=(there,))
        with away_from_keys():
            process.start()
        there.close()
        worker = _Worker[Any, Any](process, here)
        self._workers.append(worker)
        return worker

    def run(self, function: Callable[[_T], _R], tasks: Iterable[tuple[_K, _T]]) -> Iterator[tuple[_K, "Future[_R]"]]:
        """Carry out tasks, and yield their keys and outcomes as they are finished, in any order.

        Parameters
        ----------
        function : callable
            A function of a module. It and the tasks, results and exceptions are pickled.
        tasks : iterable
            Keys and tasks. They are asked for when a process will soon be free for them.

        Yields
        ------
        key, Future
            The future is done. Its exception is that of the function, or :class:`WorkerDied`.
        """
        source, again, deaths = iter(tasks), deque[tuple[_K, _T]](), dict[_K, int]()

        def following() -> tuple[_K, _T] | None:
            return again.popleft() if again else next(source, None)

        def feed(worker: _Worker[_K, _T]) -> bool:
            """Give a process one more task; return whether there was one."""
            if (task := following()) is None:
                return False
            worker.tasks.append(task)
            with suppress(OSError):  # it has died, which is seen later
                worker.connection.send((function, task[1]))
            return True

        def bury(worker: _Worker[_K, _T]) -> Iterator[tuple[_K, "Future[_R]"]]:
            """Take the tasks of a process that has died back; yield the one that it died of if it is given up."""
            self._workers.remove(worker)
            worker.process.join()
            worker.connection.close()
            if worker.tasks:
                key = worker.tasks[0][0]
                deaths[key] = deaths.get(key, 0) + 1
                if deaths[key] == _LIVES:
                    worker.tasks.popleft()
                    future: Future[_R] = Future()
                    future.set_exception(WorkerDied(f"{_LIVES} processes died of it"))
                    yield key, future
                again.extendleft(reversed(worker.tasks))

        while True:
            while len(self._workers) < self._count:
                self._start()
            for _ in range(_AHEAD):  # every process gets a task before one gets two
                for worker in self._workers:
                    if len(worker.tasks) < _AHEAD and not feed(worker):
                        break
            at_work = {worker.connection: worker for worker in self._workers if worker.tasks}
            if not at_work:
                return
            for connection in wait(list(at_work)):
                worker = at_work[connection]  # type: ignore[index]
                try:
                    okay, answer = worker.connection.recv()
                except (EOFError, OSError):
                    yield from bury(worker)
                    continue
                except Exception as error:  # it cannot be unpickled
                    okay, answer = False, error
                key, _ = worker.tasks.popleft()
                feed(worker)
                outcome: Future[_R] = Future()
                outcome.set_result(answer) if okay else outcome.set_exception(answer)
                yield key, outcome

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        for worker in self._workers:
            worker.connection.close()
        if kind is None:
            for worker in self._workers:
                worker.process.join(_FAREWELL)
        end_trees({worker.process.pid for worker in self._workers if worker.process.pid and worker.process.is_alive()})
        for worker in self._workers:
            worker.process.join()
        self._workers.clear()
