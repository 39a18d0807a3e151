"""Make a report of runs as one page, which a notebook shows inline."""

from __future__ import annotations

import html
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from expandr_repro.api.calls import api, takes
from expandr_repro.api.indexes import name_of
from expandr_repro.api.inputs import by_name
from expandr_repro.api.qrels import Qrels, load_qrels
from expandr_repro.api.retrieval import Run, load_run
from expandr_repro.api.scores import measures_of
from expandr_repro.api.topics import Topics
from expandr_repro.console.parsing import with_options
from expandr_repro.data.trec import write_qrels
from expandr_repro.errors import ExpandrError, shown
from expandr_repro.io.files import atomic_text
from expandr_repro.io.outputs import PAGE
from expandr_repro.report.options import ReportRequest


@dataclass(frozen=True)
class Page:
    """A report as one self-contained HTML page.

    Attributes:
        html: the page.
    """

    html: str = field(repr=False)

    @api
    def save(self, path: str | Path) -> None:
        """Write the page.

        Raises:
            SetupError: the place cannot be written, or another file is there.
        """
        with atomic_text(path, kind=PAGE) as file:
            file.write(self.html)

    def _repr_html_(self) -> str:
        frame = 'style="width: 100%; height: 40em; border: 1px solid #8888" sandbox="allow-scripts"'
        return f'<iframe srcdoc="{html.escape(self.html)}" {frame}></iframe>'


@api
@takes(ReportRequest, "depth", "words", "title")
def report_page(
    runs: Mapping[str, Run | Any],
    topics: Topics,
    qrels: Qrels | Any = None,
    *,
    metrics: str | Sequence[str] | None = None,
    **options: Any,
) -> Page:
    """Make a report of runs: their scores, differences per topic, and rankings, as the command `report` does.

    Args:
        runs: name -> run, the first being the baseline.
        topics: the searched topics, from `load_topics`.
        qrels: default: those of the topics.
        metrics: default: the collection's.
        **options: those of the command `report`.

    Raises:
        ExpandrError: fewer than two runs, or topics that do not come from a name or a file.

    Example:
        >>> topics = ex.load_topics("pocket", limit=3)
        >>> index = ex.open_index("pocket")
        >>> runs = {fusion: ex.retrieve(topics, index, fusion=fusion, hits=10) for fusion in ("none", "mean")}
        >>> ex.report_page(runs, topics, metrics="nDCG@10").html[:15]
        '<!doctype html>'
    """
    from expandr_repro.report.gathering import gather
    from expandr_repro.report.studies import study_of
    from expandr_repro.report.writing import page

    request = with_options(ReportRequest, options)
    runs = by_name(runs)
    for name in runs:
        if not name.strip() or set(name) & set("/\\\0"):
            raise ExpandrError(f"runs: the name {shown(name)} is empty or has a slash; give the runs plain names")
    if not isinstance(topics, Topics):
        raise ExpandrError(f"topics {shown(topics)}: wanted what load_topics or Topics returns")
    judged = topics.qrels if qrels is None else load_qrels(qrels)
    measures = measures_of(metrics, judged)
    corpus = None if topics._corpus is None else name_of(topics._corpus)
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder, f"{name}.trec")) for name in runs]
        for path, run in zip(paths, runs.values(), strict=True):
            load_run(run).save(path)
        write_qrels(Path(folder, "qrels.txt"), judged)
        named = topics._name or str(Path(folder, "topics.jsonl"))
        if not topics._name:
            topics.save(named)
        study = study_of(paths, str(Path(folder, "qrels.txt")), named, corpus)
        sheet = gather([study], measures, request.depth, request.words)
    return Page(page(sheet, request.title or f"Runs compared: {topics.label}"))
