"""A memory on the engine's AXI4 pins that is slow, silent, wrong or late where a test says so, and that watches.

It answers in order, reads and writes each by themselves. Reads return the content that the test loaded, also where the
engine has written since: what a run computes depends on no race between its reads and its writes. The memory checks
everything that the engine offers against AXI4 (ARM IHI 0022) and against the regions that the run may touch:

- What is offered stays as it is until it is accepted (section A3.2.1), and nothing is offered in a reset and in the
  first cycle after it (A3.1.2).
- Bursts are INCR, of whole, aligned beats, and cross no 4 KB boundary (A3.4.1).
- WLAST is set on a burst's last beat and on no other (A3.2.2).
- Requests lie in the regions of the run, and strobes only where it has results. After :meth:`HostileMemory.end_writes`
  no beat is offered with a strobe that is set.
"""

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from hw.config import EngineConfig
from hw.parts.axi import BURST_BYTES, Burst, Resp, beat_size
from sim.bench.sparse_memory import SparseMemory

__all__ = ["CHANNELS", "Behaviour", "HostileMemory"]

CHANNELS = ("ar", "r", "aw", "w", "b")
_PAYLOADS = {"ar": ("addr", "len", "size", "burst", "id"), "aw": ("addr", "len", "size", "burst", "id"),
             "w": ("data", "strb", "last")}


@dataclass
class Behaviour:
    """How the memory answers. A fresh one keeps to AXI and is fast.

    Parameters
    ----------
    pause : float
        Probability with which a channel does nothing in a cycle.
    longest : int
        Cycles of such a pause at most.
    silent : set of str
        Channels that do nothing at all; what they offer already stays.
    latency : int
        Cycles from a request, or from the last beat of a write, to the earliest answer.
    order : str
        "any", or what is accepted first: "aw", "w", or "random" for one of the two, drawn for each burst.
    resp : dict of int to Resp
        Responses other than OKAY: to reads by the address of the beat, to writes by the address of the burst.
    last : dict of int to callable
        Which beats a read burst is answered by, by its number since the content was loaded: from the number of beats
        that were requested, RLAST of each beat that is sent. All others are answered as AXI demands.
    babbling : set of str
        Channels, of "r" and "b", that always offer something, whether it was asked for or not.
    early : str
        "" for responses to writes at their time, "aw" for such that come before the data, as soon as the address is
        accepted, and "w" for such that come before the address, as soon as the last beat is accepted.
    """

    pause: float = 0.0
    longest: int = 1000
    silent: set[str] = field(default_factory=set)
    latency: int = 6
    order: str = "any"
    resp: dict[int, Resp] = field(default_factory=dict)
    last: dict[int, Callable[[int], list[bool]]] = field(default_factory=dict)
    early: str = ""
    babbling: set[str] = field(default_factory=set)


