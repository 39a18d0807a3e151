"""Split a run's topics into those that its models saw in training and the others, by the run's manifest."""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expandr_repro.console.tables import Table
from expandr_repro.data.overlap.seen_topics import Searched, Seen, seen_topics
from expandr_repro.data.overlap.trained_on import NAME, TRAINED_ON_HASH, carried_on, record_beside
from expandr_repro.data.topics import Topic
from expandr_repro.data.trec import Qrels
from expandr_repro.encoders.protocol import TextEncoder
from expandr_repro.errors import FormatError
from expandr_repro.evaluate.metrics import Measure
from expandr_repro.evaluate.scoring import Figures
from expandr_repro.io.files import atomic_bytes, read_text, sha256_file
from expandr_repro.io.manifest import RUN_HASH, run_manifest_path

log = logging.getLogger(__name__)

OVERLAP = "training_overlap"
"""Where a run's manifest says which topics were seen; absent where no model of the run has a record of its training."""

MODELS = {"encoder": "the encoder", "expansions": "the LLM that wrote the expansions", "gate": "the gate"}
"""What a manifest calls a model of a run -> what a sentence does."""

REASONS = ("document", "repeat", "near")

MANY = 1000
"""Ids from which on they are in a file next to the manifest."""


@dataclass(frozen=True)
class Overlap:
    """What the models of a run saw of its topics in training.

    Attributes:
        topics: how many were searched.
        models: by the names of `MODELS`.
        hashes: SHA-256 of each model's record.
    """

    topics: int
    models: Mapping[str, Seen]
    hashes: Mapping[str, str]

    @property
    def qids(self) -> frozenset[str]:
        """The topics that any of the models saw."""
        return frozenset[str]().union(*(seen.qids for seen in self.models.values()))

    @property
    def apart(self) -> bool:
        """Whether the lists are next to the manifest: where they are long, or hold documents that wait for qrels."""
        return len(self.qids) > MANY or any(seen.docids for seen in self.models.values())

    def facts(self) -> dict[str, Any]:
        """Return what the run's manifest says of it."""
        models = {
            name: {
                "record_sha256": self.hashes[name],
                **{reason: len(getattr(seen, reason)) for reason in REASONS},
                "judged": not seen.docids,
                "by_ids_alone": list(seen.by_ids_alone),
            }
            for name, seen in self.models.items()
        }
        counts = {"topics": self.topics, "seen": len(self.qids), "unseen": self.topics - len(self.qids)}
        return {OVERLAP: {**counts, "models": models, **({} if self.apart else self._lists())}}

    def _lists(self) -> dict[str, Any]:
        listed = (*REASONS, "docids")
        return {"lists": {name: {key: sorted(getattr(seen, key)) for key in listed if getattr(seen, key)} for name, seen in self.models.items()}}  # fmt: skip

    def write_beside(self, run: Path) -> None:
        """Write the lists next to a finished run, where its manifest does not hold them; equal content in equal bytes."""
        if self.apart:
            content = json.dumps({RUN_HASH: sha256_file(run), **self._lists()}, ensure_ascii=False, indent=0) + "\n"
            with atomic_bytes(lists_path(run)) as file:
                file.write(gzip.compress(content.encode(), mtime=0))


def lists_path(run: Path) -> Path:
    """Return where the lists of a run lie that its manifest does not hold."""
    return run.with_name(f"{run.name}.seen.json.gz")


def find_overlap(
    encoder: TextEncoder | None,
    expansions: Sequence[Path],
    topics: Sequence[Topic],
    qrels: Qrels | None,
    searched: Searched,
    relevant_from: int,
    gate: Path | None = None,
) -> Overlap | None:
    """Find what the models of a search saw of its topics in training; None where none of them has a record.

    Args:
        encoder: what encodes; None for BM25.
        expansions: the files that the expansions are from; none where they are not searched with.
        topics: with their expansions.
        qrels: of these topics.
        searched: the collection.
        relevant_from: its least relevant grade.
        gate: the file of a learned gate.

    Raises:
        FormatError: a record is damaged.
    """
    folder = getattr(encoder, "folder", None)
    sources = {"encoder": [folder] if folder else [], "expansions": list(expansions), "gate": [gate] if gate else []}
    wanted = {t.provenance.get(TRAINED_ON_HASH) for t in topics if t.provenance} - {None} if expansions else set()
    models, hashes = {}, {}
    for model, places in sources.items():
        files = [path / NAME if path.is_dir() else record_beside(path) for path in places]
        files = [file for file in files if file.is_file()]
        records = [record for path in places for record in carried_on(path)]
        if records:
            hashes[model] = " ".join(sha256_file(file) for file in files)
            titles = {t.qid: t.title for t in topics}
            models[model] = seen_topics(records, searched, titles, qrels, relevant_from)
    if lacking := wanted - set(hashes.get("expansions", "").split()):
        log.warning(
            "%s: was written by a trained LLM, and the record of its training (SHA-256 %s) is not next to it as %s; topics that the LLM saw count as unseen",
            expansions[0],
            min(map(str, lacking))[:16],
            record_beside(expansions[0]).name,
        )
    return Overlap(len(topics), models, hashes) if models else None


