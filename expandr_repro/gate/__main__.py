"""`gate`: fit a gate for `search --gate` on training topics, and show what it learned."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from expandr_repro import cli
from expandr_repro.console.arguments import Parser
from expandr_repro.console.tables import Table, print_tables
from expandr_repro.console.terminal import one_line, print_json
from expandr_repro.data.overlap.trained_on import TRAINED_ON_HASH, record_beside, record_hash, write_record
from expandr_repro.errors import ExpandrError, UnknownNameError
from expandr_repro.gate.options import FitRequest, GateRequest, ShowRequest
from expandr_repro.io.files import About, atomic_text, sha256_file
from expandr_repro.io.manifest import run_manifest_path, write_manifest
from expandr_repro.io.outputs import LEARNED, RECORD, check_output, manifest_kind
from expandr_repro.search.gate.learned import KIND, Learned, read_learned

log = logging.getLogger("expandr_repro.gate")

EXAMPLES = """
python -m expandr_repro.gate fit --train scifact/train=claude.q2d --hold-out scifact/test --output learned.json
python -m expandr_repro.gate fit --train nfcorpus/test=claude.q2d cacm/test=claude.q2d --features contrast lost-terms --output planted.json
python -m expandr_repro.gate show learned.json
"""
READING = {"fit": ("Fit a gate on training topics and their expansions.", FitRequest), "show": ("Print what a gate learned, and from what.", ShowRequest)}  # fmt: skip


def build_parser() -> Parser:
    """Return the parser of `gate` itself."""
    return cli.parser("gate", "Fit a gate for `search --gate` on training topics, or show one.", EXAMPLES, GateRequest)


def build_reading_parser(word: str) -> Parser:
    """Return the parser of `gate fit` or `gate show`."""
    summary, shape = READING[word]
    lines = "\n".join(line for line in EXAMPLES.strip().splitlines() if f" {word} " in line)
    return cli.parser(f"gate {word}", summary, lines, shape)


def run(request: GateRequest) -> int:
    """Refuse what is neither `gate fit` nor `gate show`."""
    raise UnknownNameError("word after gate", request.word, READING, "Each has its own --help.")


def fit_gate(request: FitRequest) -> int:
    """Fit a gate, and write it with its manifest and the record of its training topics."""
    path = request.output
    if path is None or path.suffix != ".json":
        raise ExpandrError(
            f"--output {path}: a learned gate is a .json file, by which `search --gate` knows it; choose such a name"
        )
    if not 0 < request.keep <= 1:
        raise ExpandrError(f"--keep {request.keep:g}: wanted a share above 0, up to 1")
    manifest, record = run_manifest_path(path), record_beside(path)
    for target, kind in ((path, LEARNED), (manifest, manifest_kind(KIND)), (record, RECORD)):
        check_output("--output", target, kind, [item.partition("=")[2] or item for item in request.train])
    from expandr_repro.encoders.loading import load_encoder
    from expandr_repro.evaluate.metrics import parse_measure
    from expandr_repro.evaluate.run_facts import versions, without_paths
    from expandr_repro.gate.examples import features_of, gather
    from expandr_repro.gate.fit import fit

    features_of(request)
    parse_measure(request.metric)
    encoder = load_encoder(request.encoder.name, request.encoder, cache=True) if request.retriever == "dense" else None
    training = gather(request, encoder)
    learned = fit(training.examples, [str(g) for g in training.features], request.model, request.keep, request.seed)
    with_model = {"retriever": request.retriever, "encoder": encoder.identity if encoder else None}
    facts = with_model | {
        "metric": request.metric, "keep": request.keep, "seed": request.seed, "planted": request.planted, "hold_out": list(request.hold_out),
        "trained_on": training.facts, TRAINED_ON_HASH: record_hash(training.trained_on), **learned.facts, "versions": versions("scikit-learn", "numpy"),
    }  # fmt: skip
    learned = replace(learned, facts=without_paths(facts))
    about: About = {
        record: lambda: write_record(record, training.trained_on),
        manifest: lambda: write_manifest(manifest, KIND, dict(learned.facts) | {"model": learned.model, "features": list(learned.features), "sha256": sha256_file(path)}),
    }  # fmt: skip
    with atomic_text(path, about=about) as file:
        file.write(json.dumps(learned.content(), indent=1, ensure_ascii=False) + "\n")
    log.info("wrote %s", path)
    print_tables(tables(learned), request.format)
    return 0


def show(request: ShowRequest) -> int:
    """Print what a gate learned, and from what."""
    learned = read_learned(request.file)
    if request.format == "json":
        print_json(learned.content())
    else:
        print_tables(tables(learned), request.format)
    return 0


def tables(learned: Learned) -> list[Table]:
    """Return what a learned gate is, as tables: how it does on topics that it was not fitted on, its features, its training topics."""
    held: Mapping[str, Any] = learned.facts.get("held_out", {})
    slope, offset = learned.calibration
    rows: list[list[object]] = [["model", f"{learned.model}{f' of {len(learned.trees)}' if learned.trees else ''}"], ["threshold", learned.threshold],
            ["calibration", f"{slope:.3f} x log-odds {offset:+.3f}"], *([name.replace("_", " "), value] for name, value in held.items())]  # fmt: skip
    about = Table(["topics held out in folds", ""], rows)
    weights = learned.weights or importance(learned)
    order = sorted(range(len(weights)), key=lambda i: -abs(weights[i]))
    listed = [[learned.features[i], weights[i], learned.mean[i], learned.scale[i], learned.fill[i]] for i in order]
    features = Table(
        [
            "feature",
            "weight" if learned.weights else "share of splits",
            "mean",
            "deviation",
            "where nothing to judge by",
        ],
        listed,
    )
    sets = [[t.get("topics"), t.get("expansions") or "their own", t.get("fusion"), t.get("count"), t.get("left_out", {}).get("topics", 0)] for t in learned.facts.get("trained_on", [])]  # fmt: skip
    return [
        about,
        features,
        Table(
            ["trained on", "expansions", "fusion", "topics", "left out"],
            [[one_line(str(c)) if isinstance(c, str) else c for c in row] for row in sets],
        ),
    ]


def importance(learned: Learned) -> list[float]:
    """Return of each feature the share of the trees' splits that look at it."""
    splits = [f for tree in learned.trees for f in tree.feature if f >= 0]
    return [splits.count(i) / max(len(splits), 1) for i in range(len(learned.features))]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    words = list(sys.argv[1:] if argv is None else argv)
    reading: dict[str, Callable[[Any], int]] = {"fit": fit_gate, "show": show}
    if words and words[0] in reading:
        return cli.execute(build_reading_parser(words[0]), reading[words[0]], words[1:])
    if words and words[0][:1] != "-":
        words = words[:1]  # refused, whatever follows
    return cli.execute(build_parser(), run, words)


if __name__ == "__main__":
    sys.exit(main())
