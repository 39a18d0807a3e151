"""Run examples/quickstart.ipynb in a kernel and keep its outputs without times, paths and progress; `--check` compares, and writes nothing."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / "examples" / "quickstart.ipynb"


def executed(path: Path, timeout: int = 600) -> Any:
    """Return a notebook with the outputs that it gives here, without what differs from one machine or call to the next.

    Raises:
        CellExecutionError: a cell fails.
    """
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    client = NotebookClient(notebook, timeout=timeout, kernel_name="python3", record_timing=False)
    client.execute(cwd=str(ROOT))
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.metadata = {}
            cell.outputs = [cleaned(output) for output in cell.outputs if is_kept(output)]
    notebook.metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "language_info": {"name": "python"},
    }
    return notebook


def is_kept(output: Any) -> bool:
    """Say whether an output is a result; progress and notes on standard error are none."""
    bar = "application/vnd.jupyter.widget-view+json" in output.get("data", {})
    return not bar and output.get("name") != "stderr"


def cleaned(output: Any) -> Any:
    """Leave out the page of a report, which is larger than all the rest."""
    data = output.get("data", {})
    if "<iframe srcdoc" in data.get("text/html", ""):
        data["text/html"] = "<p>The report, as a frame; run the notebook to see it.</p>"
    return output


def outputs_of(notebook: Any) -> list[Any]:
    """Return the outputs of each cell of code."""
    return [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]


def main() -> int:
    """Write or check the outputs."""
    import nbformat

    arguments = argparse.ArgumentParser(description="Run the quickstart notebook and keep its outputs.")
    arguments.add_argument("--check", action="store_true", help="write nothing; exit code 1 where the outputs differ")
    check = arguments.parse_args().check
    made = executed(NOTEBOOK)
    if not check:
        NOTEBOOK.write_text(nbformat.writes(made) + "\n", encoding="utf-8")
        return 0
    same = outputs_of(made) == outputs_of(nbformat.read(NOTEBOOK, as_version=4))
    if not same:
        print("the outputs in the notebook are others; run `python scripts/run_notebook.py`")
    return int(not same)


if __name__ == "__main__":
    sys.exit(main())
