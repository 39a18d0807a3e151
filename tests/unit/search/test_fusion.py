from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from expandr_repro.errors import ExpandrError, UnknownNameError
from expandr_repro.search.fusion import (
    FUSIONS,
    check_alpha,
    concat_text,
    fuse_vectors,
    fusion_named,
    reciprocal_rank_fusion,
    repeat_text,
    unit,
)
from unit.strategies import rankings

values = st.floats(-100, 100, width=32).filter(lambda v: v == 0 or abs(v) > 1e-3)
runs = st.dictionaries(st.sampled_from(["q1", "q2", "q3"]), rankings, max_size=3)


@st.composite
def vectors_and_owners(draw):
    topics, dim, texts = draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.integers(0, 6))
    queries = draw(hnp.arrays(np.float32, (topics, dim), elements=values))
    expansions = draw(hnp.arrays(np.float32, (texts, dim), elements=values))
    owners = draw(st.lists(st.integers(0, topics - 1), min_size=texts, max_size=texts))
    return queries, expansions, owners


def slow_unit(vector):
    length = sum(float(v) ** 2 for v in vector) ** 0.5
    return [float(v) / length if length else 0.0 for v in vector]


def slow_fusion(name, queries, expansions, owners, alpha):
    fused = []
    for row, query in enumerate(queries):
        scale = (lambda v: [float(x) for x in v]) if name == "hyde" else slow_unit
        q = scale(query)
        own = [scale(e) for e, owner in zip(expansions, owners, strict=True) if owner == row]
        if not own:
            fused.append([float(x) for x in query])
            continue
        centre = [sum(column) / len(own) for column in zip(*own, strict=True)]
        if name == "expansion":
            fused.append(centre)
        elif name == "mean" and alpha is not None:
            fused.append([alpha * a + (1 - alpha) * b for a, b in zip(q, centre, strict=True)])
        else:
            fused.append([sum(column) / (len(own) + 1) for column in zip(q, *own, strict=True)])
    return fused


@given(vectors_and_owners(), st.sampled_from(["mean", "hyde", "expansion"]), st.none() | st.floats(0, 1))
def test_vectors_are_fused_as_a_slow_loop_fuses_them(given_vectors, name, alpha):
    queries, expansions, owners = given_vectors

    fused = fuse_vectors(name, queries, expansions, owners, alpha)

    assert fused.dtype == np.float32
    assert fused.shape == queries.shape
    np.testing.assert_allclose(fused, slow_fusion(name, queries, expansions, owners, alpha), rtol=1e-5, atol=1e-4)


def test_mean_is_the_papers_formula():
    fused = fuse_vectors("mean", np.float32([[3, 0]]), np.float32([[0, 5]]), [0])

    assert fused.tolist() == [[0.5, 0.5]]


def test_alpha_weighs_the_query():
    fused = fuse_vectors("mean", np.float32([[1, 0]]), np.float32([[0, 1], [0, 1]]), [0, 0], alpha=0.75)

    assert fused.tolist() == [[0.75, 0.25]]


def test_hyde_does_not_scale_the_vectors():
    assert fuse_vectors("hyde", np.float32([[4, 0]]), np.float32([[0, 2]]), [0]).tolist() == [[2.0, 1.0]]


def test_the_expansions_alone_leave_the_query_out():
    fused = fuse_vectors("expansion", np.float32([[1, 0], [1, 0]]), np.float32([[0, 2], [0, 4]]), [0, 0])

    assert fused.tolist() == [[0.0, 1.0], [1.0, 0.0]]


@pytest.mark.parametrize("name", ["mean", "hyde", "expansion"])
def test_a_topic_without_an_expansion_keeps_its_querys_vector_as_it_is(name):
    fused = fuse_vectors(name, np.float32([[3, 4], [1, 0]]), np.float32([[0, 1]]), [1])

    assert fused[0].tolist() == [3.0, 4.0]


