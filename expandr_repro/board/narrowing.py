"""Cut a report of one collection and retriever down to its baseline and one other run, with everything else left as it is."""

from __future__ import annotations

from typing import Any

from expandr_repro.report.gathering import DOCUMENTS, TOPICS, Sheet


def narrowed(sheet: Sheet, run: int) -> Sheet:
    """Return the sheet of the baseline and one run; p stays corrected for all runs of the whole.

    Args:
        sheet: of one study.
        run: the place of the run among its runs; 0 for the baseline, which is shown against the next one.
    """
    study, collection = sheet.data["studies"][0], sheet.data["collections"][0]
    kept = [0, run or 1]
    depth, least = sheet.data["depth"], collection["relevant_from"]
    numbers: dict[int, int] = {}
    topics = []
    for documents, grades, ranks in _joined(sheet, "s0"):
        seen = [i for i in range(len(documents)) if any(0 < ranks[k][i] <= depth for k in kept) or (grades[i] or 0) >= least]  # fmt: skip
        topics.append([[numbers.setdefault(documents[i], len(numbers)) for i in seen], [grades[i] for i in seen], [[ranks[k][i] for i in seen] for k in kept]])  # fmt: skip
    old = _joined(sheet, "d0")
    runs = [study["runs"][k] for k in kept]
    used = sorted({r["set"] for r in runs if r["set"] is not None})
    runs = [{**r, "set": None if r["set"] is None else used.index(r["set"])} for r in runs]
    small = Sheet({**sheet.data, "studies": [{**study, "runs": runs}], "collections": [{**collection, "sets": [collection["sets"][s] for s in used]}]})  # fmt: skip
    small.add("s0", topics, TOPICS)
    small.add("d0", [old[number] for number in numbers], DOCUMENTS)
    small.add("t0", [[texts[s] for s in used] for texts in _joined(sheet, "t0")], TOPICS)
    return small


def _joined(sheet: Sheet, name: str) -> list[Any]:
    """Return a list that is cut into pieces as a whole."""
    pieces = (p for p in sheet.pieces if p.startswith(f"{name}."))
    return [item for piece in sorted(pieces, key=lambda p: int(p.split(".")[1])) for item in sheet.pieces[piece]]
