"""Stop asking before a budget is exceeded: each request reserves the most that it can cost, and pays what it did cost."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass, field

from expandr_repro.console.tables import Table
from expandr_repro.data.topics import Topic
from expandr_repro.llm.base import Reply, Request
from expandr_repro.llm.chats import plain_text
from expandr_repro.llm.costs import PRICE, TOKENS, Costs, Price, Prices, price_per_1000, tokens_per_query

TEMPLATE = 64
"""Tokens that a chat template adds to a prompt, at most, until an answer tells of more."""


def money(text: str) -> float:
    """Parse an amount of money above 0 (an argparse type)."""
    amount = float(text)
    if not (math.isfinite(amount) and amount > 0):
        raise argparse.ArgumentTypeError(f"{text} is not an amount above 0")
    return amount


money.__name__ = "amount of money"


@dataclass
class Budget:
    """What a run may spend.

    A request costs at most its prompt, of which a token has one byte or more, and all the tokens that it may generate. What a backend does
    not count is taken to cost that; a request that fails, what the endpoint counted for its answers.

    Attributes:
        limit: the money there is.
        price: of the model.
        spent: the money spent so far.
    """

    limit: float
    price: Price
    spent: float = 0.0
    _reserved: dict[bytes, float] = field(default_factory=dict)
    _held: float = 0.0
    _template: int = TEMPLATE

    def reserve(self, key: bytes, request: Request) -> bool:
        """Set aside what a request costs at most; return False where the budget does not have it.

        Args:
            key: of the text in the store.
            request: that is to be sent.
        """
        most = self._most(request)
        if self.spent + self._held + most > self.limit:
            return False
        self._reserved[key] = most
        self._held += most
        return True

    def pay(self, key: bytes, reply: Reply) -> float:
        """Take what a request did cost from the budget, and return it."""
        most = self._reserved.pop(key, 0.0)
        self._held = self._held - most if self._reserved else 0.0
        known = reply.tokens_in or reply.tokens_out
        self._template = max(self._template, reply.tokens_in - _bytes(reply.request))
        cost = self.price.of(reply.tokens_in, reply.tokens_out) if known or reply.failure else most
        self.spent += cost
        return cost

    def _most(self, request: Request) -> float:
        extra = request.sampling.extra
        limits = [extra.get(key) for key in ("max_tokens", "max_completion_tokens")]
        longest = max([request.sampling.max_tokens, *(n for n in limits if isinstance(n, int))])
        return self.price.of(_bytes(request) + self._template, longest)


def _bytes(request: Request) -> int:
    return len(plain_text(request.prompt).encode("utf-8", "replace"))


def costs_table(costs: Costs, topics: list[Topic], prices: Prices | None) -> Table:
    """Return what expansions cost: requests, tokens and seconds, per query and per request, and the price."""
    facts = costs.facts([t.qid for t in topics])
    count, requests = max(len(topics), 1), max(len(costs.spent), 1)
    rows: list[list[object]] = [
        ["requests", len(costs.spent)],
        ["tokens in", facts["tokens_in"]],
        ["tokens out", facts["tokens_out"]],
        ["tokens in per query", facts["tokens_in"] / count],
        ["tokens out per query", facts["tokens_out"] / count],
        [TOKENS, tokens_per_query([facts])],
    ]
    if seconds := sum(s.seconds for s in costs.spent):
        rows.append(["seconds per request", seconds / requests])
    if prices:
        rows.append([prices.label("price"), prices.price(costs.model).of(facts["tokens_in"], facts["tokens_out"])])
        rows.append([prices.label(PRICE), price_per_1000([facts], prices)])
    return Table(["", "cost"], rows)