class HostileMemory:
    """The memory, and the monitor of the bus.

    Parameters
    ----------
    dut : handle
        :class:`~hw.engine.pins.EnginePins`.
    config : EngineConfig

    Attributes
    ----------
    behaviour : Behaviour
    content, written : SparseMemory
        What was loaded, and that with what was written since.
    survives : bool
        A reset of the engine does not reset the memory: it still answers what was asked before. A write that is under
        way is forgotten nevertheless, because nothing could complete it.
    reads, writes : list of (int, int)
        Addresses and bytes of the bursts that were requested since the content was loaded.
    write_beats : int
        Beats of data accepted since then.
    gap : int
        The longest time without a transfer in any channel since then, or since :meth:`clear_gap`, in cycles.
    """

    def __init__(self, dut: Any, config: EngineConfig) -> None:
        self._dut, self._config, self.survives = dut, config, False
        self._valid = {channel: getattr(dut, f"m_axi_{channel}valid") for channel in CHANNELS}
        self._ready = {channel: getattr(dut, f"m_axi_{channel}ready") for channel in CHANNELS}
        self._payload = {channel: [getattr(dut, f"m_axi_{channel}{name}") for name in names]
                         for channel, names in _PAYLOADS.items()}
        self._r = [getattr(dut, f"m_axi_r{name}") for name in ("data", "resp", "last")]
        self._bresp = dut.m_axi_bresp
        dut.m_axi_rid.value = dut.m_axi_bid.value = 0
        # `_held`: what is offered and not accepted. `_driven`: the memory's part of each channel's handshake.
        self._held: dict[str, tuple[int, ...]] = {}
        self._driven = dict.fromkeys(CHANNELS, True)
        self._paused = dict.fromkeys(CHANNELS, 0)
        self._was_reset, self.cycle = False, 0
        self.behaviour = Behaviour()
        self._forget()
        self._be_still()
        self.load(SparseMemory(), [], [])

    def start(self) -> None:
        """Answer from now on."""
        cocotb.start_soon(self._run())

    def load(self, content: SparseMemory, reads: Sequence[tuple[int, int]], writes: Sequence[tuple[int, int]]) -> None:
        """Begin anew with this content. From now on requests must lie in these regions, (address, bytes)."""
        self.content, self.written = content, SparseMemory(content)
        self._read_regions, self._write_regions, self._writes_end = reads, writes, False
        self.reads: list[tuple[int, int]] = []
        self.writes: list[tuple[int, int]] = []
        self.write_beats = self.gap = self._quiet = 0

    def end_writes(self) -> None:
        """From now on no beat may newly be offered with a strobe, until the next content is loaded."""
        self._writes_end = True

    def ask_r(self, data: int, resp: Resp = Resp.OKAY, last: bool = True) -> None:
        """Offer a beat that nobody asked for, before all others that wait."""
        self._r_waiting.appendleft((self.cycle, data, resp, last))

    def ask_b(self, resp: Resp = Resp.OKAY) -> None:
        """Offer a response that nobody asked for, before all others that wait."""
        self._b_waiting.appendleft((self.cycle, resp))

    @property
    def owes(self) -> bool:
        """Whether answers are outstanding, or a write is under way."""
        return bool(self._r_waiting or self._b_waiting or self._driven["r"] or self._driven["b"] or self._requests or
                    self._data or self._left)

    @property
    def kept(self) -> int:
        """Beats that were accepted and are not written, because their address has not come."""
        return len(self._data)

    def clear_gap(self) -> None:
        """Measure the longest gap from now on."""
        self.gap = self._quiet = 0

    def _forget(self) -> None:
        """Drop everything that is to be answered."""
        self._r_waiting: deque[tuple[int, int, Resp, bool]] = deque()
        self._b_waiting: deque[tuple[int, Resp]] = deque()
        self._forget_writes()

    def _forget_writes(self) -> None:
        # `_requests` and `_data` wait for each other. `_left`: addresses of the beats of the oldest write that are to
        # come. `_answered`: bursts whose response has been given early.
        self._requests: deque[tuple[int, int]] = deque()
        self._data: deque[tuple[int, int, int]] = deque()
        self._left: deque[int] = deque()
        self._answered, self._first = 0, random.choice(("aw", "w"))

    def _be_still(self) -> None:
        for channel in CHANNELS:
            self._drive(channel, False)

    def _drive(self, channel: str, value: bool) -> None:
        """Set the memory's part of a channel's handshake."""
        if self._driven[channel] != value:
            (self._valid if channel in ("r", "b") else self._ready)[channel].value = int(value)
            self._driven[channel] = value

    def _may(self, channel: str) -> bool:
        """Whether a channel does something in the next cycle."""
        behaviour = self.behaviour
        paused = random.random() < behaviour.pause and self._paused[channel] < behaviour.longest
        self._paused[channel] = self._paused[channel] + 1 if paused else 0
        return not paused and channel not in behaviour.silent

    async def _run(self) -> None:
        edge, reset = RisingEdge(self._dut.clk), self._dut.rst
        while True:
            await edge
            self.cycle += 1
            self._step(bool(reset.value))

    def _step(self, resetting: bool) -> None:
        """Do what happens at a rising edge."""
        if self._was_reset:
            for channel in ("ar", "aw", "w"):
                assert not self._valid[channel].value, f"{channel} is valid in a reset or in the first cycle after it"
        self._was_reset = resetting
        if resetting:
            self._held.clear()
            if not self.survives:
                self._forget()
                self._be_still()
                return
        free, moved = self._deliver()
        for channel in ("ar", "aw", "w"):
            moved |= self._accept(channel, resetting)
        self._store()
        if resetting:
            self._forget_writes()
        self._quiet = 0 if moved else self._quiet + 1
        self.gap = max(self.gap, self._quiet)
        self._answer(free)
        self._permit()

    def _deliver(self) -> tuple[list[str], bool]:
        """Which of the channels r and b may carry a new answer, and whether one was accepted at this edge."""
        free, moved = [], False
        for channel in ("r", "b"):
            accepted = self._driven[channel] and bool(self._ready[channel].value)
            moved |= accepted
            if accepted or not self._driven[channel]:
                free.append(channel)
        return free, moved

    def _accept(self, channel: str, resetting: bool) -> bool:
        """Watch what the engine offers in a channel; returns whether it was accepted at this edge."""
        before = self._held.pop(channel, None)
        if not self._valid[channel].value:
            assert before is None, f"{channel} withdrew what it offered"
            return False
        offered = tuple(int(signal.value) for signal in self._payload[channel])
        if before is None:
            self._check(channel, *offered)
        else:
            assert offered == before, f"{channel} changed what it offered from {before} to {offered}"
        if not self._driven[channel]:
            if not resetting:
                self._held[channel] = offered
            return False
        if channel == "w":
            self._data.append(offered)  # type: ignore[arg-type]
            self.write_beats += 1
            if offered[2] and self.behaviour.early == "w" and not (self._left or self._requests):
                self._respond_early()
        else:
            self._request(channel, *offered)
        return True

    def _check(self, channel: str, first: int, second: int, *rest: int) -> None:
        """Check what is newly offered."""
        if channel == "w":
            assert not (self._writes_end and second), "a beat with strobes is offered after the end of writes"
            return
        size, width = (second + 1) * self._config.bus_bytes, self._config.bus_bytes
        assert rest == (beat_size(8 * width), Burst.INCR.value, 0), f"{channel}: size, burst and ID are {rest}"
        assert first % width == 0, f"{channel}: {first:#x} is not the address of a beat"
        assert first % BURST_BYTES + size <= BURST_BYTES, f"{channel}: {size} bytes from {first:#x} on cross 4 KB"
        regions = self._read_regions if channel == "ar" else self._write_regions
        assert any(start <= first and first + size <= start + -(-length // width) * width for start, length in regions
                   ), f"{channel}: {size} bytes from {first:#x} on are in no region of the run"

    def _request(self, channel: str, address: int, length: int, *_: int) -> None:
        """Accept a burst's address."""
        width, beats, behaviour = self._config.bus_bytes, length + 1, self.behaviour
        if channel == "aw":
            self.writes.append((address, beats * width))
            self._requests.append((address, beats))
            if behaviour.early == "aw":
                self._respond_early()
            return
        flags = behaviour.last.get(len(self.reads), lambda beats: [False] * (beats - 1) + [True])(beats)
        self.reads.append((address, beats * width))
        for n, last in enumerate(flags):
            place = address + n * width
            self._r_waiting.append((self.cycle + behaviour.latency, int.from_bytes(
                self.content.read(place, width), "little"), behaviour.resp.get(place, Resp.OKAY), last))

    def _respond_early(self) -> None:
        self._answered += 1
        self._b_waiting.append((self.cycle, Resp.OKAY))

    def _store(self) -> None:
        """Write the beats whose address is known."""
        while self._data and (self._left or self._requests):
            if not self._left:
                self._burst, beats = self._requests.popleft()
                width = self._config.bus_bytes
                self._left.extend(range(self._burst, self._burst + beats * width, width))
            place, (data, strobes, last) = self._left.popleft(), self._data.popleft()
            assert last == (not self._left), f"WLAST is {last} with {len(self._left)} beats to come at {place:#x}"
            self._store_beat(place, data, strobes)
            if last and self._answered:
                self._answered -= 1
            elif last:
                self._b_waiting.append((self.cycle + self.behaviour.latency,
                                        self.behaviour.resp.get(self._burst, Resp.OKAY)))
            if last:
                self._first = random.choice(("aw", "w"))

    def _store_beat(self, place: int, data: int, strobes: int) -> None:
        width = self._config.bus_bytes
        content = data.to_bytes(width, "little")
        for n in range(width):
            if strobes >> n & 1:
                assert any(start <= place + n < start + length for start, length in self._write_regions
                           ), f"a strobe is set at {place + n:#x}, where no result belongs"
                self.written.write(place + n, content[n:n + 1])

    def _answer(self, free: list[str]) -> None:
        """Offer the next beat and the next response to a write."""
        for channel, waiting in (("r", self._r_waiting), ("b", self._b_waiting)):
            if channel not in free:
                continue
            if not waiting and channel in self.behaviour.babbling:
                self._babble(channel)
            offered = bool(waiting) and waiting[0][0] <= self.cycle and self._may(channel)
            if offered and channel == "r":
                _, data, resp, last = self._r_waiting.popleft()
                for signal, value in zip(self._r, (data, resp.value, int(last)), strict=True):
                    signal.value = value
            elif offered:
                self._bresp.value = self._b_waiting.popleft()[1].value
            self._drive(channel, offered)

    def _babble(self, channel: str) -> None:
        if channel == "r":
            self.ask_r(random.getrandbits(self._config.bus_bits), last=random.random() < 0.5)
        else:
            self.ask_b()

    def _permit(self) -> None:
        """Be ready for requests and data, in the order that is wanted."""
        order = self._first if self.behaviour.order == "random" else self.behaviour.order
        whole = any(last for _, _, last in self._data)
        self._drive("ar", self._may("ar"))
        self._drive("aw", self._may("aw") and (order != "w" or whole))
        self._drive("w", self._may("w") and (order != "aw" or bool(self._left or self._requests)))
