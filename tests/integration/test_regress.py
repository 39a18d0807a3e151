"""`regress` through its command: the embedded collection for real, and every way in which a condition can go wrong."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "runs" / "reference"
REAL = "pocket.minilm.own.mean"

UNPACK = (
    "import sys, gzip, pathlib as p; p.Path(sys.argv[2]).write_bytes(gzip.decompress(p.Path(sys.argv[1]).read_bytes()))"
)
"""A search stage that takes no time: it unpacks a reference run."""

FIGURES = 'import json; print(json.dumps([{"nDCG@10": 0.79223, "R@100": 0.9980158}]))'
"""An evaluate stage that takes no time."""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with `regressions/` and `runs/reference/`, as in a checkout; the working directory."""
    (tmp_path / "regressions").mkdir()
    (tmp_path / "runs").mkdir()
    shutil.copytree(REFERENCE, tmp_path / "runs" / "reference")
    (tmp_path / "unpack.py").write_text(UNPACK)
    (tmp_path / "figures.py").write_text(FIGURES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def add(folder, name=REAL, edit=lambda text: text, stages=True, **changes):
    """Put a real condition there, its text edited; with `stages`, its slow commands are replaced by quick ones."""
    content = yaml.safe_load((ROOT / "regressions" / f"{REAL}.yaml").read_text(encoding="utf-8"))
    if stages:
        content["stages"] = {
            "search": f"python unpack.py runs/reference/{REAL}.trec.gz $run",
            "evaluate": "python figures.py $run",
        } | changes.pop("commands", {})
    for key, value in changes.items():
        content[key] = content[key] | value if isinstance(value, dict) else value
    if name != REAL:
        content.pop("recorded", None)
    path = folder / "regressions" / f"{name}.yaml"
    path.write_text(edit(yaml.safe_dump(content, sort_keys=False)))
    return path


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """The dense conditions of the ci tier, run for real, once; the folder of what they wrote and the reports."""
    import os
    import subprocess

    out = tmp_path_factory.mktemp("regress")
    arguments = ["--output", out / "runs", "--json", out / "report.json", "--junit", out / "report.xml", "--jobs", "2"]
    done = subprocess.run(
        [sys.executable, "-m", "expandr_repro.regress", "pocket.minilm.*", *map(str, arguments)],
        capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    return out, done


def test_the_dense_conditions_of_the_ci_tier_give_what_is_pinned(real):
    out, done = real
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[-0 if line.startswith("OK  ") else 0] for line in lines[:3]] == ["OK", "OK", "OK"]
    assert [re.search(r"pocket\S+", line)[0] for line in lines[:3]] == [
        "pocket.minilm.none",
        REAL,
        "pocket.minilm.own.rrf",
    ]
    assert "nDCG@10 0.7922" in lines[1]
    assert lines[-1].startswith("3 conditions: 3 OK")
    assert "\033" not in done.stdout
    report = json.loads((out / "report.json").read_text())
    assert [c["verdict"][:2] for c in report["conditions"]] == ["OK"] * 3
    assert ET.parse(out / "report.xml").getroot().get("failures") == "0"


def test_conditions_share_an_index_and_leave_runs_with_manifests(real):
    out, _ = real
    assert len([p for p in (out / "runs" / "indexes").iterdir() if p.is_dir()]) == 1
    manifest = json.loads((out / "runs" / f"{REAL}.trec.manifest.json").read_text())
    assert (manifest["topics"], manifest["fusion"]) == ("pocket/test", "mean")


def test_a_run_that_is_right_and_complete_is_reused_and_a_cut_one_is_made_again(real, command, monkeypatch):
    out, _ = real
    monkeypatch.chdir(ROOT)
    run = out / "runs" / f"{REAL}.trec"
    before = run.read_bytes()
    again = command("regress", REAL, "--output", out / "runs")
    assert (again.code, "run reused" in again.out) == (0, True)
    run.write_bytes(before[: len(before) // 2])
    again = command("regress", REAL, "--output", out / "runs")
    assert (again.code, "run reused" in again.out) == (0, False)
    assert run.read_bytes() == before


def test_anyone_compares_a_run_with_the_reference_run(real, command):
    out, _ = real
    result = command(
        "compare", REFERENCE / f"{REAL}.trec.gz", out / "runs" / f"{REAL}.trec", "--qrels", "pocket", "--format", "json"
    )
    assert result.code == 0, result.err
    assert all(abs(c["difference"]) < 0.0005 for c in json.loads(result.out)["comparisons"])


def test_a_condition_whose_figures_are_pinned_is_ok(command, folder):
    add(folder)
    result = command("regress", REAL)
    assert result.code == 0, result.out + result.err
    assert result.out.startswith("OK   ")


@pytest.mark.parametrize("metric", ["nDCG@10", "R@100"])
@pytest.mark.parametrize("place", [0, 2, 3, 4, 5])
def test_one_other_digit_in_a_pinned_value_fails_and_file_metric_and_both_values_are_named(
    command, folder, metric, place
):
    digits = {"nDCG@10": "0.7922", "R@100": "0.9980"}[metric]
    other = digits[:place] + ("1" if digits[place] == "0" else "0") + digits[place + 1 :]
    value = min(float(other), 1.0)
    add(folder, metrics={metric: {"value": value, "tolerance": 0.0005}})
    result = command("regress", REAL)
    assert result.code == 1
    assert result.out.startswith("FAIL ")
    assert f"regressions/{REAL}.yaml: {metric}: pinned {value:.4f}, but the reference run runs/reference/{REAL}.trec.gz gives {digits}" in result.out  # fmt: skip


def test_a_better_figure_fails_as_a_worse_one_does(command, folder):
    add(folder, "pocket.minilm.better", metrics={"nDCG@10": {"value": 0.7900, "tolerance": 0.0005}})
    add(folder, "pocket.minilm.worse", metrics={"nDCG@10": {"value": 0.7930, "tolerance": 0.0005}})
    result = command("regress", "--tier", "ci")
    assert result.code == 1
    assert "regressions/pocket.minilm.better.yaml: nDCG@10: pinned 0.7900, measured 0.7922 (+0.0022, tolerance 0.0005)" in result.out  # fmt: skip
    assert "regressions/pocket.minilm.worse.yaml: nDCG@10: pinned 0.7930, measured 0.7922 (-0.0008, tolerance 0.0005)" in result.out  # fmt: skip


def test_a_difference_up_to_the_tolerance_is_said_to_be_one(command, folder):
    add(folder, "pocket.minilm.near", metrics={"nDCG@10": {"value": 0.7925, "tolerance": 0.0005}})
    result = command("regress", "pocket.minilm.near")
    assert result.code == 0
    assert result.out.startswith("OK within tolerance")
    assert "nDCG@10 0.7922 (-0.0003)" in result.out


def test_one_other_line_in_a_reference_run_fails_and_file_metric_and_both_values_are_named(command, folder):
    import gzip

    path = folder / "runs" / "reference" / f"{REAL}.trec.gz"
    lines = gzip.decompress(path.read_bytes()).decode().splitlines(keepends=True)
    lines[0] = lines[0].replace(lines[0].split()[2], "no-such-document")
    path.write_bytes(gzip.compress("".join(lines).encode()))
    add(folder)
    result = command("regress", REAL)
    assert result.code == 1
    assert f"regressions/{REAL}.yaml: the reference run runs/reference/{REAL}.trec.gz was changed" in result.out
    assert re.search(r"nDCG@10 was 0\.7922\d+ and is 0\.7\d+", result.out)


def test_whatever_goes_wrong_is_named_and_the_rest_still_runs(command, folder):
    """The bad input of the issue, all at once."""
    add(folder)
    add(folder, "pocket.bad.key", edit=lambda text: text.replace("metrics:", "metrcs:"))
    add(folder, "pocket.bad.metric", edit=lambda text: text.replace("nDCG@10", "nDGC@10"))
    add(folder, "pocket.bad.syntax", edit=lambda text: text + "\n: [")
    add(folder, "pocket.stage.fails", commands={"search": 'python -c "raise SystemExit(3)" $run'})
    add(folder, "pocket.stage.silent", commands={"evaluate": 'python -c "" $run'})
    add(folder, "pocket.stage.writes-nothing", commands={"search": 'python -c "" $run'})
    add(folder, "pocket.stage.absent", commands={"search": "no-such-program $run"})
    add(folder, "pocket.topics.count", topics={"count": 73})
    add(folder, "pocket.topics.hash", topics={"sha256": "0" * 16})
    add(folder, "pocket.qrels.count", qrels={"judgements": 988})
    add(folder, "pocket.metric.lost", metrics={"MAP": {"value": 0.5}})
    add(folder, "pocket.metric.open", metrics={"nDCG@10": {"value": None}})
    add(folder, "pocket.needs.models", needs=["models"])
    result = command("regress", "--tier", "ci", "--json", "report.json")
    assert result.code == 1
    found = {c["name"]: c for c in json.loads((folder / "report.json").read_text())["conditions"]}
    assert len(found) == 14
    expected = {
        "pocket.bad.key": "unknown key 'metrcs'; did you mean 'metrics'?",
        "pocket.bad.metric": "unknown metric 'nDGC@10': did you mean 'nDCG@10'?",
        "pocket.bad.syntax": "not YAML",
        "pocket.stage.fails": "stage search: exit code 3: it printed nothing",
        "pocket.stage.silent": "stage evaluate: printed nothing",
        "pocket.stage.writes-nothing": "stage search: wrote no runs/pocket.stage.writes-nothing.trec",
        "pocket.stage.absent": "stage search: no-such-program: cannot be run",
        "pocket.topics.count": "topics of pocket: pinned 73, found 72",
        "pocket.topics.hash": "topics' hash of pocket: pinned 0000000000000000, found ",
        "pocket.qrels.count": "qrels of pocket: pinned 988, found 987",
        "pocket.metric.lost": "MAP: pinned, but stage evaluate prints no such score",
        "pocket.metric.open": "nDCG@10: no value pinned, measured 0.7922",
    }
    for name, reason in expected.items():
        assert found[name]["verdict"] == "FAIL", name
        assert len(found[name]["reasons"]) == 1
        assert found[name]["reasons"][0].startswith(f"regressions/{name}.yaml")
        assert reason in found[name]["reasons"][0]
    assert found["pocket.needs.models"]["verdict"] == "SKIP"
    assert found["pocket.needs.models"]["reasons"][0].startswith("needs models: ")
    assert found[REAL]["verdict"] == "OK"
    assert "14 conditions: 1 OK, 12 FAIL, 1 SKIP" in result.out


def test_a_run_with_a_document_twice_is_a_failure_that_names_the_line(command, folder):
    (folder / "twice.py").write_text(
        "import sys\nopen(sys.argv[1], 'w').write('animals-1 Q0 d 1 2 t\\nanimals-1 Q0 d 2 1 t\\n')"
    )
    add(folder, "pocket.run.twice", commands={
        "search": "python twice.py $run",
        "evaluate": "python -m expandr_repro.evaluate --qrels pocket --format json $run",
    })  # fmt: skip
    result = command("regress", "pocket.run.twice")
    assert result.code == 1
    assert "runs/pocket.run.twice.trec, line 2: document 'd' occurs twice for topic 'animals-1'" in result.out


def test_a_skip_alone_is_no_failure(command, folder):
    add(folder, "pocket.needs.models", needs=["models"])
    result = command("regress", "pocket.needs.models", "--junit", "report.xml")
    assert result.code == 0
    assert result.out.startswith("SKIP ")
    assert ET.parse(folder / "report.xml").getroot().get("skipped") == "1"


def test_a_group_of_collections_is_reported_as_its_macro_mean(command, folder, monkeypatch):
    """Two members with the scores 0.2 and 0.4."""
    monkeypatch.setattr("expandr_repro.regress.running.members_of", lambda _: ["a", "b"])
    monkeypatch.setattr("expandr_repro.regress.running.count", lambda _: None)
    monkeypatch.setattr("expandr_repro.regress.running.differences", lambda *_: [])
    monkeypatch.setattr("expandr_repro.regress.reuse.key", lambda *_: "key")
    (folder / "member.py").write_text(
        "import json, sys; print(json.dumps([{'MAP': {'a': 0.2, 'b': 0.4}[sys.argv[1]]}]))"
    )
    add(
        folder,
        "cqadupstack.minilm.none",
        commands={
            "search": f"python unpack.py runs/reference/{REAL}.trec.gz $run",
            "evaluate": "python member.py $member $run",
        },
        collection={"name": "cqadupstack", "sha256": None},
        topics={"name": "cqadupstack", "sha256": None},
        qrels={"name": "cqadupstack"},
        metrics={"MAP": {"value": 0.3}, "nDCG@10": {"value": 0.3}},
        edit=lambda text: text.replace("  nDCG@10:\n    value: 0.3\n", "").replace("  R@100:\n    value: 0.998\n    tolerance: 0.0005\n", ""),
    )  # fmt: skip
    result = command("regress", "cqadupstack.minilm.none")
    assert result.code == 0, result.out
    assert "MAP 0.3000" in result.out
    assert sorted(p.name for p in (folder / "runs" / "cqadupstack.minilm.none").glob("*.trec")) == ["a.trec", "b.trec"]


def test_nothing_is_recorded_without_being_asked_for(command, folder):
    path = add(folder, metrics={"nDCG@10": {"value": 0.5, "tolerance": 0.0005}})
    before = path.read_bytes(), {p: p.read_bytes() for p in (folder / "runs" / "reference").iterdir()}
    assert command("regress", REAL).code == 1
    assert before == (path.read_bytes(), {p: p.read_bytes() for p in (folder / "runs" / "reference").iterdir()})


def test_a_recorded_condition_is_ok_from_then_on(command, folder):
    """A new condition is one YAML file: counts, and metrics without values; `--record` does the rest."""
    from expandr_repro.regress.conditions.reading import load

    path = add(
        folder,
        "pocket.minilm.new",
        metrics={"nDCG@10": {"value": None, "tolerance": 0.0005}, "R@100": {"value": 0.1}},
        topics={"sha256": None},
        qrels={"sha256": None},
    )
    assert command("regress", "pocket.minilm.new").code == 1
    recorded = command("regress", "pocket.minilm.new", "--record")
    assert recorded.code == 0
    assert recorded.out.startswith("RECORDED ")
    read = load(path)
    assert (read.metrics["nDCG@10"].value, read.metrics["R@100"].value, read.topics.count) == (0.7922, 0.998, 72)
    assert read.recorded.versions["torch"]
    assert (folder / "runs" / "reference" / "pocket.minilm.new.trec.gz").is_file()
    result = command("regress", "pocket.minilm.new")
    assert result.code == 0
    assert result.out.startswith("OK  ")
    once = path.read_bytes()
    assert command("regress", "pocket.minilm.new", "--record").code == 0
    assert path.read_bytes() == once


@pytest.mark.parametrize(
    ("part", "typed", "says"),
    [
        ("qrels", {"judgements": 986}, "qrels of pocket: pinned 986, found 987"),
        ("topics", {"count": 71}, "topics of pocket: pinned 71, found 72"),
        ("collection", {"documents": 720}, "documents of pocket: pinned 720, found 719"),
        ("expansions", {"count": 70}, "pinned 70, found 72"),
        ("collection", {"sha256": "0" * 16}, "pinned 0000000000000000, found "),
        ("qrels", {"sha256": "0" * 16}, "pinned 0000000000000000, found "),
    ],
)
def test_a_count_or_hash_typed_by_hand_that_is_wrong_is_an_error_and_not_replaced(command, folder, part, typed, says):
    path = add(folder, "pocket.minilm.new", metrics={"nDCG@10": {"value": None}}, **{part: typed})
    before = path.read_bytes()
    result = command("regress", "pocket.minilm.new", "--record")
    assert result.code == 1
    assert f"{says}" in result.out
    assert "nothing is recorded" in result.out
    assert path.read_bytes() == before
    assert not (folder / "runs" / "reference" / "pocket.minilm.new.trec.gz").exists()


def test_recording_writes_what_it_names_and_leaves_all_else(command, folder):
    from expandr_repro.regress.conditions.reading import load

    path = add(folder, "pocket.minilm.new", metrics={"nDCG@10": {"value": None}}, qrels={"sha256": None}, note="mine")
    before = load(path)
    assert command("regress", "pocket.minilm.new", "--record").code == 0
    after = load(path)
    for part in ("title", "tier", "collection", "topics", "expansions", "stages", "note", "published", "needs"):
        assert getattr(after, part) == getattr(before, part)
    assert (before.qrels.sha256, len(after.qrels.sha256)) == (None, 16)


def test_relevant_documents_that_were_exchanged_are_found_and_the_qrels_are_blamed(command, folder):
    """Two topics exchange a relevant document: as many judgments as before, and other scores."""
    from expandr_repro.io.paths import resource

    shutil.copytree(resource("pocket"), folder / "mine")
    qrels = folder / "mine" / "qrels" / "test.tsv"
    header, *lines = qrels.read_text().splitlines(keepends=True)
    one = next(i for i, line in enumerate(lines) if line.split()[2] != "0")
    other = next(
        i for i, line in enumerate(lines) if line.split()[0] != lines[one].split()[0] and line.split()[2] != "0"
    )
    for a, b in ((one, other), (other, one)):
        qid, _, grade = lines[a].split()
        lines.append(f"{qid}\t{lines[b].split()[1]}\t{grade}\n")
    kept = [line for i, line in enumerate(lines) if i not in (one, other)]
    add(folder, qrels={"name": str(folder / "mine")})
    assert command("regress", REAL).code == 0
    qrels.write_text(header + "".join(kept))
    result = command("regress", REAL)
    assert result.code == 1
    assert "relevance judgments' hash of" in result.out
    assert "reference run" not in result.out


def test_a_metric_that_is_not_measured_is_not_recorded(command, folder):
    path = add(folder, "pocket.minilm.new", metrics={"MAP": {"value": None}})
    before = path.read_bytes()
    result = command("regress", "pocket.minilm.new", "--record")
    assert result.code == 1
    assert "MAP: stage evaluate prints no such score; nothing is recorded" in result.out
    assert path.read_bytes() == before


def test_a_condition_can_be_given_as_a_file(command, folder):
    path = add(folder, "pocket.minilm.mine")
    moved = path.rename(folder / path.name)
    assert command("regress", moved).code == 0


def test_a_dry_run_prints_every_command_of_the_manual_tier_and_runs_none(command, monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    result = command("regress", "--tier", "manual", "--dry-run", "--output", tmp_path / "out")
    assert result.code == 0
    assert result.out.count("SKIP  ") == 57
    assert result.out.count("needs network: offline by choice") == 57
    assert f"python -m expandr_repro.search --topics nq --index beir-v1.0.0-nq.contriever --encoder contriever --fusion none --output {tmp_path}/out/nq.contriever.none.trec" in result.out  # fmt: skip
    assert result.out.count("--index beir-v1.0.0-cqadupstack-") == 12 * 3
    assert result.out.count("--adapter chengpingan/ExpandR_LLM") == 14 + 12
    assert not re.search(r"\$(index|run|member|expansions)", result.out)
    assert list(tmp_path.iterdir()) == []


def test_show_prints_commands_that_a_shell_takes(command, monkeypatch):
    monkeypatch.chdir(ROOT)
    result = command("regress", REAL, "--show")
    assert result.code == 0
    assert "must give nDCG@10 0.7922 (tolerance 0.0005)" in result.out
    *_, run, index, search, evaluate = result.out.rstrip().splitlines()
    assert run == f"run=runs/{REAL}.trec"
    assert search == "python -m expandr_repro.search --topics pocket --index $index --fusion mean --output $run"
    assert "--output $index" in index
    assert evaluate.endswith("--format json $run")


def test_list_names_every_condition_with_its_tier_and_pins(command, monkeypatch):
    monkeypatch.chdir(ROOT)
    result = command("regress", "--list")
    assert result.code == 0
    assert len(result.out.splitlines()) == 1 + len(list((ROOT / "regressions").glob("*.yaml")))
    assert re.search(rf"{REAL}\s+ci\s+-\s+nDCG@10 0\.7922, R@100 0\.9980", result.out)
    assert re.search(r"scifact\.expandr\.expandr-llm\s+manual\s+network,gpu\s+not pinned", result.out)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "which conditions? give names or --tier"),
        (["pocket.minilm.nnoe"], "unknown regression 'pocket.minilm.nnoe': did you mean 'pocket.minilm.none'?"),
        (["pocket.*", "--tier", "manual"], "--tier manual: pocket.* has no condition of it"),
        (["--tier", "ci", "--regressions", "no-such-folder"], "no-such-folder: no such folder; run in a checkout"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(command, monkeypatch, arguments, says):
    monkeypatch.chdir(ROOT)
    result = command("regress", *arguments)
    assert result.code == 2
    assert says in result.error


@pytest.mark.jvm
def test_a_bm25_condition_of_the_ci_tier_gives_what_is_pinned(command, monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    result = command("regress", "pocket.bm25.none", "--output", tmp_path / "runs")
    assert result.code == 0, result.out + result.err
    assert result.out.startswith("OK  ")
    assert "nDCG@10 0.3993" in result.out
