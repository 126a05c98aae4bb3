"""A simulated board behind a pseudo-terminal, which to a host is a serial port with a board on it."""

import os
import subprocess
import tempfile
import tty
from pathlib import Path
from types import TracebackType

from golden.spec import WeightFormat
from hw.sdram.part import SdramPart
from sim.board.simulated_board import SimulatedBoard
from sim.dram.memory import RAM
from sim.tools.build import build

__all__ = ["BoardSimulation"]

_HARNESS = Path(__file__).with_name("board_harness.cpp")


class BoardSimulation:
    """A board that runs, in Verilator, until it is closed.

    Parameters
    ----------
    fmt : WeightFormat
    part : SdramPart
    clock_hz : int
    divisor : int
        Cycles of a bit on the serial line. Fewer than a board has make a shorter simulation.

    Attributes
    ----------
    path : str
        Path of the pseudo-terminal.

    Raises
    ------
    sim.tools.errors.ToolError
        When Verilator or the compiler is missing or cannot build the design.
    """

    def __init__(self, fmt: WeightFormat, part: SdramPart, clock_hz: int, divisor: int):
        program = build(SimulatedBoard, fmt, part, clock_hz, clock_hz // divisor, simulator="verilator",
                        sources=(RAM,), fast=True, harness=_HARNESS).directory / "top"
        master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  closed by close()
        self._process = subprocess.Popen([program, str(master), str(divisor)], pass_fds=(master,),
                                         stdin=subprocess.PIPE, stdout=self._log, stderr=subprocess.STDOUT)
        os.close(master)

    @property
    def running(self) -> bool:
        """Whether the simulation goes on: it ends when a check of the design fails."""
        return self._process.poll() is None

    def close(self) -> str:
        """End the simulation; returns what it has printed."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdin
        self._process.stdin.close()
        os.close(self._slave)
        self._log.seek(0)
        printed = self._log.read().decode(errors="replace")
        self._log.close()
        return printed

    def __enter__(self) -> "BoardSimulation":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()
