"""The report page as text: what it says, that nothing escapes into it, and bad input."""

import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from host import folders
from host.cli.main import main
from host.errors import UserError
from host.report.kinds import KINDS
from host.report.report import write_page
from tests.host.made_up import leave


class Outline(HTMLParser):
    """Text by the element it is in, attributes of elements, and whether every element that opens closes."""

    VOID = ("meta", "input", "br")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        assert not self.stack

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.stack and data.strip():
            self.texts.append((self.stack[-1], " ".join(data.split())))

    def of(self, tag: str) -> list[str]:
        return [text for element, text in self.texts if element == tag]


def made(build: Path, folder: Path) -> Outline:
    return Outline(write_page(build, folder).read_text())


def test_the_page(reports: Path, tmp_path: Path) -> None:
    page = made(reports, tmp_path)
    assert page.of("h2") == ["Area", "Place and route", "Sweep over models", "board", "Not made yet"]
    assert page.of("caption") == ["Whole engines", "Block by block, each synthesised apart", "Configurations",
                                  "Layers, simulated in RTL", "Layers, by the cycle model",
                                  "Whole models, by the cycle model", "Single matrices", "Rows"]
    cells = page.of("td")
    for text in ("101.2", "70.5", "12,800", "67,000", "large-70B", "hbm2", "0.3750", "48", "3.3"):
        assert text in cells
    assert page.of("strong") == ["12,800 LUTs", "70.5 MHz", "101.2 MHz", "4.000 times", "5.333 times", "72 of 72"]
    assert {"RTL", "cycle model", "synthesised", "published"} == {
        text for element, text in page.texts if element == "span" and text in ("RTL", "cycle model", "synthesised",
                                                                                 "published")}
    assert [attributes["aria-label"].partition(":")[0] for tag, attributes in page.seen if tag == "svg"] == [
        "chart speedup", "chart cycles-ddr4-2400"]


def test_how_numbers_were_obtained(reports: Path, tmp_path: Path) -> None:
    page = made(reports, tmp_path)
    said = page.of("dd") + page.of("code")
    for text in ("python -m host made-up --option", "2026-01-02T03:04:05+00:00", "0123abc", "(not this page's)",
                 "python 3.11", "bits 3", "fp16, seedlm4", "build/pnr/seedlm4-512/report.json"):
        assert text in said
    for kind in KINDS:
        assert kind.command in said
    there = {"sweep", "area", "pnr"}
    assert page.of("dt")[-len(KINDS) + len(there):] == [kind.title for kind in KINDS if kind.name not in there]


def test_text_is_escaped(reports: Path, tmp_path: Path) -> None:
    page = made(reports, tmp_path)
    assert "<script>alert(1)</script> & \"quotes\"" in page.of("td")
    assert "<b>bold</b>" in page.of("dd")
    assert sum(tag == "script" for tag, _ in page.seen) == 1


def test_the_page_needs_nothing_else(reports: Path, tmp_path: Path) -> None:
    page = made(reports, tmp_path)
    links = [attributes[key] for _, attributes in page.seen for key in ("href", "src", "xlink:href", "action", "srcset")
             if key in attributes]
    assert links
    assert all(link is not None and link.startswith("#") for link in links)
    text = (tmp_path / "index.html").read_text()
    assert set(re.findall(r"https?://[^\"'<> ]*", text)) <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "@import" not in text
    names = [attributes["id"] for _, attributes in page.seen if "id" in attributes]
    assert len(names) == len(set(names))
    assert {link[1:] for link in links if link} <= set(names)


def test_a_modelled_figure_says_how_far_it_may_be_off(reports: Path, tmp_path: Path) -> None:
    path = reports / "sweep" / "report.json"
    report = json.loads(path.read_text())
    modelled = [row for row in report["results"] if row["source"] == "model"]
    modelled[0]["model_tolerance"], modelled[1]["model_tolerance"] = 0.005, 0.001
    path.write_text(json.dumps(report))
    text = write_page(reports, tmp_path).read_text()
    tag = '<span class="tag model">cycle model</span>'
    assert re.findall(f'<td data-sort="([^"]*)" class="source">{tag}([^<]+)</td>', text) == [
        ("model, ± 0.5 %", ", ± 0.5 %")]
    assert text.count(f"{tag}</td>") == len(modelled) - 1


def test_a_result_that_differs_stands_out(reports: Path, tmp_path: Path) -> None:
    path = reports / "sweep" / "report.json"
    report = json.loads(path.read_text())
    report["results"][3]["bit_exact"] = False
    path.write_text(json.dumps(report))
    text = write_page(reports, tmp_path).read_text()
    assert re.findall(r'<li class="bad"><strong>(.*?)<', text) == ["70.5 MHz", "71 of 72"]
    assert re.search(r'<td data-sort="NO" class="bad">NO</td>', text)


