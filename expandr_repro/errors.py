"""The tree of all errors that a user can meet.

    ExpandrError              exit code 2
    ├── FormatError           a file's content is not what it should be (names file and line)
    ├── UnknownNameError      a name that nothing has (offers the nearest)
    ├── NotFiniteError        a vector with NaN or infinity in it (names the text, says the way out)
    ├── MismatchError         two things that do not belong together (says what differs)
    ├── NotAvailableError     data, weights or an index that is not on this machine (says how to get it)
    ├── SetupError            the machine lacks something: Java, a library, a writable folder
    ├── DivergedError         a training whose loss is not a number any more; nothing of it is worth going on from
    └── CheckFailedError      a score moved or a check did not hold; exit code 1

A message is one line: what was found, what was wanted, how to fix it.
"""

from __future__ import annotations

import difflib
import errno
import re
import reprlib
from collections.abc import Iterable, Iterator
from pathlib import Path

LONGEST = 1000
"""Characters of a problem that are shown: a line of megabytes helps nobody."""


class _Short(reprlib.Repr):
    """`repr` of what a file held, which may be nested without end, megabytes long, or a number too large to be written."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxlong = self.maxother = 100

    def repr_int(self, x: int, level: int) -> str:
        """Shorten numbers of thousands of digits, which Python refuses to write."""
        return super().repr_int(x, level) if x.bit_length() < 10_000 else f"a number of {x.bit_length()} bits"


_SHORT = _Short()


def shown(value: object) -> str:
    """Return a value as an error shows it: as `repr` would, but short."""
    return _SHORT.repr(value)


class ExpandrError(Exception):
    """Base of all errors that this package raises on purpose."""

    exit_code = 2


class FormatError(ExpandrError):
    """A file's content is not what it should be.

    Args:
        path: the file.
        line: the line, from 1; None where the fault is not of one line.
        problem: what was found, what was wanted and how to fix it, as one line.
    """

    def __init__(self, path: str | Path, line: int | None, problem: str) -> None:
        self.path, self.line = str(path), line
        problem = " ".join(problem.splitlines())  # a key that it names may hold some
        self.problem = problem if len(problem) <= LONGEST else f"{problem[:LONGEST]}..."
        super().__init__(f"{path}{'' if line is None else f', line {line}'}: {self.problem}")


class UnknownNameError(ExpandrError):
    """A name that nothing has.

    Args:
        kind: what the name should be of ("encoder", "metric").
        name: the name as given.
        known: the valid names.
        hint: a further fix.
        meant: the name that was meant, where it is not simply the nearest of the valid ones.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "", meant: str | None = None) -> None:
        names = sorted(set(known))
        close = meant or nearest(name, names)
        offer = f"did you mean {close!r}?" if close else f"known: {', '.join(names)}."
        super().__init__(f"unknown {kind} {shown(name)}: {offer}{' ' + hint if hint else ''}")


class NotFiniteError(ExpandrError):
    """A vector that contains NaN or infinity.

    Args:
        name: of the text: `document 'd1'`.
        row: its place among the vectors that were looked at.
        advice: the way out.
    """

    def __init__(self, name: str, row: int, advice: str) -> None:
        self.row, self.advice = row, advice
        super().__init__(f"{name}: its vector contains NaN or infinity, and cannot be ranked; {advice}")


class MismatchError(ExpandrError):
    """Two things that do not belong together."""


class NotAvailableError(ExpandrError):
    """Something known by name that is not on this machine and could not be fetched."""


class SetupError(ExpandrError):
    """The machine lacks something."""


class DivergedError(ExpandrError):
    """A training whose loss is not a number any more: going on from its checkpoints would end the same way."""


class CheckFailedError(ExpandrError):
    """A check did not hold."""

    exit_code = 1


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name most like `name`, or None if none is near."""
    by_lower = {k.lower(): k for k in known}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


WRITE_FAULT = re.compile(r"\(os error \d+\)|iostream error|inline_container|PytorchStreamWriter")
"""What the libraries written in Rust (tokenizers, safetensors) and C++ (torch) say of a file that they could not write; none raises OSError."""


def write_fault(error: BaseException) -> str | None:
    """Return what an error of any library says of a full or failing disk, on one line; None where it speaks of something else."""
    for seen in _with_causes(error):
        if WRITE_FAULT.search(str(seen)) or (isinstance(seen, OSError) and seen.errno in (errno.ENOSPC, errno.EDQUOT)):
            return f"writing failed ({' '.join(str(seen).split())[:200]})"
    return None


MEMORY_FAULT = re.compile(
    r"can't allocate memory|bad_alloc|bad allocation|failed to map segment|[Ff]ailed to allocate memory|[Oo]ut of memory|Cannot allocate memory|can't start new thread|could not create a (?:primitive|memory)"
)
"""What torch, oneDNN, ONNX Runtime, Faiss and Python say where memory, or room for a thread's, cannot be had; none raises MemoryError."""


def is_memory_fault(error: BaseException) -> bool:
    """Return whether an error of any library means that there is not enough memory."""
    return any(isinstance(seen, MemoryError) or bool(MEMORY_FAULT.search(str(seen))) for seen in _with_causes(error))


def reason_of(error: BaseException, most: int = 200) -> str:
    """Return the first line of what an error of another library says, cut to a length; its kind where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:most]


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, and those it came from."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


PACKAGES = {
    "faiss": "faiss-cpu", "yaml": "pyyaml", "jnius": "pyjnius", "vllm": "expandr-repro[vllm]", "ray": "expandr-repro[ray]", "pyarrow": "expandr-repro[parquet]",
    **dict.fromkeys(("trl", "peft", "accelerate", "datasets", "sentence_transformers"), "expandr-repro[train]"),
}  # fmt: skip
"""What to install for a module, where that is called otherwise."""


def missing_library(error: BaseException) -> str | None:
    """Return which library is not installed, or does not load, and what to install, on one line; None where the error speaks of something else."""
    if not isinstance(error, ImportError):
        return None
    message = " ".join(str(error).split())
    name = (error.name or "").partition(".")[0] or ("torch" if "PyTorch library" in message else "")
    if not name or name == "expandr_repro":
        return None
    package = PACKAGES.get(name, name.replace("_", "-"))
    if isinstance(error, ModuleNotFoundError) or "PyTorch library" in message:
        return f"this needs {name}, which is not installed; run `pip install {package}`"
    return f"{name} is installed and does not load ({message[:200]}); `pip install --force-reinstall {package}` may help, `doctor` says more"


def unforeseen(error: BaseException) -> str:
    """Describe an error that nobody foresaw, of this package or a library: its kind, its message, and the last line of this package it came through."""
    import traceback

    frames = [f for f in traceback.extract_tb(error.__traceback__) if "expandr_repro" in Path(f.filename).parts]
    where = f" in {Path(frames[-1].filename).stem}.py, line {frames[-1].lineno}" if frames else ""
    return f"unforeseen {type(error).__name__}{where}: {' '.join(str(error).split())[:LONGEST] or 'no message'}"
