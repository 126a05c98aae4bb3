"""The host's end of the serial link against a board that is a dictionary and a bytearray, over a line that loses and
spoils bytes."""

import os
import random
import select
import struct
import tty
import zlib
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from time import monotonic

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


def test_the_answer_to_an_earlier_request_is_none() -> None:
    """It comes late, whole, in front of the right one."""
    port = FakePort()
    device = SerialDevice(port)
    port.registers[OFFSETS["ROWS"]], port.registers[OFFSETS["BLOCKS"]] = 5, 7
    assert device.read_register(OFFSETS["ROWS"]) == 5
    body = struct.pack("<BBH", device._sequence, 0, 1) + (5).to_bytes(4, "little")
    late = b"\x5a" + body + zlib.crc32(body).to_bytes(4, "little")
    port.spoil = lambda data: late + data if data[:1] == b"\x5a" else data
    assert device.read_register(OFFSETS["BLOCKS"]) == 7
    assert device.repeated == 0


def test_a_clock_that_stands_still() -> None:
    class Still(FakePort):
        def carry_out(self, *request: object) -> tuple[int, bytes]:
            self.cycles = 0
            return super().carry_out(*request)  # type: ignore[arg-type]

    with pytest.raises(DeviceError, match="the clock of the board at a port stands still: load its bitstream again"):
        SerialDevice(Still()).wait(50_000)


class Talker(FakePort):
    """A board on a line on which something else talks without pause, and which loses and spoils bytes.

    What the other one says is random, or made to look like the beginnings of answers. A read never finds too few bytes.
    """

    def __init__(self, seed: int) -> None:
        self.rng, self.quiet = random.Random(seed), True
        self.faults = 0
        super().__init__(self.fault)

    def fault(self, data: bytes) -> bytes:
        if self.quiet or self.rng.random() > 0.04:  # six faults in a row would end in an error, as they should
            return data
        self.faults += 1
        at = self.rng.randrange(len(data))
        kinds = (b"", bytes([data[at] ^ 1 << self.rng.randrange(8)]), data[at:at + 1] * 2, self.noise(3), data[:at])
        return data[:at] + self.rng.choice(kinds) + data[at + 1:]

    def noise(self, size: int) -> bytes:
        noise = bytearray(self.rng.randbytes(size))
        if self.rng.random() < 0.5:
            for at in range(0, size - 4, 5):
                noise[at:at + 5] = struct.pack("<BBBH", 0x5A, self.rng.randrange(256), 0, self.rng.choice((0, 1, 1024)))
        return bytes(noise)

    def write(self, data: bytes) -> int:
        done = super().write(data)
        if not self.quiet:
            self.answers = self.noise(self.rng.randrange(30)) + self.answers + self.noise(self.rng.randrange(30))
        return done

    def read(self, size: int) -> bytes:
        if not self.quiet and len(self.answers) < size:
            self.answers += self.noise(2 * size)
        return super().read(size)


@pytest.mark.parametrize("count", [100, pytest.param(10_000, marks=pytest.mark.faults)])
def test_faults_with_a_talker_on_the_line(count: int) -> None:
    """Everything arrives all the same, and nothing is carried out twice."""
    port = Talker(3)
    device = SerialDevice(port, patience=0.02)
    port.quiet, writes = False, 0
    while port.faults < count:
        start = 64 * port.rng.randrange(MEMORY // 64)
        content = port.rng.randbytes(64)
        device.write_memory(start, content)
        device.write_register(OFFSETS["ROWS"], start)
        writes += 2
        assert device.read_register(OFFSETS["ROWS"]) == start
        assert device.read_memory(start, 64) == content
    assert device.repeated > count // 2
    assert len(port.written) == writes


def test_a_port_on_which_something_else_talks_without_pause() -> None:
    """A real terminal at whose other end there is no board: the device is given up, in a time that is bounded."""
    master, slave = os.openpty()
    tty.setraw(slave)
    talking, talker = True, Talker(4)

    def talk() -> None:
        os.set_blocking(master, False)
        while talking:
            try:
                os.write(master, talker.noise(512))
            except BlockingIOError:
                select.select([master], [master], [], 0.01)
                if select.select([master], [], [], 0)[0]:
                    os.read(master, 4096)

    thread = Thread(target=talk)
    thread.start()
    start = monotonic()
    try:
        with pytest.raises(DeviceError, match=r"no answer from /dev/pts/\d+ to IDENTIFY after 6 tries, only \d+ bytes "
                                              "of something else: is this the board's port, with nothing else on its"):
            SerialDevice(open_serial(os.ttyname(slave), 0.2), patience=0.2)
    finally:
        talking = False
        thread.join()
        os.close(slave)
        os.close(master)
    assert monotonic() - start < 6 * 2 * 0.2 + 5


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
