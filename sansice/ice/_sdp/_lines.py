"""The lines of a session description, and what is common to reading them (RFC 8866 5)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

# A conference of a hundred streams with all of its codecs is a third of this; a megabyte is not a description.
MAX_LENGTH = 1_000_000  # characters
# Each section is an object; the largest conferences of the field have some two hundred.
MAX_SECTIONS = 1024
# An ICE attribute with two names of 253 characters and its extensions has a quarter of this. Errors quote them.
MAX_ATTRIBUTE = 4096  # characters

_LINE = re.compile(r"[A-Za-z]=")


class Line(NamedTuple):
    """A line as it came, without its end, and where it stood, from 1."""

    number: int
    text: str

    @property
    def type(self) -> str:
        """The letter before the equals sign."""
        return self.text[0]

    @property
    def value(self) -> str:
        """What follows the equals sign."""
        return self.text[2:]

    @property
    def attribute(self) -> str:
        """The name of an attribute, in lower case (RFC 8840 9.2); "" for lines that are none."""
        return self.text[2:].partition(":")[0].strip().lower() if self.text[0] in "aA" else ""

    @property
    def attribute_value(self) -> str:
        """What follows the colon of an attribute; "" where there is none."""
        return self.text.partition(":")[2].strip()


def read_lines(text: str) -> list[Line]:
    """The lines of a text that ends them with CRLF or LF; empty ones are left out.

    Raises:
        ValueError: too long, or a line that is none; the text names it.
    """
    if len(text) > MAX_LENGTH:
        raise ValueError(f"session description: {len(text)} characters, more than {MAX_LENGTH}")
    lines = [Line(number, line) for number, line in enumerate(_cut(text), start=1) if line]
    for line in lines:
        if not _LINE.match(line.text):
            raise ValueError(f"line {line.number}: {line.text[:40]!r} does not begin with a letter and '='")
        for name, character in (("carriage return", "\r"), ("NUL", "\0")):
            if character in line.text:
                raise ValueError(f"line {line.number}: a {name} inside of it")
    return lines


def _cut(text: str) -> Iterator[str]:
    # Not splitlines(): it also cuts at characters that may stand in a session's name.
    for line in text.split("\n"):
        yield line.removesuffix("\r")


@contextmanager
def naming(line: Line) -> Iterator[None]:
    """Errors of what is read inside say in which line it stands."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"line {line.number}: {error}") from None


def read_number(name: str, text: str, most: int) -> int:
    """A decimal number of ASCII digits, or a ValueError that names the field."""
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and int(text) <= most):
        raise ValueError(f"{name}: {text[:40]!r} is not a number of 0..{most}")
    return int(text)


def write_lines(lines: tuple[str, ...] | list[str]) -> str:
    """Lines as text, each ended by CRLF."""
    return "".join(f"{line}\r\n" for line in lines)
