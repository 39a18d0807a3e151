"""Write docs/api: one page for each room, signatures and docstrings as text, so that they can be read without a build; `--check` only compares."""

from __future__ import annotations

import argparse
import ast
import importlib
import inspect
import itertools
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "expandr_repro"
DOCS = ROOT / "docs" / "api"

PAGES = {
    "notebook": (
        "What a notebook types",
        "`import expandr_repro as ex` has all of these names; each is imported when it is first used.",
        ["api.topics", "api.qrels", "api.encoders", "api.indexes", "api.retrieval", "api.scores", "api.generation", "api.reports"],
    ),
    "data": (
        "Topics, runs, qrels, collections",
        "Reading and writing the shapes that flow between the commands, and finding them by name.",
        ["data.topics", "data.trec", "data.corpus", "data.collections", "data.expansions", "data.specs", "errors"],
    ),
    "encoders": (
        "Encoders",
        "What turns texts into vectors.",
        ["encoders.protocol", "encoders.options", "encoders.loading", "encoders.encoder", "train_encoder.loss"],
    ),
    "indexes": ("Indexes", "What is searched.", ["indexes.find", "indexes.faiss_index"]),
    "search": ("Search and fusion", "What the command `search` does, as functions.", ["search.options", "search.run", "search.opening", "search.fusion", "search.gate"]),
    "evaluate": (
        "Scores and significance",
        "Metrics with the meaning of trec_eval, and paired tests.",
        ["evaluate.metrics", "evaluate.scoring", "evaluate.significance", "compare.comparison"],
    ),
    "llm": ("Prompts, generators, rewards", "What LLMs are asked, and how their texts are ranked.", ["llm.base", "llm.prompts", "llm.sampling", "prefer.rewards"]),
    "pyserini": (
        "Pyserini",
        "The door to Pyserini, both ways. [Use with stock Pyserini](../pyserini.md) shows it at work.",
        ["pyserini.ours", "pyserini.encoders", "pyserini.queries"],
    ),
}  # fmt: skip
"""Page -> its title, what stands below it, and the modules that it shows."""

SECTIONS = ("Args", "Attributes", "Returns", "Yields", "Raises", "Example")
WIDTH = 100
"""Characters of a signature that stand on one line."""


def page(name: str) -> str:
    """Return a page as it must be."""
    title, about, modules = PAGES[name]
    parts = [f"# {title}", "<!-- made by scripts/api_pages.py from the docstrings -->", about]
    for module in modules:
        path = PACKAGE / f"{module.replace('.', '/')}.py"
        if not path.is_file():
            path = path.with_suffix("") / "__init__.py"
        parts += module_parts(
            f"expandr_repro.{module}", ast.parse(path.read_text(encoding="utf-8")), name != "notebook"
        )
    return "\n\n".join(parts) + "\n"


def module_parts(name: str, tree: ast.Module, shown: bool) -> Iterator[str]:
    """Yield the parts of a page that a module makes; `shown` where its own docstring is among them."""
    if shown:
        yield f"## `{name}`"
        yield from text_parts(ast.get_docstring(tree) or "")
    level = "###" if shown else "##"
    for node in tree.body:
        if not is_public(node):
            continue
        yield f"{level} `{node.name}`"
        taking = any(
            "takes(" in ast.unparse(d) for d in node.decorator_list
        )  # options of a command, which stand in no source
        made = getattr(importlib.import_module(name), node.name) if taking else None
        yield code(signature(node, made))
        yield from text_parts(inspect.cleandoc(made.__doc__) if made else ast.get_docstring(node) or "")
        for inner in node.body if isinstance(node, ast.ClassDef) else ():
            if is_public(inner):
                yield f"{level}# `{node.name}.{inner.name}`"
                yield code(signature(inner))
                yield from text_parts(ast.get_docstring(inner) or "")


def is_public(node: ast.AST) -> bool:
    """Say whether a node is a function or class that is meant for others."""
    named = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    return named and not node.name.startswith("_") and bool(ast.get_docstring(node))


