"""What host and board say to each other over the serial line: constants and frames.

The host sends a request and waits for its response. Both are frames: a start byte, a header, words of payload, and the
CRC-32 (as of zlib and Ethernet) of header and payload. Everything is little-endian.

    request:   A5 | sequence, command, count (2), address (4) | count words, only of writes | CRC (4)
    response:  5A | sequence, status, count (2)               | count words                 | CRC (4)

A frame that is not right is not answered, and one that stops is forgotten after a while of silence, so a host that gets
no response, or a wrong one, waits and sends its request again with the same sequence number. A write whose number is
that of the request carried out just before is answered but not carried out again, unless that was an IDENTIFY.
"""

from amaranth.lib import data, enum

__all__ = ["IDENTITY", "LINK_ID", "MAX_WORDS", "REQUEST", "RESPONSE", "SILENCE_BITS", "START_REQUEST",
           "START_RESPONSE", "WORD_BYTES", "LinkCommand", "LinkStatus"]

START_REQUEST, START_RESPONSE = 0xA5, 0x5A
WORD_BYTES = 4
MAX_WORDS = 1024
"""Words in the payload of a request."""
SILENCE_BITS = 1 << 14
"""Time without a byte, in bits of the line, after which the rest of a frame is no longer waited for."""


class LinkCommand(enum.Enum, shape=8):
    """What a request asks for; ``address`` is in bytes."""

    IDENTIFY = 0
    """Response: the words of :data:`IDENTITY`."""
    READ_REGISTER = 1
    """Response: one word."""
    WRITE_REGISTER = 2
    """One word."""
    READ_MEMORY = 3
    """``count`` words."""
    WRITE_MEMORY = 4
    """``count`` words, :data:`MAX_WORDS` at most."""
    SUM_MEMORY = 5
    """Response: one word, the CRC-32 of ``count`` words of memory."""


class LinkStatus(enum.Enum, shape=8):
    """What became of a request."""

    DONE = 0
    REFUSED = 1
    """No such command, register or place in memory; nothing was changed."""


REQUEST = data.StructLayout({"sequence": 8, "command": 8, "count": 16, "address": 32})
RESPONSE = data.StructLayout({"sequence": 8, "status": LinkStatus, "count": 16})
LINK_ID = 0x5EED_B0A1
"""First word of :data:`IDENTITY`: this design's board, this protocol."""
IDENTITY = ("LINK_ID", "MEMORY_BYTES", "CLOCK_HZ", "CYCLES")
"""Words that IDENTIFY is answered with; CYCLES counts the board's clock from its reset, modulo 2**32."""
