"""Search with queries that an LLM has expanded, on Pyserini, Faiss, TREC runs and ranx.

The Python API (docs/api) is imported name by name as it is used, so that `import expandr_repro` is cheap.
"""

import sys
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from expandr_repro.api.encoders import load_encoder
    from expandr_repro.api.fusion import fuse
    from expandr_repro.api.generation import generate
    from expandr_repro.api.indexes import Index, open_index
    from expandr_repro.api.qrels import Qrels, load_qrels
    from expandr_repro.api.reports import Page, report_page
    from expandr_repro.api.retrieval import Run, load_run, retrieve
    from expandr_repro.api.scores import score, significance
    from expandr_repro.api.topics import Topics, load_topics
    from expandr_repro.data.topics import Expansion, Topic
    from expandr_repro.errors import ExpandrError, UnknownNameError

__version__ = "0.1.0"

_HOMES = {
    **dict.fromkeys(("Topics", "load_topics"), "api.topics"),
    **dict.fromkeys(("Qrels", "load_qrels"), "api.qrels"),
    **dict.fromkeys(("Topic", "Expansion"), "data.topics"),
    "load_encoder": "api.encoders",
    **dict.fromkeys(("Index", "open_index"), "api.indexes"),
    **dict.fromkeys(("Run", "load_run", "retrieve"), "api.retrieval"),
    "fuse": "api.fusion",
    **dict.fromkeys(("score", "significance"), "api.scores"),
    "generate": "api.generation",
    **dict.fromkeys(("Page", "report_page"), "api.reports"),
    **dict.fromkeys(("ExpandrError", "UnknownNameError"), "errors"),
}
"""Name -> the module that has it."""

__all__ = [
    "ExpandrError",
    "Expansion",
    "Index",
    "Page",
    "Qrels",
    "Run",
    "Topic",
    "Topics",
    "UnknownNameError",
    "__version__",
    "fuse",
    "generate",
    "load_encoder",
    "load_qrels",
    "load_run",
    "load_topics",
    "open_index",
    "report_page",
    "retrieve",
    "score",
    "significance",
]


def __getattr__(name: str) -> Any:
    """Import a name of the API as it is first used."""
    from importlib import import_module

    if name not in _HOMES:
        offer = ""
        if not name.startswith("_"):
            from expandr_repro.errors import nearest

            close = nearest(name, _HOMES)
            offer = f"; did you mean {close!r}?" if close else ""
        raise AttributeError(f"module 'expandr_repro' has no attribute {name!r}{offer}")
    value = getattr(import_module(f"expandr_repro.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the API, imported yet or not."""
    return sorted({*globals(), *__all__})


class _Package(types.ModuleType):
    """The package, in which a folder of the same name does not take the place of a function of the API once it is imported."""

    def __setattr__(self, name: str, value: Any) -> None:
        """Set what the import system and `__getattr__` set, but for such a folder."""
        if not (name in _HOMES and isinstance(value, types.ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
