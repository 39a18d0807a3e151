"""The ids are those of transformers' own call."""

import pytest

transformers = pytest.importorskip("transformers")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from tiny_bert import save_tiny_bert  # noqa: E402

from expandr_repro.encoders.tokenizing import TextTokenizer  # noqa: E402


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return transformers.AutoTokenizer.from_pretrained(save_tiny_bert(tmp_path_factory.mktemp("model")))


@settings(deadline=None)
@given(texts=st.lists(st.text(max_size=60), max_size=6), length=st.integers(4, 40))
def test_ids_and_cuts_are_those_of_transformers(tokenizer, texts, length):
    found, cut = TextTokenizer(tokenizer).ids(texts, length)
    whole = [tokenizer(t)["input_ids"] for t in texts]
    assert found == [tokenizer(t, truncation=True, max_length=length)["input_ids"] for t in texts]
    assert cut == sum(len(w) > length for w in whole)


def test_a_tokenizer_in_python_is_called_as_it_is(tokenizer):
    class Slow:
        def __call__(self, texts, **options):
            assert options["max_length"] == 5
            return {"input_ids": [[1, 2]] * len(texts)}

    assert TextTokenizer(Slow()).ids(["a", "b"], 5) == ([[1, 2], [1, 2]], 0)


def test_lengths_do_not_disturb_one_another(tokenizer):
    texts = TextTokenizer(tokenizer)
    short, _ = texts.ids(["one two three four five six"], 4)
    longer, _ = texts.ids(["one two three four five six"], 8)
    again, _ = texts.ids(["one two three four five six"], 4)
    assert len(short[0]) == 4 < len(longer[0])
    assert again == short
