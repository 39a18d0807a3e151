"""The options of `evaluate`, and those that it shares with `compare` and `report`."""

from __future__ import annotations

from dataclasses import dataclass

from expandr_repro.console.options import Options, option
from expandr_repro.console.tables import FORMATS
from expandr_repro.evaluate.metrics import DEFAULT

METRICS = ",".join(DEFAULT)
QRELS = "relevance judgments: a file, a collection, irds:... or a Pyserini name"


@dataclass(frozen=True)
class EvaluateRequest(Options):
    """What is to be evaluated, and how."""

    runs: tuple[str, ...] = option(argument=True, metavar="RUN", help="TREC run files, plain or gzipped")
    qrels: str = option(metavar="Q", help=QRELS)
    metrics: str = option(METRICS, metavar="M", help="nDCG@k, R@k, P@k, Success@k, Judged@k, MAP[@k], MRR[@k]; (rel=2) sets the least relevant grade in place of the collection's")  # fmt: skip
    per_topic: bool = option(False, help="print each topic's scores as well")
    format: str = option("text", choices=FORMATS)
