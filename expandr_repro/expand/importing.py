"""Texts that other tools wrote to augmented topics: QueryGym's `queries.tsv` and run JSON, and JSON lists of `{"qid", "text"}`."""

from __future__ import annotations

import csv
import io
import json
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from expandr_repro.data.collections import collection_meant, find_topics, local_folder
from expandr_repro.data.topics import ID_KEYS, TYPES, Expansion, Topic
from expandr_repro.errors import ExpandrError, FormatError, MismatchError, NotAvailableError, UnknownNameError, shown
from expandr_repro.io.columns import QUERIES, QUERY_IDS, header_of
from expandr_repro.io.files import MAX_TEXT, is_surrogate_free, is_writable, read_id, read_text, sha256_file

log = logging.getLogger(__name__)

TEXT_KEYS = ("text", "reformulated")
QUERY_KEYS = ("title", "query", "original")

_SPACE = re.compile(r"\s*")

WHOLE = "rewrite"
"""The type of a text that is searched in place of the query, as QueryGym's are."""


@dataclass(frozen=True)
class Text:
    """One text of a file: the line that it stands on, its topic, and the query where the file has it."""

    line: int
    qid: str
    text: str
    query: str | None = None


@dataclass(frozen=True)
class Run:
    """What a run JSON of QueryGym says.

    Attributes:
        provenance: of the texts: method, model, source.
        sampling: of the LLM.
        topics: name of the topics, as Pyserini calls them.
    """

    provenance: Mapping[str, Any] = field(default_factory=dict)
    sampling: Mapping[str, Any] = field(default_factory=dict)
    topics: str | None = None


def import_topics(file: str | Path, topics: str | None = None, kind: str | None = None) -> list[Topic]:
    """Return augmented topics of a file that another tool wrote.

    Args:
        file: QueryGym's queries.tsv or run JSON, or a JSON list or JSON lines of `{"qid", "text"}`.
        topics: where the queries are from; without it from the file, from the topics that a run JSON names where they are on this machine,
            or else the texts themselves stand as titles.
        kind: the type of the texts; rewrite, which is searched in place of the query, where none is given.

    Raises:
        FormatError: the file is of none of these formats, or a record of it is wrong.
        MismatchError: the texts are of other topics.
        UnknownNameError: no such type.
        ExpandrError: texts that expand a query need one.
    """
    path = Path(file)
    kind = kind or WHOLE
    if kind not in TYPES:
        raise UnknownNameError("type of expansions", kind, TYPES)
    texts, run = _read(path)
    queries = _queries(topics, run)
    unknown = [t for t in texts if t.qid not in queries] if topics else []
    if unknown:
        raise MismatchError(f"{path}, line {unknown[0].line}: the qid {unknown[0].qid!r} is not among the topics of {topics}; {len(unknown)} of {len(texts)} texts are of other topics")  # fmt: skip
    provenance = {
        "prompt": "imported",
        **run.provenance,
        "imported": {"name": path.name, "sha256": sha256_file(path)},
        **({"fusion": {"bm25": "replace", "dense": "replace"}} if kind == WHOLE else {}),
    }
    imported: dict[str, Topic] = {}
    itself = 0
    for text in texts:
        expansion = Expansion(text.text, run.sampling, type=kind)
        if text.qid in imported:
            imported[text.qid] = replace(imported[text.qid], expansions=(*imported[text.qid].expansions, expansion))
            continue
        query = queries.get(text.qid) or text.query
        if query is None and kind != WHOLE:
            raise ExpandrError(f"{path}, line {text.line}: a text of type {kind} expands a query, which the file does not have; give --topics, where the queries are")  # fmt: skip
        itself += query is None
        imported[text.qid] = Topic(text.qid, query or text.text, (expansion,), provenance)
    if itself:
        log.info("%d topics have the text itself for a title, as their queries are not known (--topics names them)", itself)  # fmt: skip
    if topics and (missing := len(queries) - len(imported)):
        log.warning("%d of %d topics of %s have no text in %s", missing, len(queries), topics, path.name)
    order = {qid: position for position, qid in enumerate(queries)} if topics else {}
    return sorted(imported.values(), key=lambda t: order.get(t.qid, 0))


