from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import pytest

from expandr_repro.errors import ExpandrError, UnknownNameError
from expandr_repro.registry import Parameter, Registry, Within, fill_values, parameters_of, split_values, summary_of
from expandr_repro.search.__main__ import build_parser
from expandr_repro.search.fusion import FUSIONS, fuse_vectors, fusion_named, set_by_alias
from expandr_repro.search.run import SearchRequest, choose_fusion


def example(
    first,
    *,
    supplied,
    share: Annotated[float | None, Within(0, 1)] = None,
    n: Annotated[int, Within(1)] = 5,
    deep: bool = False,
    how: Literal["fast", "slow"] = "fast",
):
    """Example. And more."""


def test_parameters_are_the_keyword_only_arguments_with_defaults():
    assert list(parameters_of(example)) == ["share", "n", "deep", "how"]
    assert parameters_of(example)["share"] == Parameter("share", None, (float, type(None)), (), Within(0, 1))
    assert summary_of(example) == "example"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("share", "0.3", 0.3), ("share", "none", None), ("share", "1", 1.0), ("n", "7", 7), ("deep", "true", True),
        ("deep", "False", False), ("how", "slow", "slow"),
    ],
)  # fmt: skip
def test_a_value_is_read_by_its_parameters_type(name, text, value):
    parameter = parameters_of(example)[name]

    assert parameter.check("it", parameter.parse(text)) == value


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("share", "1.1", "it: share=1.1; wanted a number, 0 to 1 or none"),
        ("share", "nan", "it: share=nan; wanted a number, 0 to 1 or none"),
        ("share", "much", "it: share='much'; wanted a number, 0 to 1 or none"),
        ("n", "0", "it: n=0; wanted a whole number, 1 or more"),
        ("n", "1.5", "it: n='1.5'; wanted a whole number, 1 or more"),
        ("n", "none", "it: n='none'; wanted a whole number, 1 or more"),
        ("deep", "1", "it: deep='1'; wanted true or false"),
        ("how", "medium", "it: how='medium'; wanted fast or slow"),
    ],
)
def test_a_value_of_another_type_or_size_is_refused(name, text, message):
    parameter = parameters_of(example)[name]

    with pytest.raises(ExpandrError) as caught:
        parameter.check("it", parameter.parse(text))
    assert str(caught.value) == message


def test_true_is_no_number_in_python():
    with pytest.raises(ExpandrError, match="wanted a whole number"):
        fill_values("it", parameters_of(example), {"n": True})


@pytest.mark.parametrize(
    "text", ["mean:", "mean:alpha", "mean:alpha=", "mean:=3", "mean:alpha=1,", "mean:alpha=1,alpha=1"]
)
def test_parameters_that_cannot_be_read_are_refused(text):
    with pytest.raises(ExpandrError, match=r"^fusion 'mean:"):
        split_values("fusion", text)


def test_an_unknown_parameter_offers_the_nearest():
    with pytest.raises(UnknownNameError, match="unknown parameter of fusion 'mean' 'alhpa': did you mean 'alpha'"):
        fusion_named("mean:alhpa=0.5", "dense")
    with pytest.raises(ExpandrError, match="fusion 'hyde' has no parameters, and alpha was given; leave it out"):
        fusion_named("hyde:alpha=0.5", "dense")


def test_a_fusion_with_parameters_fuses_with_them_and_prints_as_it_is_typed():
    chosen = fusion_named("mean:alpha=0.75", "dense")

    assert str(chosen) == "mean:alpha=0.75"
    assert str(fusion_named("mean:alpha=none", "dense")) == str(FUSIONS["mean"]) == "mean"
    fused = fuse_vectors(chosen, np.float32([[1, 0]]), np.float32([[0, 1]]), [0])
    assert fused.tolist() == fuse_vectors("mean:alpha=0.75", np.float32([[1, 0]]), np.float32([[0, 1]]), [0]).tolist()
    assert fused.tolist() == [[0.75, 0.25]]


def test_one_name_may_mean_another_function_for_each_retriever():
    assert set(fusion_named("rocchio", "dense").parameters) == {"depth", "query_weight", "documents_weight"}
    assert set(fusion_named("rocchio", "bm25").parameters) == {"terms", "documents", "query_weight", "documents_weight"}
    assert fusion_named("expansion", "bm25")("q", ["a", "b"]) == "a b"
    assert fusion_named("repeat:n=2", "bm25")("q", ["a"]) == "q q a"


@pytest.mark.parametrize(
    ("fusion", "retriever", "option", "value", "typed"),
    [
        ("mean", "dense", "alpha", 0.3, "mean:alpha=0.3"),
        ("repeat", "bm25", "repeat", 3, "repeat:n=3"),
        ("rrf", "dense", "rrf_k", 30, "rrf:k=30"),
        ("rocchio", "dense", "feedback_depth", 7, "rocchio:depth=7"),
        ("average", "dense", "feedback_depth", 7, "average:depth=7"),
    ],
)
def test_an_old_option_sets_the_parameter_and_may_not_contradict_it(fusion, retriever, option, value, typed):
    chosen = fusion_named(fusion, retriever)

    assert str(set_by_alias(chosen, fusion, {option: value})) == typed
    assert str(set_by_alias(fusion_named(typed, retriever), typed, {option: value})) == typed
    flag = "--" + option.replace("_", "-")
    other = value / 2 if option == "alpha" else value + 1
    with pytest.raises(ExpandrError, match=f"{flag} {other} contradicts --fusion {typed}; leave one of the two out"):
        set_by_alias(fusion_named(typed, retriever), typed, {option: other})


def test_a_request_without_a_fusion_takes_the_retrievers_own_and_the_old_options():
    from expandr_repro.data.topics import Expansion, Topic

    topics = [Topic("1", "q", (Expansion("e"),))]

    assert str(choose_fusion(SearchRequest("t", alpha=0.3), topics)) == "mean:alpha=0.3"
    assert str(choose_fusion(SearchRequest("t", retriever="bm25", repeat=2), topics)) == "repeat:n=2"


def test_the_help_lists_every_fusion_with_its_parameters():
    text = " ".join(build_parser().format_help().split())

    assert "[alpha=none]" in text
    for name in FUSIONS:
        assert f"{name}: " in text


def test_a_name_is_given_once():
    registry: Registry[int] = Registry("thing", "expandr_repro.nothing")
    registry.add("a", 1, "theirs")
    registry.add("a", 2, "theirs")  # the same module may define its own anew, as a notebook's cell does

    assert registry.find("a") == 2
    with pytest.raises(ExpandrError, match="thing 'a' is there already, in theirs; choose another name"):
        registry.add("a", 3, "others")
    with pytest.raises(UnknownNameError, match="unknown thing 'b'"):
        registry.find("b")
