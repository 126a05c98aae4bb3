"""Errors of this package: a tool that is missing or fails, and a simulation that fails."""

from pathlib import Path

__all__ = ["SimulationError", "ToolError", "require_within", "unwritable"]


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


def require_within(memory_base: int, memory_bytes: int, address: int, count: int) -> None:
    """Raise SimulationError unless a memory of ``memory_bytes`` bytes from ``memory_base`` on has ``count`` of them at
    ``address``."""
    if not memory_base <= address <= memory_base + memory_bytes - count:
        raise SimulationError(f"{count} bytes at {address:#x} leave the memory of {memory_bytes} bytes"
                              + f" at {memory_base:#x}" * bool(memory_base))
