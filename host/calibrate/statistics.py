"""Statistics of a calibration in a folder: a file for each input, and one that says what they are of.

Those of an input depend on all matrices before it as they are compressed, so they belong to one compression of one
model. A run that was interrupted, and one that only lays its result out in another way, read them again.
"""

import json
from pathlib import Path

from golden.products import read_sealed, write_sealed
from host.calibrate.moments import Moments, from_bytes, to_bytes
from host.errors import UserError, cure_of_writing
from host.json_reader import parse_json

__all__ = ["Statistics"]

_HEAD = "statistics.json"


class Statistics:
    """The statistics in a folder, which is made if need be.

    Parameters
    ----------
    model, work : str
        Digests of the model, and of all else that the statistics depend on.

    Raises
    ------
    UserError
        When the folder holds statistics of another model or of other work, or anything else, or cannot be written.
    """

    def __init__(self, folder: Path, model: str, work: str) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            head = folder / _HEAD
            if not head.exists():
                if any(folder.iterdir()):
                    raise UserError(f"{folder} holds something else than statistics: give a new or empty folder with "
                                    "--statistics")
                head.write_text(json.dumps({"model": model, "work": work}) + "\n")
            found = parse_json(head.read_bytes(), head, "remove the folder")
        except OSError as error:
            raise UserError(f"cannot keep statistics in {folder} ({error.strerror}): {cure_of_writing(error)}, or "
                            "give another folder with --statistics") from error
        if found["model"].text() != model:
            raise UserError(f"{folder} holds statistics of another model: give another folder with --statistics")
        if found["work"].text() != work:
            raise UserError(f"{folder} holds statistics of this model that belong to other options or another version "
                            "of the program: give another folder with --statistics, or remove it")

    def _file(self, names: tuple[str, ...]) -> Path:
        return self.folder / f"{names[0].removesuffix('.weight')}.npz"

    def load(self, names: tuple[str, ...]) -> Moments | None:
        """Return those of the input of some matrices, or None when there are none or they are damaged. UserError when
        the file is no such file."""
        content = read_sealed(self._file(names))
        return None if content is None else from_bytes(content, str(self._file(names)))

    def save(self, names: tuple[str, ...], moments: Moments) -> None:
        """Keep those of the input of some matrices. UserError when the folder cannot be written."""
        try:
            write_sealed(self._file(names), to_bytes(moments))
        except OSError as error:
            raise UserError(f"cannot keep statistics in {self.folder} ({error.strerror}): {cure_of_writing(error)}, "
                            "or give another folder with --statistics") from error
