"""The host's end of the serial link against a board that is a dictionary and a bytearray, over a line that loses and
spoils bytes."""

import random
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from host.device.device import DeviceError
from host.device.serial_device import SerialDevice, open_serial
from host.errors import UserError
from hw.link.protocol import LINK_ID, MAX_WORDS, LinkCommand
from hw.registers.register_map import OFFSETS

MEMORY = 1 << 16


class FakePort:
    """A board behind a port; ``spoil`` may change what goes either way.

    A read that finds too few bytes gives them at once, as after a timeout.
    """

    name = "a port"

    def __init__(self, spoil: Callable[[bytes], bytes] = lambda data: data):
        self.spoil, self.answers, self.memory, self.registers = spoil, b"", bytearray(MEMORY), dict[int, int]()
        self.written: list[int] = []
        self.last: int | None = None
        self.link_id, self.cycles, self.broken = LINK_ID, 0, False

    def read(self, size: int) -> bytes:
        data, self.answers = self.answers[:size], self.answers[size:]
        return data

    def write(self, data: bytes) -> int:
        if self.broken:
            raise OSError("device disconnected")
        frame = self.spoil(data)
        if len(frame) >= 13 and frame[0] == 0xA5 and zlib.crc32(frame[1:-4]) == int.from_bytes(frame[-4:], "little"):
            sequence, command, count, address = struct.unpack("<BBHI", frame[1:9])
            status, payload = self.carry_out(sequence, LinkCommand(command), count, address, frame[9:-4])
            body = struct.pack("<BBH", sequence, status, len(payload) // 4) + payload
            self.answers += self.spoil(b"\x5a" + body + zlib.crc32(body).to_bytes(4, "little"))
        return len(data)

    def carry_out(self, sequence: int, command: LinkCommand, count: int, address: int, content: bytes
                  ) -> tuple[int, bytes]:
        if command is LinkCommand.IDENTIFY:
            self.cycles, self.last = self.cycles + 1000, None
            return 0, struct.pack("<4I", self.link_id, MEMORY, 100_000_000, self.cycles % (1 << 32))
        if command is LinkCommand.READ_REGISTER:
            return 0, self.registers.get(address, 0).to_bytes(4, "little")
        if command is LinkCommand.READ_MEMORY:
            return 0, bytes(self.memory[address:address + 4 * count])
        if command is LinkCommand.SUM_MEMORY:
            return 0, zlib.crc32(self.memory[address:address + 4 * count]).to_bytes(4, "little")
        if address + 4 * count > MEMORY:
            return 1, b""
        if sequence != self.last:
            self.last = sequence
            self.written.append(address)
            if command is LinkCommand.WRITE_REGISTER:
                self.registers[address] = int.from_bytes(content, "little")
            else:
                self.memory[address:address + 4 * count] = content
        return 0, b""

    def reset_input_buffer(self) -> None:
        self.answers = b""

    def close(self) -> None:
        pass


def test_registers_and_memory() -> None:
    port = FakePort()
    device = SerialDevice(port)
    assert (device.memory_bytes, device.clock_hz) == (MEMORY, 100_000_000)
    device.write_register(OFFSETS["ROWS"], 0x12345678)
    assert device.read_register(OFFSETS["ROWS"]) == 0x12345678
    content = random.Random(1).randbytes(4 * MAX_WORDS * 2 + 7)
    device.write_memory(64, content)
    assert bytes(port.memory[64:64 + len(content) + 1]) == content + b"\0"
    assert device.read_memory(64, len(content)) == content
    assert port.written[1:] == [64, 64 + 4 * MAX_WORDS, 64 + 8 * MAX_WORDS]
    assert device.repeated == 0


def test_a_line_that_loses_and_spoils_bytes() -> None:
    """Everything arrives all the same, and nothing is carried out twice."""
    rng = random.Random(2)

    def spoil(data: bytes) -> bytes:
        if rng.random() > 0.1:
            return data
        at = rng.randrange(len(data))
        return data[:at] + (b"" if rng.random() < 0.5 else bytes([data[at] ^ 1 << rng.randrange(8)])) + data[at + 1:]

    port = FakePort()
    device = SerialDevice(port)
    port.spoil = spoil
    content = rng.randbytes(64 * 40)
    for start in range(0, len(content), 64):
        device.write_memory(start, content[start:start + 64])
        device.write_register(OFFSETS["ROWS"], start)
        assert device.read_register(OFFSETS["ROWS"]) == start
        assert device.read_memory(start, 64) == content[start:start + 64]
    assert device.repeated > 10
    assert len(port.written) == 80


def test_waiting() -> None:
    port = FakePort()
    device = SerialDevice(port)
    assert not device.wait(50_000)
    assert 50_000 <= port.cycles <= 55_000
    port.registers[OFFSETS["STATUS"]] = 2
    assert device.wait(1)


def test_silence() -> None:
    with pytest.raises(DeviceError, match="no answer from a port to IDENTIFY after 6 tries: is the board plugged in"):
        SerialDevice(FakePort(lambda data: b""))


def test_another_design() -> None:
    port = FakePort()
    port.link_id = 0x12345678
    with pytest.raises(DeviceError, match="says 0x12345678 where one of this design has 0x5eedb0a1"):
        SerialDevice(port)


def test_unplugged() -> None:
    port = FakePort()
    device = SerialDevice(port)
    port.broken = True
    with pytest.raises(DeviceError, match="the serial port a port failed: device disconnected"):
        device.read_register(0)


def test_refused() -> None:
    device = SerialDevice(FakePort())
    with pytest.raises(DeviceError, match=f"the board refused WRITE_MEMORY at address {MEMORY - 4:#x}"):
        device.write_memory(MEMORY - 4, bytes(8))


def test_memory_that_forgets() -> None:
    class Forgetful(FakePort):
        def carry_out(self, *request: object) -> tuple[int, bytes]:
            self.memory[100] = 0
            return super().carry_out(*request)  # type: ignore[arg-type]

    with pytest.raises(DeviceError, match="does not hold what was written to it: 256 bytes at address 0x0 differ"):
        SerialDevice(Forgetful()).write_memory(0, b"\xFF" * 256)


def test_no_such_port(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot open the serial port .*nowhere .*: plug the board in"):
        open_serial(str(tmp_path / "nowhere"))
