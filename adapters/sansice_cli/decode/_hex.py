"""Hexadecimal text in the forms that people have at hand: plain, separated, and the dumps of the usual programs."""

from __future__ import annotations

import re

_OFFSET = re.compile(r"\s*(?:(?:0[xX])?([0-9A-Fa-f]{4,8})(?::[ \t]*|[ \t]{2,}|[ \t]*$)|([0-9A-Fa-f]{6,8}) )")  # od has one space
_DUMP_GROUP = re.compile(r"( *)((?:[0-9A-Fa-f]{2})+)(?![^ \t|])")
_DECORATION = re.compile(r"0[xX]|\\x|b(?=['\"])|[\s,:;'\"{}\[\]()-]")
_NOT_HEX = re.compile(r"[^0-9A-Fa-f]")
_ROW = 16  # bytes in a row of a dump, and
_HALF = 8  # where some programs leave a wider gap


def read_hex(text: str) -> bytes:
    r"""The bytes of hexadecimal text.

    Digits in pairs; between the pairs white space, colons, commas, ``0x``, ``\x``, brackets and quotes may stand. Or a
    dump with offsets and perhaps characters beside, as ``xxd``, ``hexdump -C``, ``tcpdump -X`` and Wireshark print it.

    Raises:
        ValueError: it is neither; the text says where.
    """
    rows = [line for line in text.splitlines() if line.strip() and line.strip() != "*"]
    dump = _read_dump(rows)
    if dump is not None:
        return dump
    found: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        bare = _DECORATION.sub("", line)
        strange = _NOT_HEX.search(bare)
        if strange:
            raise ValueError(f"line {number}: {strange[0]!a} is no hexadecimal digit")
        found.append(bare)
    digits = "".join(found)
    if len(digits) % 2:
        raise ValueError(f"{len(digits)} hexadecimal digits: one is missing or too many")
    return bytes.fromhex(digits)


def _read_dump(rows: list[str]) -> bytes | None:
    """The bytes of a dump; ``None`` where the rows do not begin with their offsets."""
    data = bytearray()
    for row in rows:
        match = _OFFSET.match(row)
        if match is None or int(match[1] or match[2], 16) != len(data):
            return None
        data += _row(row[match.end() :])
    return bytes(data) or None


def _row(text: str) -> bytes:
    """The bytes of a row, without the characters beside them: those follow a wide gap, or a bar."""
    found = b""
    position = 0
    while len(found) < _ROW and (match := _DUMP_GROUP.match(text, position)):
        gap = len(match[1])
        if found and (gap > 2 or (gap == 2 and len(found) != _HALF)):
            break
        found += bytes.fromhex(match[2])
        position = match.end()
    return found
