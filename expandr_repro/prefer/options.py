"""The options of `prefer`, and when they apply."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from expandr_repro.console.options import Options, When, included, natural, option, positive
from expandr_repro.console.tables import FORMATS
from expandr_repro.encoders.options import EncoderOptions
from expandr_repro.engines.options import EngineOptions
from expandr_repro.prefer.rewards import OFFICIAL, REWARDS, parse_rewards
from expandr_repro.training.options import allow_overlap, hold_out


def _searches(request: PreferRequest) -> bool:
    return any(REWARDS.find(name).of_corpus for name in parse_rewards(request.rewards))


def _looks_deep(request: PreferRequest) -> bool:
    """Return whether a reward looks as deep as --hits."""
    rewards = map(REWARDS.find, parse_rewards(request.rewards))
    return any(r.of_corpus and r.depth is None for r in rewards)


PAIRS = When("to pairs, not with --serve", lambda request: not request.serve)
SERVE = When("with --serve", lambda request: request.serve)

what, which, serving, out = (partial(option, group=title) for title in ("what", "which pairs", "serving", "output"))


@dataclass(frozen=True)
class PreferRequest(Options):
    """What is to be ranked, and how."""

    candidates: str = what(
        "", metavar="F", applies=PAIRS, help="augmented topics with n expansions each, as `expand` writes them"
    )
    gold: str | None = what(None, metavar="C", help="a collection or BEIR folder whose qrels and documents give the gold passages, e.g. scifact/train (its train split, where none is named)")  # fmt: skip
    gold_file: str | None = what(None, metavar="F", help="gold passages, JSONL with qid and text, in place of the collection's documents")  # fmt: skip
    answers: str | None = what(None, metavar="F", help="augmented topics of `expand --prompt q2a`")
    index: str | None = what(None, metavar="I", help="corpus-rank, delta-ndcg: index to search (default: the collection's, built once)",
                             applies=When("", _searches, lambda _: " is for the rewards corpus-rank and delta-ndcg; add one to --reward or leave it out"))  # fmt: skip
    prompt: str = what("q2d", metavar="P", applies=PAIRS, help="the prompt column, filled in with the topic's title")
    hold_out: tuple[str, ...] = hold_out("which pairs", PAIRS)
    allow_overlap: bool = allow_overlap("which pairs", When("with --dev", lambda request: bool(request.dev)))
    rewards: str = which(OFFICIAL, "--reward", metavar="R", help="weighted sum of rewards; " + "; ".join(f"{r.name}: {r.summary}" for r in REWARDS.values()))  # fmt: skip
    candidates_per_topic: int | None = which(None, metavar="N", applies=PAIRS, parse=positive, help="drop topics without exactly N candidates; ExpandR: 32 (default: the largest number of any topic)")  # fmt: skip
    min_similarity: float = which(0.6, metavar="X", applies=PAIRS, help="drop topics whose best candidate has a lower sum of similarities to gold passage and answer")  # fmt: skip
    min_margin: float = which(0.0, metavar="X", applies=PAIRS, help="drop pairs whose rewards differ by less")
    hits: int = which(1000, metavar="K", parse=positive, help="corpus-rank: cut-off, below which the reward of the gold document is 0",
                      applies=When("with --reward corpus-rank", _looks_deep))  # fmt: skip
    threads: int = which(0, metavar="N", parse=natural, help="search threads (default: all CPU cores)", applies=When("with --reward corpus-rank or delta-ndcg", _searches))  # fmt: skip
    serve: bool = serving(
        False,
        help="serve rewards for --gold's topics over HTTP, for trainers of other toolkits, in place of writing pairs",
    )
    port: int = serving(
        0,
        metavar="N",
        help="--serve: port on localhost (default: a free one, printed)",
        applies=SERVE,
    )
    encoder: EncoderOptions = included(EncoderOptions, "encoder")
    engine: EngineOptions = included(EngineOptions, "several machines", applies=PAIRS)
    output: Path = out(Path(), metavar="F", applies=PAIRS, help="pairs to write (.jsonl); those of --dev go to F.dev.jsonl next to it")  # fmt: skip
    sample: int | None = out(None, metavar="N", applies=PAIRS, parse=positive, help="keep N pairs, drawn by seed; ExpandR: 30000 (default: all)")  # fmt: skip
    dev: int | None = out(None, metavar="N", applies=PAIRS, parse=positive, help="use N of these for development; ExpandR: 3000 (default: none)")  # fmt: skip
    seed: int = out(42, metavar="N", parse=natural, help="seed of both draws", applies=When("with --sample or --dev, which draw", lambda request: bool(request.sample or request.dev)))  # fmt: skip
    format: str = out("text", choices=FORMATS, applies=PAIRS, help="format of the report")
