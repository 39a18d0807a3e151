"""Load relevance judgments by name or from memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from expandr_repro.api.calls import api
from expandr_repro.api.inputs import from_one, nested
from expandr_repro.data.collections import collection_meant, find_qrels, relevance_level
from expandr_repro.errors import ExpandrError
from expandr_repro.evaluate.metrics import DEFAULT
from expandr_repro.io.columns import GRADES


class Qrels(dict[str, dict[str, int]]):
    """Relevance judgments, qid -> docid -> grade, with their collection's relevance level and metrics.

    Args:
        data: a dict of dicts, or a DataFrame with columns such as `qid`, `docid` and `grade`.
        level: the least grade that counts as relevant.
        metrics: default metrics of `score`.
        name: name of the collection or the file; empty for data in memory.

    Example:
        >>> ex.Qrels({1: {"d1": 2, "d2": 0}})
        {'1': {'d1': 2, 'd2': 0}}
    """

    def __init__(self, data: Any = (), level: int = 1, metrics: Sequence[str] = DEFAULT, name: str = "") -> None:
        given = nested(data or {} if not hasattr(data, "columns") else data, "qrels", GRADES, int)
        super().__init__({qid: judged for qid, judged in given.items() if judged})
        self.level = from_one("level", level)
        self.metrics: tuple[str, ...] = (metrics,) if isinstance(metrics, str) else tuple(metrics)
        self.name: str = name


@api
def load_qrels(name: str | Path | Any) -> Qrels:
    """Load relevance judgments by a collection's name, a path, or from memory.

    Args:
        name: `scifact`, `scifact/train`, a TREC or BEIR file, `irds:...`, a Pyserini name, a dict of dicts, or a DataFrame.

    Raises:
        UnknownNameError: nothing has that name.
        FormatError: the file or the data is malformed.

    Example:
        >>> len(ex.load_qrels("pocket"))
        72
    """
    if isinstance(name, Qrels):
        return name
    if not isinstance(name, str | Path):
        if not (qrels := Qrels(name)):
            raise ExpandrError("the qrels contain no relevance judgments; wanted a grade for one document or more")
        return qrels
    known = collection_meant(str(name))
    metrics = known.spec.measures if known else DEFAULT
    return Qrels(find_qrels(str(name)), relevance_level(str(name)), metrics, str(name))
