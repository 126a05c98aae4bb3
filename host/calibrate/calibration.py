"""What a calibration is asked to do: which text the model reads, and how much of it."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from host.errors import UserError
from host.regular_file import open_regular

__all__ = ["SELF", "Calibration"]

SELF = "self"
"""The text of a calibration that the model writes itself."""


@dataclass(frozen=True)
class Calibration:
    """The text of a calibration.

    Parameters
    ----------
    text : str
        ``self`` for text that the model generates, each sequence from its start token on, drawn with the probabilities
        of the model; or the name of a text file in UTF-8.
    sequences : int
        Number of sequences.
    length : int
        Tokens of each sequence.
    seed : int
        Seed of the generated text, which is another one for every seed.

    Raises
    ------
    UserError
        When a number is out of its range.
    """

    text: str = SELF
    sequences: int = 32
    length: int = 512
    seed: int = 0

    def __post_init__(self) -> None:
        if self.sequences < 1 or self.length < 2:
            raise UserError(f"a calibration needs one sequence or more of two tokens or more, not {self.sequences} of "
                            f"{self.length}")

    @property
    def generated(self) -> bool:
        """Whether the model writes the text itself."""
        return self.text == SELF

    def content(self) -> bytes:
        """Return the content of the text file. UserError when there is none."""
        with open_regular(Path(self.text), "give a file of text, or self") as file:
            return file.read()

    def described(self) -> dict[str, Any]:
        """Return what tells this calibration from others, for JSON: a text file is told by its digest, wherever it
        lies. UserError as :meth:`content`."""
        size = {"sequences": self.sequences, "length": self.length}
        if self.generated:
            return {"text": SELF, **size, "seed": self.seed}
        return {"text": hashlib.sha256(self.content()).hexdigest(), **size}
