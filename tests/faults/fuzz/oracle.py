"""Runs and qrels as trec_eval reads them (`get_trec_results.c`, `get_qrels.c`): what its C code does with a line, and no more."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

_LIBC = ctypes.CDLL(None)
_LIBC.atof.restype, _LIBC.atof.argtypes = ctypes.c_double, [ctypes.c_char_p]
_LIBC.atol.restype, _LIBC.atol.argtypes = ctypes.c_long, [ctypes.c_char_p]


def _lines(data: bytes) -> Iterator[list[bytes]]:
    """Yield the words of lines that have some, after the byte order mark; bytes know the white space that C's isspace knows."""
    yield from filter(None, (line.split() for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n")))


def run(data: bytes) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for qid, _, docid, _, score, *_ in _lines(data):
        found.setdefault(qid.decode(), {})[docid.decode()] = _LIBC.atof(score)
    return found


def qrels(data: bytes) -> dict[str, dict[str, int]]:
    """The same for judgements, BEIR's three columns among them, which trec_eval does not read."""
    found: dict[str, dict[str, int]] = {}
    for words in _lines(data):
        found.setdefault(words[0].decode(), {})[words[-2].decode()] = _LIBC.atol(words[-1])
    return found
