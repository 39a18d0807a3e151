"""How the searches of a hybrid are typed."""

from __future__ import annotations

import pytest

from expandr_repro.errors import ExpandrError, UnknownNameError
from expandr_repro.fuse.searches import split_retrievers


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("bm25,dense", [("bm25", None), ("dense", None)]),
        ("bm25, dense:mean:alpha=0.3", [("bm25", None), ("dense", "mean:alpha=0.3")]),
        ("bm25:rm3:terms=5,documents=7,dense:none", [("bm25", "rm3:terms=5,documents=7"), ("dense", "none")]),
        ("dense:none,dense:mean,bm25:repeat:n=2", [("dense", "none"), ("dense", "mean"), ("bm25", "repeat:n=2")]),
    ],
)
def test_a_comma_is_between_searches_or_between_parameters_of_a_fusion(text, found):
    assert split_retrievers(text) == found


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("bm25", ExpandrError, "one search has nothing to be fused with"),
        ("bm25,bm25", ExpandrError, "bm25 is there twice"),
        ("bm25,dens", UnknownNameError, "unknown retriever 'dens': did you mean 'dense'"),
        ("bm25:mean,dense", ExpandrError, "'mean' is not for --retriever bm25"),
        ("bm25:repeat:m=2,dense", UnknownNameError, "unknown parameter of fusion 'repeat' 'm'"),
        ("", UnknownNameError, "unknown retriever ''"),
    ],
)
def test_searches_that_cannot_be_fused_are_refused(text, error, message):
    with pytest.raises(error, match=message):
        split_retrievers(text)
