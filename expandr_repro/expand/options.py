"""The options of `expand`, and when they apply."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from expandr_repro.console.options import Options, When, included, option, positive, to_path
from expandr_repro.console.tables import FORMATS
from expandr_repro.data.topics import TYPES
from expandr_repro.engines.options import EngineOptions
from expandr_repro.errors import ExpandrError
from expandr_repro.expand.budget import money
from expandr_repro.io.paths import cache_dir
from expandr_repro.llm.base import BACKENDS, GeneratorOptions
from expandr_repro.llm.prompts import find_prompt, prompts
from expandr_repro.llm.sampling import PRESETS


def temperatures(text: str) -> tuple[float, ...]:
    """Parse numbers separated by commas (an argparse type)."""
    return tuple(float(part) for part in text.split(","))


temperatures.__name__ = "list of numbers"


def json_object(text: str) -> dict[str, Any]:
    """Parse a JSON object (an argparse type)."""
    value = json.loads(text)
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"{text} is not a JSON object")
    return value


json_object.__name__ = "JSON object"


def store_file(named: Path | None) -> Path:
    """Return where generations are kept."""
    return named or cache_dir() / "expansions.sqlite"


def _prompt_has(part: str) -> Callable[[Any], bool]:
    """Hold where the prompt has a placeholder; also where which prompt it is depends on the topics."""

    def holds(request: ExpandRequest) -> bool:
        from expandr_repro.llm.templates import fields_of

        if request.method:
            return part == "examples"
        try:
            return part in fields_of(find_prompt(request.prompt)[1].template)
        except ExpandrError:
            return True

    return holds


HUB = When(
    "to a model of the hub and, as a label, to an endpoint's; a folder is what it is",
    lambda request: "base_url" in BACKENDS.find(request.backend).options or not Path(request.generator.model).is_dir(),
)
PRESET = When(
    "without --temperature and --samples, which together replace it",
    lambda request: request.temperature is None or request.samples is None,
)
METHOD = When("with --method", lambda request: request.method is not None)


def _takes(name: str) -> Sequence[When]:
    """Return when an option of the generator applies: for backends that use it; one that there is not is refused by its name."""

    def holds(request: ExpandRequest) -> bool:
        return request.backend not in BACKENDS.names() or name in BACKENDS.find(request.backend).options

    def otherwise(request: ExpandRequest) -> str:
        return f" has no meaning for --backend {request.backend}; leave it out or choose another backend"

    if name in ("model", "revision"):
        return (HUB,) if name == "revision" else ()
    return (When("", holds, otherwise),)


PRICES = (
    "price table, YAML: lines such as `gpt-4.1-nano: {in: 0.10, out: 0.40}`, per million tokens, and `currency: USD`"
)

what, sampling, out = (partial(option, group=title) for title in ("what", "sampling", "output"))


@dataclass(frozen=True)
class ExpandRequest(Options):
    """What is to be expanded, and how."""

    topics: str = what(metavar="T", help="a collection (pocket, scifact, scifact/train, irds:..., a Pyserini name), a topics file, or a BEIR folder")  # fmt: skip
    limit: int | None = what(None, metavar="N", parse=positive, help="expand only the first N topics")
    qids: str | None = what(None, metavar="IDS", help="expand only these topics: a file with one id per line, or ids separated by commas")  # fmt: skip
    method: str | None = what(None, metavar="M", one_of="prompt or method", help="an expansion method in place of a prompt: a name (see `expand methods`) or a .yaml file")  # fmt: skip
    prompt: str = what("q2d", metavar="P", one_of="prompt or method", help=f"{', '.join(prompts())}; hyde for the collection's own; a .yaml or .txt file")  # fmt: skip
    backend: str = what("openai", metavar="B", help="; ".join(f"{name}: {b.summary}" for name, b in BACKENDS.items()))
    preset: str = sampling("expandr-eval", metavar="P", choices=PRESETS, applies=PRESET, help="expandr-eval: 1 sample at 1.0; expandr-candidates: 8 each at 0.8, 0.9, 1.0, 1.1")  # fmt: skip
    temperature: tuple[float, ...] | None = sampling(None, metavar="X", parse=temperatures, help="sampling temperature, or several, e.g. 0.8,1.0 (default: the preset's)")  # fmt: skip
    samples: int | None = sampling(None, metavar="N", parse=positive, help="texts at each temperature (default: the preset's)")  # fmt: skip
    top_p: float | None = sampling(None, metavar="X", help="nucleus sampling (default: 0.9)")
    max_tokens: int | None = sampling(
        None, metavar="N", parse=positive, help="new tokens per text at most (default: 512)"
    )
    seed: int | None = sampling(None, metavar="N", help="each text's seed is derived from it (default: 42)")
    extra: dict[str, Any] | None = sampling(None, metavar="JSON", parse=json_object, help='more settings for the backend, e.g. {"top_k": 50}; null removes one from an endpoint\'s request')  # fmt: skip
    generator: GeneratorOptions = included(GeneratorOptions, applies=_takes)
    engine: EngineOptions = included(EngineOptions, "several machines")
    passages: str | None = what(None, metavar="FILE", help="gold passages for q2a, JSONL with qid and text (default: by the collection's qrels)",
                                applies=When("to a prompt with {passage}, such as q2a", _prompt_has("passage")))  # fmt: skip
    examples_from: str | None = what(None, metavar="T", help="training topics for few-shot examples (default: the collection's train split)",
                                     applies=When("to a prompt with {examples}", _prompt_has("examples")))  # fmt: skip
    language: str | None = what(None, metavar="L", help="value of {language} in the prompt")
    context: str | None = what(None, metavar="C", applies=METHOD, help="passages for a method's prompts: bm25:10, dense:10, a run file (RUN or RUN:10) or none (default: the method's)")  # fmt: skip
    context_encoder: str | None = what(None, metavar="E", applies=METHOD, help="encoder for --context dense (default: all-MiniLM-L6-v2)")  # fmt: skip
    corpus: str | None = what(None, metavar="D", applies=METHOD, help="documents for --context: a collection or a corpus (default: the topics' collection)")  # fmt: skip
    prompt_bank: str | None = what(None, metavar="FILE", applies=METHOD, help="prompts in QueryGym's format, sent in place of the method's own")  # fmt: skip
    window: int | None = what(None, metavar="N", parse=positive, applies=METHOD, help="context window of the model in tokens, for prompt and answer; passages that do not fit are left out (default: that of a local model)")  # fmt: skip
    output: Path | None = out(None, metavar="F", parse=to_path, help="augmented topics to write (.jsonl); failures are listed in F.failures.jsonl")  # fmt: skip
    store: Path | None = out(None, metavar="S", parse=to_path, help="database of generated texts (default: $EXPANDR_CACHE/expansions.sqlite)")  # fmt: skip
    dry_run: bool = out(False, help="print what would be read and fetched, and how many requests and about how many tokens remain")  # fmt: skip
    keep_refusals: bool = out(False, help="write refusals, marked as such, instead of leaving them out")
    retry_refused: bool = out(False, help="request refused and empty texts again, with other seeds")
    costs: bool = out(False, help="write the tokens and seconds of each text to F.cost.json, as --prices does too")
    prices: Path | None = out(None, metavar="FILE", parse=to_path, help=f"{PRICES}; the summary then shows the price")
    budget: float | None = out(None, metavar="X", parse=money, help="stop before this run's requests cost more than X, in the currency of --prices; texts in the store cost nothing",
                               applies=When("with --prices", lambda request: request.prices is not None))  # fmt: skip
    format: str = out("text", choices=FORMATS, help="format of the summary")

    @property
    def plan(self) -> dict[str, Any]:
        """What changes the preset."""
        names = ("samples", "top_p", "max_tokens", "seed", "extra")
        return {"temperatures": self.temperature} | {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class MethodsRequest(Options):
    """How `expand methods` lists the methods."""

    format: str = option("text", choices=FORMATS)


@dataclass(frozen=True)
class ShowRequest(Options):
    """What `expand show` prints."""

    file: str = option(argument=True, metavar="F", help="augmented topics")
    qids: tuple[str, ...] = option((), argument=True, metavar="QID", help="topics (default: all)")
    store: Path | None = option(None, metavar="S", parse=to_path, help="database in which to look up prompts that are not packaged (default: $EXPANDR_CACHE/expansions.sqlite)")  # fmt: skip


@dataclass(frozen=True)
class ImportRequest(Options):
    """What `expand import` reads and writes."""

    file: str = option(argument=True, metavar="F", help="QueryGym's queries.tsv or run JSON, or a JSON list (or JSON lines) of objects with qid and text")  # fmt: skip
    output: Path = option(parse=Path, metavar="F", help="augmented topics to write (.jsonl)")
    topics: str | None = option(None, metavar="T", help="topics with the queries, as for `expand` (default: the topics that a run JSON names; else the texts become titles)")  # fmt: skip
    type: str = option("rewrite", choices=TYPES, help="type of the texts: a rewrite is searched in place of the query, the others expand it")  # fmt: skip


@dataclass(frozen=True)
class StatsRequest(Options):
    """What `expand stats` counts."""

    file: str = option(argument=True, metavar="F", help="augmented topics")
    prices: Path | None = option(None, metavar="FILE", parse=to_path, help=PRICES)
    format: str = option("text", choices=FORMATS)
