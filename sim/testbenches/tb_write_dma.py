"""Write DMA: results land where they belong, nothing else changes, bursts are legal. Responses that break AXI's rules
are reported at once, an aborted burst writes nothing more, and the next matrix is exact.
"""

import random
from collections.abc import Sequence
from typing import Any

import cocotb
from cocotb.queue import Queue
from cocotb.triggers import RisingEdge, with_timeout

from hw.config import EngineConfig
from hw.dma.write import PENDING, WRITE_LATENCY
from hw.parts.axi import BURST_BYTES, AXI4WriteSignature, Burst, Resp, beat_size
from sim.bench.axi_slave import watch_offers
from sim.bench.results import packed
from sim.bench.streams import Stream, cycles, send, start
from sim.tools.run import arguments


def _base(config: EngineConfig) -> int:
    """Byte address of the first region. With addresses of 64 bits, regions lie across a multiple of 2**32."""
    return 0xA5A5_5A5A_FFFF_F000 if config.addr_bits == 64 else 0


class Slave:
    """A byte memory behind the write channels; checks every request.

    ``memory`` maps the address of each byte written to its value, and ``lengths`` are the beats of each burst. Bursts
    have the response ``resp``, while ``responding``. Nothing is accepted in the channels that are ``silent``. The
    channel that is ``late`` accepts a burst's part once the other one has accepted all of its own. ``reports`` counts
    the reports of broken rules, which there may not be while ``legal``.
    """

    def __init__(self, dut: Any, config: EngineConfig, idle: float, resp: Resp = Resp.OKAY) -> None:
        self.config, self.idle, self.resp, self.responding = config, idle, resp, True
        members = AXI4WriteSignature(config.addr_bits, config.bus_bits).members
        self.request, self.data, self.response = (
            members[name].signature.members["payload"].shape for name in ("aw", "w", "b"))
        self.aw, self.w, self.b = (Stream(dut, f"axi__{channel}") for channel in ("aw", "w", "b"))
        self.memory: dict[int, int] = {}
        self.lengths: list[int] = []
        self.silent: set[str] = set()
        self.late, self.legal, self.reports = "", True, 0
        self._dut = dut
        self._requests: Queue[Any] = Queue()
        self._beats: Queue[Any] = Queue()
        self._owed: Queue[int] = Queue()  # for each response, how often memory had forgotten all by then
        self._forgotten = 0
        self._ended = {"aw": 0, "w": 0}  # bursts of which each channel has accepted all

    def start(self) -> None:
        """Take bursts and answer them from now on."""
        for task in (self._take("aw", self._requests), self._take("w", self._beats), self._store(), self._respond(),
                     self._watch_reports(), watch_offers(self.aw), watch_offers(self.w)):
            cocotb.start_soon(task)

    def forget(self) -> None:
        """Forget the responses that are owed."""
        self._forgotten += 1
        self.responding = True

    def _accepting(self, channel: str) -> bool:
        """Whether a channel may accept something in the next cycle."""
        other = "w" if channel == "aw" else "aw"
        early = channel == self.late and self._ended[channel] == self._ended[other]
        return channel not in self.silent and not early and random.random() >= self.idle

    async def _take(self, channel: str, payloads: "Queue[Any]") -> None:
        """Accept what a channel offers."""
        stream, layout = getattr(self, channel), self.request if channel == "aw" else self.data
        while True:
            stream.ready.value = ready = self._accepting(channel)
            await RisingEdge(stream.clk)
            if ready and stream.valid.value:
                payload = layout.from_bits(int(stream.payload.value))
                self._ended[channel] += channel == "aw" or payload.last
                payloads.put_nowait(payload)

    async def _store(self) -> None:
        """Carry out what both channels have accepted."""
        size = self.config.bus_bytes
        while True:
            request = await self._requests.get()
            assert request.burst == Burst.INCR
            assert request.size == beat_size(self.config.bus_bits)
            assert request.addr % size == 0
            assert request.addr % BURST_BYTES + (request.len + 1) * size <= BURST_BYTES, "a burst crosses 4 KB"
            self.lengths.append(request.len + 1)
            for n in range(request.len + 1):
                beat = await self._beats.get()
                assert beat.last == (n == request.len)
                for k in range(size):
                    if beat.strb >> k & 1:
                        self.memory[request.addr + n * size + k] = beat.data >> 8 * k & 255
            self._owed.put_nowait(self._forgotten)

    async def _respond(self) -> None:
        """Answer what has been received, the earliest in the cycle after it."""
        while True:
            forgotten = await self._owed.get()
            while not self.responding and forgotten == self._forgotten:
                await RisingEdge(self.b.clk)
            if forgotten == self._forgotten:
                await self.respond(self.idle)

    async def respond(self, idle: float = 0.0) -> None:
        """Send one response."""
        await send(self.b, [self.response.const({"resp": self.resp}).as_bits()], idle)

    async def _watch_reports(self) -> None:
        while True:
            await RisingEdge(self._dut.clk)
            if self._dut.protocol.value:
                assert not self.legal, "a memory that keeps the rules is accused"
                self.reports += 1


