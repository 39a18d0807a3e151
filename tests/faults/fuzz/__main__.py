"""Fuzz the readers, guided by coverage.

    python -m tests.faults.fuzz --seconds 120                # each target for two minutes
    python -m tests.faults.fuzz --seconds 60 topics qrels    # these

An input that brings out anything but an `ExpandrError` stays in findings/, the inputs that reach the most code in corpus/;
tests/faults/test_fed_rubbish.py reads all of them at every run of the tests. What was tried is added up in
runs/reliability/fuzz.json.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from expandr_repro.io.files import write_json
from tests.faults import page
from tests.faults.fuzz import CORPUS, FINDINGS, folder
from tests.faults.fuzz.smallest import smallest
from tests.faults.fuzz.targets import ROOT, TARGETS

LIMITS = ("-timeout=20", "-rss_limit_mb=2048", "-max_len=4096", "-print_final_stats=1", "-verbosity=1")
"""An input may take twenty seconds (a machine that is busy with other work) and two gigabytes."""


def main(argv: Sequence[str]) -> int:
    made = argparse.ArgumentParser(prog="python -m tests.faults.fuzz")
    made.add_argument("--seconds", type=int, default=120, help="of each target (default: %(default)s)")
    made.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(TARGETS)} (default: all)")
    args = made.parse_args(argv)
    found = 0
    for name in args.names or TARGETS:
        before = len(files(folder(FINDINGS, name)))
        inputs, seconds = fuzz(name, args.seconds)
        kept, new = len(files(folder(CORPUS, name))), len(files(folder(FINDINGS, name))) - before
        found += new
        note(name, inputs, seconds, kept, new)
        print(f"{name}: {inputs:,} inputs in {seconds} s, {kept} kept, {new} new findings", flush=True)
    page.write()
    return 1 if found else 0


def files(place: Path) -> list[Path]:
    return sorted(p for p in place.iterdir() if p.is_file()) if place.is_dir() else []


def fuzz(name: str, seconds: int) -> tuple[int, int]:
    """Fuzz a target for so many seconds, beginning anew after a hang; return the inputs tried and the seconds it took."""
    findings, corpus = folder(FINDINGS, name), folder(CORPUS, name)
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory() as scratch, tempfile.TemporaryDirectory(prefix="fuzz-", dir=memory) as fresh:
        for number, seed in enumerate(TARGETS[name].seeds):
            (Path(scratch) / f"seed-{number}").write_bytes(seed)
        for path in [*files(corpus), *files(findings)]:
            (Path(scratch) / path.name).write_bytes(path.read_bytes())
        words = Path(fresh) / "words"
        words.write_text("".join(f'"{escaped(w)}"\n' for w in ("\n", *TARGETS[name].words)), encoding="ascii")
        inputs, begun = 0, time.monotonic()
        while (left := seconds - int(time.monotonic() - begun)) > 0:
            flags = [f"-max_total_time={left}", *LIMITS, f"-dict={words}", f"-artifact_prefix={fresh}/", scratch]
            code, tried = child(name, fresh, flags)
            inputs += tried
            if code == 0:
                break
            if not tried:
                raise SystemExit(f"{name}: the fuzzer did not start; what it said is above")
        took = round(time.monotonic() - begun)
        for path in files(Path(fresh)):
            if path.name.startswith(("crash-", "timeout-", "oom-")):
                findings.mkdir(parents=True, exist_ok=True)
                (findings / path.name).write_bytes(path.read_bytes())
        keep(corpus, smallest(name, [p.read_bytes() for p in files(Path(scratch))]))
    return inputs, took


def child(name: str, findings: str, flags: Sequence[str]) -> tuple[int, int]:
    """Run a target under atheris; return its exit code and how many inputs it tried."""
    command = [sys.executable, "-m", "tests.faults.fuzz.child", findings, name, *flags]
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {
        "PYTHONPATH": paths,
        "TMPDIR": findings,
    }  # what the child leaves behind goes with the folder
    done = subprocess.run(command, stderr=subprocess.PIPE, env=environment, cwd=ROOT, check=False)
    said = done.stderr.decode("utf-8", "replace")
    for told in re.findall(r"^Traceback .*?^\w[^\n]*$", said, re.M | re.S):
        print(told, flush=True)
    if done.returncode:
        print(said[-3000:], flush=True)
    numbers = re.findall(r"number_of_executed_units:\s*(\d+)", said) or re.findall(r"^#(\d+)", said, re.M) or ["0"]
    return done.returncode, int(numbers[-1])


def escaped(word: str) -> str:
    """Return a word as libFuzzer's dictionaries want it."""
    return "".join(f"\\x{b:02x}" if b < 33 or b > 126 or chr(b) in '"\\' else chr(b) for b in word.encode())


def keep(place: Path, inputs: Sequence[bytes]) -> None:
    """Put inputs into a folder in the place of what is there, named by their content."""
    place.mkdir(parents=True, exist_ok=True)
    for path in files(place):
        path.unlink()
    for data in inputs:
        (place / page.digest(data)).write_bytes(data)


def note(name: str, inputs: int, seconds: int, kept: int, findings: int) -> None:
    """Add to what is known of a target."""
    known = page.read(page.FUZZ)
    before = known.get(name, {"inputs": 0, "seconds": 0, "findings": 0})
    known[name] = {
        "inputs": before["inputs"] + inputs,
        "seconds": before["seconds"] + seconds,
        "kept": kept + len(files(folder(FINDINGS, name))),
        "findings": before["findings"] + findings,
    }
    write_json(page.FUZZ, dict(sorted(known.items())))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
