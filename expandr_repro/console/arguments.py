"""Parse command lines with one-line errors: which option, what was found, what was wanted, the nearest valid name."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from expandr_repro.console.options import Options
from expandr_repro.console.terminal import one_line
from expandr_repro.errors import nearest, shown

SYNONYMS = {
    "--model": ("--encoder", "--generator"),
    "--encoder": ("--model",),
    "--k": ("--hits", "--depth"),
    "--top-k": ("--hits", "--depth"),
    "--topk": ("--hits", "--depth"),
    "--depth": ("--hits",),
    "--num-hits": ("--hits",),
    "--num": ("--samples", "--hits"),
    "-n": ("--samples", "--hits"),
    "--n": ("--samples", "--hits"),
    "--queries": ("--topics", "--train"),
    "--dataset": ("--topics", "--train", "--corpus", "--gold"),
    "--collection": ("--topics", "--train", "--corpus", "--gold"),
    "--data": ("--topics", "--train", "--corpus", "--gold"),
    "--documents": ("--corpus",),
    "--docs": ("--corpus",),
    "--out": ("--output",),
    "-o": ("--output",),
    "--run": ("--output",),
    "--save": ("--output",),
    "--measures": ("--metrics",),
    "-m": ("--metrics",),
    "--eval-metrics": ("--metrics",),
    "--passages": ("--expansions",),
    "--expand": ("--expansions",),
    "--url": ("--base-url",),
    "--endpoint": ("--base-url",),
    "--api-base": ("--base-url",),
    "--workers": ("--concurrency", "--jobs", "--threads"),
    "--max-new-tokens": ("--max-tokens",),
    "--lora": ("--adapter",),
    "--peft": ("--adapter",),
    "--learning-rate": ("--set",),
    "--lr": ("--set",),
    "--epochs": ("--set",),
    "--force": ("--overwrite",),
    "--fp16": ("--precision",),
    "--bf16": ("--precision",),
    "--dtype": ("--precision",),
    "--gpu": ("--device",),
    "--cuda": ("--device",),
    "--bm25": ("--retriever",),
    "--weight": ("--alpha",),
    "--confidence": ("--bootstrap",),
    "--ci": ("--bootstrap",),
    "--worst": ("--largest",),
    "--best": ("--largest",),
}
"""What users of other tools type, and what it is called here; the first that a command has is offered."""


class Parser(argparse.ArgumentParser):
    """A parser that reports a usage error as one line and exits with code 2; only `--help` prints the usage.

    Example:
        >>> made = Parser(prog="search", allow_abbrev=False)
        >>> _ = made.add_argument("--hits", type=int)
        >>> made.parse_args(["--hits", "10"]).hits
        10
    """

    shape: type[Options] | None = None
    """The dataclass of the command's options."""

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """Parse a whole command line; an option that there is not is reported first, with the nearest one."""
        words = list(sys.argv[1:] if args is None else args)
        for word in words[: words.index("--")] if "--" in words else words:
            if _looks_like_an_option(word) and not self._knows(word.split("=", 1)[0]):
                self.error(self._unknown(word.split("=", 1)[0]))
        parsed, rest = self.parse_known_args(words, namespace)
        if rest:
            self.error(f"unexpected argument {shown(rest[0])}")
        return parsed

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with code 2."""
        print(f"error: {one_line(_plain(message))}; see {self.prog} --help", file=sys.stderr)
        raise SystemExit(2)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            names = [str(choice) for choice in action.choices]
            raise argparse.ArgumentError(action, f"{shown(value)} is none of its values: {_offer(str(value), names)}")

    def _knows(self, name: str) -> bool:
        known = {o for action in self._actions for o in action.option_strings}
        return name in known or (not name.startswith("--") and name[:2] in known)

    def _unknown(self, name: str) -> str:
        options = [o for action in self._actions for o in action.option_strings]
        close = next((o for o in SYNONYMS.get(name.replace("_", "-"), ()) if o in options), None)
        close = close or nearest_option(name, options)
        return f"unknown option {shown(name)}" + (f": did you mean {close}?" if close else "")


def _looks_like_an_option(word: str) -> bool:
    """Return whether argparse takes a word for an option: a dash, no white space, no negative number."""
    return len(word) > 1 and word[0] == "-" and " " not in word and not re.fullmatch(r"-\d+|-\d*\.\d+", word)


def nearest_option(name: str, options: Iterable[str]) -> str | None:
    """Return the option most like `name`: one that begins with it or with its words, else one spelt likewise."""
    long = sorted({o for o in options if o.startswith("--")} - {"--help", "--version"})
    wanted = "--" + name.lstrip("-").replace("_", "-").lower()
    if wanted in long:
        return wanted
    begins = [o for o in long if o.startswith(wanted)] if len(wanted) > 4 else []
    return begins[0] if begins else nearest(wanted, long)


def _offer(value: str, names: Sequence[str]) -> str:
    close = nearest(value, names)
    return f"did you mean {close!r}?" if close else ", ".join(names)


def _plain(message: str) -> str:
    """Return one of argparse's messages in the words of this toolkit's errors."""
    message = re.sub(r"^argument (?:[^:]*[/,] ?)?([^:]*): ", r"\1: ", message)
    message = re.sub(r"expected (one|at least one) arguments?$", "needs a value", message)
    message = re.sub(r"expected (\d+) arguments?$", r"needs \1 values", message)
    message = re.sub(r"^ignored explicit argument (.*)$", r"takes no value (found \1)", message)
    message = re.sub(r": ignored explicit argument (.*)$", r" takes no value (found \1)", message)
    message = re.sub(r"invalid (.*) value: (.*)$", lambda m: f"{m[2]} is not a {_TYPES.get(m[1], m[1])}", message)
    missing = re.match(r"the following arguments are required: (.*)$", message)
    if missing:
        names = missing[1].split(", ")
        return f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} required"
    return message


_TYPES = {"int": "whole number", "float": "number"}
