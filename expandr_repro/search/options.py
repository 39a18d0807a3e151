"""The options of `search`, and when they apply."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from expandr_repro.console.options import Bounded, Options, When, dry_run, included, natural, option, positive, size
from expandr_repro.console.tables import FORMATS
from expandr_repro.data.specs import datasets, members_of
from expandr_repro.data.topics import TYPES
from expandr_repro.encoders.options import EncoderOptions
from expandr_repro.engines.options import EngineOptions
from expandr_repro.errors import ExpandrError
from expandr_repro.registry import Parameter, Within
from expandr_repro.search.fusion import Fusion, fusion_named, listed
from expandr_repro.search.gate import GATES

HITS = 10
"""Documents shown for a query typed by hand, where no other number is asked for."""


def fusion_is(*names: str) -> Callable[[Any], bool]:
    """Hold where the fusion is one of some, or not known yet."""
    return lambda options: (chosen := _chosen(options)) is None or chosen.name in names


def _chosen(options: SearchRequest) -> Fusion | None:
    """Return the fusion asked for; None where none is, or it is refused later for what it is."""
    try:
        return fusion_named(options.fusion, options.retriever) if options.fusion else None
    except ExpandrError:
        return None


def _parameters(fusion: Fusion) -> str:
    """Return a fusion's parameters with their defaults for the help, in brackets."""
    listed_values = [", ".join(f"{p.name}={'none' if p.default is None else p.default}" for p in way.parameters.values()) for way in (fusion, *fusion.others)]  # fmt: skip
    return f" [{'; for bm25 '.join(filter(None, listed_values))}]" if any(listed_values) else ""


def _more(parameters: Mapping[str, Parameter]) -> str:
    """Return a gate's parameters besides the threshold with their defaults for the help, in brackets."""
    others = ", ".join(f"{p.name}={p.default}" for p in parameters.values() if p.name != "threshold")
    return f" [{others}]" if others else ""


def _expands(options: SearchRequest) -> bool:
    return (chosen := _chosen(options)) is None or chosen.expands


def _exports(options: SearchRequest) -> bool:
    return (
        options.retriever == "dense"
        and options.gate is None
        and ((chosen := _chosen(options)) is None or chosen.one_query)
    )


def _builds_index(options: SearchRequest) -> bool:
    """Return whether an index is built on demand: what is named is neither a folder of one nor one of Pyserini's."""
    if not options.index or options.index[0] in datasets():
        return True
    from expandr_repro.indexes.faiss_index import is_faiss_folder
    from expandr_repro.pyserini import registry

    named = options.index[0]
    if len(options.index) > 1 or is_faiss_folder(Path(named)) or named in registry.faiss_indexes():
        return False
    from expandr_repro.indexes.parted import parts_of

    return not parts_of(named)


def _in_parts(options: SearchRequest) -> bool:
    """Return whether several indexes are searched as one, as far as what is named is there."""
    if len(options.index) != 1:
        return bool(options.index)
    from expandr_repro.data.collections import collection_meant
    from expandr_repro.indexes.parted import parts_of
    from expandr_repro.pyserini import registry

    named = options.index[0]
    if Path(named).exists():
        return bool(parts_of(named))
    return collection_meant(named) is None and named not in registry.faiss_indexes()  # else refused as not there


K1, B = Bounded(float, Within(0)), Bounded(float, Within(0, 1))
"""What Lucene takes."""

WITH_DENSE = "with --retriever dense"
DENSE = When(WITH_DENSE, lambda options: options.retriever == "dense")
BM25 = When("with --retriever bm25", lambda options: options.retriever == "bm25")
TOPICS = When("to topics, not with --query", lambda options: options.query is None)
OURS = When(f"{WITH_DENSE} and --searcher expandr", lambda options: options.retriever == "dense" and options.searcher == "expandr")  # fmt: skip

