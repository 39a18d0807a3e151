"""Gates: what they measure, and how they choose."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expandr_repro.data.topics import Expansion, Topic
from expandr_repro.errors import ExpandrError, UnknownNameError
from expandr_repro.search.gate import GATES, Evidence, gate, gate_named
from expandr_repro.search.gate.words import Frequencies, likeness, stem, terms_of


def topic(title, *texts):
    return Topic("1", title, tuple(map(Expansion, texts)))


def value(name, evidence):
    return gate_named(name, "dense").value(evidence)


def ranked(*docids):
    return {docid: float(len(docids) - rank) for rank, docid in enumerate(docids)}


def test_the_gates_that_are_there_have_a_threshold_and_say_what_they_measure():
    assert set(GATES) == {
        "query-length",
        "idf",
        "lost-terms",
        "language",
        "overlap",
        "similarity",
        "agreement",
        "score-gap",
        "contrast",
        "commitment",
        "rare-terms",
        "word-contrast",
    }
    assert all(math.isfinite(g.threshold) and g.summary for g in GATES.values())
    assert {g.name for g in GATES.values() if g.after} == {"overlap", "score-gap", "commitment"}


@pytest.mark.parametrize(
    "name", ["overlap:threshold=0.4", "lost-terms:threshold=0.1,rare=0.75", "language:language=de"]
)
def test_a_gate_is_typed_as_it_is_printed(name):
    assert str(gate_named(name, "bm25")) == name
    assert gate_named(str(gate_named(name, "bm25")), "bm25") == gate_named(name, "bm25")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("overlaps", "'overlap'"),
        ("overlap:treshold=1", "'threshold'"),
        ("overlap:threshold=high", "wanted a number"),
        ("overlap:threshold=nan", "wanted a number"),
        ("overlap:k=0", "wanted a whole number"),
        ("overlap:half", "write NAME:PARAMETER=VALUE"),
        ("language:language=xx", "wanted en or de"),
    ],
)
def test_a_gate_that_is_not_there_and_a_parameter_that_makes_no_sense_are_refused(name, message):
    with pytest.raises(ExpandrError, match=message.replace(":", ".")):
        gate_named(name, "dense")


@pytest.mark.parametrize("name", ["similarity", "agreement"])
def test_a_gate_of_vectors_is_refused_for_bm25_with_those_that_work(name):
    with pytest.raises(ExpandrError, match="overlap"):
        gate_named(name, "bm25")


@given(st.sampled_from(sorted(GATES)), st.floats(-2, 2), st.floats(-2, 2))
def test_expansions_are_used_on_one_side_of_the_threshold_and_where_nothing_can_be_judged(name, measured, threshold):
    chosen = GATES[name].set({"threshold": threshold})

    assert chosen.expands(threshold)
    assert chosen.expands(None)
    assert chosen.expands(measured) == (measured >= threshold if chosen.side == "at least" else measured <= threshold)


def test_overlap_is_the_share_of_the_querys_best_documents_that_the_fusion_has_among_its_best():
    evidence = Evidence(topic("q", "x"), ranked(*"abcd"), ranked(*"aebf"))

    assert value("overlap:k=2", evidence) == 0.5
    assert value("overlap:k=4", evidence) == 0.5
    assert value("overlap", Evidence(topic("q", "x"), {}, ranked("a"))) is None


@given(st.lists(st.text("abc", min_size=1), unique=True, min_size=1), st.integers(1, 12))
def test_overlap_of_equal_rankings_is_one(docids, k):
    assert value(f"overlap:k={k}", Evidence(topic("q", "x"), ranked(*docids), ranked(*docids))) == 1


def test_similarity_is_the_mean_cosine_of_query_and_expansions_and_agreement_that_of_the_expansions():
    vectors = np.array([[1, 0], [0, 1], [0.6, 0.8]], dtype=np.float32)
    evidence = Evidence(topic("q", "x", "y", "z"), query=np.array([1, 0], dtype=np.float32), expansions=vectors)

    assert value("similarity", evidence) == pytest.approx(1.6 / 3)
    assert value("agreement", evidence) == pytest.approx((0 + 0.6 + 0.8) / 3)
    assert value("agreement", Evidence(topic("q", "x"), query=vectors[0], expansions=vectors[:1])) is None


def test_a_threshold_is_typed_by_name_or_alone():
    assert str(gate_named("overlap:0.3", "dense")) == "overlap:threshold=0.3"
    assert gate_named("overlap:-1e-1", "bm25").threshold == -0.1
    with pytest.raises(ExpandrError, match="wanted a number"):
        gate_named("overlap:nan", "dense")


def test_contrast_is_how_many_deviations_the_own_expansions_are_nearer_than_those_of_other_topics():
    rng = np.random.default_rng(1)
    pool = rng.normal(size=(30, 4)).astype(np.float32)
    pool /= np.linalg.norm(pool, axis=1, keepdims=True)
    query = pool[3]
    others = np.delete(pool, [2, 3], axis=0) @ query

    def contrast(own):
        return value("contrast", Evidence(topic("q", "x"), query=query, expansions=pool[2:4], pool=pool, own=own))

    assert contrast((2, 4)) == pytest.approx(((pool[2:4] @ query).mean() - others.mean()) / others.std(), rel=1e-5)
    assert contrast((3, 4)) > contrast((2, 4))
    assert (
        value("contrast:least=29", Evidence(topic("q", "x"), query=query, expansions=pool[2:4], pool=pool, own=(2, 4)))
        is None
    )
    assert value("contrast", Evidence(topic("q", "x"))) is None


def test_the_contrast_of_texts_that_are_all_the_same_is_none_to_speak_of():
    pool = np.tile(np.array([[0.6, 0.8]], dtype=np.float32), (20, 1))
    evidence = Evidence(topic("q", "x"), query=pool[0], expansions=pool[:1], pool=pool, own=(0, 1))

    assert value("contrast", evidence) == pytest.approx(0, abs=0.1)


def test_word_contrast_is_how_many_more_of_the_querys_words_the_own_expansions_have_than_chance_would_give():
    words = Frequencies(21, {"wnt": 1, "cell": 11})
    wnt, cell = 0.5 / 21, 10.5 / 21
    spread = math.sqrt(wnt * (1 - wnt) + cell * (1 - cell))

    assert value("word-contrast", Evidence(topic("Wnt in cells", "The Wnt cell."), words=words)) == pytest.approx(
        (2 - wnt - cell) / spread
    )
    assert value("word-contrast", Evidence(topic("Wnt in cells", "Nothing."), words=words)) < 0
    assert value("word-contrast:least=21", Evidence(topic("Wnt in cells", "The Wnt cell."), words=words)) is None
    assert value("word-contrast", Evidence(topic("the", "x"), words=words)) is None


def test_commitment_is_the_spread_of_the_scores_of_the_fusion_less_that_of_the_query():
    flat, steep = {"a": 3.0, "b": 3.0}, {"a": 4.0, "b": 2.0}

    assert value("commitment", Evidence(topic("q", "x"), flat, steep)) == pytest.approx(1 / 3)
    assert value("commitment", Evidence(topic("q", "x"), {}, steep)) is None


def test_rare_terms_are_the_share_of_the_querys_terms_in_few_documents():
    frequencies = Frequencies(10_000, {"wnt": 3, "pathway": 9, "cell": 9_000})

    assert value(
        "rare-terms", Evidence(topic("the Wnt pathways in cells", "x"), frequencies=frequencies)
    ) == pytest.approx(2 / 3)


def test_the_score_gap_grows_where_the_fusion_sets_its_first_document_further_apart():
    flat, steep = {"a": 1.0, "b": 0.9}, {"a": 1.0, "b": 0.5}

    assert value("score-gap:k=2", Evidence(topic("q", "x"), flat, steep)) == pytest.approx(0.4)
    assert value("score-gap:k=2", Evidence(topic("q", "x"), steep, flat)) == pytest.approx(-0.4)


def test_lost_terms_are_the_rare_words_of_the_query_that_no_expansion_has():
    frequencies = Frequencies(10_000, {"wnt": 3, "pathway": 9, "cell": 9_000})
    query = "the Wnt pathways in cells"

    assert value("lost-terms", Evidence(topic(query, "A pathway."), frequencies=frequencies)) == 0.5
    assert value("lost-terms", Evidence(topic(query, "A pathway.", "WNT!"), frequencies=frequencies)) == 0
    assert value("lost-terms", Evidence(topic("the cell", "x"), frequencies=frequencies)) is None


def test_idf_is_the_mean_over_the_querys_terms_from_0_in_all_documents_to_1_in_one():
    frequencies = Frequencies.count(["a cat sleeps", "a dog", "Cats and dogs", "no animal"], {"cat", "dog", "sleep"})

    assert frequencies.counts == {"cat": 2, "dog": 2, "sleep": 1}
    assert frequencies.idf("cat") == pytest.approx(0.5)
    assert frequencies.idf("sleep") == frequencies.idf("unknown") == 1
    assert value("idf", Evidence(topic("the cat sleeps", "x"), frequencies=frequencies)) == pytest.approx(0.75)
    assert value("idf", Evidence(topic("the of", "x"), frequencies=frequencies)) is None


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("The heart is an organ that pumps blood through the body.", True),
        ("Aspirin, ibuprofen, naproxen", True),
        ("Das Herz ist ein Organ, das das Blut durch den Körper pumpt.", False),
        ("Le cœur est un organe qui pompe le sang dans le corps.", False),
        ("El corazón es un órgano que bombea la sangre por el cuerpo.", False),
        ("Сердце — это орган, который перекачивает кровь.", False),
        ("心脏是泵血的器官。", False),
        ("The heart (心脏) is an organ that pumps blood through the body.", True),
    ],
)
def test_the_language_gate_uses_texts_in_the_querys_script_and_language(text, good):
    chosen = gate_named("language", "dense")

    assert chosen.expands(chosen.value(Evidence(topic("what does the heart do", text)))) is good


def test_one_text_in_another_language_is_enough_to_refuse_and_the_language_can_be_another_one():
    german = "Das Herz ist ein Organ, das das Blut durch den Körper pumpt."

    assert not GATES["language"].expands(
        value("language", Evidence(topic("the heart", "The heart of the body.", german)))
    )
    assert value("language:language=de", Evidence(topic("Was ist das Herz", german))) > 0.5
    assert likeness("Сердце", "Что такое сердце", "en") == 1


@pytest.mark.parametrize(
    ("word", "without"),
    [
        ("studies", "study"),
        ("cells", "cell"),
        ("diseases", "disease"),
        ("virus", "virus"),
        ("stress", "stress"),
        ("gas", "gas"),
    ],
)
def test_an_english_plural_counts_as_its_singular(word, without):
    assert stem(word) == without
    assert terms_of(f"the {word}") == {without}


def test_a_gate_with_an_unknown_need_is_refused():
    with pytest.raises(UnknownNameError, match="'runs'"):
        gate("x", uses="at least", threshold=0, needs=("run",))


def test_a_gate_of_ones_own_is_a_function_and_is_refused_under_a_name_that_is_taken():
    def brief(evidence, *, longest: bool = True):
        """Words of the longest or the shortest expansion."""
        return (max if longest else min)(len(text.split()) for text in evidence.topic.texts)

    gate("brief-of-a-test", uses="at most", threshold=2)(brief)
    chosen = gate_named("brief-of-a-test:longest=false", "bm25")

    assert chosen.value(Evidence(topic("q", "one two three", "one"))) == 1
    assert [chosen.expands(2), chosen.expands(3)] == [True, False]
    with pytest.raises(ExpandrError, match="choose another name"):
        gate("overlap", uses="at most", threshold=2)(brief)
