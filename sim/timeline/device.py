"""The native simulator with a record of the streams' handshakes."""

import tempfile
from contextlib import suppress
from pathlib import Path
from subprocess import TimeoutExpired

import numpy as np

from golden.tree import BUILD
from hw.config import EngineConfig
from sim.device import native_device
from sim.device.native_device import NativeDevice
from sim.device.system import System
from sim.dram.memory import MAPPED_RAM
from sim.tools.build import Build, build
from sim.tools.errors import SimulationError, unwritable
from sim.tools.toolchain import in_environment

__all__ = ["RecordedDevice"]

_HERE = Path(__file__).parent
_HARNESS = Path(native_device.__file__).with_name("native_harness.cpp")
_ENDING_SECONDS = 60.0
"""Seconds in which a simulator that is told so has written the rest of its record."""


class RecordedDevice(NativeDevice):
    """The native simulator, which records the handshakes of all runs, one after another.

    Parameters and errors are those of :class:`~sim.device.native_device.NativeDevice`.
    """

    def __init__(self, config: EngineConfig, memory: str) -> None:
        folder = BUILD / "simulators"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._record = tempfile.NamedTemporaryFile(dir=folder, prefix="timeline-")  # noqa: SIM115  see signals()
        except OSError as error:
            raise unwritable(folder, error) from None
        super().__init__(config, memory)

    def _build(self) -> Build:
        return build(System, self.config, self.dram, self.memory_bytes, self.memory_base, simulator="verilator",
                     sources=(MAPPED_RAM, _HERE / "probe.sv", _HERE / "record.cpp"), fast=True,
                     harness=_HARNESS)

    def _start(self, folder: Path) -> None:
        with in_environment(SEEDLM_TIMELINE_FILE=self._record.name):
            super()._start(folder)

    def signals(self) -> np.ndarray:
        """End the simulation, and return the record.

        Returns
        -------
        uint32, (cycles,)
            The bits of :file:`probe.sv` in each cycle that the engine has counted.

        Raises
        ------
        SimulationError
            When the simulator does not end in time.
        """
        assert self._process.stdin
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(_ENDING_SECONDS)
        except TimeoutExpired:
            raise SimulationError("the simulator does not end, so its timeline is not whole: look at the load of this "
                                  "machine") from None
        return np.fromfile(self._record.name, "<u4")

    def __enter__(self) -> "RecordedDevice":
        return self

    def close(self) -> None:
        """End the simulation; what was recorded is lost."""
        super().close()
        self._record.close()
