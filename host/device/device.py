"""What the host needs of a device: registers, memory, an interrupt. The simulator is one, a board is another."""

from typing import Protocol

__all__ = ["Device", "DeviceError"]


class DeviceError(RuntimeError):
    """The device did not do what it was asked; the message says what and with which parameters."""


class Device(Protocol):
    """A device with an engine on it."""

    memory_bytes: int

    def read_register(self, offset: int) -> int:
        """The 32-bit register at byte ``offset``."""

    def write_register(self, offset: int, value: int) -> None:
        """Set the 32-bit register at byte ``offset``."""

    def write_memory(self, address: int, content: bytes) -> None:
        """Put ``content`` at ``address``, a multiple of the bus word."""

    def read_memory(self, address: int, count: int) -> bytes:
        """``count`` bytes from ``address``, a multiple of the bus word."""

    def wait(self, limit: int) -> bool:
        """Wait up to ``limit`` engine cycles for the interrupt; whether it came."""
