"""The table of methods: what each does, how often it asks, what it needs, and where it is from."""

from __future__ import annotations

from expandr_repro.console.tables import Table
from expandr_repro.errors import ExpandrError
from expandr_repro.expand.methods.spec import METHODS, Method, find_method


def needs_of(method: Method) -> str:
    """Return what a method needs beside topics and an LLM."""
    passages = f"passages ({method.context})" if method.needs_passages else ""
    examples = "training topics" if method.needs_examples else ""
    return ", ".join(filter(None, (passages, examples))) or "-"


def methods_table() -> Table:
    """Return all methods, ours and those of plug-ins; one that does not load is listed with the reason."""
    rows: list[list[str | int | None]] = []
    for name in METHODS.names():
        try:
            method = find_method(name)
        except ExpandrError as error:
            rows.append([name, str(error), None, None, None, None, None, None])
            continue
        rounds = f" in {method.rounds} rounds" if method.rounds > 1 else ""
        heat = ", ".join(dict.fromkeys(f"{step.temperature:g}" for step in method.steps))
        rows.append([
            name, f"{method.summary}{rounds}" if rounds and "round" not in method.summary else method.summary, method.calls, heat,
            needs_of(method), method.fusion.get("bm25"), method.fusion.get("dense"), method.source,
        ])  # fmt: skip
    return Table(["method", "what it writes", "calls", "temperature", "needs", "bm25", "dense", "source"], rows)
