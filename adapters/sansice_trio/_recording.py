"""What ``record=`` means: a file that the machine's life is written to."""

from __future__ import annotations

import os
from typing import TypeAlias

from sansice import LocalProtocolError
from sansice.driver import NoRecorder, Recorder
from sansice.sockets import private_file

RecordTo: TypeAlias = str | os.PathLike[str] | Recorder | None
"""A file's name; or a recorder of the caller's, `sansice.simulation.RecordingFile` with limits of its own; or nothing."""


_NOBODY = NoRecorder()


def open_recorder(record: RecordTo) -> Recorder:
    """The recorder of a machine that is about to be made. Whoever asks closes it.

    Raises:
        OSError: the file cannot be opened.
        LocalProtocolError: ``record`` is something else.
    """
    if record is None:
        return _NOBODY
    if isinstance(record, (str, os.PathLike)):
        from sansice.simulation import RecordingFile  # the laboratory is loaded only where something is recorded

        return RecordingFile(private_file(record))
    if not hasattr(record, "make"):
        raise LocalProtocolError(f"record: a file's name, or a RecordingFile, not {record!r}")
    return record
