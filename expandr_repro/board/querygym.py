"""Write kept runs in QueryGym's result schema, version 1 (`reproducibility/schema.json` of ls3-lab/QueryGym), so that they can be submitted to its leaderboard."""

from __future__ import annotations

import csv
import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expandr_repro import __version__
from expandr_repro.board.cells import fusion_of
from expandr_repro.data.collections import find_topics, relevance_level
from expandr_repro.data.expansions import with_expansions
from expandr_repro.data.specs import collection_named, encoders
from expandr_repro.data.topics import Topic
from expandr_repro.errors import ExpandrError, NotAvailableError
from expandr_repro.evaluate.metrics import parse_measure
from expandr_repro.io.files import atomic_folder, read_text
from expandr_repro.io.manifest import NAME, write_manifest
from expandr_repro.io.outputs import FolderKind, files_of
from expandr_repro.regress.conditions.shapes import Condition, Regression
from expandr_repro.regress.page import Pair, readable
from expandr_repro.regress.references import DEPTH, run_path
from expandr_repro.regress.stages import option_of, substituted
from expandr_repro.search.fusion.registry import fusion_named

log = logging.getLogger(__name__)

EXPORTS = FolderKind("an export that `regress` wrote", ("querygym-export",), None)

VERSION = 1

METHODS = ("csqe", "genqr", "genqr_ensemble", "lamer", "mugi", "qa_expand", "query2doc", "query2e", "reformer", "thinkqe")  # fmt: skip
"""What QueryGym's leaderboard knows; others validate against the schema, and are refused there."""

RETRIEVERS = {"bm25": "bm25", "bge-base": "bge-base-en-v1.5"}
"""The second part of a condition's name -> what QueryGym's registry of retrievers calls it."""

METRICS = {"nDCG": "ndcg_cut_{}", "R": "recall_{}", "P": "P_{}", "Success": "success_{}"}
"""Our metrics -> trec_eval's names, as QueryGym writes them."""


def export(folder: Path, conditions: Sequence[Condition], reference: Path) -> int:
    """Write the kept runs of conditions with expansions; return how many.

    Raises:
        FormatError: a regression file cannot be read.
        ExpandrError: none can be written.
        SetupError: the place cannot be written, or something else is there.
    """
    refuse_missing(reference)
    results = results_of(readable(conditions), reference)
    if not results:
        raise ExpandrError("--export querygym: none of these conditions can be written; it takes conditions with a kept run and expansions whose temperature and length are recorded")  # fmt: skip
    with atomic_folder(folder, kind=EXPORTS) as temporary:
        write_results(temporary, results)
        write_manifest(temporary / NAME, "querygym-export", {"files": files_of(temporary)})
    return len(results)


def refuse_missing(reference: Path) -> None:
    """Refuse a folder of kept runs that is not there.

    Raises:
        NotAvailableError: it is not.
    """
    if not reference.is_dir():
        raise NotAvailableError(f"--reference {reference}: no such folder; run in a checkout of the repository, or give the folder of the kept runs")  # fmt: skip


@dataclass(frozen=True)
class Result:
    """One run as it is exported.

    Attributes:
        summary: as QueryGym's schema has it.
        run: the kept run.
        queries: topic -> the text that was searched; empty where a search is not of one text.
    """

    summary: dict[str, Any]
    run: Path
    queries: dict[str, str]

    @property
    def stem(self) -> str:
        """The path of its files in QueryGym's layout, without their endings."""
        pipeline, retrieval = self.summary["pipeline"], self.summary["config"]["retrieval"]
        return "/".join((pipeline["dataset_id"], pipeline["method_id"], pipeline["model"], retrieval["retriever_id"], self.summary["params_hash"]))  # fmt: skip


def results_of(pairs: Sequence[Pair], reference: Path) -> list[Result]:
    """Return what can be exported of conditions with expansions and a kept run; the others are warned of."""
    results: dict[str, Result] = {}
    reasons: dict[str, list[str]] = {}
    for name, regression in pairs:
        run = run_path(reference, name)
        if regression.expansions is None or not run.is_file():
            continue
        try:
            topics = _topics(regression)
            queries = _searched(regression, topics)
            result = Result(result_of(name, regression, topics, bool(queries)), run, queries)
            if result.stem in results:
                raise ExpandrError(f"its method, LLM and settings are those of another condition ({result.stem})")
        except ExpandrError as error:
            reasons.setdefault(str(error), []).append(name)
            continue
        results[result.stem] = result
        _, method, *_, retriever, _ = result.stem.split("/")
        unknown = [value for value, known in ((method, METHODS), (retriever, RETRIEVERS.values())) if value not in known]  # fmt: skip
        if unknown:
            log.info("%s: QueryGym's leaderboard does not list %s", name, " and ".join(unknown))
    warn_by_reason(reasons, "not exported")
    return list(results.values())


