"""A reward: short candidates are worth more."""

from expandr_repro.prefer.rewards import reward


@reward("brevity", needs={"gold"}, source="an example")
def brevity(candidates):
    """One divided by the number of words."""
    return [1 / max(1, len(text.split())) for text in candidates.case.candidates]
