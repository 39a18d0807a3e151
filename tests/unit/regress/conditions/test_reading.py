from __future__ import annotations

import re
from dataclasses import replace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from expandr_repro.errors import FormatError, NotAvailableError, UnknownNameError
from expandr_repro.regress.conditions.reading import condition_at, conditions, load, named
from expandr_repro.regress.conditions.shapes import (
    TIERS,
    CorpusPin,
    ExpansionsPin,
    Pin,
    Published,
    QrelsPin,
    Recorded,
    Regression,
    Stages,
    TopicsPin,
)
from expandr_repro.regress.conditions.writing import render

NAME = "pocket.minilm.none.yaml"
GOOD = Regression(
    title="MiniLM, the query alone",
    tier="ci",
    collection=CorpusPin("pocket", 719, "00" * 8),
    topics=TopicsPin("pocket", 72),
    qrels=QrelsPin("pocket", 987),
    stages=Stages(
        index="python -m expandr_repro.encode --corpus pocket --output $index",
        search="python -m expandr_repro.search --topics pocket --index $index --output $run",
        evaluate="python -m expandr_repro.evaluate --qrels pocket --format json $run",
    ),
    metrics={"nDCG@10": Pin(0.5836, 0.0005)},
)


def changed(**parts):
    """Return the good file as plain YAML, with parts of it laid over."""
    content = yaml.safe_load(render(GOOD))
    for key, value in parts.items():
        if isinstance(value, dict) and isinstance(content.get(key), dict):
            content[key] = {k: v for k, v in (content[key] | value).items() if v is not ...}
        else:
            content[key] = value
    return yaml.safe_dump(content, sort_keys=False)


def test_a_good_file_is_read_as_it_was_written(write):
    assert load(write(NAME, render(GOOD))) == GOOD


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"metrcs": {}}, "unknown key 'metrcs'; did you mean 'metrics'?"),
        ({"collection": {"docments": 719}}, "condition.collection: unknown key 'docments'; did you mean 'documents'?"),
        ({"stages": {"serach": "x"}}, "condition.stages: unknown key 'serach'; did you mean 'search'?"),
        ({"metrics": {"nDGC@10": {"value": 0.5}}}, "unknown metric 'nDGC@10': did you mean 'nDCG@10'?"),
        ({"metrics": {"ndcg@10": {"value": 0.5}}}, "found 'ndcg@10', wanted it spelled 'nDCG@10'"),
        ({"metrics": {"nDCG@10": {"valeu": 0.5}}}, "condition.metrics.nDCG@10: unknown key 'valeu'; did you mean 'value'?"),
        ({"metrics": {"nDCG@10": {"value": 1.5}}}, "condition.metrics.nDCG@10.value: found 1.5, wanted 0 to 1"),
        ({"metrics": {"nDCG@10": {"value": 0.58361}}}, "value: found 0.58361, wanted four decimals"),
        ({"metrics": {"nDCG@10": {"value": "0.5"}}}, "found '0.5', wanted float"),
        ({"metrics": {"nDCG@10": {"value": 0.5, "tolerance": 0.5}}}, "condition.metrics.nDCG@10.tolerance: found 0.5, wanted 0 to 0.01"),
        ({"metrics": {"nDCG@10": {"value": 0.5, "tolerance": -0.001}}}, "tolerance: found -0.001, wanted 0 to 0.01"),
        ({"metrics": []}, "condition.metrics: found [], wanted keys and values"),
        ({"metrics": {"nDCG@10": ...}}, "tier ci needs at least one metric"),
        ({"tier": "c1"}, "found 'c1', wanted one of ci, full, manual"),
        ({"needs": ["java"]}, "found 'java', wanted one of jvm, network, gpu, data, models"),
        ({"topics": {"count": 0}}, "condition.topics.count: found 0, wanted 1 or more"),
        ({"topics": {"count": "72"}}, "found '72', wanted int"),
        ({"topics": {"sha256": "abc"}}, "condition.topics.sha256: found 'abc', wanted 16 to 64 hex digits"),
        ({"stages": {"search": "python $rnu $index"}}, "unknown variable $rnu; did you mean $run?"),
        ({"stages": {"search": "python $index"}}, "condition.stages.search: does not use $run"),
        ({"stages": {"index": ...}}, "condition.stages.search: uses $index, but no stage index makes it"),
        ({"stages": {"search": "python '$run"}}, "condition.stages.search: not a command line"),
        ({"stages": {"search": "python $run $"}}, "'$' has a $ that begins no name"),
        ({"stages": {"evaluate": ""}}, "condition.stages.evaluate: empty"),
        ({"published": [{"metric": "nDCG@10", "value": 0.5}]}, "condition.published: the key 'source' is missing"),
    ],
)  # fmt: skip
def test_a_faulty_file_is_refused_and_the_place_named(write, parts, says):
    path = write(NAME, changed(**parts))
    with pytest.raises(FormatError) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["pocket.yaml", "pocket.minilm.yaml", "Pocket.minilm.none.yaml", "a.b.c.d.e.yaml"])
def test_a_file_name_that_says_no_collection_retriever_and_expansion_is_refused(write, name):
    with pytest.raises(FormatError, match="wanted a name such as"):
        load(write(name, render(GOOD)))


