"""Names from outside, such as those of tensors and files, made fit to be shown.

A name may hold anything: control characters that move the terminal's cursor, marks that turn the direction of text, or
a megabyte of letters. What is shown goes through :func:`printable`. Tables, progress lines and charts take the result
as it is: rich's markup and matplotlib's mathematics are off there, so that brackets and dollar signs stay themselves.
"""

import re

__all__ = ["LONGEST", "printable", "printable_lines"]

LONGEST = 256
"""Characters that a run without blanks has at most when it is shown; the middle of a longer one is left out."""
_ENDS = 100  # characters kept at either end of a longer one

# Control characters of Unicode (category Cc), line and paragraph separators, marks of direction and invisible ones
# (Unicode's Bidi_Control, and the zero-width characters), tags, and surrogates, which no encoding can write.
_UNSHOWN = re.compile("[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff"
                      "\ufff0-\ufffb\U000e0000-\U000e0fff]")
_LONG = re.compile(rf"[^ ]{{{LONGEST + 1},}}")


def _escape(match: re.Match[str]) -> str:
    """Return a character as Python's source would write it."""
    return match[0].encode("unicode_escape").decode()


def printable(text: object) -> str:
    """Return text, or what ``str`` makes of another object, on one line that any terminal shows as it is.

    Characters that would not be seen, or that would act on the terminal, are written as escapes such as ``\\x1b``. Of a
    run of more than :data:`LONGEST` characters without a blank, the middle is left out.
    """
    whole = _LONG.sub(lambda match: f"{match[0][:_ENDS]}...{match[0][-_ENDS:]}", str(text))
    return _UNSHOWN.sub(_escape, whole)


def printable_lines(text: str) -> str:
    """Return text of several lines, each made :func:`printable`."""
    return "\n".join(map(printable, text.split("\n")))
