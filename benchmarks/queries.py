"""Short queries through the encoder: batches, next to sentence-transformers, and to Pyserini's AutoQueryEncoder, which takes one after the other."""

from __future__ import annotations

from functools import partial

from benchmarks.checks import same_vectors
from benchmarks.harness import NotHereError, Side, measure
from benchmarks.machine import bert_operations, matmul_rate
from benchmarks.models import model_for
from benchmarks.options import Options
from benchmarks.peers import encoders as peers
from benchmarks.results import Row, Sheet
from benchmarks.texts import differing, made_up

PYSERINI, ST = "Pyserini AutoQueryEncoder, one by one", "sentence-transformers"


def run(options: Options) -> list[Sheet]:
    """Measure 5,000 queries of about 10 words; the peer does a part of them."""
    model = model_for(options)
    count, part = (64, 16) if options.smallest else (5000, 500)
    queries = made_up(count, 10, seed=7)
    rates = {p: matmul_rate(options.device, p, 8192 if options.gpu else 256 if options.smallest else 2048) for p in ("fp32", "bf16")}  # fmt: skip
    exact, fast = model.load(options.device), model.load(options.device, "bf16")
    lengths = [len(ids) for ids in exact.tokenize(queries, "query")]
    operations = bert_operations(model.config, lengths)
    sides = [
        Side(
            "this project, fp32",
            lambda: exact.encode(queries, "query"),
            count,
            operations / rates["fp32"],
            distinct=differing(queries),
        ),
        Side(
            "this project, bf16",
            lambda: fast.encode(queries, "query"),
            count,
            operations / rates["bf16"],
            distinct=differing(queries),
        ),
    ]
    missing = []
    try:
        stock = peers.pyserini_queries(model.folder, options.device, model.max_length)
        stock(queries[:4])
        sides.append(
            Side(
                PYSERINI,
                lambda: stock(queries[:part]),
                part,
                operations * part / count / rates["fp32"],
                distinct=differing(queries[:part]),
            )
        )
    except NotHereError as reason:
        missing.append(Row(PYSERINI, note=f"not here: {reason}"))
    for precision in ("fp32", "bf16"):  # its default, and the precision of our other row
        name = f"{ST}, {precision}"
        try:
            batched = peers.sentence_transformers(model.folder, options.device, model.max_length, 32, precision)
            batched(queries[:64])
            sides.append(
                Side(name, partial(batched, queries), count, operations / rates[precision], distinct=differing(queries))
            )
        except NotHereError as reason:
            missing.append(Row(name, note=f"not here: {reason}"))
    for encoder in (exact, fast):
        encoder.encode(queries[:64], "query")
    check = same_vectors(
        sides[0].name, 1e-4 if options.gpu else 1e-5, {s.name: 0.999 for s in sides if "bf16" in s.name}
    )
    rows = measure(sides, options.repeat, check)
    title = f"Encoding {count:,} queries (made up, {sum(lengths) / count:.0f} tokens on average), {model.said}; Pyserini did the first {part:,}"
    limit = (
        f"operations: {operations / count / 1e9:.3g} billion per query at the measured rate of a square matrix product"
    )
    name = "queries.gpu" if options.gpu else "queries"
    return [Sheet(name, title, "queries", [*rows, *missing], [PYSERINI], limit=limit)]
