"""Run `prefer`: turn candidates into preference pairs."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expandr_repro.data.overlap.trained_on import TrainedOn, carried_on
from expandr_repro.encoders.protocol import TextEncoder
from expandr_repro.errors import ExpandrError
from expandr_repro.io.files import sha256_file
from expandr_repro.prefer.candidates import CLOSE, SAME, UNLIKE, Plan, no_pair
from expandr_repro.prefer.pairs import FINISHES, PreferencePair
from expandr_repro.prefer.rewards import REWARDS, choose
from expandr_repro.prefer.scoring import gold_index
from expandr_repro.prefer.similarity import Rewarded, reward

if TYPE_CHECKING:
    from expandr_repro.prefer.rewards.searched import CorpusRewards


@dataclass
class Preferences:
    """What came of a plan.

    Attributes:
        dropped: reason -> topics that give no pair.
        pairs: one for each topic that was kept, in the order of the candidates' file.
        values: what was measured -> a value for each candidate or topic; of all topics that were rewarded, kept or not.
        facts: for the manifest.
    """

    dropped: dict[str, int]
    pairs: list[PreferencePair] = field(default_factory=list)
    values: dict[str, array[float]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def measure(self, name: str, values: Iterable[float]) -> None:
        """Add to what was measured."""
        self.values.setdefault(name, array("d")).extend(values)


def prefer(plan: Plan, encoder: TextEncoder) -> Preferences:
    """Reward the candidates of all topics and choose a pair from each.

    Args:
        plan: what and how.
        encoder: the reward model.

    Raises:
        ExpandrError: no pair is left, or what is searched cannot be.
    """
    preferences = Preferences(dict(plan.dropped))
    searched = _searched(plan, encoder)  # built here where it is missing, whoever searches it
    if plan.request.engine.engine == "ray":
        from expandr_repro.prefer.on_ray import reward_elsewhere

        rewards = reward_elsewhere(plan, searched)
    else:
        rewards = reward(plan.cases, encoder, plan.weights, searched)
    for rewarded in rewards:
        _take(rewarded, plan, preferences)
    if not preferences.pairs:
        raise ExpandrError(f"{plan.request.candidates}: {no_pair(plan.topics, preferences.dropped)}")
    preferences.facts = _facts(plan, encoder, preferences)
    return preferences


def _searched(plan: Plan, encoder: TextEncoder) -> CorpusRewards | None:
    if not plan.searched or plan.gold.corpus is None:
        return None
    from expandr_repro.prefer.rewards.searched import CorpusRewards

    request, gold = plan.request, plan.gold
    index = gold_index(gold, encoder, {case.docid for case in plan.cases}, request.index)
    return CorpusRewards(plan.searched, index, gold.qrels, request.hits, gold.remove_own, request.threads)


def _take(rewarded: Rewarded, plan: Plan, preferences: Preferences) -> None:
    """Measure a topic, and take its pair or count why there is none."""
    sums = rewarded.similarities
    for name in plan.weights:
        preferences.measure(name, rewarded.parts[name])
    preferences.measure("total reward", rewarded.totals)
    preferences.measure("similarity to gold", rewarded.to_gold)
    if rewarded.to_answer is not None:
        preferences.measure("similarity to answer", rewarded.to_answer)
    preferences.measure("best sum of similarities", [sums.max()])
    choice = choose(rewarded.totals, sums, rewarded.case.candidates)
    if sums.max() < plan.request.min_similarity:
        preferences.dropped[UNLIKE] += 1
    elif choice is None:
        preferences.dropped[SAME] += 1
    elif choice.margin < plan.request.min_margin:
        preferences.dropped[CLOSE] += 1
    else:
        pair = _pair(rewarded, choice.chosen, choice.rejected, plan)
        preferences.pairs.append(pair)
        preferences.measure("chosen reward", [pair.chosen_reward])
        preferences.measure("rejected reward", [pair.rejected_reward])
        preferences.measure("margin", [pair.margin])


def _pair(rewarded: Rewarded, chosen: int, rejected: int, plan: Plan) -> PreferencePair:
    topic, texts, totals = rewarded.case.topic, rewarded.case.candidates, rewarded.totals
    finishes = [e.finish for e in topic.expansions if e.text.strip()]
    prompt, about = plan.prompt_of(topic)
    provenance = {
        "prompt": about["name"],
        "prompt_sha256": about["sha256"],
        "chosen_candidate": chosen,
        "rejected_candidate": rejected,
        "generator": (topic.provenance or {}).get("model"),
        **{key: finishes[i] for key, i in zip(FINISHES, (chosen, rejected), strict=True) if finishes[i]},
        **plan.rendering,
    }
    return PreferencePair(topic.qid, prompt, texts[chosen], texts[rejected], float(totals[chosen]), float(totals[rejected]), provenance)  # fmt: skip


def _facts(plan: Plan, encoder: TextEncoder, preferences: Preferences) -> dict[str, Any]:
    def file(name: str | None) -> dict[str, str] | None:
        return {"name": Path(name).name, "sha256": sha256_file(name)} if name else None

    request, gold = plan.request, plan.gold
    facts: dict[str, Any] = {
        "candidates": file(request.candidates),
        "relevance_level": gold.level,
        "own_id_removed": gold.remove_own,
        "candidates_per_topic": plan.candidates_per_topic,
        "gold": gold.label,
        "split": gold.split,
        "gold_file": file(request.gold_file),
        "answers": file(request.answers),
        "encoder": encoder.identity,
        "rewards": dict(plan.weights),
        **({"reward_origin": origins} if (origins := {n: o for n in plan.weights if (o := REWARDS.origin(n))}) else {}),
        "min_similarity": request.min_similarity,
        "min_margin": request.min_margin,
        "prompt": dict(plan.prompt_facts),
        "topics": plan.topics,
        "pairs": len(preferences.pairs),
        "dropped": dict(preferences.dropped),
    }
    if request.hold_out:
        facts |= {"hold_out": plan.left_out.names, **plan.left_out.facts}
    if plan.searched:
        facts |= {"index": Path(request.index or gold.corpus or "").name, "hits": request.hits}
    return facts


def in_common(plan: Plan) -> dict[str, set[str]]:
    """Return what two topics may share: qid -> relevant documents, title and gold passage."""
    shared = plan.training.in_common()
    for case in plan.cases:
        shared[case.topic.qid].add(f"\0\0{case.gold}")
    return shared


def trained_on(plan: Plan, pairs: Sequence[PreferencePair]) -> tuple[list[TrainedOn], bool]:
    """Return the record of pairs: their topics, the documents that the rewards look at, and what the LLMs were trained on.

    Returns:
        The entries, and whether some of them are of the LLM that wrote the candidates or the answers.
    """
    qids = {p.qid for p in pairs}
    seen = {plan.gold.docids[qid] for qid in qids if qid in plan.gold.docids}
    if any(REWARDS.find(name).beyond_query for name in plan.weights):  # which look at all of them
        seen |= {d for qid in qids for d in (plan.training.relevant or {}).get(qid, ())}
    training, request = plan.training.only(qids), plan.request
    own = TrainedOn(training.collection, training.corpus, training.titles, frozenset(seen), tuple(plan.left_out.names))
    files = [Path(name) for name in (request.candidates, request.answers) if name]
    carried = [part for file in files for part in carried_on(file)]
    return [own, *carried], bool(carried)