def overlap_beside(run: str | Path, facts: Mapping[str, Any]) -> Overlap | None:
    """Return what a run's manifest says of training overlap, or None.

    Args:
        run: the run file.
        facts: of the manifest next to it.

    Raises:
        FormatError: what it says is damaged, or the lists that belong to it are missing or another run's.
    """
    path, recorded = Path(run), facts.get(OVERLAP)
    if recorded is None:
        return None
    file = run_manifest_path(path)
    try:
        lists = recorded.get("lists")
        if lists is None:
            file = lists_path(path)
            content = json.loads(read_text(file)) if file.is_file() else {}
            if content.get(RUN_HASH) != facts.get(RUN_HASH):
                raise FormatError(file, None, "the list of topics seen in training is missing or another run's; search again")  # fmt: skip
            lists = content["lists"]
        models = {
            name: Seen(**{key: frozenset(map(str, lists[name].get(key, ()))) for key in (*REASONS, "docids")}, by_ids_alone=tuple(map(str, model["by_ids_alone"])))
            for name, model in recorded["models"].items()
        }  # fmt: skip
        return Overlap(
            int(recorded["topics"]), models, {n: str(m["record_sha256"]) for n, m in recorded["models"].items()}
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FormatError(file, None, f"what it says of topics seen in training is damaged ({error}); search again") from error  # fmt: skip


@dataclass(frozen=True)
class Split:
    """Judged topics distinguished by whether a model of any of some runs saw them in training.

    Attributes:
        seen: those that one saw; empty where no run has a record, or none was seen.
        sentences: what to print, one sentence for each model that has a record.
    """

    seen: frozenset[str] = frozenset()
    sentences: tuple[str, ...] = ()

    def parts(self, scores: Figures) -> dict[str, Figures]:
        """Return scores of all topics, and where any was seen of the seen and the unseen ones."""
        if self.seen.isdisjoint(scores.qids):
            return {"all": scores}
        unseen = set(scores.qids) - self.seen
        return {"all": scores, "seen": scores.without(unseen), "unseen": scores.without(self.seen)}

    def of_each(self, runs: Mapping[str, Figures]) -> dict[str, dict[str, Figures]]:
        """Return the parts of several runs on the same topics: part -> run name -> scores."""
        each = {name: self.parts(scores) for name, scores in runs.items()}
        return {part: {name: parts[part] for name, parts in each.items()} for part in next(iter(each.values()))}

    def table(self, first: str, runs: Iterable[tuple[str, Figures]], measures: Sequence[Measure]) -> Table:
        """Return a table of means: a row for each run, or three where any topic was seen."""
        rows: list[list[object]] = []
        for name, scores in runs:
            for part, some in self.parts(scores).items():
                where = [part, len(some.qids)] if self.seen else []
                rows.append([name, *where, *(some.mean(m) for m in measures)])
        return Table([first, *(["topics", "count"] if self.seen else []), *map(str, measures)], rows)


def split_topics(
    runs: Sequence[tuple[str, Overlap | None]],
    qids: Collection[str],
    qrels: Qrels | None = None,
    relevant_from: int = 1,
) -> Split:
    """Split topics by whether a model of any of the runs saw them.

    Args:
        runs: each run's name and overlap.
        qids: the topics that are scored.
        qrels: for runs that were searched without any.
        relevant_from: the least relevant grade.
    """
    seen: set[str] = set()
    sentences = []
    for name, overlap in runs:
        for model, seen_by in overlap.models.items() if overlap else ():
            whole = seen_by.judged({q: qrels[q] for q in qids if q in qrels}, relevant_from) if qrels else seen_by
            seen |= whole.qids.intersection(qids)
            sentences.append((f"{name}: " if len(runs) > 1 else "") + sentence(MODELS.get(model, model), whole, qids))
    return Split(frozenset(seen), tuple(sentences))


def split_files(
    runs: Sequence[tuple[str, str | Path, Mapping[str, Any]]],
    scores: Sequence[Figures],
    qrels: Qrels,
    relevant_from: int,
) -> Split:
    """Split topics by the manifests of run files.

    Args:
        runs: each run's name, its file, and the facts of its manifest.
        scores: of each of them; topics that none scores do not count.
        qrels: what they are scored on.
        relevant_from: the least relevant grade.
    """
    overlaps = [(name, overlap_beside(path, facts)) for name, path, facts in runs]
    return split_topics(overlaps, dict.fromkeys(q for f in scores for q in f.qids), qrels, relevant_from)


def sentence(model: str, seen: Seen, qids: Collection[str]) -> str:
    """Return in a sentence how many of the topics that are scored a model saw."""
    count: Callable[[frozenset[str]], int] = lambda docids: len(docids.intersection(qids))  # noqa: E731
    total = f"{len(qids)} topic{'' if len(qids) == 1 else 's'}"
    document, title, whole = count(seen.document), count(seen.repeat | seen.near), count(seen.qids)
    text = f"{document} of {total} {'has' if document == 1 else 'have'} a relevant document that {model} was trained on"
    if seen.docids:
        text = f"without qrels it is not known which of {total} have a relevant document that {model} was trained on"
    if title:
        text += f", {title} {'repeats or nearly repeats' if title == 1 else 'repeat or nearly repeat'} one of its training topics"
    if title and document:
        text += f": {whole} seen in all"
    if seen.by_ids_alone:
        text += f" (documents compared by docid alone, as it is not known whether {' and '.join(seen.by_ids_alone)} is this collection)"
    return text
