"""Whether two ways of doing a work gave the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.harness import wrong
from expandr_repro.data.trec import read_run


def same_vectors(reference: str, exact: float, coarse: Mapping[str, float]) -> Callable[[Mapping[str, Any]], dict[str, str]]:  # fmt: skip
    """Return a check of (n, dimension) arrays; a side that did only a part has the first rows.

    Args:
        reference: the side that the others are compared with.
        exact: the largest difference of a component.
        coarse: the sides in a lower precision, each with the smallest cosine that it may have.
    """

    def check(results: Mapping[str, Any]) -> dict[str, str]:
        import numpy as np

        whole = results[reference]
        said: dict[str, str] = {}
        for name, vectors in results.items():
            there = whole[: len(vectors)]
            here = np.asarray(vectors, dtype=np.float32)
            if here.shape != there.shape or not np.isfinite(here).all():
                raise wrong(name, f"vectors of the shape {here.shape}, wanted {there.shape}, all finite")
            if name in coarse:
                lengths = np.linalg.norm(here, axis=1) * np.linalg.norm(there, axis=1)
                least = float(((here * there).sum(1) / lengths).min())
                if least < coarse[name]:
                    raise wrong(name, f"the smallest cosine to the exact vectors is {least:.6f}")
                said[name] = f"cosine at least {least:.6f}"
            else:
                most = float(np.abs(here - there).max())
                if most > exact:
                    raise wrong(name, f"a component differs by {most:.1e}")
                said[name] = "the reference" if name == reference else f"within {most:.0e}"
        return said

    return check


def same_runs(runs: Mapping[str, Path], groups: Mapping[str, str], tolerance: float) -> Callable[[Mapping[str, Any]], dict[str, str]]:  # fmt: skip
    """Return a check of TREC runs: at each rank a score within the tolerance, and every document in common with its score.

    Documents of equal score may be ranked, or cut, either way.

    Args:
        runs: side -> the file that it wrote.
        groups: side -> the side that it must agree with.
        tolerance: of a score.
    """

    def check(results: Mapping[str, Any]) -> dict[str, str]:
        found = {name: read_run(runs[name]) for name in results if name in runs}
        said = {}
        for name, reference in groups.items():
            if name not in found or reference not in found or name == reference:
                continue
            ours, theirs = found[name], found[reference]
            if set(ours) != set(theirs):
                raise wrong(name, f"{len(ours)} topics, wanted the {len(theirs)} of {reference}")
            most = 0.0
            for qid, ranked in ours.items():
                other = theirs[qid]
                if len(ranked) != len(other):
                    raise wrong(name, f"topic {qid} has {len(ranked)} documents, wanted {len(other)}")
                pairs = zip(sorted(ranked.values()), sorted(other.values()), strict=True)
                gaps = [abs(a - b) for a, b in pairs]
                gaps += [abs(score - other[docid]) for docid, score in ranked.items() if docid in other]
                most = max([most, *gaps])
            if most > tolerance:
                raise wrong(name, f"a score differs by {most:.1e} from {reference}")
            said[name] = f"scores within {most:.0e}"
        return said

    return check
