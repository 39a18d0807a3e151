"""An online training from topics to the checkpoint that is its result."""

from __future__ import annotations

from typing import Any

from expandr_repro.encoders.protocol import TextEncoder
from expandr_repro.errors import ExpandrError
from expandr_repro.indexes.find import dense_index
from expandr_repro.llm.local.weights import Weights
from expandr_repro.prefer.rewards import parse_rewards
from expandr_repro.prefer.scoring import Remembering, make_scorer
from expandr_repro.train_generator.online.data import OnlineData
from expandr_repro.train_generator.online.rewarding import GroupRewards
from expandr_repro.train_generator.online.trainer import LONG, Parts, make_grpo_trainer
from expandr_repro.train_generator.online.validation import WORDS, Validation
from expandr_repro.train_generator.settings import GrpoSettings
from expandr_repro.train_generator.trl.arguments import Place
from expandr_repro.train_generator.trl.best import Goal
from expandr_repro.train_generator.trl.session import METRICS, Built, Trained, run_training
from expandr_repro.training.metrics_log import read_metrics


def train_online(
    settings: GrpoSettings,
    goal: Goal,
    weights: Weights,
    data: OnlineData,
    encoder: TextEncoder,
    setup: Place,
    trust: bool = False,
) -> Trained:
    """Train on topics, or go on with a training.

    Args:
        settings: how.
        goal: what decides between validations.
        weights: the model, and the adapter to train further.
        data: the topics.
        encoder: the reward model, which also searches for the topics to validate on.
        setup: where and how it runs; its folder keeps the checkpoints and the records.
        trust: let the model's own code run.

    Raises:
        ExpandrError: there are too few topics, or what is to be searched cannot be; whatever `run_training` raises.
    """
    request = data.request
    scorer = make_scorer(
        data.cases, data.gold, encoder, parse_rewards(settings.reward), index=request.index, hits=settings.hits
    )
    validation = None
    if data.dev:
        same = data.dev.corpus == data.gold.corpus
        index = dense_index((request.index if same else None) or data.dev.corpus, encoder)
        validation = Validation(data.dev, data.prompt, Remembering(encoder), index, settings)

    def words_before() -> float | None:
        path = setup.folder / METRICS
        records = read_metrics(path) if path.is_file() else []
        words = next((float(r[WORDS]) for r in records if not r["step"] and WORDS in r), None)
        return None if words is None else max(1.0, words)

    rewards = GroupRewards(scorer, settings.group_size, settings.length_weight, settings.length_words)
    parts = Parts(list(data.cases.values()), data.prompt, rewards, validation, words_before)

    def build(model: Any, tokenizer: Any) -> Built:
        trainer, dropped = make_grpo_trainer(settings, setup, model.to(setup.device), tokenizer, parts)
        train = data.counts["train"]
        return Built(trainer, data.counts | {"train": train | {LONG: dropped, "used": train["used"] - dropped}})

    return run_training(settings, goal, weights, setup, build, trust)


def check_length(settings: GrpoSettings, data: OnlineData) -> None:
    """Refuse a penalty on lengths where it would never be known how long texts should be.

    Raises:
        ExpandrError: a length is to be kept, and neither length_words nor topics to validate on are given.
    """
    if settings.length_weight and settings.length_words is None and data.dev is None:
        raise ExpandrError(
            "length_weight: how long should texts be? Set length_words, or give topics to validate on (--dev, --dev-topics)"
        )
