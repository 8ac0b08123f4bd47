"""What is printed of payloads: rows of bytes with their meaning, or JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sansice_cli._text import count

from ._anatomy import Anatomy, Field
from ._input import Payload

_ROW = 16  # bytes
MAX_ROWS = 8  # of one field; JSON has all of it
INTEGRITY = ("MESSAGE-INTEGRITY", "MESSAGE-INTEGRITY-SHA256")
_WIDTH = 35  # of a row: four groups of eight digits


def rows(payload: Payload, anatomy: Anatomy, since: float) -> Iterator[tuple[str, bool]]:
    """Lines for a person, each with whether it tells of a problem.

    Args:
        payload: what came.
        anatomy: of it.
        since: when the capture began, Unix seconds.
    """
    if payload.transport:
        yield f"{_where(payload, since)}", False
    yield anatomy.title + _summary(anatomy), False
    for field in anatomy.header:
        yield from _rows(field)
    for one in anatomy.attributes:
        for part in (one.tag, one.value, one.padding):
            if part is not None and (part.raw or part.text or part.problem):
                yield from _rows(part)
    if anatomy.rest is not None:
        yield from _rows(anatomy.rest)
    for problem in filter(None, (anatomy.problem and f"a receiver drops it: {anatomy.problem}", payload.problem)):
        yield f"  ! {problem}", True


def _where(payload: Payload, since: float) -> str:
    packet = payload.packet
    number = f"packet {packet.number}" if packet else "end of the capture"
    time = f", {packet.time - since:.6f} s" if packet and packet.time is not None else ""
    return f"{number}{time}, {payload.transport} {payload.source} -> {payload.destination}"


def _summary(anatomy: Anatomy) -> str:
    if not anatomy.is_stun or anatomy.problem:
        return ""
    words = [f"integrity {verdict}"] if (verdict := anatomy.verdict(*INTEGRITY)) else ["no integrity"]
    words.append(f"fingerprint {verdict}" if (verdict := anatomy.verdict("FINGERPRINT")) else "no fingerprint")
    return ": " + ", ".join(words)


def _rows(field: Field) -> Iterator[tuple[str, bool]]:
    shown = field.raw[: _ROW * MAX_ROWS]
    text = f"! {field.problem}" if field.problem else field.text
    if field.problem and field.text:
        text = f"{field.text} {text}"
    for start in range(0, max(1, len(shown)), _ROW):
        digits = shown[start : start + _ROW].hex(" ", -4)
        yield f"  {field.offset + start:04x}  {digits:{_WIDTH}}  {text}".rstrip(), bool(text and field.problem)
        text = ""
    if len(shown) < len(field.raw):
        yield f"        and {count(len(field.raw) - len(shown), 'byte')} more", False


def to_json(payload: Payload, anatomy: Anatomy, since: float) -> dict[str, Any]:
    """The same for programs."""
    found: dict[str, Any] = {}
    if payload.transport:
        packet = payload.packet
        found["packet"] = packet.number if packet else None
        found["time_s"] = round(packet.time - since, 6) if packet and packet.time is not None else None
        found |= {"transport": payload.transport, "source": str(payload.source), "destination": str(payload.destination)}
    found |= {"protocol": anatomy.protocol or None, "title": anatomy.title, "length": len(payload.data)}
    found |= {"ok": anatomy.is_good and not payload.problem, "error": payload.problem or anatomy.problem or None}
    found["header"] = [_field(field) for field in anatomy.header]
    if anatomy.is_stun:
        found["transaction_id"] = payload.data[8:20].hex()
        found["integrity"] = anatomy.verdict(*INTEGRITY)
        found["fingerprint"] = anatomy.verdict("FINGERPRINT")
        found["attributes"] = [
            {"code": one.code, "name": one.name, "protected": one.is_protected, **_field(one.value)} for one in anatomy.attributes
        ]
    if anatomy.rest is not None:
        found["rest"] = _field(anatomy.rest)
    return found


def _field(field: Field) -> dict[str, Any]:
    return {"offset": field.offset, "hex": field.raw.hex(), "meaning": field.text, "error": field.problem or None}
