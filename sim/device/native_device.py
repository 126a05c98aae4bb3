"""The simulated system as one compiled program, clock, registers and memory included: the fast way to simulate.

The program is :file:`sim/device/native_harness.cpp` around what Verilator makes of :class:`sim.device.system.System`.
It receives commands from this end through a pipe. The memory is a sparse file without a name, which the program maps
and this end writes and reads. So an image is copied once, into that file, and takes no more room than its bytes. The
memory spans all addresses of the engine, where these are not too many, so that matrices of every size run on one build.
"""

import os
import select
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from time import monotonic
from types import TracebackType

from hw.config import EngineConfig
from hw.parts.axi import Resp
from sim.device.system import System
from sim.dram.memory import MAPPED_RAM
from sim.dram.presets import preset
from sim.tools.build import Build, build
from sim.tools.errors import SimulationError, require_within, unwritable

__all__ = ["NativeDevice"]

_HARNESS = Path(__file__).with_name("native_harness.cpp")
_MAX_MEMORY = 1 << 36
"""Bytes of memory that a device has at most if no size is given: 64 GiB, in which there is room for a layer of every
model. A program cannot map all of a wide address space, nor can a file be so large."""
_LAST_LINES = 12
"""Lines of the program's log that the message of its end quotes."""
_LINE_BYTES = 80
"""Bytes that a line of the program has at most."""
_ANSWER_SECONDS = 60.0
"""Seconds in which the program answers a command that lets hardly any cycle pass, on a machine with much else to do."""
_SLOWEST_HZ = 500
"""Cycles a second below which a program is taken for hung. The largest designs make some ten thousands."""
_LONGEST_SECONDS = 30 * 86_400.0
"""Seconds that any command may take."""
_ENDING_SECONDS = 5.0
"""Seconds in which a program ends that has closed its output."""


