"""Runs fused into one: what may be fused, the fusion topic by topic, and the facts of the fused run's manifest."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from expandr_repro.data.collections import collection_meant
from expandr_repro.data.overlap.seen_topics import Seen
from expandr_repro.data.run_blocks import TOO_LARGE
from expandr_repro.data.trec import Run, read_run, strictly_decreasing
from expandr_repro.errors import ExpandrError, MismatchError, UnknownNameError
from expandr_repro.evaluate.gaps import ENOUGH
from expandr_repro.evaluate.run_facts import WITHOUT_HITS, documents_in, facts_beside, versions, without_paths
from expandr_repro.evaluate.seen import OVERLAP, Overlap, overlap_beside
from expandr_repro.fuse.methods import HITS, Method, Sheet
from expandr_repro.fuse.norms import NORMS, normalized

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Input:
    """A run that is to be fused.

    Attributes:
        name: for people and for the manifest.
        run: each topic's documents, best first.
        facts: of its manifest; empty where there is none.
        overlap: which topics its models saw in training.
    """

    name: str
    run: Run
    facts: Mapping[str, Any]
    overlap: Overlap | None = None


def read_input(path: str | Path) -> Input:
    """Read a run file, with the manifest next to it.

    Raises:
        FormatError: it is not a run.
        MismatchError: the manifest next to it is of another run.
    """
    facts = facts_beside(path)
    return Input(str(path), read_run(path), facts, overlap_beside(path, facts))


def check_inputs(inputs: Sequence[Input]) -> None:
    """Refuse runs that do not belong together, and report topics that not all of them have.

    Raises:
        ExpandrError: fewer than two runs.
        MismatchError: the runs are of different collections, or have no topic in common.
    """
    if len(inputs) < 2:
        raise ExpandrError("one run has nothing to be fused with; give two or more")
    first = inputs[0]
    for other in inputs[1:]:
        _refuse_other_collection(first, other)
    everywhere = set.intersection(*(set(i.run) for i in inputs))
    if not everywhere:
        raise MismatchError(
            f"{first.name} and {inputs[1].name}: have no topic in common (e.g. {next(iter(first.run), None)!r} there, "
            f"{next(iter(inputs[1].run), None)!r} here); fuse runs of the same topics"
        )
    for item in inputs:
        missing = [qid for qid in topics_of(inputs) if qid not in item.run and qid not in (item.facts.get(WITHOUT_HITS) or ())]  # fmt: skip
        if missing:
            log.warning("%s: lacks %d of %d topics, which are fused from the other runs alone (first: %s)",
                        item.name, len(missing), len(topics_of(inputs)), missing[0])  # fmt: skip


def _refuse_other_collection(first: Input, other: Input) -> None:
    named = [i.facts.get("collection") for i in (first, other)]
    known = [collection_meant(name) if isinstance(name, str) else None for name in named]
    if known[0] and known[1] and known[0].dataset != known[1].dataset and known[0].spec.documents != known[1].spec.documents:  # fmt: skip
        raise MismatchError(f"{other.name}: its manifest says that {known[1].dataset} was searched, and {first.name} is of {known[0].dataset}; fuse runs of one collection")  # fmt: skip
    shared = set(first.run) & set(other.run)
    if len(shared) >= ENOUGH and all(first.run[qid].keys().isdisjoint(other.run[qid]) for qid in shared):
        documents = set().union(*first.run.values())
        if documents.isdisjoint(set().union(*other.run.values())):
            raise MismatchError(f"{other.name}: has no document in common with {first.name} for any of {len(shared)} topics; they are runs of different collections")  # fmt: skip


def topics_of(inputs: Sequence[Input]) -> list[str]:
    """Return the topics of all runs, in the order of the first and then of the others."""
    return list(dict.fromkeys(qid for item in inputs for qid in item.run))


def sheets_of(inputs: Sequence[Input], norm: str) -> dict[str, Sheet]:
    """Lay out the rankings of each topic side by side, with normalised scores.

    Raises:
        UnknownNameError: no such normalisation.
    """
    ordered = [{qid: strictly_decreasing(ranked) for qid, ranked in item.run.items()} for item in inputs]
    return {qid: normalized(Sheet.of([run.get(qid, {}) for run in ordered]), norm) for qid in topics_of(inputs)}


@dataclass(frozen=True)
class Fused:
    """A fused run, the facts of its manifest, and which topics any model of its runs saw in training."""

    run: Run
    facts: dict[str, Any]
    overlap: Overlap | None


def fuse(inputs: Sequence[Input], chosen: Method, norm: str | None = None, hits: int = HITS) -> Fused:
    """Fuse runs of the same topics.

    Args:
        inputs: two or more runs.
        chosen: the method, with its parameters and weights.
        norm: the normalisation of scores; min-max where it is not given and the method looks at scores.
        hits: documents that a topic keeps.

    Raises:
        MismatchError: the runs do not belong together.
        ExpandrError: there is one alone, or the normalisation does not go with the method.
    """
    check_inputs(inputs)
    norm = default_norm(chosen, norm)
    run = fuse_sheets(sheets_of(inputs, norm), chosen, hits)
    return Fused(run, fused_facts(inputs, chosen, norm, hits, run), merged_overlap(inputs))


def fuse_sheets(sheets: Mapping[str, Sheet], chosen: Method, hits: int) -> Run:
    """Fuse each topic's rankings: documents by descending fused score, ties by docid, the best `hits` of them.

    Raises:
        ExpandrError: a score is not finite in single precision, as runs have it, so that it ranks nothing.
    """
    import numpy as np

    fused: Run = {}
    for qid, sheet in sheets.items():
        with np.errstate(over="ignore", invalid="ignore"):
            added = chosen(sheet) if sheet.docids else np.zeros(0)
        if not (np.abs(added) < TOO_LARGE).all():
            raise ExpandrError(f"method {chosen}: a score of topic {qid!r} is not finite in single precision; give lower weights, or a lower parameter")  # fmt: skip
        scores = added.tolist()
        ranked = sorted(zip(sheet.docids, scores, strict=True), key=lambda item: (-item[1], item[0]))
        fused[qid] = strictly_decreasing(dict(ranked[:hits]))
    return fused


def default_norm(chosen: Method, norm: str | None) -> str:
    """Return the normalisation asked for, or ranx's default for methods that look at scores.

    Raises:
        UnknownNameError: no such normalisation.
        ExpandrError: the method looks at ranks, which no normalisation changes.
    """
    if norm is not None and norm not in NORMS:
        raise UnknownNameError("normalisation", norm, NORMS)
    if norm is not None and norm != "none" and chosen.by == "ranks":
        raise ExpandrError(f"--norm {norm}: method {chosen.name!r} looks at ranks alone, which no normalisation changes; leave it out")  # fmt: skip
    return norm or ("min-max" if chosen.by == "scores" else "none")


def fused_facts(inputs: Sequence[Input], chosen: Method, norm: str, hits: int, run: Run) -> dict[str, Any]:
    """Return what pins a fused run: the method, and all that is known of each run that went into it."""
    facts: dict[str, Any] = {
        "collection": _common(inputs, "collection"),
        "topics": _common(inputs, "topics"),
        "topics_count": len(run),
        "retriever": "fused",
        "fusion": chosen.name,
        **({"fusion_parameters": dict(chosen.values)} if chosen.values else {}),
        "normalisation": norm,
        **({"weights": list(chosen.weights)} if chosen.weights else {}),
        "hits": hits,
        "expansions": _expansions(inputs),
    }
    for key in ("topics_sha256", "corpus", "own_id_removed"):
        if (value := _common(inputs, key)) is not None:
            facts[key] = value
    counts = {documents_in(item.facts) for item in inputs}
    if len(counts) == 1 and (documents := counts.pop()) is not None:
        facts["index"] = {"documents": documents}
    if expansions := _common(inputs, "expansions_sha256"):
        facts["expansions_sha256"] = expansions
    facts["runs"] = [{"name": Path(i.name).name, **_kept(i.facts)} for i in inputs]
    nowhere = set.intersection(*(set(i.facts.get(WITHOUT_HITS) or ()) for i in inputs))
    facts[WITHOUT_HITS] = sorted(nowhere)
    facts["versions"] = versions("numpy")
    plain: dict[str, Any] = without_paths(facts)
    return plain


def _kept(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of a run without what the fused run's own manifest says."""
    return {k: v for k, v in facts.items() if k not in ("kind", "made_by", "tag", WITHOUT_HITS, OVERLAP)}


