"""What an encoder's training is asked for, and the searches that are made during it: topics held out, or others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from expandr_repro.core.encoder_config import EncoderTraining
from expandr_repro.core.errors import ExpandrError, nearest
from expandr_repro.core.topics import Topic
from expandr_repro.core.trec import Qrels
from expandr_repro.pipeline.collections import TopicSet, find_qrels, find_topics, qrels_of
from expandr_repro.pipeline.expansions import with_expansions


@dataclass(frozen=True)
class TrainRequest:
    """What an encoder is trained on; the names mean what they mean on the command line of `train_encoder`."""

    train: str
    expansions: tuple[str, ...] = ()
    negatives: str | None = None
    fusion: str = "mean"
    alpha: float | None = None
    qrels: str | None = None
    corpus: str | None = None
    dev_topics: str | None = None
    dev_expansions: tuple[str, ...] = ()


@dataclass(frozen=True)
class DevSearch:
    """One search that is made during training: topics, perhaps with expansions, and the fusion that searches with them."""

    name: str
    topics: list[Topic]
    fusion: str


def judgements_of(topics: TopicSet, name: str | None, flag: str) -> Qrels:
    """Return the judgements named, or those that belong to the topics.

    Raises:
        ExpandrError: none are known; names the flag that gives some.
    """
    found = find_qrels(name) if name else qrels_of(topics)
    if found is None:
        raise ExpandrError(f"{topics.label}: no judgements are known for these topics; give {flag}")
    return found


def expansion_sets(topics: TopicSet, names: Sequence[str]) -> dict[str, list[Topic]]:
    """Return name -> topics with that set of expansions; the topics' own where no set is named."""
    if not names:
        own = any(t.texts for t in topics.topics)
        return {"own": topics.topics} if own else {}
    sets: dict[str, list[Topic]] = {}
    for name in names:
        label = Path(name).name.removesuffix(".gz").removesuffix(".jsonl")
        if label in sets:
            raise ExpandrError(f"--expansions: {label!r} is there twice; name each set once")
        sets[label] = with_expansions(topics, name)
    return sets


def dev_searches(
    request: TrainRequest, topics: TopicSet, sets: Mapping[str, Sequence[Topic]], qrels: Qrels, dev: set[str]
) -> tuple[list[DevSearch], Qrels]:
    """Return the searches of the topics held out, or of --dev-topics: their queries alone, and with each set of expansions."""
    fusion = "mean" if request.fusion == "none" else request.fusion
    if request.dev_topics:
        if dev:
            raise ExpandrError(
                f"--dev-topics and dev {len(dev)}: the development topics are either other ones or held out; set dev to 0"
            )
        topics = find_topics(request.dev_topics)
        qrels = judgements_of(topics, None, "--dev-topics a collection that has some")
        sets = expansion_sets(topics, request.dev_expansions)
        dev = {t.qid for t in topics.topics}
    elif request.dev_expansions:
        raise ExpandrError("--dev-expansions goes with --dev-topics; topics held out have those of --expansions")
    if not dev:
        return [], {}
    alone = [Topic(t.qid, t.title) for t in topics.topics if t.qid in dev]
    made = [DevSearch("none", alone, "none")]
    made += [
        DevSearch(f"{fusion}.{name}", [t for t in listed if t.qid in dev], fusion) for name, listed in sets.items()
    ]
    return made, {qid: judged for qid, judged in qrels.items() if qid in dev}


def check_selection(config: EncoderTraining, searches: Sequence[DevSearch]) -> None:
    """Refuse settings that want searches which are not made.

    Raises:
        ExpandrError: so it is; names those that are.
    """
    names = [s.name for s in searches]
    for name in config.select_on:
        if name not in names:
            close = nearest(name, names)
            raise ExpandrError(
                f"select_on: {name!r} is no development search; there are: {', '.join(names) or 'none (set dev, or give --dev-topics)'}"
                + (f"; did you mean {close!r}?" if close else "")
            )
    if config.patience and not searches:
        raise ExpandrError(f"patience {config.patience}: needs development topics; set dev, or give --dev-topics")


def selected(config: EncoderTraining, searches: Sequence[DevSearch], fusion: str) -> list[str]:
    """Return the names of the searches whose mean nDCG@10 decides: those asked for, or those with the fusion trained."""
    return list(config.select_on) or [s.name for s in searches if (s.fusion == "none") == (fusion == "none")]
