"""AXI4 and AXI4-Lite as bundles of streams, and as the pins that other tools expect.

Inside the design each channel is a ``lib.stream`` whose payload holds the channel's fields under their AXI names. At
the edge of the design :func:`pins` and :func:`connect_pins` give the standard flat names (``m_axi_araddr``, ...).
There are no IDs: every transaction of a master completes in order. AxLOCK, AxCACHE, AxPROT and AxQOS are the same for
all transactions, so that only the edge of the design has them.

Sections are those of the AMBA AXI and ACE protocol specification (ARM IHI 0022).
"""

from collections.abc import Iterator

from amaranth.hdl import Cat, Module, ShapeLike
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

__all__ = ["BURST_BEATS", "BURST_BYTES", "AXI4LiteSignature", "AXI4ReadSignature", "AXI4Signature",
           "AXI4WriteSignature", "Burst", "Resp", "beat_size", "connect_pins", "pins"]

BURST_BYTES = 4096
"""No burst may cross an address that is a multiple of this (section A3.4.1)."""
BURST_BEATS = 256
"""Beats of the longest INCR burst (section A3.4.1)."""


class Burst(enum.Enum, shape=2):
    """AxBURST: how the address moves from beat to beat (table A3-3)."""

    FIXED = 0
    INCR = 1
    WRAP = 2


class Resp(enum.Enum, shape=2):
    """xRESP: what became of a transfer (table A3-4). All but OKAY are errors here, since nothing asks for exclusive
    access."""

    OKAY = 0
    EXOKAY = 1
    SLVERR = 2
    DECERR = 3


def _address(addr_bits: int) -> data.StructLayout:
    """Payload of AW and AR: byte address, beats less one, AxSIZE and AxBURST."""
    return data.StructLayout({"addr": addr_bits, "len": 8, "size": 3, "burst": Burst})


class AXI4ReadSignature(wiring.Signature):
    """The read channels of an AXI4 master: ``ar`` (addr, len, size, burst) and ``r`` (data, resp, last)."""

    def __init__(self, addr_bits: int, data_bits: int):
        self.addr_bits, self.data_bits = addr_bits, data_bits
        super().__init__({
            "ar": Out(stream.Signature(_address(addr_bits))),
            "r": In(stream.Signature(data.StructLayout({"data": data_bits, "resp": Resp, "last": 1}))),
        })


class AXI4WriteSignature(wiring.Signature):
    """The write channels of an AXI4 master: ``aw`` like ``ar``, ``w`` (data, strb, last) and ``b`` (resp)."""

    def __init__(self, addr_bits: int, data_bits: int):
        self.addr_bits, self.data_bits = addr_bits, data_bits
        super().__init__({
            "aw": Out(stream.Signature(_address(addr_bits))),
            "w": Out(stream.Signature(data.StructLayout({"data": data_bits, "strb": data_bits // 8, "last": 1}))),
            "b": In(stream.Signature(data.StructLayout({"resp": Resp}))),
        })


class AXI4Signature(wiring.Signature):
    """All five channels of an AXI4 master."""

    def __init__(self, addr_bits: int, data_bits: int):
        self.addr_bits, self.data_bits = addr_bits, data_bits
        super().__init__({**AXI4ReadSignature(addr_bits, data_bits).members,
                          **AXI4WriteSignature(addr_bits, data_bits).members})


class AXI4LiteSignature(wiring.Signature):
    """The five channels of an AXI4-Lite master with 32-bit data."""

    def __init__(self, addr_bits: int):
        self.addr_bits, self.data_bits = addr_bits, 32
        address = data.StructLayout({"addr": addr_bits})
        super().__init__({
            "aw": Out(stream.Signature(address)),
            "w": Out(stream.Signature(data.StructLayout({"data": 32, "strb": 4}))),
            "b": In(stream.Signature(data.StructLayout({"resp": Resp}))),
            "ar": Out(stream.Signature(address)),
            "r": In(stream.Signature(data.StructLayout({"data": 32, "resp": Resp}))),
        })


def _channel_pins(channel: str, member: wiring.Member) -> Iterator[tuple[str, ShapeLike, wiring.Flow, tuple[str, ...]]]:
    """``(pin suffix, shape, flow, path of the signal in the stream)`` of each pin of an AXI channel."""
    for name, field in member.signature.members["payload"].shape:
        yield f"{channel}{name}", field.shape, member.flow, ("payload", name)
    yield f"{channel}valid", 1, member.flow, ("valid",)
    yield f"{channel}ready", 1, member.flow.flip(), ("ready",)


def pins(prefix: str, signature: wiring.Signature) -> dict[str, wiring.Member]:
    """Members for a top component: one flat pin per AXI signal, for example ``m_axi_araddr``.

    Directions are those of a master for ``signature`` as it stands and of a slave for ``signature.flip()``.
    """
    return {f"{prefix}_{pin}": flow(shape) for channel, member in signature.members.items()
            for pin, shape, flow, _ in _channel_pins(channel, member)}


def connect_pins(m: Module, top: wiring.Component, prefix: str, port: wiring.PureInterface) -> None:
    """Join the pins of ``top`` called ``prefix_*`` with the AXI interface ``port`` of a submodule."""
    for channel, member in port.signature.members.items():
        for suffix, _, flow, (part, *field) in _channel_pins(channel, member):
            pin, signal = getattr(top, f"{prefix}_{suffix}"), getattr(getattr(port, channel), part)
            if field:
                signal = signal[field[0]]
            # Cat() views enumerations as the raw bits that pins carry.
            m.d.comb += Cat(pin).eq(signal) if flow is Out else Cat(signal).eq(pin)


def beat_size(data_bits: int) -> int:
    """AxSIZE of a beat that is ``data_bits`` wide: the binary logarithm of its bytes.

    Raises
    ------
    ValueError
        When the bytes are not a power of two.
    """
    return exact_log2(data_bits // 8)
