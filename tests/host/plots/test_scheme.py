"""Charts in a dark colour scheme: nothing keeps a colour that is not seen there. The test of the site looks at one."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from host.plots.scheme import DARK, LIGHT, with_scheme, without_scheme
from host.results.store import DOCUMENTS

CHARTS = sorted(DOCUMENTS.glob("*.svg"))
REPLACED = {colour for colours in LIGHT.values() for colour in colours}
FAINTEST = 3.0  # for what is no text: Web Content Accessibility Guidelines 2.1, 1.4.11


def luminance(colour: str) -> float:
    """Relative luminance, by the same guidelines."""
    parts = [int(colour[at:at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(colour: str) -> float:
    """Contrast of a colour with the dark background."""
    bright, dark = sorted((luminance(colour), luminance(DARK["page"])), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("path", CHARTS, ids=lambda path: path.stem)
def test_stored_charts(path: Path) -> None:
    text = path.read_text()
    assert text == with_scheme(text), "run `python -m host results --pages`"
    colours = set(re.findall(r"#[0-9a-f]{6}\b", without_scheme(text)))
    assert "#ffffff" in colours
    assert {colour: contrast(colour) for colour in colours - REPLACED if contrast(colour) < FAINTEST} == {}
    assert "mathdefault" not in text  # a formula that was not drawn as one


def test_the_sheet() -> None:
    assert contrast(DARK["ink"]) > 12
    plain = '<svg><path style="fill: #ffffff"/></svg>\n'
    assert without_scheme(plain) == plain
    drawn = with_scheme(plain)
    assert with_scheme(drawn) == drawn
    assert without_scheme(drawn) == plain
    sheet = ET.fromstring(drawn).find("style")
    assert sheet is not None
    dark = (sheet.text or "").partition("@media (prefers-color-scheme: dark)")[2]
    for colour in REPLACED:
        assert re.search(rf'\[style\*="fill: {colour}"\].* \{{fill: #\w+ !important\}}', dark), colour
