"""An engine behind UIO that is files, with a simulated engine behind them; not yet hardware."""

import mmap
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from golden.spec import FP16
from host.device.driver import Driver
from host.device.linux_files import DeviceFile, FileInterrupt
from host.device.uio import open_uio
from host.errors import UserError
from hw.config import EngineConfig
from hw.registers.register_map import OFFSETS
from sim.device.cocotb_device import open_device
from sim.device.native_device import NativeDevice
from tests.host.device.fake_kernel import UioKernel, check_products

BASE = 3 << 40
MEMORY = 1 << 20
# As in tests/sim/device/test_native_device.py, so that one simulator serves both.
CONFIG = EngineConfig(FP16, 32, addr_bits=48, max_rows=256, max_cols=1024)


def describe(folder: Path, **values: str) -> None:
    """Write files of sysfs."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in values.items():
        (folder / name).write_text(f"{value}\n")


@pytest.fixture
def uio(tmp_path: Path) -> Path:
    """A UIO device with a page of registers and, in the next page on, 1 MB of memory."""
    (tmp_path / "uio0").write_bytes(bytes(mmap.PAGESIZE + MEMORY))
    maps = tmp_path / "class" / "uio" / "uio0" / "maps"
    describe(maps / "map0", addr="0x00000000a0000000", size="0x0000000000001000", offset="0x0")
    describe(maps / "map1", addr=f"0x{BASE:016x}", size=f"0x{MEMORY:016x}")
    return tmp_path / "uio0"


@pytest.fixture
def buffer(tmp_path: Path) -> Path:
    """A buffer of u-dma-buf."""
    (tmp_path / "udmabuf0").write_bytes(bytes(MEMORY))
    describe(tmp_path / "class" / "u-dma-buf" / "udmabuf0", phys_addr=f"0x{BASE:016x}", size=str(MEMORY))
    return tmp_path / "udmabuf0"


@pytest.fixture
def kernel(buffer: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[UioKernel]:
    """A simulated engine, whose memory is the buffer."""
    with open_device(CONFIG, "ideal", MEMORY, "verilator", BASE) as device:
        assert isinstance(device, NativeDevice)
        with UioKernel(device) as running:
            buffer.unlink()
            running.link(buffer)
            monkeypatch.setattr("host.device.uio.MappedRegisters", running.registers)
            monkeypatch.setattr("host.device.uio.FileInterrupt", lambda file, masked: FileInterrupt(
                DeviceFile(file.path, running.program.fileno()), masked))
            yield running


@pytest.mark.parametrize("poll", [False, True])
def test_products(poll: bool, uio: Path, buffer: Path, kernel: UioKernel) -> None:
    """Memory is above 2**40; every run has one interrupt, or a stale one more."""
    with open_uio(uio, buffer, poll=poll, sysfs=uio.parent) as device:
        assert (device.memory_base, device.memory_bytes) == (BASE, MEMORY)
        check_products(Driver(device, CONFIG), CONFIG)
    if poll:
        assert kernel.count == 1  # nobody unmasked it
    else:
        assert 4 <= kernel.count <= 8
    assert kernel.masked
    assert not kernel.high


@pytest.mark.parametrize("where", ["map", "buffer"])
def test_files(where: str, uio: Path, buffer: Path) -> None:
    """Registers lie in map 0 from their offset on, and memory in map 1 or in a buffer."""
    kept = buffer if where == "buffer" else uio
    place = 4096 if where == "buffer" else mmap.PAGESIZE + 4096
    with open_uio(uio, buffer if where == "buffer" else None, registers=0x80, poll=True, sysfs=uio.parent,
                  clock_hz=5e7) as device:
        assert (device.memory_base, device.memory_bytes, device.clock_hz) == (BASE, MEMORY, 5e7)
        device.write_register(OFFSETS["ROWS"], 20)
        device.write_memory(BASE + 4096, b"contents")
        assert device.read_memory(BASE + 4096, 8) == b"contents"
        with pytest.raises(UserError, match="another program uses the device"):
            open_uio(uio, sysfs=uio.parent)
        with open(uio, "r+b") as file:
            file.seek(0x80 + OFFSETS["STATUS"])
            file.write(b"\x02")
        assert device.wait(1)
    assert uio.read_bytes()[0x80 + OFFSETS["ROWS"]] == 20
    assert kept.read_bytes()[place:place + 8] == b"contents"


def test_where_the_engine_sees_its_memory(uio: Path, buffer: Path) -> None:
    for given in (None, buffer):
        with open_uio(uio, given, base=1 << 20, poll=True, sysfs=uio.parent) as device:
            device.write_memory(1 << 20, b"contents")
            assert device.read_memory((1 << 20) + 4, 4) == b"ents"
    assert uio.read_bytes()[mmap.PAGESIZE:][:8] == buffer.read_bytes()[:8] == b"contents"


def test_maps_that_begin_within_a_page(uio: Path) -> None:
    """The kernel rounds such a map to pages, and says where in them it begins."""
    maps = uio.parent / "class" / "uio" / "uio0" / "maps"
    describe(maps / "map0", offset="0x800")
    describe(maps / "map1", offset="0x40")
    with open_uio(uio, poll=True, sysfs=uio.parent) as device:
        assert (device.memory_base, device.memory_bytes) == (BASE + 64, MEMORY - 64)
        device.write_register(OFFSETS["ROWS"], 21)
        device.write_memory(BASE + 64, b"contents")
    content = uio.read_bytes()
    assert content[0x800 + OFFSETS["ROWS"]] == 21
    assert content[mmap.PAGESIZE + 64:][:8] == b"contents"


def test_an_older_u_dma_buf(uio: Path, buffer: Path) -> None:
    (uio.parent / "class" / "u-dma-buf").rename(uio.parent / "class" / "udmabuf")
    open_uio(uio, buffer, sysfs=uio.parent).close()


def test_a_cache_is_kept_coherent(uio: Path, buffer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of memory are opened with O_SYNC, which u-dma-buf and UIO ask for."""
    flags, opened = dict[str, int](), os.open

    def noted(path: Path, flag: int) -> int:
        flags[Path(path).name] = flag
        return opened(path, flag)

    monkeypatch.setattr(os, "open", noted)
    open_uio(uio, buffer, sysfs=uio.parent).close()
    assert all(flag & os.O_SYNC for flag in flags.values())
    assert set(flags) == {"uio0", "udmabuf0"}


