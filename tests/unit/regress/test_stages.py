from __future__ import annotations

import sys
from pathlib import Path

import pytest

from expandr_repro.errors import CheckFailedError, SetupError
from expandr_repro.regress.conditions.reading import conditions
from expandr_repro.regress.stages import Places, argv_of, figures_of, run_stage, substituted, typed

ROOT = Path(__file__).parents[3]
RUN = {"run": "runs/a b;c.trec"}


def test_a_variable_stays_one_argument_whatever_is_in_it():
    assert argv_of("tool --output $run", RUN) == ["tool", "--output", "runs/a b;c.trec"]


def test_python_is_the_python_that_runs():
    assert argv_of("python -m this", {})[0] == sys.executable
    assert typed(argv_of("python -m this", {})) == "python -m this"


def test_no_shell_sees_a_command(tmp_path):
    said = run_stage("search", argv_of("echo a;b $run > x | `y`", RUN), tmp_path / "log")
    assert said == "a;b runs/a b;c.trec > x | `y`\n"


def test_an_index_of_the_runner_may_be_replaced():
    assert argv_of("python -m expandr_repro.encode --output $index", {"index": "i"})[-1] == "--overwrite"


def test_a_variable_of_the_environment_that_is_not_set_is_named(monkeypatch):
    monkeypatch.delenv("EXPANDR_DATA", raising=False)
    with pytest.raises(SetupError, match=r"\$EXPANDR_DATA has no value: set it"):
        substituted("$EXPANDR_DATA/x", {})
    monkeypatch.setenv("member", "not the runner's")
    with pytest.raises(SetupError, match="only a group of collections has members"):
        substituted("$member", {})


def test_a_failing_command_is_told_in_one_line_and_kept_whole_in_a_log(tmp_path):
    program = "import sys; print('note: x', file=sys.stderr); sys.exit('error: no such index')"
    with pytest.raises(CheckFailedError) as caught:
        run_stage("search", [sys.executable, "-c", program], tmp_path / "a.log")
    assert str(caught.value) == f"stage search: exit code 1: error: no such index (all of it: {tmp_path / 'a.log'})"
    assert "note: x\nerror: no such index" in (tmp_path / "a.log").read_text()


def test_a_command_that_is_not_there_is_named(tmp_path):
    with pytest.raises(CheckFailedError, match="stage index: no-such-tool: cannot be run"):
        run_stage("index", ["no-such-tool"], tmp_path / "log")


def test_the_figures_are_those_that_evaluate_prints():
    assert figures_of('[{"run": "a", "topics": 3, "missing": 1, "MAP": 0.5, "P@5": 0}]') == {"MAP": 0.5, "P@5": 0.0}


@pytest.mark.parametrize(
    "printed", ["", " \n", "run MAP\na 0.5", "[]", '[{"MAP": 1}, {"MAP": 1}]', "[3]", "3", "{}", "null"]
)
def test_what_is_no_figures_of_one_run_is_refused(printed):
    with pytest.raises(CheckFailedError, match="stage evaluate: printed"):
        figures_of(printed)


def test_conditions_that_share_an_index_command_share_the_index_and_others_do_not():
    known = {c.name: c for c in conditions(ROOT / "regressions")}

    def index(name: str, member: str = "") -> Path:
        return Places.of(known[name], known[name].regression, Path("runs"), member).index

    assert index("scifact.minilm.none") == index("scifact.minilm.q2d-claude") == index("scifact-train.minilm.none")
    assert len({index("scifact.minilm.none"), index("scifact.bm25.none"), index("cacm.minilm.none")}) == 3
    group = "cqadupstack.expandr.expandr-llm"
    assert index(group, "cqadupstack-gis") != index(group, "cqadupstack-tex")
