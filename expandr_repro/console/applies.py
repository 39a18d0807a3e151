"""Options that apply only to some searches, trainings or backends: given by hand where they would change nothing, they are refused.

Each command lists its conditions beside its parser as `Applies`; an option in none of them always applies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from expandr_repro.console.options import given_options as given_options
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
