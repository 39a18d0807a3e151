"""Fusions of texts, by hand and on the reformulated queries that QueryGym publishes."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expandr_repro.errors import ExpandrError
from expandr_repro.search.fusion import fusion_named

EXPANSIONS = ("a b c d", "e f")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("repeat:n=2", "Q w Q w a b c d e f"),
        ("repeat:n=2,lowercase=true", "q w q w a b c d e f"),
        ("concat", "Q w a b c d e f"),
        ("interleave", "Q w a b c d Q w e f"),
        ("sandwich", "Q w a b c d e f Q w"),
        ("replace", "a b c d e f"),
        ("adaptive:divisor=1", "Q w Q w Q w a b c d e f"),  # 11 characters // 3 // 1
        ("adaptive:divisor=2", "Q w a b c d e f"),
        ("adaptive:by=words,divisor=3", "Q w a b c d e f"),  # 6 words // 2 // 3
        ("adaptive:by=words,divisor=1,lowercase=true", "q w q w q w a b c d e f"),
    ],
)
def test_a_fusion_of_texts_joins_its_parts_as_the_methods_do(name, text):
    assert fusion_named(name, "bm25")("Q w", EXPANSIONS) == text


@pytest.mark.parametrize("name", ["adaptive", "interleave", "sandwich", "replace"])
def test_the_new_fusions_of_texts_search_dense_as_well(name):
    assert fusion_named(name, "dense")("q", EXPANSIONS) == fusion_named(name, "bm25")("q", EXPANSIONS)


@pytest.mark.parametrize("name", ["repeat", "concat", "adaptive", "interleave", "sandwich", "replace"])
def test_a_query_without_expansions_stays_as_it_is(name):
    assert fusion_named(name, "bm25")("the query", ()) == "the query"


@given(st.text("ab ", min_size=1, max_size=9).filter(str.strip), st.lists(st.text("xyz ", max_size=60), min_size=1, max_size=4),
       st.integers(1, 7))  # fmt: skip
def test_adaptive_repeats_the_query_as_a_slow_count_says(query, expansions, divisor):
    length = sum(map(len, expansions)) + len(expansions) - 1  # one space between two
    times = 1
    while (times + 1) * divisor * len(query) <= length:
        times += 1

    assert fusion_named(f"adaptive:divisor={divisor}", "bm25")(query, expansions) == f"{query} " * times + " ".join(expansions)  # fmt: skip


def test_a_divisor_of_zero_is_refused():
    with pytest.raises(ExpandrError, match="divisor=0; wanted a whole number, 1 or more"):
        fusion_named("adaptive:divisor=0", "bm25")


def test_lengths_are_counted_in_characters_or_words():
    with pytest.raises(ExpandrError, match="wanted characters or words"):
        fusion_named("adaptive:by=tokens", "bm25")


@pytest.fixture(scope="module")
def queries(data: Path) -> dict[str, str]:
    with gzip.open(data / "scifact" / "queries.jsonl.gz", "rt", encoding="utf-8") as file:
        records = [json.loads(line) for line in file]
    return {r["_id"]: " ".join(r["text"].split()) for r in records}


def published(data: Path, name: str) -> list[tuple[str, str]]:
    path = data / "expansions" / f"scifact.test.{name}.queries.jsonl"
    if not path.is_file():
        pytest.skip(f"{path.name} is not here")
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [(r["qid"], r["title"]) for r in records]


def splits(query: str, text: str) -> list[str]:
    """Return what may have been generated: the text without the query, once, twice, ... taken off its beginning."""
    found = []
    while text.startswith(f"{query} "):
        text = text[len(query) + 1 :]
        found.append(text)
    return found


@pytest.mark.parametrize(
    ("file", "name"),
    [("mugi.Qwen2.5-7B-Instruct", "adaptive:divisor=5"), ("genqr-ensemble.Qwen2.5-7B-Instruct", "repeat:n=5")],
)
def test_published_queries_are_rebuilt_from_the_query_and_what_was_generated(data, queries, file, name):
    fuse = fusion_named(name, "bm25")
    texts = published(data, file)

    failed = [qid for qid, text in texts if not any(fuse(queries[qid], [rest]) == text for rest in splits(queries[qid], text))]  # fmt: skip

    assert len(texts) == 300
    assert failed == []


def test_published_interleaved_queries_are_rebuilt_from_their_passages(data, queries):
    fuse = fusion_named("interleave", "bm25")
    texts = [(queries[qid], text) for qid, text in published(data, "lamer.gpt-4.1-nano")]
    parts = [(query, text, text.split(f"{query} ")[1:]) for query, text in texts]
    clear = [(query, text, [p.removesuffix(" ") for p in some]) for query, text, some in parts if len(some) == 5]

    assert len(clear) > 100  # the others repeat the query inside a passage, where the five cannot be told apart
    assert [query for query, text, some in clear if fuse(query, some) != text] == []
