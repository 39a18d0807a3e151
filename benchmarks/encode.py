"""Documents through the encoder: passages a second, next to Pyserini's AutoDocumentEncoder and sentence-transformers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.checks import same_vectors
from benchmarks.harness import NotHereError, Side, attempt, measure, nothing, wrong
from benchmarks.machine import bert_operations, matmul_rate
from benchmarks.models import Model, model_for
from benchmarks.options import Options
from benchmarks.peers import encoders as peers
from benchmarks.results import Row, Sheet
from benchmarks.texts import differing, distinct, made_up, passages, variants

PYSERINI, ST = "Pyserini AutoDocumentEncoder", "sentence-transformers"
COPIES = 4
"""Variants of each of SciFact's passages, to fill a GPU for long enough: equal texts would be encoded once."""


def run(options: Options) -> list[Sheet]:
    """Measure whole encoding, and its parts."""
    model = model_for(options)
    said, texts = (
        ("made-up passages", made_up(48, 60))
        if options.smallest
        else passages(None if options.gpu else options.passages or 1000)
    )
    first = texts
    texts = distinct([*first, *variants(first, COPIES)]) if options.gpu else first
    rates = {p: matmul_rate(options.device, p, 8192 if options.gpu else 256 if options.smallest else 2048) for p in ("fp32", "bf16")}  # fmt: skip
    exact = model.load(options.device)
    lengths = [len(ids) for ids in exact.tokenize(texts, "document")]
    whole = bert_operations(model.config, lengths)

    def side(name: str, encode: Callable[[Sequence[str]], Any], precision: str, all_of_it: bool = False) -> Side:
        work = texts if all_of_it else first
        attempt(lambda: encode(work[: 1024 if options.gpu else 8]))  # warm
        least = bert_operations(model.config, lengths[: len(work)]) / rates[precision]
        return Side(name, lambda: encode(work), len(work), least, distinct=differing(work))

    fast = model.load(options.device, "bf16")
    sides = [
        side("this project, fp32", lambda t: exact.encode(t, "document"), "fp32"),
        side("this project, bf16", lambda t: fast.encode(t, "document"), "bf16", True),
    ]
    if not options.gpu:
        plain = model.load(options.device, training=True)
        sides.append(side("this project, fp32, torch", lambda t: plain.encode(t, "document"), "fp32"))
    else:
        compiled = model.load(options.device, "bf16", compiled=True)
        sides.append(side("this project, bf16, --compile", lambda t: compiled.encode(t, "document"), "bf16", True))
    missing: list[Row] = []
    for name, make, precision in _peers(model, options):
        try:
            sides.append(side(name, make(), precision))
        except NotHereError as reason:
            missing.append(Row(name, note=f"not here: {reason}"))
    coarse = {s.name: 0.999 for s in sides if "bf16" in s.name}
    check = same_vectors(sides[0].name, 1e-4 if options.gpu else 1e-5, coarse)
    rows = measure(sides, options.repeat, _first(check, len(first)))
    bases = [s.name for s in sides if s.name.startswith((PYSERINI, ST))]
    limit = f"operations: {whole / len(texts) / 1e9:.3g} billion a passage at the measured rate of a square matrix product, " + ", ".join(
        f"{p} {r / 1e12:.3g}" for p, r in rates.items()) + " TFLOP/s"  # fmt: skip
    title = f"Encoding {len(texts):,} passages ({said}, {sum(lengths) / len(lengths):.0f} tokens on average, at most {model.max_length}), {model.said}"
    remarks = (
        [
            f"No two texts are equal: {len(first):,} passages, and the same with other words first. This project's bf16 rows did all, the others the {len(first):,}."
        ]
        if options.gpu
        else []
    )
    main = Sheet("encode.gpu" if options.gpu else "encode", title, "passages", [*rows, *missing], bases, limit=limit, remarks=remarks)  # fmt: skip
    return [main, _parts(options, exact, fast, texts, whole, rates)]


def _peers(model: Model, options: Options) -> list[tuple[str, Callable[[], peers.Encode], str]]:
    folder, device, length = model.folder, options.device, model.max_length
    if not options.gpu:
        return [
            (PYSERINI, lambda: peers.pyserini_documents(folder, device, length, 64), "fp32"),
            (ST, lambda: peers.sentence_transformers(folder, device, length, 32), "fp32"),
            (f"{ST}, bf16", lambda: peers.sentence_transformers(folder, device, length, 32, "bf16"), "bf16"),
        ]
    return [
        (f"{PYSERINI}, batch 64", lambda: peers.pyserini_documents(folder, device, length, 64), "fp32"),
        (f"{PYSERINI}, batch 256", lambda: peers.pyserini_documents(folder, device, length, 256), "fp32"),
        (f"{ST}, fp32, batch 256", lambda: peers.sentence_transformers(folder, device, length, 256), "fp32"),
        (f"{ST}, bf16, batch 256", lambda: peers.sentence_transformers(folder, device, length, 256, "bf16"), "bf16"),
    ]


def _first(check: Callable[[Any], dict[str, str]], count: int) -> Callable[[Any], dict[str, str]]:
    """Compare the vectors of the passages that every side did; the others are finite."""

    def first(results: Any) -> dict[str, str]:
        import numpy as np

        for name, vectors in results.items():
            if not np.isfinite(np.asarray(vectors, dtype=np.float32)).all():
                raise wrong(name, "vectors that are not finite")
        return check({name: vectors[:count] for name, vectors in results.items()})

    return first


def _parts(options: Options, exact: Any, fast: Any, texts: list[str], whole: float, rates: dict[str, float]) -> Sheet:
    """Measure what encoding is made of: tokenising, and the model on ready token ids."""
    best = fast if options.gpu else exact
    precision = "bf16" if options.gpu else "fp32"
    ids = best.tokenize(texts, "document")
    sides = [
        Side("tokenising alone", lambda: best.tokenize(texts, "document"), len(texts), distinct=differing(texts)),
        Side(
            f"the model alone, {precision}",
            lambda: best.embed(ids),
            len(texts),
            whole / rates[precision],
            distinct=differing(map(str, ids)),
        ),
    ]
    rows = measure(sides, options.repeat, nothing)
    name = "encode.gpu.parts" if options.gpu else "encode.parts"
    return Sheet(name, f"Where the time goes: {len(texts):,} of the passages, this project, {precision}", "passages", rows)  # fmt: skip