@pytest.mark.parametrize(("missing", "message"), [
    ("uio0", r"cannot open .*uio0 \(No such file or directory\): load its driver"),
    ("udmabuf0", r"cannot open .*udmabuf0 \(No such file or directory\): load its driver"),
    ("class/uio/uio0/maps/map0/size", r"cannot read a number in .*map0/size .*: load the device's driver"),
    ("class/uio/uio0/maps/map0/addr", r"cannot read a number in .*map0/addr"),
    ("class/u-dma-buf/udmabuf0/phys_addr", r"cannot read a number in .*u-dma-buf/udmabuf0/phys_addr"),
    ("class/u-dma-buf/udmabuf0/size", r"cannot read a number in .*udmabuf0/size")])
def test_missing_files(missing: str, message: str, uio: Path, buffer: Path) -> None:
    (uio.parent / missing).unlink()
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(UserError, match=message):
        open_uio(uio, buffer, sysfs=uio.parent)
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_does_not_fit(uio: Path, buffer: Path) -> None:
    maps = uio.parent / "class" / "uio" / "uio0" / "maps"
    with pytest.raises(UserError, match=r"map 0 of .*uio0 has 4096 bytes, too few for registers at 0xf80: name the"):
        open_uio(uio, buffer, registers=0xF80, sysfs=uio.parent)
    describe(maps / "map1", size="0x200000")
    with pytest.raises(UserError, match=r"cannot map 2097152 bytes at 0x0 of .*uio0"):
        open_uio(uio, sysfs=uio.parent)
    for file in (maps / "map1").iterdir():
        file.unlink()
    (maps / "map1").rmdir()
    with pytest.raises(UserError, match=r"uio0 has no map 1 for the memory: name a buffer, for example uio:.*uio0,buf"):
        open_uio(uio, sysfs=uio.parent)
