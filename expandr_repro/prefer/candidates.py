"""What `prefer` is asked to do, and which topics it can do it for; the others are counted by reason."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from expandr_repro.console.progress import counted
from expandr_repro.data.overlap.sharing import relevant_documents
from expandr_repro.data.topics import Topic, read_topics
from expandr_repro.errors import ExpandrError
from expandr_repro.llm.prompts import Prompt, find_prompt, prepare
from expandr_repro.llm.rendering import one_rendering, recorded_prompt, rendering_of
from expandr_repro.prefer.gold import Gold, find_gold, read_answers
from expandr_repro.prefer.options import PreferRequest
from expandr_repro.prefer.rewards import REWARDS, parse_rewards
from expandr_repro.prefer.similarity import Case
from expandr_repro.training.hold_out import LeftOut, TrainingTopics, corpus_hash, leave_out

log = logging.getLogger(__name__)

HELD_OUT = "left out for --hold-out"
NO_GOLD = "no gold passage"
NO_ANSWER = "no answer, or an empty one"
MISSING = "candidates missing"
TOO_MANY = "more candidates than asked for"
UNLIKE = "best sum of similarities under --min-similarity"
SAME = "no two candidates that differ in text and reward"
CLOSE = "margin under --min-margin"
REASONS = (HELD_OUT, NO_GOLD, NO_ANSWER, MISSING, TOO_MANY, UNLIKE, SAME, CLOSE)
"""Why a topic gives no pair; the first that holds is counted."""


@dataclass(frozen=True)
class Plan:
    """A request with everything read and checked that needs no model.

    Attributes:
        request: as it was made.
        weights: reward -> weight.
        gold: the gold passages.
        prompt: that the pairs get.
        candidates_per_topic: of every case.
        topics: how many there were.
        cases: those that can be rewarded.
        dropped: reason -> topics; all of `REASONS`, in that order, counted as far as no model is needed.
        training: the candidates' topics and their relevant documents.
        left_out: what --hold-out takes away of them.
        rendering: how all candidates' prompts were rendered; see `llm.rendering`.
        prompts: by qid, where the candidates say it: what they answer, and the prompt's name, version and hash.
    """

    request: PreferRequest
    weights: Mapping[str, float]
    gold: Gold
    prompt: Prompt
    candidates_per_topic: int
    topics: int
    cases: list[Case]
    dropped: dict[str, int]
    training: TrainingTopics
    left_out: LeftOut
    rendering: Mapping[str, Any]
    prompts: Mapping[str, tuple[str, Mapping[str, Any]]] = field(default_factory=dict)

    def prompt_of(self, topic: Topic) -> tuple[str, Mapping[str, Any]]:
        """Return what a topic's candidates answer, as text, and the prompt's name, version and hash."""
        if topic.qid in self.prompts:
            return self.prompts[topic.qid]
        prompt = self.prompt
        return prompt.render(topic.title), {"name": prompt.name, "version": prompt.version, "sha256": prompt.sha256}

    @property
    def prompt_facts(self) -> Mapping[str, Any]:
        """The name, version and hash of the pairs' prompt, for the manifest."""
        return next(iter(self.prompts.values()))[1] if self.prompts else self.prompt_of(Topic("", ""))[1]

    @property
    def searched(self) -> tuple[str, ...]:
        """The rewards that search a corpus."""
        return tuple(name for name in self.weights if REWARDS.find(name).of_corpus)


def plan(request: PreferRequest) -> Plan:
    """Read and check all that a request names, so that what is wrong is found before a model is loaded.

    Raises:
        ExpandrError: whatever the user can cause, also that no topic can be rewarded; the message says what to do.
    """
    weights = parse_rewards(request.rewards)
    _check(request, weights)
    topics, prompts = _of_one_prompt(request, read_topics(request.candidates))
    gold = find_gold(request.gold, request.gold_file, topics)
    answers = read_answers(request.answers, topics) if request.answers else None
    dropped = dict.fromkeys(REASONS, 0)
    training = _training(request, gold, topics)
    rendering = one_rendering(
        ((t.qid, rendering_of(e.sampling, t.provenance)) for t in topics for e in t.expansions if e.text.strip()), request.candidates
    )  # fmt: skip
    made = Plan(
        request, weights, gold, _prompt(request.prompt, gold, [] if prompts else topics), _candidates_per_topic(request, topics), len(topics), [], dropped,
        training, leave_out(request.hold_out, training), rendering, prompts,
    )  # fmt: skip
    made.cases.extend(_cases(topics, gold, answers, made))
    if not made.cases:
        raise ExpandrError(f"{request.candidates}: {no_pair(made.topics, dropped)}")
    if dropped[NO_GOLD]:
        log.warning("%d topics have candidates, but no gold passage in %s", dropped[NO_GOLD], gold.label)
    if answers is None and request.min_similarity == PreferRequest.min_similarity:
        log.warning(
            "without --answers the sum of similarities is the one to the gold passage alone; "
            "the official threshold of %g is for the sum of two, so consider --min-similarity %g",
            request.min_similarity,
            request.min_similarity / 2,
        )
    return made


def _training(request: PreferRequest, gold: Gold, topics: Sequence[Topic]) -> TrainingTopics:
    relevant = relevant_documents(gold.qrels, [t.qid for t in topics], gold.level) if gold.qrels else None
    name = Path(request.candidates).name
    return TrainingTopics(
        name, {t.qid: t.title for t in topics}, relevant, gold.collection or name, corpus_hash(gold.corpus)
    )


def no_pair(topics: int, dropped: Mapping[str, int]) -> str:
    """Return why there is not a single pair."""
    why = "; ".join(f"{reason}: {n}" for reason, n in dropped.items() if n)
    return f"none of {topics} topics gives a pair ({why})"