def _common(inputs: Sequence[Input], key: str) -> Any:
    """Return what all manifests say alike, or None."""
    values = [item.facts.get(key) for item in inputs]
    return values[0] if all(value == values[0] for value in values) else None


def _expansions(inputs: Sequence[Input]) -> list[dict[str, Any]] | None:
    """Return the sources of expansions of any of the runs."""
    listed = [source for item in inputs for source in item.facts.get("expansions") or () if isinstance(source, dict)]
    return [source for n, source in enumerate(listed) if source not in listed[:n]] or None


def merged_overlap(inputs: Sequence[Input]) -> Overlap | None:
    """Return which topics any model of any of the runs saw in training."""
    overlaps = [item.overlap for item in inputs if item.overlap]
    if not overlaps:
        return None
    models: dict[str, Seen] = {}
    hashes: dict[str, str] = {}
    for overlap in overlaps:
        for name, seen in overlap.models.items():
            models[name] = _united(models[name], seen) if name in models else seen
            parts = dict.fromkeys([*hashes.get(name, "").split(), *overlap.hashes[name].split()])
            hashes[name] = " ".join(parts)
    return Overlap(max(o.topics for o in overlaps), models, hashes)


def _united(a: Seen, b: Seen) -> Seen:
    united: dict[str, Any] = {}
    for f in fields(Seen):
        one, other = getattr(a, f.name), getattr(b, f.name)
        united[f.name] = one | other if isinstance(one, frozenset) else tuple(dict.fromkeys((*one, *other)))
    return Seen(**united)
