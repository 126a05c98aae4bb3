"""Text as windows, and the text of the package."""

from pathlib import Path

import pytest

from host.errors import UserError
from host.perplexity.windows import DEFAULT_TEXT, read_text, windows


def test_windows_lie_one_behind_the_other() -> None:
    assert windows(range(11), 3, 8, "it").tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert windows(range(11), 3, 2, "it").tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_text_shorter_than_a_window_is_refused() -> None:
    with pytest.raises(UserError, match=r"^poem\.txt has 4 tokens, fewer than the 5 of one window: .*--window$"):
        windows(range(4), 5, 8, "poem.txt")


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(b"ab\xff")
    with pytest.raises(UserError, match=r"no text in UTF-8 \(byte 2\)"):
        read_text(tmp_path / "noise")
    with pytest.raises(UserError, match="missing"):
        read_text(tmp_path / "missing")


def test_the_default_text_is_long_enough_and_its_licence_lies_beside_it() -> None:
    assert read_text(DEFAULT_TEXT).lstrip().startswith("= Robert Boulter =")
    assert len(read_text(DEFAULT_TEXT)) > 6 * 8 * 512  # no common tokenizer's tokens have six characters on average
    notice = DEFAULT_TEXT.with_name("README.md").read_text()
    assert DEFAULT_TEXT.name in notice
    assert "https://creativecommons.org/licenses/by-sa/3.0/" in notice
