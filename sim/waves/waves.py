"""The simulated system with a waveform: the dump, and beside it what GTKWave and Surfer show of it at first."""

import struct
import tempfile
from contextlib import suppress
from pathlib import Path
from subprocess import TimeoutExpired

from golden.tree import BUILD
from hw.config import EngineConfig
from hw.flow import verilog
from sim.device import cocotb_device
from sim.device.cocotb_device import SimDevice, SimulatedDevice
from sim.device.native_device import NativeDevice
from sim.device.system import System
from sim.dram.presets import preset
from sim.tools.build import Build
from sim.tools.errors import unwritable
from sim.tools.toolchain import in_environment
from sim.waves.build import SOURCE, build_traced
from sim.waves.hierarchy import instances
from sim.waves.layout import groups, gtkwave, surfer
from sim.waves.window import Window, require_window

__all__ = ["open_device"]

_ENDING_SECONDS = 60.0
"""Seconds in which a simulator that is told so has written the rest of its waveform."""


def _folder(config: EngineConfig, memory: str, simulator: str) -> Path:
    """The folder of a waveform; ToolError when it cannot be made."""
    folder = BUILD / "waves" / f"{config.name.replace(',', '_')}-{config.bus_bits}-{memory}-{simulator}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from None
    return folder


def _span(dump: Path) -> tuple[int, int]:
    """First and last time of a dump, from the head of the FST file; zeros when its simulator died before that."""
    head = struct.Struct(">BQQQ")  # kind and length of the first block, the times
    with dump.open("rb") as file:
        content = file.read(head.size)
    return head.unpack(content)[2:] if len(content) == head.size else (0, 0)


def _lay_out(dump: Path, source: str) -> None:
    """Leave what viewers show at first beside the dump of a design."""
    shown = groups(instances(source))
    dump.with_suffix(".gtkw").write_text(gtkwave(shown, dump, *_span(dump)))
    dump.with_suffix(".sucl").write_text(surfer(shown))


class _TracedNative(NativeDevice):
    """The native simulator, with a waveform of some cycles."""

    def __init__(self, config: EngineConfig, memory: str, window: Window, memory_base: int) -> None:
        self._window, self._dump = window, _folder(config, memory, "verilator") / "top.fst"
        super().__init__(config, memory, memory_base=memory_base)
        # The native device without waveforms has none of them, as its type says.
        self.waves = self._dump.parent  # type: ignore[assignment]

    def _build(self) -> Build:
        return build_traced(self.config, self.dram, self.memory_bytes, self.memory_base)

    def _start(self, folder: Path) -> None:
        with in_environment(SEEDLM_WAVES_FILE=str(self._dump), SEEDLM_WAVES_FIRST=str(self._window.first),
                            SEEDLM_WAVES_LAST=str(self._window.last)):
            super()._start(folder)
        self._source = (folder / SOURCE).read_text()

    def close(self) -> None:
        """End the simulation, once the waveform is written."""
        assert self._process.stdin
        with suppress(OSError):
            self._process.stdin.close()
        with suppress(TimeoutExpired):
            self._process.wait(_ENDING_SECONDS)
        super().close()
        if hasattr(self, "_source"):  # it has started
            _lay_out(self._dump, self._source)


class _TracedIcarus(SimDevice):
    """Icarus, with a waveform of all cycles."""

    def __init__(self, config: EngineConfig, memory: str, memory_bytes: int, memory_base: int) -> None:
        with in_environment(WAVES="1"):
            super().__init__(config, memory, memory_bytes, "icarus", memory_base)
        self.waves = _folder(config, memory, "icarus")

    def close(self) -> None:
        """End the simulation, once the waveform is written."""
        super().close()
        assert self.waves
        with tempfile.TemporaryDirectory() as scratch:
            source = Path(scratch) / SOURCE
            verilog.emit(System(self.config, self.dram, self.memory_bytes, self.memory_base), source)
            _lay_out(self.waves / "top.fst", source.read_text())


def open_device(config: EngineConfig, memory: str, memory_bytes: int, simulator: str, window: Window | None = None,
                memory_base: int = 0) -> SimulatedDevice:
    """Return the fastest device for a simulator that dumps the cycles of a window.

    Parameters and errors are those of :func:`sim.device.cocotb_device.open_device`; without a window there is no
    waveform, and the device is that one's.

    Raises
    ------
    ToolError
        When a window is wanted of Icarus, or the folder of the waveform cannot be made.
    """
    if window is None:
        return cocotb_device.open_device(config, memory, memory_bytes, simulator, memory_base)
    preset(memory)
    if simulator == "verilator":
        return _TracedNative(config, memory, window, memory_base)
    require_window(window, simulator)
    return _TracedIcarus(config, memory, memory_bytes, memory_base)
