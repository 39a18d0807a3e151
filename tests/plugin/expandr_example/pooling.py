"""A pooling: the mean of the first and the last token's states."""

from expandr_repro.encoders.pooling import cls, last, pooling


@pooling("first-and-last")
def first_and_last(states, mask):
    """Take the mean of the first and the last token's states."""
    return (cls(states, mask) + last(states, mask)) / 2
