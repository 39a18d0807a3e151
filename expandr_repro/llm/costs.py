"""Costs of generated texts: tokens and seconds per request, kept in a file next to the expansions, and the prices of a user's table."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expandr_repro.errors import FormatError, UnknownNameError, shown
from expandr_repro.io.files import atomic_text, read_text, sha256_file
from expandr_repro.io.strict_yaml import read_yaml

log = logging.getLogger(__name__)

MILLION = 1_000_000
TOKENS, PRICE, GAINED = "tokens per query", "price per 1,000 queries", "gained per 1,000 tokens"
"""Columns of costs in tables."""

FACT = "expansion_cost"
"""Where a run's manifest has what the expansions cost: one entry per file of expansions."""


@dataclass(frozen=True)
class Spent:
    """Tokens and seconds of one request to an LLM that was answered.

    Attributes:
        qid: of the topic.
        sample: number of the sample, from 0.
        tokens_in: of the prompt.
        tokens_out: of the answer.
        seconds: until the answer was there; 0 where the backend does not tell.
    """

    qid: str
    sample: int
    tokens_in: int
    tokens_out: int
    seconds: float = 0.0


@dataclass(frozen=True)
class Price:
    """A model's price per million tokens of prompts and of answers."""

    tokens_in: float
    tokens_out: float

    def of(self, tokens_in: float, tokens_out: float) -> float:
        """Return the price of tokens."""
        return (tokens_in * self.tokens_in + tokens_out * self.tokens_out) / MILLION


@dataclass(frozen=True)
class Prices:
    """A price table.

    Attributes:
        path: its file.
        models: model -> its price.
        currency: of all prices; empty where the file names none.
    """

    path: str
    models: Mapping[str, Price]
    currency: str = ""

    def price(self, model: str) -> Price:
        """Return a model's price.

        Raises:
            UnknownNameError: the table does not have it.
        """
        if model not in self.models:
            raise UnknownNameError(
                f"model in the prices of {self.path}", model, self.models, "Add a line with its price."
            )
        return self.models[model]

    def label(self, text: str) -> str:
        """Return the name of a row or column of prices, with the currency."""
        return f"{text} ({self.currency})" if self.currency else text


def read_prices(path: str | Path) -> Prices:
    """Read a price table: YAML with `MODEL: {in: X, out: Y}` per line, in money per million tokens, and perhaps `currency: USD`.

    Raises:
        FormatError: something else is there.
        NotAvailableError: the file cannot be read.
    """
    table = read_yaml(path)
    if not isinstance(table, dict) or not table:
        raise FormatError(
            path, None, "wanted lines such as `gpt-4.1-nano: {in: 0.10, out: 0.40}`, prices per million tokens"
        )
    currency = table.get("currency", "")
    if not isinstance(currency, str):
        raise FormatError(path, None, f"currency: found {shown(currency)}, wanted a text such as USD")
    models = {str(name): _price(path, str(name), entry) for name, entry in table.items() if name != "currency"}
    if not models:
        raise FormatError(path, None, "names no model; wanted lines such as `gpt-4.1-nano: {in: 0.10, out: 0.40}`")
    return Prices(str(path), models, currency)


def _price(path: str | Path, name: str, entry: object) -> Price:
    if not isinstance(entry, dict) or set(entry) != {"in", "out"}:
        raise FormatError(
            path, None, f"{name}: found {shown(entry)}, wanted {{in: X, out: Y}}, prices per million tokens"
        )
    for key, value in entry.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and value >= 0):
            raise FormatError(path, None, f"{name}.{key}: found {shown(value)}, wanted a number, 0 or more")
    return Price(float(entry["in"]), float(entry["out"]))


def cost_path(expansions: str | Path) -> Path:
    """Return the file that has the costs of a file of expansions."""
    return Path(f"{expansions}.cost.json")


def write_costs(expansions: Path, model: str, spent: Sequence[Spent]) -> None:
    """Write what a file of expansions cost next to it: the sums, and one line per request.

    Raises:
        SetupError: the place cannot be written.
    """
    sums = {"tokens_in": sum(s.tokens_in for s in spent), "tokens_out": sum(s.tokens_out for s in spent)}
    seconds = round(sum(s.seconds for s in spent), 3)
    head = {"version": 1, "expansions_sha256": sha256_file(expansions), "model": model, "requests": len(spent), **sums}
    head |= {"seconds": seconds} if seconds else {}
    with atomic_text(cost_path(expansions)) as file:
        file.write(json.dumps(head, ensure_ascii=False)[:-1] + ', "texts": [\n')
        for number, one in enumerate(spent):
            record: dict[str, Any] = {
                "qid": one.qid,
                "sample": one.sample,
                "tokens_in": one.tokens_in,
                "tokens_out": one.tokens_out,
            }
            record |= {"seconds": round(one.seconds, 3)} if one.seconds else {}
            file.write(json.dumps(record, ensure_ascii=False) + (",\n" if number + 1 < len(spent) else "\n"))
        file.write("]}\n")


