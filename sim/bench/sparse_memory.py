"""The content of a memory of up to 2**64 bytes, of which a testbench uses few."""

__all__ = ["SparseMemory"]

_PAGE = 4096
_FILLER = 0xA5
"""Every byte that was never written. As FP16 numbers, such bytes are finite; as a descriptor, they are a bad one."""


class SparseMemory:
    """Bytes by address, in pages that exist once they are written.

    Parameters
    ----------
    below : SparseMemory or None
        What the memory holds where it was never written; a constant when None. It must not change any more.
    """

    def __init__(self, below: "SparseMemory | None" = None) -> None:
        self._below, self._pages = below, dict[int, bytearray]()

    def _page(self, number: int) -> bytes | bytearray:
        page = self._pages.get(number)
        if page is not None:
            return page
        return self._below._page(number) if self._below else bytes([_FILLER]) * _PAGE

    def read(self, address: int, size: int) -> bytes:
        """The ``size`` bytes from ``address`` on."""
        number, offset = divmod(address, _PAGE)
        content = self._page(number)[offset:offset + size]
        return bytes(content) if len(content) == size else bytes(content) + self.read(
            address + len(content), size - len(content))

    def write(self, address: int, content: bytes) -> None:
        """Replace the bytes from ``address`` on by ``content``."""
        while content:
            number, offset = divmod(address, _PAGE)
            if number not in self._pages:
                self._pages[number] = bytearray(self._page(number))
            part = content[:_PAGE - offset]
            self._pages[number][offset:offset + len(part)] = part
            address, content = address + len(part), content[len(part):]

    def differences(self, other: "SparseMemory") -> list[int]:
        """The addresses of all bytes that differ from those of ``other``, a memory above or below the same one."""
        found = []
        for number in sorted(self._pages.keys() | other._pages.keys()):
            mine, theirs = self._page(number), other._page(number)
            if mine != theirs:
                found += [number * _PAGE + n for n in range(_PAGE) if mine[n] != theirs[n]]
        return found