def signature(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, made: Any = None) -> str:
    """Return how a function is called, a class made, or a property read; `made` is a function that takes options of a command."""
    if isinstance(node, ast.ClassDef):
        made = next((n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)
        if made:
            return f"class {laid_out(node.name, arguments(made.args), '')}"
        if any("dataclass" in ast.unparse(d) for d in node.decorator_list):
            fields = [field(n) for n in node.body if isinstance(n, ast.AnnAssign) and not ast.unparse(n.target).startswith("_")]  # fmt: skip
            return f"class {laid_out(node.name, fields, '')}"
        bases = ", ".join(map(ast.unparse, node.bases))
        return f"class {node.name}({bases})" if bases else f"class {node.name}"
    returned = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    if any(ast.unparse(d) == "property" for d in node.decorator_list):
        return f"{node.name}{returned.replace(' ->', ':')}"
    listed = arguments(node.args)
    if made:
        keywords = [p for p in inspect.signature(made).parameters.values() if p.kind is p.KEYWORD_ONLY]
        shown = [f"{p.name}: {p.annotation}{'' if p.default is p.empty else f' = {p.default!r}'}" for p in keywords]
        listed = [*itertools.takewhile(lambda text: text[0] != "*", listed), "*", *shown]
    return laid_out(node.name, listed, returned)


def field(node: ast.AnnAssign) -> str:
    """Return a field of a dataclass as written; of an option its name, its type and its default."""
    if not isinstance(node.value, ast.Call) or not {"help", "choices"} & {k.arg for k in node.value.keywords}:
        return ast.unparse(node)
    typed, default = f"{ast.unparse(node.target)}: {ast.unparse(node.annotation)}", node.value.args[:1]
    return f"{typed} = {ast.unparse(default[0])}" if default else typed


def arguments(args: ast.arguments) -> list[str]:
    """Return the arguments of a function as written, without `self` and `cls`."""
    plain = [*args.posonlyargs, *args.args]
    defaults = [None] * (len(plain) - len(args.defaults)) + list(args.defaults)
    made = [argument(a, d) for a, d in zip(plain, defaults, strict=True) if a.arg not in ("self", "cls")]
    if args.vararg:
        made.append(f"*{argument(args.vararg, None)}")
    elif args.kwonlyargs:
        made.append("*")
    made += [argument(a, d) for a, d in zip(args.kwonlyargs, args.kw_defaults, strict=True)]
    return made + ([f"**{argument(args.kwarg, None)}"] if args.kwarg else [])


def argument(arg: ast.arg, default: ast.expr | None) -> str:
    """Return one argument with its type and its default."""
    typed = f"{arg.arg}: {ast.unparse(arg.annotation)}" if arg.annotation else arg.arg
    if default is None:
        return typed
    return f"{typed} = {ast.unparse(default)}" if arg.annotation else f"{typed}={ast.unparse(default)}"


def laid_out(name: str, listed: list[str], returned: str) -> str:
    """Return a signature on one line, or with an argument a line where it is long."""
    whole = f"{name}({', '.join(listed)}){returned}"
    if len(whole) <= WIDTH:
        return whole
    return "\n".join([f"{name}(", *(f"    {item}," for item in listed), f"){returned}"])


def code(text: str) -> str:
    """Return a block of Python."""
    return f"```python\n{text}\n```"


def text_parts(docstring: str) -> Iterator[str]:
    """Yield the paragraphs, lists and examples of a docstring in Google's style."""
    found = re.split(rf"^({'|'.join(SECTIONS)}):[ ]*$", docstring, flags=re.MULTILINE)
    if found[0].strip():
        yield re.sub(r"::\n", ":\n", found[0].strip())
    for heading, body in zip(found[1::2], found[2::2], strict=True):
        inner = textwrap.dedent(body.strip("\n")).rstrip()
        first, _, rest = inner.partition("\n\n")
        if heading == "Example":
            yield code(inner)
        elif heading in ("Returns", "Yields"):
            yield f"**{heading}** {' '.join(inner.split())}"
        else:
            # a paragraph that stands further left again belongs to the text after the section
            yield f"**{heading}**\n\n" + "\n".join(items(first))
            if rest:
                yield textwrap.dedent(rest)


def items(listed: str) -> Iterator[str]:
    """Yield what a section lists as the items of a list in Markdown."""
    for item in re.split(r"\n(?=\S)", listed):
        name, colon, text = " ".join(item.split()).partition(": ")
        yield f"- `{name}`: {text}" if colon else f"- {name}"


def stale() -> list[str]:
    """Return the names of the pages that are not what the docstrings make of them."""
    return [n for n in PAGES if not (p := DOCS / f"{n}.md").is_file() or p.read_text(encoding="utf-8") != page(n)]


def main() -> int:
    """Write or check all pages."""
    arguments = argparse.ArgumentParser(description="Write the pages of the Python API from the docstrings.")
    arguments.add_argument("--check", action="store_true", help="change nothing; exit code 1 where a page differs")
    check = arguments.parse_args().check
    others = stale()
    if others:
        print(
            f"{'not what the docstrings say' if check else 'written'}: {', '.join(f'docs/api/{n}.md' for n in others)}"
        )
    for name in others if not check else ():
        (DOCS / f"{name}.md").write_text(page(name), encoding="utf-8")
    if others and check:
        print("run `python scripts/api_pages.py`")
    return int(bool(others) and check)


if __name__ == "__main__":
    sys.exit(main())
