"""Print the scripts that run a command on SLURM: an array of jobs over shards and their merge, or Ray over all machines of one job."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from expandr_repro.console.options import Options
from expandr_repro.console.parsing import words_of
from expandr_repro.engines.options import EngineOptions
from expandr_repro.errors import ExpandrError

MACHINES = 4
"""Shards, or machines, where --workers says nothing else."""

MARK = "END_OF_SCRIPT"

OWN = ("--engine", "--address", "--workers", "--gpus-per-worker", "--print", "--dry-run")
MERGING = ("--output", "--overwrite", "--factory")
"""Options of the whole index, not of a shard."""

CUT = ("--shard-id", "--num-shards", "--merge", "--export")
"""Options of `encode` that the scripts set, or that there is nothing to share of."""


def scripts(command: str, request: Options, engine: EngineOptions, output: Path | None = None) -> str:
    """Return a shell script that writes the scripts for sbatch, and submits them.

    Args:
        command: its name.
        request: its options.
        engine: those that choose SLURM.
        output: of `encode`: its shards go next to it and are merged. None for a command that is not cut into shards.

    Raises:
        ExpandrError: --print is missing, or an option names a shard already.
    """
    if not engine.script:
        raise ExpandrError("--engine slurm: add --print, which prints the scripts for sbatch to look through and run")
    for flag in CUT:
        if flag in request.given:
            raise ExpandrError(
                f"{flag}: not with --engine slurm, whose scripts cut the corpus and merge; --workers N says into how many shards"
            )
    machines = engine.workers or MACHINES
    gpus = 1.0 if engine.gpus_per_worker is None else engine.gpus_per_worker

    def words(wanted: Callable[[str], bool]) -> list[str]:
        return words_of(replace(request, given={k: v for k, v in request.given.items() if k not in OWN and wanted(k)}))

    ray = f"{command}.ray.sbatch"
    files = {ray: _ray(command, words(lambda _: True), machines, gpus)}
    submit = [f"sbatch {ray}"]
    if output is not None:
        parts = [f"{output}.parts/{n}" for n in range(machines)]
        shard = f'--shard-id "$SLURM_ARRAY_TASK_ID" --num-shards {machines} --output {shlex.quote(f"{output}.parts/")}"$SLURM_ARRAY_TASK_ID"'
        array = f"{_line(command, words(lambda flag: flag not in MERGING))} {shard}"
        merge = _line(command, ["--merge", *parts, *words(lambda flag: flag in MERGING)])
        files = {
            f"{command}.array.sbatch": _script(command, [f"#SBATCH --array=0-{machines - 1}", *_gpus(gpus)], array),
            f"{command}.merge.sbatch": _script(f"{command}-merge", [], merge),
            **files,
        }
        submit = [
            f"array=$(sbatch --parsable {command}.array.sbatch)",
            f'sbatch --dependency=afterok:"$array" {command}.merge.sbatch',
            f"# in place of both, one job whose machines share the work: sbatch {ray}",
        ]
    written = [f"cat > {name} <<'{MARK}'\n{text}{MARK}" for name, text in files.items()]
    note = "# Writes and submits the scripts below: look through their lines with #SBATCH (account, partition, time) first."
    return "\n".join(["#!/bin/bash", note, "set -euo pipefail", *written, *submit])


def _script(name: str, lines: Sequence[str], run: str) -> str:
    return "\n".join(["#!/bin/bash", f"#SBATCH --job-name={name}", *lines, "#SBATCH --time=24:00:00", "set -euo pipefail", run, ""])  # fmt: skip


def _gpus(gpus: float) -> list[str]:
    return [f"#SBATCH --gpus-per-node={-(-gpus // 1):.0f}"] if gpus else []


def _ray(command: str, words: Sequence[str], machines: int, gpus: float) -> str:
    """Return a job in which Ray is started on every machine, the command on the first, and Ray is stopped at its end."""
    lines = [f"#SBATCH --nodes={machines}", "#SBATCH --ntasks-per-node=1", "#SBATCH --exclusive", *_gpus(gpus)]
    run = _line(command, [*words, "--engine", "ray", "--gpus-per-worker", f"{gpus:g}", "--address", "auto"])
    before = [
        'head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)',
        # one token for all machines, without which Ray answers none of them; symmetric-run would ask without it
        "ray get-auth-token --generate > /dev/null",
        "export RAY_AUTH_MODE=token",
        # Ray looks up names of machines as other programs do: in /etc/hosts too, and without waiting for a name server
        "export GRPC_DNS_RESOLVER=native",
    ]
    run = f'srun ray symmetric-run --address "$head:6379" --min-nodes {machines} -- {run}'
    return _script(f"{command}-ray", lines, "\n".join([*before, run]))


def _line(command: str, words: Sequence[str]) -> str:
    return f"python -m expandr_repro.{command} {shlex.join(words)}"
