"""Turn studies into the data of the page's script: small facts at once, long texts in pieces that are read when needed.

Kept so that 10,000 topics open at once in a browser: a document is stored once however many topics show it, scores are whole
numbers (`SCALE`), and rankings, expansions and documents are in pieces of a few hundred that are parsed when a topic is opened.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from expandr_repro.compare.comparison import Comparison, compare
from expandr_repro.console.tables import number
from expandr_repro.evaluate.depths import depth_faults
from expandr_repro.evaluate.gaps import comparable, refuse_other_collection, warn_of_gaps
from expandr_repro.evaluate.metrics import Measure
from expandr_repro.evaluate.run_facts import WITHOUT_HITS
from expandr_repro.evaluate.scoring import Figures
from expandr_repro.evaluate.seen import Split, overlap_beside, split_topics
from expandr_repro.llm.costs import tokens_of
from expandr_repro.report.documents import Numbers, record
from expandr_repro.report.expanded import ExpansionSet, expansion_sets
from expandr_repro.report.rankings import Ranked, rank, shown
from expandr_repro.report.sources import Sources, sources_of
from expandr_repro.report.studies import Study

log = logging.getLogger(__name__)

SCALE = 1_000_000
"""A score of 1 as the page contains it."""

TOPICS, DOCUMENTS = 200, 500
"""Topics and documents in a piece."""


_MEANINGS = {
    "nDCG": "looks at {first} and asks how near their order is to the best possible one. A relevant document counts more the higher it "
    "stands, and a highly relevant one more than a marginal one. 1 is perfect, 0 means that nothing relevant is there.",
    "R": "is recall: the share of all relevant documents that are among {first}. 1 means that all of them are there.",
    "P": "is precision: the share of {first} that are relevant.",
    "MAP": "is mean average precision: how pure the ranking is down to each relevant document, averaged. 1 means that all relevant "
    "documents come before all others.",
    "Success": "is 1 if a relevant document is among {first}, and 0 if there is none; averaged over topics, the share of topics with one.",
    "Judged": "is the share of {first} that somebody has judged. Where it is low, the other metrics may count good documents as not relevant, because "
    "nobody looked at them.",
    "MRR": "is one divided by the rank of the first relevant document: 1 if it is at the top, 0.5 if it is second.",
}
"""What a metric says, for readers who do not know it: follows on its name."""


@dataclass
class Sheet:
    """What a page is written from.

    Attributes:
        data: read when the page opens.
        pieces: name -> a list, read when needed: `t0.3` expansions of collection 0, `s1.3` rankings of study 1, `d0.3` documents.
    """

    data: dict[str, Any]
    pieces: dict[str, list[Any]] = field(default_factory=dict)

    def add(self, name: str, items: Sequence[Any], size: int) -> None:
        """Cut a list into pieces."""
        for position, begin in enumerate(range(0, len(items), size)):
            self.pieces[f"{name}.{position}"] = list(items[begin : begin + size])


def gather(studies: Sequence[Study], measures: Sequence[Measure], depth: int, words: int) -> Sheet:
    """Read everything that a page shows.

    Args:
        studies: what is compared; those on the same topics share them.
        measures: what to compute; the first is plotted.
        depth: documents shown of each ranking.
        words: words kept of a document.

    Raises:
        ExpandrError: something is not there, not what it should be, or does not belong together.
    """
    sheet = Sheet(
        {
            "depth": depth,
            "words": words,
            "scale": SCALE,
            "size": {"topics": TOPICS, "documents": DOCUMENTS},
            "measures": [{"name": str(m), "meaning": _meaning(m)} for m in measures],
            "collections": [],
            "studies": [],
        }
    )
    collections: dict[tuple[str, str | None, str | None], list[Study]] = {}
    for study in studies:
        collections.setdefault((study.qrels, study.topics, study.corpus), []).append(study)
    for members in collections.values():
        _add_collection(sheet, members, measures)
    return sheet


def _add_collection(sheet: Sheet, studies: Sequence[Study], measures: Sequence[Measure]) -> None:
    number = len(sheet.data["collections"])
    sources = sources_of(studies[0])
    docids: dict[str, str] = {}
    ranked = [[rank(entry, sources.qrels, measures, docids) for entry in study.entries] for study in studies]
    ranked = _on_the_same_topics(studies, ranked, sources)
    qids = ranked[0][0].figures.qids
    pairs = [(entry, run) for study, runs in zip(studies, ranked, strict=True) for entry, run in zip(study.entries, runs, strict=True)]  # fmt: skip
    overlaps = [(e.name, overlap_beside(e.path, e.facts) if e.facts else sources.overlap(e)) for e, _ in pairs]
    split = split_topics(overlaps, qids, sources.qrels, sources.relevant_from)
    depth = sheet.data["depth"]
    chosen = [[shown(qid, runs, sources.qrels[qid], depth, sources.relevant_from) for qid in qids] for runs in ranked]
    numbers = Numbers()
    for by_topic in zip(*chosen, strict=True):  # topic by topic, so that what is shown together lies together
        for topic in by_topic:
            for docid in topic.docids:
                numbers.of(docid)
    relevant = (d for qid in qids for d, grade in sources.qrels[qid].items() if grade >= sources.relevant_from)
    documents = sources.documents([*numbers.docids, *relevant])  # words are marked by all relevant ones, shown or not
    sets = expansion_sets(studies, sources, qids, documents)
    titles = {t.qid: t.title for t in sources.topics.topics} if sources.topics else {}
    sheet.data["collections"].append(
        {
            "label": sources.label,
            "relevant_from": sources.relevant_from,
            "texts": documents is not None,
            "qids": qids,
            "titles": [titles.get(qid, "") for qid in qids],
            "seen": [int(qid in split.seen) for qid in qids] if split.seen else None,
            "overlap": split.sentences,
            "sets": [s.facts for s in sets.values()],
        }
    )
    sheet.add(f"t{number}", [[s.pieces[i] for s in sets.values()] for i in range(len(qids))], TOPICS)
    sheet.add(f"d{number}", [record(d, documents or {}, sheet.data["words"]) for d in numbers.docids], DOCUMENTS)
    for study, runs, topics in zip(studies, ranked, chosen, strict=True):
        name = f"s{len(sheet.data['studies'])}"
        sheet.data["studies"].append(_study(study, number, runs, measures, sets, split))
        sheet.add(name, [[[numbers.of(d) for d in t.docids], t.grades, t.ranks] for t in topics], TOPICS)


def _on_the_same_topics(
    studies: Sequence[Study], ranked: Sequence[Sequence[Ranked]], sources: Sources
) -> list[list[Ranked]]:
    """Return the runs of all studies with the topics that they can be compared on; refuse what their manifests contradict."""
    pairs = [(entry, run) for study, runs in zip(studies, ranked, strict=True) for entry, run in zip(study.entries, runs, strict=True)]  # fmt: skip
    for entry, run in pairs:
        refuse_other_collection(str(entry.path), entry.facts, studies[0].qrels)
        if entry.facts:
            searched = {*run.order, *run.figures.unjudged, *(entry.facts.get(WITHOUT_HITS) or ())}
            sources.refuse_other_topics(entry, searched)
    scored = comparable([run.figures for _, run in pairs], [entry.facts for entry, _ in pairs])
    for (entry, _), some in zip(pairs, scored, strict=True):
        warn_of_gaps(str(entry.path), some)
    scores = iter(scored)
    return [[replace(run, figures=next(scores)) for run in runs] for runs in ranked]


def _study(
    study: Study,
    collection: int,
    runs: Sequence[Ranked],
    measures: Sequence[Measure],
    sets: dict[str, ExpansionSet],
    split: Split,
) -> dict[str, Any]:
    by_name = {entry.name: run.figures for entry, run in zip(study.entries, runs, strict=True)}
    parts = {part: _scores(some, measures) for part, some in split.of_each(by_name).items()}
    faults = depth_faults(by_name, measures)
    for fault in faults:
        log.warning("%s", fault)
    places = list(sets)
    return {
        "retriever": study.retriever,
        "collection": collection,
        "faults": faults,
        "runs": [
            {
                "name": entry.name,
                "title": entry.title,
                "set": places.index(entry.expansions) if entry.expansions in sets else None,
                "missing": len(run.figures.missing),
                "tokens": tokens_of(entry.facts) if entry.facts or entry.expansions else 0,
                "words": sets[entry.expansions].facts["words"]
                if entry.expansions in sets
                else None
                if entry.expansions
                else 0,
                "scores": [round(s * SCALE) for s in run.figures.per_topic[measures[0]].tolist()],
                **parts["all"][entry.name],
                "parts": {part: by_run[entry.name] for part, by_run in parts.items() if part != "all"},
            }
            for entry, run in zip(study.entries, runs, strict=True)
        ],
    }


def _scores(runs: dict[str, Figures], measures: Sequence[Measure]) -> dict[str, dict[str, Any]]:
    """Return for each run its means, and what its comparison with the baseline found; None for the baseline."""
    comparisons: dict[str, list[dict[str, Any]]] = {}
    for comparison in compare(runs, measures):
        comparisons.setdefault(comparison.b, []).append(_comparison(comparison))
    return {
        name: {"means": [number(f.mean(m)) for m in measures], "against": comparisons.get(name)}
        for name, f in runs.items()
    }


def _comparison(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison without its topics; JSON has no NaN, so a p-value that is none is null."""
    names = ("difference", "p", "p_holm", "wins", "ties", "losses", "oracle")
    return {name: number(getattr(comparison, name)) for name in names}


def _meaning(measure: Measure) -> str:
    """Return a sentence or two that follow on the measure's name."""
    first = f"the first {measure.depth} documents" if measure.depth else "all documents found"
    text = _MEANINGS[measure.name].format(first=first)
    return text + (f" Grades from {measure.rel} up count as relevant." if measure.rel != 1 else "")
