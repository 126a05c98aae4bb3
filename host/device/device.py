"""What the host needs of a device: registers, memory and an interrupt. Simulators and boards are devices."""

from typing import Protocol

__all__ = ["Device", "DeviceError"]


class DeviceError(RuntimeError):
    """The device did not do what it was asked. The message says what that was, with its parameters."""


class Device(Protocol):
    """A device with an engine on it."""

    memory_base: int
    """Address of the first byte of its memory, as the engine sees it: what the host loads lies from there on."""
    memory_bytes: int
    """Size of that memory."""

    def read_register(self, offset: int) -> int:
        """Return the 32-bit register at this byte offset of :data:`hw.registers.register_map.OFFSETS`."""

    def write_register(self, offset: int, value: int) -> None:
        """Set the 32-bit register at this byte offset."""

    def write_memory(self, address: int, content: bytes) -> None:
        """Write bytes to memory from ``address`` on, which is the engine's and a multiple of the bus word."""

    def read_memory(self, address: int, count: int) -> bytes:
        """Read ``count`` bytes of memory from ``address`` on, which is the engine's and a multiple of the bus word."""

    def wait(self, limit: int) -> bool:
        """Wait for the end of a run, for at most ``limit`` cycles of the engine; return whether it came.

        The end is an interrupt, which the caller has enabled in the IRQ_ENABLE register, or a poll of STATUS.done. The
        caller acknowledges the interrupt in IRQ_PENDING.
        """
