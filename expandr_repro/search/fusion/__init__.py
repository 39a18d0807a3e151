"""Fuse a query and its expansions: each fusion is a function with `@fusion`, in a module of this folder or a plug-in."""

from expandr_repro.search.fusion.registry import (
    ALIASES,
    FUSIONS,
    Fusion,
    check_alpha,
    fusion,
    fusion_named,
    listed,
    set_by_alias,
)
from expandr_repro.search.fusion.runs import reciprocal_rank_fusion
from expandr_repro.search.fusion.texts import concat_text, repeat_text
from expandr_repro.search.fusion.vectors import Expansions, fuse_vectors, unit

__all__ = ["ALIASES", "FUSIONS", "Expansions", "Fusion", "check_alpha", "concat_text", "fuse_vectors", "fusion", "fusion_named", "listed", "reciprocal_rank_fusion", "repeat_text", "set_by_alias", "unit"]  # fmt: skip
