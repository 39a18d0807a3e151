from __future__ import annotations

import pytest

from expandr_repro.data.specs import (
    CollectionName,
    EncoderSpec,
    SplitSpec,
    collection_named,
    collection_names,
    datasets,
    encoder_spec,
    encoders,
)
from expandr_repro.errors import ExpandrError, FormatError, UnknownNameError
from expandr_repro.evaluate.metrics import NAMES, parse_measure
from expandr_repro.io.paths import resource


def test_a_known_encoder_has_the_settings_of_its_entry():
    spec = encoder_spec("bge-base-en-v1.5")

    assert (spec.model, spec.pooling, spec.normalize) == ("BAAI/bge-base-en-v1.5", "cls", True)
    assert spec.query_prefix == "Represent this sentence for searching relevant passages: "
    assert spec.expansion_prefix == ""


def test_every_known_encoder_says_where_its_settings_are_from():
    assert [name for name, spec in encoders().items() if not spec.source] == []


def test_no_known_encoder_lets_remote_code_run():
    assert [name for name, spec in encoders().items() if spec.trust_remote_code] == []


def test_an_encoder_may_be_a_yaml_file(write):
    path = write("mine.yaml", "model: owner/name\npooling: last\n")

    assert encoder_spec(str(path)) == EncoderSpec("owner/name", pooling="last")


def test_a_yaml_file_with_an_unknown_key_is_named(write):
    path = write("mine.yaml", "model: owner/name\npoling: last\n")

    with pytest.raises(FormatError, match=r"mine\.yaml: spec: unknown key 'poling'; did you mean 'pooling'\?"):
        encoder_spec(str(path))


def test_an_empty_yaml_file_is_no_spec(write):
    with pytest.raises(FormatError, match="spec: wanted keys and values, found None"):
        encoder_spec(str(write("mine.yaml", "")))


def test_an_unknown_encoder_offers_the_nearest():
    with pytest.raises(UnknownNameError, match="unknown encoder 'contreiver': did you mean 'contriever'"):
        encoder_spec("contreiver")


def test_a_yaml_file_that_is_not_there_is_an_unknown_encoder(tmp_path):
    with pytest.raises(UnknownNameError, match=r"A path to a model folder or to a \.yaml spec works as well"):
        encoder_spec(str(tmp_path / "none.yaml"))


@pytest.mark.parametrize(
    "name",
    [
        "scifact",
        "sci-fact",
        "scifact/test",
        "sci-fact/test",
        "beir-v1.0.0-scifact.flat",
        "beir-v1.0.0-scifact.contriever",
        "beir-v1.0.0-scifact-test",
        "irds:beir/scifact",
        "irds:beir/scifact/test",
    ],
)
def test_a_collection_is_found_by_any_toolkits_name(name):
    assert collection_named(name) == CollectionName("scifact", "test")


def test_another_split_is_found_by_name():
    assert collection_named("nfcorpus/dev") == CollectionName("nfcorpus", "dev")
    assert collection_named("irds:beir/nfcorpus/train") == CollectionName("nfcorpus", "train")


def test_a_collection_without_a_split_is_its_default_one():
    assert collection_named("msmarco") == CollectionName("msmarco", "dev")


def test_a_split_that_a_collection_lacks_is_named_with_those_it_has():
    with pytest.raises(ExpandrError, match=r"collection 'scifact' has no split 'dev'; it has test, train"):
        collection_named("scifact/dev")


def test_a_split_that_a_collection_lacks_is_named_under_its_alias_too():
    with pytest.raises(ExpandrError, match="collection 'sci-fact' has no split 'dev'"):
        collection_named("sci-fact/dev")


@pytest.mark.parametrize("name", ["nothing", "no/thing", "", "./scifact.jsonl", "data/scifact"])
def test_what_is_no_collections_name_is_none(name):
    assert collection_named(name) is None


def test_a_collections_name_prints_with_its_split():
    assert str(CollectionName("scifact", "test")) == "scifact/test"


def test_a_split_without_an_entry_is_an_empty_one():
    assert CollectionName("scifact", "nope").split_spec == SplitSpec()


def test_the_counts_of_a_collection_are_those_of_its_entry():
    name = CollectionName("scifact", "test")

    assert (name.spec.documents, name.split_spec.topics, name.split_spec.judgements) == (5183, 300, 339)


def test_every_default_split_is_among_the_splits_of_its_collection():
    assert [n for n, d in datasets().items() if not d.members and d.default_split not in d.splits] == []


def test_every_member_of_a_group_is_a_collection():
    assert [m for d in datasets().values() for m in d.members if m not in datasets()] == []


def test_every_measure_of_a_collection_is_one():
    assert {parse_measure(m).name for d in datasets().values() for m in d.measures} <= set(NAMES)


def test_no_name_means_two_collections():
    claimed: dict[str, str] = {}
    for name, spec in datasets().items():
        for alias in (name, *spec.aliases):
            assert claimed.setdefault(alias, name) == name


def test_the_names_offered_in_errors_are_the_collections():
    assert collection_names() == list(datasets())


def test_a_resource_lies_in_the_package():
    assert resource("encoders.yaml").is_file()
    assert resource("pocket", "corpus.jsonl").is_file()
