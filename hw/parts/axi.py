"""AXI4 and AXI4-Lite as bundles of streams, and as the pins that other tools expect.

Inside the design each channel is a ``lib.stream`` whose payload holds the channel's fields under their AXI names. At
the edge of the design :func:`pins` and :func:`connect_pins` give the standard flat names (``m_axi_araddr``, ...).
There are no IDs: every transaction of a master completes in order. AxLOCK, AxCACHE, AxPROT and AxQOS are not driven;
tie them to normal, non-secure, bufferable at the interconnect.
"""

from amaranth.hdl import Cat
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

__all__ = ["AXI4LiteSignature", "AXI4ReadSignature", "AXI4Signature", "AXI4WriteSignature", "Burst", "Resp",
           "connect_pins", "pins"]

BURST_BYTES = 4096
"""No burst crosses a multiple of this address (AMBA AXI and ACE protocol specification, A3.4.1)."""
BURST_BEATS = 256
"""Longest INCR burst (same section)."""


class Burst(enum.Enum, shape=2):
    """AxBURST: how the address moves."""

    FIXED = 0
    INCR = 1
    WRAP = 2


class Resp(enum.Enum, shape=2):
    """xRESP: what became of a transfer."""

    OKAY = 0
    EXOKAY = 1
    SLVERR = 2
    DECERR = 3


def _address(addr_bits):
    return data.StructLayout({"addr": addr_bits, "len": 8, "size": 3, "burst": Burst})


class AXI4ReadSignature(wiring.Signature):
    """The read channels of an AXI4 master: ``ar`` (addr, len, size, burst) and ``r`` (data, resp, last)."""

    def __init__(self, addr_bits, data_bits):
        self.addr_bits, self.data_bits = addr_bits, data_bits
        super().__init__({
            "ar": Out(stream.Signature(_address(addr_bits))),
            "r": In(stream.Signature(data.StructLayout({"data": data_bits, "resp": Resp, "last": 1}))),
        })


class AXI4WriteSignature(wiring.Signature):
    """The write channels of an AXI4 master: ``aw`` as ``ar``, ``w`` (data, strb, last) and ``b`` (resp)."""

    def __init__(self, addr_bits, data_bits):
        self.addr_bits, self.data_bits = addr_bits, data_bits
        super().__init__({
            "aw": Out(stream.Signature(_address(addr_bits))),
            "w": Out(stream.Signature(data.StructLayout({"data": data_bits, "strb": data_bits // 8, "last": 1}))),
            "b": In(stream.Signature(data.StructLayout({"resp": Resp}))),
        })


class AXI4Signature(wiring.Signature):
    """All five channels of an AXI4 master."""

    def __init__(self, addr_bits, data_bits):
        self.addr_bits, self.data_bits = addr_bits, data_bits
        super().__init__({**AXI4ReadSignature(addr_bits, data_bits).members,
                          **AXI4WriteSignature(addr_bits, data_bits).members})


class AXI4LiteSignature(wiring.Signature):
    """The five channels of an AXI4-Lite master with 32-bit data."""

    def __init__(self, addr_bits):
        self.addr_bits, self.data_bits = addr_bits, 32
        address = data.StructLayout({"addr": addr_bits})
        super().__init__({
            "aw": Out(stream.Signature(address)),
            "w": Out(stream.Signature(data.StructLayout({"data": 32, "strb": 4}))),
            "b": In(stream.Signature(data.StructLayout({"resp": Resp}))),
            "ar": Out(stream.Signature(address)),
            "r": In(stream.Signature(data.StructLayout({"data": 32, "resp": Resp}))),
        })


def _channel_pins(channel, member):
    """``(pin suffix, shape, flow, path of the signal in the stream)`` of each pin of an AXI channel."""
    for name, field in member.signature.members["payload"].shape:
        yield f"{channel}{name}", field.shape, member.flow, ("payload", name)
    yield f"{channel}valid", 1, member.flow, ("valid",)
    yield f"{channel}ready", 1, member.flow.flip(), ("ready",)


def pins(prefix, signature):
    """Members for a top component: one flat pin per AXI signal, for example ``m_axi_araddr``.

    Directions are those of a master for ``signature`` as it stands and of a slave for ``signature.flip()``.
    """
    return {f"{prefix}_{pin}": flow(shape) for channel, member in signature.members.items()
            for pin, shape, flow, _ in _channel_pins(channel, member)}


def connect_pins(m, top, prefix, port):
    """Join the pins of ``top`` called ``prefix_*`` with the AXI interface ``port`` of a submodule."""
    for channel, member in port.signature.members.items():
        for suffix, _, flow, (part, *field) in _channel_pins(channel, member):
            pin, signal = getattr(top, f"{prefix}_{suffix}"), getattr(getattr(port, channel), part)
            if field:
                signal = signal[field[0]]
            # Cat() views enumerations as the raw bits that pins carry.
            m.d.comb += Cat(pin).eq(signal) if flow is Out else Cat(signal).eq(pin)


def beat_size(data_bits):
    """AxSIZE of a full beat of ``data_bits``."""
    return exact_log2(data_bits // 8)
