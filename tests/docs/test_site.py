"""The documentation as a site: it is built without a warning, and what it adds to the pages leads somewhere."""

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urljoin

import numpy as np
import pytest
from PIL import Image
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from site_hooks import on_page_content
from site_links import broken_links
from site_picture import boxes
from site_sources import BrokenLink, page_of, rewritten, source_page

from golden.tree import ROOT
from host.plots.engine_picture import BOXES

_PAGES = ("index.html", "streams.html", "registers.html", "results/sim.html", "source/hw/dma/read.py.html")
"""Pages with wide tables, long lines or a picture."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make site` builds it."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run([sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
                          cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_build_has_all_pages(site: Path) -> None:
    """Every document is a page, and so are the register map and what is linked outside of docs/."""
    for path in (ROOT / "docs").rglob("*.md"):
        name = path.relative_to(ROOT / "docs").with_suffix(".html").as_posix()
        assert (site / name.replace("README", "index")).is_file(), path
    assert "IRQ_PENDING" in (site / "registers.html").read_text()
    assert "Shafipour" in (site / "index.html").read_text()
    assert "burst_cutter" in (site / "source/hw/dma/read.py.html").read_text()
    assert not (site / "hooks").exists()


def test_make_builds_it_with_warnings_as_errors() -> None:
    """MkDocs takes warnings for errors with --strict, but not with --quiet beside it."""
    text = (ROOT / "Makefile").read_text()
    assert re.findall(r"-m mkdocs build (.*) --site-dir", text) == ["--strict"]
    assert all(re.search(rf"^{target}: .*\n(?:\t.*\n)*\t@\$\(build_site\)$", text, re.MULTILINE)
               for target in ("site", "lint"))


def test_the_picture_leads_to_the_sources(site: Path) -> None:
    """Each box is a link to the page of its file, whose first sentence is its tooltip; the same in the file alone."""
    wanted = {box.source for box in BOXES if box.source}
    assert boxes() == wanted
    for name in ("architecture.html", "engine.svg"):
        found = re.findall(r'<a href="(source/[^"]+)"><title>([^<]+)</title>', (site / name).read_text())
        assert any(title.startswith("hw/dma/read.py: Read DMA: fetches regions of memory over") for _, title in found)
        assert {link.removeprefix("source/").removesuffix(".html") for link, _ in found} == wanted
        assert len(found) == len([box for box in BOXES if box.source])
        for link, title in found:
            assert (site / link).is_file()
            assert re.match(r"hw/\w+/\w+\.py: \w.+", title), title


def test_the_site_in_a_browser(site: Path, tmp_path: Path, browser: Chrome) -> None:
    """Pages do not scroll sideways on a phone; pictures follow the colours; a box of the engine's opens its source."""
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": 390, "height": 800, "deviceScaleFactor": 1,
                                                                   "mobile": True})
    for name in _PAGES:
        browser.get((site / name).as_uri())
        assert browser.execute_script("return document.documentElement.scrollWidth") == 390, name
    brightness = {}
    for scheme in ("light", "dark"):
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia",
                                {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
        browser.get((site / "architecture.html").as_uri())
        browser.save_screenshot(str(tmp_path / "page.png"))
        browser.find_element(By.CLASS_NAME, "engine-picture").screenshot(str(tmp_path / "picture.png"))
        browser.get((site / "results" / "sim.html").as_uri())
        browser.find_element(By.CSS_SELECTOR, "article img").screenshot(str(tmp_path / "chart.png"))
        brightness[scheme] = [float(np.median(np.asarray(Image.open(tmp_path / f"{name}.png").convert("L"))))
                              for name in ("page", "picture", "chart")]
    assert min(brightness["light"]) > 240
    assert max(brightness["dark"]) < 60
    browser.get((site / "architecture.html").as_uri())
    link = browser.find_element(By.CSS_SELECTOR, ".engine-picture a[href*='unpacker']")
    target = str(browser.execute_script("return arguments[0].href.baseVal", link))
    browser.get(urljoin(browser.current_url, target))
    assert browser.find_element(By.TAG_NAME, "h1").text.startswith("hw/dma/unpacker.py")
    assert browser.get_log("browser") == []


def test_links_are_those_of_the_site() -> None:
    text = ("[a](../hw/dma/read.py) [b](area.md#what) [c](#here) [d](https://a.b/c) [e](../README.md)\n"
            "```\n[f](g)\n```\n")
    found, shown = rewritten(text, "docs/page.md", "page.md")
    assert found == ("[a](source/hw/dma/read.py.md) [b](area.md#what) [c](#here) [d](https://a.b/c) [e](index.md)\n"
                     "```\n[f](g)\n```\n")
    assert shown == {"hw/dma/read.py"}
    assert rewritten("[r](docs/results) [s](golden)", "README.md", "index.md")[0] == (
        "[r](results/README.md) [s](source/golden/index.md)")
    assert page_of("docs/results/sim.md") == "results/sim.md"


@pytest.mark.parametrize("target", ["../hw/dma/reed.py", "none.md", "../../outside"])
def test_a_link_that_leads_nowhere_is_refused(target: str) -> None:
    with pytest.raises(BrokenLink, match=r"docs/page\.md: .* leads nowhere: there is no"):
        rewritten(f"[a]({target})", "docs/page.md", "page.md")


def test_broken_links_of_a_built_site_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<h1 id="top">A</h1><a href="b.html#part">b</a><img src="none.svg"><a href="#top">'
                                     '</a><a class="x" href=#gone>c</a><a href="https://a.b/c">d</a>')
    (tmp_path / "b.html").write_text('<h2 id=part>B</h2><a href="a.html#">a</a>')
    assert list(broken_links(tmp_path)) == ["a.html: none.svg leads nowhere",
                                            "a.html: #gone leads to no place of its page"]


def test_a_list_without_an_empty_line_before_it_is_refused() -> None:
    page = SimpleNamespace(file=SimpleNamespace(src_uri="page.md"), url="page.html")
    assert on_page_content("<p>It is\n3.5 or\n-4</p>\n<ul>\n<li>", page) == "<p>It is\n3.5 or\n-4</p>\n<ul>\n<li>"
    with pytest.raises(Exception, match=r"page\.md: an empty line is missing before `- one`"):
        on_page_content("<p>These:\n- one\n- two</p>", page)


def test_a_source_with_backquotes_is_shown_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("'''```` four'''\n")
    monkeypatch.setattr("site_sources.ROOT", tmp_path)
    assert '`````{ .python linenums="1" }\n' in source_page("a.py", set())
