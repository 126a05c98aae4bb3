"""The notebook is run, cell by cell, and prints what is stored in it; there are as many pictures."""

import json
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
from site_notebook import notebook_page

from golden.tree import ROOT

NOTEBOOK = ROOT / "docs/notebook.ipynb"
Cell = dict[str, Any]


def cells(file: Path) -> list[Cell]:
    return [cell for cell in json.loads(file.read_text())["cells"] if cell["cell_type"] == "code"]


def stored(cell: Cell) -> tuple[str, int]:
    """What a cell printed, and how many pictures it drew, as Jupyter stored it."""
    text = "".join("".join(output["text"]) for output in cell["outputs"] if output["output_type"] == "stream")
    return text, sum("image/png" in output.get("data", {}) for output in cell["outputs"])


def run(file: Path) -> list[tuple[str, int]]:
    """The same of every cell, run now."""
    found, names = [], dict[str, Any]()
    mpl.use("Agg")
    try:
        for number, cell in enumerate(cells(file)):
            with redirect_stdout(StringIO()) as printed:
                exec(compile("".join(cell["source"]), f"{file.name}, cell {number}", "exec"), names)
            found.append((printed.getvalue(), len(plt.get_fignums())))
            plt.close("all")
    finally:
        plt.close("all")
    return found


@pytest.mark.filterwarnings("ignore:FigureCanvasAgg is non-interactive")
def test_the_notebook_says_what_is_stored_in_it() -> None:
    found = run(NOTEBOOK)
    assert found == [stored(cell) for cell in cells(NOTEBOOK)], "run docs/notebook.ipynb in Jupyter, and save it"
    assert sum(pictures for _, pictures in found) >= 2


def test_its_page_has_text_code_outputs_and_pictures(tmp_path: Path) -> None:
    file = tmp_path / "n.ipynb"
    output = {"output_type": "stream", "name": "stdout", "text": ["4\n"]}
    picture = {"output_type": "display_data", "data": {"image/png": "aGVs\nbG8=\n", "text/plain": "<Figure>"}}
    code = {"cell_type": "code", "source": ["x = 2\n", "print(2 * x)"], "outputs": [output, picture]}
    head = {"cell_type": "markdown", "source": ["# Title\n", "\n", "Words."]}
    file.write_text(json.dumps({"cells": [head, code], "nbformat": 4}))
    assert notebook_page(file) == (
        '# Title\n\nWords.\n\n<a href="n.ipynb" download>Download this notebook</a>\n\n```python\nx = 2\nprint(2 * x)\n'
        "```\n\n```text\n4\n```\n\n![What the code above draws](data:image/png;base64,aGVsbG8=)\n")
    code["outputs"] = [{"output_type": "error", "ename": "ValueError"}]
    file.write_text(json.dumps({"cells": [head, code], "nbformat": 4}))
    with pytest.raises(ValueError, match="neither text nor a PNG picture, but error"):
        notebook_page(file)
