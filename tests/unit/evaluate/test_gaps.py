import logging

import pytest

from expandr_repro.errors import MismatchError
from expandr_repro.evaluate.gaps import ENOUGH, warn_of_gaps
from expandr_repro.evaluate.metrics import parse_measures
from expandr_repro.evaluate.scoring import evaluate

JUDGED = {str(n): {f"d{n}": 1} for n in range(ENOUGH)}


def figures(document, topics=ENOUGH):
    return evaluate({str(n): {document(n): 1.0} for n in range(topics)}, JUDGED, parse_measures("nDCG@10"))


def test_a_run_without_any_judged_document_is_refused():
    with pytest.raises(MismatchError, match=f"for {ENOUGH} judged topics is judged for any topic"):
        warn_of_gaps("x", figures(lambda n: f"other{n}"))


def test_what_a_search_of_the_judged_collection_found_is_never_refused(caplog):
    with caplog.at_level(logging.WARNING):
        warn_of_gaps("x", figures(lambda n: f"unjudged{n}"), searched=True)
    assert caplog.messages == ["x: none of the documents it ranks is judged for its topic"]


def test_a_run_with_the_judged_documents_of_other_topics_is_poor_and_not_refused(caplog):
    with caplog.at_level(logging.WARNING):
        warn_of_gaps("x", figures(lambda n: f"d{(n + 1) % ENOUGH}"))
    assert caplog.messages == ["x: none of the documents it ranks is judged for its topic"]


def test_a_few_topics_are_too_few_to_refuse(caplog):
    with caplog.at_level(logging.WARNING):
        warn_of_gaps("x", figures(lambda n: f"other{n}", ENOUGH - 1))
    assert "is it a run on another collection?" in caplog.messages[0]


def test_a_single_judged_document_ends_all_doubt(caplog):
    with caplog.at_level(logging.WARNING):
        warn_of_gaps("x", figures(lambda n: "d3"))
    assert caplog.messages == []
