"""Options given by hand apply or are refused: no command passes over one."""

from __future__ import annotations

import importlib
import random

import pytest

from expandr_repro import cli
from expandr_repro.__main__ import COMMANDS
from expandr_repro.console.options import declared
from expandr_repro.console.parsing import given_options, read_options

from .test_docs import EXAMPLES, parser_for

ENCODER = {
    "--encoder": "x", "--device": "cpu", "--precision": "bf16", "--batch-tokens": "9", "--compile": None, "--pooling": "mean", "--normalize": None,
    "--query-prefix": "q", "--document-prefix": "d", "--max-length": "9", "--trust-remote-code": None,
}  # fmt: skip
ENDPOINT = {
    "--base-url": "u",
    "--api-key-env": "K",
    "--api": "chat",
    "--concurrency": "2",
    "--timeout": "1",
    "--retries": "1",
    "--backoff": "1",
}
LOCAL = {
    "--adapter": "a",
    "--precision": "auto",
    "--batch-size": "2",
    "--data-parallel": "2",
    "--trust-remote-code": None,
}
SEARCH, TRAIN = ["--topics", "pocket"], ["--train", "pocket", "--output", "o"]
BM25 = [*SEARCH, "--retriever", "bm25"]
EXPAND, PREFER = ["--topics", "pocket", "--model", "m", "--output", "o"], ["--candidates", "c", "--output", "o"]
MERGE = ["--merge", "a", "b", "--output", "o"]

