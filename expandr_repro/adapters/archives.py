"""Archives that other toolkits fetch and unpack: none of their members may leave the folder they are unpacked into."""

from __future__ import annotations

import tarfile


def guard_archives() -> None:
    """Let every tar archive of this process be unpacked as data: no member outside its folder, no link out of it, no device.

    Python does so by itself from 3.14 on; zip files always are.
    """
    if hasattr(tarfile, "data_filter"):  # the first patch releases of Python 3.11 have none
        tarfile.TarFile.extraction_filter = staticmethod(tarfile.data_filter)
