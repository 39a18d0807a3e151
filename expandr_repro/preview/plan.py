"""Show what a command would read, fetch, build, run and write (`--dry-run`), without a network."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expandr_repro.console.tables import Table
from expandr_repro.console.terminal import printable
from expandr_repro.data.collections import place_of, unknown
from expandr_repro.data.specs import EncoderSpec, collection_named, datasets, encoder_spec, encoders
from expandr_repro.encoders.checkpoints.checkpoint import locate
from expandr_repro.encoders.loading import plugin_named, unknown_encoder
from expandr_repro.errors import ExpandrError, NotAvailableError, UnknownNameError
from expandr_repro.indexes.faiss_index import is_faiss_folder
from expandr_repro.indexes.lucene import is_lucene_folder
from expandr_repro.indexes.parted import parts_of, refuse_sparse
from expandr_repro.io.paths import cache_dir, data_dir
from expandr_repro.llm.base import BACKENDS
from expandr_repro.preview.downloads import Download, hub_download, irds_download, pyserini_evaluation, pyserini_index

log = logging.getLogger(__name__)

HEADER = ("step", "what", "name", "place", "size", "checksum", "by")

IRDS = {"topics": "queries", "qrels": "qrels", "documents": "docs"}


@dataclass(frozen=True)
class Step:
    """One line of a dry run; `size` in bytes, None where nothing states it."""

    step: str
    what: str
    name: str
    place: str
    size: int | None = None
    checksum: str = ""
    by: str = ""


def search(request: Any) -> int:
    """Print what `search` would do on a `SearchRequest`."""
    steps = []
    if request.query is not None:
        if not (where := request.index or request.topics):
            raise ExpandrError(
                "--query: which documents? give --index: an index folder, a collection's name or a corpus"
            )
        steps += _index(where, request.retriever)
    else:
        known = collection_named(request.topics)
        for name in known.spec.members if known and known.spec.members else [request.topics]:
            steps += _searched(request, name)
    for source in request.expansions:
        steps.append(_expansions(source))
    if request.retriever == "dense":
        steps.append(_encoder(request.encoder.name))
        _warn_of_other_encoder(request.index[0] if request.index else None, request.encoder.name)
    fusion = (
        request.fusion
        or f"{'mean' if request.retriever == 'dense' else 'repeat'} where topics have expansions, else none"
    )
    steps.append(
        _run(
            "search", f"{request.retriever}, fusion {fusion}, {request.hits or 1000} hits, searcher {request.searcher}"
        )
    )
    return _show(steps, request.output, request.format)


def _searched(request: Any, name: str) -> Iterator[Step]:
    yield _resource("topics", name)
    tells = collection_named(name) or Path(name).is_dir()
    if request.qrels or collection_named(name) or (Path(name) / "qrels").is_dir():
        yield _resource("qrels", request.qrels or name)
    if not request.index and not tells:
        raise ExpandrError(
            f"{name}: which documents? give --index: an index folder, a collection's name, a corpus, or a Pyserini prebuilt index"
        )
    yield from _index(request.index or name, request.retriever)


def encode(request: Any) -> int:
    """Print what `encode` would do on an `EncodeRequest`."""
    if request.merge:
        steps = [_read("index", shard, Path(shard)) for shard in request.merge]
        steps.append(_run("merge", f"{len(request.merge)} shards, {request.factory}"))
        return _show(steps, str(request.output), "text")
    if request.export:
        steps = [_read("index", index, Path(index)) for index in request.export]
        return _show([*steps, _run("export", "docids and vectors to Parquet")], str(request.output), "text")
    steps = [_resource("documents", request.corpus)]
    if request.retriever == "dense":
        steps += [
            _encoder(request.encoder.name),
            _run("encode", f"Faiss {request.factory}, {request.encoder.precision}, device {request.encoder.device}"),
        ]
    else:
        steps.append(_run("index", "Lucene, with document vectors" if request.feedback else "Lucene"))
    return _show(steps, str(request.output), "text")


def expand(request: Any) -> bool:
    """Print what `expand` would do on an `ExpandRequest`; tell whether its topics are on this machine, so that requests can be counted."""
    steps = [_resource("topics", request.topics)]
    takes = BACKENDS.find(request.backend).options
    if "base_url" in takes:
        steps.append(
            _run(
                "ask",
                f"model {request.generator.model} at {', '.join(request.generator.base_url or ['$OPENAI_BASE_URL, else the default of the client'])}",
            )
        )
    elif "precision" in takes:
        steps += [
            _model(request.generator.model, request.generator.revision),
            _run("generate", f"{request.backend}, device {request.generator.device}"),
        ]
    else:
        steps.append(_run("generate", f"{request.backend}, model {request.generator.model}"))
    here = steps[0].step == "read"
    if request.format == "text" or not here:  # else the one table is that of the requests
        _show(steps, request.output and str(request.output), request.format)
    return here


def _show(steps: list[Step], output: str | None, form: str) -> int:
    if output:
        steps.append(Step("write", "output", Path(output).name, output))
    steps = list(dict.fromkeys(steps))
    if form != "text":
        print(Table(HEADER, [tuple(vars(s).values()) for s in steps]).render(form))
        return 0
    for s in steps:
        facts = [s.name, "" if s.size is None else _size(s.size), s.checksum, f"(by {s.by})" if s.by else ""]
        print(printable(f"{s.step:<6} {s.what:<11} {'  '.join(filter(None, facts))}"))
        if s.place and s.place != s.name:
            print(printable(f"{'':<19}{s.place}"))
    fetched = list({s.place: s.size for s in steps if s.step == "fetch"}.values())  # one archive may hold several
    unknown = sum(size is None for size in fetched)
    total = f"{_size(sum(size or 0 for size in fetched))}{f' and {unknown} of unknown size' if unknown else ''}"
    print(f"\nto fetch: {f'{len(fetched)}, {total}' if fetched else 'nothing'}. This was a dry run: nothing was done.")
    return 0


def _size(number: int) -> str:
    for unit, power in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= power:
            return f"{number / power:.1f} {unit}"
    return f"{number} B"


def _run(what: str, how: str) -> Step:
    return Step("run", what, how, "")


def _read(what: str, name: str, path: Path) -> Step:
    if not path.exists():
        raise NotAvailableError(f"{path}: no such file or folder")
    files = [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]
    return Step("read", what, name, str(path), sum(p.stat().st_size for p in files))


def _fetch(what: str, name: str, download: Download) -> Step:
    if download.is_here:
        return Step("read", what, name, str(download.target), checksum=download.checksum, by=download.by)
    return Step("fetch", what, name, download.source, download.size, download.checksum, download.by)


def _resource(what: str, name: str) -> Step:
    """Resolve topics, qrels or documents as the commands do: ours, paths, ir_datasets, Pyserini."""
    source = place_of(what, name)
    if here := source.here:
        return _read(what, name, here)
    downloads = [irds_download(source.irds, IRDS[what])] if source.irds else []
    if source.pyserini and (download := pyserini_evaluation(what, source.pyserini)):
        downloads.append(download)
    if not downloads and (known := source.known):
        raise NotAvailableError(
            f"the {what} of {name!r} are not on this machine, and neither ir_datasets nor Pyserini has them; put them into "
            f"{data_dir() or '$EXPANDR_DATA'}/{known.dataset}"
        )
    if not downloads:
        raise unknown(what, name)
    return _fetch(what, name, next((d for d in downloads if d.is_here), downloads[0]))


def _index(name: str | Sequence[str], retriever: str) -> list[Step]:
    """Resolve an index as `dense_index` and `lucene_index` do."""
    if folders := parts_of(name):
        if retriever == "bm25":
            refuse_sparse(name, folders)
        return [step for folder in folders for step in _index(str(folder), retriever)]
    name = name if isinstance(name, str) else name[0]
    path = Path(name)
    kinds = {"dense": ("faiss", is_faiss_folder, "bm25"), "bm25": ("lucene", is_lucene_folder, "dense")}
    kind, is_folder, other = kinds[retriever]
    if is_folder(path):
        return [_read("index", name, path)]
    if kinds[other][1](path):
        raise ExpandrError(f"{name}: is an index for --retriever {other}")
    if name not in datasets():
        if download := pyserini_index(kind, name):
            return [_fetch("index", name, download)]
        if pyserini_index(kinds[other][0], name):
            raise ExpandrError(f"{name}: is one of Pyserini's indexes for --retriever {other}")
    folder = f"{cache_dir() / 'indexes'}, unless it is there already"
    return [_resource("documents", name), Step("build", "index", f"{kind} index of {name}", folder)]


def _warn_of_other_encoder(index: str | None, encoder: str) -> None:
    made_with = {ours for spec in datasets().values() for ours, theirs in spec.indexes.items() if theirs == index}
    if made_with and encoder not in made_with:
        log.warning("--index %s was made with the encoder %s: add --encoder %s", index, *sorted(made_with)[:1] * 2)


def _expansions(name: str) -> Step:
    from expandr_repro.data.expansions import packaged_sets

    if Path(name).is_file():
        return _read("expansions", name, Path(name))
    if name in packaged_sets():
        return Step("read", "expansions", name, "ships with this toolkit")
    raise UnknownNameError("expansions", name, packaged_sets(), "An augmented topics file works as well.")


def _encoder(name: str) -> Step:
    if name.startswith("pyserini:"):
        return _model(name.removeprefix("pyserini:").partition(":")[2], None, "encoder", name)
    if name in encoders() or name.endswith((".yaml", ".yml")):
        spec = encoder_spec(name)
        return _model(spec.model, spec.revision, "encoder", name)
    if (plugin := plugin_named(name)) is not None:
        if isinstance(plugin, EncoderSpec):
            return _model(plugin.model, plugin.revision, "encoder", name)
        return _run("encoder", f"{name}, of a plug-in")
    if not Path(name).is_dir() and name.count("/") != 1:
        raise unknown_encoder(name)
    return _model(name, None, "encoder", name)


def _model(model: str, revision: str | None, what: str = "model", name: str = "") -> Step:
    if model.startswith("package:") or Path(model).is_dir() or model.count("/") != 1:
        return _read(what, name or model, locate(model))
    return _fetch(what, name or model, hub_download(model, revision))
