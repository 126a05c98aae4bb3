"""Read and write traffic on the memory's AXI pins, as fast as they allow, with the cycle of every word.

Cycles are counted at rising edges, from 0. Word ``i`` of the memory holds a value made of ``i``, so the data of every
read is checked as well.
"""

import random
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

from cocotb.triggers import RisingEdge

from hw.parts.axi import Burst, beat_size
from sim.bench.streams import start
from sim.dram.dram import Dram
from sim.dram.scheduler import word_layout
from sim.tools.run import arguments

__all__ = ["Master", "Request", "refreshes", "started"]

Request = tuple[int, int]
"""A burst: the number of its first word in the memory, and its beats."""
_PATIENCE = 1000
"""Cycles without progress after which a read is given up."""


class Master:
    """Drives the AXI pins of a :class:`~sim.dram.memory_pins.MemoryPins`, one bus word at a time.

    Parameters
    ----------
    dut : handle

    Attributes
    ----------
    dram : Dram
        The memory's timing.
    data_bits, width : int
        Width of a bus word, in bits and in bytes.
    size, words : int
        Size of the memory, in bytes and in words.
    """

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.dram: Dram
        self.dram, _, self.data_bits, self.size, self._base = arguments()
        self.width = self.data_bits // 8
        self.words = self.size // self.width

    def address(self, word: int) -> int:
        """The byte address of a word."""
        return self._base + word * self.width

    def content(self, word: int) -> int:
        """The value that :meth:`start` and :meth:`write` put into a word."""
        return (word * 0x9e3779b97f4a7c15 + 1) % (1 << min(self.data_bits, 64))

    async def start(self) -> None:
        """Start the clock, fill the memory and reset the design."""
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

    async def reset(self) -> None:
        """Reset the design for a cycle; the memory keeps its content."""
        self.dut.rst.value = 1
        await RisingEdge(self.dut.clk)
        self.dut.rst.value = 0

    def word(self, group: int = 0, bank: int = 0, row: int = 0, column: int = 0, rank: int = 0) -> int:
        """The number of the word at that place."""
        layout = word_layout(self.dram, self.data_bits, self.words)
        place = {"rank": rank, "group": group, "bank": bank, "row": row, "column": column}
        return layout.const(place).as_bits()

    def sequential(self, words: int, beats: int) -> list[Request]:
        """Requests of ``beats`` beats each for ``words`` words from word 0, going round the memory."""
        return [(word % self.words, beats) for word in range(0, words, beats)]

    async def read(self, requests: Sequence[Request], stall: float = 0.0, hold: int = 0,
                   outstanding: int = 1 << 20) -> tuple[list[int], list[int]]:
        """Read, with requests back to back.

        Parameters
        ----------
        requests : sequence of Request
        stall : float
            Probability of a cycle in which no word is accepted.
        hold : int
            Before this cycle no word is accepted.
        outstanding : int
            The most requests that are under way at once.

        Returns
        -------
        accepted, received : list of int
            The cycles in which requests were accepted, and in which words were received.
        """
        dut, finished = self.dut, 0
        accepted: list[int] = []
        received: list[int] = []
        expected = [(word + i, i == beats - 1) for word, beats in requests for i in range(beats)]
        dut.s_axi_arvalid.value, dut.s_axi_rready.value = 1, not hold
        dut.s_axi_araddr.value, dut.s_axi_arlen.value = self.address(requests[0][0]), requests[0][1] - 1
        ready, requesting, last_cycle = not hold, True, 0
        for cycle in count():
            await RisingEdge(dut.clk)
            assert cycle - max(last_cycle, hold) < _PATIENCE, f"stuck after {len(received)} of {len(expected)} words"
            if requesting and dut.s_axi_arready.value:
                accepted.append(cycle)
                last_cycle = cycle
                if len(accepted) < len(requests):
                    word, beats = requests[len(accepted)]
                    dut.s_axi_araddr.value, dut.s_axi_arlen.value = self.address(word), beats - 1
            if ready and dut.s_axi_rvalid.value:
                word, last = expected[len(received)]
                received.append(cycle)
                finished += last
                last_cycle = cycle
                assert int(dut.s_axi_rdata.value) == self.content(word), f"word {word}, the {len(received)}th read"
                assert bool(dut.s_axi_rlast.value) == last
                assert dut.s_axi_rresp.value == 0
                if len(received) == len(expected):
                    dut.s_axi_rready.value = 0
                    break
            requesting = len(accepted) < min(len(requests), finished + outstanding)
            dut.s_axi_arvalid.value = requesting
            if stall or hold:
                ready = cycle >= hold and random.random() >= stall
                dut.s_axi_rready.value = ready
        return accepted, received

    async def write(self, requests: Sequence[Request], hold: int = 0) -> tuple[list[int], list[int]]:
        """Write the words' own content, with requests and words back to back.

        Parameters
        ----------
        requests : sequence of Request
        hold : int
            Before this cycle no response is accepted.

        Returns
        -------
        sent, responses : list of int
            The cycles in which words were accepted by the memory, and in which responses were received.
        """
        dut, accepted = self.dut, 0
        sent: list[int] = []
        responses: list[int] = []
        words = [(word + i, i == beats - 1) for word, beats in requests for i in range(beats)]
        dut.s_axi_awvalid.value, dut.s_axi_wvalid.value = 1, 1
        for cycle in count():
            if accepted < len(requests):
                word, beats = requests[accepted]
                dut.s_axi_awaddr.value, dut.s_axi_awlen.value = self.address(word), beats - 1
            if len(sent) < len(words):
                word, last = words[len(sent)]
                dut.s_axi_wdata.value, dut.s_axi_wlast.value = self.content(word), last
            ready = cycle >= hold
            dut.s_axi_bready.value = ready
            await RisingEdge(dut.clk)
            assert cycle < hold + 20 * len(words) + _PATIENCE, "writes do not end"
            if accepted < len(requests) and dut.s_axi_awready.value:
                accepted += 1
                dut.s_axi_awvalid.value = accepted < len(requests)
            if len(sent) < len(words) and dut.s_axi_wready.value:
                sent.append(cycle)
                dut.s_axi_wvalid.value = len(sent) < len(words)
            if ready and dut.s_axi_bvalid.value:
                assert dut.s_axi_bresp.value == 0
                responses.append(cycle)
                if len(responses) == len(requests):
                    dut.s_axi_bready.value = 0
                    break
        return sent, responses


async def started(dut: Any) -> Master:
    """A master of ``dut``, whose memory is out of reset and filled."""
    master = Master(dut)
    await master.start()
    return master


def refreshes(dram: Dram, cycles: int) -> tuple[int, int]:
    """Refreshes that may hold up a stream of that many cycles, and the cycles that they cost it at most."""
    settle = dram.t_rtp + dram.groups * max(dram.t_rrd_s, dram.t_rrd_l)  # the last read; the first rows
    gap = dram.t_rp + dram.t_rfc_bank + dram.t_rcd if dram.t_refi_bank else dram.refresh_gap
    interval = dram.t_refi_bank // dram.ratio or dram.refresh_interval
    number = cycles // interval + 1 if interval and gap else 0
    return number, number * dram.cycles(gap + settle)
