"""Write and read a run's manifest: the hashes and settings that identify a run.

Equal manifests mean equal bytes on one machine, so they hold all that a run depends on, by content and without the machine's paths, and
nothing besides: a setting that a search does not use is not there.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import importlib.util
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from expandr_repro.data.topics import Topic
from expandr_repro.data.trec import Qrels
from expandr_repro.errors import ExpandrError, FormatError, MismatchError
from expandr_repro.io.files import sha256_file, sha256_text, write_json
from expandr_repro.io.manifest import NAME, RUN_HASH, key_of, read_manifest, run_manifest_path
from expandr_repro.io.paths import cache_dir

WITHOUT_HITS = "topics_without_hits"
"""Where a run's manifest lists the topics that were searched and are not in the run, since nothing was found for them."""


def topics_sha256(topics: Iterable[Topic]) -> str:
    """Hash ids and titles, whatever their order and white space."""
    return _hash(f"{t.qid}\t{' '.join(t.title.split())}\n" for t in topics)


def expansions_sha256(topics: Iterable[Topic]) -> str:
    """Hash ids and expansions, whatever the topics' order; the order of a topic's expansions counts."""
    return _hash(f"{t.qid}\t" + "\0".join(t.texts) + "\n" for t in topics if t.texts)


def qrels_sha256(qrels: Qrels) -> str:
    """Return a hash of qrels, whatever their order."""
    return _hash(f"{qid}\t{docid}\t{grade}\n" for qid, judged in qrels.items() for docid, grade in judged.items())


def _hash(lines: Iterable[str]) -> str:
    return hashlib.sha256("".join(sorted(lines)).encode("utf-8", "surrogatepass")).hexdigest()


def ordered_sha256(topics: Iterable[Topic]) -> str:
    """Hash ids and titles as they are, in their order: that of the run's lines."""
    return sha256_text(json.dumps([[t.qid, t.title] for t in topics]))


def files_sha256(folder: Path, leave_out: Iterable[str] = ()) -> str:
    """Hash the files of an index folder, remembered by their names, sizes and times: an index may have gigabytes."""
    files = sorted(p for p in folder.iterdir() if p.is_file() and p.name not in (*leave_out, NAME) and p.name[0] != ".")
    stats = [(str(p.resolve()), p.stat().st_size, p.stat().st_mtime_ns) for p in files]
    memo = cache_dir() / "hashes" / f"{key_of({'files': stats})}.json"
    try:
        return str(json.loads(memo.read_text(encoding="utf-8"))["sha256"])
    except (OSError, ValueError, TypeError, KeyError):
        digest = sha256_text(json.dumps([[p.name, sha256_file(p)] for p in files]))
    try:
        write_json(memo, {"sha256": digest})
    except ExpandrError:  # a cache that cannot be written costs the next search its time
        return digest
    return digest


@functools.cache
def versions(*names: str) -> dict[str, str]:
    """Return the installed versions of libraries that a run depends on."""
    numbers = {}
    for name in names:
        try:
            numbers[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    if "pyserini" in numbers and (spec := importlib.util.find_spec("pyserini")) and spec.origin:
        jars = Path(spec.origin).parent.glob("resources/jars/anserini-*-fatjar.jar")
        numbers["anserini"] = " ".join(
            sorted(j.name.removeprefix("anserini-").removesuffix("-fatjar.jar") for j in jars)
        )
    return numbers


def without_paths(value: Any) -> Any:
    """Return facts with the last part in place of each absolute path, also of `pyserini:CLASS:/path`."""
    if isinstance(value, Mapping):
        return {key: without_paths(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_paths(item) for item in value]
    if isinstance(value, str):
        head, colon, last = value.rpartition(":")
        return f"{head}{colon}{Path(last).name}" if last.startswith(("/", "~")) else value
    return value


def facts_beside(run: str | Path) -> dict[str, Any]:
    """Return what the manifest next to a run says; empty where there is none.

    Raises:
        MismatchError: the manifest is of another run.
        FormatError: it is damaged.
    """
    path = Path(run)
    facts = read_manifest(run_manifest_path(path)) or {}
    for key in (WITHOUT_HITS, "expansions"):
        listed = facts.get(key) or []
        of = str if key == WITHOUT_HITS else dict
        if not (isinstance(listed, list) and all(isinstance(entry, of) for entry in listed)) and not isinstance(
            listed, str
        ):
            raise FormatError(run_manifest_path(path), None, f"what it says under {key!r} is damaged; search again")
    wanted = facts.get(RUN_HASH)
    if wanted and path.is_file() and wanted != (digest := sha256_file(path)):
        raise MismatchError(
            f"{path}: {run_manifest_path(path).name} next to it is of another run (SHA-256 {str(wanted)[:16]} there, {digest[:16]} found); "
            "search again, or delete the manifest if the run is meant to differ"
        )
    return facts


def documents_in(facts: Mapping[str, Any]) -> int | None:
    """Return how many documents were searched, as a run's manifest tells; None where it does not."""
    index = facts.get("index")
    documents = index.get("documents") if isinstance(index, Mapping) else None
    return documents if isinstance(documents, int) else None


def not_searched(facts: Mapping[str, Any], missing: Iterable[str]) -> list[str]:
    """Return those of the judged topics missing from a run that were never searched, as its manifest tells; none where it does not."""
    without_hits = facts.get(WITHOUT_HITS)
    return [] if not isinstance(without_hits, list) else [qid for qid in missing if qid not in set(without_hits)]