IDLE: list[tuple[str, list[str], dict[str, str | None]]] = [
    ("search", BM25, {**ENCODER, "--no-vector-cache": None, "--batch-size": "9", "--search-params": "nprobe=1", "--factory": "Flat", "--feedback-depth": "2", "--export-queries": "f"}),
    ("search", SEARCH, {"--k1": "1", "--b": "0.4", "--expansion-text": "x", "--tag": "t"}),
    *(
        ("search", [*SEARCH, "--fusion", fusion], {o: v for o, v in {"--alpha": "0.5", "--repeat": "5", "--rrf-k": "60", "--feedback-depth": "3"}.items() if o not in own})
        for fusion, own in {"none": (), "mean": ("--alpha",), "hyde": (), "concat": (), "expansion": (), "rrf": ("--rrf-k",), "rocchio": ("--feedback-depth",), "average": ("--feedback-depth",)}.items()
    ),
    *(("search", [*BM25, "--fusion", fusion], {"--alpha": "0.5", "--feedback-depth": "3"}) for fusion in ("none", "repeat", "rrf", "rm3", "rocchio")),
    *(("search", [*SEARCH, "--fusion", fusion], {"--expansions": "x.jsonl", "--gate": "overlap"}) for fusion in ("none", "rocchio", "average")),
    *(("search", [*BM25, "--fusion", fusion], {"--expansions": "x.jsonl", "--repeat": "5"}) for fusion in ("none", "rm3", "rocchio")),
    *(("search", [*SEARCH, "--fusion", fusion], {"--export-queries": "f"}) for fusion in ("rrf", "rocchio", "average")),
    ("search", [*SEARCH, "--searcher", "pyserini"], {"--batch-size": "9", "--search-params": "nprobe=1"}),
    ("search", [*SEARCH, "--encoder", "pyserini:sentence:m"], {"--precision": "bf16", "--batch-tokens": "9", "--compile": None, "--pooling": "cls", "--no-normalize": None, "--query-prefix": "q", "--document-prefix": "d"}),
    ("search", [*SEARCH, "--index", "FAISS"], {"--factory": "Flat"}),
    ("search", ["--query", "q", "--index", "pocket"], {"--topics": "pocket", "--expansions": "x", "--qrels": "pocket", "--output": "o", "--tag": "t", "--metrics": "MAP", "--no-baseline": None, "--export-queries": "f", "--remove-query": None, "--no-remove-query": None, "--limit": "2", "--qids": "1"}),
    ("search", ["--topics", "cqadupstack"], {"--qids": "1"}),
    *((command, words, {"--address": "auto", "--workers": "2", "--gpus-per-worker": "1", "--print": None}) for command, words in
      (("search", SEARCH), ("encode", ["--corpus", "pocket", "--output", "o"]), ("expand", EXPAND), ("prefer", PREFER))),
    *((command, words, {"--engine": "ray"}) for command, words in (("search", BM25), ("encode", MERGE), ("prefer", ["--serve", "--gold", "pocket/test"]))),
    ("search", [*SEARCH, "--index", "a", "b", "--engine", "ray"], {"--max-memory": "1GB"}),
    ("encode", MERGE, {**ENCODER, "--retriever": "dense", "--feedback": None, "--threads": "2", "--shard-id": "0", "--num-shards": "2"}),
    ("encode", ["--corpus", "pocket", "--output", "o", "--retriever", "bm25"], {**ENCODER, "--factory": "Flat", "--shard-id": "0", "--num-shards": "2"}),
    ("encode", ["--corpus", "pocket", "--output", "o"], {"--feedback": None, "--threads": "2", "--query-prefix": "q"}),
    ("expand", [*EXPAND, "--backend", "openai"], {**LOCAL, "--device": "cpu", "--tensor-parallel": "1", "--passages": "p", "--examples-from": "scifact/train"}),
    ("expand", [*EXPAND, "--backend", "transformers"], {**ENDPOINT, "--tensor-parallel": "1"}),
    ("expand", [*EXPAND, "--backend", "vllm"], {**ENDPOINT, "--device": "auto"}),
    ("expand", [*EXPAND, "--backend", "transformers", "--model", "FOLDER"], {"--revision": "r"}),
    ("expand", [*EXPAND, "--temperature", "1", "--samples", "2"], {"--preset": "expandr-eval"}),
    ("expand", EXPAND, {"--context": "dense:3", "--context-encoder": "e", "--corpus": "pocket", "--prompt-bank": "b.yaml", "--window": "99"}),
    ("expand", [*EXPAND, "--method", "lamer"], {"--passages": "p"}),
    ("expand", EXPAND, {"--budget": "1"}),
    ("prefer", PREFER, {"--hits": "10", "--threads": "2", "--index": "pocket", "--seed": "1", "--allow-overlap": None}),
    ("prefer", [*PREFER, "--reward", "delta-ndcg"], {"--hits": "10"}),
    ("prefer", [*PREFER, "--encoder", "pyserini:auto:m"], {"--precision": "bf16", "--batch-tokens": "9"}),
    ("prefer", PREFER, {"--port": "80"}),
    ("prefer", ["--serve", "--gold", "pocket/test"], {"--candidates": "c", "--output": "o", "--sample": "2", "--dev": "2", "--hold-out": "scifact", "--min-similarity": "0.6", "--min-margin": "0", "--candidates-per-topic": "2", "--prompt": "q2d", "--format": "json", "--seed": "1"}),
    ("train_encoder", TRAIN, {"--dev-expansions": "x", "--allow-overlap": None}),
    *(("train_encoder", [*TRAIN, "--fusion", fusion], {"--alpha": "0.5"}) for fusion in ("hyde", "expansion", "none")),
    ("train_encoder", [*TRAIN, "--set", "hard_negatives=0"], {"--negatives": "run.trec"}),
    ("train_generator", ["--pairs", "p", "--model", "m", "--output", "o"], {"--expansions": "x", "--dev": "2", "--prompt": "q2d", "--allow-overlap": None, "--topics": "t", "--answers": "a", "--dev-topics": "t", "--encoder": "e", "--index": "i"}),
    ("train_generator", ["--grpo", "--topics", "pocket", "--model", "m", "--output", "o"], {"--expansions": "x", "--dev-pairs": "p", "--allow-overlap": None}),
    ("train_generator", ["--sft", "pocket", "--model", "FOLDER", "--output", "o"], {"--dev-pairs": "p", "--revision": "r"}),
    ("report", ["a", "b", "--qrels", "pocket", "--output", "o"], {"--regressions-folder": "f", "--reference": "f"}),
    ("report", ["--tier", "ci", "--output", "o"], {"--qrels": "q", "--topics": "t", "--expansions": "x", "--corpus": "c"}),
    *(("regress", [what], {"--reference": "f", "--jobs": "1", "--json": "f", "--junit": "f"}) for what in ("--list", "--show", "--dry-run")),
    *(("regress", [what], {"--export": "querygym"}) for what in ("--list", "--show", "--dry-run", "--record")),
    ("regress", ["--list"], {"--output": "f"}),
    ("regress", ["--board", "f"], {"--output": "f", "--jobs": "1", "--json": "f", "--junit": "f"}),
    ("regress", ["--export", "querygym"], {"--jobs": "1", "--json": "f", "--junit": "f"}),
    ("regress", ["--document", "f"], {"--output": "f", "--tier": "ci", "--jobs": "1", "--json": "f", "--junit": "f", "--reference": "f", "--export": "querygym"}),
    ("fuse", ["a", "b"], {"--expansions": "x", "--retrievers": "bm25", "--types": "keywords", "--index": "pocket", "--limit": "2", "--qids": "1", "--k1": "1",
                          "--b": "0.4", "--encoder": "bge", "--training-runs": "x", "--training-qrels": "q", "--tag": "t"}),
    ("fuse", ["--topics", "pocket", "--optimize", "nDCG@10"], {"--weights": "1,1", "--training-runs": "x"}),
    ("doctor", ["--env"], {"--format": "json"}),
    ("compare", ["--qrels", "q", "a", "b"], {"--topics": "t"}),
]  # fmt: skip
"""Command, command line, and the options that do not apply to it, each with a value: sometimes its default, which counts as given too."""

