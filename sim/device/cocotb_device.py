"""The simulated system as a device: registers, memory and an interrupt, like a board's.

:class:`SimDevice` is for Icarus and for waveforms. Its simulator is a process of its own that runs
:mod:`sim.device.serve` under cocotb; this end sends it commands. All else runs on
:class:`~sim.device.native_device.NativeDevice`.
"""

import multiprocessing
import shutil
import tempfile
from contextlib import suppress
from multiprocessing.connection import Client, Connection, wait
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any

from golden.processes import away_from_keys, end_trees
from golden.tree import BUILD
from hw.config import EngineConfig
from sim.device.native_device import NativeDevice
from sim.device.system import System
from sim.dram.memory import RAM
from sim.dram.presets import preset
from sim.tools.build import build, waves_wanted
from sim.tools.errors import SimulationError, require_within
from sim.tools.run import run

__all__ = ["SimDevice", "SimulatedDevice", "open_device"]

_MIN_MEMORY = 1 << 20
"""Bytes of the smallest memory that is simulated."""
_LAST_LINES = 12
"""Lines of the simulator's log that the message of its end quotes."""
_ANSWER_SECONDS = 300.0
"""Seconds in which the simulator starts, or answers a command that lets hardly any cycle pass."""
_SLOWEST_HZ = 20
"""Cycles a second below which a simulator is taken for hung. Icarus makes some hundreds of a large design."""
_LONGEST_SECONDS = 30 * 86_400.0
"""Seconds that any command may take."""
_ENDING_SECONDS = 60.0
"""Seconds in which the simulator ends that is told so, and has written its waveform."""


