"""An engine beside the processor, as on Zynq, behind Linux's UIO and a reserved buffer. **Not yet run on hardware.**

``/dev/uio0`` is the engine: its map 0 are the registers, and reading and writing it is about the interrupt. Addresses
and sizes of maps are in ``/sys/class/uio/uio0/maps``. The memory that engine and processor share is one of two things.

- Map 1 of the same device, a reserved region of the device tree. UIO maps it without a cache.
- A buffer of the module u-dma-buf (https://github.com/ikwzm/udmabuf), ``/dev/udmabuf0``, whose address and size are in
  ``/sys/class/u-dma-buf/udmabuf0``. It is opened with O_SYNC and not mapped, but read and written: then the module
  flushes the processor's cache behind each write and invalidates it before each read, whatever its ``sync_mode`` is.
  (``sync_mode`` says what a mapping of a file opened with O_SYNC is: 0 cached, 1 uncached, 2 and 3 write-combined. A
  program that maps the buffer beside this one has to heed it.) Those flushes are also the barrier between what was
  written and the start of a run, since Python has no instruction for one. A buffer with ``dma_coherent`` = 1 needs no
  flush; there the registers that are written before CONTROL separate the two.

**Interrupts.** The line of the engine is level-triggered: it is high while a bit is set in IRQ_PENDING and in
IRQ_ENABLE. The kernel's driver ``uio_pdrv_genirq`` masks it each time that it fires and counts that; a read of 4 bytes
returns the count, and a write of the number 1 unmasks the line. So the order for each run is:

1. The line is low, since the end of the last run has been acknowledged in IRQ_PENDING. The run starts.
2. The program writes 1: the line is unmasked. When the run has ended already, the line is high, and the interrupt comes
   at once; so none is lost.
3. The program sleeps until the file can be read, and reads the count: the kernel has masked the line, which is still
   high; so it does not fire for ever.
4. The program clears IRQ_PENDING, and the line falls. It is unmasked no sooner than by the next run's step 2.

A count that is left from an interrupt that nobody waited for ends a sleep too early. Therefore STATUS.done says whether
the run has ended, and the program sleeps again if it has not.
"""

import mmap
import os
from contextlib import ExitStack
from pathlib import Path

from host.device.linux_device import LinuxDevice, Memory
from host.device.linux_files import (
    WORD_BYTES,
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
from host.update import Update, no_progress
from hw.registers.register_map import ADDR_BITS

__all__ = ["open_uio"]

_BUFFER_CLASSES = ("u-dma-buf", "udmabuf")
"""Folders of /sys/class for buffers, of the module's newer and older versions."""


def _map(maps: Path, number: int) -> tuple[int, int, int]:
    """Return physical address, bytes, and offset in the mapping of one of a UIO device's maps."""
    folder = maps / f"map{number}"
    begin = number_in(folder / "offset") if (folder / "offset").exists() else 0
    return number_in(folder / "addr") + begin, number_in(folder / "size") - begin, begin


def _reserved(uio: DeviceFile, maps: Path, base: int | None, update: Update, files: ExitStack) -> Memory:
    """Return the memory that is map 1 of the UIO device."""
    if not (maps / "map1").exists():
        raise UserError(f"{uio.path} has no map 1 for the memory: name a buffer, for example "
                        f"uio:{uio.path},buffer=/dev/udmabuf0")
    address, size, begin = _map(maps, 1)
    return files.enter_context(MappedMemory(uio, mmap.PAGESIZE, begin, size - size % WORD_BYTES,
                                            address if base is None else base, update))


def _buffer(path: Path, sysfs: Path, base: int | None, update: Update, files: ExitStack) -> Memory:
    """Return the memory that is a buffer of u-dma-buf."""
    folders = [sysfs / "class" / name / path.name for name in _BUFFER_CLASSES]
    folder = next((folder for folder in folders if folder.exists()), folders[0])
    file = files.enter_context(open_file(path, os.O_RDWR | os.O_SYNC))
    address, size = number_in(folder / "phys_addr"), number_in(folder / "size")
    address = address if base is None else base
    return FileMemory(file, file, address, size, address, update)


def open_uio(path: Path, buffer: Path | None = None, base: int | None = None, registers: int = 0, poll: bool = False,
             clock_hz: float | None = None, update: Update = no_progress, sysfs: Path = Path("/sys")
             ) -> LinuxDevice:
    """Open an engine.

    Parameters
    ----------
    path : Path
        The UIO device, such as ``/dev/uio0``.
    buffer : Path or None
        The file of a u-dma-buf, such as ``/dev/udmabuf0``; None for map 1 of the UIO device.
    base : int or None
        Address of the memory as the engine sees it; None where that is the physical address.
    registers : int
        Offset of the engine's registers in map 0.
    poll : bool
        Look at STATUS again and again, in place of waiting for the interrupt.
    clock_hz : float or None
        The engine's clock.
    update : callable
        Called with what is being done, the bytes done and the bytes in all.
    sysfs : Path
        Where sysfs is mounted.

    Raises
    ------
    UserError
        When a file is missing or cannot be opened or mapped, a map is too small, or another program uses the device.
    """
    with kept_open() as files:
        uio = files.enter_context(open_file(path, os.O_RDWR | os.O_SYNC, exclusive=True))
        maps = sysfs / "class" / "uio" / path.name / "maps"
        _, size, begin = _map(maps, 0)
        if size < registers + (1 << ADDR_BITS):
            raise UserError(f"map 0 of {path} has {size} bytes, too few for registers at {registers:#x}: name the "
                            "engine's UIO device, and where its registers lie")
        engine = files.enter_context(MappedRegisters(uio, 0, begin + registers, 1 << ADDR_BITS))
        memory = (_buffer(buffer, sysfs, base, update, files) if buffer
                  else _reserved(uio, maps, base, update, files))
        interrupt = None if poll else FileInterrupt(uio, masked=True)
        return LinuxDevice(engine, memory, interrupt, clock_hz, files)
