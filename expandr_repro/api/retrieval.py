"""Retrieve documents for topics from an index, with the search of the command `search`."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expandr_repro.api.calls import api, takes
from expandr_repro.api.indexes import Index, open_index
from expandr_repro.api.inputs import nested
from expandr_repro.api.tables import SHOWN, table
from expandr_repro.api.topics import MEMORY, Topics, as_topics
from expandr_repro.console.parsing import with_options
from expandr_repro.console.progress import counted
from expandr_repro.data.overlap.trained_on import record_beside, write_record
from expandr_repro.data.trec import check_tag, read_run, run_writer
from expandr_repro.evaluate.run_facts import facts_beside
from expandr_repro.evaluate.seen import Overlap, overlap_beside
from expandr_repro.io.manifest import RUN_HASH
from expandr_repro.search.gate.choose import Choice
from expandr_repro.search.options import SearchRequest
from expandr_repro.search.outputs import beside_run, check_run
from expandr_repro.search.run import Given, final_ranking, search

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

SCORES = frozenset({"score", "similarity", "value"})

TAG = "expandr_repro"


class Run(dict[str, dict[str, float]]):
    """A run: qid -> docid -> score, each topic's documents by descending score, ties by docid.

    Args:
        data: a dict of dicts, a DataFrame with the columns `qid`, `docid` and `score`, or the path of a TREC run.

    Attributes:
        manifest: all that made the run, as the manifest next to its file has it; empty where that is not known.

    Raises:
        FormatError: an id or a score is none.

    Example:
        >>> ex.Run({"q1": {"d2": 0.5, "d1": 0.75}})
        {'q1': {'d1': 0.75, 'd2': 0.5}}
    """

    @api
    def __init__(self, data: Any = ()) -> None:
        self.manifest: dict[str, Any] = {}
        self._overlap: Overlap | None = None
        self._choices: list[Choice] | None = None
        if isinstance(data, str | Path):
            super().__init__(read_run(data))
            self.manifest, self._overlap = facts_beside(data), overlap_beside(data, facts_beside(data))
        else:
            super().__init__(final_ranking(nested(data, "run", SCORES, float)) if not isinstance(data, tuple) else ())
        self._digest = self._content()

    @classmethod
    def _of(cls, run: Mapping[str, dict[str, float]], manifest: dict[str, Any], overlap: Overlap | None) -> Run:
        own = cls()
        own.update(run)
        own.manifest, own._overlap, own._digest = manifest, overlap, own._content()
        return own

    def _content(self) -> int:
        return hash(tuple((qid, tuple(ranked.items())) for qid, ranked in self.items()))

    def _checked(self) -> Run:
        """Return the run as it is, or where it was changed since it was made with what was put in checked, and in order.

        Raises:
            FormatError: an id or a score is none.
        """
        if self._content() == self._digest:
            return self
        fresh = Run._of(final_ranking(nested(self, "run", SCORES, float)), self.manifest, self._overlap)
        fresh._digest, fresh._choices = self._digest, self._choices
        return fresh

    @api
    def save(self, path: str | Path, *, tag: str = TAG) -> None:
        """Write the run as a TREC file with its manifest next to it, as the command `search` writes them.

        Args:
            path: of the file; .gz compresses.
            tag: the last column.

        Raises:
            SetupError: the place cannot be written, or something else than a run is there.
            FormatError: an id or a score that was put in is none.
        """
        path = Path(path)
        check_tag(tag, "tag")
        check_run(path, option="path")
        facts = {k: v for k, v in self.manifest.items() if k not in ("kind", "made_by", "tag", RUN_HASH)}
        overlap, choices, checked = self._overlap, self._choices, self._checked()
        if facts and self._content() != self._digest:
            log.warning("%s: the run was changed since it was retrieved or loaded, so its manifest is left out", path)
            facts, overlap, choices = {}, None, None
        with run_writer(path, tag, about=beside_run(path, tag, lambda: (facts, overlap, choices))) as write:
            write(checked)

    def to_pandas(self) -> pd.DataFrame:
        """Return a DataFrame with the columns `qid`, `docid`, `rank` (from 1) and `score`.

        Example:
            >>> ex.Run({"q1": {"d1": 0.75}}).to_pandas().values.tolist()
            [['q1', 'd1', 1, 0.75]]
        """
        import pandas as pd

        rows = [(q, d, rank, s) for q, ranked in self.items() for rank, (d, s) in enumerate(ranked.items(), start=1)]
        return pd.DataFrame(rows, columns=["qid", "docid", "rank", "score"])

    def _caption(self) -> str:
        made_by = ", ".join(str(self.manifest[k]) for k in ("topics", "retriever", "fusion") if k in self.manifest)
        return f"Run{f' ({made_by})' if made_by else ''}: {counted(len(self), 'topic')}"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Print a summary in IPython, which would otherwise print every score."""
        printer.text(f"<{self._caption()}>")

    def _repr_html_(self) -> str:
        rows = [[q, *next(iter(ranked.items()), ("-", "-")), len(ranked)] for q, ranked in list(self.items())[:SHOWN]]
        return table(self._caption(), ["qid", "first document", "score", "documents"], rows)


