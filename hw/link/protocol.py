"""What host and board say to each other over the serial line: constants and frames.

The host sends a request and waits for its response. Both are frames: a start byte, a header, words of payload, and the
CRC-32 (that of zlib and Ethernet) of header and payload. Every number is little-endian.

    request:   A5 | sequence, command, count (2), address (4) | count words, only of writes | CRC (4)
    response:  5A | sequence, status, count (2)               | count words                 | CRC (4)

The board does not answer a frame that is damaged, and it drops a frame whose rest does not arrive. So a host that
receives no response, or a damaged one, waits and sends its request again with the same sequence number. A write whose
number is that of the request carried out just before is answered but not carried out again, unless that request was an
IDENTIFY.
"""

from amaranth.lib import data, enum

__all__ = ["IDENTITY", "LINK_ID", "MAX_WORDS", "REQUEST", "RESPONSE", "SILENCE_BITS", "START_REQUEST",
           "START_RESPONSE", "WORD_BITS", "WORD_BYTES", "LinkCommand", "LinkStatus"]

START_REQUEST, START_RESPONSE = 0xA5, 0x5A
WORD_BYTES = 4
WORD_BITS = 8 * WORD_BYTES
MAX_WORDS = 1024
"""Largest number of words in the payload of a request."""
SILENCE_BITS = 1 << 14
"""Time without a byte, in bits of the line, after which the board drops an incomplete frame."""


class LinkCommand(enum.Enum, shape=8):
    """What a request asks for; its ``address`` is in bytes."""

    IDENTIFY = 0
    """The response holds the words of :data:`IDENTITY`."""
    READ_REGISTER = 1
    """The response holds one word, the register at ``address``."""
    WRITE_REGISTER = 2
    """The request holds one word for the register at ``address``."""
    READ_MEMORY = 3
    """The response holds ``count`` words of memory from ``address`` on."""
    WRITE_MEMORY = 4
    """The request holds ``count`` words for memory from ``address`` on, :data:`MAX_WORDS` at most."""
    SUM_MEMORY = 5
    """The response holds one word, the CRC-32 of ``count`` words of memory from ``address`` on."""


class LinkStatus(enum.Enum, shape=8):
    """What became of a request."""

    DONE = 0
    """The request was carried out."""
    REFUSED = 1
    """There is no such command, register or place in memory; nothing was changed."""


REQUEST = data.StructLayout({"sequence": 8, "command": 8, "count": 16, "address": 32})
"""Header of a request."""
RESPONSE = data.StructLayout({"sequence": 8, "status": LinkStatus, "count": 16})
"""Header of a response."""
LINK_ID = 0x5EED_B0A1
"""First word of :data:`IDENTITY`: it stands for this design's board and this protocol."""
IDENTITY = ("LINK_ID", "MEMORY_BYTES", "CLOCK_HZ", "CYCLES")
"""Words of the response to IDENTIFY; CYCLES counts the board's clock cycles since its reset, modulo 2**32."""
