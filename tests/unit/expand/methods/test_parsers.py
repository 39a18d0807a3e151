"""What is read out of answers: keywords, quoted sentences, JSON, questions and choices, however a model writes them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expandr_repro.errors import ExpandrError, UnknownNameError
from expandr_repro.expand.methods.parsers import reader_named
from expandr_repro.llm.answers.cleaning import clean

WORDS = st.lists(st.text("abcdefghijklmnopqrstuvwxyz", min_size=2, max_size=8), min_size=2, max_size=12, unique=True).filter(
    lambda words: not set(words) & {"key", "keyword", "keywords", "term", "terms", "phrase", "phrases", "query", "question", "json", "sure", "okay", "ok"}
)  # fmt: skip
SENTENCE = st.text("abcdefghij ,.", min_size=1, max_size=30).filter(lambda s: any(c.isalpha() for c in s))


def read(parser, answer, **supplied):
    return reader_named(parser, **supplied).read(answer, clean(answer).text)


LISTS = {
    "commas": lambda words: ", ".join(words),
    "commas and a label": lambda words: "Keywords: " + ", ".join(words),
    "lines": lambda words: "\n".join(words),
    "bullets": lambda words: "\n".join(f"- {w}" for w in words),
    "stars": lambda words: "\n".join(f"* **{w}**" for w in words),
    "numbers": lambda words: "\n".join(f"{n}. {w}" for n, w in enumerate(words, 1)),
    "brackets": lambda words: "\n".join(f"{n}) {w}" for n, w in enumerate(words, 1)),
    "semicolons": lambda words: "; ".join(words) + ".",
    "quotes": lambda words: ", ".join(f'"{w}"' for w in words),
    "JSON": json.dumps,
    "JSON object": lambda words: json.dumps({"keywords": words}),
    "reasoning first": lambda words: "<think>maybe cats, dogs</think>\n" + ", ".join(words),
}


@pytest.mark.parametrize("form", LISTS)
@given(words=WORDS)
def test_keywords_are_found_in_any_form_of_a_list_in_order_each_once(form, words):
    assert read("keywords", LISTS[form](words)) == words


def test_keywords_of_several_lists_are_those_of_all_and_no_more_than_asked_for():
    answer = "Here are some keywords:\n\n- purring, larynx\n- Larynx\n- sleep"

    assert read("keywords", answer) == ["purring", "larynx", "sleep"]
    assert read("keywords:most=2", answer) == ["purring", "larynx"]


def test_a_sentence_around_the_list_and_a_further_example_are_no_keywords():
    answer = "cats, purring\nThese terms should help you to find what you are looking for in the index\nQuery: dogs\nKeywords: barking"

    assert read("keywords", answer) == ["cats", "purring"]


@pytest.mark.parametrize("answer", ["", " ", "...", '"";', "-\n-"])
def test_no_keyword_is_found_where_there_is_none(answer):
    assert read("keywords", answer) == []


@given(st.lists(SENTENCE, min_size=1, max_size=5, unique_by=lambda s: " ".join(s.split())))
def test_quoted_sentences_are_found_in_order_each_once(sentences):
    answer = "Document 1:\n" + "\n".join(f'- "{s}" is relevant' for s in (*sentences, sentences[0]))

    assert read("quoted", answer) == [" ".join(s.split()) for s in sentences]


def test_a_whole_answer_in_quotes_is_one_quoted_sentence_and_none_without_quotes():
    assert read("quoted", '"Cats purr."') == ["Cats purr."]
    assert read("quoted", "“Cats purr.” and «Dogs bark.»") == ["Cats purr.", "Dogs bark."]
    assert read("quoted", "Cats purr.") == []


@given(st.lists(SENTENCE, min_size=1, max_size=4))
def test_the_texts_of_a_json_object_are_found_also_in_a_fence_and_in_other_text(texts):
    body = json.dumps({f"answer{n}": t for n, t in enumerate(texts, 1)}, indent=1)
    wanted = [" ".join(t.split()) for t in texts]

    for answer in (body, f"```json\n{body}\n```", f"Here are the answers:\n{body}\nI hope this helps!"):
        assert read("json", answer) == wanted
    assert read("json:most=1", body) == wanted[:1]


@pytest.mark.parametrize(
    ("answer", "texts"),
    [
        ('{"answer1": "a", "answer2": "b",}', ["a", "b"]),
        ('{"answer1": "a", "answer2": "b is cut', ["a", "b is cut"]),
        ("{'answer1': 'a'}", ["a"]),
        ('{"answer1": "", "answer2": "b"}', ["b"]),
        ('{"answers": [{"answer": "a"}, {"answer": "b"}]}', ["a", "b"]),
        ('["a", "b"]', ["a", "b"]),
        ("no JSON", []),
        ("{", []),
    ],
)
def test_json_is_mended_where_it_can_be(answer, texts):
    assert read("json", answer) == texts


@given(st.text(max_size=200))
def test_no_answer_makes_a_parser_fail(answer):
    for name in ("text", "keywords", "quoted", "json", "questions"):
        assert all(item.strip() for item in read(name, answer))
    assert read("choice", answer, choices=["Zzzzyx"]) == []


@pytest.mark.parametrize(
    "answer",
    [
        '{"question1": "Why a?", "question2": "Why b?", "question3": "Why c?"}',
        "1. Why a?\n2. Why b?\n3. Why c?\n4. Why d?",
        "Here are three questions:\nQ1: Why a?\nQ2: Why b?\nQ3: Why c?",
        "- Why a?\n- Why b?\n- Why c?",
    ],
)
def test_questions_are_the_first_three_however_they_are_listed(answer):
    assert read("questions", answer) == ["Why a?", "Why b?", "Why c?"]


def test_the_choice_is_the_first_that_the_answer_names_the_longer_one_of_two():
    names = ["Clarify", "Clarify Intent", "Generalization"]

    assert read("choice", 'Pattern: "clarify intent", not Generalization', choices=names) == ["Clarify Intent"]
    assert read("choice", '{"pattern_name": "Generalization"}', choices=names) == ["Generalization"]
    assert read("choice", "None of them.", choices=names) == []


def test_an_unknown_parser_or_parameter_names_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'keywords'"):
        reader_named("keyword")
    with pytest.raises(UnknownNameError, match="did you mean 'most'"):
        reader_named("keywords:mots=3")
    with pytest.raises(ExpandrError, match="wanted a whole number, 0 or more"):
        reader_named("keywords:most=-1")
