"""Shows that a program which says nothing still works: ``python -m host.cli.patience WHAT SECONDS PROGRAM ...``.

WHAT is what the program does, and SECONDS how long it usually takes. The exit status is the program's.

The Makefile runs it while packages are installed, so that it needs no package itself.
"""

import subprocess
import sys

from host.display.meter import Step
from host.progress import stage_progress

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Run the program; returns its exit status, or 130 after Ctrl-C, which the program received, too."""
    what, seconds, *command = arguments
    with stage_progress([Step(("",), float(seconds))]) as stage, subprocess.Popen(command) as child:
        stage(what)
        try:
            return child.wait()
        except KeyboardInterrupt:
            child.wait()
            return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