def test_a_manual_condition_may_pin_nothing(write):
    assert load(write(NAME, render(replace(GOOD, tier="manual", metrics={})))).metrics == {}


def test_a_metric_without_a_value_is_one_yet_to_be_measured(write):
    assert load(write(NAME, changed(metrics={"nDCG@10": {"value": None}}))).metrics["nDCG@10"].value is None


line = st.text(st.characters(codec="utf-8"), max_size=8)
value = st.integers(0, 10_000).map(lambda n: n / 10_000)


@given(
    st.builds(
        replace,
        st.just(GOOD),
        title=line,
        tier=st.sampled_from(TIERS),
        note=line,
        needs=st.lists(st.sampled_from(["jvm", "network", "gpu", "data", "models"]), max_size=3),
        topics=st.builds(TopicsPin, line, st.integers(1, 10**6), st.none() | st.from_regex("[0-9a-f]{16}", fullmatch=True)),
        expansions=st.none() | st.builds(ExpansionsPin, line, st.none() | line.filter(bool), st.none() | st.integers(1, 99)),
        metrics=st.dictionaries(
            st.sampled_from(["nDCG@10", "MAP", "R@100"]), st.builds(Pin, st.none() | value, st.sampled_from([0.0, 5e-5, 0.0005, 0.01])), min_size=1
        ),
        published=st.lists(st.builds(Published, st.just("MAP"), value, line, line), max_size=2),
        recorded=st.none() | st.builds(Recorded, line, line, line, st.dictionaries(line, line, max_size=2), st.none() | line.filter(bool)),
    )
)  # fmt: skip
def test_whatever_is_written_is_read_back_the_same(tmp_path_factory, regression):
    path = tmp_path_factory.mktemp("written") / NAME
    path.write_text(render(regression), encoding="utf-8")
    assert load(path) == regression


@given(st.data())
def test_a_damaged_file_is_read_or_refused_and_nothing_else(tmp_path_factory, data):
    good = render(GOOD)
    start = data.draw(st.integers(0, len(good)))
    stop = data.draw(st.integers(start, min(len(good), start + 30)))
    path = tmp_path_factory.mktemp("damaged") / NAME
    path.write_text(good[:start] + data.draw(line) + good[stop:], encoding="utf-8")
    condition = condition_at(path)
    assert (condition.regression is None) == bool(condition.fault)


def test_a_file_that_cannot_be_read_is_among_the_conditions_with_its_fault(write):
    write("pocket.minilm.none.yaml", render(GOOD))
    folder = write("pocket.bm25.none.yaml", "title: [").parent
    broken, good = conditions(folder)
    assert (broken.name, broken.regression) == ("pocket.bm25.none", None)
    assert "pocket.bm25.none.yaml" in broken.fault
    assert good.regression == GOOD


def test_a_missing_or_empty_folder_says_what_to_do(tmp_path):
    with pytest.raises(NotAvailableError, match="run in a checkout"):
        conditions(tmp_path / "none")
    with pytest.raises(NotAvailableError, match=r"contains no \.yaml files"):
        conditions(tmp_path)


def test_a_condition_is_found_by_name_pattern_or_path(write):
    path = write(NAME, render(GOOD))
    folder = path.parent
    known = conditions(folder)
    assert named(folder, "pocket.minilm.none") == named(folder, "pocket.*") == named(folder, str(path)) == known


def test_an_unknown_name_is_offered_the_nearest(write):
    folder = write(NAME, render(GOOD)).parent
    with pytest.raises(UnknownNameError, match=r"did you mean 'pocket\.minilm\.none'\?"):
        named(folder, "pocket.minilm.nnoe")


def test_the_stages_run_in_the_order_in_which_they_need_one_another():
    stages = Stages(search="s", evaluate="v", index="i", expand="x")
    assert [name for name, _ in stages.listed()] == ["expand", "index", "search", "evaluate"]


def test_a_published_figure_keeps_all_its_decimals(write):
    claims = [Published("MAP", value, "there") for value in (0.123456, 1e-7, 43.5, 1e300)]
    path = write(NAME, render(replace(GOOD, published=claims, metrics={"MAP": Pin(0.5, 1e-7)})))

    assert load(path).published == claims
    assert load(path).metrics["MAP"].tolerance == 1e-7


@pytest.mark.parametrize("value", [".nan", ".inf"])
def test_a_published_figure_is_finite(write, value):
    text = render(replace(GOOD, published=[Published("MAP", 0.5, "there")])).replace("0.5000", value)

    with pytest.raises(FormatError, match=r"condition.published.value: found (nan|inf), wanted a finite number"):
        load(write(NAME, text))


@pytest.mark.parametrize(("metric", "wanted"), [("R@100", "R(rel=2)@100"), ("MAP(rel=2)", None), ("MAP(rel=1)", None)])
def test_a_metric_of_a_collection_with_a_level_of_its_own_is_pinned_as_it_is_printed(write, metric, wanted):
    pinned = replace(GOOD, qrels=QrelsPin("dl19", 987), metrics={metric: Pin(0.5, 0.0005)}, published=[])
    path = write(NAME, render(pinned))
    if wanted is None:
        assert list(load(path).metrics) == [metric]
        return
    with pytest.raises(FormatError, match=re.escape(f"wanted it spelled {wanted!r}")):
        load(path)