ALWAYS = {
    "search": {"--query", "--index", "--qrels", "--retriever", "--fusion", "--hits", "--threads", "--searcher", "--format", "--dry-run"},
    "encode": {"--corpus", "--merge", "--export", "--output", "--dry-run"},
    "expand": {"--topics", "--limit", "--qids", "--method", "--prompt", "--backend", "--model", "--language", "--temperature", "--samples", "--top-p", "--max-tokens",
               "--seed", "--extra", "--output", "--store", "--dry-run", "--engine", "--keep-refusals", "--retry-refused", "--costs", "--prices", "--format"},
    "evaluate": {"--qrels", "--metrics", "--per-topic", "--format"},
    "compare": {"--qrels", "--metrics", "--test", "--all-pairs", "--bootstrap", "--largest", "--per-topic", "--prices", "--plot", "--format"},
    "fuse": {"--topics", "--qrels", "--method", "--norm", "--hits", "--optimize", "--output", "--metrics", "--format"},
    "prefer": {"--serve", "--candidates", "--hold-out", "--gold", "--gold-file", "--answers", "--prompt", "--reward", "--candidates-per-topic", "--min-similarity", "--min-margin",
               "--output", "--sample", "--dev", "--format", "--encoder", "--device", "--max-length", "--trust-remote-code"},
    "train_encoder": {"--train", "--hold-out", "--expansions", "--qrels", "--corpus", "--dev-topics", "--fusion", "--config", "--set", "--output", "--overwrite", "--format",
                      "--encoder", "--device", "--max-length", "--trust-remote-code"},
    "train_generator": {"--pairs", "--sft", "--grpo", "--hold-out", "--model", "--adapter", "--device", "--trust-remote-code", "--config", "--set", "--output", "--merge", "--overwrite",
                        "--format"},
    "report": {"--tier", "--regressions", "--baseline", "--metrics", "--title", "--depth", "--words", "--output"},
    "regress": {"--regressions", "--list", "--show", "--dry-run", "--record", "--document", "--board"},
    "gate": set(),  # those of `gate fit` are after a word
    "doctor": {"--env"},
}  # fmt: skip
"""Options that apply to whatever the command does, or are refused by name where they do not. A new option belongs here or says when it applies."""


