"""Read and write traffic on the memory's AXI pins, as fast as they allow, with the cycle of every word.

Cycles are counted at rising edges, from 0. Word ``i`` of the memory holds a value made of ``i``, so the data of every
read is checked as well.
"""

import random
from itertools import count
from pathlib import Path

from cocotb.triggers import RisingEdge

from hw.parts.axi import Burst, beat_size
from sim.bench.streams import start
from sim.dram.scheduler import word_layout
from sim.tools.run import arguments

__all__ = ["Master", "refreshes", "sequential_rate", "started"]


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

    def word(self, group=0, bank=0, row=0, column=0):
        """The number of the word at that place."""
        layout = word_layout(self.dram, self.data_bits, self.words)
        return layout.const({"group": group, "bank": bank, "row": row, "column": column}).as_bits()

    def sequential(self, words, beats):
        """Requests ``(word, beats)`` for ``words`` words from word 0, going round the memory."""
        return [(word % self.words, beats) for word in range(0, words, beats)]

    async def read(self, requests, stall=0.0, hold=0, outstanding=1 << 20):
        """Read, requests back to back; returns the cycles in which requests were taken and words came.

        Words are not taken before cycle ``hold``, nor with probability ``stall``; no more than ``outstanding`` requests
        are under way at once.
        """
        dut, taken, came, finished = self.dut, [], [], 0
        expected = [(word + i, i == beats - 1) for word, beats in requests for i in range(beats)]
        dut.s_axi_arvalid.value, dut.s_axi_rready.value = 1, not hold
        dut.s_axi_araddr.value, dut.s_axi_arlen.value = requests[0][0] * self.width, requests[0][1] - 1
        ready, asking, last_cycle = not hold, True, 0
        for cycle in count():
            await RisingEdge(dut.clk)
            assert cycle - max(last_cycle, hold) < 1000, f"nothing happens: {len(came)} of {len(expected)} words came"
            if asking and dut.s_axi_arready.value:
                taken.append(cycle)
                last_cycle = cycle
                if len(taken) < len(requests):
                    word, beats = requests[len(taken)]
                    dut.s_axi_araddr.value, dut.s_axi_arlen.value = word * self.width, beats - 1
            if ready and dut.s_axi_rvalid.value:
                word, last = expected[len(came)]
                came.append(cycle)
                finished += last
                last_cycle = cycle
                assert int(dut.s_axi_rdata.value) == self.content(word), f"word {word}, the {len(came)}th read"
                assert bool(dut.s_axi_rlast.value) == last
                assert dut.s_axi_rresp.value == 0
                if len(came) == len(expected):
                    dut.s_axi_rready.value = 0
                    return taken, came
            asking = len(taken) < min(len(requests), finished + outstanding)
            dut.s_axi_arvalid.value = asking
            if stall or hold:
                ready = cycle >= hold and random.random() >= stall
                dut.s_axi_rready.value = ready

    async def write(self, requests, hold=0):
        """Write the words' own content, back to back; returns the cycles in which words went and responses came.

        Responses are not taken before cycle ``hold``.
        """
        dut, taken, went, came = self.dut, 0, [], []
        words = [(word + i, i == beats - 1) for word, beats in requests for i in range(beats)]
        dut.s_axi_awvalid.value, dut.s_axi_wvalid.value = 1, 1
        for cycle in count():
            if taken < len(requests):
                dut.s_axi_awaddr.value, dut.s_axi_awlen.value = requests[taken][0] * self.width, requests[taken][1] - 1
            if len(went) < len(words):
                word, last = words[len(went)]
                dut.s_axi_wdata.value, dut.s_axi_wlast.value = self.content(word), last
            ready = cycle >= hold
            dut.s_axi_bready.value = ready
            await RisingEdge(dut.clk)
            assert cycle < hold + 20 * len(words) + 1000, "writes do not end"
            if taken < len(requests) and dut.s_axi_awready.value:
                taken += 1
                dut.s_axi_awvalid.value = taken < len(requests)
            if len(went) < len(words) and dut.s_axi_wready.value:
                went.append(cycle)
                dut.s_axi_wvalid.value = len(went) < len(words)
            if ready and dut.s_axi_bvalid.value:
                assert dut.s_axi_bresp.value == 0
                came.append(cycle)
                if len(came) == len(requests):
                    dut.s_axi_bready.value = 0
                    return went, came


async def sequential_rate(master, intervals):
    """Share of the peak that a sequential stream of reads reaches once under way, over whole refresh intervals."""
    dram, beats = master.dram, min(4096 // master.width, 256)
    peak = dram.word_rate(master.data_bits)
    warm_up, span = 200, dram.refresh_interval * intervals or 2000
    _, came = await master.read(master.sequential(int((warm_up + span) * peak) // beats * beats + 2 * beats, beats))
    first = came[0] + warm_up
    assert came[-1] >= first + span
    words = sum(first <= cycle < first + span for cycle in came)
    return words / span / peak


async def started(dut):
    """A master, with the memory out of reset and filled."""
    master = Master(dut)
    await master.start()
    return master


def refreshes(dram, took):
    """Refreshes that may fall into ``took`` cycles, and the cycles that they cost a stream."""
    count = took // dram.refresh_interval + 1 if dram.refresh_interval and dram.refresh_gap else 0
    settle = dram.t_rtp + dram.groups * max(dram.t_rrd_s, dram.t_rrd_l)  # the last read; the first rows
    return count, count * dram.cycles(dram.refresh_gap + settle)
