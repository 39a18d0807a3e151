"""Batches for contrastive training: queries, one set of expansions each, positive and negative documents, and the mask.

Every draw comes from a seed, the epoch and the topics alone, so a training that is resumed draws what it would have drawn.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from expandr_repro.data.overlap.sharing import draw_apart
from expandr_repro.errors import ExpandrError


@dataclass(frozen=True)
class Example:
    """A training topic.

    Attributes:
        qid: the topic.
        query: its text.
        alternatives: sets of expansions, as a rule one set a file; a step uses one of them, drawn, or none where there are none.
        positives: relevant documents; a step uses one of them, drawn.
        negatives: documents that a retriever found and nobody judged relevant, best first; a step uses some of them, drawn.
        aside: documents that are neither right nor wrong for this topic, where other topics bring them in: the one with its own id, and
            those judged below the collection's relevance level.
    """

    qid: str
    query: str
    alternatives: tuple[tuple[str, ...], ...]
    positives: tuple[str, ...]
    negatives: tuple[str, ...] = ()
    aside: tuple[str, ...] = ()


@dataclass
class Batch:
    """Queries that are contrasted with one another.

    Attributes:
        queries: (queries,) texts.
        expansions: (expansions,) texts of all queries together.
        owners: (expansions,) the row of each expansion's query.
        documents: (documents,) docids, each once: the positives, then the hard negatives.
        targets: (queries,) the column of each query's positive.
        masked: (row, column) of documents that are relevant, but not the target, or set aside: neither right nor wrong in this step.
    """

    queries: list[str] = field(default_factory=list)
    expansions: list[str] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)
    documents: list[str] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    masked: list[tuple[int, int]] = field(default_factory=list)


def draws(seed: int, *what: object) -> random.Random:
    """Return a generator of its own for a purpose, the same on every machine."""
    return random.Random(f"{seed} {' '.join(map(str, what))}")  # noqa: S311 - an experiment's draw, to be repeated


def held_out(
    qids: Sequence[str], dev: int, seed: int, relevant: Mapping[str, Collection[str]] | None = None
) -> set[str]:
    """Draw the topics that are kept for development.

    Args:
        qids: the training topics.
        dev: how many to draw.
        seed: of the draw.
        relevant: qid -> relevant documents; with them whole groups of topics that share some are drawn, so that no topic left for
            training shares a relevant document with one held out.

    Raises:
        ExpandrError: nothing would be left for training, or the groups are too large.
    """
    if dev >= len(qids):
        raise ExpandrError(f"dev {dev}: there are only {len(qids)} training topics; leave some for training")
    draw, listed = draws(seed, "dev"), sorted(qids)
    first = draw.sample(listed, dev)
    if not relevant:
        return set(first)
    chosen = set(first)
    rest = [qid for qid in listed if qid not in chosen]
    draw.shuffle(rest)
    return draw_apart([*first, *rest], relevant, dev, "dev", "give other topics with --dev-topics, ")


def epoch_batches(
    examples: Sequence[Example], size: int, hard_negatives: int, seed: int, epoch: int, mask_relevant: bool = True
) -> Iterator[Batch]:
    """Yield an epoch's batches; each example is in one of them, in an order drawn for this epoch.

    Args:
        examples: the training topics.
        size: queries a batch; the last one has what is left.
        hard_negatives: documents drawn from each example's negatives.
        seed: of all draws.
        epoch: from 0.
        mask_relevant: whether other relevant documents of a query count neither for nor against it; if not, they count against it.
    """
    draw = draws(seed, "epoch", epoch)
    order = list(range(len(examples)))
    draw.shuffle(order)
    for begin in range(0, len(order), size):
        yield _batch([examples[i] for i in order[begin : begin + size]], hard_negatives, draw, mask_relevant)


def _batch(examples: Sequence[Example], hard_negatives: int, draw: random.Random, mask_relevant: bool) -> Batch:
    batch = Batch()
    negatives: list[str] = []
    columns: dict[str, int] = {}
    for row, example in enumerate(examples):
        batch.queries.append(example.query)
        chosen = draw.choice(example.alternatives) if example.alternatives else ()
        batch.expansions.extend(chosen)
        batch.owners.extend([row] * len(chosen))
        batch.targets.append(columns.setdefault(draw.choice(example.positives), len(columns)))
        negatives.extend(draw.sample(example.negatives, min(hard_negatives, len(example.negatives))))
    for docid in negatives:
        columns.setdefault(docid, len(columns))
    batch.documents = list(columns)
    for row, example in enumerate(examples):
        batch.masked.extend((row, columns[d]) for d in example.aside if d in columns)
        if mask_relevant:
            there = (columns[d] for d in example.positives if d in columns)
            batch.masked.extend((row, column) for column in there if column != batch.targets[row])
    return batch
