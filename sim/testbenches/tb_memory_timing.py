"""Memory model, timing: every cycle of a read counted against what the DRAM's numbers say.

Cycles are counted at rising edges, from 0. Word ``i`` of the memory holds a value made of ``i``, so the data of every
read is checked as well.
"""

import random
from itertools import count, pairwise
from pathlib import Path

import cocotb
from cocotb.triggers import RisingEdge

from hw.axi import Burst, beat_size
from sim.memory import QUEUE_LATENCY, READS, SPARE_BURSTS
from sim.runner import arguments
from sim.streams import cycles, start


class Master:
    """Drives the AXI pins, one bus word at a time."""

    def __init__(self, dut):
        self.dut = dut
        self.dram, _, self.data_bits, self.size = arguments()
        self.width = self.data_bits // 8
        self.words = self.size // self.width

    def content(self, word):
        """What :meth:`start` puts into a word."""
        return (word * 0x9e3779b97f4a7c15 + 1) % (1 << min(self.data_bits, 64))

    async def start(self):
        dut = self.dut
        inputs = [getattr(dut, f"s_axi_{name}") for name in (
            "arvalid", "arid", "awvalid", "awid", "wvalid", "wlast", "bready", "rready")]
        await start(dut, *inputs, dut.host__load, dut.host__store, dut.host__addr)
        for channel in ("ar", "aw"):
            getattr(dut, f"s_axi_{channel}burst").value = Burst.INCR.value
            getattr(dut, f"s_axi_{channel}size").value = beat_size(self.data_bits)
        dut.s_axi_wstrb.value = (1 << self.width) - 1
        Path("memory.in").write_bytes(b"".join(self.content(i).to_bytes(self.width, "big") for i in range(self.words)))
        dut.host__count.value, dut.host__load.value = self.words, 1
        await RisingEdge(dut.clk)
        dut.host__load.value = 0
        await self.reset()

    async def reset(self):
        self.dut.rst.value = 1
        await RisingEdge(self.dut.clk)
        self.dut.rst.value = 0

    def sequential(self, words, beats):
        """Requests ``(word, beats)`` for ``words`` words from word 0, going round the memory."""
        return [(word % self.words, beats) for word in range(0, words, beats)]

    async def read(self, requests, stall=0.0, hold=0):
        """Read, requests back to back; returns the cycles in which requests were taken and words came.

        Words are not taken before cycle ``hold``, nor with probability ``stall``.
        """
        dut, taken, came = self.dut, [], []
        expected = [(word + i, i == beats - 1) for word, beats in requests for i in range(beats)]
        dut.s_axi_arvalid.value, dut.s_axi_rready.value = 1, not hold
        dut.s_axi_araddr.value, dut.s_axi_arlen.value = requests[0][0] * self.width, requests[0][1] - 1
        ready, last_cycle = not hold, 0
        for cycle in count():
            await RisingEdge(dut.clk)
            assert cycle - max(last_cycle, hold) < 1000, f"nothing happens: {len(came)} of {len(expected)} words came"
            if len(taken) < len(requests) and dut.s_axi_arready.value:
                taken.append(cycle)
                last_cycle = cycle
                if len(taken) == len(requests):
                    dut.s_axi_arvalid.value = 0
                else:
                    word, beats = requests[len(taken)]
                    dut.s_axi_araddr.value, dut.s_axi_arlen.value = word * self.width, beats - 1
            if ready and dut.s_axi_rvalid.value:
                word, last = expected[len(came)]
                came.append(cycle)
                last_cycle = cycle
                assert int(dut.s_axi_rdata.value) == self.content(word), f"word {word}, the {len(came)}th read"
                assert bool(dut.s_axi_rlast.value) == last
                assert dut.s_axi_rresp.value == 0
                if len(came) == len(expected):
                    dut.s_axi_rready.value = 0
                    return taken, came
            if stall or hold:
                ready = cycle >= hold and random.random() >= stall
                dut.s_axi_rready.value = ready

    async def write(self, requests):
        """Write the words' own content, back to back; returns the cycles in which words went and responses came."""
        dut, taken, went, came = self.dut, 0, [], []
        words = [(word + i, i == beats - 1) for word, beats in requests for i in range(beats)]
        dut.s_axi_bready.value, dut.s_axi_awvalid.value, dut.s_axi_wvalid.value = 1, 1, 1
        for cycle in count():
            if taken < len(requests):
                dut.s_axi_awaddr.value, dut.s_axi_awlen.value = requests[taken][0] * self.width, requests[taken][1] - 1
            if len(went) < len(words):
                word, last = words[len(went)]
                dut.s_axi_wdata.value, dut.s_axi_wlast.value = self.content(word), last
            await RisingEdge(dut.clk)
            assert cycle < 20 * len(words) + 1000, "writes do not end"
            if taken < len(requests) and dut.s_axi_awready.value:
                taken += 1
                dut.s_axi_awvalid.value = taken < len(requests)
            if len(went) < len(words) and dut.s_axi_wready.value:
                went.append(cycle)
                dut.s_axi_wvalid.value = len(went) < len(words)
            if dut.s_axi_bvalid.value:
                assert dut.s_axi_bresp.value == 0
                came.append(cycle)
                if len(came) == len(requests):
                    dut.s_axi_bready.value = 0
                    return went, came


