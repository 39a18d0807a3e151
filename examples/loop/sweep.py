"""Train the retriever many times, in one process per GPU, to choose settings by development scores.

The steps are those of `train_encoder` (`ContrastiveTrainer`, the same batches); what differs is that corpora are tokenised once and
searched by a matrix product, in half precision on a GPU, so that a training takes seconds. Test topics of the experiment are not searched:
the searches are of SciFact's held-out training topics and, to see what a training forgets, of NFCorpus's development topics, CACM and pocket.

The weights of each training are blended with the untrained ones at several shares (`blend`; WiSE-FT, Wortsman et al., CVPR 2022).

    python examples/loop/sweep.py --data $EXPANDR_DATA --negatives negatives.trec --output sweep.jsonl --seeds 1 2 3
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import json
import os
import random
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

RECIPES: dict[str, dict[str, Any]] = {
    "gentle": {"epochs": 6, "learning_rate": 5e-5, "hard_negatives": 1},
    "gentle-hn4": {"epochs": 6, "learning_rate": 5e-5, "hard_negatives": 4},
    "middle": {"epochs": 6, "learning_rate": 1e-4, "hard_negatives": 4},
    "long": {"epochs": 12, "learning_rate": 1e-4, "hard_negatives": 4},
    "strong": {"epochs": 12, "learning_rate": 2e-4, "hard_negatives": 4},
}
KINDS: dict[str, dict[str, Any]] = {
    "a": {"views": {"query": 1.0}},
    "b-fq": {"views": {"fused": 1.0, "query": 1.0}},
    "b-fqe": {"views": {"fused": 1.0, "query": 1.0, "expansion": 1.0}},
    "b-f1q2": {"views": {"fused": 1.0, "query": 2.0}},
    "b-random": {"views": {"fused": 1.0, "query": 1.0}, "alpha": "random"},
    "b-random-only": {"views": {"fused": 1.0}, "alpha": "random"},
}
"""Kind (a) has the query alone; `alpha: random` draws the query's weight in the fused vector again for each step."""


class Search:
    """Development topics on a corpus that is tokenised once."""

    def __init__(self, name: str, encoder: Any, documents: Mapping[str, str], topics: Sequence[Any], qrels: Any, fused: bool) -> None:  # fmt: skip
        self.name, self.topics, self.fused = name, list(topics), fused
        self.qrels = {t.qid: qrels[t.qid] for t in self.topics if t.qid in qrels}
        self.docids = list(documents)
        self.documents = encoder.tokenize(list(documents.values()), "document")
        self.queries = encoder.tokenize([t.title for t in self.topics], "query")
        self.owners = [row for row, t in enumerate(self.topics) for _ in t.texts] if fused else []
        texts = [x for t in self.topics for x in t.texts] if fused else []
        self.expansions = encoder.tokenize(texts, "expansion") if texts else []

    def figure(self, encoder: Any, cache: dict[int, Any]) -> float:
        """Return nDCG@10 of the encoder as it is; `cache` keeps the documents' vectors for searches on the same ones."""
        import numpy as np
        import torch

        from expandr_repro.evaluate.metrics import parse_measures
        from expandr_repro.evaluate.scoring import evaluate
        from expandr_repro.search.fusion import fuse_vectors

        key = hash(tuple(self.docids))
        if key not in cache:
            cache[key] = torch.from_numpy(encoder.embed(self.documents)).to(encoder.device)
        queries = encoder.embed(self.queries)
        if self.expansions:
            queries = fuse_vectors("mean", queries, encoder.embed(self.expansions), self.owners)
        scores, rows = (torch.from_numpy(np.ascontiguousarray(queries)).to(encoder.device) @ cache[key].T).topk(
            min(50, len(self.docids))
        )
        run = {}
        for topic, found, places in zip(self.topics, scores.tolist(), rows.tolist(), strict=True):
            ranked = {self.docids[r]: s for s, r in zip(found, places, strict=True) if self.docids[r] != topic.qid}
            run[topic.qid] = ranked
        (ndcg,) = parse_measures("nDCG@10")
        return float(evaluate(run, self.qrels, [ndcg]).mean(ndcg))


def searches(args: argparse.Namespace, encoder: Any, data: Any) -> list[Search]:
    """Return the development searches: SciFact's held-out topics three times, and those of other collections."""
    from expandr_repro.data.collections import find_corpus, find_topics, qrels_of
    from expandr_repro.data.corpus import Corpus
    from expandr_repro.data.expansions import with_expansions

    def texts(corpus: Corpus) -> dict[str, str]:
        limit = args.documents or sys.maxsize
        return {d.docid: d.dense_text for _, d in zip(range(limit), corpus.read(), strict=False)}

    scifact = texts(find_corpus("scifact"))
    made = [Search(f"scifact.{s.name}", encoder, scifact, s.topics, data.dev_qrels, s.fusion != "none") for s in data.searches]  # fmt: skip
    for name, topics, expansions in (
        ("nfcorpus", "nfcorpus/dev", None),
        ("cacm", "cacm", args.data / "expansions" / "cacm.test.q2d.claude.jsonl"),
        ("pocket", "pocket", None),
    ):
        found = find_topics(topics)
        documents, qrels = texts(find_corpus(name)), qrels_of(found)
        made.append(Search(f"{name}.none", encoder, documents, found.topics, qrels, False))
        expanded = with_expansions(found, str(expansions)) if expansions else found.topics
        if any(t.texts for t in expanded):
            made.append(Search(f"{name}.mean", encoder, documents, expanded, qrels, True))
    return made


