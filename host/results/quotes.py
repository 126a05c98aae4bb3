"""Figures of the results that prose quotes: where they stand, and what they have to be.

A quote is a piece of a document with a ``{}`` for each figure, and a function of the results that gives these figures.
Tests find each quote in its document and compare; ``make results`` writes the figures into it.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from host.results.store import Stored

__all__ = ["Missing", "Quote", "Results", "find", "rendered", "rewritten"]

_PLACE = re.compile(r"\{(:[^{}]*)?\}")
_FIGURE = r"([-+]?\d[\d,]*(?:\.\d+)?%?)"


class Missing(LookupError):
    """A part that a quote needs is not stored yet."""


@dataclass(frozen=True)
class Results:
    """The stored parts; ``stored`` returns one by its name, None where it is not there."""

    stored: Callable[[str], Stored | None]

    def rows(self, part: str, **values: Any) -> list[Any]:
        """Return the rows of a part that have these values, as objects whose attributes are their fields.

        Raises
        ------
        Missing
            When the part is not stored.
        LookupError
            When it has no such row.
        """
        found = self.stored(part)
        if found is None:
            raise Missing(part)
        rows = [SimpleNamespace(**row) for row in found.rows if all(row[key] == value for key, value in values.items())]
        if not rows:
            raise LookupError(f"{part} has no row with {values}")
        return rows

    def row(self, part: str, **values: Any) -> Any:
        """Return the one row with these values; see :meth:`rows`."""
        rows = self.rows(part, **values)
        if rows[1:]:
            raise LookupError(f"{part} has {len(rows)} rows with {values}")
        return rows[0]


@dataclass(frozen=True)
class Quote:
    """A piece of a document, with figures of the results.

    Parameters
    ----------
    document : str
        Path of the document in the tree.
    text : str
        The piece, in which ``{}`` or ``{:.2f}``, with any format specification, stands for a figure. A blank stands for
        any white space.
    figures : callable
        Returns the figures, in their order.
    """

    document: str
    text: str
    figures: Callable[[Results], Sequence[Any]]

    @property
    def pattern(self) -> re.Pattern[str]:
        """What matches the piece with any figures, which are its groups."""
        literals = _PLACE.sub("\0", self.text).split("\0")
        return re.compile(_FIGURE.join(r"\s+".join(map(re.escape, re.split(r"\s+", each))) for each in literals))


def rendered(quote: Quote, results: Results) -> list[str]:
    """Return the figures of a quote as its document has to show them.

    Raises
    ------
    Missing
        When they need a part that is not stored.
    LookupError, ValueError
        When they need a row that there is not, or there are not as many figures as places.
    """
    specs, figures = [spec.removeprefix(":") for spec in _PLACE.findall(quote.text)], quote.figures(results)
    return [format(figure, spec) for figure, spec in zip(figures, specs, strict=True)]


def find(quote: Quote, text: str) -> re.Match[str]:
    """Return where a quote stands in the text of its document, whatever its figures are there.

    Raises
    ------
    LookupError
        When it is there no time, or several times.
    """
    found = list(quote.pattern.finditer(text))
    if len(found) != 1:
        raise LookupError(f"it stands {len(found)} times in {quote.document}, in place of once")
    return found[0]


def rewritten(text: str, quotes: Sequence[Quote], results: Results) -> tuple[str, list[str]]:
    """Return the text of a document with the figures of its quotes as the results have them, and a sentence for each
    quote that does not suit the results or the document.

    Such a quote stays as it is, and so does one that needs a part that is not stored.
    """
    troubles = []
    for quote in quotes:
        try:
            figures, match = rendered(quote, results), find(quote, text)
        except Missing:
            continue
        except (LookupError, ValueError) as trouble:
            troubles.append(f"in {quote.document}, “{quote.text}” has to be mended by hand: {trouble}")
            continue
        for group in range(len(figures), 0, -1):
            start, end = match.span(group)
            text = text[:start] + figures[group - 1] + text[end:]
    return text, troubles
