"""Validation by real searches: texts for topics that are not trained on, and nDCG@10 of the mean with them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from expandr_repro.data.topics import Expansion, Topic
from expandr_repro.encoders.protocol import TextEncoder
from expandr_repro.evaluate.metrics import parse_measures
from expandr_repro.evaluate.scoring import evaluate
from expandr_repro.indexes.faiss_index import FaissIndex
from expandr_repro.llm.prompts import Prompt
from expandr_repro.llm.sampling import PRESETS, seed_of
from expandr_repro.search.dense import DenseSearch
from expandr_repro.search.run import final_ranking
from expandr_repro.train_generator import sampled
from expandr_repro.train_generator.online.data import Validated
from expandr_repro.train_generator.online.rollouts import Policy
from expandr_repro.train_generator.settings import GrpoSettings

MEASURE = "nDCG@10"
HITS = 10

NDCG, ALONE = f"eval_{MEASURE}", f"eval_{MEASURE} of the query alone"
WORDS, TOKENS, REFUSED, CUT, EMPTY = "eval_words", "eval_tokens", "eval_refusals", "eval_cut", "eval_empty"

WRITTEN = {
    sampled.WORDS: WORDS,
    sampled.TOKENS: TOKENS,
    sampled.REFUSED: REFUSED,
    sampled.CUT: CUT,
    sampled.EMPTY: EMPTY,
}
"""What a report calls it -> what the records call it."""


@dataclass
class Validation:
    """Searches for the topics to validate on.

    Attributes:
        dev: the topics.
        prompt: that the model answers.
        encoder: that searches.
        index: of the topics' documents.
        settings: of the training.
    """

    dev: Validated
    prompt: Prompt
    encoder: TextEncoder
    index: FaissIndex
    settings: GrpoSettings
    _alone: float | None = None

    def measure(self, policy: Policy) -> dict[str, float]:
        """Write texts as `expand` does, with the same seeds each time, search, and return what is recorded.

        Args:
            policy: the model as it is now.
        """
        settings, topics = self.settings, self.dev.topics
        plain = replace(PRESETS["expandr-eval"], max_tokens=settings.max_completion_length, extra=extra_of(settings))
        jobs = [(t, sample) for t in topics for sample in range(settings.dev_samples)]
        texts = policy.write(
            [self.prompt.render(t.title) for t, _ in jobs],
            plain.settings()[0],
            [seed_of(settings.seed, t.qid, sample) for t, sample in jobs],
        )
        by_qid: dict[str, list[Expansion]] = {t.qid: [] for t in topics}
        for (topic, _), text in zip(jobs, texts, strict=True):
            if text.cleaned.text.strip() and not text.cleaned.refused:
                by_qid[topic.qid].append(Expansion(text.cleaned.text, {}))
        searcher = DenseSearch(self.encoder, self.index, HITS, self.dev.remove_own)
        if self._alone is None:
            self._alone = self._score(searcher, topics, "none")
        scores = self._score(searcher, [Topic(t.qid, t.title, tuple(by_qid[t.qid])) for t in topics], "mean")
        counts = sampled.counts_of([t.cleaned for t in texts], [len(t.ids) for t in texts], [t.finish for t in texts])
        return {NDCG: scores, ALONE: self._alone, **{WRITTEN[name]: value for name, value in counts.items()}}

    def _score(self, searcher: DenseSearch, topics: list[Topic], fusion: str) -> float:
        (ndcg,) = parse_measures(MEASURE)
        return float(evaluate(final_ranking(searcher.run(topics, fusion)), self.dev.qrels, [ndcg]).mean(ndcg))


def extra_of(settings: GrpoSettings) -> dict[str, object]:
    """Return what goes to the chat template, as `Sampling.extra` has it."""
    return {"chat_template_kwargs": settings.chat_template_kwargs} if settings.chat_template_kwargs else {}
