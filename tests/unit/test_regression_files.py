"""The regression files of this repository: each command parses, each name is one, each count and score is what it says it is."""

from __future__ import annotations

import csv
import importlib
import os
import shlex
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from expandr_repro.data.expansions import packaged_sets
from expandr_repro.data.specs import collection_named, datasets, encoders
from expandr_repro.expand.methods.spec import METHODS
from expandr_repro.pyserini import registry
from expandr_repro.regress.conditions.reading import conditions
from expandr_repro.regress.conditions.shapes import TIERS
from expandr_repro.regress.conditions.writing import render
from expandr_repro.regress.inputs import members_of
from expandr_repro.regress.stages import Places, argv_of

ROOT = Path(__file__).parents[2]
KNOWN = conditions(ROOT / "regressions")
DATA = os.environ.get("EXPANDR_DATA")
BEIR = {
    "msmarco", "trec-covid", "nfcorpus", "nq", "hotpotqa", "fiqa", "arguana", "webis-touche2020", "cqadupstack", "quora", "dbpedia-entity",
    "scidocs", "fever", "climate-fever", "scifact",
}  # fmt: skip
PRETRAINED = {
    "contriever": ("contriever", "contriever"),
    "contriever-msmarco": ("contriever-msmarco", "contriever-msmarco"),
    "bge-base": ("bge-base-en-v1.5", "bge-base-en-v1.5.faiss"),
}
"""Second part of a name -> the encoder, and the condition in Pyserini's table."""

each = pytest.mark.parametrize("condition", KNOWN, ids=[c.name for c in KNOWN])


@pytest.fixture(autouse=True)
def data_folder(monkeypatch):
    """Let `$EXPANDR_DATA` have a value: the commands are parsed here, not run."""
    if not DATA:
        monkeypatch.setenv("EXPANDR_DATA", "/data")


def commands(condition):
    """Yield (stage, parsed arguments) of every command as it would run, for each member of a group."""
    for member in members_of(condition.regression.collection.name) or [""]:
        variables = Places.of(condition, condition.regression, Path("runs"), member).variables
        for stage, command in condition.regression.stages.listed():
            assert shlex.split(command)[:2] == ["python", "-m"]
            _, _, module, *arguments = argv_of(command, variables)
            assert module.startswith("expandr_repro.")
            yield stage, importlib.import_module(f"{module}.__main__").build_parser().parse_args(arguments)


@each
def test_a_file_can_be_read_and_is_in_the_form_in_which_it_is_recorded(condition):
    assert condition.fault == ""
    assert condition.path.read_text(encoding="utf-8") == render(condition.regression)


@each
def test_every_command_parses_with_the_commands_own_parser_and_every_name_resolves(condition):
    for stage, args in commands(condition):
        if stage in ("search", "expand"):
            assert collection_named(args.topics)
        if stage == "search" and args.retriever == "dense":
            assert args.encoder in encoders()
        if stage == "search" and condition.regression.stages.index is None:
            assert set(args.index) <= registry.faiss_indexes()
        if stage == "search" and args.expansions:
            assert all(name in packaged_sets() or name.endswith(".jsonl") for name in args.expansions)
        if stage == "index":
            assert collection_named(args.corpus)
        if stage == "evaluate":
            assert collection_named(args.qrels)


@each
def test_the_commands_are_about_what_is_pinned(condition):
    regression = condition.regression
    names = members_of(regression.topics.name) or [regression.topics.name]
    for stage, args in commands(condition):
        if stage == "search":
            assert args.topics in names
            assert (not args.expansions) == (regression.expansions is None or (regression.expansions.source is None and not regression.stages.expand))  # fmt: skip
        elif stage == "index":
            assert collection_named(args.corpus).dataset in (members_of(regression.collection.name) or [regression.collection.name])  # fmt: skip
        elif stage == "evaluate":
            assert args.qrels in names
            assert set(regression.metrics) <= set(args.metrics.split(","))
            assert args.format == "json"


@each
def test_the_counts_are_those_of_the_known_collections(condition):
    regression = condition.regression
    names = [collection_named(n) for n in members_of(regression.topics.name) or [regression.topics.name]]
    assert regression.collection.name in {names[0].dataset, regression.topics.name}
    assert regression.qrels.name == regression.topics.name
    assert regression.collection.documents == sum(n.spec.documents for n in names)
    assert regression.topics.count == sum(n.split_spec.topics for n in names)
    assert regression.qrels.judgements == sum(n.split_spec.judgements for n in names)


@each
def test_the_name_is_what_the_commands_do(condition):
    collection, retriever, *expansion = condition.name.split(".")
    regression = condition.regression
    assert collection == regression.topics.name.replace("/", "-")
    assert (expansion == ["none"]) == (regression.expansions is None)
    encoder = {"minilm": "all-MiniLM-L6-v2", "expandr": "expandr-retriever"} | {k: v[0] for k, v in PRETRAINED.items()}
    fusions = set()
    for stage, args in commands(condition):
        if stage == "search":
            assert args.retriever == ("bm25" if retriever == "bm25" else "dense")
            assert retriever == "bm25" or args.encoder == encoder[retriever]
            fusions.add(args.fusion)
        if stage == "index":
            assert args.retriever == "bm25" if retriever == "bm25" else args.encoder == encoder[retriever]
    (fusion,) = fusions
    usual = "none" if regression.expansions is None else "repeat" if retriever == "bm25" else "mean"
    if fusion is None:  # not typed, so that the method's own is used
        assert expansion[0].removesuffix("-qwen25-coder") in METHODS.names()
    else:
        assert fusion == (expansion[1] if len(expansion) > 1 else usual)


