"""How a device behind files waits for the end of a run."""

from collections.abc import Iterator
from contextlib import ExitStack
from time import monotonic

import pytest

from host.device import linux_device
from host.device.device import DeviceError
from host.device.linux_device import LinuxDevice
from hw.registers.register_map import OFFSETS

BUSY, DONE = 1, 2


class FakeRegisters:
    """STATUS is done after a number of looks at it."""

    def __init__(self, looks: float) -> None:
        self.looks, self.written = looks, list[tuple[int, int]]()

    def read(self, offset: int) -> int:
        assert offset == OFFSETS["STATUS"]
        self.looks -= 1
        return DONE if self.looks < 0 else BUSY

    def write(self, offset: int, value: int) -> None:
        self.written.append((offset, value))


class FakeMemory:
    """Nothing is in it."""

    base, size = 1 << 40, 4096

    def read(self, address: int, count: int) -> bytes:
        return bytes(count)

    def write(self, address: int, content: bytes) -> None:
        self.last = address, content


class FakeInterrupt:
    """Answers sleeps from a list; a sleep beyond its end takes its time and is in vain."""

    def __init__(self, *answers: bool) -> None:
        self.answers: Iterator[bool] = iter(answers)
        self.slept = list[float]()

    def sleep(self, seconds: float) -> bool:
        self.slept.append(seconds)
        return next(self.answers, False)


def device(looks: float, interrupt: FakeInterrupt | None, clock_hz: float | None = None) -> LinuxDevice:
    return LinuxDevice(FakeRegisters(looks), FakeMemory(), interrupt, clock_hz, ExitStack())


def test_a_run_that_has_ended_before_the_wait() -> None:
    interrupt = FakeInterrupt()
    assert device(0, interrupt).wait(1)
    assert not interrupt.slept


def test_an_interrupt_ends_the_wait() -> None:
    interrupt = FakeInterrupt(True)
    assert device(1, interrupt, 1e6).wait(2_000_000)
    assert 2.9 < interrupt.slept[0] < 3.1


def test_stale_interrupts() -> None:
    """Those that nobody waited for cost a look each."""
    interrupt = FakeInterrupt(True, True, True)
    assert device(3, interrupt).wait(1)
    assert len(interrupt.slept) == 3
    assert interrupt.slept == sorted(interrupt.slept, reverse=True)


def test_an_interrupt_that_does_not_come() -> None:
    with pytest.raises(DeviceError, match="the run ended, but its interrupt did not come: check how the engine's irq"):
        device(1, FakeInterrupt()).wait(1)


@pytest.mark.parametrize("interrupt", [None, FakeInterrupt(), FakeInterrupt(*[True] * 10_000_000)],
                         ids=["polled", "silent", "stuck"])
def test_a_run_that_does_not_end(interrupt: FakeInterrupt | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a line that never fires nor one that fires for ever keeps the wait from its end."""
    monkeypatch.setattr(linux_device, "_SLACK", 0.01)
    start = monotonic()
    assert not device(float("inf"), interrupt, 1e6).wait(40_000)
    assert 0.05 <= monotonic() - start < 5


def test_polling() -> None:
    assert device(5, None).wait(1)


def test_registers_memory_and_closing() -> None:
    closed, registers, memory = list[str](), FakeRegisters(0), FakeMemory()
    files = ExitStack()
    files.callback(closed.append, "closed")
    with LinuxDevice(registers, memory, None, 5e6, files) as opened:
        assert (opened.memory_base, opened.memory_bytes, opened.clock_hz) == (1 << 40, 4096, 5e6)
        opened.write_register(8, 9)
        opened.write_memory(1 << 40, b"content")
        assert opened.read_memory(1 << 40, 3) == bytes(3)
        assert not closed
    assert registers.written == [(8, 9)]
    assert memory.last == (1 << 40, b"content")
    assert closed == ["closed"]
