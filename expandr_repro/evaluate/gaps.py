"""Report topics that a run or its qrels lack; refuse a run and qrels that have none in common."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from expandr_repro.data.collections import collection_meant
from expandr_repro.errors import MismatchError
from expandr_repro.evaluate.run_facts import WITHOUT_HITS, not_searched
from expandr_repro.evaluate.scoring import Figures

log = logging.getLogger(__name__)

ENOUGH = 10
"""With so many judged topics, and no document ranked for them that is judged for any topic, it is not bad luck: run and qrels
are of different collections. A poor encoder may well miss what is judged for the topic itself, everywhere."""


def warn_of_gaps(label: str, scores: Figures, searched: bool = False) -> None:
    """Warn of judged topics that a run misses (they score 0) and of topics without relevance judgments (they do not count).

    Args:
        label: what to call the run.
        scores: of the run.
        searched: it comes from an index that is known to hold judged documents, so that it is poor where it finds none.

    Raises:
        MismatchError: ids of topics are all that run and qrels share.
    """
    if scores.ranked and not scores.met:
        if scores.ranked >= ENOUGH and not scores.known and not searched:
            raise MismatchError(
                f"{label}: none of the documents that it ranks for {scores.ranked} judged topics is judged for any topic; the run is of another "
                "collection than the qrels"
            )
        doubt = "" if scores.known or searched else "; is it a run on another collection?"
        log.warning("%s: none of the documents it ranks is judged for its topic%s", label, doubt)
    if scores.missing:
        log.warning(
            "%s: %s not in the run and score%s 0 (first: %s)",
            label,
            "1 judged topic is" if len(scores.missing) == 1 else f"{len(scores.missing)} judged topics are",
            "s" if len(scores.missing) == 1 else "",
            scores.missing[0],
        )
    if scores.unjudged:
        log.warning(
            "%s: %s no relevance judgments and do%s not count (first: %s)",
            label,
            "1 topic has" if len(scores.unjudged) == 1 else f"{len(scores.unjudged)} topics have",
            "es" if len(scores.unjudged) == 1 else "",
            scores.unjudged[0],
        )
    for measure in scores.nothing:
        log.warning(
            "%s: no document of the qrels has a grade of %d or more, so that every run scores 0 by %s",
            label,
            measure.rel,
            measure,
        )


def searched_alone(label: str, scores: Figures, facts: Mapping[str, Any]) -> Figures:
    """Return scores without the judged topics that a run's manifest says were never searched; they are reported.

    Args:
        label: what to call the run.
        scores: of all judged topics.
        facts: of the run's manifest; where it does not tell, a topic that is missing scores 0 as with trec_eval -c.
    """
    dropped = not_searched(facts, scores.missing)
    if dropped:
        log.warning(
            "%s: %d of %d judged topics were not searched, as its manifest says, and do not count (first: %s)",
            label,
            len(dropped),
            len(scores.qids),
            dropped[0],
        )
    return scores.without(set(dropped))


def comparable(scores: Sequence[Figures], facts: Sequence[Mapping[str, Any]]) -> list[Figures]:
    """Return the scores of runs on the topics on which they can be compared.

    A judged topic is left out, and reported, where a run's manifest says that it was not searched, and where it is missing from
    all runs and no manifest says that it was searched: it would enter means and paired tests as equal zeros.

    Args:
        scores: of runs on the same qrels.
        facts: of their manifests, in the same order; empty where there is none.

    Raises:
        MismatchError: no topic is left.
    """
    unsearched = {qid for f, known in zip(scores, facts, strict=True) for qid in not_searched(known, f.missing)}
    found_empty = {qid for known in facts for qid in known.get(WITHOUT_HITS) or ()}
    nowhere = set.intersection(*(set(f.missing) for f in scores)) - found_empty - unsearched
    some = [f.without(unsearched | nowhere) for f in scores]
    if not some[0].qids:
        raise MismatchError(
            "the runs have no judged topic in common: their manifests say that they were searched with different topics"
        )
    for dropped, why in ((unsearched, "were not searched by all runs, as their manifests say"), (nowhere, "are in none of the runs")):  # fmt: skip
        if dropped:
            log.warning(
                "%d of %d judged topics %s and are left out (first: %s)",
                len(dropped),
                len(scores[0].qids),
                why,
                min(dropped),
            )
    return some


def refuse_other_collection(label: str, facts: Mapping[str, Any], qrels: str) -> None:
    """Refuse qrels of another collection than the one that a run's manifest says was searched.

    Args:
        label: what to call the run.
        facts: of its manifest.
        qrels: the qrels' name or path.

    Raises:
        MismatchError: both are known, and their documents are not the same.
    """
    judged = collection_meant(qrels)
    searched = collection_meant(facts["collection"]) if isinstance(facts.get("collection"), str) else None
    # MS MARCO's passages are those of TREC DL, under other names
    if judged and searched and judged.dataset != searched.dataset and judged.spec.documents != searched.spec.documents:
        raise MismatchError(
            f"{label}: its manifest says that {searched.dataset} was searched, and --qrels {qrels} is of {judged.dataset}; "
            f"give the qrels of {searched}"
        )