@each
def test_the_needs_are_those_of_the_commands(condition):
    regression = condition.regression
    text = " ".join(command for _, command in regression.stages.listed())
    prebuilt = regression.stages.index is None
    assert ("jvm" in regression.needs) == ("--retriever bm25" in text or prebuilt)
    assert ("network" in regression.needs) == (regression.tier == "manual")
    assert ("gpu" in regression.needs) == (regression.stages.expand is not None)
    assert ("data" in regression.needs) == (regression.tier == "full")


def test_the_ci_tier_is_the_embedded_collection_dense_and_bm25():
    assert {c.name for c in KNOWN if c.regression.tier == "ci"} == {
        "pocket.minilm.none", "pocket.minilm.own.mean", "pocket.minilm.own.rrf",
        "pocket.bm25.none", "pocket.bm25.own.repeat", "pocket.bm25.own.rrf",
    }  # fmt: skip


def test_the_full_tier_has_every_expansion_file_of_the_data_folder_with_both_retrievers():
    if not DATA:
        pytest.skip("EXPANDR_DATA is not set: the expansion files are not here")
    there = Counter()
    for c in KNOWN:
        if (
            c.regression.tier == "full"
            and (pin := c.regression.expansions)
            and not (pin.source or "").startswith("qwen2.5-coder")
        ):
            split = str(collection_named(c.regression.topics.name)).replace("/", ".")
            there[f"{split}.q2d.claude.jsonl" if pin.source == "claude.q2d" else Path(pin.source).name] += 1
    files = [p.name for p in Path(DATA, "expansions").glob("*.jsonl")]
    assert there == dict.fromkeys((name for name in files if not name.endswith(".queries.jsonl")), 2)


def test_the_full_tier_has_the_packaged_texts_of_a_real_llm_by_every_method_and_after_training():
    there = {
        c.name
        for c in KNOWN
        if c.regression.expansions and (c.regression.expansions.source or "").startswith("qwen2.5-coder")
    }
    trained = {"dpo", "grpo"}
    names = {*METHODS.names(), *trained}
    packaged = {"cacm": names, "nfcorpus": names - {"q2d"} - trained, "scifact": names - {"q2d"} - trained}
    assert there == {
        f"{collection}.{retriever}.{name}-qwen25-coder"
        for collection, methods in packaged.items()
        for retriever in ("minilm", "bm25")
        for name in methods
    }


def test_no_score_of_a_trained_encoder_is_pinned_whose_test_topics_share_documents_with_its_training_topics():
    """Those of the loop's encoders were memory of gold documents (docs/results/loop-leaking.md)."""
    assert [c.name for c in KNOWN if "models" in c.regression.needs] == []


def test_the_manual_tier_has_every_set_of_beir_with_each_pretrained_encoder_and_expandrs_own():
    found = defaultdict(set)
    for c in KNOWN:
        if c.regression.tier == "manual":
            collection, retriever, _ = c.name.split(".")
            found[retriever].add(collection)
    assert set(found) == {*PRETRAINED, "expandr"}
    assert found.pop("expandr") == BEIR
    assert all(sets == BEIR - {"msmarco"} for sets in found.values())  # Pyserini publishes no BEIR figure for it
    assert datasets()["cqadupstack"].members == members_of("cqadupstack")
    assert len(members_of("cqadupstack")) == 12


def test_what_is_pinned_without_having_been_run_is_pyserinis_published_figure():
    if not DATA:
        pytest.skip("EXPANDR_DATA is not set: the published scores are not here")
    published = {}
    with Path(DATA, "published", "pyserini-2cr-beir.csv").open() as file:
        for row in csv.DictReader(file):
            published[row["condition"], row["dataset"], row["metric"]] = float(row["value"])
    checked = 0
    for c in KNOWN:
        collection, retriever, _ = c.name.split(".")[:3]
        if c.regression.tier == "manual" and retriever in PRETRAINED:
            sets = members_of(collection) or [collection]
            claims = {claim.metric: claim.value for claim in c.regression.published}
            for metric, pin in c.regression.metrics.items():
                figures = [published[PRETRAINED[retriever][1], one, metric] for one in sets]
                assert pin.value == claims[metric] == round(sum(figures) / len(figures), 4)
                checked += 1
    assert checked == 14 * 3 * 3


def test_what_querygym_and_pyserini_publish_for_bm25_is_what_is_pinned_to_the_digit():
    claims = [
        (c.regression.metrics[claim.metric], claim)
        for c in KNOWN
        if c.regression.tier == "full" and ".bm25." in c.name
        for claim in c.regression.published
        if not claim.note
    ]
    assert len(claims) == 2 * 3 + 2 * 2
    assert all(pin.value == claim.value and pin.tolerance == 0 for pin, claim in claims)


def test_every_recorded_condition_has_a_reference_run_and_nothing_else_lies_there():
    recorded = {c.name for c in KNOWN if c.regression.tier != "manual"}
    assert all(c.regression.recorded.run_sha256 for c in KNOWN if c.name in recorded)
    files = list((ROOT / "runs" / "reference").iterdir())
    assert {p.name for p in files} == {f"{n}{end}" for n in recorded for end in (".trec.gz", ".json")}
    assert sum(p.stat().st_size for p in files) < 7_000_000


def test_there_are_conditions_of_every_tier():
    assert {c.regression.tier for c in KNOWN} == set(TIERS)
