"""The registry of fusions: `@fusion`, and fusions by name and parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from expandr_repro.errors import ExpandrError, UnknownNameError
from expandr_repro.registry import Entry, Registry, split_values

F = TypeVar("F", bound=Callable[..., Any])
Of = Literal["vectors", "texts", "runs", "feedback"]
KINDS = ("vectors", "texts", "runs", "feedback")
RETRIEVERS = ("dense", "bm25")
SUPPLIED = {"separator"}
"""Keyword-only arguments without a default that a searcher supplies."""


@dataclass(frozen=True, kw_only=True)
class Fusion(Entry):
    """A way to search with expansions, with the values of its parameters.

    Attributes:
        of: what the function fuses; `fusion` says what it is given.
        retrievers: that can search with it: dense, bm25.
        expands: whether it uses expansions.
        others: the ways of other retrievers under the same name.
    """

    kind = "fusion"
    of: Of
    retrievers: tuple[str, ...]
    expands: bool
    others: tuple[Fusion, ...] = ()

    @property
    def supplied(self) -> set[str]:
        """The arguments that the searcher supplies, such as the encoder's separator."""
        arguments = inspect.signature(self.function).parameters.values()
        return {a.name for a in arguments if a.kind is a.KEYWORD_ONLY and a.default is a.empty}

    @property
    def one_query(self) -> bool:
        """Whether one vector or text per topic is searched, known before anything is searched."""
        return self.of in ("vectors", "texts")

    def way(self, retriever: str) -> Fusion | None:
        """Return the fusion of this name that a retriever searches with, or None."""
        return next((f for f in (self, *self.others) if retriever in f.retrievers), None)

    def __call__(self, *args: Any, **supplied: Any) -> Any:
        """Fuse, with the values of the parameters."""
        return self.function(*args, **self.values, **supplied)


FUSIONS: Registry[Fusion] = Registry("fusion", "expandr_repro.fusions", "expandr_repro.search.fusion")


def fusion(
    name: str, *, of: Of, source: str, retrievers: Iterable[str] | None = None, expands: bool | None = None
) -> Callable[[F], F]:
    """Register a function as a fusion; its keyword-only arguments with defaults are the fusion's parameters.

    Args:
        name: as typed after `--fusion`.
        of: what the function is given and returns:
            `vectors`: (n, dim) vectors of the queries and their `Expansions`, numpy or torch; returns (n, dim).
            `texts`: the query and its expansions; returns one text. Asks for the encoder's `separator` by that keyword.
            `runs`: the runs of the queries alone and of the first, second, ... expansions, and how many documents to keep; returns a run.
            `feedback`: dense: the index and (n, dim) vectors of the queries; returns vectors. bm25: the `Bm25` settings; returns settings.
        source: where it comes from.
        retrievers: that can search with it; by default dense for vectors, both for the others.
        expands: whether it uses expansions; by default all do but feedback.

    Raises:
        ExpandrError: the name is taken, or the parameters cannot be read.

    Example:
        >>> @fusion("longest", of="texts", source="an example")
        ... def longest(query, expansions, *, words: int = 100):
        ...     '''The query and the longest expansion.'''
        ...     return f"{query} {' '.join(max(expansions, key=len).split()[:words])}"
        >>> str(fusion_named("longest:words=3", "bm25"))
        'longest:words=3'
    """

    def register(function: F) -> F:
        able = tuple(retrievers or (("dense",) if of == "vectors" else RETRIEVERS))
        uses = of != "feedback" if expands is None else expands
        entry = Fusion.from_function(function, name=name, source=source, of=of, retrievers=able, expands=uses)
        if unknown := entry.supplied - SUPPLIED:
            raise ExpandrError(f"fusion {name!r}: the argument {min(unknown)!r} has no default, and no searcher supplies it; give it a default")  # fmt: skip
        known = FUSIONS.registered(name) if function.__module__.startswith("expandr_repro.") else None
        joins = False
        if known and not set(known.retrievers) & set(able):
            joins = True
            entry = replace(max(known, entry, key=lambda f: "dense" in f.retrievers),
                           others=(min(known, entry, key=lambda f: "dense" in f.retrievers),))  # fmt: skip
        FUSIONS.add(name, entry, function.__module__, again=joins)
        return function

    return register


def listed() -> list[Fusion]:
    """Return our fusions in the order in which they are shown: none, then by what they fuse."""
    return sorted(
        FUSIONS.values(), key=lambda f: (f.name != "none", KINDS.index(f.of), f.function.__code__.co_firstlineno)
    )


def fusion_named(name: str | Fusion, retriever: str) -> Fusion:
    """Return a fusion that a retriever can do, by its name, perhaps with parameters: `mean:alpha=0.3`.

    Raises:
        UnknownNameError: no such fusion, or no such parameter.
        ExpandrError: the fusion is not for this retriever, or a parameter's value is wrong.
    """
    if isinstance(name, Fusion):
        return name
    called, typed = split_values("fusion", name)
    entry = FUSIONS.find(called)
    chosen = entry.way(retriever)
    if chosen is None:
        able = ", ".join(f.name for f in listed() if f.way(retriever))
        raise ExpandrError(
            f"fusion {called!r} is not for --retriever {retriever}; use --retriever {entry.retrievers[0]}, or one of: {able}"
        )
    return chosen.parsed(typed)


def vector_fusion(name: str | Fusion, kind: str = "vector fusion") -> Fusion:
    """Return a fusion of vectors.

    Raises:
        UnknownNameError: no fusion of vectors has this name.
    """
    called = name.name if isinstance(name, Fusion) else split_values("fusion", name)[0]
    if called not in FUSIONS.names() or FUSIONS.find(called).of != "vectors":
        raise UnknownNameError(kind, called, [f.name for f in listed() if f.of == "vectors"])
    return fusion_named(name, "dense")


ALIASES = {
    "alpha": (("mean",), "alpha"),
    "repeat": (("repeat",), "n"),
    "rrf_k": (("rrf",), "k"),
    "feedback_depth": (("rocchio", "average"), "depth"),
}
"""Options of `search` from before fusions had parameters -> the fusions that they are for, and the parameter that they set."""


def set_by_alias(chosen: Fusion, typed: str | None, options: Mapping[str, object]) -> Fusion:
    """Return a fusion with the parameters that options such as --alpha set.

    Args:
        chosen: the fusion, with the parameters of its name.
        typed: its name as typed, with the parameters that it was given.
        options: of `ALIASES`; None where one was not given.

    Raises:
        ExpandrError: an option contradicts a parameter.
    """
    given = split_values("fusion", typed or "")[1]
    for option, (names, parameter) in ALIASES.items():
        value = options.get(option)
        if value is None or chosen.name not in names or parameter not in chosen.parameters:
            continue
        if parameter in given and chosen.values[parameter] != value:
            flag = "--" + option.replace("_", "-")
            raise ExpandrError(f"{flag} {value} contradicts --fusion {typed}; leave one of the two out")
        chosen = chosen.set({parameter: value})
    return chosen


def check_alpha(alpha: float | None) -> None:
    """Refuse a query weight outside 0..1.

    Raises:
        ExpandrError: the weight is below 0 or above 1.
    """
    if alpha is not None and not 0.0 <= alpha <= 1.0:
        raise ExpandrError(f"--alpha {alpha}: the query's weight is between 0 and 1")