def test_a_fusion_that_is_not_of_vectors_is_refused():
    with pytest.raises(UnknownNameError, match="unknown vector fusion 'meen': did you mean 'mean'"):
        fuse_vectors("meen", np.zeros((1, 2), np.float32), np.zeros((0, 2), np.float32), [])


@given(hnp.arrays(np.float32, (3, 4), elements=values))
def test_unit_vectors_have_length_one_or_stay_zero(vectors):
    lengths = np.linalg.norm(unit(vectors), axis=1)

    np.testing.assert_allclose(lengths, (np.linalg.norm(vectors, axis=1) > 0).astype(float), atol=1e-6)


def test_every_fusion_is_listed_under_its_own_name():
    assert all(fusion.name == name for name, fusion in FUSIONS.items())
    assert set(FUSIONS) == {
        "none", "mean", "hyde", "expansion", "concat", "repeat", "adaptive", "interleave", "sandwich", "replace", "rrf", "rocchio", "average", "rm3",
    }  # fmt: skip


def test_a_fusion_is_found_for_a_retriever_that_can_do_it():
    assert fusion_named("rrf", "bm25") == FUSIONS["rrf"]


def test_an_unknown_fusion_offers_the_nearest():
    with pytest.raises(UnknownNameError, match="unknown fusion 'rff': did you mean 'rrf'"):
        fusion_named("rff", "dense")


def test_a_fusion_for_another_retriever_names_the_retriever_and_the_others():
    with pytest.raises(ExpandrError) as caught:
        fusion_named("mean", "bm25")
    assert str(caught.value) == (
        "fusion 'mean' is not for --retriever bm25; use --retriever dense, or one of: none, expansion, concat, repeat, adaptive, interleave, sandwich, replace, rrf, rocchio, rm3"
    )


@pytest.mark.parametrize("alpha", [None, 0.0, 0.5, 1.0])
def test_a_weight_between_0_and_1_is_accepted(alpha):
    check_alpha(alpha)


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan")])
def test_a_weight_outside_is_refused(alpha):
    with pytest.raises(ExpandrError, match=f"--alpha {alpha}: the query's weight is between 0 and 1"):
        check_alpha(alpha)


def test_repeated_text_is_the_query_so_often_and_then_the_expansions():
    assert repeat_text("q", ["e1", "e2"], 3) == "q q q e1 e2"


def test_concatenated_text_has_the_separator_between():
    assert concat_text("q", ["e1", "e2"], "[SEP]") == "q [SEP] e1 e2"


def test_without_expansions_a_text_is_the_query_alone():
    assert repeat_text("q", [], 5) == concat_text("q", [], "[SEP]") == "q"


@given(st.lists(runs, min_size=1, max_size=3), st.integers(1, 8), st.sampled_from([1, 60]))
def test_runs_are_fused_as_a_slow_loop_fuses_them(listed, hits, k):
    fused = reciprocal_rank_fusion(listed, hits, k)

    assert set(fused) == {qid for run in listed for qid in run}
    for qid, ranked in fused.items():
        wanted = {}
        for docid in {d for run in listed for d in run.get(qid, {})}:
            total = 0.0
            for run in listed:
                found = run.get(qid, {})
                if docid in found:
                    ahead = sum((-s, d) < (-found[docid], docid) for d, s in found.items())
                    total += 1 / (k + ahead + 1)
            wanted[docid] = total
        best = sorted(wanted, key=lambda d: (-wanted[d], d))[:hits]
        assert list(ranked) == best
        assert ranked == pytest.approx({d: wanted[d] for d in best}, abs=1e-12)


def test_reciprocal_ranks_add_up_over_the_runs():
    fused = reciprocal_rank_fusion([{"q": {"a": 2.0, "b": 1.0}}, {"q": {"b": 9.0}}], hits=10)

    assert fused == {"q": {"b": 1 / 62 + 1 / 61, "a": 1 / 61}}
