"""Decodes requests: gives each to the part that carries it out, or refuses it, and answers it.

A request is decoded 2 cycles after it is offered. The header of its response is offered 1 cycle later when the request
is refused, repeated or an IDENTIFY; 2 cycles later when it reads memory; and otherwise in the cycle after the register
or memory has acknowledged it. The next request is accepted once the whole response has been sent.
"""

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import enum, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.link.memory_bridge import Transfer, transfer_layout
from hw.link.protocol import IDENTITY, REQUEST, RESPONSE, WORD_BITS, LinkCommand, LinkStatus
from hw.link.register_bridge import ACCESS
from hw.registers.register_map import ADDR_BITS

__all__ = ["RequestDecoder"]


class _Payload(enum.Enum, shape=2):
    """How many words a response holds."""

    NONE = 0
    ONE = 1
    IDENTITY = 2
    """As many as :data:`~hw.link.protocol.IDENTITY` has."""
    REQUESTED = 3
    """As many as the request asks for."""


class RequestDecoder(wiring.Component):
    """Has one request at a time carried out, and says how it ended.

    Parameters
    ----------
    addr_bits : int
        Bits of a byte address of memory, all of which exists.

    Members
    -------
    i : In(stream of REQUEST)
        Requests; ``ready`` is 1 once the response has been sent.
    word : In(32)
        The first word of the payload of a request that writes.
    header : Out(stream of RESPONSE)
        Headers of the responses. The sender is ready when nothing of the response before is left to send.
    identify : Out(1)
        Strobe: the words of an IDENTIFY's response are wanted.
    access : Out(stream of ACCESS)
        Accesses to registers. Each is accepted in the cycle in which it is answered.
    refused : In(1)
        1, in a cycle in which ``access.ready`` is 1, when the access was answered with an error.
    transfer : Out(stream of transfer_layout)
        Transfers of words from and to memory.
    written : In(1)
        Strobe: memory has acknowledged the last word of a write.
    """

    def __init__(self, addr_bits: int) -> None:
        self._addr_bits = addr_bits
        super().__init__({
            "i": In(stream.Signature(REQUEST)), "word": In(WORD_BITS),
            "header": Out(stream.Signature(RESPONSE)), "identify": Out(1),
            "access": Out(stream.Signature(ACCESS)), "refused": In(1),
            "transfer": Out(stream.Signature(transfer_layout(addr_bits))), "written": In(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        command = self.i.payload.command
        status, payload = Signal(LinkStatus), Signal(_Payload)
        self._connect_payloads(m, status, payload)
        legal, (repeated, last_status) = self._legal(m), self._repeated(m, status)
        with m.FSM():
            with m.State("IDLE"), m.If(self.i.valid):
                m.next = "CHECK"
            with m.State("CHECK"):
                m.next = "DECODE"
            with m.State("DECODE"):
                m.d.sync += [status.eq(LinkStatus.DONE), payload.eq(_Payload.NONE)]
                m.next = "HEADER"
                with m.If(~legal):
                    m.d.sync += status.eq(LinkStatus.REFUSED)
                with m.Else(), m.Switch(command):
                    with m.Case(LinkCommand.IDENTIFY.value):
                        m.d.comb += self.identify.eq(1)
                        m.d.sync += payload.eq(_Payload.IDENTITY)
                    for read, words, state in ((LinkCommand.READ_REGISTER, _Payload.ONE, "ACCESS"),
                                               (LinkCommand.READ_MEMORY, _Payload.REQUESTED, "TRANSFER"),
                                               (LinkCommand.SUM_MEMORY, _Payload.ONE, "TRANSFER")):
                        with m.Case(read.value):
                            m.d.sync += payload.eq(words)
                            m.next = state
                    for write, state in ((LinkCommand.WRITE_REGISTER, "ACCESS"),
                                         (LinkCommand.WRITE_MEMORY, "TRANSFER")):
                        with m.Case(write.value):
                            m.next = state
                            with m.If(repeated):
                                m.d.sync += status.eq(last_status)
                                m.next = "HEADER"
            with m.State("ACCESS"):
                m.d.comb += self.access.valid.eq(1)
                with m.If(self.access.ready):
                    m.next = "HEADER"
                    with m.If(self.refused):
                        m.d.sync += [status.eq(LinkStatus.REFUSED), payload.eq(_Payload.NONE)]
            with m.State("TRANSFER"):
                m.d.comb += self.transfer.valid.eq(1)
                with m.If(self.transfer.ready):
                    m.next = "HEADER"
                    with m.If(command == LinkCommand.WRITE_MEMORY):
                        m.next = "WRITE"
            with m.State("WRITE"), m.If(self.written):
                m.next = "HEADER"
            with m.State("HEADER"):
                m.d.comb += self.header.valid.eq(1)
                with m.If(self.header.ready):
                    m.next = "RESPONSE"
            with m.State("RESPONSE"), m.If(self.header.ready):
                m.d.comb += self.i.ready.eq(1)
                m.next = "IDLE"
        return m

    def _legal(self, m: Module) -> Value:
        """1, from 2 cycles after the request is offered on, when the register or the memory that it names exists."""
        request = self.i.payload
        legal, register, memory, end = Signal(), Signal(), Signal(), Signal(33)
        m.d.sync += [
            register.eq((request.address >> ADDR_BITS == 0)
                        & ((request.command == LinkCommand.READ_REGISTER) | (request.count == 1))),
            end.eq(request.address + (request.count << 2)),
            memory.eq((end <= 1 << self._addr_bits) & (request.address[:2] == 0)),
        ]
        with m.Switch(request.command):
            with m.Case(LinkCommand.IDENTIFY.value):
                m.d.comb += legal.eq(1)
            with m.Case(LinkCommand.READ_REGISTER.value, LinkCommand.WRITE_REGISTER.value):
                m.d.comb += legal.eq(register)
            with m.Case(LinkCommand.READ_MEMORY.value, LinkCommand.WRITE_MEMORY.value, LinkCommand.SUM_MEMORY.value):
                m.d.comb += legal.eq(memory)
        return legal

    def _repeated(self, m: Module, status: Value) -> tuple[Value, Value]:
        """1, from a cycle after the request is offered on, when it has the number of the one before; and the status of
        that one. After an IDENTIFY, and after reset, there is no number to compare with."""
        request = self.i.payload
        known, last_sequence, last_status, repeated = Signal(), Signal(8), Signal(LinkStatus), Signal()
        m.d.sync += repeated.eq(known & (request.sequence == last_sequence))
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [known.eq(request.command != LinkCommand.IDENTIFY), last_sequence.eq(request.sequence),
                         last_status.eq(status)]
        return repeated, last_status

    def _connect_payloads(self, m: Module, status: Value, payload: Value) -> None:
        """Payloads of the decoder's streams. They are made of the request, which is held until the response has been
        sent, and of the response's ``status`` and ``payload``."""
        request, header, access, transfer = (stream.payload for stream in
                                             (self.i, self.header, self.access, self.transfer))
        m.d.comb += [
            header.sequence.eq(request.sequence),
            header.status.eq(status),
            access.write.eq(request.command == LinkCommand.WRITE_REGISTER),
            access.addr.eq(request.address),
            access.data.eq(self.word),
            transfer.addr.eq(request.address),
            transfer.count.eq(request.count),
        ]
        for kind, command in ((Transfer.READ, LinkCommand.READ_MEMORY), (Transfer.SUM, LinkCommand.SUM_MEMORY),
                              (Transfer.WRITE, LinkCommand.WRITE_MEMORY)):
            with m.If(request.command == command):
                m.d.comb += transfer.kind.eq(kind)
        with m.Switch(payload):
            for words, count in ((_Payload.ONE, 1), (_Payload.IDENTITY, len(IDENTITY)),
                                 (_Payload.REQUESTED, request.count)):
                with m.Case(words):
                    m.d.comb += header.count.eq(count)
