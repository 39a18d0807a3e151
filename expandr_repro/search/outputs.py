"""Check where a run goes: its file, and the files that the commands write next to it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from expandr_repro.io.manifest import run_manifest_path
from expandr_repro.io.outputs import GATED, RUN, SEEN, check_output, manifest_kind


def check_run(path: Path, reads: Iterable[str | None] = (), option: str = "--output") -> None:
    """Find out before anything is written that a run, or what belongs next to it, would replace something else.

    Args:
        path: the run.
        reads: what the command reads, which it must not replace.
        option: names the place in the message.

    Raises:
        SetupError: the place cannot be written, or something else is there.
    """
    from expandr_repro.evaluate.seen import lists_path
    from expandr_repro.search.gate.choose import gate_path

    reads = tuple(reads)
    check_output(option, path, RUN, reads)
    check_output(option, run_manifest_path(path), manifest_kind("run"), reads)
    check_output(option, lists_path(path), SEEN, reads)
    check_output(option, gate_path(path), GATED, reads)
