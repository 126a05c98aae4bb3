"""Segmenter: the segments of a burst are its words, each in one row; reads wait for room and writes for responses."""

import random
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from hw.parts.axi import AXI4Signature, Burst, beat_size
from hw.sdram.segment import WORD_BITS, segment_layout
from hw.sdram.segmenter import OUTSTANDING_WRITES, READ_WORDS
from sim.bench.streams import Stream, cycles, receive, send, start
from sim.tools.run import arguments

_SHIFT = beat_size(WORD_BITS)


def _request(word: int, words: int) -> int:
    part, = arguments()
    layout = AXI4Signature(part.address_bits, WORD_BITS).members["ar"].signature.members["payload"].shape
    return layout.const({"addr": word << _SHIFT, "len": words - 1, "size": _SHIFT, "burst": Burst.INCR}).as_bits()


def _bursts(count: int) -> list[tuple[int, int]]:
    """First words and lengths; rows, and the whole chip, end in many of them."""
    part, = arguments()
    return [(random.randrange(1 << part.address_bits - _SHIFT), random.choice((1, 2, 16, 200, 256)))
            for _ in range(count)]


class Bench:
    """Notes in which order requests are accepted and, when ``generous``, accepts words read and responses at once.

    ``accepted`` holds (write, first word, words) of each request.
    """

    def __init__(self, dut: Any, generous: bool = True):
        self.dut, self.generous = dut, generous
        self.accepted: list[tuple[bool, int, int]] = []
        self.unread = self.unanswered = 0

    async def start(self) -> None:
        dut = self.dut
        await start(dut, dut.ar__valid, dut.aw__valid, dut.segments__ready, dut.delivered, dut.responded)
        cocotb.start_soon(self._run())

    def send(self, channel: str, bursts: list[tuple[int, int]]) -> None:
        """Request bursts on the channel "ar" or "aw"."""
        cocotb.start_soon(send(Stream(self.dut, channel), [_request(*burst) for burst in bursts]))

    async def _run(self) -> None:
        dut, (part,) = self.dut, arguments()
        layout = AXI4Signature(part.address_bits, WORD_BITS).members["ar"].signature.members["payload"].shape
        while True:
            await RisingEdge(dut.clk)
            self.unread -= int(dut.delivered.value)
            self.unanswered -= int(dut.responded.value)
            for write, port in ((False, Stream(dut, "ar")), (True, Stream(dut, "aw"))):
                if port.valid.value and port.ready.value:
                    request = layout.from_bits(int(port.payload.value))
                    self.accepted.append((write, request.addr >> _SHIFT, request.len + 1))
                    self.unread += 0 if write else request.len + 1
                    self.unanswered += write
            assert self.unread <= READ_WORDS
            assert self.unanswered <= OUTSTANDING_WRITES
            dut.delivered.value = self.generous and self.unread > 0
            dut.responded.value = self.generous and self.unanswered > 0


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(stall=[0.0, 0.7])
async def segments_are_the_words_of_the_bursts(dut: Any, stall: float) -> None:
    part, = arguments()
    bench = Bench(dut)
    await bench.start()
    bench.send("ar", reads := _bursts(30))
    bench.send("aw", writes := _bursts(30))
    row_words, size = 1 << part.column_bits - 1, 1 << part.address_bits - _SHIFT
    count = sum((first % row_words + words - 1) // row_words + 1 for first, words in reads + writes)
    received = iter(await receive(Stream(dut, "segments"), count, stall))
    for number in range(len(reads) + len(writes)):
        words: list[int] = []
        while True:
            segment = segment_layout(part).from_bits(next(received))
            first = (segment.row << part.bank_bits | segment.bank) * row_words + segment.word
            assert segment.word + segment.more < row_words
            words += range(first, first + segment.more + 1)
            if segment.last:
                break
        write, start_word, length = bench.accepted[number]
        assert words == [(start_word + n) % size for n in range(length)]
        assert segment.write == write
    assert [burst[1:] for burst in bench.accepted if not burst[0]] == reads
    assert [burst[1:] for burst in bench.accepted if burst[0]] == writes


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def requests_wait_for_room_and_responses(dut: Any) -> None:
    bench = Bench(dut, generous=False)
    await bench.start()
    bench.send("ar", [(0, 1), (0, 256), (0, 256)])
    bench.send("aw", [(0, 1)] * (OUTSTANDING_WRITES + 1))
    dut.segments__ready.value = 1
    await cycles(dut, 200)
    assert sorted(bench.accepted) == [(False, 0, 1), (False, 0, 256), *[(True, 0, 1)] * OUTSTANDING_WRITES]
    bench.generous = True
    await cycles(dut, 2000)
    assert len(bench.accepted) == 3 + OUTSTANDING_WRITES + 1


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reads_and_writes_take_turns(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    bench.send("ar", [(0, 1)] * 20)
    bench.send("aw", [(0, 1)] * 20)
    dut.segments__ready.value = 1
    await cycles(dut, 200)
    assert [write for write, *_ in bench.accepted] == [True, False] * 20
