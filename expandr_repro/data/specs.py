"""Specs of encoders and collections known by name, read from YAML into frozen dataclasses.

An unknown key is an error that names the nearest known one: a spec is a contract, not a bag.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from expandr_repro.errors import ExpandrError, UnknownNameError
from expandr_repro.io.paths import resource
from expandr_repro.io.strict_yaml import build, read_yaml
from expandr_repro.registry import Registry

T = TypeVar("T")


@dataclass(frozen=True)
class Pooling:
    """How token states become one vector: a function with `@pooling`, of `encoders/pooling.py` or a plug-in.

    Attributes:
        function: (texts, tokens, dim) states and the (texts, tokens) mask -> (texts, dim).
        joins: whether `+` may put its vectors next to those of others.
    """

    function: Callable[..., Any]
    joins: bool = True


POOLINGS: Registry[Pooling] = Registry("pooling", "expandr_repro.poolings", "expandr_repro.encoders.pooling")
"""How token states become one vector; `+` between several puts their vectors one after the other."""


@dataclass(frozen=True)
class EncoderSpec:
    """Settings of an encoder: checkpoint, pooling, normalisation, prefixes and lengths.

    Attributes:
        model: a folder, a hub name, or `package:NAME/FOLDER` for weights that a Python package carries.
        revision: the hub revision; None for the newest.
        pooling: which token's state, or the masked mean of all, is the vector: of `POOLINGS`, or several as in `cls+mean`.
        normalize: whether vectors get unit length, after all else.
        query_prefix: set before a query (and an expansion used as a query, see `expansion_prefix`).
        document_prefix: set before a document.
        expansion_prefix: set before an expansion; None for the query's.
        query_max_length: tokens of a query, special tokens included.
        document_max_length: tokens of a document or expansion, special tokens included.
        modules: sentence-transformers modules between pooling and the vector, in order: `Normalize`, or `Dense:FOLDER` and
            `LayerNorm:FOLDER` with a folder of the model's.
        truncate_dim: the first so many numbers of a vector are kept; None for all.
        include_prompt: whether the prefix's tokens are pooled with the text's.
        lower_case: whether texts are put in lower case before all else.
        subfolder: where in the model's folder the transformers checkpoint is.
        pyserini_class: the name of one of Pyserini's own encoder classes that is to be used instead of ours.
        trust_remote_code: whether the model's own code may run; only a flag sets it.
        source: where the settings are from.
    """

    model: str
    revision: str | None = None
    pooling: str = "mean"
    normalize: bool = True
    query_prefix: str = ""
    document_prefix: str = ""
    expansion_prefix: str | None = None
    query_max_length: int = 512
    document_max_length: int = 512
    modules: list[str] = field(default_factory=list)
    truncate_dim: int | None = None
    include_prompt: bool = True
    lower_case: bool = False
    subfolder: str = ""
    pyserini_class: str | None = None
    trust_remote_code: bool = False
    source: str = ""

    def __post_init__(self) -> None:
        """Refuse values that make no sense.

        Raises:
            UnknownNameError: no such pooling.
            ExpandrError: a length below 1.
        """
        for pooling in self.pooling.split("+"):
            if not POOLINGS.find(pooling).joins and pooling != self.pooling:
                raise ExpandrError(f"pooling {self.pooling!r}: {pooling} cannot be combined with others; use it alone")
        for name in ("query_max_length", "document_max_length", "truncate_dim"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ExpandrError(f"{name} {value}: wanted 1 or more")

    @property
    def pooling_origin(self) -> dict[str, dict[str, str]]:
        """Where the code of poolings is from that plug-ins add: pooling -> package and hash; empty where all are ours."""
        return {name: origin for name in self.pooling.split("+") if (origin := POOLINGS.origin(name))}

    def within(self, longest: int | None) -> EncoderSpec:
        """Return the spec with lengths that a model has positions for; None where it has any number."""
        lengths = {name: getattr(self, name) for name in ("query_max_length", "document_max_length")}
        return dataclasses.replace(self, **{n: min(length, longest or length) for n, length in lengths.items()})


@dataclass(frozen=True)
class SplitSpec:
    """One split's topics and qrels: how many there are and what other toolkits call them."""

    topics: int | None = None
    judgements: int | None = None
    irds: str | None = None
    pyserini_topics: str | None = None
    pyserini_qrels: str | None = None


