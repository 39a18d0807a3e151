"""The data classes of regression files: one YAML file per condition, read strictly.

A file's name is the condition's: `<collection>.<retriever>.<expansion>[.<fusion>].yaml`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from expandr_repro.errors import FormatError
from expandr_repro.io.strict_yaml import Count
from expandr_repro.registry import Within

Tier = Literal["ci", "full", "manual"]
TIERS: tuple[Tier, ...] = ("ci", "full", "manual")

Need = Literal["jvm", "network", "gpu", "data", "models"]

WIDEST = 0.01
"""The widest tolerance: with a wider one a pin would check nothing."""

ENVIRONMENT = ("EXPANDR_DATA", "EXPANDR_MODELS")
"""What a command may use of the user's environment."""

VARIABLES = ("index", "run", "expansions", "member", *ENVIRONMENT)
"""All that a command may use; the first four are the runner's."""


@dataclass(frozen=True)
class CorpusPin:
    """The documents: the collection's name, their count, and the first digits of the SHA-256 over ids, titles and texts."""

    name: str
    documents: Count
    sha256: str | None = None


@dataclass(frozen=True)
class TopicsPin:
    """The topics: name, count, and the first digits of the SHA-256 over ids and titles."""

    name: str
    count: Count
    sha256: str | None = None


@dataclass(frozen=True)
class QrelsPin:
    """The qrels: name, count over all grades, and the first digits of the SHA-256 over topics, documents and grades."""

    name: str
    judgements: Count
    sha256: str | None = None


@dataclass(frozen=True)
class ExpansionsPin:
    """The expansions: what to call them, where they are from (None: they come with the topics), topics that have one, hash."""

    title: str
    source: str | None = None
    count: Count | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Stages:
    """The commands as a reader would type them, in the order in which they run."""

    search: str
    evaluate: str
    index: str | None = None
    expand: str | None = None

    def listed(self) -> list[tuple[str, str]]:
        """Return (stage, command) of those that there are, in running order."""
        named = (("expand", self.expand), ("index", self.index), ("search", self.search), ("evaluate", self.evaluate))
        return [(name, command) for name, command in named if command is not None]


@dataclass(frozen=True)
class Pin:
    """What a metric must be, to four decimals; None where it has not been measured yet. The tolerance goes both ways."""

    value: Annotated[float, Within(0, 1)] | None
    tolerance: Annotated[float, Within(0, WIDEST)] = 0.0


@dataclass(frozen=True)
class Published:
    """A score that others claim, and where; `note` says what is different about it."""

    metric: str
    value: Annotated[float, Within()]
    source: str
    note: str = ""


@dataclass(frozen=True)
class Recorded:
    """When and on what the pins were measured; `run_sha256` is of the reference run kept then."""

    date: str
    python: str
    platform: str
    versions: dict[str, str] = field(default_factory=dict)
    run_sha256: str | None = None


@dataclass(frozen=True)
class Regression:
    """One condition: everything in its file."""

    title: str
    tier: Tier
    collection: CorpusPin
    topics: TopicsPin
    qrels: QrelsPin
    stages: Stages
    metrics: dict[str, Pin]
    needs: list[Need] = field(default_factory=list)
    expansions: ExpansionsPin | None = None
    published: list[Published] = field(default_factory=list)
    note: str = ""
    recorded: Recorded | None = None


@dataclass(frozen=True)
class Condition:
    """A regression file: its name, its path, and what it says, or why that cannot be read."""

    name: str
    path: Path
    regression: Regression | None
    fault: str = ""

    @property
    def readable(self) -> Regression:
        """What it says.

        Raises:
            FormatError: that cannot be read.
        """
        if self.regression is None:
            raise FormatError(self.path, None, self.fault.removeprefix(f"{self.path}: "))
        return self.regression
