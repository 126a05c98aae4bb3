"""Files of devices: transfers that are cut short, mapped words, interrupts, and what cannot be opened."""

import os
import random
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from host.device.device import DeviceError
from host.device.linux_files import (
    DeviceFile,
    FileInterrupt,
    FileMemory,
    MappedMemory,
    MappedRegisters,
    kept_open,
    number_in,
    open_file,
)
from host.errors import UserError

BASE = 5 << 40
SIZE = 1 << 16


@pytest.fixture
def files() -> Iterator[ExitStack]:
    """What closes the files of a test."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def memory_file(tmp_path: Path, files: ExitStack) -> DeviceFile:
    """A file of SIZE bytes."""
    path = tmp_path / "memory"
    path.write_bytes(bytes(SIZE))
    return files.enter_context(open_file(path, os.O_RDWR))


def memory(file: DeviceFile) -> FileMemory:
    return FileMemory(file, file, BASE, SIZE, BASE)


def limited(call: Callable[..., Any], most: int) -> Callable[..., Any]:
    """``os.pwrite`` or ``os.pread`` that moves ``most`` bytes at once."""
    def moved(descriptor: int, what: Any, offset: int) -> Any:
        return call(descriptor, min(what, most) if isinstance(what, int) else what[:most], offset)

    return moved


@pytest.mark.parametrize("most", [1 << 30, 4096, 999, 1])
def test_transfers_that_are_cut_short(most: int, memory_file: DeviceFile, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pwrite", "pread"):
        monkeypatch.setattr(os, name, limited(getattr(os, name), most))
    content, seen = random.Random(most).randbytes(5001), list[tuple[str, float, float]]()
    device = FileMemory(memory_file, memory_file, BASE, SIZE, BASE, lambda *done: seen.append(done))
    device.write(BASE + 64, content)
    assert memory_file.path.read_bytes() == bytes(64) + content + bytes(SIZE - 64 - len(content))
    assert device.read(BASE + 64, len(content)) == content
    assert len(seen) == -(-len(content) // most)
    assert seen[-1] == ("load", len(content), len(content))


def test_nothing_to_move(memory_file: DeviceFile) -> None:
    memory(memory_file).write(BASE, b"")
    assert memory(memory_file).read(BASE + SIZE, 0) == b""


def test_a_device_without_room(files: ExitStack) -> None:
    full = files.enter_context(open_file(Path("/dev/full"), os.O_RDWR))
    with pytest.raises(DeviceError, match=r"^writing to /dev/full at address 0x50000000040 failed: No space left on "
                                          r"device; has the device 65536 bytes of memory at 0x50000000000\?$"):
        memory(full).write(BASE + 64, bytes(10))


def test_a_device_that_stops(memory_file: DeviceFile, monkeypatch: pytest.MonkeyPatch) -> None:
    os.truncate(memory_file.path, 1000)
    with pytest.raises(DeviceError, match=r"reading from .*memory at address 0x500000003e8 failed: nothing came; has"):
        memory(memory_file).read(BASE, 2000)
    monkeypatch.setattr(os, "pwrite", lambda *arguments: 0)
    with pytest.raises(DeviceError, match=r"writing to .*memory at address 0x50000000000 failed: nothing was accepted"):
        memory(memory_file).write(BASE, bytes(10))


def test_a_device_that_fails(memory_file: DeviceFile, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*arguments: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "pread", failing)
    with pytest.raises(DeviceError, match=r"reading from .*memory at address 0x50000000010 failed: Input/output error"):
        memory(memory_file).read(BASE + 16, 10)


@pytest.mark.parametrize(("address", "count"), [(BASE - 4, 4), (BASE - 4, 8), (BASE + SIZE - 4, 8), (BASE + SIZE, 1),
                                                (0, 4), (BASE, SIZE + 1)])
def test_places_outside_the_memory(address: int, count: int, memory_file: DeviceFile) -> None:
    words = MappedMemory(memory_file, 0, 0, SIZE, BASE)
    for device in (memory(memory_file), words):
        with pytest.raises(DeviceError, match=f"^{count} bytes at {address:#x} leave the device's memory, 65536 bytes"):
            device.write(address, bytes(count))
        with pytest.raises(DeviceError, match="leave the device's memory"):
            device.read(address, count)


def test_mapped_registers(memory_file: DeviceFile, files: ExitStack) -> None:
    registers = files.enter_context(MappedRegisters(memory_file, 4096, 64, 256))
    registers.write(8, 0x89ABCDEF)
    assert memory_file.path.read_bytes() == bytes(4096 + 72) + b"\xEF\xCD\xAB\x89" + bytes(SIZE - 4096 - 76)
    os.pwrite(memory_file.descriptor, b"\x01\x02\x03\x84", 4096 + 64 + 252)
    assert registers.read(252) == 0x84030201
    assert type(registers.read(252)) is int
    with pytest.raises(IndexError):
        registers.read(256)
    with pytest.raises(OverflowError):
        registers.write(0, 1 << 32)


@pytest.mark.parametrize(("offset", "begin"), [(0, SIZE - 128), (SIZE - 4096, 4096), (100, 0), (1 << 63, 0)])
def test_registers_that_cannot_be_mapped(offset: int, begin: int, memory_file: DeviceFile) -> None:
    with pytest.raises(UserError, match=f"cannot map 256 bytes at {begin:#x} of .*memory .*: check the device's name"):
        MappedRegisters(memory_file, offset, begin, 256)


def test_a_file_that_cannot_be_mapped(files: ExitStack) -> None:
    null = files.enter_context(open_file(Path("/dev/null"), os.O_RDWR))
    with pytest.raises(UserError, match=r"cannot map 256 bytes at 0x0 of /dev/null .*No such device"):
        MappedRegisters(null, 0, 0, 256)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8, 12, 1000, 4095, 4098])
def test_mapped_memory(count: int, memory_file: DeviceFile, files: ExitStack) -> None:
    """Every number of bytes; zeros fill up the last word, and nothing beyond it changes."""
    memory_file.path.write_bytes(b"\xAA" * SIZE)
    device = files.enter_context(MappedMemory(memory_file, 4096, 8, 1 << 14, BASE))
    content = random.Random(count).randbytes(count)
    device.write(BASE + 4, content)
    filled = content + bytes(-count % 4)
    assert memory_file.path.read_bytes() == b"\xAA" * 4108 + filled + b"\xAA" * (SIZE - 4108 - len(filled))
    assert device.read(BASE + 4, count) == content
    with pytest.raises(DeviceError, match="the address 0x50000000002 is not a multiple of 4"):
        device.write(BASE + 2, content)


def test_mapped_memory_in_parts(memory_file: DeviceFile, files: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("host.device.linux_files._CHUNK", 6)
    seen, content = list[float](), random.Random(1).randbytes(70)
    device = files.enter_context(MappedMemory(memory_file, 0, 0, SIZE, BASE, lambda _, done, total: seen.append(done)))
    device.write(BASE, content)
    assert device.read(BASE, 70) == content
    assert seen == [24, 48, 70]


def test_memory_that_forgets(memory_file: DeviceFile) -> None:
    class Stuck(np.ndarray):
        """Words that nothing changes."""

        def __setitem__(self, *arguments: Any) -> None:
            pass

    device = MappedMemory(memory_file, 0, 0, SIZE, BASE)
    device.words = device.words.view(Stuck)
    with pytest.raises(DeviceError, match="the memory at 0x50000000007 does not hold what was written to it"):
        device.write(BASE, bytes(7) + b"\x01")


def test_files_that_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"cannot open /nowhere \(No such file or directory\): load its driver, and"):
        open_file(Path("/nowhere"), os.O_RDWR)
    with pytest.raises(UserError, match=r"cannot open .* \(Is a directory\): check the device"):
        open_file(tmp_path, os.O_RDWR)

    def refused(*arguments: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(UserError, match=r"cannot open /dev/uio0 \(Permission denied\): run this as root, or give"):
        open_file(Path("/dev/uio0"), os.O_RDWR)


def opened() -> int:
    """Number of files that this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def test_one_program_at_a_time(memory_file: DeviceFile) -> None:
    before = opened()
    with open_file(memory_file.path, os.O_RDWR, exclusive=True):
        with pytest.raises(UserError, match="another program uses the device; end that first"):
            open_file(memory_file.path, os.O_RDWR, exclusive=True)
        assert opened() == before + 1
    with open_file(memory_file.path, os.O_RDWR, exclusive=True):
        pass
    assert opened() == before


