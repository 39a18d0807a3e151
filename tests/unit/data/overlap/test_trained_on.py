"""The record of what an artefact was trained on."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expandr_repro.data.overlap.trained_on import NAME, TrainedOn, merge_trained_on, read_trained_on, write_trained_on
from expandr_repro.errors import FormatError

IDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6)
PARTS = st.lists(
    st.builds(
        TrainedOn,
        st.sampled_from(["a", "b"]),
        st.sampled_from([None, "0" * 64]),
        st.dictionaries(IDS, st.text(st.characters(codec="utf-8"), max_size=9), max_size=4),
        st.frozensets(IDS, max_size=4),
        st.just(()),
    ),
    max_size=4,
)


@given(PARTS)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, parts: list[TrainedOn]) -> None:
    folder = tmp_path_factory.mktemp("trained")
    write_trained_on(folder, parts)
    assert read_trained_on(folder) == merge_trained_on(parts)


@given(PARTS)
def test_the_order_of_parts_changes_no_byte_where_titles_agree(parts: list[TrainedOn]) -> None:
    titled = [TrainedOn(p.collection, p.corpus, {q: q for q in p.topics}, p.docids) for p in parts]
    assert merge_trained_on(titled) == merge_trained_on(titled[::-1])


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir(), second.mkdir()
    one = TrainedOn("scifact", None, {"2": "b", "1": "a"}, frozenset({"7", "007"}))
    assert write_trained_on(first, [one]) == write_trained_on(second, [one])
    assert (first / NAME).read_bytes() == (second / NAME).read_bytes()


def test_merging_keeps_what_any_part_saw_and_only_what_all_held_out() -> None:
    one = TrainedOn("a", None, {"1": "x"}, frozenset({"d1"}), ("a/test", "b/test"))
    two = TrainedOn("a", None, {"2": "y"}, frozenset({"d2"}), ("a/test",))
    assert merge_trained_on([one, two]) == [
        TrainedOn("a", None, {"1": "x", "2": "y"}, frozenset({"d1", "d2"}), ("a/test",))
    ]


def test_a_folder_without_a_record_has_none(tmp_path: Path) -> None:
    assert read_trained_on(tmp_path) == []


def test_a_damaged_record_is_one_error_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text('{"trained_on": [1]}')
    with pytest.raises(FormatError, match="damaged"):
        read_trained_on(tmp_path)