def write_results(folder: Path, results: Sequence[Result]) -> None:
    """Write results in QueryGym's layout: a summary, the run, and the searched texts."""
    for result in results:
        (folder / result.stem).parent.mkdir(parents=True, exist_ok=True)
        base = str(folder / result.stem)
        Path(f"{base}.json").write_text(
            json.dumps(result.summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        Path(f"{base}.run.txt").write_text(read_text(result.run) + "\n", encoding="utf-8")
        if result.queries:
            with Path(f"{base}.queries.tsv").open("w", encoding="utf-8", newline="") as file:
                csv.writer(file, delimiter="\t", lineterminator="\n").writerows(result.queries.items())


def warn_by_reason(reasons: Mapping[str, Sequence[str]], what: str) -> None:
    """Warn of conditions, those of one reason together."""
    for reason, names in reasons.items():
        log.warning("%s%s: %s: %s", names[0], f" and {len(names) - 1} more" if len(names) > 1 else "", what, reason)


def _topics(regression: Regression) -> list[Topic]:
    topics = find_topics(regression.topics.name)
    source = regression.expansions.source if regression.expansions else None
    return with_expansions(topics, substituted(source, {})) if source else list(topics.topics)


def _searched(regression: Regression, topics: Sequence[Topic]) -> dict[str, str]:
    """Return the text that was searched for each topic; nothing where a search is not of one text."""
    retriever = "bm25" if option_of(regression.stages.search, "--retriever") == "bm25" else "dense"
    chosen = fusion_named(fusion_of(regression) or ("repeat" if retriever == "bm25" else "mean"), retriever)
    if chosen.of != "texts" or chosen.supplied:
        return {}
    return {t.qid: chosen(t.title, t.texts) for t in topics}


def result_of(name: str, regression: Regression, topics: Sequence[Topic], queries: bool) -> dict[str, Any]:
    """Return a condition's result as QueryGym's schema has it.

    Args:
        name: of the condition.
        regression: the condition.
        topics: with their expansions.
        queries: whether the searched texts are written next to it.

    Raises:
        ExpandrError: the schema requires what is not recorded.
    """
    recorded = regression.recorded
    expanded = [t for t in topics if t.texts]
    provenance: Mapping[str, Any] = expanded[0].provenance or {} if expanded else {}
    sampling = expanded[0].expansions[0].sampling if expanded else {}
    if recorded is None or not {"temperature", "max_tokens"} <= set(sampling) or "model" not in provenance:
        raise ExpandrError("the LLM's name, temperature and maximum of tokens are not recorded with the expansions, and QueryGym's schema requires them")  # fmt: skip
    method, parameters = _method(str(provenance.get("prompt", "")))
    parameters |= {key: provenance[key] for key in ("adapter", "adapter_sha256") if key in provenance}
    parameters |= {"samples": max(len(t.texts) for t in expanded), "fusion": fusion_of(regression)}
    llm = {key: sampling[key] for key in ("temperature", "max_tokens", "top_p") if key in sampling}
    known = collection_named(regression.topics.name)
    spec = known.spec.splits[known.split] if known else None
    dataset = (spec.pyserini_topics or "").removesuffix(f"-{known.split}") if spec and known else ""
    params_hash = _digest({"method_id": method, "model": str(provenance["model"]), "method_params": parameters, "llm_config": llm})[:8]  # fmt: skip
    result = {
        "schema_version": VERSION,
        "run_id": "",
        "params_hash": params_hash,
        "submitted_at": f"{recorded.date}T00:00:00Z",
        "querygym_version": f"expandr_repro {__version__}",
        "environment": {"python_version": recorded.python, "platform": recorded.platform, "git_commit": None},
        "pipeline": {
            "dataset_id": dataset or regression.topics.name,
            "method_id": method,
            "model": str(provenance["model"]),
            "steps_completed": ["reformulate", "retrieve", "evaluate"],
            "total_time_seconds": 0.0,
        },
        "config": {
            "method_params": parameters,
            "llm_config": llm,
            "dataset_config": {
                "topics": (spec.pyserini_topics if spec else None) or regression.topics.name,
                "index": f"{regression.collection.name}, indexed by expandr_repro",
                "num_queries": regression.topics.count,
            },
            "retrieval": _retrieval(name, regression),
        },
        "metrics": _metrics(regression),
        "timing": {},
        "artifacts": {
            "run_file": f"{params_hash}.run.txt",
            **({"reformulated_queries": f"{params_hash}.queries.tsv"} if queries else {}),
        },
    }
    unstable = ("run_id", "submitted_at", "environment")
    result["run_id"] = _digest({key: value for key, value in result.items() if key not in unstable})[:16]
    return result


def _method(prompt: str) -> tuple[str, dict[str, Any]]:
    """Return QueryGym's name of what a prompt or method is called here, and its parameters."""
    plain = prompt.replace(" zero-shot", "-zs").replace("-", "_")
    for mode in ("zs", "fs", "cot"):
        if plain.endswith(f"_{mode}"):
            return plain.removesuffix(f"_{mode}"), {"mode": mode}
    return plain or "unknown", {}


def _retrieval(name: str, regression: Regression) -> dict[str, Any]:
    retriever = name.split(".")[1]
    command = regression.stages.search
    if option_of(command, "--retriever") == "bm25":
        params = {"k1": float(option_of(command, "--k1") or 0.9), "b": float(option_of(command, "--b") or 0.4)}
        return {"retriever_id": "bm25", "paradigm": "lexical", "params": params, "implementation": "expandr_repro, Anserini"}  # fmt: skip
    encoder = option_of(command, "--encoder") or next(iter(encoders()))
    return {"retriever_id": RETRIEVERS.get(retriever, encoder.lower()), "paradigm": "dense", "params": {"encoder": encoder}, "implementation": "expandr_repro, Faiss"}  # fmt: skip


def _metrics(regression: Regression) -> dict[str, float]:
    """Return the pinned metrics that the kept documents decide, by trec_eval's names.

    Raises:
        ExpandrError: there is none.
    """
    level = relevance_level(regression.qrels.name, regression.topics.name)
    metrics = {}
    for metric, pin in regression.metrics.items():
        measure = parse_measure(metric, level)
        if pin.value is not None and measure.name in METRICS and measure.depth and measure.depth <= DEPTH:
            metrics[METRICS[measure.name].format(measure.depth)] = pin.value
    if not metrics:
        raise ExpandrError("no pinned metric has a name of trec_eval's")
    return metrics


def _digest(value: Mapping[str, Any]) -> str:
    """Return the SHA-256 of JSON with sorted keys and without white space, as QueryGym computes it."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
