"""Reward candidates by the workers of a Ray cluster: blocks of topics, as one process would take them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from expandr_repro.console.progress import progress
from expandr_repro.encoders.options import EncoderOptions
from expandr_repro.encoders.protocol import TextEncoder
from expandr_repro.engines.cluster import device_of_worker, placed
from expandr_repro.engines.workers import Work, Workers
from expandr_repro.io.faiss_library import load_faiss
from expandr_repro.prefer import similarity
from expandr_repro.prefer.candidates import Plan
from expandr_repro.prefer.similarity import Case, Rewarded, blocks_of, reward

if TYPE_CHECKING:
    from expandr_repro.prefer.rewards.searched import CorpusRewards

    Block = Sequence[Case]


def rewarding(
    options: EncoderOptions, weights: Mapping[str, float], searched: Callable[[TextEncoder], CorpusRewards] | None
) -> Work[Block, list[Rewarded]]:
    """Return what rewards blocks of topics on a worker."""
    from expandr_repro.encoders.loading import load_encoder

    encoder = load_encoder(options.name, options)
    index = searched(encoder) if searched else None

    def work(orders: Iterator[tuple[int, Block]], deliver: Callable[[int, list[Rewarded]], None]) -> None:
        for number, block in orders:
            deliver(number, list(reward(block, encoder, weights, index)))

    return work


def _open(rewards: CorpusRewards, where: str, encoder: TextEncoder) -> CorpusRewards:
    """Return the rewards with their index, which a worker opens by its name."""
    from expandr_repro.indexes.find import dense_index

    return replace(rewards, index=dense_index(where, encoder))


def reward_elsewhere(plan: Plan, searched: CorpusRewards | None) -> Iterator[Rewarded]:
    """Reward the candidates of all cases in their order, by workers on a cluster that is connected.

    Args:
        plan: what and how.
        searched: for the rewards that search a corpus; each worker opens its index.
    """
    faiss = load_faiss()
    places = placed(plan.request.engine)
    options = plan.request.encoder
    options = replace(options, device=device_of_worker(options.device, places[0]), given={})
    opening = None
    if searched:
        folder = searched.index.folder
        where = str(folder) if folder.is_dir() else plan.request.index or ""  # several indexes have no folder
        threads = searched.threads or faiss.omp_get_max_threads()
        opening = partial(_open, replace(searched, index=_ELSEWHERE, threads=threads), where)
    blocks = list(blocks_of(plan.cases, similarity.TEXTS_AT_ONCE))
    workers: Workers[Block, list[Rewarded]] = Workers(places, partial(rewarding, options, dict(plan.weights), opening))
    waiting: dict[int, list[Rewarded]] = {}
    following = 0
    with workers, progress(len(plan.cases), "reward", "topics") as bar:
        for number, rewarded in workers.run(blocks):
            waiting[number] = rewarded
            while following in waiting:
                ready = waiting.pop(following)
                yield from ready
                bar.update(len(ready))
                following += 1


_ELSEWHERE: Any = None
"""In place of an index that does not travel."""
