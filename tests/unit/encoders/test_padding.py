from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from expandr_repro.encoders.batching import padded


@given(
    st.lists(st.lists(st.integers(0, 99), max_size=6), min_size=1, max_size=5),
    st.sampled_from([0, 7]),
    st.sampled_from([1, 4]),
)
def test_token_ids_are_padded_on_the_right_and_masked(ids, pad, multiple):
    tokens, mask = padded(ids, pad, multiple)
    width = next(n for n in range(1, 9) if n >= max(map(len, ids)) and n % multiple == 0)

    assert tokens.tolist() == [row + [pad] * (width - len(row)) for row in ids]
    assert mask.tolist() == [[1] * len(row) + [0] * (width - len(row)) for row in ids]
    assert (str(tokens.dtype), str(mask.dtype)) == ("torch.int64", "torch.int64")