def why_few(plan: Plan, dropped: Mapping[str, int]) -> str:
    """Return what kept topics from giving a pair, after a colon; nothing where all gave one."""
    request = plan.request
    by = {UNLIKE: f"--min-similarity {request.min_similarity:g}", CLOSE: f"--min-margin {request.min_margin:g}"}
    told = [
        f"{n} of {plan.topics} topics {f'were dropped by {by[why]}' if why in by else f'({why})'}" for why, n in dropped.items() if n
    ]  # fmt: skip
    return f": {', '.join(told)}" if told else ""


def _check(request: PreferRequest, weights: Mapping[str, float]) -> None:
    needs_answers = [name for name in weights if REWARDS.find(name).of_answers]
    if needs_answers and not request.answers:
        rest = ",".join(f"{n}={w:g}" for n, w in weights.items() if n not in needs_answers) or "retriever=1"
        raise ExpandrError(
            f"the reward {needs_answers[0]!r} needs --answers F (made by `expand --prompt q2a`); or go without: --reward {rest}"
        )
    of_corpus = [name for name in weights if REWARDS.find(name).of_corpus]
    if of_corpus and not request.gold:
        raise ExpandrError(
            f"the reward {of_corpus[0]!r} searches a collection; name it with --gold, e.g. --gold scifact/train"
        )
    if request.index and not of_corpus:
        raise ExpandrError("--index is for the rewards corpus-rank and delta-ndcg; add one to --reward or leave it out")
    for flag, value in (("--min-similarity", request.min_similarity), ("--min-margin", request.min_margin)):
        if value != value:
            raise ExpandrError(f"{flag} {value}: wanted a number")
    if request.min_margin < 0:
        raise ExpandrError(f"--min-margin {request.min_margin:g}: wanted 0 or more")


def _prompt(name: str, gold: Gold, topics: Sequence[Topic]) -> Prompt:
    """Return the prompt of the pairs; warn where the candidates say that they were made with another."""
    ident, spec = find_prompt(name, gold.dataset)
    prompt = prepare(ident, spec)
    if spec.examples or prompt.needs_passage:
        raise ExpandrError(f"--prompt {name}: needs more than the query; pairs take a prompt such as q2d")
    others = {str(t.provenance.get("prompt", "that they do not name")) for t in topics
              if t.provenance and t.provenance.get("prompt_sha256", prompt.sha256) != prompt.sha256}  # fmt: skip
    if others:
        log.warning(
            "the candidates were made with prompt %s; the pairs get %s: give --prompt if that is not meant",
            ", ".join(sorted(others)),
            ident,
        )
    return prompt


def _of_one_prompt(request: PreferRequest, topics: list[Topic]) -> tuple[list[Topic], dict[str, tuple[str, Mapping[str, Any]]]]:  # fmt: skip
    """Return topics with the candidates that answer one prompt, and those prompts as they were sent; all candidates where the topics do not say.

    Of several prompts of a topic the one with the most candidates is taken, of such the last: two answers to different prompts are no pair.
    """
    if request.prompt != PreferRequest.prompt or not all(e.prompt is not None for t in topics for e in t.expansions):
        return topics, {}
    kept: list[Topic] = []
    prompts: dict[str, tuple[str, Mapping[str, Any]]] = {}
    others = 0
    for topic in topics:
        sizes = Counter(e.prompt for e in topic.expansions)
        if not sizes:
            kept.append(topic)
            continue
        chosen = max(sizes, key=lambda number: (sizes[number], number))
        some = tuple(e for e in topic.expansions if e.prompt == chosen)
        others += len(topic.expansions) - len(some)
        facts = topic.provenance or {}
        about = {
            "name": facts.get("prompt"),
            "version": facts.get("prompt_version"),
            "sha256": facts.get("prompt_sha256"),
        }
        prompts[topic.qid] = (recorded_prompt(topic, some[0], request.candidates) or "", about)
        kept.append(replace(topic, expansions=some))
    if others:
        log.warning("%s: %d candidates answer other prompts of their topics and are left out; a pair is of two answers to one prompt", request.candidates, others)  # fmt: skip
    return kept, prompts


def _candidates_per_topic(request: PreferRequest, topics: Sequence[Topic]) -> int:
    """Return how many candidates a topic must have: as asked for, or as many as the topic with the most has."""
    most = max(len(t.texts) for t in topics)
    count = request.candidates_per_topic or most
    if count < 2:
        raise ExpandrError(
            f"{request.candidates}: {counted(count, 'candidate')} per topic; a pair needs at least two (make them with `expand --preset expandr-candidates`)"
        )
    if count > most:
        raise ExpandrError(f"--candidates-per-topic {count}: no topic of {request.candidates} has more than {most}")
    return count


def _cases(topics: Iterable[Topic], gold: Gold, answers: Mapping[str, str] | None, made: Plan) -> Iterator[Case]:
    """Yield the topics that can be rewarded, and count the others; as the official script, demand an exact number of candidates."""
    for topic in topics:
        reason = None
        if topic.qid in made.left_out.qids:
            reason = HELD_OUT
        elif topic.qid not in gold.texts or (made.searched and topic.qid not in gold.docids):
            reason = NO_GOLD
        elif answers is not None and topic.qid not in answers:
            reason = NO_ANSWER
        elif len(topic.texts) != made.candidates_per_topic:
            reason = MISSING if len(topic.texts) < made.candidates_per_topic else TOO_MANY
        if reason:
            made.dropped[reason] += 1
            continue
        answer = answers[topic.qid] if answers is not None else ""
        yield Case(topic, topic.texts, gold.texts[topic.qid], gold.docids.get(topic.qid, ""), answer)
