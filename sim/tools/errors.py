"""Errors of this package: a tool that is missing or fails, and a simulation that fails."""

from pathlib import Path

__all__ = ["SimulationError", "ToolError", "unwritable"]


class ToolError(RuntimeError):
    """A tool is missing or failed; the message says which one and what to do."""


class SimulationError(RuntimeError):
    """A simulation failed: a check of the testbench or of the design did not hold, or the simulator died.

    The message says what is known of the cause, or names the log of the simulation.
    """


def unwritable(folder: Path, error: OSError) -> ToolError:
    """The exception to raise when ``folder``, below the build folder, cannot be written because of ``error``."""
    return ToolError(f"cannot write to {folder} ({error.strerror}): make it writable, or set SEEDLM_BUILD to another "
                     "folder")
