"""Write `resources/pyserini-tables.json.gz` from the source of a Pyserini that has its tables in it (2.3.0 is the last).

pip download --no-deps --no-binary :all: pyserini==2.3.0 && tar xzf pyserini-2.3.0.tar.gz
python scripts/pyserini_tables.py pyserini-2.3.0/pyserini 2.3.0
"""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

from expandr_repro.io.files import atomic_text
from expandr_repro.pyserini import tables

KEPT = ("description", "filename", "urls", "md5", "size", "documents", "texts", "total_terms", "unique_terms")
OTHERS = {"compressed_size": "size", "size compressed (bytes)": "size", "corpus_index": "texts"}


def main() -> None:
    """Read the tables and write them in the form of Pyserini 2.4's own files."""
    root, version = Path(sys.argv[1]), sys.argv[2]
    indexes = {}
    entries: dict[str, dict[str, object]] = {}
    for name, value in tables._source(root, "prebuilt_index_info.py").values.items():
        if isinstance(value, ast.Dict) and "_INDEX_INFO_" in name and not name.endswith("_ALIASES"):
            found = dict(tables._literal(value, root, entries))
            entries |= found
            indexes[name] = {
                key: {OTHERS.get(k, k): v for k, v in entry.items() if OTHERS.get(k, k) in KEPT}
                for key, entry in found.items()
            }
    content = {"version": version, "indexes": indexes}
    for kind in ("topics", "qrels"):
        content[kind] = sorted(tables._evaluation(kind, root, fetch=False).entries)
    target = tables.resource("pyserini-tables.json.gz")
    with atomic_text(target) as file:
        json.dump(content, file, sort_keys=True, separators=(",", ":"))
    print(
        f"{target}: {target.stat().st_size:,} bytes, {sum(map(len, indexes.values()))} indexes,",
        {k: len(content[k]) for k in ("topics", "qrels")},
    )


if __name__ == "__main__":
    main()
