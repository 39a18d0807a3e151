"""The documentation against the program: every command line parses, every help block is current, every page has its place."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from expandr_repro.__main__ import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
WRITTEN = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES]


def script(file: str) -> ModuleType:
    """Import a file of scripts/, which is no package."""
    spec = importlib.util.spec_from_file_location(file, ROOT / "scripts" / f"{file}.py")
    assert spec
    assert spec.loader
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


help_blocks, site_hooks = script("help_blocks"), script("site_hooks")

FOREIGN = {
    "--nproc-per-node",
    "--num_processes",
    "--encoded-queries",
    "--fields",
    "--force-reinstall",
    "--nv",
    "--reasoning-parser",
    "--requeue",
}
"""Options of other programs that the documentation names."""

CALL = re.compile(r"(?:-m expandr_repro(?:\.(?P<module>[\w.]+))?|^[^#]*?(?<![\w.-])expandr(?= [a-z-]))(?P<rest>.*)")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def without_help(text: str) -> str:
    """Leave out what is generated from the program."""
    return re.sub(rf"{re.escape(help_blocks.BEGIN)}.*?{re.escape(help_blocks.END)}", "", text, flags=re.DOTALL)


def code_lines(text: str) -> Iterator[str]:
    """Yield the lines of code blocks, fenced or indented by four, and code within a line that starts with `python -m` or `expandr`; joined where a backslash ends one."""
    fenced, joined = False, ""
    for line in without_help(text).splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
            continue
        if not fenced and not line.startswith("    "):
            yield from re.findall(r"`((?:python -m|expandr) [^`]*)`", line)
            continue
        joined += line.removesuffix("\\")
        if not line.endswith("\\"):
            yield joined.strip()
            joined = ""


def is_synopsis(command: str) -> bool:
    """Tell a form to fill in from a command line: it has `...`, COMMAND, a word in brackets, or a choice such as `ci|full`."""
    return bool(re.search(r"(^|\s)(\.\.\.|\[\S)|\bCOMMAND\b|\w\|\w", command))


def command_lines(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield (module, arguments) of every call of this package that is no synopsis; module is empty for the package itself."""
    for line in code_lines(text):
        for part in [*re.findall(r"\$\(([^()]*)\)", line), re.sub(r"\$\([^()]*\)", "", line)]:
            if not (call := CALL.search(part)) or is_synopsis(call[0]):
                continue
            lexer = shlex.shlex(call["rest"], posix=True, punctuation_chars=";&|")
            lexer.whitespace_split, lexer.commenters = True, "#"
            words = list(lexer)
            end = next((i for i, word in enumerate(words) if set(word) <= set(";&|")), len(words))
            module, words_of_it = call["module"] or "", words[:end]
            if not module and words_of_it and words_of_it[0] in COMMANDS:
                module, words_of_it = words_of_it[0], words_of_it[1:]
            yield module, words_of_it
            yield from command_lines(f"    {' '.join(map(shlex.quote, words[end + 1 :]))}")


def parser_for(module: str, arguments: list[str]) -> tuple[argparse.ArgumentParser, list[str]]:
    if not module:
        module, arguments = arguments[0], arguments[1:]
    if arguments and arguments[0] in help_blocks.READING.get(module, ()):
        return help_blocks.parser_of(module, arguments[0]), arguments[1:]
    return help_blocks.parser_of(module), arguments


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    return {option for action in parser._actions for option in action.option_strings}


SOURCES = [
    *((name(path), path.read_text(encoding="utf-8")) for path in WRITTEN),
    *((f"{c} --help", "\n".join(f"    {line}" for line in importlib.import_module(f"expandr_repro.{c}.__main__").EXAMPLES.splitlines())) for c in COMMANDS),
]  # fmt: skip
EXAMPLES = sorted({(where, module, *words) for where, text in SOURCES for module, words in command_lines(text)})


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: f"{example[0]}: {' '.join(example[1:])}"[:120])
def test_an_example_in_the_documentation_is_a_command_line_that_the_program_takes(example, capsys):
    _, module, *words = example
    if module == "pyserini":  # Pyserini's own commands, on the Java found here
        assert importlib.util.find_spec(f"expandr_repro.{module}")
        return
    parser, arguments = parser_for(module, words)
    try:
        parser.parse_args(arguments)
    except SystemExit:
        pytest.fail(capsys.readouterr().err)


def test_the_examples_are_found_wherever_they_stand():
    assert len(EXAMPLES) > 150
    assert {module for _, module, *_ in EXAMPLES} >= set(COMMANDS)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("    python -m expandr_repro.doctor", [("doctor", [])]),
        ("    A=1 .venv/bin/python -m expandr_repro.search --topics pocket   # why", [("search", ["--topics", "pocket"])]),
        ("    python -m expandr_repro.encode --factory 'IVF256,Flat' && python -m expandr_repro.doctor", [("encode", ["--factory", "IVF256,Flat"]), ("doctor", [])]),
        ('    eval "$(python -m expandr_repro.doctor --env)"    # for stock Pyserini', [("doctor", ["--env"])]),
        ("    torchrun --nproc-per-node 2 -m expandr_repro.encode --corpus c", [("encode", ["--corpus", "c"])]),
        ("```bash\npython -m expandr_repro.search \\\n  --topics pocket\n```", [("search", ["--topics", "pocket"])]),
        ("Run `python -m expandr_repro.regress NAME`, then.", [("regress", ["NAME"])]),
        ("    python -m expandr_repro.search --topics T [--fusion F] ...", []),
        ("    python -m expandr_repro.report --tier ci|full", []),
        ("Plain text about python -m expandr_repro.search", []),
        ("    expandr search --topics pocket   # why", [("search", ["--topics", "pocket"])]),
        ("    .venv/bin/expandr doctor && expandr regress --list", [("doctor", []), ("regress", ["--list"])]),
        ("Run `expandr regress NAME`, then `expandr show`.", [("regress", ["NAME"]), ("", ["show"])]),
        ("    pip install expandr-repro; cd expandr_repro", []),
        ("    expandr compare --test student|fisher", []),
        ("Plain text about expandr search", []),
        ("    source .venv/bin/activate   # from here on expandr is on the path", []),
    ],
)  # fmt: skip
def test_examples_are_told_from_text_and_from_synopses(line, found):
    assert list(command_lines(line)) == found