def test_a_report_without_rows(reports: Path, tmp_path: Path) -> None:
    path = reports / "sweep" / "report.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"results": []}))
    assert any("ended before its first" in text for text in made(reports, tmp_path).of("p"))


def run(monkeypatch: pytest.MonkeyPatch, build: Path) -> object:
    monkeypatch.setattr(folders, "REPORTS", build)
    monkeypatch.setattr(sys, "argv", ["host", "report"])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def test_the_command(reports: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert not run(monkeypatch, reports)
    assert capsys.readouterr().out == f"page: {reports}/report/index.html\n"
    assert [path.name for path in (reports / "report").iterdir()] == ["index.html"]


def test_no_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, tmp_path) == 2
    assert capsys.readouterr().err == (f"error: there is no report in {tmp_path}: make one first, for example with "
                                       "`make sim`\n")


@pytest.mark.parametrize(("content", "why"), [
    (b'{"environment": {}, ', "Expecting property name"), (b"\xff\xfe", "codec can't decode"),
    (b"[]", "it must be an object, not a list"),
    (b'{"environment": {}, "configuration": {}}', "field results is missing"),
    (b'{"environment": {}, "configuration": [], "results": []}', "configuration must be an object"),
    (b'{"environment": {}, "configuration": {}, "results": [1]}', "field results[0] must be an object, not 1")])
def test_a_broken_report(content: bytes, why: str, reports: Path, monkeypatch: pytest.MonkeyPatch,
                         capsys: pytest.CaptureFixture[str]) -> None:
    path = reports / "pnr" / "fp16-512" / "report.json"
    path.write_bytes(content)
    assert run(monkeypatch, reports) == 2
    message = capsys.readouterr().err
    assert message.startswith(f"error: cannot use {path} (")
    assert why in message
    assert message.endswith("): delete it, and make it again\n")
    assert message.count("\n") == 1


@pytest.mark.parametrize(("change", "why"), [({"block": None}, None), ({"lut": "many"}, "ValueError"),
                                             ({"engine": None}, "AttributeError"), ({"lut": {}}, "TypeError")])
def test_a_report_of_another_version(change: dict[str, object], why: str | None, reports: Path, tmp_path: Path) -> None:
    """Rows that cannot be shown; a block without a name can."""
    path = reports / "area" / "report.json"
    report = json.loads(path.read_text())
    report["results"][1].update(change)
    path.write_text(json.dumps(report))
    if why is None:
        made(reports, tmp_path)
        return
    with pytest.raises(UserError, match=rf"^cannot show {path} \({why}: .*\): run `make area` again, or delete it$"):
        write_page(reports, tmp_path)


def test_a_report_that_lacks_a_key(reports: Path, tmp_path: Path) -> None:
    path = reports / "area" / "report.json"
    report = json.loads(path.read_text())
    del report["results"][0]["block"]
    path.write_text(json.dumps(report))
    with pytest.raises(UserError, match=rf"^cannot show {path} \(KeyError: 'block'\): run `make area` again"):
        write_page(reports, tmp_path)


def test_headings_say_what_is_below_them(reports: Path, tmp_path: Path) -> None:
    tips = [attributes["title"] for tag, attributes in made(reports, tmp_path).seen
            if tag == "th" and "title" in attributes]
    assert "FP16's cycles divided by this format's." in tips
    assert "Width of the memory bus. Unit: bits." in tips


def test_bitstreams_are_known_by_their_rows(tmp_path: Path) -> None:
    """They lie in a folder with the name of a board; keys that are missing or of another version do no harm."""
    row = {"board": "ulx4m", "format": "seedlm4", "bitstream": "seedlm4.bit", "target_mhz": 80, "fmax_mhz": 98.76,
           "met": True, "used": {"DP16KD": 3}, "of_another_version": 5}
    leave(tmp_path / "build", "ulx4m/seedlm4", [row], {})
    page = made(tmp_path / "build", tmp_path)
    assert page.of("h2")[0] == "Bitstreams for ulx4m"
    assert page.of("th") == ["board", "format", "clock, MHz", "Fmax, MHz", "timing met"]
    assert page.of("td") == ["ulx4m", "seedlm4", "80", "98.8", "yes"]


def test_a_product_on_a_board(tmp_path: Path) -> None:
    leave(tmp_path / "build", "run/seedlm4", [{"format": "seedlm4", "cycles": 12345, "bit_exact": True}], {})
    page = made(tmp_path / "build", tmp_path)
    assert page.of("h2")[0] == "A product on a device"
    assert page.of("td") == ["seedlm4", "12,345", "yes"]
