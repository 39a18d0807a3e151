"""What the model writes before and after training, for the same prompts with the same seeds: words, refusals, cut texts."""

from __future__ import annotations

import gc
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from expandr_repro.errors import ExpandrError
from expandr_repro.llm.answers.cleaning import Cleaned, clean
from expandr_repro.llm.base import GeneratorOptions, Reply, Request
from expandr_repro.llm.local.transformers import TransformersGenerator
from expandr_repro.llm.local.weights import Weights
from expandr_repro.llm.sampling import PRESETS, Sampling, seed_of
from expandr_repro.train_generator.settings import PassageSettings

log = logging.getLogger(__name__)

WORDS, TOKENS, REFUSED, CUT, EMPTY = "words per text", "tokens per text", "refusals", "texts cut at the token limit", "empty texts"  # fmt: skip


@dataclass(frozen=True)
class Sampler:
    """Generates the texts that are counted.

    Attributes:
        prompts: those to be answered, each once.
        settings: of the training.
        device: cpu or cuda.
        trust: let the model's own code run.
    """

    prompts: Sequence[str]
    settings: PassageSettings
    device: str
    trust: bool = False

    def measure(self, weights: Weights) -> dict[str, float]:
        """Return the counts of the texts of one model.

        Raises:
            ExpandrError: it cannot be loaded, or its texts do not fit into the device's memory.
        """
        options = GeneratorOptions(str(weights.folder), device=self.device, batch_size=64, trust_remote_code=self.trust)
        generator = TransformersGenerator(options, weights)
        if self.settings.chat_template is False:
            generator.model_and_tokenizer[1].chat_template = None
        plain = PRESETS["expandr-eval"]
        values = self.settings.chat_template_kwargs
        room = self.settings.max_length - self.settings.max_prompt_length
        sampling = Sampling(plain.temperatures[0], plain.top_p, room, {"chat_template_kwargs": values} if values else {})  # fmt: skip
        replies: list[Reply] = []
        requests = (
            Request(i, prompt, sampling, seed_of(self.settings.seed, prompt, i))
            for i, prompt in enumerate(self.prompts)
        )
        generator.generate(requests, replies.append)
        del generator
        _free()
        return count(sorted((r for r in replies if r.failure is None), key=lambda r: int(r.request.ident)))


def count(replies: Sequence[Reply]) -> dict[str, float]:
    """Return the means and counts of texts, cleaned as `expand` cleans them; nothing where there is none."""
    if not replies:
        return {}
    cleaned = [clean(r.text, r.finish, r.request.prompt) for r in replies]
    return counts_of(cleaned, [r.tokens_out for r in replies], [r.finish for r in replies])


def counts_of(cleaned: Sequence[Cleaned], tokens: Sequence[int], finishes: Sequence[str]) -> dict[str, float]:
    """Return the means and counts of texts, of which there is one or more: cleaned, their tokens, and why each ended."""
    return {
        WORDS: fmean(len(c.text.split()) for c in cleaned),
        TOKENS: fmean(tokens),
        REFUSED: sum(c.refused for c in cleaned),
        CUT: sum(finish == "length" for finish in finishes),
        EMPTY: sum(not c.text.strip() for c in cleaned),
    }


def before_and_after(
    sampler: Sampler, untrained: Weights, trained: Path, is_adapter: bool, changed: bool
) -> dict[str, Any]:
    """Return how many texts there were, and what was counted before and after.

    A failure is a warning: the training is done, and its result must not be lost for want of a count.

    Args:
        sampler: of the texts.
        untrained: the model, and the adapter it began with.
        trained: the folder of the result's weights.
        is_adapter: whether these are an adapter's.
        changed: whether the result is another model than the untrained one.
    """
    after = Weights(untrained.folder, trained, untrained.precision, untrained.identity)
    if not is_adapter:
        after = Weights(trained, None, untrained.precision, untrained.identity)
    _free()
    try:
        first = sampler.measure(untrained)
        second = sampler.measure(after) if changed else first
    except ExpandrError as error:
        log.warning("no texts were generated to compare lengths before and after: %s", error)
        return {}
    if not (first and second):
        log.warning("no texts were generated to compare lengths before and after; lower max_length")
        return {}
    return {"texts": len(sampler.prompts), "measures": {name: [first[name], second[name]] for name in first}}


def _free() -> None:
    """Give back the memory of models that are no longer used."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
