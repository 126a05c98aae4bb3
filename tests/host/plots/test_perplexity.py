"""Charts of perplexity: a line for each family, none where there is nothing to draw."""

from host.plots.perplexity import kl_chart, perplexity_chart
from host.tables.perplexity import PerplexityRow
from tests.host.made_up import partial_row


def row(variant: str, family: str, bits: float, kl: float, increase: float) -> PerplexityRow:
    return partial_row(PerplexityRow, model="tiny", variant=variant, family=family, bits_per_weight=bits, kl=kl,
                       kl_error=kl / 10, increase=increase, increase_error=None, tokens=40)


ROWS = [row("shipped", "as shipped", 5, 0, 0), row("int8", "integers", 8, 1e-4, 1e-4), row("b", "B", 4, 0.2, 0.1),
        row("a3", "A", 3, 0.4, 0.3), row("a4", "A", 4, 0.1, 0.05)]


def test_a_line_for_each_family() -> None:
    for chart, values in ((kl_chart, {"A": [0.4, 0.1], "B": [0.2]}), (perplexity_chart, {"A": [30, 5], "B": [10]})):
        figure = chart(ROWS)
        assert figure
        drawn = {container.get_label(): container.lines[0] for container in figure.axes[0].containers}
        assert {name: [round(y, 9) for y in line.get_ydata()] for name, line in drawn.items()} == values
        assert list(drawn["A"].get_xdata()) == [3, 4]


def test_nothing_to_draw() -> None:
    assert kl_chart(ROWS[:2]) is None
