"""Prompts: the official strings, placeholders, examples, groups, a user's own file."""

from __future__ import annotations

import pytest
from hypothesis import given

from expandr_repro.errors import ExpandrError, FormatError, NotAvailableError, UnknownNameError
from expandr_repro.io.files import sha256_text
from expandr_repro.llm.prompts import PromptSpec, find_prompt, prepare, prompts
from unit.strategies import texts

OFFICIAL = {
    "q2d": "Please write a passage to answer the question.\nQuestion: {}\nPassage:",
    "q2a": "You are given a query and a related document. Based on the query, generate a direct and relevant answer using the information in the document. If the query is a statement, expand on it. If it is a question, provide a direct answer. Avoid any extra description or irrelevant content.\nQuery: {}\nRelated Document: {}\nAnswer:",
    "q2q": "Output the rewrite of input query.\nQuery: {}\nOutput:",
    "q2e": "Write a list of keywords for the given query:\nQuery: {}\nKeywords:",
    "q2c": "Answer the following query:\n{}\nGive the rationale before answering.",
    "hyde.web-search": "Please write a passage to answer the question.\nQuestion: {}\nPassage:",
    "hyde.scifact": "Please write a scientific paper passage to support/refute the claim.\nClaim: {}\nPassage:",
    "hyde.arguana": "Please write a counter argument for the passage.\nPassage: {}\nCounter Argument:",
    "hyde.trec-covid": "Please write a scientific paper passage to answer the question.\nQuestion: {}\nPassage:",
    "hyde.fiqa": "Please write a financial article passage to answer the question.\nQuestion: {}\nPassage:",
    "hyde.dbpedia-entity": "Please write a passage to answer the question.\nQuestion: {}\nPassage:",
    "hyde.trec-news": "Please write a news passage about the topic.\nTopic: {}\nPassage:",
    "hyde.mr-tydi": "Please write a passage in {} to answer the question in detail.\nQuestion: {}\nPassage:",
    "query2doc.zero-shot": "Write a passage that answers the given query:\n\nQuery: {}\nPassage:",
}  # the strings of the official code (ExpandR, HyDE) and of the paper (Query2Doc), as str.format takes them

QUERY = "is {this} a query? 100 % {}"


@pytest.mark.parametrize("name", OFFICIAL)
def test_a_prompt_renders_to_exactly_the_official_string(name):
    language = "Swahili" if name == "hyde.mr-tydi" else None
    values = {"q2a": (QUERY, "a {gold} passage"), "hyde.mr-tydi": ("Swahili", QUERY)}.get(name, (QUERY,))

    rendered = prepare(name, prompts()[name], language=language).render(QUERY, "a {gold} passage")

    assert rendered == OFFICIAL[name].format(*values)


def test_every_prompt_is_of_a_known_source_and_has_a_purpose():
    assert set(prompts()) == {*OFFICIAL, "query2doc.few-shot"}
    assert all(p.source and p.purpose and p.version >= 1 for p in prompts().values())


def test_examples_are_written_before_the_query():
    prompt = prepare("f", prompts()["query2doc.few-shot"], [("first {q}", "one {p}"), ("second", "two")])

    assert prompt.render("third") == (
        "Write a passage that answers the given query:\n\nQuery: first {q}\nPassage: one {p}\n\n"
        "Query: second\nPassage: two\n\nQuery: third\nPassage:"
    )


def test_an_example_s_passage_is_cut_at_its_number_of_words():
    prompt = prepare("f", prompts()["query2doc.few-shot"], [("q", "word " * 500)])

    assert prompt.render("x").count("word") == 128


def test_the_hash_is_of_the_template_with_the_examples_in_it():
    spec = prompts()["query2doc.few-shot"]

    assert prepare("q2d", prompts()["q2d"]).sha256 == sha256_text(prompts()["q2d"].template)
    assert prepare("f", spec, [("a", "b")]).sha256 != prepare("f", spec, [("a", "c")]).sha256


@given(texts, texts)
def test_braces_and_anything_else_in_a_query_or_passage_stay_as_they_are(query, passage):
    prompt = prepare("p", PromptSpec("{{x}} {query}|{passage}"))

    assert prompt.render(query, passage) == "{x} " + query + "|" + passage


def test_a_prompt_says_whether_it_needs_a_passage():
    assert prepare("q2a", prompts()["q2a"]).needs_passage
    assert not prepare("q2d", prompts()["q2d"]).needs_passage


def test_a_language_is_wanted_where_there_is_a_place_for_it_and_only_there():
    with pytest.raises(ExpandrError, match=r"'hyde.mr-tydi' has a \{language\} in it; add --language"):
        prepare("hyde.mr-tydi", prompts()["hyde.mr-tydi"])
    with pytest.raises(ExpandrError, match="leave --language out"):
        prepare("q2d", prompts()["q2d"], language="Swahili")


def test_a_group_gives_the_collection_s_own_prompt():
    assert find_prompt("hyde", "scifact")[0] == "hyde.scifact"
    assert find_prompt("hyde", "msmarco")[0] == "hyde.web-search"


def test_a_group_without_one_for_the_collection_names_its_members():
    with pytest.raises(
        ExpandrError,
        match=r"'hyde' has no version for the collection 'pocket'; use --prompt hyde.web-search, or hyde.scifact",
    ):
        find_prompt("hyde", "pocket")


def test_an_unknown_prompt_offers_the_nearest():
    with pytest.raises(UnknownNameError, match="unknown prompt 'q2x': did you mean 'q2"):
        find_prompt("q2x")


def test_a_text_file_is_a_template(write):
    name, spec = find_prompt(str(write("mine.txt", "Explain {query}.\n")))

    assert (name, prepare(name, spec).render("rain")) == ("mine", "Explain rain.")


def test_a_yaml_file_is_a_prompt_with_its_facts(write):
    _, spec = find_prompt(str(write("mine.yaml", 'template: "Explain {query}."\nversion: 3\npurpose: to try\n')))

    assert (spec.version, spec.purpose) == (3, "to try")


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("Explain {qury}.", r"unknown placeholder \{qury\}; did you mean \{query\}\?"),
        ("Explain {} {query}.", r"unknown placeholder \{\}; known: \{query\}, \{passage\}"),
        ("Explain {query.__class__}.", r"unknown placeholder \{query.__class__\}"),
        ("Explain {query!r}.", r"unknown placeholder \{query!r\}; did you mean \{query\}\?"),
        ("Explain {query:>100000000}.", r"unknown placeholder \{query:>100000000\}"),
        ("Explain {query", r"a literal brace is written \{\{ or \}\}"),
        ("Answer as {'json': 1}: {query}", r"unknown placeholder"),
        ("Explain rain.", r"the placeholder \{query\} is missing"),
        ("{examples}{query}", r"`example` and `examples` go together"),
    ],
)
def test_a_template_with_a_fault_names_file_and_cure(write, template, said):
    path = write("mine.txt", template)

    with pytest.raises(FormatError, match=said) as caught:
        find_prompt(str(path))
    assert str(caught.value).startswith(f"{path}: template: ")


def test_a_prompt_file_that_is_not_there_is_said_to_be_missing(tmp_path):
    with pytest.raises(NotAvailableError, match="cannot be read"):
        find_prompt(str(tmp_path / "none.yaml"))
