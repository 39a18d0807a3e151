"""Report runs that are shallower than a metric looks, and runs of different depths that are compared."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from expandr_repro.evaluate.metrics import Measure
from expandr_repro.evaluate.scoring import Figures

log = logging.getLogger(__name__)


def warn_of_depth(label: str, measures: Sequence[Measure], depth: int, documents: int | None = None) -> None:
    """Warn where a run has fewer documents per topic than a metric looks at, so that the metric says less than its name.

    Args:
        label: what to call the run.
        measures: what is scored.
        depth: the most documents that it has for a topic.
        documents: of the collection, where known: a run that ranks all of them, or all but the topic's own, is as deep as can be.
    """
    short = [m for m in measures if m.depth and depth < m.depth]
    if short and depth and (documents is None or depth < documents - 1):
        log.warning(
            "%s: ranks at most %d document%s per topic, and %s %s counted on these alone, below what a deeper run has; search with --hits %d or more",
            label,
            depth,
            "" if depth == 1 else "s",
            ", ".join(map(str, short[:-1])) + (" and " if short[1:] else "") + str(short[-1]),
            "is" if len(short) == 1 else "are",
            max(m.depth or 0 for m in short),
        )


def depth_faults(scores: Mapping[str, Figures], measures: Sequence[Measure]) -> list[str]:
    """Return a sentence for each metric that runs of different depths make incomparable.

    Args:
        scores: run name -> its scores.
        measures: what is compared.
    """
    faults = []
    for measure in measures:
        depths = {name: min(f.depth, measure.depth or f.depth) for name, f in scores.items() if f.depth}
        if depths and min(depths.values()) < max(depths.values()):
            least, most = min(depths, key=lambda n: depths[n]), max(depths, key=lambda n: depths[n])
            # a metric without a depth looks at all there is, which is little where a run was cut, and right where no more was found
            if not measure.depth and scores[least].full * 2 <= scores[least].ranked:
                continue
            faults.append(
                f"{measure} is not comparable: {least} ranks at most {scores[least].depth} documents per topic, {most} {scores[most].depth}; "
                "the difference is one of depth. Search both with the same --hits"
            )
    return faults
