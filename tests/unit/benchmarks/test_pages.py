"""The benchmarks' pages and command lines: tables from what was kept, options that exist, nothing of a machine's own."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from benchmarks import page, registry
from benchmarks.__main__ import _command, build_parser
from benchmarks.machine import bert_operations, facts

ROOT = Path(__file__).resolve().parents[3]
WRITTEN = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("path", page.PAGES, ids=lambda p: p.name)
def test_the_tables_of_a_page_are_the_generated_ones(path):
    text = path.read_text(encoding="utf-8")
    assert page.filled(text) == text, "run `python -m benchmarks.page --write`"


def test_what_was_kept_is_on_a_page():
    shown = {m["name"] for p in page.PAGES for m in page.MARK.finditer(p.read_text(encoding="utf-8"))}
    assert set(page.kept()) <= shown


def test_a_sheet_that_was_not_kept_is_said_to_be_missing(monkeypatch, tmp_path):
    monkeypatch.setattr(page, "RUNS", tmp_path)
    assert page.filled("<!-- encode: begin -->\nold\n<!-- encode: end -->\n") == (
        "<!-- encode: begin -->\nNot measured yet.\n<!-- encode: end -->\n"
    )


def test_hours_and_gigabytes_follow_from_what_was_measured(monkeypatch, tmp_path):
    monkeypatch.setattr(page, "RUNS", tmp_path)
    machine = {"processor": "p", "cores": 2, "Python": "3"}

    def keep(name, title, *rows):
        sheet = {"name": name, "title": title, "unit": "u", "rows": rows, "bases": [], "rate": True, "limit": "", "remarks": []}  # fmt: skip
        content = {"command": "c", "machine": machine, "sheets": [sheet]}
        (tmp_path / f"{name}.json").write_text(json.dumps(content))

    base = {"limit": None, "peak": [], "note": "", "figures": {}}
    keep("encode", "Encoding (x), MiniLM", {**base, "name": "this project, fp32", "items": 100, "seconds": [1.0]})
    figures = {"index MB": 1.536, "building, seconds": 3.6, "recall@100": 1.0}
    keep("scale_index", "Indexes of 1,000 vectors of 384 dimensions", {**base, "name": "Flat", "items": 10, "seconds": [1.0], "figures": figures})  # fmt: skip
    packed = {**base, "name": "IVF4096,PQ48", "items": 10, "seconds": [0.1], "figures": {**figures, "index MB": 0.064}}
    assert "| CPU: fp32, MiniLM | 100 | 24.6 | 384 | 2,778 |" in page.encoding_time()
    assert "| Flat | 1,536 | 13.6 | 213 | 1,536 | 60.0 | 10.0 | 1.00 |" in page.index_cost()
    assert page.scale_plan() == "Not measured yet."
    flat = {**base, "name": "Flat", "items": 10, "seconds": [1.0], "figures": figures}
    keep("scale_index", "Indexes of 1,000 vectors of 384 dimensions", flat, packed)
    keep("scale_encode.gpu", "Encoding", {**base, "name": "1 GPU", "items": 10_000, "seconds": [1.0]})
    plan = {row.split("|")[1].strip(): [cell.strip() for cell in row.split("|")[3:-1]] for row in page.scale_plan().splitlines()}  # fmt: skip
    assert plan["encode, GPU hours"] == ["0.246", "3.84", "27.8"]
    assert plan["hosts of 512 GB that hold it"] == ["1", "1", "7"]
    assert plan["search 1,000 topics, minutes of a host"] == ["29,473", "461,214", "3,333,333"]
    assert plan["IVF-PQ48, GB"] == ["0.566", "8.86", "64.0"]


def examples():
    for path in WRITTEN:
        for line in re.findall(r"python -m benchmarks(?![.\w])([^`\n|]*)", path.read_text(encoding="utf-8")):
            yield path.name, line.partition("#")[0].strip()


@pytest.mark.parametrize(("where", "line"), sorted(set(examples())))
def test_a_command_line_of_the_documentation_is_one_that_the_program_takes(where, line):
    words = shlex.split(line.rstrip(")"))
    args = build_parser().parse_args(words[: words.index("--")] if "--" in words else words)
    assert set(args.names) <= set(registry.BENCHMARKS)


def test_every_benchmark_is_a_module_and_stands_on_the_page():
    text = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    for name in registry.BENCHMARKS:
        assert (ROOT / "benchmarks" / f"{name}.py").is_file()
        assert f"`{name}`" in text or f"python -m benchmarks {name}" in text, name


def test_the_command_is_kept_without_the_folders_of_the_machine():
    assert _command(["encode", "--json", "/a/b", "--work=/c", "--repeat", "3"]) == "python -m benchmarks encode --repeat 3"  # fmt: skip


def test_the_facts_of_a_machine_name_no_host_and_no_path():
    import socket

    said = json.dumps(facts())
    assert "/" not in said.replace("\\/", "").replace(json.dumps(facts()["processor"]), "")
    assert f'"{socket.gethostname()}"' not in said


def test_the_operations_of_bert_base_are_those_of_its_matrices():
    from types import SimpleNamespace

    base = SimpleNamespace(hidden_size=768, intermediate_size=3072, num_hidden_layers=12)
    weights = 12 * (4 * 768 * 768 + 2 * 768 * 3072)
    assert bert_operations(base, [1]) == 2 * weights + 12 * 4 * 768
    assert bert_operations(base, [100, 200]) == 2 * weights * 300 + 12 * 4 * 768 * (100**2 + 200**2)
