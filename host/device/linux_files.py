"""Files of Linux through which a program reaches a device: memory that is read and written, words that are mapped, and
interrupts that are waited for.

Nothing here knows what driver serves the files; see :mod:`host.device.xdma` and :mod:`host.device.uio`.
"""

import fcntl
import mmap
import os
import select
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from host.device.device import DeviceError
from host.errors import UserError
from host.update import Update, no_progress

__all__ = ["WORD_BYTES", "DeviceFile", "FileInterrupt", "FileMemory", "MappedMemory", "MappedRegisters",
           "kept_open", "number_in", "open_file"]

WORD_BYTES = 4
"""Bytes of a register and of the smallest part of memory."""
_CHUNK = 1 << 24
"""Bytes that are given to the kernel at once, between two looks at the progress display."""
_REASONS = {PermissionError: "run this as root, or give this user the right to open it with a udev rule",
            FileNotFoundError: "load its driver, and name the device, for example xdma:/dev/xdma0 or uio:/dev/uio0",
            BlockingIOError: "another program uses the device; end that first"}
"""What mends a failure to open a file, by the kind of failure."""


@dataclass(frozen=True)
class DeviceFile(AbstractContextManager["DeviceFile"]):
    """An open file: its path, and its descriptor, which is closed at the end of the context."""

    path: Path
    descriptor: int

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        os.close(self.descriptor)


def open_file(path: Path, flags: int, exclusive: bool = False) -> DeviceFile:
    """Open a file of a device.

    Parameters
    ----------
    flags : int
        As of ``os.open``.
    exclusive : bool
        Refuse a file that another program has opened in this way.

    Raises
    ------
    UserError
        When there is no such file, this user may not open it, or another program uses it.
    """
    try:
        descriptor = os.open(path, flags | os.O_CLOEXEC)
        try:
            if exclusive:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise
    except OSError as error:
        cure = next((cure for kind, cure in _REASONS.items() if isinstance(error, kind)), "check the device")
        raise UserError(f"cannot open {path} ({error.strerror}): {cure}") from None
    return DeviceFile(path, descriptor)


@contextmanager
def kept_open() -> Iterator[ExitStack]:
    """Yield a stack for files to be entered, which stay open unless an exception ends the context."""
    files = ExitStack()
    try:
        yield files
    except BaseException:
        files.close()
        raise


def number_in(path: Path) -> int:
    """Return the number in a file of sysfs, decimal or with a 0x in front.

    Raises
    ------
    UserError
        When the file is missing, cannot be read, or holds something else.
    """
    try:
        number = int(path.read_text(), 0)
        if not 0 <= number < 1 << 64:
            raise ValueError("it is below 0 or has more than 64 bits")
        return number
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read a number in {path} ({error}): load the device's driver, and name the "
                        "device as the driver does") from None


def _check_within(base: int, size: int, address: int, count: int) -> None:
    """Raise DeviceError unless ``count`` bytes at ``address`` lie in the ``size`` bytes from ``base`` on."""
    if not base <= address <= base + size - count:
        raise DeviceError(f"{count} bytes at {address:#x} leave the device's memory, {size} bytes at {base:#x}")


class FileMemory:
    """Memory that is read and written through files, at any place.

    The kernel does the transfers, with whatever its driver adds to them: DMA, or the upkeep of caches.

    Parameters
    ----------
    writes, reads : DeviceFile
        The files to write to and to read from. They may be the same.
    base, size : int
        Address of the first byte, and the number of bytes.
    origin : int
        Address that offset 0 in the files stands for.
    update : callable
        Called with what is being done, the bytes done and the bytes in all, for a progress display.
    """

    def __init__(self, writes: DeviceFile, reads: DeviceFile, base: int, size: int, origin: int,
                 update: Update = no_progress) -> None:
        self._writes, self._reads, self._origin, self._update = writes, reads, origin, update
        self.base, self.size = base, size

    def _failed(self, action: str, file: DeviceFile, address: int, reason: str) -> DeviceError:
        """The error that says what could not be done."""
        return DeviceError(f"{action} {file.path} at address {address:#x} failed: {reason}; has the device "
                           f"{self.size} bytes of memory at {self.base:#x}?")

    def write(self, address: int, content: bytes) -> None:
        """Write bytes, however many the kernel accepts at a time.

        Raises
        ------
        DeviceError
            When they leave the memory, or the kernel cannot write them all.
        """
        view = memoryview(content).cast("B")
        _check_within(self.base, self.size, address, len(view))
        done = 0
        while done < len(view):
            try:
                written = os.pwrite(self._writes.descriptor, view[done:done + _CHUNK], address + done - self._origin)
            except OSError as error:
                raise self._failed("writing to", self._writes, address + done, str(error.strerror)) from None
            if not written:
                raise self._failed("writing to", self._writes, address + done, "nothing was accepted")
            done += written
            self._update("load", done, len(view))

    def read(self, address: int, count: int) -> bytes:
        """Read bytes, however many the kernel gives at a time.

        Raises
        ------
        DeviceError
            When they leave the memory, or the kernel cannot read them all.
        """
        _check_within(self.base, self.size, address, count)
        content = bytearray()
        while len(content) < count:
            place = address + len(content)
            try:
                part = os.pread(self._reads.descriptor, min(count - len(content), _CHUNK), place - self._origin)
            except OSError as error:
                raise self._failed("reading from", self._reads, place, str(error.strerror)) from None
            if not part:
                raise self._failed("reading from", self._reads, place, "nothing came")
            content += part
        return bytes(content)


