"""An engine that Linux shows as files, as a device: what a PCIe card and a system on a chip have in common."""

from contextlib import ExitStack
from time import monotonic, sleep
from types import TracebackType
from typing import Protocol

from host.device.device import DeviceError
from host.device.identity import fields_of
from hw.registers.register_map import OFFSETS, Status

__all__ = ["Interrupt", "LinuxDevice", "Memory", "Registers"]

_SLOWEST_HZ = 10e6
"""Clock of an engine, Hz, if nobody says what it is: so slow that no run is taken for hung too early."""
_SLACK = 1.0
"""Seconds that a wait takes longer than its cycles, because this program may have to wait for the processor."""
_POLL_SECONDS = 50e-6
"""Seconds between two looks at a run when there is no interrupt."""


class Registers(Protocol):
    """The engine's registers."""

    def read(self, offset: int) -> int:
        """Return the 32-bit register at this byte offset, by one access of 32 bits."""

    def write(self, offset: int, value: int) -> None:
        """Set the 32-bit register at this byte offset, by one access of 32 bits."""


class Memory(Protocol):
    """The memory that engine and host share."""

    base: int
    """Address of its first byte, as the engine sees it."""
    size: int
    """Its bytes."""

    def read(self, address: int, count: int) -> bytes:
        """Return ``count`` bytes from ``address`` on."""

    def write(self, address: int, content: bytes) -> None:
        """Write bytes from ``address`` on."""


class Interrupt(Protocol):
    """The engine's interrupt."""

    def sleep(self, seconds: float) -> bool:
        """Wait for the interrupt, for at most so many seconds; return whether it came, or had come before.

        It may return True without cause, as after an interrupt that nobody waited for.
        """


class LinuxDevice:
    """The device protocol of :mod:`host.device.device` over files of Linux.

    A wait looks at STATUS.done, sleeps until the interrupt, and looks again. No interrupt is lost, because the engine
    holds its line high until somebody clears IRQ_PENDING, which the caller does after the wait: one that comes between
    the look and the sleep ends the sleep at once. One that is left from an earlier run costs one more look.

    Parameters
    ----------
    registers : Registers
    memory : Memory
    interrupt : Interrupt or None
        With None, a wait looks at STATUS again and again.
    clock_hz : float or None
        The engine's clock, from which the time of a wait follows; None where it is not known.
    files : ExitStack
        What closing the device closes.

    Members
    -------
    memory_base, memory_bytes : int
        See :class:`host.device.device.Device`.
    clock_hz : float or None
    repeated, peak_bytes : None
        No request is ever sent again, and nobody knows how much the memory moves in a cycle.
    """

    repeated: None = None
    peak_bytes: None = None

    def __init__(self, registers: Registers, memory: Memory, interrupt: Interrupt | None, clock_hz: float | None,
                 files: ExitStack) -> None:
        self._registers, self._memory, self._interrupt, self._files = registers, memory, interrupt, files
        self.memory_base, self.memory_bytes, self.clock_hz = memory.base, memory.size, clock_hz

    def read_register(self, offset: int) -> int:
        """Return the 32-bit register at this byte offset."""
        return self._registers.read(offset)

    def write_register(self, offset: int, value: int) -> None:
        """Set the 32-bit register at this byte offset."""
        self._registers.write(offset, value)

    def write_memory(self, address: int, content: bytes) -> None:
        """Write bytes to memory from ``address`` on; DeviceError when that fails."""
        self._memory.write(address, content)

    def read_memory(self, address: int, count: int) -> bytes:
        """Read ``count`` bytes of memory from ``address`` on; DeviceError when that fails."""
        return self._memory.read(address, count)

    def _done(self) -> bool:
        """Whether the last run has ended."""
        return bool(fields_of("STATUS", Status, self.read_register(OFFSETS["STATUS"])).done)

    def wait(self, limit: int) -> bool:
        """Wait for the end of a run, for the time of ``limit`` cycles and a little more; return whether it came.

        Raises
        ------
        DeviceError
            When the run ended, but its interrupt did not come.
        """
        deadline = monotonic() + _SLACK + limit / (self.clock_hz or _SLOWEST_HZ)
        while not self._done():
            if (left := deadline - monotonic()) <= 0:
                return False
            if self._interrupt is None:
                sleep(_POLL_SECONDS)
            elif not self._interrupt.sleep(left) and self._done():
                raise DeviceError("the run ended, but its interrupt did not come: check how the engine's irq is "
                                  "connected, or give the device the option poll=1")
        return True

    def close(self) -> None:
        """Release the files."""
        self._files.close()

    def __enter__(self) -> "LinuxDevice":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()
