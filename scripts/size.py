"""Print how large the package is: modules and lines by folder, lines that are code, and the largest modules.

    python scripts/size.py            # of this checkout
    python scripts/size.py FOLDER     # of another

A line of code holds a token that is no comment and no docstring.
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from collections import Counter
from pathlib import Path

LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def code_lines(text: str) -> int:
    """Count the lines of a module that hold code."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    lines = {n for t in tokens if t.type not in LAYOUT for n in range(t.start[0], t.end[0] + 1)}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)


def main() -> None:
    """Print the table."""
    root = Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).resolve().parent.parent / "expandr_repro"
    modules, lines, code = Counter[str](), Counter[str](), Counter[str]()
    sizes: dict[str, int] = {}
    for path in sorted(root.rglob("*.py")):
        text, name = path.read_text(encoding="utf-8"), path.relative_to(root)
        sizes[str(name)] = text.count("\n")
        for folder in (str(name.parent), "all"):
            modules[folder] += 1
            lines[folder] += text.count("\n")
            code[folder] += code_lines(text)
    print(f"{'folder':<32} modules  lines   code")
    for folder in [*sorted(set(modules) - {"all"}), "all"]:
        print(f"{folder:<32} {modules[folder]:>7} {lines[folder]:>6} {code[folder]:>6}")
    print("\nlargest: " + ", ".join(f"{name} {n}" for name, n in Counter(sizes).most_common(8)))


if __name__ == "__main__":
    main()
