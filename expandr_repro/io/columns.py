"""Read the columns of tab-separated files by their header, which is never read as data; quotes of CSV writers are removed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from expandr_repro.errors import FormatError

QUERY_IDS = frozenset({"qid", "query_id", "queryid", "topic_id", "topicid", "question_id", "topic_number", "topic", "topicnum", "qnum", "qno", "num",
                       "number", "claim_id"})  # fmt: skip
DOCUMENT_IDS = frozenset(
    {"docid", "doc_id", "docno", "document_id", "documentid", "pid", "passage_id", "passageid", "corpus_id", "corpusid"}
)
IDS = frozenset({"id", "_id", "identifier", "uid", "uuid"})
GRADES = frozenset({"score", "rel", "relevance", "grade", "label", "judgment", "judgement", "rating"})
ITERATIONS = frozenset({"iter", "iteration", "q0", "0", "unused", "subtopic"})
TITLES = frozenset({"title", "headline"})
TEXTS = frozenset({"text", "contents", "content", "passage", "body", "document", "abstract", "doc", "passage_text", "document_text", "doc_text",
                   "paragraph", "sentence", "chunk"})  # fmt: skip
QUERIES = frozenset({"query", "title", "text", "question", "query_text", "claim", "keywords", "utterance"})

Fields = Mapping[str, frozenset[str]]
"""What a column holds -> how headers call it."""

CORPUS: Fields = {"id": IDS | DOCUMENT_IDS, "title": TITLES, "text": TEXTS}
TOPICS: Fields = {"id": IDS | QUERY_IDS, "title": QUERIES}
QRELS: Fields = {"query": QUERY_IDS | {"query"}, "document": DOCUMENT_IDS | {"document", "doc"}, "grade": GRADES}

_NAME = re.compile(r"[^\W\d]\w{0,39}")
_ID_LIKE = re.compile(r"[^\W\d_]+(_[^\W\d_]+)?_(id|no|num|nr|number)")
_QUOTED = re.compile(r'"(?:[^"]|"")*"')


@dataclass(frozen=True)
class Columns:
    """Which column contains what, as a header says.

    Attributes:
        count: of columns.
        places: what a column holds -> its number, from 0.
    """

    count: int
    places: Mapping[str, int]

    def fields(self, path: str | Path, number: int, cells: Sequence[str]) -> dict[str, str]:
        """Return what each named column of a line holds, without the quotes of a CSV writer.

        Raises:
            FormatError: the line has other columns than the header.
        """
        if len(cells) != self.count:
            raise FormatError(
                path, number, f"{len(cells)} columns, and the header names {self.count}; wanted one record per line"
            )
        return {what: unquoted(cells[index]) for what, index in self.places.items()}


def header_of(
    path: str | Path, number: int, cells: Sequence[str], fields: Fields, needed: Sequence[str]
) -> Columns | None:
    """Return what a file's first line says of its columns, or None where it is a record.

    Args:
        path: for the error.
        number: of the line, for the error.
        cells: of the line.
        fields: what headers call each column; the first one is an id, by which a header is known.
        needed: what must have a column.

    Raises:
        FormatError: it is a header, and does not say enough.
    """
    names = [re.sub(r"[\s-]+", "_", cell.strip().strip('"').lstrip("#").strip().lower()) for cell in cells]
    ids = next(iter(fields.values()))
    if len(names) < 2 or not all(_NAME.fullmatch(name) or name in ITERATIONS for name in names):
        return None
    if "id" in fields and not any(name in ids for name in names):  # others' words for it: "turn_id", "para_no"
        ids = ids | {name for name in names if _ID_LIKE.fullmatch(name)}
        fields = {**fields, "id": ids}
    others = set().union(*fields.values()) - ids
    some = any(name in ids for name in names) and any(name in others for name in names)
    if names[0] not in ids and not some and not all(name in others for name in names):
        return None
    places: dict[str, int] = {}
    for what, spellings in fields.items():
        numbers = [index for index, name in enumerate(names) if name in spellings and index not in places.values()]
        if numbers:
            places[what] = numbers[0]
    if lacking := [what for what in needed if what not in places]:
        raise FormatError(
            path,
            number,
            f"the header {', '.join(cells)} names no column of the {lacking[0]}; wanted {' or '.join(sorted(fields[lacking[0]]))}",
        )
    return Columns(len(names), places)


def unquoted(cell: str, sure: bool = True) -> str:
    """Remove the quotes that a CSV writer set around a cell.

    Args:
        cell: of a line.
        sure: whether the file has a header, as CSV writers set it; else only doubled quotes within show that one was at work.
    """
    cell = cell.strip()
    if len(cell) < 2 or not _QUOTED.fullmatch(cell) or not (sure or '""' in cell[1:-1]):
        return cell
    return cell[1:-1].replace('""', '"')
