"""Read TREC runs and qrels as trec_eval does, and write them so that every tool reads the same.

A run is `{qid: {docid: score}}`, qrels are `{qid: {docid: grade}}`; both plain dictionaries, as ranx takes them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from expandr_repro.console.terminal import printable
from expandr_repro.data.run_blocks import TOO_LARGE, read_plain_run
from expandr_repro.errors import ExpandrError, FormatError
from expandr_repro.io.columns import QRELS, Columns, header_of
from expandr_repro.io.files import About, atomic_text, read_id, read_lines
from expandr_repro.io.outputs import RUN

Run = dict[str, dict[str, float]]
Qrels = dict[str, dict[str, int]]

RUN_FIELDS = "qid Q0 docid rank score tag"

LARGEST_GRADE = 1000

_ODD_SPACE = re.compile(r"[^\S \t\v\f\r]")
"""White space to Python, and part of a word to trec_eval."""


def read_run(path: str | Path) -> Run:
    """Read a TREC run, plain or gzipped; ranks are ignored, as in trec_eval.

    Raises:
        FormatError: not six columns, a score that is not a finite number or beyond single precision, a document twice for a topic,
            an empty run, white space or a number that trec_eval reads otherwise.
    """
    return read_plain_run(Path(path)) or read_run_by_lines(path)


def read_run_by_lines(path: str | Path) -> Run:
    """Read a TREC run line by line, so that an error names its line."""
    run: Run = {}
    for number, line in read_lines(path):
        parts = _columns(path, number, line, 6)
        if not parts:
            continue
        if len(parts) != 6:
            raise FormatError(path, number, f"{_count(parts, 6)} columns; a run line has six: {RUN_FIELDS}")
        qid, _, docid, _, written, _ = parts
        try:
            score = float(_plain_number(written))
        except ValueError as error:
            raise FormatError(path, number, f"the score {written!r} is not a number") from error
        if not math.isfinite(score):
            raise FormatError(path, number, f"the score {written!r} is not finite; documents cannot be ranked by it")
        if abs(score) >= TOO_LARGE:
            raise FormatError(
                path, number, f"the score {written!r} is beyond single precision, in which tools compare; scale it down"
            )
        if qid not in run:
            run[read_id(path, number, qid, "the qid")] = {}
        ranked = run[qid]
        if docid in ranked:
            raise FormatError(path, number, f"document {docid!r} occurs twice for topic {qid!r}; a run names each once")
        ranked[docid] = score
    if not run:
        raise FormatError(path, None, "contains no run lines; was the search that wrote it complete?")
    return run


def _columns(path: str | Path, number: int, line: str, most: int) -> list[str]:
    """Return the columns of a line, or, where there are more than `most`, these and the rest.

    Raises:
        FormatError: the line contains white space of which trec_eval knows nothing.
    """
    odd = _ODD_SPACE.search(line)
    if odd:
        raise FormatError(
            path,
            number,
            f"holds {odd[0]!r}, which is white space to some tools and not to others; put a space or a tab",
        )
    return line.split(None, most)


def _count(parts: list[str], most: int) -> str:
    return f"more than {most}" if len(parts) > most else str(len(parts))


def _plain_number(written: str) -> str:
    """Refuse what Python takes for a number and C does not: 1_000 and the digits of other scripts.

    Raises:
        ValueError: C reads no number there.
    """
    if "_" in written or not written.isascii():
        raise ValueError(written)
    return written


def write_run(
    path: str | Path, run: Mapping[str, Mapping[str, float]], tag: str = "expandr_repro", about: About | None = None
) -> None:
    """Write a TREC run whole or not at all, by descending score, ties by docid, scores strictly decreasing.

    Nine significant digits are written, which give back each single-precision score exactly. `about` is `atomic_text`'s.

    Raises:
        SetupError: the place cannot be written, or something else than a run is there.
    """
    with run_writer(path, tag, about) as write:
        write(run)


@contextmanager
def run_writer(
    path: str | Path, tag: str = "expandr_repro", about: About | None = None
) -> Iterator[Callable[[Mapping[str, Mapping[str, float]]], None]]:
    """Yield what adds topics to a run, as `write_run` writes them; at the end the file is whole, or not there."""
    with atomic_text(path, about, RUN) as file:

        def write(part: Mapping[str, Mapping[str, float]]) -> None:
            for qid, ranked in part.items():
                ordered = enumerate(strictly_decreasing(ranked).items(), start=1)
                file.writelines([f"{qid} Q0 {docid} {rank} {score:.9g} {tag}\n" for rank, (docid, score) in ordered])

        yield write


def check_tag(tag: str, option: str = "--tag") -> None:
    """Refuse what cannot be the last column of a run.

    Raises:
        ExpandrError: it is not one printable word.
    """
    if tag.split() != [tag] or printable(tag) != tag:
        raise ExpandrError(f"{option} {tag!r}: a run's last column is one word")


def strictly_decreasing(ranked: Mapping[str, float]) -> dict[str, float]:
    """Order one topic's documents by (score descending, docid) and lower tied scores by the least step there is.

    Tools break ties differently (trec_eval by docid descending, in single precision; ranx by input order), so a run
    that holds ties has no score of its own. Each score becomes the single-precision number below its
    predecessor where it would not be smaller anyway; the order is then the same for everyone.
    """
    import numpy as np

    singles = np.fromiter(ranked.values(), dtype=np.float64, count=len(ranked)).astype(np.float32)
    if (
        len(singles) and singles[0] < math.inf and singles[-1] > -math.inf and (singles[1:] < singles[:-1]).all()
    ):  # as searches mostly give them
        return dict(zip(ranked, singles.tolist(), strict=True))
    ordered = sorted(ranked.items(), key=lambda item: (-item[1], item[0]))
    down = np.float32(-math.inf)
    result: dict[str, float] = {}
    previous = np.float32(math.inf)
    with np.errstate(over="ignore"):  # numpy calls the last step down one
        for docid, score in ordered:
            single = np.float32(score)
            previous = single if single < previous else np.nextafter(previous, down)
            result[docid] = float(previous)
    return result if previous > down else _lifted(result)


def _lifted(ranked: Mapping[str, float]) -> dict[str, float]:
    """Raise the last scores where ties at the least number there is were lowered beyond it: no tool reads -inf."""
    import numpy as np

    least, up = np.finfo(np.float32).min, np.float32(math.inf)
    lifted = dict(ranked)
    for docid in reversed(list(ranked)):
        if lifted[docid] >= least:
            break
        lifted[docid] = float(least)
        least = np.nextafter(least, up)
    return lifted


def trec_order(run: Mapping[str, Mapping[str, float]]) -> Run:
    """Return a run whose scores are strictly decreasing in the order in which trec_eval would rank it.

    trec_eval compares scores in single precision and breaks ties by docid descending (`form_res_rels.c`).
    """
    import numpy as np

    ordered: Run = {}
    for qid, ranked in run.items():
        singles = np.array(list(ranked.values()), dtype=np.float32)
        by_rank: Iterable[str] = ranked
        if not (singles[1:] < singles[:-1]).all():  # most runs are in order
            by_rank = [docid for _, docid in sorted(zip(singles.tolist(), ranked, strict=True), reverse=True)]
        ordered[qid] = dict(zip(by_rank, np.arange(len(ranked), 0, -1, dtype=np.float64).tolist(), strict=True))
    return ordered


def read_qrels(path: str | Path) -> Qrels:
    """Read qrels: TREC (`qid 0 docid grade`) or BEIR (a header, then `qid<TAB>docid<TAB>grade`); the header decides on the columns.

    Raises:
        FormatError: other columns, a grade that is not a whole number, a document judged twice, no relevance judgments.
    """
    qrels: Qrels = {}
    header: Columns | None = None
    for number, line in read_lines(path):
        parts = _columns(path, number, line, 4)
        if parts and not (qrels or header) and not parts[-1].lstrip("+-").isdigit():
            header = header_of(path, number, parts, QRELS, ("query", "document", "grade"))
            if header:
                continue
        if not parts:
            continue
        if len(parts) not in (3, 4):
            raise FormatError(
                path,
                number,
                f"{_count(parts, 4)} columns; wanted `qid 0 docid grade` (TREC) or `qid docid grade` (BEIR)",
            )
        if header:
            cells = header.fields(path, number, parts)
            qid, docid, written = cells["query"], cells["document"], cells["grade"]
        else:
            qid, docid, written = parts[0], parts[-2], parts[-1]
        try:
            grade = int(_plain_number(written))
        except ValueError as error:
            raise FormatError(path, number, f"the grade {written!r} is not a whole number") from error
        if abs(grade) > LARGEST_GRADE:
            raise FormatError(path, number, f"the grade {written} is too large; wanted a small whole number")
        judged = qrels.setdefault(read_id(path, number, qid, "the qid"), {})
        if judged.setdefault(docid, grade) != grade:
            raise FormatError(
                path, number, f"document {docid!r} is judged twice for topic {qid!r}, as {judged[docid]} and {grade}"
            )
    if not qrels:
        raise FormatError(path, None, "contains no relevance judgments")
    return qrels


def write_qrels(path: str | Path, qrels: Mapping[str, Mapping[str, int]]) -> None:
    """Write qrels in TREC form."""
    with atomic_text(path) as file:
        for qid, judged in qrels.items():
            file.writelines(f"{qid} 0 {docid} {grade}\n" for docid, grade in judged.items())


def without_own_id(run: Mapping[str, Mapping[str, float]], hits: int) -> Run:
    """Take a topic's own id out of its ranking, then cut at `hits` (the official code removes it after the cut)."""
    kept: Run = {}
    for qid, ranked in run.items():
        rest = ((docid, score) for docid, score in ranked.items() if docid != qid)
        kept[qid] = {docid: score for (docid, score), _ in zip(rest, range(hits), strict=False)}
    return kept
