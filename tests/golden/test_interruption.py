"""How a program ends at a signal: in order, or at once when it does not; with all that it has started."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from golden.interruption import GRACE
from golden.tree import ROOT

PROGRAM = """
import sys
from golden.interruption import guard, run
guard()

def work():
    import subprocess, time
    child = subprocess.Popen(["sh", "-c", "sleep 1000 & wait"])
    print(child.pid, flush=True)
{work}

run(work)
print("done")
"""
IN_ORDER = """
    try:
        time.sleep(100)
    finally:
        print("in order", flush=True)
"""
STUBBORN = """
    while True:
        try:
            time.sleep(100)
        except BaseException:
            pass
"""
UNRAISABLE = """
    class Odd:
        def __del__(self):
            time.sleep(100)
    odd = Odd()
    del odd
    time.sleep(100)
"""
CONSEQUENCE = """
    try:
        time.sleep(100)
    except BaseException:
        raise ValueError("a consequence")
"""
THREADS = """
    import threading
    threading.Thread(target=lambda: [time.sleep(1) for _ in range(100)]).start()
    time.sleep(100)
"""
LOST = """
    from golden.interruption import complete
    try:
        time.sleep(100)
    except BaseException:
        pass
    complete()
    print("said to be complete")
"""
EXIT_HANDLER = """
    import atexit
    atexit.register(lambda: time.sleep(100))
    time.sleep(100)
"""


def below(pid: int) -> list[str]:
    """The numbers of a process and of its children that are alive."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit():
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                if str(pid) in (entry.name, parent) and state not in "ZX":
                    found.append(entry.name)
        except OSError:
            pass
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(("work", "out", "longest"), [
    (IN_ORDER, "in order\n", GRACE), (STUBBORN, "", 2 * GRACE), (UNRAISABLE, "", GRACE), (CONSEQUENCE, "", GRACE),
    (THREADS, "", GRACE), (LOST, "", GRACE), (EXIT_HANDLER, "", GRACE)],
    ids=["in order", "stubborn", "unraisable", "consequence", "threads", "lost", "exit handler"])
def test_a_signal(work: str, out: str, longest: float, number: signal.Signals) -> None:
    if number != signal.SIGINT and work not in (IN_ORDER, STUBBORN):
        pytest.skip("the same as for SIGINT")
    process, child = started(work)
    start = time.monotonic()
    process.send_signal(number)
    printed, err = process.communicate(timeout=60)
    assert time.monotonic() - start < longest + 5  # on a machine with much else to do
    assert (process.returncode, printed) == (128 + number, out)
    said = "interrupted" if number == signal.SIGINT else f"ended by {number.name}"
    assert err == f"{said}: the same command begins anew\n"
    assert not below(child)


def started(work: str) -> tuple["subprocess.Popen[str]", int]:
    """A program that is at work, and the number of a process that it has started."""
    process = subprocess.Popen([sys.executable, "-c", PROGRAM.format(work=work)], cwd=ROOT, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=by_default)
    assert process.stdout
    child = int(process.stdout.readline())
    while len(below(child)) < 2:
        time.sleep(0.01)
    time.sleep(0.2)  # it has begun to wait
    return process, child


def by_default() -> None:
    """Handle signals by default, which whoever runs the tests in the background may have changed."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def test_a_second_signal_ends_at_once() -> None:
    process, child = started(STUBBORN)
    start = time.monotonic()
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
    _, err = process.communicate(timeout=60)
    assert time.monotonic() - start < GRACE
    assert (process.returncode, err.count("\n")) == (130, 1)
    assert not below(child)


def test_signals_that_the_caller_ignores_stay_ignored() -> None:
    code = """
import os, signal
from golden.interruption import guard, run
guard()
run(lambda: os.kill(os.getpid(), signal.SIGHUP))
print("done")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=False,
                          preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN) and None)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