@pytest.mark.skipif(sys.version_info[:2] != help_blocks.PYTHON, reason="the help in docs/ is that of Python 3.11")
@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_on_its_page_is_the_help_of_the_program(command):
    text = (DOCS / help_blocks.PAGES[command]).read_text(encoding="utf-8")
    assert text == help_blocks.current(text, command), "run `python scripts/help_blocks.py`"


def test_a_page_with_another_help_is_noticed_and_mended():
    text = (DOCS / "doctor.md").read_text(encoding="utf-8")
    stale = text.replace("print the shell lines", "print the lines")
    assert stale != text
    assert help_blocks.current(stale, "doctor") == help_blocks.current(text, "doctor") != stale


def test_a_page_without_a_help_gets_one_at_its_end():
    made = help_blocks.current("# doctor\n\nText.\n", "doctor")
    assert made.startswith(
        f"# doctor\n\nText.\n\n{help_blocks.HEADING}\n\n{help_blocks.BEGIN}\n```text\n$ python -m expandr_repro.doctor --help\n"
    )
    assert made.endswith(f"\n```\n{help_blocks.END}\n")


def test_the_help_on_the_pages_is_what_the_program_prints():
    done = subprocess.run(
        [sys.executable, "-m", "expandr_repro.doctor", "--help"],
        env={"COLUMNS": help_blocks.COLUMNS, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == help_blocks.help_text("doctor")


def test_every_option_that_the_documentation_names_is_one_of_a_command():
    known = FOREIGN.union(*(options_of(help_blocks.parser_of(c, w)) for c in COMMANDS for w in ("", *help_blocks.READING.get(c, ()))))  # fmt: skip
    for program in (*(ROOT / "examples").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")):
        known |= set(re.findall(r'"(--[a-z][\w-]*)"', program.read_text(encoding="utf-8")))
    named = {
        (name(path), option)
        for path in WRITTEN
        for span in re.findall(r"`([^`\n]+)`", without_help(path.read_text(encoding="utf-8")))
        for option in re.findall(r"(?<![\w-])--[a-z][\w-]*", span)
    }
    assert len(named) > 100
    assert sorted((where, option) for where, option in named if option not in known) == []


def navigation(entries: list[object]) -> Iterator[str]:
    for entry in entries:
        (target,) = entry.values() if isinstance(entry, dict) else (entry,)
        yield from navigation(target) if isinstance(target, list) else (str(target),)


def site() -> dict[str, object]:
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    assert isinstance(settings, dict)
    return settings


def test_every_page_is_in_the_navigation_once_and_every_entry_is_a_page():
    listed = list(navigation(site()["nav"]))
    assert sorted(listed) == sorted(str(path.relative_to(DOCS)) for path in PAGES)


def test_every_command_has_a_page_among_the_commands():
    (commands,) = (entry["Commands"] for entry in site()["nav"] if "Commands" in entry)
    titles = {title: page for entry in commands for title, page in entry.items()}
    assert {command: titles.get(command) for command in COMMANDS} == {c: help_blocks.PAGES[c] for c in COMMANDS}
    overview = (DOCS / "commands.md").read_text(encoding="utf-8")
    assert [c for c in COMMANDS if f"[`{c}`]({help_blocks.PAGES[c]})" not in overview] == []


def test_an_option_in_code_does_not_wrap_and_nothing_else_changes():
    html = 'a --b c <code>x --top-p 0.9 --a<span class="w"> </span>v<span class="l"> --c</span></code> --d'
    made = site_hooks.on_page_content(html, page=None)
    whole = [
        f'<span class="option">{option}</span>' for option in ("--top-p 0.9", '--a<span class="w"> </span>v', "--c")
    ]
    assert [option in made for option in whole] == [True] * 3
    assert made.count('class="option"') == 3
    assert re.sub("<[^>]*>", "", made) == re.sub("<[^>]*>", "", html)


def test_the_environment_of_the_documentation_has_what_the_extra_has():
    import configparser
    import tomllib

    extra = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini", encoding="utf-8")
    assert set(extra["docs"]) <= set(tox["testenv:docs"]["deps"].split("\n"))


def anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ +(.+?)\s*$", re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL), re.MULTILINE)  # fmt: skip
    return {re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", heading.lower()).strip()) for heading in headings}


@pytest.mark.parametrize("path", [ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=name)
def test_a_link_from_a_page_outside_the_site_leads_somewhere(path):
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)", text):
        there = (path.parent / target) if target else path
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), f"{target}#{anchor}"


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_scripts_that_a_page_names_are_there(path):
    named = re.findall(r"\b(?:benchmarks|scripts|examples)/[\w/.]+\.\w+", path.read_text(encoding="utf-8"))
    assert [script for script in named if not (ROOT / script).is_file()] == []
