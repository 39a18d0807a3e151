"""Say which topics a run and its judgements do not have in common."""

from __future__ import annotations

import logging

from expandr_repro.adapters.ranx import Figures

log = logging.getLogger(__name__)


def warn_of_gaps(label: str, figures: Figures) -> None:
    """Warn of judged topics that a run misses (they score 0) and of topics without judgements (they do not count)."""
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
