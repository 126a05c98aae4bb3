"""Memory model: single banks, two ranks, turns of the pins and refreshes, against times that were computed by hand.

Each test stands for one memory and a bus of 64 bits, and works its times out in comments. Times are in CK from the
cycle that accepts the first request; the command of a request takes place two cycles after that at the earliest, one
for each of the model's queues. A word is on the bus in the first cycle that begins when its data has come in, and then
it takes the cycles of the controller and the PHY.

``ddr4-2400``: a cycle has 4 CK. tRCD 16, CL 16, burst 4, CWL 12, tRP 16, tRAS 39, tRC 55, tRTP 9, tCCD_S 4, tCCD_L 6,
tRRD_S 4, tFAW 26, tWTR_S 3, tWTR_L 9, pins at rest between a read and a write 2, between ranks 2; controller 15 cycles.

``lpddr5-6400``: a cycle has 2 CK. tRCD 15, CL 17, burst 2, tRP 15, tRAS 34, tRTP 4, tRFCpb 112, tPBR2ACT 6; controller
20 cycles. A refresh falls due every 195 cycles from reset; the first takes bank 0 of the bank groups 0 and 2.
"""

from typing import Any

import cocotb

from sim.bench.memory_master import Master, started
from sim.bench.streams import cycles


async def _open_rows(master: Master, *words: int) -> None:
    """Open the rows of words, and let the pins rest."""
    await master.reset()
    await master.read([(word, 1) for word in words])
    await cycles(master.dut, 40)


def _since(accepted: list[int], received: list[int]) -> list[int]:
    """Cycles from the first request to each word."""
    return [cycle - accepted[0] for cycle in received]


@cocotb.test()
async def two_rows_of_one_bank(dut: Any) -> None:
    master = await started(dut)
    if master.dram.name != "ddr4-2400":
        return
    # ACT 8, READ 8 + 16 = 24, data until 24 + 16 + 4 = 44: cycle 11, on the bus in cycle 11 + 15 = 26.
    # PRE at 8 + 39 = 47 (tRAS; the read allows it at 24 + 9 = 33), ACT 47 + 16 = 63 (tRC: 8 + 55 = 63),
    # READ 63 + 16 = 79, data until 79 + 20 = 99: cycle 25, on the bus in cycle 40.
    assert _since(*await master.read([(master.word(), 1), (master.word(row=1), 1)])) == [26, 40]


@cocotb.test()
async def five_rows_of_five_banks(dut: Any) -> None:
    master = await started(dut)
    if master.dram.name != "ddr4-2400":
        return
    banks = [master.word(group=group) for group in range(4)]
    # ACT 8, 12, 16, 20, the fifth at 8 + 26 = 34 (tFAW); READ 24, 28, 32, 36 and 34 + 16 = 50,
    # data until 44, 48, 52, 56, 70: cycles 11, 12, 13, 14, 18, and 15 more.
    await master.reset()
    assert _since(*await master.read([(word, 1) for word in (*banks, master.word(bank=1))])) == [26, 27, 28, 29, 33]
    if master.dram.ranks > 1:
        # tFAW is the first rank's: ACT 24, READ 40, but the pins rest until 36 + 4 + 2 = 42; data until 62: cycle 16.
        await master.reset()
        assert _since(*await master.read([(word, 1) for word in (*banks, master.word(rank=1))])) == [26, 27, 28, 29, 31]


@cocotb.test()
async def ranks_in_turn(dut: Any) -> None:
    master = await started(dut)
    if master.dram.ranks == 1:
        return
    places = [master.word(rank=rank) for rank in (0, 1)]
    # READ 8, 8 + 4 + 2 = 14, 20 and 26, data until 28, 34, 40, 46: cycles 7, 9, 10, 12, and 15 more.
    await _open_rows(master, *places)
    assert _since(*await master.read([(word, 1) for word in places * 2])) == [22, 24, 25, 27]
    # In one rank, with bank groups in turn: READ 8, 12, 16, 20, data until 28, 32, 36, 40.
    await _open_rows(master, *(master.word(group=group) for group in (0, 1)))
    assert _since(*await master.read([(master.word(group=group), 1) for group in (0, 1, 0, 1)])) == [22, 23, 24, 25]