@dataclass(frozen=True)
class DatasetSpec:
    """A test collection known by name, or (with `members`) a group reported as its macro mean."""

    title: str
    documents: int | None = None
    default_split: str = "test"
    splits: dict[str, SplitSpec] = field(default_factory=dict)
    irds: str | None = None
    indexes: dict[str, str] = field(default_factory=dict)
    aliases: list[str] = field(default_factory=list)
    members: list[str] = field(default_factory=list)
    remove_query: bool = False
    relevance_level: int = 1
    measures: list[str] = field(default_factory=lambda: ["nDCG@10", "R@100"])
    licence: str = ""
    source: str = ""


def _table(file: str, cls: type[T]) -> dict[str, T]:
    path = resource(file)
    return {name: build(cls, values, path.name, name) for name, values in read_yaml(path, ours=True).items()}


@functools.cache
def encoders() -> dict[str, EncoderSpec]:
    """Return the encoders known by name (`resources/encoders.yaml`)."""
    return _table("encoders.yaml", EncoderSpec)


@functools.cache
def datasets() -> dict[str, DatasetSpec]:
    """Return the collections known by name (`resources/datasets.yaml`)."""
    return _table("datasets.yaml", DatasetSpec)


def encoder_spec(name: str) -> EncoderSpec:
    """Return the spec of an encoder: a known name or a YAML file.

    Raises:
        UnknownNameError: neither.
        FormatError: the file is not a spec.
    """
    if name in encoders():
        return encoders()[name]
    if name.endswith((".yaml", ".yml")) and Path(name).is_file():
        return build(EncoderSpec, read_yaml(name), name, "spec")
    raise UnknownNameError("encoder", name, encoders(), "A path to a model folder or to a .yaml spec works as well.")


@dataclass(frozen=True)
class CollectionName:
    """A collection and one of its splits, found by any of its names."""

    dataset: str
    split: str

    @property
    def spec(self) -> DatasetSpec:
        """The collection's entry."""
        return datasets()[self.dataset]

    @property
    def split_spec(self) -> SplitSpec:
        """The split's entry; an empty one where the YAML has none."""
        return self.spec.splits.get(self.split, SplitSpec())

    @property
    def title(self) -> str:
        """What to call it for people, the split where it has several."""
        return f"{self.spec.title} {self.split}" if len(self.spec.splits) > 1 else self.spec.title

    def __str__(self) -> str:
        """Return `scifact/test`."""
        return f"{self.dataset}/{self.split}"


def members_of(name: str) -> list[str]:
    """Return the collections of a group; none where the name is no group's."""
    known = collection_named(name)
    return known.spec.members if known else []


@functools.cache
def _other_names() -> dict[str, CollectionName]:
    """Map every other toolkit's name of a known collection to it."""
    other_names: dict[str, CollectionName] = {}
    for name, spec in datasets().items():
        default = CollectionName(name, spec.default_split)
        for alias in [name, *spec.aliases, *spec.indexes.values(), *([f"irds:{spec.irds}"] if spec.irds else [])]:
            other_names.setdefault(alias, default)
        for split, entry in spec.splits.items():
            spellings = [f"{name}/{split}", *(f"{a}/{split}" for a in spec.aliases)]
            spellings += [known for known in (entry.pyserini_topics, entry.pyserini_qrels) if known]
            for spelling in spellings:
                other_names.setdefault(spelling, CollectionName(name, split))
            if entry.irds:
                other_names[f"irds:{entry.irds}"] = CollectionName(name, split)
    return other_names


def collection_named(name: str) -> CollectionName | None:
    """Return the known collection (and split) that a name of ours, of ir_datasets or of Pyserini means, or None.

    Raises:
        ExpandrError: the collection is known, but has no such split.
    """
    names = _other_names()
    if name in names:
        return names[name]
    dataset, slash, split = name.rpartition("/")
    if slash and dataset in names and dataset in (names[dataset].dataset, *names[dataset].spec.aliases):
        known = names[dataset].spec.splits
        raise ExpandrError(
            f"collection {dataset!r} has no split {split!r}; it has {', '.join(known) or 'none by itself'}"
        )
    return None


def collection_names() -> list[str]:
    """Return the names under which collections are offered in errors."""
    return list(datasets())
