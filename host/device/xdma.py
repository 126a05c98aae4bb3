"""A PCIe card with Xilinx's DMA for PCI Express (PG195), behind the character devices of the driver ``xdma`` of
https://github.com/Xilinx/dma_ip_drivers. **Not yet run on hardware.**

For the card number 0 the driver makes these files:

- ``/dev/xdma0_user``: the BAR of the AXI4-Lite master, which is mapped; the engine's registers lie somewhere in it;
- ``/dev/xdma0_h2c_0`` and ``/dev/xdma0_c2h_0``: writing and reading at an offset moves bytes to and from the card's
  address of that number, which is also the engine's, by DMA;
- ``/dev/xdma0_events_0`` and up: a read of 4 bytes ends when the interrupt of that number has come since the last read.

The core sends its message when the interrupt's line rises. So the engine's line has to fall before a run starts, which
the driver's write to IRQ_PENDING sees to.
"""

import os
from pathlib import Path

from host.device.linux_device import LinuxDevice
from host.device.linux_files import FileInterrupt, FileMemory, MappedRegisters, kept_open, open_file
from host.errors import UserError
from host.update import Update, no_progress
from hw.registers.register_map import ADDR_BITS

__all__ = ["open_xdma"]

_MAX_OFFSET = 1 << 63
"""Offsets in files are below this."""


def open_xdma(path: Path, base: int = 0, size: int = 1 << 30, registers: int = 0, event: int = 0, poll: bool = False,
              clock_hz: float | None = None, update: Update = no_progress) -> LinuxDevice:
    """Open a card.

    Parameters
    ----------
    path : Path
        What the names of the card's files begin with, such as ``/dev/xdma0``.
    base, size : int
        Address and bytes of the card's memory that this program may use.
    registers : int
        Offset of the engine's registers in the BAR.
    event : int
        Number of the interrupt to which the engine's irq is connected.
    poll : bool
        Look at STATUS again and again. It is also done where there is no file of the interrupt.
    clock_hz : float or None
        The engine's clock.
    update : callable
        Called with what is being done, the bytes done and the bytes in all.

    Raises
    ------
    UserError
        When a file is missing or cannot be opened or mapped, or another program uses the card.
    """
    if base + size > _MAX_OFFSET:
        raise UserError(f"memory of {size} bytes at {base:#x} goes beyond the addresses of {path}_h2c_0: give a lower "
                        "base= or fewer bytes=")
    with kept_open() as files:
        user = files.enter_context(open_file(Path(f"{path}_user"), os.O_RDWR | os.O_SYNC, exclusive=True))
        engine = files.enter_context(MappedRegisters(user, 0, registers, 1 << ADDR_BITS))
        to_card = files.enter_context(open_file(Path(f"{path}_h2c_0"), os.O_WRONLY))
        from_card = files.enter_context(open_file(Path(f"{path}_c2h_0"), os.O_RDONLY))
        interrupt, events = None, Path(f"{path}_events_{event}")
        if not poll and events.exists():
            interrupt = FileInterrupt(files.enter_context(open_file(events, os.O_RDONLY)), masked=False)
        return LinuxDevice(engine, FileMemory(to_card, from_card, base, size, 0, update), interrupt, clock_hz,
                           files)
