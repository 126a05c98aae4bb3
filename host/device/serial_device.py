"""A board at the end of a serial line, as a device: the host's side of :mod:`hw.link.protocol`.

There is one request at a time. A request without a correct answer is sent again, and the board carries none out twice.
Whatever is written to memory is verified by a checksum that the board computes.
"""

import struct
import zlib
from contextlib import suppress
from time import monotonic
from types import TracebackType
from typing import Protocol

import serial

from host.device.device import DeviceError
from host.device.identity import fields_of
from host.errors import UserError
from host.update import Update, no_progress
from hw.boards.board_system import BAUD
from hw.link.protocol import (
    IDENTITY,
    LINK_ID,
    MAX_WORDS,
    START_REQUEST,
    START_RESPONSE,
    WORD_BYTES,
    LinkCommand,
    LinkStatus,
)
from hw.registers.register_map import OFFSETS, Status
from hw.sdram.part import DATA_BITS

__all__ = ["Port", "SerialDevice", "open_serial"]

TRIES = 6
"""Times that a request is sent before the board is given up."""
PATIENCE = 1.0
"""Seconds to wait for a whole answer before the request is sent again. The longest frame takes much less."""
SUM_WORDS = 1 << 14
"""Words of memory in one checksum."""
_RESPONSE = struct.Struct("<BBH")
_LEAST = 1 + _RESPONSE.size + WORD_BYTES
"""Bytes of the shortest answer: start, header and checksum."""
_STILL = 8
"""Times that a board may say the same number of cycles before its clock is taken for stopped."""


class Port(Protocol):
    """What is used of a ``serial.Serial``."""

    name: str

    def read(self, size: int) -> bytes:
        """Return ``size`` bytes, or fewer after a timeout."""

    def write(self, data: bytes) -> int | None:
        """Send all bytes."""

    def reset_input_buffer(self) -> None:
        """Discard the bytes that have been received."""

    def close(self) -> None:
        """Release the port."""


def open_serial(path: str, patience: float = PATIENCE) -> Port:
    """Open the serial port at ``path``.

    Raises
    ------
    UserError
        When there is no such port, another program uses it, or this user may not open it.
    """
    try:
        port = serial.Serial(path, BAUD, timeout=patience, write_timeout=10 * patience, exclusive=True)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot open the serial port {path} ({error}): plug the board in, and name its port, for "
                        "example serial:/dev/ttyUSB0") from None
    with suppress(OSError, ValueError, NotImplementedError, AttributeError):
        port.set_low_latency_mode(True)  # makes short answers faster; not every adapter has it
    return port


