"""Methods as they are written down: ours, and what a file may say."""

from __future__ import annotations

import pytest
import yaml

from expandr_repro.errors import ExpandrError, FormatError, UnknownNameError
from expandr_repro.expand.methods.spec import METHODS, Method, find_method, read_method

ASKED = {
    "q2d": (1, 1.0), "hyde": (1, 0.7), "query2doc-zs": (1, 0.7), "query2doc-fs": (1, 0.7), "query2doc-cot": (1, 0.7), "genqr": (5, 0.8),
    "genqr-ensemble": (10, 0.92), "query2e-zs": (1, 0.3), "query2e-fs": (1, 0.3), "qa-expand": (3, 0.8), "mugi": (5, 1.0), "lamer": (5, 1.0),
    "csqe": (4, 1.0), "thinkqe": (6, 0.7), "reformer": (2, 0.1),
}  # fmt: skip


def test_all_methods_of_the_field_are_there_with_their_calls_and_temperatures():
    assert {name: (m.calls, *{s.temperature for s in m.steps}) for name, m in METHODS.items()} == ASKED


def test_every_method_names_its_paper_and_how_its_texts_are_searched_with():
    for name, method in METHODS.items():
        assert method.name == name
        assert "arXiv " in method.source
        assert set(method.fusion) == {"bm25", "dense"}
        assert method.types


def test_only_methods_with_passages_in_a_prompt_have_a_context():
    assert {n for n, m in METHODS.items() if m.context != "none"} == {"lamer", "csqe", "thinkqe", "reformer"}
    assert {n for n, m in METHODS.items() if m.needs_passages} == {"lamer", "csqe", "thinkqe", "reformer"}
    assert {n for n, m in METHODS.items() if m.needs_examples} == {"query2doc-fs", "query2e-fs"}


ENTRY = {
    "summary": "a limerick",
    "source": "arXiv 2700.00001",
    "steps": [{"type": "passage", "template": "Write a limerick about {query}.", "samples": 2, "temperature": 0.5}],
    "fusion": {"bm25": "repeat:n=3", "dense": "mean"},
}


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_method_is_one_yaml_entry_in_a_file(tmp_path, wrapped):
    path = tmp_path / "limerick.yaml"
    path.write_text(yaml.safe_dump({"limerick": ENTRY} if wrapped else ENTRY))

    made = find_method(str(path))

    assert (made.name, made.calls, made.types) == ("limerick", 2, ["passage"])


def changed(**step):
    return {**ENTRY, "steps": [{**ENTRY["steps"][0], **step}]}


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({**ENTRY, "sumary": "x"}, "unknown key 'sumary'; did you mean 'summary'?"),
        ({k: v for k, v in ENTRY.items() if k != "source"}, "the key 'source' is missing"),
        ({**ENTRY, "steps": []}, "the last step needs a `type`"),
        ({**ENTRY, "rounds": 0}, "wanted 1 or more"),
        ({**ENTRY, "fusion": {"sparse": "mean"}}, "found 'sparse', wanted bm25 and dense"),
        (changed(type="poem"), "found 'poem', wanted one of"),
        (changed(template="Write about {qeury}."), "unknown placeholder {qeury}; did you mean {query}?"),
        (changed(template="Write."), "the placeholder {query} is missing"),
        (changed(template="{query"), "a literal brace is written"),
        (changed(template="{query} {previous}"), "this is the first"),
        (changed(template="{query} {passages}"), "`context` is missing"),
        (changed(template="{query} {examples}"), "{examples}, `example` and `examples` go together"),
        (changed(instructions=["a"]), "{instruction} and `instructions` go together"),
        (changed(parser="keyword"), "did you mean 'keywords'?"),
        (changed(parser="choice"), "go together"),
        (changed(prompt="q2d"), "wanted either `prompt`"),
        (changed(template="", prompt="q2dd"), "unknown prompt 'q2dd'; did you mean 'q2d'?"),
        (changed(samples=0), "1 or more"),
        (changed(bank=["a", "b"]), "2 ids in `bank`; wanted 1"),
        (["a"], "wanted keys and values"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_with_its_place(entry, problem):
    with pytest.raises(FormatError) as caught:
        read_method(entry, "limerick.yaml", "limerick")
    assert problem in str(caught.value)
    assert str(caught.value).startswith("limerick.yaml")


def test_an_unknown_method_names_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'lamer'"):
        find_method("lammer")


def test_a_plug_in_may_name_a_method_a_mapping_or_a_file(tmp_path):
    from expandr_repro.expand.methods.spec import _adopt

    path = tmp_path / "limerick.yaml"
    path.write_text(yaml.safe_dump(ENTRY))

    made = [_adopt(thing) for thing in (read_method(ENTRY, "x", "limerick"), {**ENTRY, "name": "limerick"}, path)]
    assert all(isinstance(m, Method) for m in made)
    assert made[0] == made[1] == made[2]
    with pytest.raises(ExpandrError, match="wanted a Method"):
        _adopt(3)