class _Mapped:
    """A part of a file as an array of 32-bit words, ``words``, until the end of the context.

    NumPy reads and writes one element of such an array by one load or store of its size, as the registers of a device
    require; PYNQ's MMIO class relies on the same.

    Parameters
    ----------
    file : DeviceFile
    offset : int
        Offset in the file at which the mapping begins, a multiple of a page.
    begin, size : int
        The part of the mapping, bytes, multiples of 4.

    Raises
    ------
    UserError
        When the file cannot be mapped there.
    """

    def __init__(self, file: DeviceFile, offset: int, begin: int, size: int) -> None:
        try:
            if begin < 0 or size <= 0 or (begin | size) % WORD_BYTES:
                raise ValueError("these are no whole words")
            self._mapping = mmap.mmap(file.descriptor, begin + size, offset=offset)
        except (OSError, ValueError, OverflowError) as error:
            raise UserError(f"cannot map {size} bytes at {begin:#x} of {file.path} ({error}): check the device's "
                            "name and where its registers lie") from None
        self.words = np.frombuffer(self._mapping, "<u4", size // WORD_BYTES, begin)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        del self.words
        with suppress(BufferError):  # somebody still holds a part of the array
            self._mapping.close()


class MappedRegisters(_Mapped):
    """Registers of 32 bits in a file that maps them."""

    def read(self, offset: int) -> int:
        """Return the register at this byte offset."""
        return int(self.words[offset // WORD_BYTES])

    def write(self, offset: int, value: int) -> None:
        """Set the register at this byte offset."""
        self.words[offset // WORD_BYTES] = value


class MappedMemory(_Mapped):
    """Memory in a file that maps it without a cache.

    ARM calls such memory "device memory". An access to it must be aligned, which the C library's copies are not: every
    second word is copied, and then the others, so that NumPy moves them one by one. Its accesses stay in order. So the
    last word is read back before :meth:`write` returns: what the processor does after that, such as the start of a run,
    comes after all that was written.

    Parameters
    ----------
    file, offset, begin, size
        As of the registers.
    base : int
        Address of its first byte, as the engine sees it.
    update : callable
        Called with what is being done, the bytes done and the bytes in all, for a progress display.
    """

    def __init__(self, file: DeviceFile, offset: int, begin: int, size: int, base: int, update: Update = no_progress
                 ) -> None:
        super().__init__(file, offset, begin, size)
        self.base, self.size, self._update = base, size, update

    def _part(self, address: int, count: int) -> np.ndarray:
        """Return the words that hold ``count`` bytes at ``address``; DeviceError when they leave the memory."""
        _check_within(self.base, self.size, address, count)
        if address % WORD_BYTES:
            raise DeviceError(f"the address {address:#x} is not a multiple of {WORD_BYTES}")
        return self.words[(address - self.base) // WORD_BYTES:][:-(-count // WORD_BYTES)]

    def write(self, address: int, content: bytes) -> None:
        """Write bytes; zeros fill up the last word.

        Raises
        ------
        DeviceError
            When they leave the memory or do not begin at a word, or memory does not hold the last word afterwards.
        """
        part = self._part(address, len(content))
        source = np.frombuffer(content + bytes(-len(content) % WORD_BYTES), "<u4")
        for start in range(0, len(source), _CHUNK):
            for parity in range(2):
                part[start + parity:start + _CHUNK:2] = source[start + parity:start + _CHUNK:2]
            self._update("load", min(WORD_BYTES * (start + _CHUNK), len(content)), len(content))
        if len(source) and part[-1] != source[-1]:
            raise DeviceError(f"the memory at {address + len(content) - 1:#x} does not hold what was written to it")

    def read(self, address: int, count: int) -> bytes:
        """Read bytes.

        Raises
        ------
        DeviceError
            When they leave the memory or do not begin at a word.
        """
        part = self._part(address, count)
        content = np.empty(len(part), "<u4")
        for parity in range(2):
            content[parity::2] = part[parity::2]
        return content.tobytes()[:count]


class FileInterrupt:
    """An interrupt that a file tells of: a read of 4 bytes ends when it has come.

    Parameters
    ----------
    file : DeviceFile
    masked : bool
        Whether the kernel masks the interrupt each time that it comes, until the number 1 is written to the file.
    """

    def __init__(self, file: DeviceFile, masked: bool) -> None:
        self._file, self._masked, self._poll = file, masked, select.poll()
        self._poll.register(file.descriptor, select.POLLIN)

    def sleep(self, seconds: float) -> bool:
        """Wait for the interrupt, for at most so many seconds; return whether it came, or had come before.

        Raises
        ------
        DeviceError
            When the file does not tell of interrupts.
        """
        try:
            if self._masked:
                os.write(self._file.descriptor, (1).to_bytes(WORD_BYTES, sys.byteorder))
            found = dict(self._poll.poll(ceil(1000 * seconds)))
            if not found:
                return False
            if found[self._file.descriptor] & select.POLLIN and len(os.read(self._file.descriptor, WORD_BYTES)):
                return True
        except OSError as error:
            raise DeviceError(f"{self._file.path} tells of no interrupt ({error.strerror}): give the device the option "
                              "poll=1") from None
        raise DeviceError(f"{self._file.path} tells of no interrupts any more: give the device the option poll=1")
