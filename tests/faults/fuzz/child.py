"""One target under atheris, in a process of its own: `python -m tests.faults.fuzz.child FINDINGS NAME [FLAGS OF LIBFUZZER]`.

An exception is a finding and not the end: its input is kept, once for each place that it comes from, and the fuzzer goes on.
A hang and a blow-up of memory end the process; libFuzzer then leaves their input in the folder of findings.
"""

from __future__ import annotations

import hashlib
import sys
import traceback
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["expandr_repro"]):
    from tests.faults.fuzz.targets import TARGETS


def main() -> None:
    findings, name, *flags = sys.argv[1:]
    read = TARGETS[name].read
    seen: set[tuple[str, str, int]] = set()

    @atheris.instrument_func
    def target(data: bytes) -> None:
        try:
            read(data)
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)
            places = [f for f in last if "expandr_repro" in f.filename or "tests/faults" in f.filename]
            place = (type(error).__name__, places[-1].filename, places[-1].lineno or 0)
            if place not in seen:
                seen.add(place)
                traceback.print_exc()
                digest = hashlib.sha256(data).hexdigest()[:12]
                (Path(findings) / f"crash-{digest}").write_bytes(data)

    atheris.Setup([sys.argv[0], *flags], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