class SerialDevice:
    """The device protocol of :mod:`host.device.device` over a port.

    Parameters
    ----------
    port : Port
    update : callable
        Called with what is being done, the bytes done and the bytes in all, for a progress display.
    patience : float
        Seconds to wait for a whole answer before the request is sent again.

    Members
    -------
    memory_base, memory_bytes, clock_hz : int
        Where the board's memory begins, which is at 0, its size, and the frequency of its engine's clock.
    repeated : int
        Requests that had to be sent again.
    peak_bytes : int
        Bytes that the SDRAM's pins carry in a cycle.

    Raises
    ------
    DeviceError
        When nobody answers, or what answers is no board of this design.
    """

    peak_bytes = DATA_BITS // 8

    def __init__(self, port: Port, update: Update = no_progress, patience: float = PATIENCE) -> None:
        self._port, self._update, self._patience, self._sequence, self.repeated = port, update, patience, 0, 0
        self._strange = 0  # bytes received since the request that are no answer
        identity = self._identity()
        if identity["LINK_ID"] != LINK_ID:
            raise DeviceError(f"the board at {port.name} says {identity['LINK_ID']:#010x} where one of this design has "
                              f"{LINK_ID:#010x}: load a bitstream of this version")
        self.memory_base, self.memory_bytes, self.clock_hz = 0, identity["MEMORY_BYTES"], identity["CLOCK_HZ"]

    def _receive(self) -> tuple[int, bytes] | None:
        """Return status and payload of the answer to the last request, or None when there is none in time.

        It may lie anywhere in what is received, also behind a byte that looks like its start. There is one deadline
        for all of it, so that a port on which something else talks without pause is given up like a silent one.
        """
        deadline, received = monotonic() + self._patience, bytearray()
        starts = list[int]()  # where an answer may begin
        while monotonic() < deadline:
            ends = [self._end(received, start) for start in starts]
            # No more is asked for than the first of these answers lacks: a board sends nothing after its answer.
            part = self._port.read(min(ends, default=len(received) + _LEAST) - len(received))
            self._strange += len(part)
            if not part:
                return None
            starts += [len(received) + n for n, byte in enumerate(part) if byte == START_RESPONSE]
            received += part
            starts = [start for start in starts if received[start + 1:start + 2] in (b"", bytes([self._sequence]))]
            for start in starts.copy():
                end = self._end(received, start)
                if end <= len(received):
                    body, check = received[start + 1:end - WORD_BYTES], received[end - WORD_BYTES:end]
                    if zlib.crc32(body) == int.from_bytes(check, "little"):
                        return body[1], bytes(body[_RESPONSE.size:])
                    starts.remove(start)
        return None

    @staticmethod
    def _end(received: bytearray, start: int) -> int:
        """Return where the answer that begins at ``start`` ends, at least, as far as its header is there."""
        header = received[start + 1:start + 1 + _RESPONSE.size]
        words = _RESPONSE.unpack(header)[2] if len(header) == _RESPONSE.size else 0
        # An answer of more words than any request may ask for is none.
        return start + _LEAST + WORD_BYTES * (words if words <= MAX_WORDS else 0)

    def _exchange(self, command: LinkCommand, words: int, address: int = 0, content: bytes = b"") -> bytes:
        """Send a request until it is answered, and return the payload of the answer.

        Parameters
        ----------
        words : int
            Words of memory or registers that the request is about, unless it carries ``content``.
        address : int
            Byte address of the first.

        Raises
        ------
        DeviceError
            When the port fails, no correct answer comes, or the board refuses the request.
        """
        self._sequence, self._strange = (self._sequence + 1) % 256, 0
        carried = len(content) // WORD_BYTES
        body = struct.pack("<BBHI", self._sequence, command.value, carried or words, address) + content
        frame = bytes([START_REQUEST]) + body + zlib.crc32(body).to_bytes(4, "little")
        try:
            for attempt in range(TRIES):
                self._port.reset_input_buffer()
                self._port.write(frame)
                if answer := self._receive():
                    self.repeated += attempt
                    return self._payload(answer, command, address, 0 if carried else words)
        except OSError as error:
            raise DeviceError(f"the serial port {self._port.name} failed: {error}") from None
        if self._strange > _LEAST * TRIES:
            raise DeviceError(f"no answer from {self._port.name} to {command.name} after {TRIES} tries, only "
                              f"{self._strange} bytes of something else: is this the board's port, with nothing else "
                              "on its line, and its bitstream of this version?")
        raise DeviceError(f"no answer from {self._port.name} to {command.name} after {TRIES} tries: is the board "
                          "plugged in, its bitstream loaded, and this its port?")

    def _payload(self, answer: tuple[int, bytes], command: LinkCommand, address: int, words: int) -> bytes:
        """Return the payload of an answer. DeviceError when it is a refusal or has not the expected length."""
        status, payload = answer
        if status != LinkStatus.DONE.value:
            raise DeviceError(f"the board refused {command.name} at address {address:#x}")
        expected = 1 if command is LinkCommand.SUM_MEMORY else words
        if len(payload) != WORD_BYTES * expected:
            raise DeviceError(f"the board answered {command.name} with {len(payload)} bytes: load a bitstream of this "
                              "version")
        return payload

    def _identity(self) -> dict[str, int]:
        """Return what the board says about itself: the words of :data:`hw.link.protocol.IDENTITY`, by name."""
        payload = self._exchange(LinkCommand.IDENTIFY, len(IDENTITY))
        return dict(zip(IDENTITY, struct.unpack(f"<{len(IDENTITY)}I", payload), strict=True))

    def read_register(self, offset: int) -> int:
        """Return the 32-bit register at this byte offset."""
        return int.from_bytes(self._exchange(LinkCommand.READ_REGISTER, 1, offset), "little")

    def write_register(self, offset: int, value: int) -> None:
        """Set the 32-bit register at this byte offset."""
        self._exchange(LinkCommand.WRITE_REGISTER, 0, offset, value.to_bytes(WORD_BYTES, "little"))

    def write_memory(self, address: int, content: bytes) -> None:
        """Write bytes to memory from ``address`` on, which is a multiple of a word, and verify them.

        Zeros fill up the last word.

        Raises
        ------
        DeviceError
            When memory does not hold what was written, or the board does not answer.
        """
        padded = content + bytes(-len(content) % WORD_BYTES)
        step = WORD_BYTES * MAX_WORDS
        for start in range(0, len(padded), step):
            self._exchange(LinkCommand.WRITE_MEMORY, 0, address + start, padded[start:start + step])
            self._update("load", min(start + step, len(content)), len(content))
        step = WORD_BYTES * SUM_WORDS
        for start in range(0, len(padded), step):
            part = padded[start:start + step]
            found = self._exchange(LinkCommand.SUM_MEMORY, len(part) // WORD_BYTES, address + start)
            if int.from_bytes(found, "little") != zlib.crc32(part):
                raise DeviceError(f"the board's memory does not hold what was written to it: {len(part)} bytes at "
                                  f"address {address + start:#x} differ")
            self._update("verify", min(start + step, len(content)), len(content))

    def read_memory(self, address: int, count: int) -> bytes:
        """Read ``count`` bytes of memory from ``address`` on, which is a multiple of a word."""
        content = bytearray()
        while len(content) < count:
            words = min(MAX_WORDS, -(-(count - len(content)) // WORD_BYTES))
            content += self._exchange(LinkCommand.READ_MEMORY, words, address + len(content))
        return bytes(content[:count])

    def wait(self, limit: int) -> bool:
        """Wait for the end of a run, for at most ``limit`` cycles that the board counts; return whether it came."""
        waited, before, still = 0, self._identity()["CYCLES"], 0
        while True:
            status = fields_of("STATUS", Status, self.read_register(OFFSETS["STATUS"]))
            if status.done:
                return True
            if waited >= limit:
                return False
            now = self._identity()["CYCLES"]
            still = still + 1 if now == before else 0
            if still == _STILL:
                raise DeviceError(f"the clock of the board at {self._port.name} stands still: load its bitstream again")
            waited, before = waited + (now - before) % (1 << 32), now

    def close(self) -> None:
        """Release the port."""
        self._port.close()

    def __enter__(self) -> "SerialDevice":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()
