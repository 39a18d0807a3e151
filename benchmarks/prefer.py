"""Topics a second: rewards in large batches across topics, next to one topic at a time in three calls of the encoder.

The official script (NEUIR/ExpandR, `src/construct_dpo_data.py`) encodes, for each topic by itself, the gold passage, the
answer and the candidates in a call each, in half precision on a GPU. That is done here as it is done there, on a part of
the topics, and `expandr_repro.prefer.similarity` rewards all of them, with the same model, texts and precision.

Needs torch, transformers and numpy; no Java, Pyserini or Faiss. The texts are sentences of the packaged collection
`pocket`, shuffled; the model is a BERT of random weights (speed does not depend on them) or any encoder's folder.

    python -m benchmarks prefer                                          # on a GPU: BERT-base, 2,000 topics x 32
    python -m benchmarks prefer -- --shape tiny --topics 20 --candidates 4  # anywhere, in seconds
"""

from __future__ import annotations

import argparse
import logging
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.models import SHAPES, random_model
from benchmarks.texts import all_different, sentences, texts_of
from expandr_repro.console.tables import FORMATS, Table
from expandr_repro.data.specs import EncoderSpec
from expandr_repro.data.topics import Topic
from expandr_repro.encoders.checkpoints.checkpoint import is_sentence_transformers, spec_of_folder
from expandr_repro.encoders.encoder import Encoder
from expandr_repro.prefer.rewards import parse_rewards
from expandr_repro.prefer.similarity import Case, Rewarded, reward


def cases_of(topics: int, candidates: int, words: int, gold_words: int, seed: int = 42) -> list[Case]:
    """Return topics with candidates of about `words`, a gold passage of about `gold_words` and an answer of about 20."""
    said = sentences()
    draw = random.Random(seed)
    passages, golds, answers = (texts_of(draw, said, n) for n in (words, gold_words, 20))
    return [
        Case(Topic(str(n), "q"), tuple(next(passages) for _ in range(candidates)), next(golds), "", next(answers))
        for n in range(topics)
    ]


class OneByOne:
    """The official way: a plain transformers model, masked mean, unit vectors, one call for each kind of text."""

    def __init__(self, folder: Path, device: str, precision: str, max_length: int) -> None:
        from transformers import AutoModel, AutoTokenizer

        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        kind = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[precision]
        self.model = AutoModel.from_pretrained(folder, dtype=kind).to(device).eval()
        self.device, self.max_length = device, max_length

    def encode(self, texts: list[str]) -> torch.Tensor:
        """Encode up to 32 texts at a time, fetch the vectors, and put them back on the device, as there."""
        parts = []
        for begin in range(0, len(texts), 32):
            batch = self.tokenizer(texts[begin : begin + 32], padding=True, truncation=True, max_length=self.max_length, return_tensors="pt")  # fmt: skip
            batch = batch.to(self.device)
            states = self.model(**batch, return_dict=True).last_hidden_state
            mask = batch["attention_mask"].unsqueeze(-1).float()
            vectors = torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=-1)
            parts.append(vectors.cpu().numpy())
        return torch.tensor(np.concatenate(parts)).to(self.device)

    @torch.no_grad()
    def pair(self, case: Case) -> tuple[int, int]:
        """Return the numbers of the chosen and the rejected candidate."""
        gold, answer, docs = self.encode([case.gold]), self.encode([case.answer]), self.encode(list(case.candidates))
        total = torch.zeros(len(docs), device=self.device)
        for other in (gold, answer):
            order = torch.argsort((docs * other).sum(1), descending=True)
            places = torch.zeros_like(order)
            places[order] = torch.arange(1, len(docs) + 1, device=self.device)
            total += 1 / places
        rewards = total.cpu().numpy()
        return int(np.argmax(rewards)), int(np.argmin(rewards))


def agrees(ours: Rewarded, theirs: tuple[int, int]) -> bool:
    """Return whether the official pair has our highest and our lowest reward; which of equal ones it takes is left open there."""
    chosen, rejected = theirs
    return bool(ours.totals[chosen] == ours.totals.max() and ours.totals[rejected] == ours.totals.min())


