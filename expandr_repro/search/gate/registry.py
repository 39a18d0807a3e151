"""The registry of gates: `@gate`, and gates by name and parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeVar

from expandr_repro.data.topics import Topic
from expandr_repro.errors import ExpandrError, UnknownNameError
from expandr_repro.registry import Entry, Parameter, Registry, split_values
from expandr_repro.search.fusion import Fusion
from expandr_repro.search.gate.words import Frequencies

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from expandr_repro.search.gate.learned import Learned

F = TypeVar("F", bound=Callable[..., "float | None"])
Side = Literal["at least", "at most"]
NEEDS = ("runs", "scores", "vectors", "frequencies", "words")
"""What a gate may ask for besides the topic."""


@dataclass(frozen=True)
class Evidence:
    """What a gate is given of a topic that has an expansion; what it does not need is empty.

    Attributes:
        topic: its query and its expansions.
        alone: the ranking of the query alone, docid -> score, best first.
        fused: the ranking of the fusion.
        query: (dim,) unit vector of the query.
        expansions: (n, dim) unit vectors of the expansions.
        frequencies: in how many documents the words of the queries occur.
        pool: (m, dim) unit vectors of the expansions of all topics that are searched together.
        own: the first of these that is the topic's own, and the first after them.
        words: of the topics that are searched together, how many have each term in their expansions.
    """

    topic: Topic
    alone: Mapping[str, float] = field(default_factory=dict)
    fused: Mapping[str, float] = field(default_factory=dict)
    query: NDArray[np.float32] | None = None
    expansions: NDArray[np.float32] | None = None
    frequencies: Frequencies = field(default_factory=Frequencies)
    pool: NDArray[np.float32] | None = None
    own: tuple[int, int] = (0, 0)
    words: Frequencies = field(default_factory=Frequencies)


@dataclass(frozen=True, kw_only=True)
class Gate(Entry):
    """A gate, from `Evidence` to a number, or None where there is nothing to judge by; its first parameter is the threshold.

    Attributes:
        side: on which side of the threshold a topic is searched with its expansions.
        needs: of `NEEDS`.
        learned: the model that decides, of a gate that is a file.
    """

    kind = "gate"
    side: Side
    needs: frozenset[str]
    learned: Learned | None = None

    @property
    def label(self) -> str:
        """What it is called in a reason."""
        return "probability of no harm" if self.learned else self.name

    @property
    def threshold(self) -> float:
        """The value from which on, or up to which, expansions are used."""
        return float(self.values["threshold"])

    @property
    def after(self) -> bool:
        """Whether it looks at rankings, so that both must be searched first."""
        return bool({"runs", "scores"} & self.needs)

    def value(self, evidence: Evidence) -> float | None:
        """Measure a topic; None where there is nothing to judge by."""
        measured = self.function(evidence, **{k: v for k, v in self.values.items() if k != "threshold"})
        return None if measured is None else float(measured)

    def expands(self, value: float | None) -> bool:
        """Return whether a topic of this value is searched with its expansions, as one without a value is."""
        return value is None or (value >= self.threshold if self.side == "at least" else value <= self.threshold)


GATES: Registry[Gate] = Registry("gate", "expandr_repro.gates", "expandr_repro.search.gate")


def gate(name: str, uses: Side, threshold: float, *, needs: Iterable[str] = (), source: str = "") -> Callable[[F], F]:
    """Register a function as a gate; its keyword-only arguments with defaults are the gate's parameters, besides the threshold.

    Args:
        name: as typed after `--gate`.
        uses: a topic is searched with its expansions where its value is `at least`, or `at most`, the threshold.
        threshold: where none is given.
        needs: what the function wants in its `Evidence`: runs (both rankings), scores (both rankings, where their scores are of one kind), vectors (for dense retrieval only), frequencies (of words in the documents), words (of the other topics' expansions).
        source: where it comes from.

    Raises:
        ExpandrError: the name is taken, or the parameters cannot be read.

    Example:
        >>> @gate("brief", uses="at most", threshold=200, source="an example")
        ... def brief(evidence, *, longest: bool = True):
        ...     '''Words of the longest or the shortest expansion.'''
        ...     return (max if longest else min)(len(text.split()) for text in evidence.topic.texts)
        >>> str(gate_named("brief:threshold=80,longest=false", "bm25"))
        'brief:threshold=80.0,longest=False'
    """
    if unknown := set(needs) - set(NEEDS):
        raise UnknownNameError(f"evidence that gate {name!r} needs", min(unknown), NEEDS)

    def register(function: F) -> F:
        limit = Parameter("threshold", float(threshold), (float,))
        entry = Gate.from_function(function, limit, name=name, source=source, side=uses, needs=frozenset(needs))
        GATES.add(name, entry, function.__module__)
        return function

    return register


def registered(name: str) -> Gate:
    """Return a gate of the registry by its name, perhaps with parameters: `overlap:threshold=0.2`, or `overlap:0.2` for the threshold alone.

    Raises:
        UnknownNameError: no such gate, or no such parameter.
        ExpandrError: a parameter's value is wrong.
    """
    called, typed = split_values("gate", with_threshold(name))
    return GATES.find(called, "(a learned gate is given by its .json file)").parsed(typed)


def with_threshold(name: str) -> str:
    """Return what is typed after `--gate` with a threshold that is typed as a number alone spelt out."""
    called, _, rest = name.rpartition(":")
    try:
        float(rest)
    except ValueError:
        return name
    return f"{called}:threshold={rest}" if called else name


def gate_named(name: str, retriever: str, fusion: Fusion | None = None) -> Gate:
    """Return a gate by its name or its file, perhaps with parameters: `overlap:threshold=0.2`, `learned.json:0.4`.

    Args:
        name: as typed.
        retriever: dense or bm25.
        fusion: that it is to choose; None where that is not known yet.

    Raises:
        UnknownNameError: no such gate, or no such parameter.
        NotAvailableError: there is no such file.
        ExpandrError: the gate is not for this retriever or this fusion, or a parameter's value is wrong.
    """
    from expandr_repro.search.gate.learned import gate_of_file, names_file

    chosen = gate_of_file(name) if names_file(name) else registered(name)
    fault = unfit(chosen, retriever, fusion)
    if fault:
        others = ", ".join(g.name for g in GATES.values() if not unfit(g, retriever, fusion))
        raise ExpandrError(f"gate {chosen.name!r} {fault}; use one of: {others}")
    if chosen.values.get("weight") and fusion and "alpha" not in fusion.parameters:
        raise ExpandrError(f"gate {chosen.name!r}: weight=true sets the weight alpha of the query, which fusion {fusion.name!r} does not have; use --fusion mean, or leave weight out")  # fmt: skip
    return chosen


def unfit(gate: Gate, retriever: str, fusion: Fusion | None = None) -> str:
    """Return in words why a gate is not for a retriever or a fusion; empty where it is."""
    if retriever != "dense" and "vectors" in gate.needs:
        return f"compares vectors, which --retriever {retriever} does not have"
    if fusion and fusion.of == "runs" and "scores" in gate.needs:
        return f"compares scores, and those of fusion {fusion.name!r} are of another kind than the query's"
    return ""
