"""The program: ``seedlm-fpga`` and ``python -m host`` both run :func:`main`.

Little is imported before signals are handled, as imports take most of a short command's time. Processes that this
program starts import its first module under another name, and need nothing of it.
"""

__all__ = ["main"]

_OURS = ("golden", "hw", "sim", "host")


def main() -> None:
    """Carry out the command that ``sys.argv`` names; ends the process.

    A signal ends it in order (:mod:`golden.interruption`). Where a package of the base is missing, as in a tree from
    which nothing was installed, it ends in one sentence and exit status 2.
    """
    from golden.interruption import guard, run

    guard()
    try:
        from host.cli.main import main as command
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if not package or package in _OURS:
            raise
        raise SystemExit(_told(package)) from None
    run(command)


def _told(package: str) -> int:
    """Say how a package of the base is installed; returns the exit status."""
    import sys
    from contextlib import suppress

    with suppress(OSError):  # nobody may be there to read it
        print(f"error: the package {package} is not installed: run `pip install .` in a checkout of seedlm-fpga, or "
              "run `make setup` there and use .venv/bin/python", file=sys.stderr, flush=True)
    return 2


if __name__ == "__main__":
    main()