class SimDevice:
    """An engine and its memory in a simulator under cocotb.

    Parameters
    ----------
    config : EngineConfig
    memory : str
        Name of a memory preset.
    memory_bytes : int
        Memory needed; the simulated one has this size or more, as far as the engine's addresses reach.
    simulator : str
        ``verilator`` or ``icarus``.
    memory_base : int
        Address of the memory's first byte, a multiple of 4096.

    Attributes
    ----------
    config : EngineConfig
    dram : Dram
        The preset's timing.
    simulator : str
    memory_base, memory_bytes : int
        Address of the simulated memory's first byte, and its size.
    waves : Path or None
        The folder in which the waveform is left when the device is closed, if the environment variable ``WAVES=1``
        asks for one.

    Raises
    ------
    sim.tools.errors.ToolError
        When the preset does not exist, or the simulator is missing or cannot build the design.
    """

    def __init__(self, config: EngineConfig, memory: str, memory_bytes: int, simulator: str, memory_base: int = 0
                 ) -> None:
        self.config, self.dram, self.simulator, self.memory_base = config, preset(memory), simulator, memory_base
        # Few sizes, so that few simulators are built.
        self.memory_bytes = min(max(_MIN_MEMORY, 1 << (memory_bytes - 1).bit_length()),
                                (1 << config.addr_bits) - memory_base)
        built = build(System, config, self.dram, self.memory_bytes, memory_base, simulator=simulator, sources=(RAM,),
                      fast=True)
        self._built = built.directory
        self.waves: Path | None = None
        if built.waves:
            self.waves = BUILD / "waves" / f"{config.name.replace(',', '_')}-{config.bus_bits}-{memory}-{simulator}"
        self._scratch = tempfile.TemporaryDirectory(prefix="seedlm-", ignore_cleanup_errors=True)
        self._log = Path(self._scratch.name) / "run.log"
        address = str(Path(self._scratch.name) / "socket")
        self._process = multiprocessing.get_context("spawn").Process(
            target=run, args=(built, "sim.device.serve", (address, config.bus_bytes)),
            kwargs={"directory": Path(self._scratch.name)}, daemon=True)
        self._waiting = False
        try:
            with away_from_keys():
                self._process.start()
            self._connection = self._connect(address)
        except BaseException:
            self._end()
            self._scratch.cleanup()
            raise

    def _died(self) -> SimulationError:
        """The error that says why no answer was received."""
        log = self._log.read_text().splitlines()[-_LAST_LINES:] if self._log.exists() else []
        return SimulationError("\n".join([f"{self.simulator} ended before its work was done; its last lines:", *log]))

    def _connect(self, address: str) -> Connection:
        """Join the server; it opens its socket once the simulated reset is over."""
        deadline = monotonic() + _ANSWER_SECONDS
        while self._process.is_alive():
            try:
                return Client(address)
            except (FileNotFoundError, ConnectionRefusedError):
                self._process.join(timeout=0.02)
                if monotonic() > deadline:
                    raise self._silent() from None
        raise self._died()

    def _silent(self) -> SimulationError:
        """The error that says that no answer came in time; the simulator is ended."""
        self._end()
        return SimulationError(f"{self.simulator} does not answer, and was ended: look at the machine's load, and at "
                               "whether the design still answers")

    def _end(self) -> None:
        """End the simulator, and all that it has started."""
        if self._process.pid is not None:
            end_trees({self._process.pid})
            self._process.join()

    def _command(self, *command: Any, cycles: int = 0) -> Any:
        """Send a command to the server, its name and its arguments; returns the answer.

        Parameters
        ----------
        cycles : int
            Cycles that the command lets pass, at most.

        Raises
        ------
        SimulationError
            When the simulator has ended, does not answer in time, or says that the command failed; and when an earlier
            command was interrupted, whose answer would be taken for this one's.
        """
        if self._waiting:
            self._end()
            raise SimulationError("the simulator was interrupted in the middle of a command, and was ended: open the "
                                  "device once more")
        self._waiting = True
        try:
            self._connection.send(command)
            seconds = min(_ANSWER_SECONDS + cycles / _SLOWEST_HZ, _LONGEST_SECONDS)
            ready = wait([self._connection, self._process.sentinel], seconds)
            if not ready:
                raise self._silent()
            if self._connection not in ready:
                raise self._died()
            okay, answer = self._connection.recv()
        except (EOFError, OSError):
            self._waiting = False
            raise self._died() from None
        except SimulationError:
            self._waiting = False
            raise
        self._waiting = False
        if not okay:
            raise SimulationError(answer)
        return answer

    def read_register(self, offset: int) -> int:
        """The 32-bit register at byte ``offset``."""
        return self._command("read_register", offset)

    def write_register(self, offset: int, value: int) -> None:
        """Set the 32-bit register at byte ``offset``."""
        self._command("write_register", offset, value)

    def write_memory(self, address: int, content: bytes) -> None:
        """Put ``content`` at ``address``, a multiple of the bus word; zeros fill up the last word."""
        require_within(self.memory_base, self.memory_bytes, address, len(content))
        padded = content + bytes(-len(content) % self.config.bus_bytes)
        self._command("write_memory", address - self.memory_base, padded)

    def read_memory(self, address: int, count: int) -> bytes:
        """``count`` bytes from ``address``, a multiple of the bus word."""
        require_within(self.memory_base, self.memory_bytes, address, count)
        size = self.config.bus_bytes
        return self._command("read_memory", address - self.memory_base, -(-count // size) * size)[:count]

    def align(self, phase: float) -> None:
        """Let simulated time pass until ``phase`` (0 to 1) of the interval between two refreshes.

        No time passes when the memory has no refreshes.
        """
        if interval := self.dram.refresh_interval:
            self._command("align", int(phase * interval), interval, cycles=interval)

    def wait(self, limit: int) -> bool:
        """Let up to ``limit`` cycles pass until the interrupt; True when there is one."""
        return self._command("wait", limit, cycles=limit)

    def close(self) -> None:
        """End the simulation."""
        if self._process.is_alive() and not self._waiting:
            with suppress(OSError):
                self._connection.send(None)
            self._process.join(_ENDING_SECONDS)
        self._end()
        self._connection.close()
        if self.waves:
            self.waves.mkdir(parents=True, exist_ok=True)
            # Verilator writes where it runs, Icarus where it was built.
            for path in (*Path(self._scratch.name).glob("*.vcd"), *self._built.glob("*.fst")):
                shutil.move(path, self.waves / path.name)
        self._scratch.cleanup()

    def __enter__(self) -> "SimDevice":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()


SimulatedDevice = SimDevice | NativeDevice
"""A simulated system, however it is simulated."""


def open_device(config: EngineConfig, memory: str, memory_bytes: int, simulator: str, memory_base: int = 0
                ) -> SimulatedDevice:
    """The fastest device for a simulator: a native one under Verilator, unless waveforms are wanted.

    Parameters and errors are those of :class:`SimDevice`. A native device has memory at all addresses from
    ``memory_base`` on, or 64 GiB of it, whatever is needed.
    """
    if simulator == "verilator" and not waves_wanted():
        return NativeDevice(config, memory, memory_base=memory_base)
    return SimDevice(config, memory, memory_bytes, simulator, memory_base)