async def _connect(dut: Any, idle: float, resp: Resp = Resp.OKAY) -> Slave:
    """Reset the design and let a slave answer it."""
    (config,) = arguments()
    slave = Slave(dut, config, idle, resp)
    await start(dut, dut.i__valid, dut.bases__valid, slave.aw.ready, slave.w.ready, slave.b.valid, dut.flush, dut.abort,
                dut.forget)
    slave.start()
    return slave


async def _write(dut: Any, slave: Slave, regions: Sequence[tuple[int, int]]) -> tuple[dict[int, int], list[int]]:
    """Write random results to each ``(offset from the first region, count)``, one behind the other.

    Returns the bytes that memory should hold, by address, and the offsets of the bursts that failed.
    """
    slave.memory.clear()
    first = _base(slave.config)
    payloads: list[int] = []
    wanted: dict[int, int] = {}
    failed: list[int] = []
    for base, count in regions:
        results = [random.getrandbits(32) for _ in range(count)]
        payloads += packed(slave.config, results)
        content = b"".join(value.to_bytes(4, "little") for value in results)
        wanted |= {first + base + n: byte for n, byte in enumerate(content)}
    cocotb.start_soon(send(Stream(dut, "bases"), [first + base for base, _ in regions]))
    cocotb.start_soon(send(Stream(dut, "i"), payloads, slave.idle))

    async def until_done() -> None:
        done = 0
        while done < len(regions):
            await RisingEdge(dut.clk)
            done += int(dut.done.value)
            if dut.error.value:
                failed.append(int(dut.addr.value) - first)

    await with_timeout(until_done(), 200, "us")
    return wanted, failed


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(idle=[0.0, 0.4], flush=[0, 1], late=["", "aw", "w"])
async def results_land_in_place(dut: Any, idle: float, flush: int, late: str) -> None:
    """Whichever channel is accepted first."""
    slave = await _connect(dut, idle)
    slave.late = late
    dut.flush.value = flush
    size = slave.config.bus_bytes
    regions = [(0, 1), (BURST_BYTES - 2 * size, 100), (BURST_BYTES // 2 + 3 * size, 2 * size // 4),
               (4 * BURST_BYTES, 1), (2 * BURST_BYTES, 16 * size // 4 + 1)]
    wanted, failed = await _write(dut, slave, regions)
    assert slave.memory == wanted
    assert not failed
    assert max(slave.lengths) <= slave.config.write_beats
    if not flush:
        assert max(slave.lengths) == slave.config.write_beats
        assert len(slave.lengths) <= sum(-(-4 * count // size) // slave.config.write_beats + 2 for _, count in regions)
    await cycles(dut, 3)
    assert dut.idle.value


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def latency_is_as_published(dut: Any) -> None:
    """From the last result of a burst to its address and its first beat."""
    slave = await _connect(dut, 0.0)
    await send(Stream(dut, "bases"), [_base(slave.config)])
    await cycles(dut, 3)
    await send(Stream(dut, "i"), packed(slave.config, [1]))
    for cycle in range(1, WRITE_LATENCY + 1):
        await RisingEdge(dut.clk)
        assert bool(slave.aw.valid.value) == bool(slave.w.valid.value) == (cycle == WRITE_LATENCY)


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(resp=[resp for resp in Resp if resp != Resp.OKAY])
async def errors_are_reported(dut: Any, resp: Resp) -> None:
    """Whatever is not OKAY is an error."""
    slave = await _connect(dut, 0.0, resp)
    _, failed = await _write(dut, slave, [(0, 40)])
    assert len(failed) == len(slave.lengths)
    assert failed == [sum(slave.lengths[:n]) * slave.config.bus_bytes for n in range(len(failed))]


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def bursts_wait_while_responses_are_pending(dut: Any) -> None:
    """No more than may be pending are sent; then all go on, and each response belongs to its burst."""
    slave = await _connect(dut, 0.0, Resp.DECERR)
    slave.responding = False
    burst_bytes = slave.config.write_beats * slave.config.bus_bytes
    bursts = PENDING + 3
    writing = cocotb.start_soon(_write(dut, slave, [(0, bursts * burst_bytes // 4)]))
    await cycles(dut, 2 * bursts * burst_bytes // 4)
    assert len(slave.lengths) == PENDING
    assert not dut.idle.value
    slave.responding = True
    wanted, failed = await writing
    assert slave.memory == wanted
    assert failed == [n * burst_bytes for n in range(bursts)]


async def _end_abort(dut: Any) -> None:
    """Wait until the DMA is idle, for 200 cycles at most, and end the abort after one idle cycle."""
    for _ in range(200):
        await RisingEdge(dut.clk)
        if dut.idle.value:
            break
    assert dut.idle.value
    dut.abort.value = 0


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(idle=[0.0, 0.4])
async def an_abort_ends_the_burst_under_way_and_no_more(dut: Any, idle: float) -> None:
    slave = await _connect(dut, idle)
    size, results = slave.config.bus_bytes, Stream(dut, "i")
    for before in range(0, 6 * size, max(size // 8, 1)):
        feeder = cocotb.start_soon(send(results, packed(slave.config, range(10 * size), last=False)))
        await send(Stream(dut, "bases"), [_base(slave.config)])
        await cycles(dut, before)
        feeder.cancel()
        results.valid.value = 0
        dut.abort.value = 1
        await RisingEdge(dut.clk)
        bursts, under_way = len(slave.lengths), bool(dut.sending.value)
        await _end_abort(dut)
        assert len(slave.lengths) <= bursts + under_way
        wanted, _ = await _write(dut, slave, [(BURST_BYTES, 3)])
        assert slave.memory == wanted, "something was left of the run before"


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(at_once=[False, True])
async def an_abort_forgets_results_that_wait(dut: Any, at_once: bool) -> None:
    """All of a matrix, in a full queue and in a full beat before it. One cycle of an abort is enough if the bursts that
    are pending are forgotten in it."""
    slave = await _connect(dut, 0.0)
    slave.responding = False
    count = ((PENDING + 1) * slave.config.write_beats + 1) * slave.config.bus_bytes // 4
    await send(Stream(dut, "bases"), [_base(slave.config)])
    await send(Stream(dut, "i"), packed(slave.config, range(count)))
    await cycles(dut, 20)
    assert len(slave.lengths) == PENDING
    dut.abort.value = 1
    if at_once:
        slave.forget()
        dut.forget.value = 1
        await RisingEdge(dut.clk)
        dut.abort.value = dut.forget.value = 0
    else:
        slave.responding = True
        await _end_abort(dut)
    wanted, _ = await _write(dut, slave, [(BURST_BYTES, 3)])
    assert slave.memory == wanted, "something was left of the run before"
    assert len(slave.lengths) == PENDING + 1


async def _start_burst(dut: Any, slave: Slave) -> None:
    """Feed a whole burst of a matrix, without its last result; return at the edge before that at which it is offered.
    """
    size, config = slave.config.bus_bytes // 4, slave.config
    await send(Stream(dut, "bases"), [_base(config)])
    await send(Stream(dut, "i"), packed(config, range(1, 1 + size * config.write_beats), last=False))
    await cycles(dut, WRITE_LATENCY - 1)


async def _check_strobes(dut: Any, slave: Slave) -> None:
    """From now on: a beat that comes on offer in an abort has strobes of 0 until its burst ends, and any other has all.
    """
    aborted = waiting = False
    while True:
        await RisingEdge(dut.clk)
        aborted = bool(dut.abort.value) or (aborted and bool(dut.sending.value))
        if slave.w.valid.value:
            strobes = slave.data.from_bits(int(slave.w.payload.value)).strb
            if not waiting:
                assert strobes == (0 if aborted else (1 << slave.config.bus_bytes) - 1)
            waiting = not slave.w.ready.value


async def _forget(dut: Any, slave: Slave) -> None:
    """Have both sides forget what is pending, and end the abort."""
    slave.forget()
    dut.forget.value = 1
    await RisingEdge(dut.clk)
    dut.forget.value = 0
    await RisingEdge(dut.clk)
    assert dut.idle.value
    dut.abort.value = 0


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(silent=["", "aw", "w"], before=["", "aw", "w"], idle=[0.0, 0.6])
async def an_aborted_burst_writes_nothing_more(dut: Any, silent: str, before: str, idle: float) -> None:
    """Wherever in the burst the abort comes, and whichever channels are silent before and from then on; the beat on
    offer excepted. Memory that wakes up again gets a burst that is legal and does nothing."""
    slave = await _connect(dut, idle)
    checking = cocotb.start_soon(_check_strobes(dut, slave))
    beats = slave.config.write_beats
    for point in range(-2, beats + 3):
        slave.silent = {before} if before else set()
        await _start_burst(dut, slave)
        await cycles(dut, point + 2)
        slave.silent = {silent} if silent else set()
        dut.abort.value = 1
        await cycles(dut, 3 * beats)
        slave.silent = set()
        await _end_abort(dut)
        assert not dut.sending.value
    checking.cancel()
    wanted, _ = await _write(dut, slave, [(BURST_BYTES, 3 * beats + 1)])
    assert slave.memory == wanted


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def strobes_stay_0_when_the_abort_ends_before_the_burst(dut: Any) -> None:
    slave = await _connect(dut, 0.0)
    slave.silent = {"aw", "w"}
    await _start_burst(dut, slave)
    await RisingEdge(dut.clk)
    slave.silent = {"aw"}
    await RisingEdge(dut.clk)
    slave.silent = {"aw", "w"}
    cocotb.start_soon(_check_strobes(dut, slave))
    dut.abort.value = 1
    await cycles(dut, 5)
    dut.abort.value = 0
    await cycles(dut, 5)
    slave.silent = set()
    await cycles(dut, 3 * slave.config.write_beats)
    assert not dut.sending.value
    assert len(slave.memory) <= 2 * slave.config.bus_bytes


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(bursts=[1, 2, PENDING], resp=[Resp.OKAY, Resp.DECERR])
async def what_is_pending_can_be_forgotten(dut: Any, bursts: int, resp: Resp) -> None:
    """Then as many bursts as ever may be pending, and the responses belong to the new ones."""
    slave = await _connect(dut, 0.0, resp)
    burst_bytes = slave.config.write_beats * slave.config.bus_bytes
    for _ in range(2):
        slave.responding = False
        for _ in range(bursts - 1):
            await _start_burst(dut, slave)
            await cycles(dut, 2 * slave.config.write_beats)
            dut.abort.value = 1
            await cycles(dut, 2)
            dut.abort.value = 0
        await _start_burst(dut, slave)
        await cycles(dut, 2 * slave.config.write_beats)
        dut.abort.value = 1
        await cycles(dut, 10)
        assert not dut.sending.value
        assert not dut.idle.value
        await _forget(dut, slave)
        slave.responding = False
        slave.lengths.clear()
        writing = cocotb.start_soon(_write(dut, slave, [(BURST_BYTES, (PENDING + 2) * burst_bytes // 4)]))
        await cycles(dut, 2 * (PENDING + 2) * burst_bytes // 4)
        assert len(slave.lengths) == PENDING
        slave.responding = True
        wanted, failed = await writing
        assert slave.memory == wanted
        assert failed == ([] if resp == Resp.OKAY else [BURST_BYTES + n * burst_bytes for n in range(PENDING + 2)])
        await cycles(dut, 2)


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(resp=list(Resp))
async def a_response_without_a_burst_is_swallowed_and_reported(dut: Any, resp: Resp) -> None:
    """Before the first burst and after one; it is neither an error of a burst nor the end of a matrix."""
    slave = await _connect(dut, 0.0)
    for _ in range(2):
        slave.legal, slave.reports, slave.resp = False, 0, resp
        answering = cocotb.start_soon(slave.respond())
        await RisingEdge(dut.clk)  # the response is on offer
        assert not dut.protocol.value
        await RisingEdge(dut.clk)
        assert dut.protocol.value
        for _ in range(5):
            assert not dut.error.value
            assert not dut.done.value
            await RisingEdge(dut.clk)
        assert answering.done()
        assert slave.reports == 1
        slave.legal, slave.resp = True, Resp.OKAY
        # As many final bursts as the DMA keeps in mind.
        wanted, failed = await _write(dut, slave, [(n * BURST_BYTES, 1) for n in range(PENDING)])
        assert slave.memory == wanted
        assert not failed


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(held=["aw", "w"])
async def a_response_before_its_burst_is_complete_is_reported(dut: Any, held: str) -> None:
    """One that comes before the last beat, or before the address, is accepted. The burst still waits for its own."""
    slave = await _connect(dut, 0.0)
    slave.responding = False
    for accepted in range(1 if held == "aw" else slave.config.write_beats):
        slave.silent, slave.legal, slave.reports = {held}, False, 0
        await _start_burst(dut, slave)
        if held == "aw":
            await cycles(dut, slave.config.write_beats + 2)
        else:
            slave.silent = set()
            await cycles(dut, accepted)
            slave.silent = {held}
            await cycles(dut, 3)
        assert dut.sending.value
        await slave.respond()
        await cycles(dut, 2)
        assert slave.reports == 1
        slave.silent, slave.legal = set(), True
        await cycles(dut, slave.config.write_beats + 3)
        assert not dut.sending.value
        assert not dut.idle.value, "the burst's own response has not come"
        dut.abort.value = 1
        await RisingEdge(dut.clk)
        await _forget(dut, slave)
        slave.responding = False


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(last=["aw", "w"])
async def a_response_in_the_cycle_of_the_last_transfer_waits(dut: Any, last: str) -> None:
    """It answers the burst that becomes complete in that very cycle, and is no reason to accuse memory."""
    slave = await _connect(dut, 0.0)
    slave.silent, slave.responding = {last}, False
    config, channel = slave.config, slave.aw if last == "aw" else slave.w
    await send(Stream(dut, "bases"), [_base(config)])
    await send(Stream(dut, "i"), packed(config, [1]))
    await cycles(dut, WRITE_LATENCY + 3)
    assert dut.sending.value
    slave.silent = set()
    answering = cocotb.start_soon(slave.respond())
    offers, transfers, done = [], [], 0
    for cycle in range(6):
        await RisingEdge(dut.clk)
        offers += [cycle] * bool(slave.b.valid.value)
        transfers += [cycle] * bool(channel.valid.value and channel.ready.value)
        done += int(dut.done.value)
    assert offers[0] == transfers[0], "the testbench has missed the cycle"
    assert done == 1
    assert answering.done()
    assert dut.idle.value
    slave.forget()
    wanted, _ = await _write(dut, slave, [(BURST_BYTES, 3)])
    assert slave.memory == wanted


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(silent=["aw", "w"])
async def neither_channel_waits_for_the_other(dut: Any, silent: str) -> None:
    """All of a burst's beats are sent without its address, and the address without any beat."""
    slave = await _connect(dut, 0.0)
    slave.silent = {silent}
    await _start_burst(dut, slave)
    await cycles(dut, slave.config.write_beats + 1)
    assert getattr(slave, silent).valid.value
    assert not (slave.aw if silent == "w" else slave.w).valid.value
    assert dut.sending.value
