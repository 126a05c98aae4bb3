"""The pins of each board's bitstream, and the clocks that PLLs make."""

from fractions import Fraction

import pytest

from golden.spec import SEEDLM4
from hw.boards import BOARDS
from hw.boards.top import BoardTop, pll_parameters


@pytest.mark.parametrize("name", BOARDS)
def test_pins(name: str) -> None:
    """The board has every pin that the top requests, each is constrained, and the PLL can make the clock."""
    board = BOARDS[name]
    plan = board.platform().build(BoardTop(board, SEEDLM4), name="top", do_build=False)
    pins = plan.files["top.lpf"] if isinstance(plan.files["top.lpf"], str) else plan.files["top.lpf"].decode()
    for port, count in (("sdram_0__dq", 16), ("sdram_0__a", 13), ("sdram_0__ba", 2), ("sdram_0__clk", 1),
                        ("uart_0__rx", 1), ("uart_0__tx", 1)):
        assert pins.count(f'LOCATE COMP "{port}__') == count, port


@pytest.mark.parametrize(("in_mhz", "out_mhz", "parameters"), [
    (25, 100, {"CLKI_DIV": 1, "CLKFB_DIV": 4, "CLKOP_DIV": 6}),
    (25, 80, {"CLKI_DIV": 5, "CLKFB_DIV": 16, "CLKOP_DIV": 7}),
    (50, 100, {"CLKI_DIV": 1, "CLKFB_DIV": 2, "CLKOP_DIV": 6}),
])
def test_pll(in_mhz: int, out_mhz: int, parameters: dict[str, int]) -> None:
    assert pll_parameters(Fraction(in_mhz), Fraction(out_mhz)) == parameters


def test_a_clock_that_the_pll_cannot_make() -> None:
    with pytest.raises(ValueError, match=r"the PLL makes no 101 MHz of 25 MHz"):
        pll_parameters(Fraction(25), Fraction(101))
