"""Encode one index with several processes of torchrun or `accelerate launch`: one shard each, merged by the first."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from expandr_repro.errors import ExpandrError, SetupError
from expandr_repro.indexes.build import Shard, is_built
from expandr_repro.indexes.faiss_index import is_faiss_folder
from expandr_repro.indexes.merge import merge_shards
from expandr_repro.io.outputs import FAISS_INDEX

BEAT = 2.0
"""Seconds from one sign of life of a process to the next."""

PATIENCE = 60.0
"""Seconds without a sign of life after which a process counts as dead."""


def part_of(target: Path, shard: Shard) -> Path:
    """Return where a process's shard of an index is until all are merged."""
    return target.with_name(f"{target.name}.shard-{shard.number:03d}-of-{shard.count:03d}")


def _sign(target: Path, shard: Shard) -> Path:
    part = part_of(target, shard)
    return part.with_name(f".{part.name}.alive")


@contextmanager
def showing_life(target: Path, shard: Shard) -> Iterator[None]:
    """Touch a file next to the index every `BEAT` seconds, which tells the first process that this one lives.

    Raises:
        SetupError: the place cannot be written.
    """
    sign, done = _sign(target, shard), threading.Event()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        sign.touch()
    except OSError as error:
        raise SetupError(f"{sign}: cannot be written: {error.strerror or error}; choose another place") from error

    def beat() -> None:
        while not done.wait(BEAT):
            with suppress(OSError):
                sign.touch()

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        with suppress(OSError):
            sign.unlink()


def merge_parts(target: Path, facts: Sequence[dict[str, Any]], factory: str, overwrite: bool) -> int:
    """Wait until every process has encoded its shard, merge all, and clear them away.

    Args:
        target: the index folder.
        facts: of each shard, in order: a part that was left by another encoding is not taken for one of these.
        factory: the kind of the merged index.
        overwrite: replace another index.

    Returns:
        The number of documents.

    Raises:
        ExpandrError: a process died before its shard was whole.
    """
    shards = [Shard(n, len(facts)) for n in range(len(facts))]
    parts = [part_of(target, shard) for shard in shards]
    for shard, part, made_from in zip(shards, parts, facts, strict=True):
        _wait_for(target, shard, part, made_from)
    total = merge_shards(parts, target, factory, overwrite)
    for shard, part in zip(shards, parts, strict=True):
        FAISS_INDEX.check(part)
        shutil.rmtree(part)
        if shard.number:
            with suppress(OSError):
                _sign(target, shard).unlink()  # of a process that was killed
    return total


def _wait_for(target: Path, shard: Shard, part: Path, made_from: dict[str, Any]) -> None:
    sign, last, seen = _sign(target, shard), None, time.monotonic()
    while not (is_faiss_folder(part) and is_built(part, made_from)):
        with suppress(OSError):
            # a stamp that moves is a sign of life: clocks of machines differ, and a killed process leaves its file
            if (stamp := sign.stat().st_mtime_ns) != last:
                last, seen = stamp, time.monotonic()
        if time.monotonic() - seen > PATIENCE:
            raise ExpandrError(
                f"process {shard.number} of {shard.count} shows no sign of life for {PATIENCE:.0f} seconds, and its part of the index is not there; "
                "what the others encoded is kept: run the same command again"
            )
        time.sleep(min(0.5, PATIENCE / 4))
