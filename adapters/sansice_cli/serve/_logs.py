"""What a server says while it runs: lines of text, or of JSON, on stderr."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import TextIO

FORMATS = ("auto", "table", "text", "json")


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {key}={json.dumps(value)}" for key, value in _fields(record).items())
        return f"{_time(record)} {record.levelname.lower()} {record.getMessage()}{fields}"


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        head = {"time": _time(record), "level": record.levelname.lower(), "message": record.getMessage()}
        return json.dumps(head | _fields(record))


def _time(record: logging.LogRecord) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"


def _fields(record: logging.LogRecord) -> dict[str, object]:
    fields: dict[str, object] = getattr(record, "fields", {})
    return fields


def decided_format(form: str, stream: TextIO) -> str:
    """``auto`` as what it means for a stream: a table on a terminal, JSON elsewhere."""
    if form != "auto":
        return form
    return "table" if stream.isatty() else "json"


class Log:
    """Writes a line for each event, with its facts as fields.

    Args:
        form: ``json``; anything else is text.
        stream: where to; standard error as it is now.
        fields: facts of every line, such as which worker says it.
    """

    def __init__(self, form: str, stream: TextIO | None = None, **fields: object) -> None:
        handler = logging.StreamHandler(sys.stderr if stream is None else stream)
        handler.setFormatter(_Json() if form == "json" else _Text())
        # Not in the tree of loggers: a command has one server, and no library is to write in between.
        self._logger = logging.Logger("sansice.serve", logging.INFO)
        self._logger.addHandler(handler)
        self._always = fields

    def info(self, message: str, **fields: object) -> None:
        """As it should be."""
        self._logger.info(message, extra={"fields": fields | self._always})

    def warning(self, message: str, **fields: object) -> None:
        """Somebody should look at it; the server goes on."""
        self._logger.warning(message, extra={"fields": fields | self._always})

    def error(self, message: str, **fields: object) -> None:
        """Something that was asked for is not done any more."""
        self._logger.error(message, extra={"fields": fields | self._always})
