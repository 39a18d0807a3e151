"""Pack the results of the scripts in examples/loop and examples/methods for runs/, and read them again.

    python examples/loop/kept.py results runs/loop/llm

What the target has from earlier runs stays, but for the steps of the same name. A packed folder has up to two files.
steps.jsonl.gz: for each step its name, command, seconds and GPU-free facts: of a search the scores of each topic, of texts their words, the share that was cut, the tokens read and written, and their similarity to the gold passages, of pairs the words of what was chosen and
rejected. Folders of the machine are written as `work/` and by file name. metrics.jsonl.gz: what each training logged, with its name.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import statistics
from pathlib import Path
from typing import Any

NAME, METRICS = "steps.jsonl.gz", "metrics.jsonl.gz"
COUNTS = {"tokens_in": "tokens in", "tokens_out": "tokens out", "relevant": "relevant passages in prompts"}
"""What is kept of the summary that `expand` prints."""


def rows(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the steps that are recorded in a folder, packed or not, by name; the last one of a name."""
    packed, plain = folder / NAME, folder / "steps.jsonl"
    return {row["name"]: row for row in lines(packed if packed.exists() else plain)}


def lines(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a file of JSON lines, gzipped if it is named so; none where there is no file."""
    content = path.read_bytes() if path.exists() else b""
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    return [json.loads(line) for line in text.splitlines()]


def facts(path: Path) -> dict[str, float]:
    """Return the number of a file's texts, their mean words and the share that the limit of tokens cut."""
    texts = [e for line in lines(path) for e in line.get("expansions", [])]
    if not texts:
        return {}
    words = statistics.fmean(len(e["text"].split()) for e in texts)
    return {
        "count": len(texts),
        "words": round(words, 1),
        "cut": round(statistics.fmean(e.get("finish") == "length" for e in texts), 3),
    }


def pair_words(path: Path) -> dict[str, float]:
    """Return the number of a file's pairs, and the mean words of what was chosen and rejected."""
    pairs = lines(path)
    means = {side: statistics.fmean(len(pair[side].split()) for pair in pairs) for side in ("chosen", "rejected")}
    return {"count": len(pairs), **{side: round(words, 1) for side, words in means.items()}}


def metrics(results: Path) -> list[dict[str, Any]]:
    """Return what each training logged."""
    return [
        {"training": path.name.removeprefix("metrics.").removesuffix(".jsonl.gz"), **line}
        for path in sorted(results.glob("metrics.*.jsonl.gz"))
        for line in lines(path)
    ]


def printed(row: dict[str, Any], label: str) -> int | None:
    """Return a number that a command printed."""
    match = re.search(rf"^{label}\s+(?:[\d,]+, of )?([\d,]+)(?: topics)?$", row.get("out", ""), flags=re.M)
    return int(match[1].replace(",", "")) if match else None


def packed(results: Path) -> list[dict[str, Any]]:
    """Return the steps as they are kept: without outputs, errors and folders of the machine."""
    kept = []
    for row in rows(results).values():
        if row.get("code"):
            continue
        words = [re.sub(r"^(/.*|w|mw)/(?=[^/]+$)", "work/", word) for word in row["command"].split(" ")]
        new = {"name": row["name"], "command": " ".join(words), "seconds": row["seconds"]}
        if "scores" in row:
            new["scores"] = {m: {q: round(v, 4) for q, v in each.items()} for m, each in row["scores"].items()}
        if row["name"].startswith("texts."):
            source = results / f"{row['name']}.jsonl.gz"
            counts = {key: printed(row, label) for key, label in COUNTS.items()}
            new["texts"] = (facts(source) if source.exists() else {}) | {
                k: v for k, v in counts.items() if v is not None
            }
        if row["name"].startswith("gold."):
            means = {line[""]: line["mean"] for line in json.loads(row["out"])["distribution"]}
            new["similarity"] = round(means["similarity to gold"], 4)
        if row["name"].startswith("pairs.") and (source := results / f"{row['name']}.jsonl.gz").exists():
            new["pairs"] = pair_words(source)
        kept.append(new)
    return kept


def main() -> int:
    """Pack."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("results", type=Path)
    made.add_argument("target", type=Path)
    args = made.parse_args()
    args.target.mkdir(parents=True, exist_ok=True)
    new = {row["name"]: row for row in packed(args.results)}
    kept = sorted((rows(args.target) | new).values(), key=lambda row: str(row["name"]))
    logged, log = metrics(args.results), args.target / METRICS
    trained = {line["training"] for line in logged}
    earlier = [line for line in lines(log) if line["training"] not in trained]
    for name, objects in ((NAME, kept), (METRICS, sorted(earlier + logged, key=lambda line: str(line["training"])))):
        if not objects:
            continue
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in objects)
        (args.target / name).write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f"{len(kept)} steps, {(args.target / NAME).stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
