"""Options that apply only to some searches, trainings or backends: given by hand where they would change nothing, they are refused.

Each command lists its conditions beside its parser as `Applies`; an option in none of them always applies.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from expandr_repro.errors import ExpandrError


@dataclass(frozen=True)
class Applies:
    """When some options apply.

    Attributes:
        options: as typed, the first spelling of each (`--alpha`).
        when: completes "applies only ...", for the error.
        holds: tells from the parsed command line whether it is so; true where that is not known yet.
        otherwise: what the error says after the option, in place of `when`.
    """

    options: tuple[str, ...]
    when: str
    holds: Callable[[Any], bool]
    otherwise: Callable[[Any], str] | None = None


def given_options(parser: argparse.ArgumentParser, words: Sequence[str]) -> dict[str, str]:
    """Return the options that a command line gives by hand: the first spelling of each, and the one that was typed.

    Args:
        parser: without abbreviations, so that a word is an option only where it is spelt in full.
        words: the command line, which the parser accepts.

    Example:
        >>> made = argparse.ArgumentParser(allow_abbrev=False)
        >>> _ = made.add_argument("--normalize", action=argparse.BooleanOptionalAction)
        >>> given_options(made, ["--no-normalize"])
        {'--normalize': '--no-normalize'}
    """
    spelt = {option: action.option_strings[0] for action in parser._actions for option in action.option_strings}
    found: dict[str, str] = {}
    for word in words:
        if word == "--":
            break
        typed = word.partition("=")[0]
        if typed in spelt:
            found[spelt[typed]] = typed
    return found


def refuse_idle(given: Mapping[str, str], rules: Iterable[Applies], context: Any) -> None:
    """Refuse an option that was given by hand and does not apply.

    Args:
        given: of `given_options`.
        rules: when options apply.
        context: what the rules look at, as a rule the parsed command line.

    Raises:
        ExpandrError: so it is; names the option as it was typed, and when it applies.
    """
    for rule in rules:
        idle = next((given[option] for option in rule.options if option in given), None)
        if idle and not rule.holds(context):
            raise ExpandrError(
                idle + (rule.otherwise(context) if rule.otherwise else f": applies only {rule.when}; leave it out")
            )