def test_files_stay_open_unless_something_fails(memory_file: DeviceFile) -> None:
    before = opened()
    with kept_open() as files:
        files.enter_context(open_file(memory_file.path, os.O_RDWR))
        files.enter_context(MappedRegisters(memory_file, 0, 0, 256))
    assert opened() == before + 2  # a mapping keeps a descriptor of its own
    files.close()
    assert opened() == before
    with pytest.raises(UserError), kept_open() as files:  # noqa: PT012  two statements, of which the last fails
        files.enter_context(open_file(memory_file.path, os.O_RDWR))
        open_file(Path("/nowhere"), os.O_RDWR)
    assert opened() == before


@pytest.mark.parametrize(("text", "number"), [("0x40000000\n", 1 << 30), ("4096\n", 4096), ("0\n", 0)])
def test_numbers(text: str, number: int, tmp_path: Path) -> None:
    (tmp_path / "size").write_text(text)
    assert number_in(tmp_path / "size") == number


@pytest.mark.parametrize("text", ["", "many\n", None])
def test_what_is_no_number(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "size").write_text(text)
    with pytest.raises(UserError, match=r"cannot read a number in .*size .*: load the device's driver, and name the"):
        number_in(tmp_path / "size")


@pytest.fixture
def fifo(tmp_path: Path, files: ExitStack) -> tuple[DeviceFile, DeviceFile]:
    """A FIFO's end to read from, and its end to write to."""
    os.mkfifo(tmp_path / "events")
    both = files.enter_context(open_file(tmp_path / "events", os.O_RDWR))
    return files.enter_context(open_file(tmp_path / "events", os.O_RDONLY)), both