def measured(encoder: Any, found: Sequence[Search], base: Mapping[str, Any], blends: Sequence[float]) -> Iterator[dict[str, Any]]:  # fmt: skip
    """Yield the scores of the encoder's weights, with the untrained ones mixed in."""
    import torch

    from expandr_repro.encoders.compute import packed

    fast = copy.copy(encoder)
    for blend in blends:
        fast.model = copy.deepcopy(encoder.model).eval()
        with torch.no_grad():
            for name, parameter in fast.model.named_parameters():
                parameter.copy_(torch.lerp(base[name], parameter, blend))
        if encoder.on_gpu:
            packed.register()
            fast.model.to(torch.bfloat16).set_attn_implementation(packed.ATTENTION)
            fast.packs, fast._run = True, fast.model
        cache: dict[int, Any] = {}
        yield {"blend": blend, "figures": {s.name: round(s.figure(fast, cache), 4) for s in found}}


def one(encoder: Any, data: Any, kind: Mapping[str, Any], recipe: Mapping[str, Any], seed: int, args: argparse.Namespace) -> None:  # fmt: skip
    """Train the encoder in place."""
    import math

    from expandr_repro.train_encoder.batches import epoch_batches
    from expandr_repro.train_encoder.settings import EncoderTraining
    from expandr_repro.train_encoder.trainer import ContrastiveTrainer, StepOptions
    from expandr_repro.training.processes import Processes

    config = EncoderTraining(
        **{"batch_size": 64, "temperature": 0.05, **recipe}, views=kind["views"], seed=seed, gradient_cache=False, chunk_tokens=131_072,
    )  # fmt: skip
    precision = "bf16" if encoder.on_gpu else "fp32"
    steps = config.epochs * math.ceil(len(data.examples) / config.batch_size)
    trainer = ContrastiveTrainer(encoder, StepOptions(config, "mean", None, precision), steps, data.texts, Processes())
    draw = random.Random(seed)
    for epoch in range(config.epochs):
        for batch in epoch_batches(data.examples, config.batch_size, config.hard_negatives, seed, epoch):
            if kind.get("alpha") == "random":
                trainer.options = dataclasses.replace(trainer.options, alpha=draw.random())
            trainer.step([batch])
            if args.steps and trainer.step_number >= args.steps:
                return


def main() -> int:
    """Run the trainings of this process's share."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--data", type=Path, default=Path(os.environ.get("EXPANDR_DATA", "data")))
    made.add_argument("--negatives", type=Path, required=True, help="a run of scifact/train")
    made.add_argument("--expansions", type=Path, nargs="+", required=True, help="of scifact/train; one drawn per step")
    made.add_argument("--output", type=Path, required=True)
    made.add_argument("--encoder", default="all-MiniLM-L6-v2")
    made.add_argument("--device", default="auto")
    made.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    made.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=RECIPES)
    made.add_argument("--blends", type=float, nargs="+", default=[1.0, 0.75, 0.5], help="shares of the trained weights")
    made.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    made.add_argument(
        "--share", type=int, nargs=2, default=(0, 1), metavar=("I", "N"), help="every N-th training from I"
    )
    made.add_argument(
        "--stop-after", type=float, default=1e9, metavar="S", help="start no training after so many seconds"
    )
    made.add_argument("--documents", type=int, default=0, help="of each corpus, to try it out")
    made.add_argument("--steps", type=int, default=0, help="of each training, to try it out")
    args = made.parse_args()

    from expandr_repro.encoders.loading import load_encoder
    from expandr_repro.encoders.options import EncoderOptions
    from expandr_repro.train_encoder.examples import gather
    from expandr_repro.train_encoder.settings import EncoderTraining, TrainRequest

    begin = time.perf_counter()
    encoder: Any = load_encoder(args.encoder, EncoderOptions(device=args.device))
    request = TrainRequest("scifact/train", tuple(map(str, args.expansions)), str(args.negatives))
    data = gather(request, EncoderTraining(epochs=1, batch_size=64, learning_rate=1, temperature=1, hard_negatives=4, dev=120))  # fmt: skip
    found = searches(args, encoder, data)
    base = {name: p.detach().clone() for name, p in encoder.model.named_parameters()}
    print(f"ready after {time.perf_counter() - begin:.0f} s; {len(data.examples)} topics", flush=True)
    with args.output.open("a", encoding="utf-8") as file:
        for row in measured(encoder, found, base, (1.0,)):
            file.write(json.dumps({"kind": "untrained", **row}) + "\n")
        jobs = [(seed, recipe, kind) for seed in args.seeds for recipe in args.recipes for kind in args.kinds]
        for seed, recipe, kind in jobs[args.share[0] :: args.share[1]]:
            if time.perf_counter() - begin > args.stop_after:
                break
            started = time.perf_counter()
            encoder.model.load_state_dict(base, strict=False)
            one(encoder, data, KINDS[kind], RECIPES[recipe], seed, args)
            trained = time.perf_counter() - started
            for row in measured(encoder, found, base, args.blends):
                file.write(json.dumps({"kind": kind, "recipe": recipe, "seed": seed, **row}) + "\n")
            file.flush()
            print(
                f"{kind} {recipe} {seed}: {trained:.1f} s, {time.perf_counter() - started - trained:.1f} s", flush=True
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
