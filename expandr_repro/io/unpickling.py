"""Read the data in pickles of other toolkits, and refuse everything else before it can run.

Nothing of ours is a pickle. Pyserini's encoded queries and ir_datasets' document stores are, and a pickle may call any function. The readers
here build arrays, tables and records, and know no other names.
"""

from __future__ import annotations

import io
import pickle
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from expandr_repro.errors import FormatError
from expandr_repro.io.patching import patched

MOVED = {
    ("pandas.core.internals.blocks", "new_block"): ("pandas._libs.internals", "_unpickle_block"),
    ("pandas.core.indexes.numeric", "Int64Index"): ("pandas.core.indexes.base", "Index"),
}
"""Where older pandas wrote what newer pandas has elsewhere."""

TABLES = {
    "builtins": {"slice", "bytearray"},
    "__builtin__": {"slice", "bytearray"},
    "_codecs": {"encode"},
    "numpy": {"dtype", "ndarray"},
    "numpy.core.multiarray": {"_reconstruct", "scalar"},
    "numpy._core.multiarray": {"_reconstruct", "scalar"},
    "numpy.core.numeric": {"_frombuffer"},
    "numpy._core.numeric": {"_frombuffer"},
    "pandas": {"DataFrame", "Index", "RangeIndex", "StringDtype"},
    "pandas.arrays": {"ArrowStringArray", "StringArray"},
    "pandas._libs.arrays": {"__pyx_unpickle_NDArrayBacked"},
    "pandas._libs.internals": {"_unpickle_block"},
    "pandas.core.arrays.string_": {"StringArray", "StringDtype"},
    "pandas.core.arrays.string_arrow": {"ArrowStringArray"},
    "pandas.core.frame": {"DataFrame"},
    "pandas.core.indexes.base": {"Index", "_new_Index"},
    "pandas.core.indexes.range": {"RangeIndex"},
    "pandas.core.internals.managers": {"BlockManager"},
    "pyarrow.lib": {"_restore_array", "py_buffer", "type_for_alias"},
}
"""Module -> what a data frame of texts and vectors is made of, as pandas 1 to 3 and numpy 1 and 2 write it."""

RECORDS = {"collections": {"OrderedDict"}, "datetime": {"date", "datetime", "timedelta", "timezone"}}
"""The same for a record of ir_datasets, besides its own named tuples."""


class _Tables(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Return one of the few things a data frame is made of."""
        module, name = MOVED.get((module, name), (module, name))
        if name not in TABLES.get(module, ()):
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return super().find_class(module, name)


class _Records(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Return one of the few things a record is made of."""
        own = module.startswith("ir_datasets.") and "." not in name
        if not own and name not in RECORDS.get(module, ()):
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        cls = super().find_class(module, name)
        if own and not (isinstance(cls, type) and issubclass(cls, tuple) and cls.__module__ == module):
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is not a record")
        return cls


def read_table(path: str | Path) -> Any:
    """Return the data frame that a file holds, in place of `pandas.read_pickle`.

    Raises:
        FormatError: the file contains something else, or names what a data frame has no use for.
    """
    with Path(path).open("rb") as file:
        try:
            return _Tables(file).load()
        except Exception as error:  # a damaged pickle raises whatever the half-made object raises
            raise FormatError(
                path,
                None,
                f"no data frame of texts and vectors ({error}); a pickle may run code, so nothing else is read",
            ) from error


@contextmanager
def guarded_tables() -> Iterator[None]:
    """Restrict pandas, and with it Pyserini, to reading data frames from pickles."""
    import pandas as pd

    with patched([(pd, "read_pickle", read_table)]):
        yield


@contextmanager
def guarded_records() -> Iterator[None]:
    """Restrict ir_datasets to reading records from its document stores."""
    from ir_datasets.indices import indexed_tsv_docstore, lz4_pickle, zpickle_docstore

    guarded = types.SimpleNamespace(loads=lambda content: _Records(io.BytesIO(content)).load(), dumps=pickle.dumps)
    with patched([(module, "pickle", guarded) for module in (indexed_tsv_docstore, lz4_pickle, zpickle_docstore)]):
        yield
