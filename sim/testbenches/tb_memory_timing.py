"""Memory model, timing: every cycle of a read counted against what the DRAM's numbers say.

Times in CK become cycles as in the model: a cycle holds ``ratio`` CK, and a word is on the bus in the first cycle that
begins after its last data.
"""

import random
from itertools import pairwise
from typing import Any

import cocotb

from sim.bench.memory_master import refreshes, started
from sim.bench.streams import cycles
from sim.dram.memory import QUEUE_LATENCY, READS, SPARE_BURSTS


@cocotb.test()
async def refreshes_interrupt_the_stream(dut: Any) -> None:
    """Gaps of the right length at the right distance."""
    master = await started(dut)
    dram = master.dram
    step = dram.word_ck(master.data_bits) / dram.ratio
    words = int(5 * dram.refresh_interval / max(1, step)) or 1000
    _, received = await master.read(master.sequential(words, min(4096 // master.width, 256)))
    gaps = [(a, (b - a) - max(1, step)) for a, b in pairwise(received)
            if b - a > max(1, step) + dram.cycles(dram.t_rrd_s)]
    dut._log.info(f"{dram.name}: gaps {[(cycle, gap * dram.ratio) for cycle, gap in gaps]} CK")
    if not dram.refresh_gap or not dram.refresh_interval:
        assert not gaps
        return
    assert len(gaps) >= words * max(1, step) // dram.refresh_interval - 1
    # The last read may have been a word before the refresh, or so late that its row cannot be closed at once.
    shortest = dram.refresh_gap / dram.ratio - max(1, step) - 1
    longest = (dram.refresh_gap + dram.t_rtp) / dram.ratio + 1
    for _, gap in gaps:
        assert shortest <= gap <= longest, f"refresh takes {gap} cycles"
    for (a, _), (b, _) in pairwise(gaps):
        assert abs(b - a - dram.refresh_interval) <= max(1, step)


@cocotb.test()
async def short_bursts_follow_without_a_gap(dut: Any) -> None:
    """Bursts of 4 words, through more rows than there are banks."""
    master = await started(dut)
    dram = master.dram
    words = (max(dram.banks, 1) + 3) * dram.row_words(master.data_bits) * dram.groups
    _, received = await master.read(master.sequential(min(words, 4096), 4))
    took = received[-1] - received[0]
    needed = len(received) / dram.word_rate(master.data_bits)
    settle = dram.groups * dram.cycles(dram.t_rrd_l) + dram.cycles(dram.t_ccd_l)
    assert took <= needed + settle + refreshes(dram, took)[1], f"{len(received)} words in {took} cycles"


@cocotb.test()
async def latencies(dut: Any) -> None:
    """First words of reads from closed, open and wrong rows; the shortest time between two rows of one bank."""
    master = await started(dut)
    dram = master.dram
    word = dram.word_ck(master.data_bits)
    if not dram.banks:
        accepted, received = await master.read([(0, 1)])
        assert received[0] - accepted[0] == QUEUE_LATENCY + dram.read_latency(master.data_bits)
        return

    async def latency(**place: int) -> int:
        accepted, received = await master.read([(master.word(**place), 1)])
        await cycles(dut, 20)
        return received[0] - accepted[0]

    def expected(ck: int) -> int:
        return QUEUE_LATENCY + dram.cycles(ck + dram.t_cl + word) + dram.controller

    assert await latency() == expected(dram.t_rcd)
    assert await latency(column=1) == expected(0)
    assert await latency(row=1) == expected(dram.t_rp + dram.t_rcd)
    assert await latency(bank=1) == expected(dram.t_rcd), "another bank"
    assert await latency(row=1, column=5) == expected(0), "the row of a bank stays open"
    # A row is closed when its word has been read, and not before tRAS; a new one is opened not before tRC.
    _, (first, second) = await master.read([(master.word(bank=2), 1), (master.word(bank=2, row=1), 1)])
    read = dram.t_rcd + word - dram.t_bl + dram.t_rtp
    noticed = dram.ratio * (dram.t_rcd // dram.ratio + 1)
    again = max(dram.t_rc, max(dram.t_ras, read, noticed) + dram.t_rp)
    late = dram.t_rcd + dram.t_cl + word
    assert second - first == dram.cycles(again + late) - dram.cycles(late)
    # Paused for long, a refresh has closed the row.
    if dram.t_refi and not dram.t_refi_bank:
        await cycles(dut, dram.refresh_interval)
        assert await latency(row=1) == expected(dram.t_rcd)


@cocotb.test()
async def rows_close_after_their_words(dut: Any) -> None:
    """A row that is long open is closed tRTP after a read and tWR after the data of a write, for another row."""
    master = await started(dut)
    dram, word = master.dram, master.dram.word_ck(master.data_bits)
    read = word - dram.t_bl + dram.t_rtp
    for written, close in ((False, max(dram.ratio, read)), (True, dram.t_cwl + word + dram.t_wr)) if dram.banks else ():
        await master.reset()
        await master.read([(master.word(), 1)])
        await cycles(dut, dram.cycles(dram.t_rc))
        if written:
            writing = cocotb.start_soon(master.write([(master.word(), 1)]))
            await cycles(dut, 2)
            _, received = await master.read([(master.word(row=1), 1)])
            _, (response,) = await writing
            accessed, second = response - 1, received[0] + 2
        else:
            accepted, (_, second) = await master.read([(master.word(), 1), (master.word(row=1), 1)])
            accessed = accepted[0] + QUEUE_LATENCY
        assert second - accessed == (
            dram.cycles(close + dram.t_rp + dram.t_rcd + dram.t_cl + word) + dram.controller), written


@cocotb.test()
async def activates_and_columns_keep_their_distance(dut: Any) -> None:
    """Words of many closed banks, then of the rows that are open: tRRD_S, tRRD_L, tFAW, tCCD_S and tCCD_L."""
    master = await started(dut)
    dram = master.dram
    word = dram.word_ck(master.data_bits)
    if not dram.banks:
        return
    other, same = (word - dram.t_bl + max(dram.t_bl, ccd) for ccd in (dram.t_ccd_s, dram.t_ccd_l))
    groups_first = [(group, bank) for bank in range(dram.banks) for group in range(dram.groups)]
    banks_first = sorted(groups_first)
    for places in (groups_first, banks_first, random.sample(groups_first, len(groups_first))):
        await master.reset()
        for is_open in (False, True):
            _, received = await master.read([(master.word(*place), 1) for place in places])
            opened: list[int] = []
            read: list[int] = []
            for i, (group, _) in enumerate(places):
                before = [k for k in range(i) if places[k][0] == group]  # of this group
                at = i * dram.ratio  # a request comes each cycle
                if not is_open:
                    at = max([at, *(opened[k] + dram.t_rrd_s for k in range(i)),
                              *(opened[k] + dram.t_rrd_l for k in before),
                              *(opened[k] + dram.t_faw for k in range(i - 3))])
                    opened.append(at)
                    at += dram.t_rcd
                read.append(max([at, *(read[k] + other for k in range(i)), *(read[k] + same for k in before)]))
            due = [dram.cycles(at + dram.t_cl + word) for at in read]
            for i in range(1, len(due)):  # one word a cycle
                due[i] = max(due[i], due[i - 1] + 1)
            assert [cycle - received[0] for cycle in received] == [cycle - due[0] for cycle in due], (places, is_open)


@cocotb.test()
async def outstanding_reads_hide_the_latency(dut: Any) -> None:
    """So many reads of one word under way get so many words in the time of one, until the pins are busy."""
    master = await started(dut)
    dram = master.dram
    round_trip = QUEUE_LATENCY + dram.read_latency(master.data_bits) + 1
    rates = {}
    for outstanding in (1, 2, 4, 6, 2 * round_trip) if dram.banks else ():
        await master.reset()
        warm = dram.groups  # words that open the rows
        before_refresh = (dram.refresh_interval or 100 * round_trip) - 100  # cycles in which none comes
        count = min(max(60, 2 * outstanding) + warm, before_refresh // round_trip * outstanding,
                    dram.row_words(master.data_bits) * dram.groups)
        _, received = await master.read(master.sequential(count, 1), outstanding=outstanding)
        count = (len(received) - warm - 1) // outstanding * outstanding
        rates[outstanding] = count / (received[-1] - received[-1 - count])
        peak = dram.word_rate(master.data_bits)
        assert abs(rates[outstanding] - min(peak, outstanding / round_trip)) < 1e-9, rates
    dut._log.info(f"{dram.name}: round trip {round_trip} cycles, rates {rates}")


@cocotb.test()
async def random_reads(dut: Any) -> None:
    """Scattered bursts with stalls: all data, in order; twice the same cycles from reset."""
    master = await started(dut)
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
async def stalled_reads_resume_at_full_rate(dut: Any) -> None:
    """A master that takes nothing for long stops its reads, not its writes; then a word comes every cycle."""
    master = await started(dut)
    dram, beats = master.dram, 16
    room = dram.read_latency(master.data_bits) + SPARE_BURSTS * min(4096 // master.width, 256)
    hold = int(room / dram.word_rate(master.data_bits)) + 600
    requests = master.sequential(room + (READS + 20) * beats, beats)
    reading = cocotb.start_soon(master.read(requests, hold=hold))
    await cycles(dut, hold - 200)  # no more reads are possible by now
    _, (written,) = await master.write([(0, beats)])
    assert written < 300, "the write had to wait for the reads"
    accepted, received = await reading
    assert sum(cycle < hold for cycle in accepted) * beats <= room + (READS + 1) * beats
    took = received[-1] - received[room]  # the words that waited come at the bus's rate
    assert received[room - 1 - beats] - received[0] == room - 1 - beats
    remaining = (len(received) - room) / dram.word_rate(master.data_bits)
    start_up = dram.cycles(dram.t_rp + dram.t_rcd + dram.t_cl) + QUEUE_LATENCY + dram.groups * dram.cycles(dram.t_rrd_l)
    start_up += dram.controller
    assert took <= remaining + start_up + refreshes(dram, took)[1]


@cocotb.test()
async def published_run(dut: Any) -> None:
    """``paper``, our fit to published cycles: T = 1.0399 beats + 255 from the request to the last word."""
    master = await started(dut)
    if master.dram.name != "paper":
        return
    for beats in (2048, 8192):
        accepted, received = await master.read(master.sequential(beats, min(4096 // master.width, 64)))
        took = received[-1] - accepted[0]
        dut._log.info(f"paper: {beats} words in {took} cycles, first after {received[0] - accepted[0]}")
        assert received[0] - accepted[0] == 255
        assert abs(took - (1.0399 * beats + 255)) <= 20
        await cycles(dut, 500)