def _queries(topics: str | None, run: Run) -> dict[str, str]:
    if topics:
        return {t.qid: t.title for t in find_topics(topics).topics}
    known = collection_meant(run.topics) if run.topics else None
    if known and local_folder(known):
        return {t.qid: t.title for t in find_topics(str(known)).topics}
    return {}


def _read(path: Path) -> tuple[list[Text], Run]:
    content = read_text(path, MAX_TEXT)
    is_table = Path(path.name.removesuffix(".gz")).suffix.lower() in (".tsv", ".txt", ".csv")
    start = "" if is_table else content.lstrip()[:1]
    run = Run()
    if start == "[":
        texts = list(_records(path, content))
    elif start != "{":
        beside = path.with_name(path.name.removesuffix(".gz").removesuffix(".queries.tsv") + ".json")
        if path.name.endswith((".queries.tsv", ".queries.tsv.gz")) and beside.is_file():
            run, _ = _run_of(beside, read_text(beside, MAX_TEXT)) or (run, "")
        texts = list(_rows(path, content))
    elif run_json := _run_of(path, content):
        run, name = run_json
        if not name or Path(name).name != name:
            raise FormatError(path, None, f"`artifacts` names no file of reformulated queries next to it, but {shown(name)}; import a queries.tsv")  # fmt: skip
        table = path.with_name(name)
        if not table.is_file():
            raise NotAvailableError(f"{path}: its reformulated queries, {name}, are not next to it; put them there, or import them alone")  # fmt: skip
        path, texts = table, list(_rows(table, read_text(table, MAX_TEXT)))
    else:
        texts = [_text_of(path, number, _parsed(path, number, line)) for number, line in enumerate(content.splitlines(), start=1) if line.strip()]  # fmt: skip
    if not texts:
        raise FormatError(
            path, None, 'contains no texts; wanted `qid<TAB>text` lines, or a JSON list of {"qid", "text"}'
        )
    return texts, run


def _run_of(path: Path, content: str) -> tuple[Run, str] | None:
    """Return what a run JSON says, and its file of queries; None where the content is not a run JSON."""
    try:
        whole = json.loads(content)
    except (ValueError, RecursionError):
        return None
    if not isinstance(whole, dict) or not {"pipeline", "artifacts"} <= set(whole):
        return None
    if (version := whole.get("schema_version", 1)) != 1:
        raise FormatError(path, None, f"`schema_version` is {shown(version)}; version 1 is read")
    pipeline, config, artifacts = (_object(path, whole, key) for key in ("pipeline", "config", "artifacts"))
    sampling, dataset = (_object(path, config, key) for key in ("llm_config", "dataset_config"))
    parameters = _object(path, config, "method_params")
    if not is_writable(whole):
        raise FormatError(path, None, "contains NaN, an infinite number or half a surrogate pair, which cannot be written again; fix it")  # fmt: skip
    provenance = {
        "prompt": str(pipeline.get("method_id", "imported")),
        **({"model": str(pipeline["model"])} if "model" in pipeline else {}),
        "source": f"QueryGym {whole.get('querygym_version', '')}, run {whole.get('run_id', path.stem)}".replace(
            " ,", ","
        ),
        **({"method_parameters": parameters} if parameters else {}),
    }
    name = dataset.get("topics")
    return Run(provenance, sampling, name if isinstance(name, str) else None), str(artifacts.get("reformulated_queries", ""))  # fmt: skip


