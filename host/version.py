"""The version of this program, as it is installed."""

from importlib.metadata import PackageNotFoundError, version

__all__ = ["program_version"]

_DISTRIBUTION = "seedlm-fpga"


def program_version() -> str:
    """Return the name and the version of this program; the name alone in a source tree that was not installed."""
    try:
        return f"{_DISTRIBUTION} {version(_DISTRIBUTION)}"
    except PackageNotFoundError:
        return _DISTRIBUTION
