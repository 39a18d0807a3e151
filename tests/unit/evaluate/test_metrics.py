from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expandr_repro.errors import ExpandrError, UnknownNameError
from expandr_repro.evaluate.metrics import DEFAULT, NAMES, Measure, parse_measure, parse_measures

depths = st.integers(1, 1_000_000)
levels = st.integers(1, 5)
measures = st.one_of(
    st.builds(Measure, st.just("nDCG"), st.none() | depths),
    st.builds(Measure, st.sampled_from(["MAP", "MRR"]), st.none() | depths, levels),
    st.builds(Measure, st.sampled_from(["R", "P", "Success"]), depths, levels),
    st.builds(Measure, st.just("Judged"), depths),
)


@given(measures)
def test_a_measure_is_parsed_as_it_prints(measure):
    assert parse_measure(str(measure)) == measure


@pytest.mark.parametrize(
    ("text", "measure"),
    [
        ("nDCG@10", Measure("nDCG", 10)),
        ("ndcg_cut_10", Measure("nDCG", 10)),
        ("ndcg_cut.10", Measure("nDCG", 10)),
        ("ndcg", Measure("nDCG")),
        ("recall.100", Measure("R", 100)),
        ("recall_100", Measure("R", 100)),
        ("recip_rank", Measure("MRR")),
        ("RR@10", Measure("MRR", 10)),
        ("map", Measure("MAP")),
        ("AP(rel=2)", Measure("MAP", None, 2)),
        ("R(rel=2)@100", Measure("R", 100, 2)),
        ("R@100(rel=2)", Measure("R", 100, 2)),
        (" p@5 ", Measure("P", 5)),
        ("success_5", Measure("Success", 5)),
        ("hit_rate@5", Measure("Success", 5)),
        ("judged@10", Measure("Judged", 10)),
        ("map_cut_10", Measure("MAP", 10)),
        ("recall@100", Measure("R", 100)),
    ],
)
def test_the_spellings_of_other_toolkits_are_understood(text, measure):
    assert parse_measure(text) == measure


def test_a_measure_prints_as_it_is_typed():
    assert [str(m) for m in (Measure("nDCG", 10), Measure("MAP"), Measure("R", 100, 2))] == [
        "nDCG@10",
        "MAP",
        "R(rel=2)@100",
    ]


def test_an_unknown_measure_offers_the_nearest():
    with pytest.raises(UnknownNameError, match=r"unknown metric 'nDGC@10': did you mean 'nDCG@10'\?"):
        parse_measure("nDGC@10")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("nDGC@20", "nDCG@20"),
        ("recal@100", "R@100"),
        ("NDCG10", "nDCG@10"),
        ("ndcg-cut-10", "nDCG@10"),
        ("judge@5", "Judged@5"),
        ("recip_rnk@10", "MRR@10"),
        ("sucess@3", "Success@3"),
        ("precison", "P@10"),
    ],
)
def test_a_misspelt_measure_offers_the_nearest_at_the_depth_that_was_typed(text, meant):
    with pytest.raises(UnknownNameError, match=f"did you mean '{meant}'"):
        parse_measure(text)


@given(st.text(max_size=30))
def test_any_text_is_a_measure_or_refused_with_names_to_choose_from(text):
    try:
        told = str(parse_measure(text)) and "metric "
    except ExpandrError as error:
        told = str(error)
    assert told.startswith("metric ") or "did you mean" in told or "nDCG@10" in told


@pytest.mark.parametrize("text", ["", "@10", "nDCG@", "nDCG@-1", "nDCG@ten", "R@" + "9" * 5000])
def test_what_is_no_measure_is_refused(text):
    with pytest.raises(UnknownNameError, match="unknown metric"):
        parse_measure(text)


@pytest.mark.parametrize("text", ["nDCG@0", "P@5(rel=0)", "R@1000001"])
def test_a_depth_or_level_out_of_range_is_refused(text):
    with pytest.raises(ExpandrError, match="the depth and the relevance level start at 1, and depths end at 1,000,000"):
        parse_measure(text)


@pytest.mark.parametrize("name", ["R", "P", "Judged"])
def test_recall_and_precision_want_a_depth(name):
    with pytest.raises(ExpandrError, match=f"metric '{name}': wanted a depth, as in {name}@100"):
        parse_measure(name)


def test_ndcg_takes_no_relevance_level():
    with pytest.raises(ExpandrError, match="nDCG uses the grades themselves; write nDCG@20"):
        parse_measure("nDCG(rel=2)@20")


def test_judged_takes_no_relevance_level():
    with pytest.raises(ExpandrError, match="Judged counts documents of any grade; write Judged@5"):
        parse_measure("Judged(rel=2)@5")


def test_measures_are_separated_by_commas_or_white_space_and_named_once():
    assert parse_measures("nDCG@10, R@100 ndcg_cut_10,\tMAP") == [
        Measure("nDCG", 10),
        Measure("R", 100),
        Measure("MAP"),
    ]


def test_no_measure_at_all_gets_an_example():
    with pytest.raises(ExpandrError, match=r"no metric given; write e\.g\. --metrics nDCG@10,R@100"):
        parse_measures(" , ")


def test_the_defaults_are_measures():
    assert [str(parse_measure(m)) for m in DEFAULT] == list(DEFAULT)
    assert {parse_measure(m).name for m in DEFAULT} <= set(NAMES)


@pytest.mark.parametrize(
    ("text", "level", "prints"),
    [
        ("R@100", 2, "R(rel=2)@100"),
        ("R(rel=1)@100", 2, "R(rel=1)@100"),
        ("MAP(rel=2)", 1, "MAP(rel=2)"),
        ("MAP(rel=3)", 2, "MAP(rel=3)"),
        ("nDCG@10", 2, "nDCG@10"),
        ("R(rel=1)@100", 1, "R@100"),
    ],
)
def test_a_collections_level_is_the_default_and_printed_so_that_the_name_means_the_same_again(text, level, prints):
    measure = parse_measure(text, level)
    assert str(measure) == prints
    assert parse_measure(prints, level) == measure
