"""The text that is predicted, as windows of equal length.

The default text is the beginning of the test set of WikiText-2 (Merity et al., 2016), raw; ``data/README.md`` names its
licence. It is long enough for eight windows of 512 tokens of common tokenizers.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from host.errors import UserError
from host.regular_file import open_regular

__all__ = ["DEFAULT_TEXT", "read_text", "windows"]

DEFAULT_TEXT = Path(__file__).with_name("data") / "wikitext-2-raw.test.excerpt.txt"
"""The text that is predicted where no other is given."""


def read_text(path: Path) -> str:
    """Return the text of a file in UTF-8.

    Raises
    ------
    UserError
        When there is no such file, or it is no text.
    """
    with open_regular(path, "give a file of text") as file:
        content = file.read()
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no text in UTF-8 (byte {error.start}): give a file of text") from None


def windows(tokens: Sequence[int], length: int, count: int, what: str) -> np.ndarray:
    """Cut tokens into windows, one behind the other from the first token on: int64, (windows, length).

    Parameters
    ----------
    length : int
        Tokens of a window, of which all but the first are predicted.
    count : int
        Windows at most. What is left of the text is not used; nor is a last piece that is shorter than a window.
    what : str
        What the text is called, for the refusal.

    Raises
    ------
    UserError
        When the text is shorter than one window.
    """
    have = min(len(tokens) // length, count)
    if not have:
        raise UserError(f"{what} has {len(tokens):,} tokens, fewer than the {length:,} of one window: give a longer "
                        "text, or shorter windows with --window")
    return np.array(tokens[:have * length], dtype=np.int64).reshape(have, length)
