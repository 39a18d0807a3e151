"""Say what a run and its judgements do not have in common; refuse the two where it is everything."""

from __future__ import annotations

import logging

from expandr_repro.adapters.ranx import Figures
from expandr_repro.core.errors import MismatchError

log = logging.getLogger(__name__)

ENOUGH = 10
"""So many judged topics, and among all documents ranked for them not one that is judged for any topic, are no bad luck: run and judgements
are of different collections. A poor encoder may well miss what is judged for the topic itself, everywhere."""


def warn_of_gaps(label: str, figures: Figures, searched: bool = False) -> None:
    """Warn of judged topics that a run misses (they score 0) and of topics without judgements (they do not count).

    Args:
        label: what to call the run.
        figures: its figures.
        searched: it comes from an index that is known to hold judged documents, so that it is poor where it finds none.

    Raises:
        MismatchError: ids of topics are all that run and judgements share.
    """
    if figures.ranked and not figures.met:
        if figures.ranked >= ENOUGH and not figures.known and not searched:
            raise MismatchError(
                f"{label}: of the documents it ranks for {figures.ranked} judged topics not one is judged for any topic; the run is of another "
                "collection than the judgements"
            )
        doubt = "" if figures.known or searched else "; is it a run on another collection?"
        log.warning("%s: none of the documents it ranks is judged for its topic%s", label, doubt)
    if figures.missing:
        log.warning(
            "%s: %d judged topics are not in the run and score 0 (first: %s)",
            label,
            len(figures.missing),
            figures.missing[0],
        )
    if figures.unjudged:
        log.warning(
            "%s: %d topics have no judgements and do not count (first: %s)",
            label,
            len(figures.unjudged),
            figures.unjudged[0],
        )
