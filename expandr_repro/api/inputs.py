"""Read topics, documents, runs and qrels from memory: dicts, lists, pairs, pandas; ids become strings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Integral
from typing import Any, TypeVar

from expandr_repro.data.run_blocks import TOO_LARGE
from expandr_repro.data.trec import LARGEST_GRADE
from expandr_repro.errors import ExpandrError, FormatError, UnknownNameError, nearest, shown
from expandr_repro.io.columns import DOCUMENT_IDS, IDS, QUERY_IDS
from expandr_repro.io.files import read_id

T = TypeVar("T", int, float)

QUERY_COLUMNS = QUERY_IDS | {"query", "q_id"}
DOCUMENT_COLUMNS = DOCUMENT_IDS | IDS | {"document", "doc"}


def is_frame(data: object) -> bool:
    """Return whether something is a pandas DataFrame, without importing pandas."""
    return hasattr(data, "columns") and hasattr(data, "to_dict")


def plain(value: Any) -> Any:
    """Return a number of numpy as Python's, and what pandas has for nothing as None."""
    if hasattr(value, "item") and not isinstance(value, str | bytes):
        value = value.item() if getattr(value, "ndim", 0) == 0 else value.tolist()
    if isinstance(value, float) and value != value:
        return None
    return None if type(value).__name__ in ("NAType", "NaTType") else value


def from_one(name: str, value: Any) -> int:
    """Return a whole number from 1, such as a depth.

    Raises:
        ExpandrError: it is none; says what it is of by `name`.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ExpandrError(f"{name} {shown(value)}: wanted a whole number from 1")
    return int(value)


def by_name(runs: Any) -> dict[str, Any]:
    """Return runs by their names, which are texts.

    Raises:
        ExpandrError: they are not in a dict.
    """
    if not isinstance(runs, Mapping):
        raise ExpandrError('runs: wanted a dict name -> run, e.g. {"none": alone, "mean": fused}')
    return {str(name): run for name, run in runs.items()}


def records(
    data: Any, what: str, names: Mapping[int, Sequence[str]], known: Sequence[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what is in memory as records, each with what to call it in errors.

    Args:
        data: a dict id -> text or record, a DataFrame, or an iterable of records, tuples or dataclasses.
        what: "topics" or "documents".
        names: length of a tuple -> what its items are; the shortest is also that of a dict's items.
        known: keys that mean something; one that is nearly one of these is refused.

    Raises:
        FormatError: another shape.
        UnknownNameError: a key is misspelt.
    """
    pair = names[min(names)]
    listed: Iterable[Any]
    if is_frame(data):
        listed = data.to_dict("records")
    elif isinstance(data, Mapping):
        listed = ({**v, pair[0]: k} if isinstance(v, Mapping) else {pair[0]: k, pair[-1]: v} for k, v in data.items())
    elif isinstance(data, str | bytes) or not isinstance(data, Iterable):
        raise ExpandrError(f"{what} are {shown(data)}; wanted a dict, a list of dicts or of tuples, or a DataFrame")
    else:
        listed = data
    for number, item in enumerate(listed):
        where = f"{what}[{number}]"
        if isinstance(item, tuple | list) and len(item) in names:
            item = dict(zip(names[len(item)], item, strict=True))
        if not isinstance(item, Mapping):
            forms = " or ".join(f"({', '.join(n)})" for n in names.values())
            raise FormatError(where, None, f"is {shown(item)}; wanted a dict or {forms}")
        record = {str(key): plain(value) for key, value in item.items()}
        for key in record:
            if key not in known and (close := nearest(key, known)) and close not in record:
                raise UnknownNameError(f"key of {where}", key, [close])
        yield where, record


def as_id(value: Any, where: str, what: str) -> str:
    """Return an id as the string it is.

    Raises:
        FormatError: it is none.
    """
    try:
        return read_id(where, 0, plain(value), what)
    except FormatError as error:
        raise FormatError(where, None, error.problem) from error


def nested(data: Any, what: str, values: frozenset[str], kind: type[T]) -> dict[str, dict[str, T]]:
    """Return a run or qrels from a dict of dicts or a DataFrame.

    Args:
        data: qid -> docid -> number, or a DataFrame with a column for each.
        what: "run" or "qrels".
        values: names of the column of numbers.
        kind: of the numbers.

    Raises:
        FormatError: an id or a number is none.
        ExpandrError: another shape, or a column is missing.
    """
    by_qid: dict[str, dict[str, T]] = {}
    if is_frame(data):
        columns = [
            _column(data, what, names)
            for names in (
                QUERY_COLUMNS,
                DOCUMENT_COLUMNS if "id" not in data.columns else DOCUMENT_COLUMNS - IDS,
                values,
            )
        ]
        for number, (qid, docid, value) in enumerate(zip(*(data[c].tolist() for c in columns), strict=True)):
            where = f"{what}[{number}]"
            inner = by_qid.setdefault(as_id(qid, where, "the qid"), {})
            docid = as_id(docid, where, "the docid")
            if docid in inner:
                raise FormatError(where, None, f"document {docid!r} occurs twice for topic {qid!r}")
            inner[docid] = _number(value, where, kind)
        return by_qid
    if not isinstance(data, Mapping):
        raise ExpandrError(f"the {what} is {shown(data)}; wanted a dict of dicts, a DataFrame or a path")
    for qid, ranked in data.items():
        where = f"{what}[{qid!r}]"
        if not isinstance(ranked, Mapping):
            raise FormatError(where, None, f"is {shown(ranked)}; wanted a dict of docid -> number")
        key = as_id(qid, where, "the qid")
        if key in by_qid:
            raise FormatError(where, None, "occurs twice, as a string and as a number")
        inner = by_qid[key] = {}
        for d, value in ranked.items():
            docid = as_id(d, where, "the docid")
            if docid in inner:
                raise FormatError(where, None, f"document {docid!r} occurs twice, as a string and as a number")
            inner[docid] = _number(value, f"{where}[{d!r}]", kind)
    return by_qid


def _column(frame: Any, what: str, names: frozenset[str]) -> Any:
    column = next((c for c in frame.columns if str(c).lower() in names), None)
    if column is None:
        raise ExpandrError(
            f"the {what} has the columns {', '.join(map(str, frame.columns))}; wanted one of {', '.join(sorted(names))}"
        )
    return column


def _number(value: Any, where: str, kind: type[T]) -> T:
    value = plain(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or (kind is int and value % 1 != 0):
        wanted = "a whole number" if kind is int else "a number"
        raise FormatError(where, None, f"is {shown(value)}; wanted {wanted}")
    if kind is int and abs(value) > LARGEST_GRADE:
        raise FormatError(where, None, f"the grade {shown(value)} is too large; wanted a small whole number")
    if abs(value) >= TOO_LARGE:
        raise FormatError(where, None, f"{shown(value)} is infinite in single precision, in which scores are compared")
    return kind(value)
