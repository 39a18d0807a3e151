"""Files that nobody means well with, made where they are read: most are too large to be kept.

    python -m tests.faults.rubbish NAME READER...    # peak memory in MB, after each of these readers has read or refused it

The process limits its own memory, so that a blow-up ends it and not the machine.
"""

from __future__ import annotations

import gzip
import resource
import sys
from collections.abc import Callable
from pathlib import Path

MOST = 3 << 30
"""Bytes of address space: numpy's libraries alone map one gigabyte."""


def packed(block: bytes, size: int) -> bytes:
    """Return a gzip file of so many bytes, as repetitions of one block, packed once."""
    member = gzip.compress(block * max(1, (1 << 24) // len(block)), mtime=0)
    return member * (size >> 24)


def laughs(levels: int) -> bytes:
    """YAML's billion laughs: nine of the level below, on every level."""
    lines = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(["a0: &a0 [lol]", *lines, f"model: *a{levels - 1}"]).encode()


def merges(levels: int) -> bytes:
    """The same with merged keys, which are written out while the file is read."""
    lines = [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, levels)]
    return "\n".join(["a0: &a0 {x: 1}", *lines]).encode()


def record(value: str) -> bytes:
    """A record with every key that a reader knows, and one value under each of them."""
    keys = ("qid", "_id", "title", "text", "expansions", "sampling", "provenance", "prompt", "chosen", "rejected", "chosen_reward", "rejected_reward", "step", "metadata")  # fmt: skip
    return ("{" + ", ".join(f'"{key}": {value}' for key in keys) + "}\n").encode()


GOOD_ID = b'{"qid": "1", "_id": "1", "title": "a", "text": "a", "step": 1, "x": '
HUGE = 1 << 30

RUBBISH: dict[str, Callable[[], bytes]] = {
    "a line of 100 MB": lambda: b"x" * 100_000_000,
    "a line of 100 MB of spaces": lambda: b"a" + b" " * 100_000_000,
    "a line of 100 MB of words": lambda: b"ab " * 33_000_000,
    "a line of 15 MB of words": lambda: b"ab " * 5_000_000 + b"\n",
    "a record of 15 MB of empty lists": lambda: GOOD_ID + b"[" + b"[]," * 5_000_000 + b"[]]}\n",
    "a record with a text of 15 MB": lambda: record('"' + "é" * 500_000 + '"'),
    "a gzip bomb of zeros": lambda: packed(b"\0", HUGE),
    "a gzip bomb of line ends": lambda: packed(b"\n", HUGE),
    "a gzip bomb of spaces": lambda: packed(b" " * 1000 + b"\n", HUGE),
    "a gzip bomb of records": lambda: packed(GOOD_ID + b"1}\n", HUGE),
    "a gzip bomb of one line": lambda: packed(b"1\t" + b"x" * 998, HUGE),
    "lists in lists": lambda: b"[" * 1_000_000,
    "objects in objects": lambda: b'{"qid": ' * 200_000,
    "a record of lists in lists": lambda: record("[" * 100_000 + "]" * 100_000),
    "YAML's billion laughs": lambda: laughs(10),
    "a YAML file of endless laughs": lambda: laughs(500),
    "YAML's billion merges": lambda: merges(12),
    "a YAML file of a megabyte of brackets": lambda: b"[" * 1_000_000,
    "a YAML file of 250 KB of brackets": lambda: b"a: " + b"[],\n" * 60_000,
    "a YAML file of 250 KB of numbers to the base 60": lambda: b"epochs: 1" + b":59" * 80_000,
    "a YAML file of 250 KB of keys": lambda: b"".join(b"%d: 1\n" % n for n in range(30_000)),
    "a YAML file of 250 KB of question marks": lambda: b"? " * 120_000,
    "a number of a million bits": lambda: b"epochs: 0x" + b"f" * 250_000,
    "a gzip header with an endless name": lambda: b"\x1f\x8b\x08\x08\x00\x00\x00\x00\x00\x00" + b"x" * 1_000_000,
}
"""What would take hours or gigabytes if a reader let it."""

SMALL: dict[str, bytes] = {
    "a number of 100,000 digits": record("9" * 100_000),
    "a number of 4,000 digits": record("9" * 4_000),
    "an infinite number": record("1e999"),
    "NaN": record("NaN"),
    "half a surrogate pair": record('"\\ud800"'),
    "a NUL in a text": record('"\\u0000"'),
    "NUL bytes": bytes(1000),
    "UTF-16": record('"a"').decode().encode("utf-16"),
    "Latin-1": record('"café"').decode().encode("latin-1"),
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 100,
    "a gzip header alone": b"\x1f\x8b\x08\x00",
    "a gzip file with rubbish after it": gzip.compress(record('"a"')) + b"rubbish",
    "a gzip file in a gzip file": gzip.compress(gzip.compress(record('"a"'))),
    "a pickle": b"\x80\x04cos\nsystem\n(S'exit 1'\ntR.",
    "nothing": b"",
    "line ends": b"\r\n" * 1000,
    "a byte order mark": b"\xef\xbb\xbf",
}
"""What no file should be."""


def main(name: str, *readers: str) -> None:
    from tests.faults.fuzz.targets import TARGETS

    data = RUBBISH[name]()
    resource.setrlimit(resource.RLIMIT_AS, (MOST, MOST))
    for reader in readers:
        TARGETS[reader].read(data)
    # getrusage would count the process that this one was started from
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print((int(peak.split()[1]) * 1024 - len(data)) // 1_000_000)


if __name__ == "__main__":
    main(*sys.argv[1:])