def measure(work: Any, device: str) -> tuple[float, Any]:
    """Return the seconds that some work takes, the device's included, and what it gives."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    start = time.perf_counter()
    result = work()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - start, result


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark and print its table."""
    made = argparse.ArgumentParser(
        prog="python -m benchmarks prefer --", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--topics", type=int, default=2000)
    made.add_argument("--candidates", type=int, default=32)
    made.add_argument("--words", type=int, default=100, help="of a candidate, about (default: %(default)s)")
    made.add_argument("--gold-words", type=int, default=150, help="of a gold passage, about (default: %(default)s)")
    made.add_argument("--one-by-one", type=int, default=200, metavar="N", help="topics done the official way")
    made.add_argument("--shape", choices=SHAPES, default="bert-base", help="of the random model (default: %(default)s)")
    made.add_argument("--model", metavar="FOLDER", help="an encoder's folder in place of a random model (mean pooling)")
    made.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    made.add_argument("--precision", choices=("fp32", "bf16", "fp16"), help="of both (default: fp16 on a GPU, as the official script; else fp32)")  # fmt: skip
    made.add_argument("--batch-tokens", type=int, default=0, help="of ours (default: the encoder's own)")
    made.add_argument("--format", choices=FORMATS, default="text")
    args = made.parse_args(argv)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    precision = args.precision or ("fp16" if args.device.startswith("cuda") else "fp32")
    cases = cases_of(args.topics, args.candidates, args.words, args.gold_words)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(args.model) if args.model else random_model(args.shape, Path(scratch))
        spec = spec_of_folder(folder) if is_sentence_transformers(folder) else EncoderSpec(model="", normalize=True)
        encoder = Encoder(spec, folder, args.device, precision, args.batch_tokens)
        official = OneByOne(folder, args.device, precision, spec.document_max_length)

    weights = parse_rewards("retriever=1,answer=1")
    few = cases[: args.one_by_one]
    texts = [text for case in cases for text in (case.gold, case.answer, *case.candidates)]
    all_different(texts)
    for case in few[:5]:
        official.pair(case)
    seconds, theirs = measure(lambda: [official.pair(case) for case in few], args.device)
    list(reward(few[:5], encoder, weights))  # as much warming up as the official way had
    cold, _ = measure(lambda: list(reward(cases, encoder, weights)), args.device)
    spent, rewarded = measure(lambda: list(reward(cases, encoder, weights)), args.device)
    cut, ids = measure(lambda: encoder.tokenize(texts, "expansion"), "cpu")

    same = sum(map(agrees, rewarded, theirs))
    rate, ours = len(few) / seconds, len(cases) / spent
    each = len(texts) / len(cases)
    rows = [
        ["one topic at a time, three calls", len(few), f"{len(few) * each:,.0f}", f"{seconds:.2f}", f"{rate:.2f}", f"{rate * each:.0f}", "1.0"],
        ["batches across topics, the first time", len(cases), f"{len(texts):,}", f"{cold:.2f}", f"{len(cases) / cold:.2f}", f"{len(texts) / cold:.0f}", f"{len(cases) / cold / rate:.1f}"],
        ["batches across topics, memory warm", len(cases), f"{len(texts):,}", f"{spent:.2f}", f"{ours:.2f}", f"{ours * each:.0f}", f"{ours / rate:.1f}"],
        ["  of this, tokenising alone", len(cases), f"{len(texts):,}", f"{cut:.2f}", f"{len(cases) / cut:.2f}", f"{len(texts) / cut:.0f}", None],
    ]  # fmt: skip
    print(Table(["", "topics", "distinct texts", "seconds", "topics/s", "texts/s", "times"], rows).render(args.format))
    name = torch.cuda.get_device_name(args.device) if args.device.startswith("cuda") else "CPU"
    print(
        f"\n{args.model or args.shape}, {precision}, {name}, torch {torch.__version__}; {args.candidates} candidates per topic, "
        f"{np.mean([len(i) for i in ids]):.0f} tokens per text (mean); pairs that agree: {same} of {len(few)}"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