class NativeDevice:
    """An engine and its memory, simulated by Verilator without Python in the loop.

    Everything takes as many cycles as on :class:`sim.device.cocotb_device.SimDevice`, but for ``read_memory`` and
    ``write_memory``, which take none here.

    Parameters
    ----------
    config : EngineConfig
    memory : str
        Name of a memory preset.
    memory_bytes : int or None
        Size of the memory, a multiple of 4096. With None it spans all addresses from ``memory_base`` on, but 64 GiB at
        most.
    memory_base : int
        Address of the memory's first byte, a multiple of 4096.

    Attributes
    ----------
    config : EngineConfig
    dram : Dram
        The preset's timing.
    memory_base, memory_bytes : int
        Address of the memory's first byte, and its size.
    waves : None
        There is never a waveform.

    Raises
    ------
    sim.tools.errors.ToolError
        When the preset does not exist, Verilator or the compiler is missing or cannot build the design, or there is no
        place for the memory's file.
    """

    def __init__(self, config: EngineConfig, memory: str, memory_bytes: int | None = None, memory_base: int = 0
                 ) -> None:
        self.config, self.dram, self.memory_base = config, preset(memory), memory_base
        self.memory_bytes = memory_bytes or min((1 << config.addr_bits) - memory_base, _MAX_MEMORY)
        self.waves: None = None
        built = self._build()
        try:
            self._start(built.directory)
        except SimulationError:
            if built.product is None:
                raise
            # It is as it was built, and yet does not start, as after a change of the machine's libraries.
            self._log.unlink(missing_ok=True)
            built.product.discard()
            self._start(self._build().directory)

    def _build(self) -> Build:
        """The program's build, which is made first if need be."""
        return build(System, self.config, self.dram, self.memory_bytes, self.memory_base, simulator="verilator",
                     sources=(MAPPED_RAM,), fast=True, harness=_HARNESS)

    def _start(self, folder: Path) -> None:
        """Start the program; SimulationError when it does not answer."""
        self._folder = folder
        try:
            self._memory = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  closed by close()
            self._memory.truncate(self.memory_bytes)
            log, name = tempfile.mkstemp(dir=folder, prefix="run-", suffix=".log")
        except OSError as error:
            raise unwritable(folder, error) from None
        self._file, self._log, self._failed = self._memory.fileno(), Path(name), False
        self._waiting, self._received = False, b""
        with open(log, "wb") as stream:
            try:
                self._process = subprocess.Popen(
                    [folder / "top", str(self._file), str(self.memory_bytes)], pass_fds=(self._file,), bufsize=0,
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stream)
            except OSError as error:
                self._memory.close()
                raise SimulationError(f"the simulator {folder / 'top'} does not start ({error.strerror})") from None
        try:
            self._command("align", 0, 1)  # takes no time
        except BaseException:
            self.close()
            raise

    def _died(self) -> SimulationError:
        """The error that says why no answer was received; the log stays."""
        try:
            status, self._failed = self._process.wait(_ENDING_SECONDS), True
            how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        except subprocess.TimeoutExpired:
            self._process.kill()
            how, self._failed = "it closed its output", True
        tail = self._log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
        return SimulationError("\n".join([f"the simulator ended before its work was done ({how}); its last lines:",
                                          *tail, f"log: {self._log}"]))

    def _line(self, deadline: float) -> list[str]:
        """The words of the next line that the program prints; SimulationError unless it is there at the deadline."""
        assert self._process.stdout
        while b"\n" not in self._received:
            if not select.select([self._process.stdout], [], [], max(deadline - monotonic(), 0))[0]:
                self._process.kill()
                raise SimulationError("the simulator does not answer, and was ended: look at its load, and at whether "
                                      "the design still answers")
            part = os.read(self._process.stdout.fileno(), _LINE_BYTES)
            self._received += part
            if not part or len(self._received) > _LINE_BYTES:
                raise self._died()
        line, _, self._received = self._received.partition(b"\n")
        return line.decode(errors="replace").split()

    def _command(self, *command: object, cycles: int = 0) -> tuple[int, int]:
        """Send a command to the program, which lets at most so many cycles pass; returns the two numbers of its answer.

        Raises
        ------
        SimulationError
            When the program has ended, does not answer in time, or an earlier command was interrupted: then its answer
            would be taken for this one's.
        """
        assert self._process.stdin
        if self._waiting:
            self._process.kill()
            raise SimulationError("the simulator was interrupted in the middle of a command, and was ended: open the "
                                  "device once more")
        self._waiting = True
        try:
            os.write(self._process.stdin.fileno(), (" ".join(map(str, command)) + "\n").encode())
            response, value = self._line(monotonic() + min(_ANSWER_SECONDS + cycles / _SLOWEST_HZ, _LONGEST_SECONDS))
            answer = int(response), int(value)
        except (OSError, ValueError):  # a broken pipe; no two numbers
            self._waiting = False
            raise self._died() from None
        except SimulationError:
            self._waiting = False
            raise
        self._waiting = False
        return answer

    def _register(self, *command: object) -> int:
        """Send a command about a register; returns the value of the answer."""
        response, value = self._command(*command)
        if response != Resp.OKAY.value:
            raise SimulationError(f"register {command[1]:#x}: {Resp(response).name}")
        return value

    def read_register(self, offset: int) -> int:
        """The 32-bit register at byte ``offset``."""
        return self._register("read", offset)

    def write_register(self, offset: int, value: int) -> None:
        """Set the 32-bit register at byte ``offset``."""
        self._register("write", offset, value)

    def _place(self, address: int, count: int) -> int:
        """Where the ``count`` bytes at ``address`` begin in the memory's file; SimulationError unless it has them."""
        require_within(self.memory_base, self.memory_bytes, address, count)
        return address - self.memory_base

    def write_memory(self, address: int, content: bytes) -> None:
        """Put ``content`` (bytes, or anything with a buffer of them) at ``address``."""
        remaining = memoryview(content).cast("B")
        place = self._place(address, len(remaining))
        while remaining:
            try:
                written = os.pwrite(self._file, remaining, place)
            except OSError as error:  # the disk is full
                raise unwritable(self._folder, error) from None
            remaining, place = remaining[written:], place + written

    def read_memory(self, address: int, count: int) -> bytes:
        """``count`` bytes from ``address``."""
        place, content = self._place(address, count), bytearray()
        while len(content) < count:
            content += os.pread(self._file, count - len(content), place + len(content))
        return bytes(content)

    def align(self, phase: float) -> None:
        """Let simulated time pass until ``phase`` (0 to 1) of the interval between two refreshes.

        No time passes when the memory has no refreshes.
        """
        if interval := self.dram.refresh_interval:
            self._command("align", int(phase * interval), interval, cycles=interval)

    def wait(self, limit: int) -> bool:
        """Let up to ``limit`` cycles pass until the interrupt; True when there is one."""
        return bool(self._command("wait", limit, cycles=limit)[1])

    def close(self) -> None:
        """End the simulation."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream
            with suppress(OSError):  # what could not be sent cannot be flushed
                stream.close()
        self._memory.close()
        if not self._failed:
            self._log.unlink(missing_ok=True)  # as after `make clean` while it ran

    def __enter__(self) -> "NativeDevice":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()
