"""A simulated engine behind files that behave like those of the kernel's drivers.

Registers in a mapped file cannot be noticed, so that :class:`FakeKernel` also stands in for
:class:`host.device.linux_files.MappedRegisters`. Memory is the simulator's own file, under the name of a device.
"""

import os
import select
import socket
import sys
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self

import numpy as np

from golden.product import product
from host.device.driver import Driver
from hw.config import EngineConfig
from sim.device.native_device import NativeDevice
from sim.device.random_operands import finite_halves, random_weights

__all__ = ["FakeKernel", "UioKernel", "XdmaKernel", "check_products"]

STEP = 100
"""Cycles of the engine between two looks at its interrupt."""


class FakeKernel:
    """Lets time pass for a simulated engine and tells files of its interrupt, in a thread.

    Parameters
    ----------
    device : NativeDevice
    """

    def __init__(self, device: NativeDevice) -> None:
        self.device, self.count, self.masked, self.high = device, 0, False, False
        self._end, self._thread = Event(), Thread(target=self._run)
        self._requests = SimpleQueue[tuple[Future, Callable[..., Any], tuple[int, ...]]]()

    def link(self, path: Path) -> None:
        """Give the engine's memory a name; whoever opens it has an open file of his own."""
        path.symlink_to(f"/proc/{os.getpid()}/fd/{self.device._file}")

    def registers(self, *arguments: Any) -> AbstractContextManager["FakeKernel"]:
        """Return what stands in for ``MappedRegisters(*arguments)``."""
        return nullcontext(self)

    def _asked(self, action: Callable[..., Any], *arguments: int) -> Any:
        """Have the thread, which is the only one to use the simulator, do something; return what came of it."""
        answer = Future[Any]()
        self._requests.put((answer, action, arguments))
        return answer.result()

    def read(self, offset: int) -> int:
        """Return a register."""
        return self._asked(self.device.read_register, offset)

    def write(self, offset: int, value: int) -> None:
        """Set a register."""
        self._asked(self.device.write_register, offset, value)

    def look(self, high: bool) -> None:
        """Carry out what the kernel does while the interrupt's line is high or low."""
        raise NotImplementedError

    def _run(self) -> None:
        while not self._end.is_set():
            while not self._requests.empty():
                answer, action, arguments = self._requests.get()
                try:
                    answer.set_result(action(*arguments))
                except Exception as error:
                    answer.set_exception(error)
            self.look(self.device.wait(STEP))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._end.set()
        self._thread.join()


class XdmaKernel(FakeKernel):
    """The interrupt as the driver xdma tells of it: one event for each rise of the line.

    Parameters
    ----------
    events : Path
        The FIFO that tells of it; the attribute of this name is a descriptor of it.
    """

    def __init__(self, device: NativeDevice, events: Path) -> None:
        super().__init__(device)
        os.mkfifo(events)
        self.events = os.open(events, os.O_RDWR)

    def look(self, high: bool) -> None:
        if high and not self.high:
            self.count += 1
            os.write(self.events, self.count.to_bytes(4, sys.byteorder))
        self.high = high


class UioKernel(FakeKernel):
    """The interrupt as uio_pdrv_genirq tells of it: the line is level-triggered, and masked when it has fired."""

    def __init__(self, device: NativeDevice) -> None:
        super().__init__(device)
        self.program, self._end_of_kernel = socket.socketpair(type=socket.SOCK_SEQPACKET)

    def look(self, high: bool) -> None:
        while select.select([self._end_of_kernel], [], [], 0)[0]:
            assert self._end_of_kernel.recv(100) == (1).to_bytes(4, sys.byteorder)
            self.masked = False
        if high and not self.masked:
            self.masked, self.count = True, self.count + 1
            self._end_of_kernel.send(self.count.to_bytes(4, sys.byteorder))
        self.high = high


def check_products(driver: Driver, config: EngineConfig) -> None:
    """Run chains of products, some twice, and compare their results with golden's."""
    rng, fmt = np.random.default_rng(1), config.fmt
    for shapes in (((20, 30),), ((5, 70), (33, 12), (1, 1))):
        products = [(random_weights(fmt, *shape, rng), finite_halves(rng, shape[1])) for shape in shapes]
        loaded = driver.load(*products)
        for _ in range(2):
            results = driver.run(loaded).results
            for (weights, x), y in zip(products, results, strict=True):
                assert y.tobytes() == product(weights, x, config.act_bits).tobytes()
