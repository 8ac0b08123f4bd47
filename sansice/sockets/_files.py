"""Files that only the user may read."""

from __future__ import annotations

import os
from typing import BinaryIO


def private_file(name: str | os.PathLike[str]) -> BinaryIO:
    """Open a file for writing, unbuffered, and empty it; a new one is readable and writable by the user alone.

    Raises:
        OSError: it cannot be opened.
    """
    return open(name, "wb", buffering=0, opener=_open_privately)


def _open_privately(name: str, flags: int) -> int:
    return os.open(name, flags | getattr(os, "O_CLOEXEC", 0), 0o600)
