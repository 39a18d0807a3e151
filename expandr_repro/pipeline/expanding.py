"""Topics to augmented topics: what the store lacks is asked for and kept, then the output is put together from the store.

The output depends on the store alone, never on the order in which texts arrived: a rerun, a run after a crash and two
runs side by side write the same bytes.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from expandr_repro.core.cleaning import CLEANER, clean
from expandr_repro.core.files import sha256_text
from expandr_repro.core.progress import TextBar
from expandr_repro.core.sampling import seed_of
from expandr_repro.core.store import Address, Condition, Store, Stored
from expandr_repro.core.topics import Expansion, Topic
from expandr_repro.models.generators.base import Generator, Identity, Reply, Request
from expandr_repro.pipeline.tasks import Assembly, Failure, Place, Remaining, Tally, Task

log = logging.getLogger(__name__)

ATTEMPTS = 3
"""How often a sample is asked for until it is not empty, each time with another seed."""

CLAIM = 16
"""So many texts are claimed at a time."""

PATIENCE = 0.5
"""Seconds between two looks at what another process is asking for."""


class Expansions:
    """The expansions of a task by one generator, in a store.

    Args:
        task: what is to be generated.
        identity: the generator's.
        store: where the generations are kept.
    """

    def __init__(self, task: Task, identity: Identity, store: Store) -> None:
        self.task, self.identity, self._claims = task, identity, store.claims
        self.settings = task.plan.settings()
        facts = {"prompt_sha256": task.prompt.sha256, **identity.key()}
        self.condition: Condition = store.condition(facts, task.prompt.template)
        self.tally = Tally()
        self._reasons: dict[tuple[str, int], str] = {}

    def run(self, generator: Generator, mine: list[Topic], bar: TextBar) -> None:
        """Generate what the store lacks, keeping each text as it arrives.

        Args:
            generator: of the identity.
            mine: the topics that this process is to see to.
            bar: shows how far it is.

        Raises:
            ExpandrError: nothing can be generated, or nothing be kept.
        """
        again: list[Place] = []

        def deliver(reply: Reply) -> None:
            place: Place = reply.request.ident
            self.tally.add(reply.retries, reply.tokens_in, reply.tokens_out)
            if reply.failure:
                self._reasons[place.topic.qid, place.sample] = reply.failure
                self._claims.release([place.key])
                bar.text_done(place.topic.qid)
                return
            stored = Stored(reply.text, reply.finish, reply.tokens_in, reply.tokens_out)
            self.condition.put(place.key, place.address, stored)
            if clean(reply.text, reply.finish).empty and place.attempt + 1 < ATTEMPTS:
                again.append(self._place(place.topic, place.sample, place.attempt + 1))
            else:
                bar.text_done(place.topic.qid, reply.tokens_out)

        waiting = False
        places = self._missing(((t, s) for t in mine for s in range(len(self.settings))), bar)
        while True:
            elsewhere: list[Place] = []
            generator.generate(map(self._request, self._claimed(places, elsewhere)), deliver)
            if elsewhere and not again:
                if not waiting:
                    log.info("waiting for %d texts that another process is asking for", len(elsewhere))
                waiting = True
                time.sleep(PATIENCE)
            if not elsewhere and not again:
                return
            left = [(p.topic, p.sample) for p in (*again, *elsewhere)]
            again.clear()
            places = self._missing(left, bar)

    def _claimed(self, places: Iterator[Place], elsewhere: list[Place]) -> Iterator[Place]:
        """Yield the places that this process may ask for, and note those that another one is asking for just now."""
        while some := list(itertools.islice(places, CLAIM)):
            ours = self._claims.take([p.key for p in some])
            for place in some:
                if place.key in ours:
                    yield place
                else:
                    elsewhere.append(place)

    def _missing(self, samples: Iterable[tuple[Topic, int]], bar: TextBar | None = None) -> Iterator[Place]:
        """Yield, of every sample that has no text yet, the first attempt that the store lacks."""
        for topic, sample in samples:
            place, stored = self._find(topic, sample)
            if place and stored is None:
                yield place
            elif bar:
                bar.text_done(topic.qid)

    def _find(self, topic: Topic, sample: int) -> tuple[Place | None, Stored | None]:
        """Return (place, text) of a sample, (place, None) of the attempt to be made, or two None: all came out empty."""
        for attempt in range(ATTEMPTS):
            place = self._place(topic, sample, attempt)
            stored = self.condition.get(place.key)
            if stored is None or not clean(stored.text, stored.finish).empty:
                return place, stored
        return None, None

    def _place(self, topic: Topic, sample: int, attempt: int) -> Place:
        filled_in = json.dumps([topic.title, self.task.passages.get(topic.qid, "")])
        seed = seed_of(self.task.plan.seed, topic.qid, sample, attempt)
        address = Address(self.settings[sample], seed, sha256_text(filled_in), sample)
        return Place(topic, sample, attempt, address, self.condition.key(address))

    def _request(self, place: Place) -> Request:
        prompt = self.task.prompt.render(place.topic.title, self.task.passages.get(place.topic.qid, ""))
        return Request(place, prompt, place.address.sampling, place.address.seed)

    def remaining(self) -> Remaining:
        """Count what the store lacks."""
        requests = characters = 0
        topics = set()
        for place in self._missing((t, s) for t in self.task.topics for s in range(len(self.settings))):
            requests += 1
            topics.add(place.topic.qid)
            characters += len(self._request(place).prompt)
        mean = self.condition.mean_tokens_out()
        likely = None if mean is None else mean * requests
        return Remaining(requests, len(topics), characters, requests * self.task.plan.max_tokens, likely)

    def assemble(self, reports: Iterable[Mapping[str, Any]] = ()) -> Assembly:
        """Put the output together from the store.

        Args:
            reports: of the processes, which know why samples are missing; see `report`.
        """
        reports = list(reports)
        reasons = {(qid, sample): reason for r in reports for qid, sample, reason in r["reasons"]}
        made = Assembly()
        for r in reports:
            made.tally.merge(Tally(**r["tally"]))
        provenance = self.provenance()
        for topic in self.task.topics:
            expansions = []
            for sample in range(len(self.settings)):
                place, stored = self._find(topic, sample)
                if place is None:
                    made.empty += 1
                    made.failures.append(Failure(topic.qid, sample, f"empty, {ATTEMPTS} times"))
                elif stored is None:
                    reason = reasons.get((topic.qid, sample), "not generated")
                    made.failures.append(Failure(topic.qid, sample, reason))
                elif expansion := self._expansion(place, stored, made):
                    expansions.append(expansion)
            made.texts += len(expansions)
            made.topics.append(Topic(topic.qid, topic.title, tuple(expansions), provenance))
        return made

    def _expansion(self, place: Place, stored: Stored, made: Assembly) -> Expansion | None:
        text = clean(stored.text, stored.finish)
        made.truncated += stored.finish == "length"
        made.refused += text.refused
        sampling = place.address.sampling.record() | {"seed": place.address.seed}
        if text.refused and not self.task.keep_refusals:
            made.failures.append(Failure(place.topic.qid, place.sample, f"refused: {text.text[:80]!r}"))
            return None
        return Expansion(text.text, sampling | ({"refused": True} if text.refused else {}))

    def provenance(self) -> dict[str, Any]:
        """Return what made the expansions, for each line of the output."""
        prompt = self.task.prompt
        return {
            "prompt": prompt.name,
            "prompt_version": prompt.version,
            "prompt_sha256": prompt.sha256,
            **self.identity.record(),
            "cleaner": CLEANER,
            "seed": self.task.plan.seed,
        }

    def report(self) -> dict[str, Any]:
        """Return what this process did, as JSON can hold it."""
        return {
            "tally": dataclasses.asdict(self.tally),
            "reasons": [[qid, sample, reason] for (qid, sample), reason in self._reasons.items()],
        }
