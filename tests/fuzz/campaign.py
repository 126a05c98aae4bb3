"""``python -m tests.fuzz.campaign``: try inputs of every target for a time, and tell how many, and which are findings.

Findings are kept below ``build/fuzz``. Once mended, they belong into ``tests/fuzz/corpus``.
"""

import argparse
import hashlib
import sys
import tempfile
import time
from pathlib import Path

from golden.tree import BUILD
from tests.fuzz.target import Trial
from tests.fuzz.targets import TARGETS, memory_folder, without_waiting

__all__ = ["main"]


def main() -> int:
    """Run the campaign; return how many targets have findings."""
    parser = argparse.ArgumentParser(description="Try made-up inputs of every reader.")
    parser.add_argument("seconds", type=float, help="time for each target")
    parser.add_argument("targets", nargs="*", choices=[[], *TARGETS], help="names of targets; by default all")
    parser.add_argument("--seed", type=int, default=int(time.time()) << 24, help="number of the first input")
    options = parser.parse_args()
    folder, total, bad = BUILD / "fuzz", 0, 0
    print(f"first input: {options.seed}; findings are kept in {folder}")
    for name in options.targets or TARGETS:
        with tempfile.TemporaryDirectory(dir=memory_folder()) as scratch, without_waiting():
            trial, end, seed = Trial(TARGETS[name](Path(scratch))), time.monotonic() + options.seconds, options.seed
            while time.monotonic() < end and len(trial.findings) < 20:
                trial.mutate(seed)
                seed += 1
        total, bad = total + trial.tried, bad + bool(trial.findings)
        print(f"{name:14} {trial.tried:9,} inputs, {trial.refused / trial.tried:4.0%} refused, "
              f"{len(trial.findings)} findings", flush=True)
        for finding in trial.findings:
            kept = folder / name / hashlib.sha256(finding.data).hexdigest()[:16]
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(finding.data)
            print(f"  {kept.name}: {finding.what}", flush=True)
    print(f"{total:,} inputs in all")
    return bad


if __name__ == "__main__":
    sys.exit(main())
