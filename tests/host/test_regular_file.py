"""What is no file, and files that are shorter than they should be."""

import os
from pathlib import Path

import pytest

from host.errors import UserError
from host.regular_file import open_regular, read_range

CURE = "make it again"


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, reason in ((tmp_path / "none", "No such file or directory"), (tmp_path, "a folder, not a file"),
                         (tmp_path / "pipe", "a device, a socket or a pipe, not a file"),
                         (Path("/dev/zero"), "a device, a socket or a pipe, not a file"),
                         (tmp_path / ("x" * 300), "File name too long"), (Path("a\0b"), "embedded null byte")):
        with pytest.raises(UserError, match=rf"^cannot read [^\0]* \({reason}\): make it again$"):
            open_regular(path, CURE)


def test_a_range(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"abcdef")
    assert (read_range(path, 2, 3, CURE), read_range(path, 6, 0, CURE)) == (b"cde", b"")
    for start, size in ((4, 3), (7, 0), (0, 1 << 60)):
        with pytest.raises(UserError, match=r"x \(it has become shorter\): make it again"):
            read_range(path, start, size, CURE)
