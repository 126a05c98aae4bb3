"""A PCIe card that is files, with a simulated engine behind them; not yet hardware."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from golden.spec import SEEDLM4
from host import folders
from host.cli.main import main
from host.device import linux_device
from host.device.device import DeviceError
from host.device.driver import Driver
from host.device.xdma import open_xdma
from host.errors import UserError
from hw.config import EngineConfig
from hw.registers.register_map import DESCRIPTOR_REGISTERS, OFFSETS, START, Status
from sim.device.native_device import NativeDevice
from sim.device.random_operands import finite_halves, random_weights
from tests.host.device.fake_kernel import XdmaKernel, check_products

# As in tests/sim/device/test_native_device.py, so that one simulator serves both.
CONFIG = EngineConfig(SEEDLM4, 64, max_rows=256, max_cols=1024)


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """A card of files: 64 KB of registers, 1 MB of memory, and an interrupt."""
    path = tmp_path / "xdma0"
    Path(f"{path}_user").write_bytes(bytes(1 << 16))
    Path(f"{path}_h2c_0").write_bytes(bytes(1 << 20))
    Path(f"{path}_c2h_0").symlink_to(f"{path}_h2c_0")
    return path


@pytest.fixture
def kernel(card: Path) -> Iterator[XdmaKernel]:
    """A card with a simulated engine, and 4 GB of memory."""
    with NativeDevice(CONFIG, "ddr4-2400") as device, XdmaKernel(device, Path(f"{card}_events_2")) as running:
        for direction in ("h2c", "c2h"):
            Path(f"{card}_{direction}_0").unlink()
            running.link(Path(f"{card}_{direction}_0"))
        yield running


@pytest.mark.parametrize("poll", [False, True])
def test_products(poll: bool, card: Path, kernel: XdmaKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("host.device.xdma.MappedRegisters", kernel.registers)
    with open_xdma(card, size=1 << 32, event=2, poll=poll) as device:
        check_products(Driver(device, CONFIG), CONFIG)
    assert kernel.count == 4
    if poll:
        assert len(os.read(kernel.events, 100)) == 4 * 4  # nobody has read one


def test_runs_that_are_ended(card: Path, kernel: XdmaKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """One ends by a key press, one takes too long, and one was left by another program. Those after them are exact."""
    monkeypatch.setattr("host.device.xdma.MappedRegisters", kernel.registers)
    rng = np.random.default_rng(1)
    long = [(random_weights(SEEDLM4, 256, 1024, rng), finite_halves(rng, 1024)) for _ in range(9)]
    with open_xdma(card, size=1 << 32, event=2) as device:
        driver = Driver(device, CONFIG)
        with monkeypatch.context() as patch:
            patch.setattr(device, "wait", pressed)
            with pytest.raises(KeyboardInterrupt):
                driver.run(driver.load(*long))
        check_products(driver, CONFIG)
        with monkeypatch.context() as patch:
            patch.setattr(linux_device, "_SLACK", 0)
            patch.setattr("host.device.driver._CYCLES_PER_BEAT", 0)
            patch.setattr("host.device.driver._PATIENCE", 0)
            with pytest.raises(DeviceError, match="the chain of 9 products in seedlm4 did not end"):
                driver.run(driver.load(*long))
        check_products(driver, CONFIG)
        first = driver.load(*long).matrices[0]
        for name in DESCRIPTOR_REGISTERS:
            device.write_register(OFFSETS[name], first.words[name])
        device.write_register(OFFSETS["CONTROL"], START)
        assert Status.from_bits(device.read_register(OFFSETS["STATUS"])).busy
        check_products(Driver(device, CONFIG), CONFIG)


def pressed(limit: int) -> bool:
    """A wait that a key press ends."""
    raise KeyboardInterrupt


def test_the_command(card: Path, kernel: XdmaKernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                     capsys: pytest.CaptureFixture[str]) -> None:
    """The engine is what its registers say, and another format is refused."""
    monkeypatch.setattr("host.device.xdma.MappedRegisters", kernel.registers)
    monkeypatch.setattr(folders, "REPORTS", tmp_path / "build")
    name = f"xdma:{card},bytes=4G,event=2,mhz=200"
    assert ended(monkeypatch, name, "--rows", "40", "--cols", "72", "--runs", "2") in (0, None), capsys.readouterr().err
    printed = capsys.readouterr().out
    assert f"40x72on{name},200MHz" in "".join(printed.split()), "whatever the width of the terminal"
    report = json.loads((tmp_path / "build" / "run" / "seedlm4" / "report.json").read_text())
    row, = report["results"]
    assert row["bit_exact"]
    assert row["microseconds"] == pytest.approx(row["cycles"] / 200, abs=0.01)
    assert 0 < row["peak_fraction"] < 1
    assert row["frames_repeated"] is None
    assert ended(monkeypatch, name, "--format", "fp16") == 1
    assert "the device holds an engine for seedlm4: load the bitstream for fp16, or give" in capsys.readouterr().err


def ended(monkeypatch: pytest.MonkeyPatch, device: str, *arguments: str) -> Any:
    """Exit status of the command."""
    monkeypatch.setattr(sys, "argv", ["host", "run", "--device", device, *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code


def end_run(card: Path, registers: int) -> None:
    """Set STATUS.done in the file of the BAR."""
    with open(f"{card}_user", "r+b") as file:
        file.seek(registers + OFFSETS["STATUS"])
        file.write(b"\x02")


def test_files(card: Path) -> None:
    """Registers lie in the BAR from their offset on, memory at the card's addresses."""
    seen = list[tuple[str, float, float]]()
    with open_xdma(card, 4096, 1 << 16, 0x1000, update=lambda *done: seen.append(done)) as device:
        assert (device.memory_base, device.memory_bytes, device.clock_hz) == (4096, 1 << 16, None)
        device.write_register(OFFSETS["ROWS"], 20)
        device.write_memory(8192, b"content")
        assert device.read_memory(8192, 7) == b"content"
        with pytest.raises(UserError, match="another program uses the device"):
            open_xdma(card)
        end_run(card, 0x1000)
        assert device.wait(1)
    assert Path(f"{card}_user").read_bytes()[0x1000 + OFFSETS["ROWS"]] == 20
    assert Path(f"{card}_h2c_0").read_bytes()[8192:8199] == b"content"
    assert seen == [("load", 7, 7)]
    open_xdma(card).close()


@pytest.mark.parametrize("missing", ["user", "h2c_0", "c2h_0"])
def test_missing_files(missing: str, card: Path) -> None:
    Path(f"{card}_{missing}").unlink()
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(UserError, match=rf"cannot open .*xdma0_{missing} \(No such file or directory\): load its"):
        open_xdma(card)
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_does_not_fit(card: Path) -> None:
    with pytest.raises(UserError, match=r"cannot map 256 bytes at 0x10000 of .*xdma0_user"):
        open_xdma(card, registers=0x10000)
    with pytest.raises(UserError, match=r"memory of 1024 bytes at 0x7fffffffffffff00 goes beyond the addresses of .*"):
        open_xdma(card, base=(1 << 63) - 256, size=1024)


def test_an_interrupt_without_a_file_is_polled(card: Path) -> None:
    os.mkfifo(f"{card}_events_0")
    with open_xdma(card, event=1) as device:
        end_run(card, 0)
        assert device.wait(1)