def _object(path: Path, record: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = record.get(key, {})
    if not isinstance(value, dict):
        raise FormatError(path, None, f"`{key}` must be an object, found {shown(value)}")
    return value


def _rows(path: Path, content: str) -> Iterator[Text]:
    """Yield the rows of a tab-separated file; a text with quotes, tabs or line breaks is quoted, as CSV writers do."""
    reader = csv.reader(io.StringIO(content, newline=""), delimiter="\t", strict=True)
    csv.field_size_limit(MAX_TEXT)
    seen: dict[str, int] = {}
    line = 1
    first = True
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise FormatError(path, line, f"the quotes do not match ({error}); wanted `qid<TAB>text`, a text with quotes in it quoted as in CSV") from error  # fmt: skip
        if cells is None:
            return
        number, line = line, reader.line_num + 1
        if not any(cell.strip() for cell in cells):
            continue
        if first:
            first = False
            fields = {"id": QUERY_IDS | {"id"}, "title": QUERIES | set(TEXT_KEYS)}
            if header_of(path, number, cells, fields, ("id", "title")) and len(cells) == 2:
                continue
        if len(cells) != 2:
            raise FormatError(path, number, f"{len(cells)} columns; wanted two: `qid<TAB>text`")
        text = _checked(path, number, cells[0], cells[1])
        if text.qid in seen:
            raise FormatError(path, number, f"the id {text.qid!r} was there before, on line {seen[text.qid]}; ids must be unique")  # fmt: skip
        seen[text.qid] = number
        yield text


def _records(path: Path, content: str) -> Iterator[Text]:
    """Yield the records of a JSON list, each with the line that it begins on."""
    decoder, position = json.JSONDecoder(), content.index("[") + 1
    line, counted = 1, 0
    between = ""
    while True:
        position = _SPACE.match(content, position).end()  # type: ignore[union-attr]
        line, counted = line + content.count("\n", counted, position), position
        here = content[position : position + 1]
        if here == "]" and between != "," and not content[position + 1 :].strip():
            return
        if here == "," and between == "record":
            position, between = position + 1, ","
            continue
        if not here or here in ",]" or between == "record":
            raise FormatError(path, line, f"not JSON: found {shown(here)}; wanted a list of objects")
        try:
            record, position = decoder.raw_decode(content, position)
        except (ValueError, RecursionError) as error:
            raise FormatError(path, getattr(error, "lineno", line), f"not JSON ({error})") from error
        between = "record"
        yield _text_of(path, line, record)


def _parsed(path: Path, number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise FormatError(path, number, f"not JSON ({error})") from error


def _text_of(path: Path, number: int, record: Any) -> Text:
    if not isinstance(record, dict):
        raise FormatError(path, number, f'found {shown(record)}; wanted an object {{"qid", "text"}}')
    qid, text, query = (next((record[k] for k in keys if k in record), None) for keys in (ID_KEYS, TEXT_KEYS, QUERY_KEYS))  # fmt: skip
    if qid is None or text is None:
        lacking = f"no id (one of {', '.join(ID_KEYS)})" if qid is None else f"no text (one of {', '.join(TEXT_KEYS)})"
        raise FormatError(path, number, f'{lacking}; found the keys {", ".join(map(shown, list(record)[:8])) or "none"}, wanted {{"qid", "text"}}')  # fmt: skip
    if query is not None and not (isinstance(query, str) and query.strip() and is_surrogate_free(query)):
        raise FormatError(path, number, f"the query of topic {shown(qid)} is {shown(query)}; wanted a text")
    return replace(_checked(path, number, qid, text), query=query)


def _checked(path: Path, number: int, qid: object, text: object) -> Text:
    known = read_id(path, number, qid, "the qid")
    if not isinstance(text, str) or not text.strip():
        raise FormatError(path, number, f"the text of topic {known!r} is {shown(text)}; wanted some words")
    if not is_surrogate_free(text):
        raise FormatError(path, number, f"topic {known!r} contains half a surrogate pair, which is not a character; fix the text")  # fmt: skip
    return Text(number, known, text)
