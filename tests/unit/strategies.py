"""Ids, texts and scores as files may hold them."""

from __future__ import annotations

from hypothesis import strategies as st

texts = st.text(st.characters(codec="utf-8"), max_size=20)
"""Any text that UTF-8 can carry: controls, line separators and NULs included."""

said = texts.filter(str.strip)
"""Texts that are not only white space."""

ids = st.text(st.characters(codec="utf-8"), min_size=1, max_size=4).filter(
    lambda t: t.split() == [t] and "\x00" not in t and not t.startswith("\ufeff")
)
"""Ids that a column of a TREC file can carry."""

scores = st.one_of(
    st.floats(-(2.0**100), 2.0**100, width=32),
    st.sampled_from([0.0, -0.0, 1.0, 0.5, 1e-45, 16777216.0, 16777217.0, 0.1, 0.1 + 1e-9]),
)
"""Scores, with ties and near ties (in single precision) among them."""

rankings = st.dictionaries(ids, scores, min_size=1, max_size=8)

grades = st.integers(-2, 4)
