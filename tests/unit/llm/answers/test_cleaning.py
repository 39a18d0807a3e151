"""Cleaning, on a table of what models really say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expandr_repro.llm.answers.cleaning import clean

PASSAGE = "Vitamin D is made in the skin under sunlight. It helps the gut take up calcium."
TWO = "Vitamin D is made in the skin.\n\nIt helps the gut take up calcium."

PREAMBLES = [
    "Here is a passage that answers the question:\n\n",
    "Here's a passage to answer the question:\n",
    "Here is a passage: ",
    "Here is a possible passage:\n\n",
    "Here is a passage about vitamin D in the U.S. population:\n\n",
    "Sure! Here is a passage that answers the question:\n\n",
    "Sure, here's a short scientific paper passage that supports the claim:\n\n",
    "Certainly! Below is a passage that answers your query:\n\n",
    "Of course. Here is the passage you asked for:\n\n",
    "Okay, here is a detailed answer:\n",
    "I'd be happy to help! Here is a passage that answers the question:\n\n",
    "Great question! Here's an explanation:\n\n",
    "**Passage:** ",
    "**Passage**: ",
    "Passage: ",
    "Passage:\n",
    "Answer: ",
    "The following is a passage that answers the query:\n\n",
    "This is a passage that answers the question: ",
    "I have written a passage for you:\n\n",
    "Question: what is vitamin d\nPassage: ",
    "Here is a passage that answers the question.\n\n",
    "Here is a passage with the title **Vitamin D**:\n\n",
    "Sure!\n\n",
]

CLOSINGS = [
    "\n\nI hope this helps! Let me know if you have any other questions.",
    "\n\nLet me know if you would like me to add sources.",
    " Let me know if you need more.",
    "\n\nWould you like me to expand on any part of this?",
    "\n\nFeel free to ask if anything is unclear!",
    "\n\nIf you have any further questions, please let me know.",
    "\n\nIf you'd like, I can also list the foods that hold it.",
    "\n\n(Note: This passage is a general summary and no medical advice.)",
    "\n\nNote: the information in this passage is general.",
    "\n\nPlease don't hesitate to ask for more.",
    "\n\nIs there anything else I can help you with?",
    "\n\n[End of passage]",
    "\n\n---\n\nI hope this passage is useful.",
]


@pytest.mark.parametrize("preamble", PREAMBLES)
def test_a_preamble_is_cut_off(preamble):
    assert clean(preamble + PASSAGE).text == PASSAGE


@pytest.mark.parametrize("closing", CLOSINGS)
def test_a_closing_offer_is_cut_off(closing):
    assert clean(PASSAGE + closing).text == PASSAGE


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        (f"<think>\nThe user wants a passage.\n</think>\n\n{PASSAGE}", PASSAGE),
        (f"The user wants a passage.\n</think>\n\n{PASSAGE}", PASSAGE),
        ("<think>\nThe user wants a passage, so I will", ""),
        (f"<thinking>a</thinking>{PASSAGE}<thinking>b</thinking>", PASSAGE),
        (f"<reasoning>hm</reasoning>\n{PASSAGE}", PASSAGE),
        (f"<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>{PASSAGE}", PASSAGE),
    ],
)
def test_reasoning_is_cut_off_even_where_a_tag_is_missing(raw, wanted):
    assert clean(raw).text == wanted


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        (f"```\n{PASSAGE}\n```", PASSAGE),
        (f"```text\n{PASSAGE}\n```", PASSAGE),
        (f"Here is the passage:\n\n```markdown\n{PASSAGE}\n```\n\nI hope this helps!", PASSAGE),
        ("**Vitamin D** is made in the **skin**.", "Vitamin D is made in the skin."),
        ("__Vitamin D__ is made in the skin.", "Vitamin D is made in the skin."),
        ("# Vitamin D\n\nIt is made in the skin.", "Vitamin D\n\nIt is made in the skin."),
        ("- vitamin D\n- sunlight\n* calcium\n• bones", "vitamin D\nsunlight\ncalcium\nbones"),
        ("1. vitamin D\n2. sunlight\n10) calcium", "vitamin D\nsunlight\ncalcium"),
        (f'"{PASSAGE}"', PASSAGE),
        (f"“{PASSAGE}”", PASSAGE),
        (f"'{PASSAGE}'", PASSAGE),
        (f'Here is a passage:\n\n"{PASSAGE}"', PASSAGE),
        (f"{PASSAGE}<|eot_id|>", PASSAGE),
        (f"{PASSAGE}</s>", PASSAGE),
        ("Vitamin D is made in the skin.\r\n\r\n\r\n\r\nIt helps the gut take up calcium.  ", TWO),
        (f"{PASSAGE}\n\nQuery: what is vitamin k\nPassage: Vitamin K is", PASSAGE),
        ("  \n ", ""),
        ("", ""),
    ],
)
def test_markup_is_taken_off(raw, wanted):
    assert clean(raw).text == wanted


@pytest.mark.parametrize(
    "text",
    [
        PASSAGE,
        TWO,
        "Of course the skin makes vitamin D. It needs sunlight.",
        "Certainly vitamin D matters: it helps the gut take up calcium.",
        "Here we describe a randomised trial: 40 adults took vitamin D.",
        "This is the largest study of its kind. It followed 2,000 adults: half took vitamin D.",
        "The answer: it depends. Vitamin D is made in the skin.",
        "1998. A year of little sun. Vitamin D fell.",
        "12. The twelfth chapter is on vitamin D.",
        '"Rickets" is an old word; doctors now say "vitamin D deficiency"',
        "2 * 3 * 4 is 24, and a*b is a product.",
        "Use snake_case_names and __init__ in Python.",
        "If you need calcium, drink milk. If you have osteoporosis, ask your doctor about vitamin D.",
        "Visitors should feel free to explore the market on foot.",
        "Would you like to lose weight? Vitamin D will not do it.",
        "I cannot sleep without the window open, he wrote; the cold air helps.",
        "We are sorry to see coral reefs decline: warming water is the cause.",
        "x < 3 and y > 4 hold in <b>bold</b> places.",
        "He said, \"I hope this war ends.\" Then he left for Paris, where he lived until 1950, writing novels.",
    ],
)  # fmt: skip
def test_what_is_content_stays_as_it_is(text):
    assert clean(text).text == text
    assert not clean(text).refused


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I’m sorry, but I cannot assist with that request.",
        "Sorry, I can't provide that information.",
        "I cannot provide medical advice.",
        "I can't fulfill this request.",
        "I am unable to write a passage on this topic.",
        "I apologize, but I do not have enough information to answer.",
        "As an AI language model, I don't have personal opinions.",
        "I don't have enough information to write this passage.",
        "Unfortunately, I am not able to answer this question.",
        "I won't write that.",
    ],
)
def test_a_refusal_is_flagged(text):
    assert clean(text).refused


def test_the_backend_s_own_word_for_a_refusal_counts():
    assert clean(PASSAGE, "content_filter").refused
    assert clean(PASSAGE, "refusal").refused
    assert not clean(PASSAGE, "length").refused


def test_half_a_surrogate_pair_and_a_nul_do_not_survive():
    assert clean("vitamin\ud800 D\0").text == "vitamin? D"


@given(
    st.lists(
        st.sampled_from([*PREAMBLES, *CLOSINGS, PASSAGE, '"', "**", "- ", "<think>", "</think>", "```\n", "\n", "1. "]),
        max_size=8,
    )
)
def test_cleaning_what_is_clean_changes_nothing(parts):
    once = clean("".join(parts)).text

    assert clean(once).text == once


@given(st.text(max_size=300))
def test_any_text_can_be_cleaned(text):
    result = clean(text)

    assert result.text == result.text.strip()
    result.text.encode()


@pytest.mark.parametrize(
    "text",
    [
        "a " * 20000,
        "Here is " * 5000,
        "I hope " * 5000,
        "**" * 10000,
        "<think>" * 5000,
        "\n" * 20000,
        "1. x\n" * 5000,
        "x" + "\n" * 20000 + "y",
        "x" + " " * 20000 + "y",
        "x" + "\n " * 20000 + "y",
        "i will" + " " * 20000 + "x",
        "here" + " " * 20000 + "is" + " " * 20000,
        "\nquery" + " " * 20000 + "x",
        "the following is " + "A." * 10000,
        "\nI hope this helps" * 1000 + "x",
        "\ni" + " " * 20000 + "hope",
        "__" + "a " * 20000,
        "x" + "\x0b\n" * 20000 + "y",
        "Let me know\n" * 2000,
    ],
)
def test_long_texts_do_not_take_long(text):
    import time

    start = time.process_time()
    clean(text)

    assert time.process_time() - start < 2
