"""What SDRAM parts give: sizes, cycles and limits, and the slowest of several."""

from dataclasses import replace

import pytest

from hw.sdram.part import AS4C32M16SB_7, IS42S16160B_7, MT48LC16M16A2_75, W9825G6KH_6, slowest


def test_what_the_parts_give() -> None:
    assert MT48LC16M16A2_75.size_bytes == IS42S16160B_7.size_bytes == 32 << 20
    assert MT48LC16M16A2_75.clocks("t_rcd", 100) == 2
    assert MT48LC16M16A2_75.clocks("t_rfc", 100) == 7
    assert W9825G6KH_6.clocks("t_wr", 10) == 2
    assert MT48LC16M16A2_75.refresh_interval(100) == 781
    assert MT48LC16M16A2_75.sequential_limit(100) == pytest.approx(1 - 11 / 781)


def test_the_slowest_of_several_parts() -> None:
    """In every parameter, and no larger than any."""
    part = slowest(MT48LC16M16A2_75, replace(AS4C32M16SB_7, t_refi=4000), W9825G6KH_6)
    assert (part.max_mhz, part.t_rcd, part.t_rc, part.t_rrd, part.t_wr_ck, part.t_refi) == (133, 21, 66, 15, 2, 4000)
    assert part.size_bytes == 32 << 20
