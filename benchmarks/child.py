"""Run a command, and write its wall time and peak memory into a file.

A program of its own, and a small one: Linux counts the memory of the process that starts a child into the child's peak, and a
parent that has loaded torch would hide what the child needs.

    python -S -E benchmarks/child.py REPORT COMMAND ...
"""

from __future__ import annotations

import os
import subprocess
import sys
import time


def main() -> int:
    """Run what follows the report's name; return its exit code."""
    report, *command = sys.argv[1:]
    begin = time.perf_counter()
    child = subprocess.Popen(command)
    _, status, used = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - begin
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
    with open(report, "w", encoding="utf-8") as file:  # noqa: PTH123 - pathlib would cost more than all the rest
        file.write(f"{seconds!r} {used.ru_maxrss * unit}")
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main())