async def _master(dut):
    master = Master(dut)
    await master.start()
    return master


def _intervals(dram):
    """Refresh intervals to watch: more than 10, but Icarus is slow."""
    return 11 if "verilator" in cocotb.SIM_NAME.lower() else min(11, 18_000 // dram.refresh_interval)


@cocotb.test()
async def sequential_reads_reach_the_limit(dut):
    """Only refreshes interrupt the stream, with gaps of the right length at the right distance."""
    master = await _master(dut)
    dram = master.dram
    intervals = _intervals(dram) if dram.refresh_interval else 0
    words = int(dram.sequential_limit * dram.refresh_interval * intervals) or 2000
    _, came = await master.read(master.sequential(words, min(4096 // master.width, 256)))
    gaps = [(a, b - a - 1) for a, b in pairwise(came) if b - a > 1]
    if not dram.refresh_interval:
        assert not gaps
        return
    assert len(gaps) >= intervals - 1
    ras = dram.cycles(dram.t_ras)
    assert min(length for _, length in gaps) == dram.refresh_gap
    for _, length in gaps:  # longer when it has to wait for tRAS
        assert dram.refresh_gap <= length <= dram.refresh_gap + ras, f"refresh takes {length} cycles"
    for (a, _), (b, _) in pairwise(gaps):
        assert b - a == dram.refresh_interval
    # From the end of one gap to the end of another is a whole number of intervals.
    first, last = came.index(gaps[0][0]) + 1, came.index(gaps[-1][0]) + 1
    rate = (last - first) / (came[last] - came[first])
    dut._log.info(f"{dram.name}: {rate:.5f} of the peak, limit {dram.sequential_limit:.5f}, gaps {sorted(set(gaps))}")
    assert abs(rate - dram.sequential_limit) < 0.003


@cocotb.test()
async def short_bursts_follow_without_a_gap(dut):
    """Bursts of 4 words, through more rows than there are banks."""
    master = await _master(dut)
    dram = master.dram
    beats = 4
    words = (max(dram.banks, 1) + 3) * dram.row_words
    _, came = await master.read(master.sequential(words, beats))
    gaps = [b - a - 1 for a, b in pairwise(came) if b - a > 1]
    refreshes = -(-came[-1] // dram.refresh_interval) if dram.refresh_interval else 0
    assert len(gaps) <= refreshes, gaps
    assert all(gap >= dram.refresh_gap for gap in gaps)


@cocotb.test()
async def latencies(dut):
    """First words of reads from closed, open and wrong rows; the shortest time between two rows of one bank."""
    master = await _master(dut)
    dram = master.dram
    rp, rcd, rc = (dram.cycles(ck) for ck in (dram.t_rp, dram.t_rcd, dram.t_rc))
    base = QUEUE_LATENCY + dram.read_latency
    other_row = dram.row_words * max(dram.banks, 1)

    async def latency(word):
        taken, came = await master.read([(word, 1)])
        await cycles(dut, 20)
        return came[0] - taken[0]

    assert await latency(0) == base + rcd
    assert await latency(1) == base
    assert await latency(other_row) == base + rp + rcd
    if dram.banks:
        assert await latency(dram.row_words) == base + rcd, "another bank"
        assert await latency(other_row + 5) == base, "the row of a bank stays open"
        _, (first, second) = await master.read([(0, 1), (other_row, 1)])
        assert second - first == rc
        _, came = await master.read([(0, 64), (other_row, 1)])
        assert [b - a for a, b in pairwise(came)] == [1] * 63 + [1 + rp + rcd], "a row is closed when no longer needed"
    # Paused for long, a refresh has closed the row.
    if dram.banks:
        await cycles(dut, dram.refresh_interval)
        assert await latency(other_row) == base + rcd


@cocotb.test()
async def random_reads(dut):
    """Scattered bursts with stalls: all data, in order; twice the same cycles from reset."""
    master = await _master(dut)
    requests = []
    for _ in range(60):
        word = random.randrange(master.words)
        page = 4096 // master.width
        requests.append((word, random.randint(1, min(24, page - word % page))))
    await master.read(requests, stall=0.5)
    runs = []
    for _ in range(2):
        await master.reset()
        runs.append(await master.read(requests))
    assert runs[0] == runs[1]


@cocotb.test()
async def stalled_reads_resume_at_full_rate(dut):
    """A master that takes nothing for long stops its reads, not its writes; then a word comes every cycle."""
    master = await _master(dut)
    dram, beats = master.dram, 16
    room = dram.read_latency + SPARE_BURSTS * min(4096 // master.width, 256)
    hold = room + 500
    requests = master.sequential(room + (READS + 20) * beats, beats)
    reading = cocotb.start_soon(master.read(requests, hold=hold))
    await cycles(dut, hold - 200)  # no more reads are possible by now
    _, (written,) = await master.write([(0, beats)])
    assert written < 200, "the write had to wait for the reads"
    taken, came = await reading
    assert sum(cycle < hold for cycle in taken) * beats <= room + (READS + 1) * beats
    refreshes = came[-1] // dram.refresh_interval - came[0] // dram.refresh_interval if dram.refresh_interval else 0
    assert came[-1] - came[0] <= beats * len(requests) - 1 + refreshes * dram.refresh_gap


@cocotb.test()
async def writes_and_reads_share_the_bus(dut):
    """Both at once, in other banks: bursts in turn, together a word every cycle."""
    master = await _master(dut)
    dram, bursts = master.dram, 16
    half = dram.banks // 2 * dram.row_words or 512
    beats = min(32, half // bursts)
    reads = master.sequential(bursts * beats, beats)
    writes = [(word + half, beats) for word, beats in reads]
    writing = cocotb.start_soon(master.write(writes))
    _, came = await master.read(reads)
    _, responses = await writing
    words, took = 2 * bursts * beats, max(came[-1], responses[-1])
    dut._log.info(f"{dram.name}: {words} words read and written in {took} cycles")
    refreshes = took // dram.refresh_interval + 1 if dram.refresh_interval else 0
    start_up = QUEUE_LATENCY + dram.cycles(dram.t_rcd) + dram.read_latency
    assert took <= words + start_up + refreshes * dram.refresh_gap + 16
    # In turn: between two writes there is one burst read, once reads and writes are both waiting.
    middle = [b - a for a, b in pairwise(responses[2:bursts // 2])]
    assert all(2 * beats <= distance <= 2 * beats + 16 + dram.refresh_gap for distance in middle), responses
    await master.read(writes)


@cocotb.test()
async def writes_wait_for_their_data(dut):
    """A write request without data holds up nothing."""
    master = await _master(dut)
    dram = master.dram
    dut.s_axi_awaddr.value, dut.s_axi_awlen.value, dut.s_axi_awvalid.value = 0, 3, 1
    await RisingEdge(dut.clk)
    dut.s_axi_awvalid.value = 0
    taken, came = await master.read(master.sequential(32, 16))
    assert came[0] - taken[0] == QUEUE_LATENCY + dram.cycles(dram.t_rcd) + dram.read_latency
    assert came[-1] - came[0] == 31


@cocotb.test()
async def published_run(dut):
    """``paper``: T = 1.0399 beats + 255 cycles from the request to the last word."""
    master = await _master(dut)
    if master.dram.name != "paper":
        return
    for beats in (2048, 8192):
        taken, came = await master.read(master.sequential(beats, min(4096 // master.width, 64)))
        took = came[-1] - taken[0]
        dut._log.info(f"paper: {beats} words in {took} cycles, first after {came[0] - taken[0]}")
        assert came[0] - taken[0] == 255
        assert abs(took - (1.0399 * beats + 255)) <= 20
        await cycles(dut, 500)
