"""Decode many texts at once: equal prompts are read once, and a row whose text has ended goes to the next one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from expandr_repro.llm.local.decoder import Decoder
from expandr_repro.llm.local.seeded import sample, uniforms

if TYPE_CHECKING:
    import torch

EVERY = 8
"""Steps between two looks at which rows have ended: a look waits for the device."""

PREFILL = 16_384
"""Tokens of prompts that go through the model together."""


@dataclass
class Job:
    """One text to be decoded.

    Attributes:
        ident: whatever the caller knows it by.
        prompt: token ids.
        seed: of its stream of random numbers.
        temperature: 0 takes the likeliest token.
        top_p: of the nucleus.
        limit: new tokens at most.
    """

    ident: Any
    prompt: Sequence[int]
    seed: int
    temperature: float
    top_p: float
    limit: int


class _Rows:
    """What each row of a decoder is at work on."""

    def __init__(self, count: int, longest: int, device: Any) -> None:
        import torch

        self.jobs: list[Job | None] = [None] * count
        self.now = 0  # steps taken
        self.offsets = [0] * count  # a row's place less the step
        self.tokens = torch.zeros(count, dtype=torch.long, device=device)
        self.places = torch.zeros(count, dtype=torch.long, device=device)
        self.made = torch.zeros(count, dtype=torch.long, device=device)
        self.limits = torch.zeros(count, dtype=torch.long, device=device)
        self.ended = torch.ones(count, dtype=torch.bool, device=device)
        self.temperature = torch.zeros(count, dtype=torch.float32, device=device)
        self.top_p = torch.ones(count, dtype=torch.float64, device=device)
        self.uniform = torch.zeros((count, longest), dtype=torch.float64, device=device)
        self.text = torch.zeros((count, longest), dtype=torch.long, device=device)

    def begin(self, rows: Sequence[int], jobs: Sequence[Job], device: Any) -> None:
        import torch

        where = torch.tensor(rows, device=device)
        for row, job in zip(rows, jobs, strict=True):
            self.jobs[row], self.offsets[row] = job, len(job.prompt) - 1 - self.now
        self.tokens[where] = torch.tensor([job.prompt[-1] for job in jobs], device=device)
        self.places[where] = torch.tensor([len(job.prompt) - 1 for job in jobs], device=device)
        self.made[where] = 0
        self.limits[where] = torch.tensor([job.limit for job in jobs], device=device)
        self.ended[where] = False
        self.temperature[where] = torch.tensor([job.temperature for job in jobs], dtype=torch.float32, device=device)
        self.top_p[where] = torch.tensor([job.top_p for job in jobs], dtype=torch.float64, device=device)
        streams = uniforms([job.seed for job in jobs], self.uniform.shape[1])
        self.uniform[where] = streams.to(device)

    def keep(self, kept: Sequence[int], device: Any) -> torch.Tensor:
        import torch

        rows = torch.tensor(kept, device=device)
        for name in ("jobs", "offsets"):
            setattr(self, name, [getattr(self, name)[i] for i in kept])
        for name in ("tokens", "places", "made", "limits", "ended", "temperature", "top_p", "uniform", "text"):
            setattr(self, name, getattr(self, name)[rows])
        return rows


def decode(decoder: Decoder, jobs: Iterator[Job], longest: int, deliver: Callable[[Job, list[int]], None]) -> None:
    """Decode jobs and hand each over as soon as it is seen to have ended, in any order.

    Args:
        decoder: with room for every prompt and text.
        jobs: taken when there is a row for them.
        longest: no job's limit is larger.
        deliver: takes a job and its tokens, the one that ended it among them.

    Raises:
        torch.OutOfMemoryError: what was not delivered is to be decoded again, with fewer rows.
    """
    import torch

    device = decoder.device
    rows, ahead = _Rows(decoder.rows, longest, device), _Ahead(decoder, jobs)
    over: deque[tuple[Job, list[int]]] = deque()

    def hand_over() -> None:
        while over:
            deliver(*over.popleft())

    with torch.inference_mode():
        while True:
            free = [i for i, job in enumerate(rows.jobs) if job is None]
            busy = len(rows.jobs) - len(free)
            if len(free) >= max(1, len(rows.jobs) // 32) or not busy:
                ahead.fill(rows, free)
                busy = sum(job is not None for job in rows.jobs)
            if not busy:
                hand_over()
                return
            if ahead.empty and busy <= len(rows.jobs) // 2 and device.type == "cuda" and len(rows.jobs) > 32:
                kept = [i for i, job in enumerate(rows.jobs) if job is not None]
                decoder.keep(rows.keep(kept, device))
            furthest = max(offset for offset, job in zip(rows.offsets, rows.jobs, strict=True) if job)
            for _ in range(EVERY):  # a row that ended meanwhile stands still, so that none goes beyond its place
                _advance(decoder, rows, min(furthest + rows.now, decoder.length - 1), hand_over)
            over += _collected(rows)


class _Ahead:
    """Jobs whose prompts have been read, many at once, before there are rows for all of them."""

    def __init__(self, decoder: Decoder, jobs: Iterator[Job]) -> None:
        self._decoder, self._jobs = decoder, jobs
        self._waiting: deque[tuple[Job, int]] = deque()
        self._read: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._next = next(jobs, None)

    @property
    def empty(self) -> bool:
        """Whether there is no job left."""
        return not self._waiting and self._next is None

    def fill(self, rows: _Rows, free: Sequence[int]) -> None:
        """Give free rows to the next jobs."""
        open_rows = deque(free)
        while open_rows and not self.empty:
            if not self._waiting:
                self._read_more()
            count = min(len(open_rows), len(self._waiting))
            into = [open_rows.popleft() for _ in range(count)]
            taken = [self._waiting.popleft() for _ in range(count)]
            self._decoder.put(self._read, [owner for _, owner in taken], into)
            rows.begin(into, [job for job, _ in taken], self._decoder.device)
        if not self._waiting:
            self._read = []

    def _read_more(self) -> None:
        """Read the next prompts, each once: no more tokens than `PREFILL`, and than the rows hold."""
        most = min(PREFILL, self._decoder.rows * self._decoder.length)
        prompts: dict[tuple[int, ...], int] = {}
        width = 1
        while self._next is not None:
            before = tuple(self._next.prompt[:-1])
            if before not in prompts:
                width = max(width, len(before))
                if prompts and width * (len(prompts) + 1) > most:
                    break
            self._waiting.append((self._next, prompts.setdefault(before, len(prompts))))
            self._next = next(self._jobs, None)
        self._read = []  # its memory is free for what comes
        self._read = self._decoder.read(list(prompts))


def _advance(decoder: Decoder, rows: _Rows, longest: int, meanwhile: Callable[[], object]) -> None:
    """Take one step in every row; rows that have ended stand still. `meanwhile` is called while a GPU is at work."""
    logits = decoder.step(rows.tokens, rows.places, longest)
    meanwhile()
    at = rows.made.clamp(max=rows.uniform.shape[1] - 1)[:, None]
    tokens = sample(logits, rows.temperature, rows.top_p, rows.uniform.gather(1, at)[:, 0])
    running = ~rows.ended
    rows.text.scatter_(1, at, tokens.where(running, rows.text.gather(1, at)[:, 0])[:, None])
    rows.made += running
    rows.ended |= (rows.made >= rows.limits) | decoder.is_end(tokens)
    rows.tokens = tokens.where(running, rows.tokens)
    rows.places += ~rows.ended
    rows.now += 1


def _collected(rows: _Rows) -> list[tuple[Job, list[int]]]:
    """Return what has ended and free its rows."""
    ended = rows.ended.tolist()
    over = [i for i, job in enumerate(rows.jobs) if job is not None and ended[i]]
    if not over:
        return []
    counts, texts = rows.made.tolist(), rows.text[over].tolist()
    delivered = []
    for row, text in zip(over, texts, strict=True):
        job = rows.jobs[row]
        rows.jobs[row] = None
        assert job is not None
        delivered.append((job, text[: counts[row]]))
    return delivered
