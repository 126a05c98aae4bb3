"""What the lanes' testbenches share: rows sent through a lane, and its sums compared with golden's."""

import cocotb

from sim.bench.data import lane_bits, to_signed
from sim.bench.streams import Stream, receive, send, start

__all__ = ["check_sums"]


async def check_sums(dut, config, rows, idle):
    """Send rows through a lane, idle with probability ``idle``, and compare the sums.

    Parameters
    ----------
    rows : iterable of (blocks, x, wanted)
        A row's blocks (ints), its activations (ints, ``config.c`` for each block) and its exact sum.

    Returns
    -------
    list of int
        The sums.
    """
    i, o = Stream(dut, "i"), Stream(dut, "o")
    await start(dut, i.valid, o.ready)
    payloads, wanted = [], []
    for blocks, x, total in rows:
        wanted.append(total)
        payloads += [lane_bits(config, int(block), x[j * config.c:(j + 1) * config.c], j == len(blocks) - 1)
                     for j, block in enumerate(blocks)]
    cocotb.start_soon(send(i, payloads, idle))
    sums = await receive(o, len(wanted), timeout_cycles=10 * len(payloads) + 1000)
    assert [to_signed(bits, config.sum_bits) for bits in sums] == wanted
    return wanted
