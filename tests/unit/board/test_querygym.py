"""Results in QueryGym's schema: valid, with the hashes that QueryGym computes, and read back by `expand import`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from expandr_repro.board.querygym import _digest, _method, export, result_of
from expandr_repro.data.topics import Expansion, Topic
from expandr_repro.errors import ExpandrError
from expandr_repro.expand.importing import import_topics
from expandr_repro.regress.conditions.reading import condition_at, load

ROOT = Path(__file__).parents[3]
SCHEMA = json.loads(Path(__file__).with_name("querygym.schema.json").read_text())
REFERENCE = ROOT / "runs" / "reference"


def regression(name):
    return load(ROOT / "regressions" / f"{name}.yaml")


def topics(samples=1, **provenance):
    known = {"prompt": "query2doc zero-shot", "model": "openai/gpt-4.1", **provenance}
    texts = tuple(Expansion(f"text {n}", {"temperature": 1.0, "max_tokens": 128, "seed": n}) for n in range(samples))
    return [Topic("1", "a query", texts, known)]


def valid(result):
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(result, SCHEMA)
    return result


@pytest.mark.parametrize("name", ["scifact.bm25.query2doc-gpt-41", "scifact.minilm.query2doc-gpt-41", "cacm.bm25.q2d-qwen25-coder", "cacm.minilm.dpo-qwen25-coder"])  # fmt: skip
@pytest.mark.parametrize("queries", [True, False])
def test_results_are_valid(name, queries):
    valid(result_of(name, regression(name), topics(), queries))


def test_a_result_says_what_was_searched_and_what_it_scored():
    result = valid(result_of("scifact.bm25.query2doc-gpt-41", regression("scifact.bm25.query2doc-gpt-41"), topics(2), True))  # fmt: skip
    assert result["pipeline"]["dataset_id"] == "beir-v1.0.0-scifact"
    assert result["config"]["dataset_config"]["topics"] == "beir-v1.0.0-scifact-test"
    assert result["pipeline"]["method_id"] == "query2doc"
    assert result["config"]["method_params"] == {"mode": "zs", "samples": 2, "fusion": "repeat"}
    assert result["config"]["llm_config"] == {"temperature": 1.0, "max_tokens": 128}
    assert result["config"]["retrieval"]["params"] == {"k1": 0.9, "b": 0.4}
    assert result["metrics"] == {"ndcg_cut_10": 0.7203, "recall_100": 0.9477}
    assert result["artifacts"] == {"run_file": f"{result['params_hash']}.run.txt", "reformulated_queries": f"{result['params_hash']}.queries.tsv"}  # fmt: skip


def test_metrics_that_the_kept_documents_do_not_decide_are_left_out():
    named = regression("cacm.bm25.none")
    expanded = replace(named, expansions=regression("cacm.bm25.q2d-claude").expansions)
    assert set(valid(result_of("cacm.bm25.none", expanded, topics(), False))["metrics"]) == {"ndcg_cut_10", "recall_100", "P_30"}  # fmt: skip


def test_hashes_are_those_of_published_results():
    """Both are of files that QueryGym publishes."""
    tuned = {"method_id": "query2e", "model": "gpt-4.1-mini", "method_params": {"mode": "zs"}, "llm_config": {"temperature": 1.0, "max_tokens": 128, "top_p": 1.0}}  # fmt: skip
    assert _digest(tuned)[:8] == "ddb15ccf"
    whole = {
        "schema_version": 1, "params_hash": "ce9f77c4", "querygym_version": "legacy-backfill",
        "pipeline": {"dataset_id": "beir-v1.0.0-scifact", "method_id": "query2doc", "model": "openai/gpt-4.1", "steps_completed": ["reformulate", "retrieve", "evaluate"], "total_time_seconds": 0.0},
        "config": {
            "method_params": {
                "mode": "fs", "num_examples": 4, "dataset_type": "msmarco", "collection_path": "/mnt/data/son/data/msmarco/collection.tsv",
                "train_queries_path": "/mnt/data/son/data/msmarco/queries.train.tsv", "train_qrels_path": "/mnt/data/son/data/msmarco/qrels.train.tsv", "train_split": "train",
            },
            "llm_config": {"temperature": 1.0, "max_tokens": 128},
            "dataset_config": {"topics": "beir-v1.0.0-scifact-test", "index": "beir-v1.0.0-scifact.flat", "num_queries": 300},
            "retrieval": {"retriever_id": "bm25", "paradigm": "lexical", "params": {"k1": 0.9, "b": 0.4}, "implementation": "pyserini:LuceneSearcher"},
        },
        "metrics": {"ndcg_cut_10": 0.7123, "recall_100": 0.9493}, "timing": {}, "artifacts": {"reformulated_queries": "ce9f77c4.queries.tsv"},
    }  # fmt: skip
    assert _digest(whole)[:16] == "cc81773cafb3e49b"


def test_the_run_id_covers_all_but_time_and_machine():
    name = "scifact.bm25.query2doc-gpt-41"
    one = result_of(name, regression(name), topics(), True)
    stripped = {k: v for k, v in one.items() if k not in ("run_id", "submitted_at", "environment")}
    assert one["run_id"] == _digest(stripped)[:16]
    later = replace(regression(name), recorded=replace(regression(name).recorded, date="2030-01-01", python="3.99"))
    other = result_of(name, later, topics(), True)
    assert (other["run_id"], other["submitted_at"]) == (one["run_id"], "2030-01-01T00:00:00Z")


def test_a_trained_llm_is_another_llm():
    plain, trained = (result_of("x.bm25.y", regression("cacm.bm25.q2d-qwen25-coder"), topics(**more), False) for more in ({}, {"adapter": "a"}))  # fmt: skip
    assert plain["params_hash"] != trained["params_hash"]


@pytest.mark.parametrize(
    ("prompt", "method", "parameters"),
    [("query2doc zero-shot", "query2doc", {"mode": "zs"}), ("query2e-fs", "query2e", {"mode": "fs"}), ("genqr-ensemble", "genqr_ensemble", {}), ("q2d", "q2d", {}), ("", "unknown", {})],
)  # fmt: skip
def test_methods_have_querygyms_names(prompt, method, parameters):
    assert _method(prompt) == (method, parameters)


def test_expansions_without_their_sampling_cannot_be_written():
    with pytest.raises(ExpandrError, match="temperature"):
        result_of("x.bm25.y", regression("scifact.bm25.q2d-claude"), [Topic("1", "a", (Expansion("b", {}),), {"model": "m"})], True)  # fmt: skip


def test_an_export_is_read_back_with_the_texts_that_were_searched(data, tmp_path):
    conditions = [condition_at(ROOT / "regressions" / f"{name}.yaml") for name in ("scifact.bm25.query2doc-gpt-41", "scifact.minilm.query2doc-gpt-41")]  # fmt: skip
    folder = tmp_path / "export"
    assert export(folder, conditions, REFERENCE) == 2
    (file,) = folder.rglob("bm25/*.json")
    result = valid(json.loads(file.read_text()))
    assert file.parent.relative_to(folder).as_posix() == "beir-v1.0.0-scifact/query2doc/openai/gpt-4.1/bm25"
    (dense,) = folder.rglob("all-minilm-l6-v2/*.json")
    valid(json.loads(dense.read_text()))
    read = import_topics(file)
    assert len(read) == 300
    assert read[0].texts[0].startswith(" ".join([read[0].title] * 5) + " ")
    assert read[0].provenance["model"] == "openai/gpt-4.1"
    assert read[0].provenance["prompt"] == "query2doc"
    assert file.with_name(result["artifacts"]["run_file"]).read_text().splitlines()[0].split()[1] == "Q0"
    before = {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    export(folder, conditions, REFERENCE)
    assert {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before


def test_another_version_of_the_schema_is_refused(tmp_path):
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"schema_version": 2, "pipeline": {}, "config": {}, "artifacts": {}}))
    with pytest.raises(ExpandrError, match="`schema_version` is 2; version 1 is read"):
        import_topics(path)