def test_an_interrupt(fifo: tuple[DeviceFile, DeviceFile]) -> None:
    """It came before the wait, or it does not come; each event ends one wait."""
    reads, writes = fifo
    interrupt = FileInterrupt(reads, masked=False)
    assert not interrupt.sleep(0.01)
    os.write(writes.descriptor, bytes(8))
    assert interrupt.sleep(1)
    assert interrupt.sleep(1)
    assert not interrupt.sleep(0)


def test_an_interrupt_that_is_masked(files: ExitStack, tmp_path: Path) -> None:
    """Each wait unmasks it first."""
    program, kernel = (files.enter_context(end) for end in socket.socketpair(type=socket.SOCK_SEQPACKET))
    kernel.settimeout(5)
    interrupt = FileInterrupt(DeviceFile(tmp_path / "uio0", program.fileno()), masked=True)
    kernel.send((7).to_bytes(4, sys.byteorder))
    assert interrupt.sleep(1)
    assert not interrupt.sleep(0)
    for _ in range(2):
        assert kernel.recv(100) == (1).to_bytes(4, sys.byteorder)
    kernel.setblocking(False)
    with pytest.raises(BlockingIOError):
        kernel.recv(100)


def test_a_file_without_interrupts(fifo: tuple[DeviceFile, DeviceFile], tmp_path: Path) -> None:
    reads, writes = fifo
    with pytest.raises(DeviceError, match=r"events tells of no interrupt \(Bad file descriptor\): give the device"):
        FileInterrupt(reads, masked=True).sleep(1)
    os.dup2(reads.descriptor, writes.descriptor)  # nobody writes any more
    with pytest.raises(DeviceError, match="events tells of no interrupts any more: give the device the option poll=1"):
        FileInterrupt(reads, masked=False).sleep(1)