@cocotb.test()
async def a_write_then_a_read(dut: Any) -> None:
    master = await started(dut)
    if master.dram.name != "ddr4-2400":
        return
    # The WRITE at 0 takes the pins from 12 to 16. In the same bank group READ 16 + 9 = 25, data until 45: 12 + 15
    # cycles; in another one READ 16 + 3 = 19, data until 39: 10 + 15 cycles. In another rank nothing but the pins,
    # which would allow a READ at 12 + 4 + 2 - 16 = 2: it comes with its request, two cycles later, at 8: data until 28.
    cases = [(master.word(), 27), (master.word(group=1), 25)]
    if master.dram.ranks > 1:
        cases.append((master.word(rank=1), 22))
    for word, expected in cases:
        await _open_rows(master, master.word(), master.word(group=1), word)
        writing = cocotb.start_soon(master.write([(master.word(), 1)]))
        await cycles(dut, 2)  # the read is accepted when the write takes place
        _, received = await master.read([(word, 1)])
        _, (response,) = await writing
        assert 2 + received[0] - (response - 1) == expected  # a response is a cycle after its write


@cocotb.test()
async def a_read_then_a_write(dut: Any) -> None:
    master = await started(dut)
    if master.dram.name != "ddr4-2400":
        return
    # READ 8; the WRITE may follow when its data finds the pins at rest: 8 + 16 + 4 + 2 - 12 = 18, in cycle 4; its
    # response is a cycle later. Another rank's waits as long.
    for rank in range(master.dram.ranks):
        await _open_rows(master, master.word(), master.word(rank=rank, group=1))
        reading = cocotb.start_soon(master.read([(master.word(), 1)]))
        await cycles(dut, 1)  # the write is accepted a cycle after the read
        _, (response,) = await master.write([(master.word(rank=rank, group=1), 1)])
        accepted, received = await reading
        assert 1 + response - accepted[0] == 5
        assert received[0] - accepted[0] == 22


@cocotb.test()
async def a_bank_that_is_refreshed(dut: Any) -> None:
    master = await started(dut)
    if master.dram.name != "lpddr5-6400":
        return

    async def read(cycle: int, word: int) -> int:
        """Cycles of a read that is accepted in that cycle after the reset."""
        await master.reset()
        await cycles(dut, cycle)
        return _since(*await master.read([(word, 1)]))[0]

    # Undisturbed: ACT 4, READ 19, data until 38: cycle 19, and 20 more.
    assert await read(100, master.word()) == 39
    # From here on times are from the reset. REFpb at 2 * 195 = 390, until 390 + 112 = 502. A read of cycle 200 has its
    # ACT at 502, READ 517, data until 536: cycle 268, on the bus in cycle 288. Bank 0 of group 1 is not refreshed.
    assert await read(200, master.word()) == 288 - 200
    assert await read(200, master.word(group=1)) == 39
    # An ACT of cycle 196 in another bank waits for tPBR2ACT: 390 + 6 = 396, READ 411, data until 430: cycle 215.
    assert await read(194, master.word(group=1)) == 215 + 20 - 194


@cocotb.test()
async def a_bank_that_has_to_be_closed_before_its_refresh(dut: Any) -> None:
    master = await started(dut)
    if master.dram.name != "lpddr5-6400":
        return
    await master.reset()
    await cycles(dut, 185)
    # A read of cycle 185: ACT at 2 * 187 = 374, READ 389, data until 408: cycle 204, on the bus in cycle 224. The
    # refresh is due at 390: PRE at 374 + 34 = 408 (tRAS; tRTP: 389 + 4), REFpb 423, until 535. The next read has its
    # ACT at 535, READ 550, data until 569: cycle 285, on the bus in cycle 305.
    accepted, received = await master.read([(master.word(), 1), (master.word(column=1), 1)], outstanding=1)
    assert [185 + accepted[0], 185 + received[0], 185 + received[1]] == [185, 224, 305]
