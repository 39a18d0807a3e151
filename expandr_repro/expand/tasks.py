"""The data classes of `expand`: tasks, attempts and results."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from expandr_repro.data.topics import Topic
from expandr_repro.errors import ExpandrError
from expandr_repro.expand.store import Address, Stored
from expandr_repro.llm.chats import Prompted
from expandr_repro.llm.costs import Spent
from expandr_repro.llm.prompts import Prompt
from expandr_repro.llm.sampling import SamplingPlan


class Reader(Protocol):
    """What reads texts out of an answer."""

    def read(self, raw: str, cleaned: str) -> list[str]:
        """Return the texts that an answer holds; none where it finds nothing."""

    def join(self, items: Sequence[str]) -> str:
        """Return texts as the one text of an expansion."""


@dataclass(frozen=True)
class Task:
    """What is to be generated.

    Attributes:
        topics: in output order.
        prompt: filled in but for the topic.
        plan: the samples of each topic.
        passages: gold passages by qid, for a prompt that needs them.
        keep_refusals: write refusals, marked, instead of leaving them out.
        retry_refused: ask again, with other seeds, for what was refused or came out empty.
        prompts: by qid, in place of the prompt filled in: what is sent; for prompts that contain more than the query and a gold passage.
        facts: by qid, what such a prompt was made of; part of the store's key.
        first: the number of the first sample.
        reader: reads the answers; None takes them as they are, cleaned.
    """

    topics: list[Topic]
    prompt: Prompt
    plan: SamplingPlan
    passages: Mapping[str, str] = field(default_factory=dict)
    keep_refusals: bool = False
    retry_refused: bool = False
    prompts: Mapping[str, Prompted] = field(default_factory=dict)
    facts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    first: int = 0
    reader: Reader | None = None

    def rendered(self, topic: Topic) -> Prompted:
        """Return what is sent for a topic."""
        if topic.qid in self.prompts:
            return self.prompts[topic.qid]
        return self.prompt.render(topic.title, self.passages.get(topic.qid, ""))

    def filled_in(self, topic: Topic) -> str:
        """Return what a topic fills into the prompt, for the store's key."""
        more = [dict(self.facts[topic.qid])] if self.facts.get(topic.qid) else []
        return json.dumps([topic.title, self.passages.get(topic.qid, ""), *more])

    def __post_init__(self) -> None:
        """Refuse a topic without a query.

        Raises:
            ExpandrError: there is one.
        """
        for topic in self.topics:
            if not topic.title.strip():
                raise ExpandrError(f"topic {topic.qid!r} has an empty query; give it a text or take it out")


@dataclass
class Tally:
    """What a run did; sums over processes.

    Attributes:
        requests: texts that were asked for.
        retries: further requests for the same text.
        tokens_in: tokens of the prompts, as far as the backend says.
        tokens_out: tokens generated.
    """

    requests: int = 0
    retries: int = 0
    tokens_in: int = 0
    tokens_out: int = 0

    def add(self, retries: int, tokens_in: int, tokens_out: int) -> None:
        """Count one text that was asked for."""
        self.requests += 1
        self.retries += retries
        self.tokens_in += tokens_in
        self.tokens_out += tokens_out

    def merge(self, other: Tally) -> None:
        """Add what another process did."""
        self.requests += other.requests
        self.retries += other.retries
        self.tokens_in += other.tokens_in
        self.tokens_out += other.tokens_out


Kind = Literal["text", "refused", "empty", "cut", "unread", "skipped", "failed"]
"""What came of a sample: a text, a refusal, nothing, a text cut off before the answer began, an answer that the parser finds nothing in, no question at all
since what it is about is missing, or no generation at all."""


@dataclass(frozen=True)
class Failure:
    """A sample that is not in the output, and why."""

    qid: str
    sample: int
    reason: str
    kind: Kind = "failed"


@dataclass
class Assembly:
    """The output: topics with expansions, the samples that are missing, what there is to count, further rows of the summary, and costs.

    `spent` has all requests behind the output, by their keys in the store; `paid` the money that this run took from its budget.
    """

    topics: list[Topic] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    texts: int = 0
    truncated: int = 0
    refused: int = 0
    empty: int = 0
    tally: Tally = field(default_factory=Tally)
    rows: list[tuple[str, float | str]] = field(default_factory=list)
    spent: dict[bytes, Spent] = field(default_factory=dict)
    paid: float = 0.0

    def merge(self, other: Assembly) -> None:
        """Add what came of another step; the topics are left as they are."""
        self.failures += other.failures
        self.texts += other.texts
        self.truncated += other.truncated
        self.refused += other.refused
        self.empty += other.empty
        self.tally.merge(other.tally)
        self.spent |= other.spent
        self.paid += other.paid


@dataclass(frozen=True)
class Place:
    """Where a text belongs: topic, sample, attempt, and its address and key in the store."""

    topic: Topic
    sample: int
    attempt: int
    address: Address
    key: bytes


@dataclass(frozen=True)
class Seen:
    """What the store has of a sample: the text that counts (or the refusal, or what came last), how many attempts were made, and what each cost."""

    kind: Kind
    attempts: int
    place: Place | None = None
    stored: Stored | None = None
    spent: Mapping[bytes, Spent] = field(default_factory=dict)


@dataclass(frozen=True)
class Remaining:
    """What `--dry-run` says: requests, characters of prompts, and the longest and the likely output in tokens."""

    requests: int
    topics: int
    prompt_characters: int
    most_tokens_out: int
    likely_tokens_out: float | None
