"""Check archives that other toolkits unpack: no member may leave the folder."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager

from expandr_repro.io.patching import patched


@contextmanager
def guarded_archives() -> Iterator[None]:
    """Restrict the unpacking of tar archives to data: no member outside its folder, no link out of it, no device.

    Python does so by itself from 3.14 on; zip files always are.
    """
    known = hasattr(tarfile, "data_filter")  # the first patch releases of Python 3.11 have none
    with patched([(tarfile.TarFile, "extraction_filter", staticmethod(tarfile.data_filter))] if known else []):
        yield
