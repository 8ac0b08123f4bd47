"""Text that came from the network or from a file, made fit for a terminal."""

from __future__ import annotations

_SHORT = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def printable(text: str) -> str:
    r"""The text with everything that a terminal would act on, or hide, written as an escape.

    Control codes, invisible and right-to-left marks and unassigned characters become ``\x1b`` or ``\u202e``; a backslash
    is doubled, so that no one can forge an escape.
    """
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(_SHORT.get(one) or (one if one.isprintable() else _escaped(ord(one))) for one in text)


def _escaped(code: int) -> str:
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def count(number: int, noun: str) -> str:
    """A number with its noun: ``1 byte``, ``2 bytes``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
