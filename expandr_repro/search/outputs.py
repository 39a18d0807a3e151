"""Check where a run goes, and write what it was made of next to it: its manifest, topics seen in training, and what a gate chose."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expandr_repro.data.collections import collection_meant
from expandr_repro.evaluate.run_facts import (
    expansions_sha256,
    ordered_sha256,
    qrels_sha256,
    topics_sha256,
    without_paths,
)
from expandr_repro.io.files import About, sha256_file
from expandr_repro.io.manifest import RUN_HASH, run_manifest_path, write_manifest
from expandr_repro.io.outputs import GATED, RUN, SEEN, check_output, manifest_kind
from expandr_repro.llm.costs import FACT, read_costs
from expandr_repro.search.fusion import ALIASES, FUSIONS, Fusion

if TYPE_CHECKING:
    from expandr_repro.data.expansions import Joined
    from expandr_repro.data.specs import CollectionName
    from expandr_repro.data.topics import Topic
    from expandr_repro.data.trec import Qrels
    from expandr_repro.evaluate.seen import Overlap
    from expandr_repro.search.gate.choose import Choice
    from expandr_repro.search.options import SearchRequest
    from expandr_repro.search.run import Outcome

OWN = "those of the topics"
"""In place of a name: the expansions that the topics' own file carries."""

Recorded = tuple[Mapping[str, Any], "Overlap | None", "Sequence[Choice] | None"]
"""Of a run: the facts of its manifest, the topics seen in training, and what a gate chose."""


def check_run(path: Path, reads: Iterable[str | None] = (), option: str = "--output") -> None:
    """Find out before anything is written that a run, or what belongs next to it, would replace something else.

    Args:
        path: the run.
        reads: what the command reads, which it must not replace.
        option: names the place in the message.

    Raises:
        SetupError: the place cannot be written, or something else is there.
    """
    from expandr_repro.evaluate.seen import lists_path
    from expandr_repro.search.gate.choose import gate_path

    reads = tuple(reads)
    check_output(option, path, RUN, reads)
    check_output(option, run_manifest_path(path), manifest_kind("run"), reads)
    check_output(option, lists_path(path), SEEN, reads)
    check_output(option, gate_path(path), GATED, reads)


def beside_run(path: Path, tag: str, recorded: Callable[[], Recorded]) -> About:
    """Return what writes the files next to a finished run; without facts there is no manifest.

    Args:
        path: the run.
        tag: its last column.
        recorded: asked when the run is written.
    """
    from expandr_repro.evaluate.seen import lists_path
    from expandr_repro.search.gate.choose import gate_path, write_choices

    def write() -> None:
        facts, overlap, choices = recorded()
        if overlap:
            overlap.write_beside(path)
        if choices is not None:
            write_choices(gate_path(path), choices)
        if facts:
            write_manifest(run_manifest_path(path), "run", {**facts, "tag": tag, RUN_HASH: sha256_file(path)})

    return {lists_path(path): None, gate_path(path): None, run_manifest_path(path): write}


def facts_of(
    request: SearchRequest, outcome: Outcome, known: CollectionName | None, joined: Joined | None, qrels: Qrels | None
) -> dict[str, Any]:
    """Return what pins the run of a known collection, or of another; see `evaluate.run_facts`."""
    topics, fusion, searcher = outcome.topics, outcome.chosen, outcome.searcher
    facts: dict[str, Any] = {
        "collection": str(known) if known else None,
        "topics": topics.label,
        "topics_count": len(topics.topics),
        "topics_sha256": topics_sha256(topics.topics),
        "topics_in_order_sha256": ordered_sha256(topics.topics),
        "expansions": None,
        "topics_without_expansion": outcome.without_expansion,
        "retriever": request.retriever,
        "fusion": fusion.name,
        **_fusion_facts(fusion),
        "hits": searcher.hits,
        "own_id_removed": searcher.remove_own,
        "searcher": "pyserini" if request.stock else "expandr_repro",
    }
    if fusion.expands:
        digest = expansions_sha256(topics.topics)
        facts["expansions"] = joined.sources if joined else [{"name": OWN, "sha256": digest}]
        facts["expansions_sha256"] = digest
        if joined and joined.from_several:
            facts["topics_with_texts_from_several_files"] = joined.from_several
    if request.search_params:
        facts["search_params"] = request.search_params
    facts |= searcher.facts(fusion.of == "feedback")
    if outcome.figures and qrels:
        name = request.qrels if request.qrels and collection_meant(request.qrels) is None else None
        facts["qrels"] = {
            "name": Path(name).name if name else str(collection_meant(request.qrels) or topics.label),
            "topics": len(qrels),
            "sha256": qrels_sha256(qrels),
        }
        facts["metrics"] = [str(m) for m in outcome.measures]
        facts["figures"] = {str(m): round(outcome.figures.mean(m), 4) for m in outcome.measures}
    recorded: dict[str, Any] = without_paths(facts)
    return recorded


def _fusion_facts(fusion: Fusion) -> dict[str, Any]:
    """Return the parameters of a fusion, and of a plug-in's where its code is from."""
    # a parameter that a fusion was given later is left out at its default, so that manifests of older runs stay as they are
    values: dict[str, Any] = {k: v for k, v in fusion.values.items() if k != "lowercase" or v}
    facts: dict[str, Any] = {}
    if fusion.of == "feedback":
        facts["feedback"] = values
    elif values:
        older = {parameter: key for key, (names, parameter) in ALIASES.items() if fusion.name in names}
        ours = fusion.name in FUSIONS
        facts |= {older.get(k, k): v for k, v in values.items()} if ours else {"fusion_parameters": values}
    if origin := FUSIONS.origin(fusion.name):
        facts["fusion_origin"] = origin
    return facts


def cost_facts(files: Sequence[Path], topics: Sequence[Topic]) -> dict[str, Any]:
    """Return what the expansions of the topics cost, where that is known of every file."""
    costs = [read_costs(path) for path in files]
    qids = [t.qid for t in topics]
    return {FACT: [c.facts(qids) for c in costs if c]} if costs and all(costs) else {}