@api
def load_run(path: str | Path | Any) -> Run:
    """Load a run from a TREC file, a dict of dicts or a DataFrame.

    Raises:
        FormatError: the file is not a run.

    Example:
        >>> ex.load_run({"q1": {"d1": 0.75}})
        {'q1': {'d1': 0.75}}
    """
    return path._checked() if isinstance(path, Run) else Run(path)


@api
@takes(
    SearchRequest, "fusion", "gate", "alpha", "repeat", "rrf_k", "feedback_depth", "types", "k1", "b", "hits", "remove_query", "search_params", "batch_size", "threads"
)  # fmt: skip
def retrieve(topics: Topics | Any, index: Index | Any, **options: Any) -> Run:
    """Retrieve documents for topics, with a fusion of each query and its expansions.

    Args:
        topics: of `load_topics`, `generate` or `Topics`, or what `Topics` takes.
        index: of `open_index`, or what `open_index` takes.
        **options: those of the command `search`.

    Returns:
        The run; its `save` writes what the command `search` writes.

    Raises:
        UnknownNameError: no such fusion or keyword; offers the nearest.
        ExpandrError: a keyword does not apply to this fusion, or topics and index do not belong together.

    Example:
        >>> topics = ex.load_topics("pocket")
        >>> run = ex.retrieve(topics, ex.open_index(topics.corpus), fusion="mean", hits=100)
        >>> round(ex.score(run, topics.qrels, ["nDCG@10"])["nDCG@10"], 4)
        0.7922
    """
    topics, index = as_topics(topics), index if isinstance(index, Index) else open_index(index)
    qrels = topics._qrels
    request = with_options(
        SearchRequest,
        options,
        topics=topics._name,
        expansions=tuple(topics._sources),
        index=index._names or (index.name,),
        qrels=(qrels.name or None) if qrels else None,
        retriever=index.retriever,
        baseline=False,
    )
    # parameters of a search stay with an index that is open, so such a search opens it anew
    opened = None if request.search_params else index._faiss
    known = Given(topics._set, topics._joined, qrels, qrels.level if qrels else None, opened)
    with tempfile.TemporaryDirectory() as folder:
        if topics._own:
            file = Path(folder, MEMORY)
            known = replace(known, files=(file,) if any(t.texts for t in topics) and request.fusion != "none" else ())
            if topics._trained_on:
                write_record(record_beside(file), topics._trained_on)
        outcome = search(request, index.encoder, given=known)
    run = Run._of(outcome.run, outcome.facts, outcome.overlap)
    run._choices = outcome.choices
    return run
