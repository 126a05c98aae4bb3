"""A whole board, simulated from the pins of its serial line to those of its SDRAM, under the host's commands."""

import json
import os
import random
import sys
import tty
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from golden.product import product
from golden.spec import SEEDLM4
from host import folders
from host.cli.main import main
from host.device.device import DeviceError
from host.device.driver import Driver
from host.device.serial_device import SerialDevice, open_serial
from host.errors import UserError
from hw.boards.board_system import engine_config
from hw.link.protocol import LinkCommand
from hw.registers.register_map import OFFSETS, START, Status
from hw.sdram.part import MT48LC16M16A2_75
from sim.board.board_device import BoardSimulation
from sim.device.random_operands import random_matrix

PART = replace(MT48LC16M16A2_75, row_bits=6, power_up_us=5)
CONFIG = engine_config(SEEDLM4, PART.size_bytes)
PATIENCE = 20.0
DONE = 2


@pytest.fixture
def board() -> Iterator[BoardSimulation]:
    """A board for seedlm4 with a small SDRAM, whose checks have to hold to the end."""
    with BoardSimulation(SEEDLM4, PART, 100_000_000, 4) as simulation:
        yield simulation
        assert simulation.running, simulation.close()


def ended(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    """Exit status of a command."""
    monkeypatch.setattr(sys, "argv", ["host", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code


def test_run(board: BoardSimulation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """The command, its report, and the speed-up over an earlier run; then the wrong bitstream."""
    monkeypatch.setattr(folders, "REPORTS", tmp_path)
    (tmp_path / "run" / "fp16").mkdir(parents=True)
    (tmp_path / "run" / "fp16" / "report.json").write_text(
        json.dumps({"results": [{"rows": 40, "cols": 72, "cycles": 6000}]}))
    common = ("run", "--device", f"serial:{board.path},patience={PATIENCE}", "--rows", "40", "--cols", "72",
              "--runs", "2")
    assert ended(monkeypatch, *common) in (0, None), capsys.readouterr().err
    row, = json.loads((tmp_path / "run" / "seedlm4" / "report.json").read_text())["results"]
    assert row["bit_exact"]
    assert row["speedup"] == 6000 / row["cycles"]
    assert row["clock_mhz"] == 100
    # Two cycles a word, both ways, and little more.
    assert row["bytes"] // 2 <= row["cycles"] <= row["bytes"] // 2 + 250
    assert ended(monkeypatch, *common, "--format", "fp16") == 1
    assert "the device holds an engine for seedlm4: load the bitstream for fp16, or give" in capsys.readouterr().err


class SpoiltPort:
    """A port that loses and spoils bytes both ways."""

    def __init__(self, path: str, chance: float):
        self._port, self._chance, self._random = open_serial(path, 1.0), chance, random.Random(1)
        self.name, self.close, self.reset_input_buffer = path, self._port.close, self._port.reset_input_buffer

    def _spoil(self, data: bytes) -> bytes:
        if not data or self._random.random() >= self._chance:
            return data
        at = self._random.randrange(len(data))
        kept = b"" if self._random.random() < 0.5 else bytes([data[at] ^ 1 << self._random.randrange(8)])
        return data[:at] + kept + data[at + 1:]

    def read(self, size: int) -> bytes:
        return self._spoil(self._port.read(size))

    def write(self, data: bytes) -> int | None:
        return self._port.write(self._spoil(data))


def test_a_bad_line(board: BoardSimulation) -> None:
    """Requests and answers that are lost or spoilt are sent again, and the result is golden's."""
    device = SerialDevice(SpoiltPort(board.path, 0.03))
    weights = random_matrix(SEEDLM4, 24, 40, np.random.default_rng(1))
    x = np.random.default_rng(2).standard_normal(40).astype(np.float16)
    found = Driver(device, CONFIG).multiply(weights, x)
    assert np.array_equal(found.y.view(np.uint32), product(weights, x).view(np.uint32))
    assert device.repeated > 0


def test_a_repeated_write_is_carried_out_once(board: BoardSimulation) -> None:
    """The answer to a write is lost; meanwhile what it wrote has changed."""
    device = SerialDevice(open_serial(board.path, PATIENCE))
    device.write_register(OFFSETS["ROWS"], 1)
    device.write_register(OFFSETS["ROWS"], 2)
    device._sequence -= 1
    device._exchange(LinkCommand.WRITE_REGISTER, 0, OFFSETS["ROWS"], bytes([3, 0, 0, 0]))
    assert device.read_register(OFFSETS["ROWS"]) == 2
    device._exchange(LinkCommand.WRITE_REGISTER, 0, OFFSETS["ROWS"], bytes([4, 0, 0, 0]))
    assert device.read_register(OFFSETS["ROWS"]) == 4


def test_memory_during_a_run(board: BoardSimulation) -> None:
    """The host reads and writes memory while the engine does, and neither disturbs the other."""
    device = SerialDevice(open_serial(board.path, PATIENCE))
    driver = Driver(device, CONFIG)
    weights = random_matrix(SEEDLM4, 100, 256, np.random.default_rng(1))
    x = np.random.default_rng(2).standard_normal(256).astype(np.float16)
    loaded, content = driver.load((weights, x)), random.Random(4).randbytes(400)
    driver.run(loaded)  # leaves the registers set
    placed, free = loaded.matrices[0], PART.size_bytes - 4096
    device.write_memory(placed.address("RESULT_ADDR"), bytes(400))
    device.write_register(OFFSETS["CONTROL"], START)
    device.write_memory(free, content)
    assert device.read_memory(free, 400) == content
    assert device.wait(100_000)
    assert device.read_memory(placed.address("RESULT_ADDR"), 400) == product(weights, x).astype("<f4").tobytes()
    assert Status.from_bits(device.read_register(OFFSETS["STATUS"])).as_bits() == DONE


def test_memory_and_what_is_refused(board: BoardSimulation) -> None:
    device = SerialDevice(open_serial(board.path, PATIENCE))
    assert device.memory_bytes == PART.size_bytes
    content = random.Random(3).randbytes(5000)
    end = PART.size_bytes - len(content)
    device.write_memory(end, content)
    assert device.read_memory(end, len(content)) == content
    for address in (PART.size_bytes - 4, 2):
        with pytest.raises(DeviceError, match=f"the board refused WRITE_MEMORY at address {address:#x}"):
            device.write_memory(address, bytes(8))
    for offset in (OFFSETS["WRITE_BEATS"] + 4, 1 << 8):
        with pytest.raises(DeviceError, match=f"the board refused READ_REGISTER at address {offset:#x}"):
            device.read_register(offset)
    with pytest.raises(DeviceError, match="the board refused WRITE_REGISTER"):
        device.write_register(OFFSETS["ID"], 0)
    weights = random_matrix(SEEDLM4, 1024, 512, np.random.default_rng(1))
    with pytest.raises(UserError, match=r"a matrix of 1024 x 512 needs .* bytes of memory; the device has 262144"):
        Driver(device, CONFIG).load((weights, np.ones(512, np.float16)))


def test_a_silent_board(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    master, slave = os.openpty()
    tty.setraw(slave)
    try:
        path = os.ttyname(slave)
        assert ended(monkeypatch, "run", "--device", f"serial:{path},patience=0.02") == 1
        assert f"no answer from {path} to IDENTIFY" in capsys.readouterr().err
    finally:
        os.close(master)
        os.close(slave)


@pytest.mark.parametrize(("arguments", "message"), [
    (("--device", "usb"), "unknown device 'usb': give one such as serial:/dev/ttyUSB0, xdma:/dev/xdma0, uio:/dev/uio0"),
    (("--device", "serial:/nowhere"), "cannot open the serial port /nowhere"),
    (("--device", "serial:/nowhere", "--format", "fp8"), "unknown format 'fp8': use fp16, int8"),
    (("--device", "serial:/nowhere", "--baseline", "/nowhere"), "there is no report /nowhere"),
])
def test_mistakes(arguments: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    assert ended(monkeypatch, "run", *arguments) == 2
    assert message in capsys.readouterr().err
