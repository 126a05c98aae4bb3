"""Notebooks as pages of the site: their text, their code, and the outputs that are stored in them."""

import json
from pathlib import Path
from typing import Any

__all__ = ["notebook_page"]


def notebook_page(file: Path) -> str:
    """Return a Jupyter notebook (format 4) as a page in Markdown, with a link to the file beside it after its heading.

    Raises
    ------
    ValueError
        When an output is neither text nor a PNG picture.
    """
    cells = json.loads(file.read_text())["cells"]
    parts = ["".join(cells[0]["source"]), f'<a href="{file.name}" download>Download this notebook</a>']
    for cell in cells[1:]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        parts += [_shown(output) for output in cell.get("outputs", ())]
    return "\n\n".join(parts) + "\n"


def _shown(output: dict[str, Any]) -> str:
    """Return an output of a cell in Markdown."""
    if output["output_type"] == "stream":
        return f"```text\n{''.join(output['text'])}```"
    if "image/png" not in output.get("data", {}):
        raise ValueError(f"an output of a notebook is neither text nor a PNG picture, but {output['output_type']}")
    return f"![What the code above draws](data:image/png;base64,{''.join(output['data']['image/png'].split())})"
