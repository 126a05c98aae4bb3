"""Every figure in README.md and docs/*.md has a source: the results, through a quote, or a reason to be constant."""

import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from golden.tree import ROOT
from host.results.parts import PARTS
from host.results.quoted import QUOTES
from host.results.quotes import Quote, Results, find, rendered
from host.results.run import documents, pages
from host.results.store import Stored, load

UNITS = ("%", "×", "x", "K", "times", "points?", "MHz", "GB", "MB", "KB", "kB", "ns", "µs", "ms", "cycles?", "LUTs?",
         "DSPs?", "flip-flops?", "block RAMs?", "million", "beats?", "weights? a cycle", "seconds?", "minutes?",
         "hours?")
FIGURE = re.compile(r"(?<![\w.,–-])[-+−]?(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+\.\d+|[1-9]\d*(?=[\s-]?(?:"
                    rf"{'|'.join(UNITS)})(?!\s\d)(?!\w)))")
"""A number that looks measured: one with a decimal point or a comma, or before a unit; not the 4 of "4 × 4"."""
NOT_PROSE = re.compile(r"^```(?:.|\n)*?^```$|<!-- results: .*\n(?:\|.*\n)*|`[^`]*`|\]\([^)]*\)|<!--.*?-->",
                       re.MULTILINE)
"""Code, tables of results, targets of links, comments."""
CONSTANTS = tomllib.loads(Path(__file__).with_name("constants.toml").read_text())["constant"]


@cache
def stored(name: str) -> Stored | None:
    return load(PARTS[name])


RESULTS = Results(stored)


def figures(text: str) -> Iterator[re.Match[str]]:
    """Yield the figures in the prose of a document."""
    return FIGURE.finditer(NOT_PROSE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text))


def quoted(quote: Quote, text: str, results: Results) -> None:
    """Hold a quote in the text of its document against the results."""
    says, right = find(quote, text).groups(), tuple(rendered(quote, results))
    assert says == right, f"{quote.document}: `{quote.text}` says {says}, the results say {right}: run `make results`"


def sourceless(document: str, text: str) -> list[str]:
    """Return the figures of a document that stand in no quote and are no constants, with what is around them."""
    known = [match.span(group) for quote in QUOTES if quote.document == document
             for match in [find(quote, text)] for group in range(1, len(match.groups()) + 1)]
    for constant in CONSTANTS:
        if constant["document"] == document:
            pattern = r"\s+".join(map(re.escape, constant["text"].split()))
            known += [match.span() for match in re.finditer(pattern, text)]
    return [text[max(0, match.start() - 40):match.end() + 20].replace("\n", " ") for match in figures(text)
            if not any(start <= match.start() and match.end() <= end for start, end in known)]


@pytest.mark.parametrize("quote", QUOTES, ids=lambda quote: quote.text[:40])
def test_quotes(quote: Quote) -> None:
    quoted(quote, (ROOT / quote.document).read_text(), RESULTS)


@pytest.mark.parametrize("document", [path.relative_to(ROOT).as_posix() for path in documents()])
def test_every_figure_has_a_source(document: str) -> None:
    assert sourceless(document, (ROOT / document).read_text()) == []


def test_constants_stand_in_their_documents_and_have_reasons() -> None:
    for constant in CONSTANTS:
        text = " ".join((ROOT / constant["document"]).read_text().split())
        assert " ".join(constant["text"].split()) in text, constant
        assert len(constant["reason"].split()) > 2, constant


def test_pages_and_tables_are_those_of_the_results() -> None:
    """Neither a page nor a table is written by hand."""
    written, troubles = pages(stored)
    assert troubles == []
    for path, text in written.items():
        assert path.read_text() == text, f"{path} differs from docs/results: run `make results`"


def test_a_wrong_figure_is_found() -> None:
    quote = next(quote for quote in QUOTES if "those alone allow" in quote.text)
    text = (ROOT / quote.document).read_text()
    place = find(quote, text).span(1)
    with pytest.raises(AssertionError, match=r"says \('9\.876', .*run `make results`"):
        quoted(quote, text[:place[0]] + "9.876" + text[place[1]:], RESULTS)


@pytest.mark.parametrize("sentence", [
    "It is 3.1 times as fast.", "It takes 12,345 LUTs.", "It reaches 133 MHz.", "99 % of the limit", "some 70 cycles",
    "67K LUTs", "4x", "in 12 minutes", "within 2 points", "4× as fast", "a loss of −0.5"])
def test_a_figure_without_a_source_is_found(sentence: str) -> None:
    text = (ROOT / "README.md").read_text()
    assert sourceless("README.md", f"{text}\n{sentence}\n") != []
    assert sourceless("README.md", f"{text}\n`{sentence}`\n") == []


def test_no_figures() -> None:
    text = ("```sh\nmake 3.5\n```\nA 512-bit bus, 2048 × 2048, [3.5 GB](#a-3.5), `3.5`, 4 bits.\n"
            "<!-- results: sim -->\n| 3.5 |\n")
    assert [match[0] for match in figures(text)] == ["3.5"]
