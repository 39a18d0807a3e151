"""A plug-in package adds a fusion, a reward, a pooling, an LLM backend and encoders, each in one file."""

from __future__ import annotations

import json
import shutil
import sys
import tomllib
from pathlib import Path

import pytest

from expandr_repro.data.specs import POOLINGS
from expandr_repro.encoders.loading import PLUGINS
from expandr_repro.expand.methods.spec import METHODS
from expandr_repro.io.manifest import run_manifest_path
from expandr_repro.llm.base import BACKENDS
from expandr_repro.prefer.rewards import REWARDS
from expandr_repro.search.fusion import FUSIONS

PLUGIN = Path(__file__).parent.parent / "plugin"
REGISTRIES = (FUSIONS, REWARDS, POOLINGS, BACKENDS, PLUGINS, METHODS)


def install(folder: Path) -> None:
    """Put a package where Python finds it, as `pip install --target` does."""
    project = tomllib.loads((PLUGIN / "pyproject.toml").read_text())["project"]
    shutil.copytree(PLUGIN / "expandr_example", folder / "expandr_example")
    facts = folder / "expandr_example-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = []
    for group, points in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in points.items())]
    (facts / "entry_points.txt").write_text("\n".join(lines) + "\n")


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    folder = tmp_path / "site"
    folder.mkdir()
    install(folder)
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    for registry in REGISTRIES:
        for name in list(registry._theirs):
            del registry._theirs[name], registry._modules[name]
    for name in [n for n in sys.modules if n.partition(".")[0] == "expandr_example"]:
        del sys.modules[name]


@pytest.fixture
def go(command):
    """Run a command that ends with a given code."""

    def call(name, *words, code=0):
        result = command(name, *words)
        assert result.code == code, result.err
        return result

    return call


def test_a_fusion_of_a_plug_in_searches_with_its_parameters_and_the_manifest_says_where_it_is_from(
    plugin, go, tmp_path
):
    run = tmp_path / "run.trec"
    words = ["--topics", "pocket", "--encoder", "letters", "--fusion", "nearest:share=0.25", "--output", str(run)]

    result = go("search", *words)

    assert "fusion nearest:share=0.25" in result.out
    facts = json.loads(run_manifest_path(run).read_text())
    assert facts["fusion"] == "nearest"
    assert facts["fusion_parameters"] == {"share": 0.25}
    assert facts["fusion_origin"]["from"] == "expandr-example 1.0"
    assert facts["encoder"]["name"] == "letters"


def test_a_parameter_of_a_plug_ins_fusion_is_checked_as_one_of_ours(plugin, go):
    result = go("search", "--topics", "pocket", "--fusion", "nearest:shre=0.25", code=2)

    assert "unknown parameter of fusion 'nearest' 'shre': did you mean 'share'?" in result.err
    result = go("search", "--topics", "pocket", "--fusion", "nearest:share=2", code=2)

    assert "fusion 'nearest': share=2.0; wanted a number, 0 to 1" in result.err


def test_a_pooling_of_a_plug_in_makes_an_encoder_by_its_name(plugin, go):
    result = go("search", "--topics", "pocket", "--encoder", "first-and-last", "--no-baseline", "--format", "json")

    assert json.loads(result.out)


def test_a_reward_and_a_backend_of_a_plug_in_make_preference_pairs(plugin, go, tmp_path):
    candidates, pairs = tmp_path / "candidates.jsonl", tmp_path / "pairs.jsonl"
    go("expand", "--topics", "pocket", "--backend", "echo", "--model", "any", "--output", str(candidates))
    go("expand", "--topics", "pocket", "--backend", "echo", "--model", "any", "--dry-run")

    assert json.loads(candidates.read_text().splitlines()[0])["provenance"]["backend"] == "echo"
    topics = [json.loads(line) for line in candidates.read_text().splitlines()]
    for topic in topics:
        topic["expansions"] = [{"text": topic["title"]}, {"text": topic["title"] + " in some more words"}]
    candidates.write_text("".join(json.dumps(topic) + "\n" for topic in topics))
    words = ["--candidates", str(candidates), "--gold", "pocket/test", "--reward", "brevity", "--min-similarity", "0", "--encoder", "letters"]  # fmt: skip
    go("prefer", *words, "--output", str(pairs))

    first = json.loads(pairs.read_text().splitlines()[0])
    assert first["rejected"].endswith("in some more words")


def test_an_option_that_a_plug_ins_backend_does_not_use_is_refused(plugin, go):
    result = go("expand", "--topics", "pocket", "--backend", "echo", "--model", "m", "--device", "cpu", "--dry-run", code=2)  # fmt: skip

    assert "--device has no meaning for --backend echo" in result.err


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("fusion", ["search", "--topics", "pocket", "--fusion", "nearest"]),
        ("encoder", ["search", "--topics", "pocket", "--encoder", "letters"]),
        ("generator", ["expand", "--topics", "pocket", "--backend", "echo", "--model", "m", "--dry-run"]),
        ("pooling", ["search", "--topics", "pocket", "--pooling", "first-and-last"]),
        ("reward", ["prefer", "--candidates", "c.jsonl", "--gold", "pocket", "--reward", "brevity", "--output", "o"]),
    ],
)
def test_a_broken_plug_in_is_one_line_that_names_its_package(plugin, go, module, words):
    (plugin / "expandr_example" / f"{module}.py").write_text("import no_such_module_at_all\n")

    result = go(*words, code=2)

    errors = [line for line in result.err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "plug-in expandr-example 1.0" in errors[0]
    assert "no_such_module_at_all" in errors[0]


def test_a_broken_plug_in_that_is_not_asked_for_is_not_loaded(plugin, go):
    for module in ("fusion", "encoder", "generator", "pooling", "reward"):
        (plugin / "expandr_example" / f"{module}.py").write_text("raise SystemError('loaded')\n")

    assert "loaded" not in go("search", "--topics", "pocket", "--no-baseline").err


def test_names_of_plug_ins_are_offered_where_a_name_is_unknown(plugin, go):
    assert "did you mean 'nearest'?" in go("search", "--topics", "pocket", "--fusion", "nearst", code=2).err
    assert "did you mean 'letters'?" in go("search", "--topics", "pocket", "--encoder", "leters", code=2).err


def test_docs_show_the_plug_ins_files_as_they_are():
    page = (PLUGIN.parent.parent / "docs" / "architecture.md").read_text()
    for module in ("fusion", "encoder", "generator", "reward", "pooling"):
        content = (PLUGIN / "expandr_example" / f"{module}.py").read_text()
        diff = "".join(f"+{line}".rstrip() + "\n" for line in content.splitlines())
        assert diff in page, f"docs/architecture.md does not show tests/plugin/expandr_example/{module}.py as it is"


def test_a_method_of_a_plug_in_runs_by_its_name_is_listed_and_the_topics_say_where_it_is_from(plugin, go, tmp_path):
    words = ["--topics", "pocket", "--limit", "2", "--backend", "echo", "--model", "m", "--method", "haiku"]
    go("expand", *words, "--store", tmp_path / "s.sqlite", "--output", tmp_path / "o.jsonl")

    topic = json.loads((tmp_path / "o.jsonl").read_text().splitlines()[0])
    assert len(topic["expansions"]) == 2
    assert topic["provenance"]["method"] == "haiku"
    assert topic["provenance"]["method_origin"]["from"] == "expandr-example 1.0"
    assert topic["provenance"]["prompts"][0]["text"] == f"Write a haiku on {topic['title']}."
    assert "two haikus" in go("expand", "methods").out
