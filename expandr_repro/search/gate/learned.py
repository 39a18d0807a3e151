"""Learned gates: a model of what other gates measure, kept as numbers in a JSON file and applied without scikit-learn."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expandr_repro.errors import ExpandrError, FormatError, NotAvailableError
from expandr_repro.io.files import MAX_LINE, read_text, sha256_file
from expandr_repro.registry import Parameter, Within, split_values
from expandr_repro.search.gate.registry import Evidence, Gate, registered, with_threshold

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KIND = "learned-gate"
PREFIXES = ("learned:", "learnt:")
"""Before a file's name, where its ending is another than .json."""
MODELS = ("logistic", "trees")


@dataclass(frozen=True)
class Tree:
    """A regression tree, a number of each kind per node, children after their parents.

    Attributes:
        feature: which value a node looks at; -1 at a leaf.
        threshold: a topic goes left where the value is at most this.
        left: the node that it then goes to.
        right: the node that it goes to otherwise.
        value: what the tree gives at a leaf.
    """

    feature: Sequence[int]
    threshold: Sequence[float]
    left: Sequence[int]
    right: Sequence[int]
    value: Sequence[float]

    def __call__(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return what the tree gives for (n, features) values, (n,)."""
        import numpy as np

        feature, left, right = (np.asarray(some) for some in (self.feature, self.left, self.right))
        threshold, rows = np.asarray(self.threshold, float), np.arange(len(values))
        node = np.zeros(len(values), int)
        while (inner := feature[node] >= 0).any():
            goes_left = values[rows, np.maximum(feature[node], 0)] <= threshold[node]
            node = np.where(inner, np.where(goes_left, left[node], right[node]), node)
        return np.asarray(self.value, float)[node]


@dataclass(frozen=True)
class Learned:
    """A model from the values of some gates to the probability that a topic's expansions do no harm.

    Attributes:
        features: gates with their parameters, as typed; their thresholds do not count.
        fill: of each, in place of a value where there is nothing to judge by.
        mean: of each, over the training topics.
        scale: the standard deviation of each.
        weights: of the values, less their means and in units of their scales; of a logistic model.
        intercept: what the log-odds begin with.
        trees: what they add, of a model of trees.
        calibration: slope and offset, from the log-odds to those that are calibrated.
        threshold: the probability from which on expansions are used, unless another is typed.
        facts: what else the file says: how the model was fitted.
        path: the file; None for a model that was not saved.
    """

    features: tuple[str, ...]
    fill: Sequence[float]
    mean: Sequence[float]
    scale: Sequence[float]
    intercept: float
    weights: Sequence[float] = ()
    trees: Sequence[Tree] = ()
    calibration: tuple[float, float] = (1.0, 0.0)
    threshold: float = 0.5
    facts: Mapping[str, Any] = field(default_factory=dict)
    path: Path | None = None

    @property
    def model(self) -> str:
        """Of `MODELS`."""
        return "trees" if self.trees else "logistic"

    @property
    def gates(self) -> list[Gate]:
        """The gates that are its features."""
        return [registered(name) for name in self.features]

    def standard(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (n, features) values as the model takes them: none missing, and for weights in units of their scales."""
        import numpy as np

        filled = np.where(np.isnan(values), np.asarray(self.fill, float), values)
        return filled if self.trees else (filled - np.asarray(self.mean)) / np.asarray(self.scale)

    def log_odds(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the log-odds of (n, features) values, not calibrated, (n,)."""
        import numpy as np

        taken = self.standard(values)
        if self.trees:
            narrow = taken.astype(np.float32)  # as scikit-learn compares them
            added: NDArray[np.float64] = np.sum([tree(narrow) for tree in self.trees], axis=0)
        else:
            added = taken @ np.asarray(self.weights, float)
        return self.intercept + added

    def probabilities(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the calibrated probability that the expansions do no harm, (n,), of (n, features) values."""
        import numpy as np

        slope, offset = self.calibration
        return 1 / (1 + np.exp(-np.clip(slope * self.log_odds(values) + offset, -700, 700)))

    def measure(self, evidence: Evidence) -> list[float | None]:
        """Return the value of each feature."""
        return [gate.value(evidence) for gate in self.gates]

    def __call__(self, evidence: Evidence, *, weight: bool = False) -> float:
        """Return the probability that a topic's expansions do no harm."""
        import numpy as np

        return float(self.probabilities(np.array([self.measure(evidence)], dtype=float))[0])

    def reason(self, evidence: Evidence) -> str:
        """Return the values of the features in words, those of a logistic model that move its verdict most first."""
        import numpy as np

        values = self.measure(evidence)
        order = range(len(values))
        if self.weights:
            moved = self.standard(np.array([values], dtype=float))[0] * np.asarray(self.weights)
            order = sorted(order, key=lambda i: -abs(moved[i]))  # type: ignore[assignment]
        return ", ".join(f"{self.features[i]} {'-' if (v := values[i]) is None else format(v, '.3g')}" for i in order)

    def content(self) -> dict[str, Any]:
        """Return what its file holds."""
        columns = zip(self.features, self.fill, self.mean, self.scale, strict=True)
        features = [{"gate": g, "fill": f, "mean": m, "scale": s} for g, f, m, s in columns]
        body: dict[str, Any] = (
            {"trees": [vars(t) for t in self.trees]} if self.trees else {"weights": list(self.weights)}
        )
        return {"kind": KIND, "version": 1, "model": self.model, "threshold": self.threshold, "calibration": list(self.calibration),
                "features": features, "intercept": self.intercept, **body, "facts": dict(self.facts)}  # fmt: skip

    def pins(self) -> dict[str, Any]:
        """Return what pins it, for the manifest of a run."""
        file = {"file": self.path.name, "sha256": sha256_file(self.path)} if self.path else {}
        return {"name": "learned", **file, "features": list(self.features)}

    def gate(self) -> Gate:
        """Return the gate that `search` chooses by."""
        needs = frozenset[str]().union(*(gate.needs for gate in self.gates))
        limit = Parameter("threshold", self.threshold, (float,), (), Within(0, 1))
        return Gate.from_function(
            self, limit, name=str(self.path or "learned"), source="fitted by `gate fit`", side="at least", needs=needs, learned=self
        )  # fmt: skip


def names_file(name: str) -> bool:
    """Return whether what is typed after `--gate` names a file, not a gate of the registry."""
    return name.startswith(PREFIXES) or name.endswith(".json") or ".json:" in name


def gate_of_file(name: str) -> Gate:
    """Return the gate that `[learned:]FILE[:PARAMETERS]` means.

    Raises:
        NotAvailableError: there is no such file.
        FormatError: it is no learned gate.
        ExpandrError: a parameter is not there, or its value is wrong.
    """
    file, parameters = name.partition(":")[2] if name.startswith(PREFIXES) else name, ""
    if not Path(file).is_file() and ":" in file:
        file, _, parameters = with_threshold(file).rpartition(":")
    chosen = read_learned(Path(file)).gate()
    typed = split_values("gate", f"learned:{parameters}")[1] if parameters else {}
    return chosen.parsed(typed)


def read_learned(path: Path) -> Learned:
    """Read a learned gate from its file.

    Raises:
        NotAvailableError: there is no such file.
        FormatError: it is no learned gate, or is damaged.
        ExpandrError: a gate that it learned from is not there.
    """
    if not path.is_file():
        raise NotAvailableError(f"gate {str(path)!r}: there is no such file; `expandr gate fit --output {path}` makes one")  # fmt: skip
    try:
        content = json.loads(read_text(path, MAX_LINE))
        if content["kind"] != KIND or content["version"] != 1 or content["model"] not in MODELS:
            raise ValueError("kind, version or model is another")
        learned = _learned(content, path)
        gates = learned.gates
    except ExpandrError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FormatError(path, None, f"is no learned gate, or a damaged one ({type(error).__name__}: {error}); `expandr gate fit` makes one") from error  # fmt: skip
    if not gates:
        raise FormatError(path, None, "the learned gate has no features; fit it again")
    return learned


def _learned(content: Mapping[str, Any], path: Path) -> Learned:
    features = content["features"]
    columns = {key: [_number(f[key]) for f in features] for key in ("fill", "mean", "scale")}
    if not all(scale > 0 for scale in columns["scale"]):
        raise ValueError("a scale is not above 0")
    slope, offset = map(_number, content["calibration"])
    weights, trees = [], []
    if content["model"] == "trees":
        trees = [_tree(tree, len(features)) for tree in content["trees"]]
        if not trees:
            raise ValueError("there is no tree")
    else:
        weights = [_number(w) for w in content["weights"]]
        if len(weights) != len(features):
            raise ValueError(f"{len(weights)} weights of {len(features)} features")
    threshold = _number(content["threshold"])
    if not 0 <= threshold <= 1:
        raise ValueError("the threshold is no probability")
    return Learned(tuple(str(f["gate"]) for f in features), **columns, intercept=_number(content["intercept"]), weights=weights, trees=trees,
                  calibration=(slope, offset), threshold=threshold, facts=dict(content["facts"]), path=path)  # fmt: skip


def _tree(content: Mapping[str, Any], features: int) -> Tree:
    indices = {key: [int(n) for n in content[key]] for key in ("feature", "left", "right")}
    threshold, value = ([_number(x) for x in content[key]] for key in ("threshold", "value"))
    tree = Tree(indices["feature"], threshold, indices["left"], indices["right"], value)
    size = len(tree.feature)
    if not size or {len(some) for some in vars(tree).values()} != {size}:
        raise ValueError("a tree's lists differ in length")
    for node, (chosen, left, right) in enumerate(zip(tree.feature, tree.left, tree.right, strict=True)):
        if chosen >= features or (chosen >= 0 and not (node < left < size and node < right < size)):
            raise ValueError("a tree's nodes do not lead on")
    return tree


def _number(value: Any) -> float:
    import math

    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is not a number")
    return float(value)
