"""Prompt banks in QueryGym's format."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from expandr_repro.errors import FormatError, UnknownNameError
from expandr_repro.expand.methods.bank import banked, read_bank

TEXT = st.text("abc {}\n'\"é:#-", max_size=30).map(lambda t: t.replace("{", "{{").replace("}", "}}"))


@given(entries=st.lists(st.fixed_dictionaries({"user": TEXT}, optional={"system": TEXT, "assistant": TEXT}), min_size=1, max_size=4))  # fmt: skip
def test_a_bank_is_read_as_querygym_reads_it(entries, tmp_path_factory):
    path = tmp_path_factory.mktemp("bank") / "bank.yaml"
    path.write_text(yaml.safe_dump([{"id": f"p{n}", "method_family": "m", "version": 1, "template": t} for n, t in enumerate(entries)], allow_unicode=True), encoding="utf-8")  # fmt: skip

    wanted = {f"p{n}": tuple((role, t[role]) for role in ("system", "user", "assistant") if role in t) for n, t in enumerate(entries)}  # fmt: skip
    assert read_bank(path) == wanted


@pytest.fixture
def bank(tmp_path):
    def write(text):
        path = tmp_path / "bank.yaml"
        path.write_text(text)
        return path

    return write


def test_the_end_of_a_block_stays_as_it_is(bank):
    found = read_bank(bank('- id: a\n  template:\n    user: |\n      Query: "{query}"\n      {contexts}\n'))

    assert found["a"] == (("user", 'Query: "{query}"\n{contexts}\n'),)


def test_of_a_role_that_is_there_twice_the_last_counts_and_it_is_reported(bank, caplog):
    found = read_bank(
        bank("- id: a\n  template:\n    user: one {query}\n    assistant: Sure,\n    user: two {query}\n")
    )

    assert found["a"] == (("user", "two {query}"), ("assistant", "Sure,"))
    assert "line 5: the key 'user' is there twice; the last one counts" in caplog.text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1", "wanted a list of prompts"),
        ("- a", "prompt 1: wanted keys and values with an `id`"),
        ("- id: a", "a.template: wanted messages"),
        ("- id: a\n  template: {user: x}\n- id: a\n  template: {user: x}", "the id 'a' is there twice"),
        ("- id: a\n  template: {usr: x}", "unknown role 'usr'; did you mean 'user'?"),
        ("- id: a\n  template: {user: 1}", "a.template.user: found 1, wanted a text"),
        ("- id: a\n  template: {user: '{qury}'}", "unknown placeholder {qury}; did you mean {query}?"),
        ("- id: a\n  template: {user: '{'}", "a literal brace is written {{ or }}"),
        ("- id: a\n  template: {system: x}", "the message `user` is missing"),
        ("- [", "not YAML"),
    ],
)
def test_what_is_no_bank_is_refused_with_the_place(bank, text, problem):
    with pytest.raises(FormatError) as caught:
        read_bank(bank(text))
    assert problem in str(caught.value)
    assert "bank.yaml" in str(caught.value)


def test_a_missing_id_names_the_nearest():
    with pytest.raises(UnknownNameError, match=r"did you mean 'lamer\.msmarco\.v1'"):
        banked({"lamer.msmarco.v1": (("user", "x"),)}, "lamer.msmarco.v2", "bank.yaml")