HERE = When("without --engine: each worker keeps its part open", lambda options: options.engine.engine is None)

what, how, out = (partial(option, group=title) for title in ("what", "how", "output"))


@dataclass(frozen=True)
class SearchRequest(Options):
    """What is to be searched, and how."""

    topics: str = what("", metavar="T", help="a collection (pocket, scifact, scifact/train, irds:..., a Pyserini name), a topics file, or a BEIR folder",
                       applies=When("without --query, or with it in place of --index", lambda options: options.query is None or not options.index))  # fmt: skip
    query: str | None = what(None, metavar="S", help=f"in place of topics: a single query; prints its best documents ({HITS}, or --hits) with their titles")  # fmt: skip
    expansion_text: tuple[str, ...] = what((), metavar="S", again=True, help="an expansion of --query, which is then searched without and with it; may be repeated",
                                           applies=When("with --query", lambda options: options.query is not None))  # fmt: skip
    expansions: tuple[str, ...] = what((), metavar="X", help="augmented topics files, or packaged sets (claude.q2d), joined to the topics by qid; a topic in several of them gets all its texts",
                                       applies=(TOPICS, When("with a fusion that uses expansions, not with --fusion none or feedback", _expands)))  # fmt: skip
    types: str | None = what(None, metavar="T", help=f"types of expansions to use, separated by commas: {', '.join(TYPES)} (default: keywords for bm25, passages for dense, questions and rewrites for both; all of them if a topic has none of these)",
                             applies=(TOPICS, When("with a fusion that uses expansions, not with --fusion none or feedback", _expands)))  # fmt: skip
    limit: int | None = what(None, metavar="N", parse=positive, help="search only the first N topics", applies=TOPICS)
    qids: str | None = what(None, metavar="IDS", help="search only these topics: a file with one id per line, or ids separated by commas",
                            applies=(TOPICS, When("to a single collection, not to a group", lambda options: not members_of(options.topics))))  # fmt: skip
    index: tuple[str, ...] = what((), metavar="I", help="an index folder, a Pyserini prebuilt index, a collection or a corpus (default: the topics' collection, built once); several index folders, or a folder of them, are searched as one")  # fmt: skip
    qrels: str | None = what(None, metavar="Q", help="relevance judgments: a file, a collection, irds:... or a Pyserini name (default: the collection's)", applies=TOPICS)  # fmt: skip
    retriever: str = how(
        "dense", choices=("dense", "bm25"), help="dense retrieval with an encoder, or BM25 (default: {default})"
    )
    fusion: str | None = how(None, metavar="F", help="NAME or NAME:PARAMETER=VALUE,...; " + "; ".join(f"{f.name}: {f.summary}{_parameters(f)}" for f in listed())
                             + " (default: the fusion of the method that wrote the expansions, else mean or repeat if topics have expansions, else none)")  # fmt: skip
    alpha: float | None = how(None, metavar="A", help="the same as --fusion mean:alpha=A (default: all texts weigh the same)", applies=When("with --fusion mean", fusion_is("mean")))  # fmt: skip
    repeat: int | None = how(None, metavar="N", parse=positive, help="the same as --fusion repeat:n=N (default: 5)", applies=When("with --fusion repeat", fusion_is("repeat")))  # fmt: skip
    rrf_k: int | None = how(None, metavar="K", parse=positive, help="the same as --fusion rrf:k=K (default: 60)", applies=When("with --fusion rrf", fusion_is("rrf")))  # fmt: skip
    feedback_depth: int | None = how(None, metavar="N", parse=positive, help="the same as --fusion rocchio:depth=N or average:depth=N (default: 3)",
                                     applies=When(f"{WITH_DENSE} and --fusion rocchio or average", lambda options: options.retriever == "dense" and fusion_is("rocchio", "average")(options)))  # fmt: skip
    gate: str | None = how(None, metavar="G", help="choose per topic between the query alone and the fusion: NAME, NAME:THRESHOLD or NAME:PARAMETER=VALUE,..., or the .json file of a learned gate (see `gate fit`; weight=true weights the query in place of choosing); "
                           + "; ".join(f"{g.name}: {g.summary}, {g.side} {g.threshold:g}{_more(g.parameters)}" for g in GATES.values()),
                           applies=(TOPICS, When("with a fusion that uses expansions, not with --fusion none or feedback", _expands)))  # fmt: skip
    k1: float = how(0.9, parse=K1, help="of BM25", applies=BM25)
    b: float = how(0.4, parse=B, help="of BM25", applies=BM25)
    hits: int | None = how(None, metavar="K", parse=positive, help="documents per topic (default: 1000, or all)")
    remove_query: bool | None = how(None, help="remove a document with the topic's own id, before the cut at --hits (default: as is usual for the collection)", applies=TOPICS)  # fmt: skip
    threads: int = how(0, metavar="N", parse=natural, help="(default: all processors)")
    max_memory: int | None = how(None, metavar="SIZE", parse=size, help="memory limit for several indexes, e.g. 2GiB: if they take more together, they are opened and searched one after another (default: all are open at once)",
                                 applies=(DENSE, When("where --index names several indexes, or a folder of them", _in_parts), HERE))  # fmt: skip
    batch_size: int = how(1024, metavar="N", parse=positive, help="topics searched together", applies=OURS)
    vector_cache: bool = how(True, "--no-vector-cache", help="encode all queries and expansions; neither read nor write the cache of their vectors", applies=DENSE)  # fmt: skip
    searcher: str = how("expandr", choices=("expandr", "pyserini"), help="pyserini: the same search through stock FaissSearcher or LuceneSearcher (default: {default})")  # fmt: skip
    factory: str = how("Flat", metavar="S", help="Faiss factory string of an index built on demand (default: {default}, exact)",
                       applies=When(f"{WITH_DENSE} where the index is built on demand; an index that is there already has its own", lambda options: options.retriever == "dense" and _builds_index(options)))  # fmt: skip
    search_params: str | None = how(None, metavar="S", help="search parameters of an approximate Faiss index, separated by commas, e.g. nprobe=32 (IVF) or efSearch=128 (HNSW)",
                                    applies=When("", OURS.holds, lambda _: ": is for Faiss indexes that --searcher expandr searches; leave it out"))  # fmt: skip
    encoder: EncoderOptions = included(EncoderOptions, "encoder", applies=DENSE)
    engine: EngineOptions = included(EngineOptions, "several machines", applies=OURS)
    output: str | None = out(None, metavar="RUN", help="TREC run to write (.gz compresses); for a group of collections a folder", applies=TOPICS)  # fmt: skip
    tag: str = out("expandr_repro", parse=str, help="run tag, the last column of the run", applies=(TOPICS, When("with --output", lambda options: bool(options.output))))  # fmt: skip
    metrics: str | None = out(None, metavar="M", help="metrics, e.g. nDCG@10,R@100,MAP,MRR@10,P@5 (default: the collection's)",
                              applies=(TOPICS, When("where relevance judgments are known; give --qrels", lambda options: options.judged is not False)))  # fmt: skip
    baseline: bool = out(True, "--no-baseline", help="do not search the query alone next to the fusion", applies=TOPICS)
    format: str = out("text", choices=FORMATS, help="format of the summary")
    dry_run: bool = dry_run("output")
    export_queries: str | None = out(None, metavar="FOLDER", help="write the query vectors for stock pyserini.search.faiss --encoded-queries",
                                     applies=(TOPICS, When("to a dense fusion that searches one vector per topic, without --gate", _exports)))  # fmt: skip
    judged: bool | None = None
    """Whether relevance judgments are known; None before the topics are read."""

    @property
    def stock(self) -> bool:
        """Whether Pyserini's own searchers search."""
        return self.searcher == "pyserini"
