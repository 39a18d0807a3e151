"""Read the small files of a model folder: paths that stay inside it, and JSON of the expected form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from expandr_repro.errors import FormatError, shown
from expandr_repro.io.files import MAX_TEXT, read_text


def inside_of(folder: Path, name: str, source: str | Path) -> Path:
    """Return a path within a folder.

    Args:
        folder: which may not be left.
        name: of a file or folder in it, from whoever made it.
        source: what says the name, for the error.

    Raises:
        FormatError: the name leads out of the folder.
    """
    if "\0" in name or Path(name).is_absolute() or ".." in Path(name).parts:
        raise FormatError(source, None, f"{name[:80]!r} leads out of the folder; wanted a name below it")
    return folder / name


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        FormatError: it is not JSON.
    """
    try:
        return json.loads(read_text(path, MAX_TEXT))
    except (ValueError, RecursionError) as error:
        raise FormatError(path, None, f"not JSON ({error})") from error


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file, empty where there is no file.

    Raises:
        FormatError: it is not a JSON object.
    """
    if not path.is_file():
        return {}
    content = read_json(path)
    if not isinstance(content, dict):
        raise FormatError(path, None, f"found {shown(content)}, wanted a JSON object")
    return content
