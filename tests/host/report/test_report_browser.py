"""The report page in a real browser: Chromium, without a window."""

import json
from pathlib import Path

import numpy as np
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from host.plots.style import save
from host.plots.treemap import area_treemap
from host.report.report import write_page
from host.results.parts import PARTS
from host.results.store import load
from host.tables.area import AreaRow


def column(table: WebElement, heading: str) -> int:
    return [head.text for head in table.find_elements(By.TAG_NAME, "th")].index(heading)


def shown(browser: webdriver.Chrome, table: WebElement, heading: str) -> list[str]:
    """Texts of a column, of the rows that are not hidden."""
    return browser.execute_script("return [...arguments[0].tBodies[0].rows].filter(row => !row.hidden)"
                                  ".map(row => row.cells[arguments[1]].textContent)", table, column(table, heading))


def emulate(browser: webdriver.Chrome, scheme: str) -> None:
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia",
                            {"features": [{"name": "prefers-color-scheme", "value": scheme}]})


def test_the_page_in_a_browser(reports: Path, tmp_path: Path, browser: webdriver.Chrome) -> None:
    """One page and one browser for all of it: a browser takes seconds to start."""
    report = json.loads((reports / "sweep" / "report.json").read_text())
    first = next(row for row in report["results"] if (row["matrix"], row["source"]) == ("layer", "rtl"))
    first["drain"] = None  # not known, as in a report of an older version
    (reports / "sweep" / "report.json").write_text(json.dumps(report))
    figure = area_treemap([AreaRow(**each) for each in load(PARTS["area"]).rows])
    save(figure, reports / "area", "treemap")
    path = write_page(reports, tmp_path)
    browser.get(path.as_uri())
    assert browser.title == "seedlm-fpga: report"

    # Charts have a size, are drawn, and follow the theme.
    charts = browser.find_elements(By.CSS_SELECTOR, "figure svg")
    assert len(charts) == 3
    for chart in charts:
        assert chart.is_displayed()
        # chromedriver's own size of an SVG that is not displayed is not zero.
        width, height = browser.execute_script("const box = arguments[0].getBoundingClientRect();"
                                               "return [box.width, box.height]", chart)
        assert width > 500
        assert height > 300
    background = {}
    for scheme in ("light", "dark"):
        emulate(browser, scheme)
        charts[0].screenshot(str(tmp_path / f"{scheme}.png"))
        pixels = np.asarray(Image.open(tmp_path / f"{scheme}.png").convert("RGB")).reshape(-1, 3)
        colours, counts = np.unique(pixels, axis=0, return_counts=True)
        assert len(colours) > 50
        background[scheme] = colours[counts.argmax()].mean()
    assert background["light"] > 250
    assert background["dark"] < 50
    emulate(browser, "light")

    # A click sorts by value, not by text; another one the other way round; what is not known stays last.
    table = browser.find_element(By.CSS_SELECTOR, "#sweep table")
    unsorted = shown(browser, table, "cycles")
    heads = table.find_elements(By.TAG_NAME, "th")
    cycles = heads[column(table, "cycles")]
    assert cycles.get_attribute("aria-sort") is None
    by_value = sorted(unsorted, key=lambda text: int(text.replace(",", "")))
    assert by_value not in (unsorted, sorted(unsorted))
    button = cycles.find_element(By.TAG_NAME, "button")
    button.click()
    assert (shown(browser, table, "cycles"), cycles.get_attribute("aria-sort")) == (by_value, "ascending")
    button.click()
    assert (shown(browser, table, "cycles"), cycles.get_attribute("aria-sort")) == (by_value[::-1], "descending")

    # The same by keyboard, on text; only one heading is marked.
    model = heads[column(table, "model")]
    model.find_element(By.TAG_NAME, "button").send_keys(Keys.ENTER)
    names = shown(browser, table, "model")
    assert names == sorted(names)
    assert len(set(names)) == 3
    assert (model.get_attribute("aria-sort"), cycles.get_attribute("aria-sort")) == ("ascending", None)
    drain = heads[column(table, "drain")].find_element(By.TAG_NAME, "button")
    for _ in range(2):
        drain.click()
        assert shown(browser, table, "drain")[-1] == "-"

    # The field above a long table hides rows.
    field, table = (browser.find_element(By.CSS_SELECTOR, f"#sweep .filter {at}") for at in ("input", "+ * table"))
    field.send_keys("MODEL hbm2 seedlm")
    assert set(zip(*(shown(browser, table, name) for name in ("matrix", "memory", "format")), strict=True)) == {
        ("model", "hbm2", "seedlm3"), ("model", "hbm2", "seedlm4")}

    # A narrow screen scrolls tables, but neither charts nor the page.
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": 390, "height": 800, "deviceScaleFactor": 1,
                                                                   "mobile": True})
    assert browser.execute_script("return [innerWidth, document.documentElement.scrollWidth]") == [390, 390]
    for chart in charts:
        left, right = browser.execute_script("const box = arguments[0].getBoundingClientRect();"
                                             "return [box.left, box.right]", chart)
        assert 0 <= left < right <= 390
        assert right - left > 330
        # No text is cut: matplotlib draws each in a group of its own.
        texts = browser.execute_script(
            "return [...arguments[0].querySelectorAll('g[id*=text_]')].map(text => { const box = "
            "text.getBoundingClientRect(); return [box.left, box.right, box.height]; })", chart)
        assert len(texts) > 10
        assert all(left - 1 <= begin <= end <= right + 1 for begin, end, _ in texts)
        assert min(height for _, _, height in texts if height) > 3

    assert browser.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert [request["request"]["url"] for request in asked if request["documentURL"] == path.as_uri()] == [
        path.as_uri()]