@dataclass(frozen=True)
class Costs:
    """What expansions cost.

    Attributes:
        model: that wrote them.
        spent: its requests.
    """

    model: str
    spent: tuple[Spent, ...]

    def facts(self, qids: Collection[str]) -> dict[str, Any]:
        """Return what some topics cost, as a run's manifest has it."""
        wanted = set(qids)
        some = [s for s in self.spent if s.qid in wanted]
        return {
            "model": self.model,
            "topics": len(wanted),
            "requests": len(some),
            "tokens_in": sum(s.tokens_in for s in some),
            "tokens_out": sum(s.tokens_out for s in some),
        }


def read_costs(expansions: str | Path) -> Costs | None:
    """Read what a file of expansions cost from the file next to it; None where there is none, or it is of other expansions.

    Raises:
        FormatError: it is damaged.
    """
    path = cost_path(expansions)
    if not path.is_file():
        return None
    try:
        written = json.loads(read_text(path))
        spent = tuple(
            Spent(
                str(t["qid"]), int(t["sample"]), int(t["tokens_in"]), int(t["tokens_out"]), float(t.get("seconds", 0))
            )
            for t in written["texts"]
        )
        costs, digest = Costs(str(written["model"]), spent), str(written["expansions_sha256"])
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise FormatError(path, None, f"not a record of costs ({type(error).__name__}); delete it, or run `expand` again, which asks for nothing twice") from error  # fmt: skip
    if digest != sha256_file(expansions):
        log.warning("%s: is of other expansions than %s has now, so their cost is not known; `expand --costs` writes both", path, Path(expansions).name)  # fmt: skip
        return None
    return costs


def tokens_per_query(entries: Iterable[Mapping[str, Any]]) -> float | None:
    """Return the mean tokens per topic, in and out, of what manifests have under `FACT`; None where they have nothing."""
    each = [_per_topic(e, 1.0, 1.0) for e in entries]
    return sum(each) if each else None


def price_per_1000(entries: Iterable[Mapping[str, Any]], prices: Prices) -> float | None:
    """Return the price per 1,000 topics of what manifests have under `FACT`; None where they have nothing.

    Raises:
        UnknownNameError: the prices of a model are not known.
    """
    each = []
    for e in entries:
        price = prices.price(str(e.get("model")))
        each.append(_per_topic(e, price.tokens_in, price.tokens_out) * 1000 / MILLION)
    return sum(each) if each else None


def _per_topic(entry: Mapping[str, Any], price_in: float, price_out: float) -> float:
    return float((entry["tokens_in"] * price_in + entry["tokens_out"] * price_out) / max(entry["topics"], 1))


def costs_in(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what the expansions of a run cost, as its manifest tells; empty where it does not."""
    entries = facts.get(FACT)
    keys = ("topics", "tokens_in", "tokens_out")
    good = isinstance(entries, list) and all(
        isinstance(e, dict) and all(type(e.get(k)) is int for k in keys) for e in entries
    )
    return list(entries or ()) if good else []


def front(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """Return the names of a Pareto front, the cheapest first: those that no other beats at the same cost or less.

    Args:
        points: name -> cost and score.
    """
    best: list[str] = []
    for name in sorted(points, key=lambda n: (points[n][0], -points[n][1])):
        if not best or points[name][1] > points[best[-1]][1]:
            best.append(name)
    return best


def tokens_of(facts: Mapping[str, Any]) -> float | None:
    """Return the tokens per query that a run's manifest tells: 0 for one that searched without expansions, None where it does not tell."""
    without = "fusion" in facts and not facts.get("expansions")
    return 0.0 if without else tokens_per_query(costs_in(facts))


def gained(difference: float, tokens: float | None, before: float | None) -> float | None:
    """Return how much of a metric 1,000 more tokens per query gain; None where the tokens are not known, or are not more.

    Args:
        difference: of the metric's means.
        tokens: per query, of the run.
        before: per query, of the run that it is compared with.

    Example:
        >>> gained(0.03, 150.0, 0.0)
        0.2
    """
    more = 0.0 if tokens is None or before is None else tokens - before
    return difference * 1000 / more if more > 0 else None


def cost_columns(runs: Mapping[str, Mapping[str, Any]], prices: Prices | None) -> dict[str, dict[str, float | None]]:
    """Return columns of costs: header -> run name -> value; none where no run's manifest tells what its expansions cost.

    Args:
        runs: run name -> the facts of its manifest.
        prices: for a column of prices.
    """
    entries = {name: costs_in(facts) for name, facts in runs.items()}
    if not any(entries.values()):
        if prices:
            log.warning("%s: no run's manifest has the tokens of its expansions, so there is no price to show; `expand --costs` writes them, and `search` takes them over", prices.path)  # fmt: skip
        return {}
    columns = {TOKENS: {name: tokens_per_query(e) for name, e in entries.items()}}
    if prices:
        columns[prices.label(PRICE)] = {name: price_per_1000(e, prices) for name, e in entries.items()}
    return columns
