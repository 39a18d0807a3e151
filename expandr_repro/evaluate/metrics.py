"""Parse metrics: nDCG@10, R@100, MAP, MRR@10, P@5, Success@5, and `(rel=2)` for graded cut-offs."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from expandr_repro.errors import ExpandrError, UnknownNameError, nearest

NAMES = ("nDCG", "MAP", "MRR", "R", "P", "Success", "Judged")

ALIASES = {"ndcg": "nDCG", "ndcg_cut": "nDCG", "map": "MAP", "map_cut": "MAP", "ap": "MAP", "average_precision": "MAP", "mrr": "MRR", "rr": "MRR", "recip_rank": "MRR", "reciprocal_rank": "MRR",
           "r": "R", "recall": "R", "p": "P", "precision": "P", "success": "Success", "s": "Success", "hit_rate": "Success", "hr": "Success",
           "judged": "Judged"}  # fmt: skip

DEFAULT = ("nDCG@10", "R@100")

NO_LEVEL = {"nDCG": "uses the grades themselves", "Judged": "counts documents of any grade"}
"""Metrics on which the least relevant grade has no influence, and why."""

_FORM = re.compile(
    r"(?P<name>[A-Za-z_]+?)(?:\(rel=(?P<rel>\d{1,9})\))?(?:[@_.](?P<depth>\d{1,9}))?(?:\(rel=(?P<rel2>\d{1,9})\))?"
)


@dataclass(frozen=True)
class Measure:
    """A measure; prints as it is typed.

    Attributes:
        name: one of `NAMES`.
        depth: the cut-off rank, or None for the whole ranking.
        rel: the least grade that counts as relevant (not of the metrics in `NO_LEVEL`).
        level: what `rel` is where it is not given; another one is printed, so that the name means the same when it is typed again.
    """

    name: str
    depth: int | None = None
    rel: int = 1
    level: int = field(default=1, compare=False, repr=False)

    def __str__(self) -> str:
        """Return `nDCG@10`, `MAP(rel=2)` and the like."""
        shows_rel = self.rel != 1 or (self.level != 1 and self.name not in NO_LEVEL)
        return self.name + (f"(rel={self.rel})" if shows_rel else "") + (f"@{self.depth}" if self.depth else "")


def parse_measure(text: str, level: int = 1) -> Measure:
    """Parse a measure's name; ranx's and trec_eval's spellings (`ndcg_cut_10`, `recall.100`) are understood.

    Args:
        text: e.g. `R@100` or `MAP(rel=2)`.
        level: the least grade that counts as relevant where the name does not say; a collection's (`relevance_level`).

    Raises:
        UnknownNameError: no such measure.
        ExpandrError: a depth or relevance level that makes no sense.
    """
    match = _FORM.fullmatch(text.strip())
    name = ALIASES.get(match["name"].lower()) if match else None
    if match is None or name is None:
        known = [f"{n}@10" for n in NAMES] + ["MAP", "MRR"]
        raise UnknownNameError("metric", text, known, "A depth follows @, as in R@100.", _meant(text))
    depth = int(match["depth"]) if match["depth"] else None
    rel = int(match["rel"] or match["rel2"] or (1 if name in NO_LEVEL else level))
    if depth == 0 or rel == 0 or (depth or 0) > 1_000_000:
        raise ExpandrError(
            f"metric {text!r}: the depth and the relevance level start at 1, and depths end at 1,000,000"
        )
    if name not in ("nDCG", "MAP", "MRR") and depth is None:
        raise ExpandrError(f"metric {text!r}: wanted a depth, as in {name}@100")
    if name in NO_LEVEL and rel != 1:
        raise ExpandrError(f"metric {text!r}: {name} {NO_LEVEL[name]}; write {name}@{depth or 10}")
    return Measure(name, depth, rel, level)


def _meant(text: str) -> str | None:
    """Return the metric that a misspelt name is most like, at the depth that was typed; None where it is like none."""
    words, depth = re.match(r"\s*([A-Za-z_ -]*)\D*(\d{0,7})", text).groups()  # type: ignore[union-attr]  # all of it is optional
    name = ALIASES.get(nearest(words.strip("_ -"), ALIASES) or "")
    return name and f"{name}@{depth.lstrip('0') or 10}"


def parse_measures(text: str, level: int = 1) -> list[Measure]:
    """Parse measures separated by commas or white space; `level` as for `parse_measure`."""
    listed = [parse_measure(part, level) for part in re.split(r"[,\s]+", text.strip()) if part]
    if not listed:
        raise ExpandrError("no metric given; write e.g. --metrics nDCG@10,R@100")
    return list(dict.fromkeys(listed))