@pytest.mark.parametrize("command", COMMANDS)
def test_it_is_decided_of_every_option_when_it_applies(command):
    module = importlib.import_module(f"expandr_repro.{command}.__main__")
    options = {a.option_strings[0] for a in module.build_parser()._actions if a.option_strings}
    ruled = {one.flags[0] for one in declared(module.build_parser().shape) if one.applies}
    decided = ruled | ALWAYS[command] | {"-h", "--version", "-q", "-v"}
    assert options == decided


def cases():
    """Yield every pair once, and 200 that are drawn, as they might be typed: the option first or last, its value next to it or after `=`."""
    every = [(command, words, option, value) for command, words, options in IDLE for option, value in options.items()]
    draw = random.Random(13)
    for number, (command, words, option, value) in enumerate([*every, *draw.choices(every, k=200)]):
        typed = [option] if value is None else [option, value]
        plain = number < len(every) or option == "--expansions"  # which takes several values
        if value is not None and not plain and draw.random() < 0.5:
            typed = [f"{option}={value}"]
        yield command, [*words, *typed] if plain or draw.random() < 0.5 else [*typed, *words], option


def test_an_option_that_does_not_apply_is_refused_by_name_in_one_line_and_nothing_is_done(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FOLDER").mkdir()
    (tmp_path / "FAISS").mkdir()
    for name in ("index", "docid"):
        (tmp_path / "FAISS" / name).write_text("x")
    for command, words, option in cases():
        module = importlib.import_module(f"expandr_repro.{command}.__main__")
        code = module.main(words)
        out, err = capsys.readouterr()
        lines = [line for line in err.splitlines() if not line.startswith("note: ")]
        assert code == 2, (command, words)
        assert len(lines) == 1, err
        assert lines[0].startswith("error: "), err
        assert option in lines[0], err
        assert out == ""
    assert sorted(p.name for p in tmp_path.iterdir()) == ["FAISS", "FOLDER"]


def test_an_option_with_its_default_is_given_too_and_one_left_out_is_not():
    module = importlib.import_module("expandr_repro.search.__main__")
    seen = {}

    def run(request):
        seen.update(request.given)
        return 0

    words = ["--topics", "pocket", "--fusion=mean", "--alpha", "0.5", "--no-normalize"]
    assert cli.execute(module.build_parser(), run, words) == 0
    assert seen == {
        "--topics": "--topics",
        "--fusion": "--fusion",
        "--alpha": "--alpha",
        "--normalize": "--no-normalize",
    }


@pytest.mark.parametrize(
    "words",
    [
        ["--topics", "pocket", "--alpha", "0.5"],
        ["--topics", "pocket", "--retriever", "bm25", "--repeat", "3", "--k1", "1"],
        ["--topics", "pocket", "--factory", "HNSW32", "--search-params", "efSearch=9"],
        ["--query", "q", "--topics", "pocket", "--expansion-text", "x"],
        ["--topics", "pocket", "--encoder", "pyserini:auto:m", "--pooling", "mean", "--max-length", "9"],
    ],
)
def test_an_option_that_applies_passes(words):
    module = importlib.import_module("expandr_repro.search.__main__")
    assert cli.execute(module.build_parser(), lambda request: 0, words) == 0


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: f"{example[0]}: {' '.join(example[1:])}"[:120])
def test_the_options_of_an_example_in_the_documentation_apply(example):
    _, module, *words = example
    if module == "pyserini":
        return
    parser, arguments = parser_for(module, words)
    read_options(parser.shape, parser.parse_args(arguments), given_options(parser, arguments)).refuse_idle()
