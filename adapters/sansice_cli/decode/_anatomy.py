"""A payload taken apart, as far as that goes."""

from __future__ import annotations

import struct
from functools import partial
from zlib import crc32

import attrs

from sansice import DecodeError
from sansice.stun import (
    COOKIE,
    FINGERPRINT,
    HEADER_LENGTH,
    MESSAGE_INTEGRITY,
    MESSAGE_INTEGRITY_SHA256,
    REALM,
    USERHASH,
    USERNAME,
    IntegrityKey,
    MessageClass,
    Method,
    Protocol,
    decode_untrusted,
    demultiplex,
    is_stun,
)
from sansice_cli._text import count, printable

from ._keys import Keys
from ._meaning import KNOWN, meaning, name_of

_COOKIE = COOKIE.to_bytes(4, "big")
_FINGERPRINT_XOR = 0x5354554E  # RFC 8489 14.7
_CLASSES = {
    MessageClass.REQUEST: "request",
    MessageClass.INDICATION: "indication",
    MessageClass.SUCCESS: "success response",
    MessageClass.ERROR: "error response",
}
_METHODS = {int(method): method.name.title().replace("_", "") for method in Method}
_PROTOCOLS = {
    Protocol.ZRTP: "ZRTP",
    Protocol.DTLS: "DTLS",
    Protocol.RTP: "RTP or RTCP",
    Protocol.TURN_CHANNEL: "TURN ChannelData",
    None: "nothing that shares a port with STUN (RFC 7983)",
}


@attrs.frozen
class Field:
    """Some bytes and what they are.

    Attributes:
        offset: in the payload.
        raw: the bytes.
        text: what they are.
        problem: what is wrong with them, "" for nothing.
    """

    offset: int
    raw: bytes
    text: str
    problem: str = ""


@attrs.frozen
class AttributeFields:
    """An attribute: the field of its type and length, of its value, and of its padding.

    Attributes:
        code, name: its type.
        is_protected: nothing that follows an integrity attribute is, but for the other one and FINGERPRINT.
        verdict: of integrity and fingerprint: ``valid``, ``wrong``, ``not checked``; of others "".
    """

    code: int
    name: str
    tag: Field
    value: Field
    padding: Field | None
    is_protected: bool = True
    verdict: str = ""


@attrs.frozen
class Anatomy:
    """A payload in its parts.

    Attributes:
        protocol: ``stun``, ``turn-channel`` or what the first byte says; "" for nothing known.
        title: what it is, in words.
        header: the fields before the attributes, or all there are.
        attributes: of a STUN message.
        rest: what follows the message and is none of it.
        problem: why a receiver drops it, "" for a message that is well formed.
    """

    protocol: str
    title: str
    header: tuple[Field, ...] = ()
    attributes: tuple[AttributeFields, ...] = ()
    rest: Field | None = None
    problem: str = ""

    @property
    def is_stun(self) -> bool:
        """Whether it is a STUN message, perhaps a bad one."""
        return self.protocol == Protocol.STUN.value

    @property
    def is_message(self) -> bool:
        """Whether it is what this command is for, good or bad."""
        return self.protocol in (Protocol.STUN.value, Protocol.TURN_CHANNEL.value)

    def verdict(self, *names: str) -> str | None:
        """The worst verdict on the attributes of these names, ``None`` where there is none."""
        found = {one.verdict for one in self.attributes if one.name in names}
        return next((verdict for verdict in ("wrong", "not checked", "valid") if verdict in found), None)

    @property
    def is_good(self) -> bool:
        """Whether nothing is wrong with it, as far as was checked."""
        parts = [*self.header, *(one.value for one in self.attributes)]
        return not self.problem and not any(field.problem for field in parts)


def take_apart(data: bytes, keys: Keys | None = None) -> Anatomy:
    """Look at a payload, without ever raising."""
    protocol = demultiplex(data[0]) if data else None
    if protocol is Protocol.STUN or is_stun(data):
        return _stun(data, keys)
    if protocol is Protocol.TURN_CHANNEL:
        return _channel_data(data)
    title = _PROTOCOLS[protocol] if data else "nothing"
    return Anatomy(protocol.value if protocol else "", f"{title}, {count(len(data), 'byte')}")


def _channel_data(data: bytes) -> Anatomy:
    """RFC 8656 12.4."""
    if len(data) < 4:
        return Anatomy("turn-channel", "ChannelData", (Field(0, data, "channel"),), problem="it ends within its header")
    channel, length = struct.unpack_from("!HH", data)
    inner = data[4 : 4 + length]
    held = demultiplex(inner[0]) if inner else None
    carries = "STUN" if is_stun(inner) else _PROTOCOLS.get(held, "") if held else ""
    fields = (
        Field(0, data[:2], f"channel {channel:#06x}"),
        Field(2, data[2:4], f"length: {count(length, 'byte')}"),
        Field(4, inner, f"data: {carries}" if carries else "data"),
    )
    missing = 4 + length - len(data)
    rest = Field(4 + length, data[4 + length :], "padding") if missing < 0 else None
    problem = f"{count(missing, 'byte')} of the data are missing" if missing > 0 else ""
    return Anatomy("turn-channel", f"ChannelData, {count(len(data), 'byte')}", fields, rest=rest, problem=problem)


def _stun(data: bytes, keys: Keys | None) -> Anatomy:
    if len(data) < HEADER_LENGTH:
        title = f"{count(len(data), 'byte')} of a STUN header"
        return Anatomy("stun", title, (Field(0, data, "a header has 20 bytes"),), problem="it ends within its header")
    kind, length = struct.unpack_from("!HH", data)
    what = _kind(kind)
    is_classic = _is_classic(data)
    title = f"STUN {what}, {count(len(data), 'byte')}{', of RFC 3489' if is_classic else ''}"
    end = min(HEADER_LENGTH + length, len(data))
    rest = Field(end, data[end:], "not part of the message, by its length") if end < len(data) else None
    attributes = _attributes(data, end, keys)
    return Anatomy("stun", title, _header(data, what, length, is_classic), attributes, rest, "" if is_classic else _refusal(data))


def _kind(kind: int) -> str:
    """The method and the class of a type (RFC 8489 5, figure 3)."""
    method = (kind & 0x3E00) >> 2 | (kind & 0x00E0) >> 1 | kind & 0x000F
    words = _CLASSES[MessageClass((kind & 0x0100) >> 7 | (kind & 0x0010) >> 4)]
    name = _METHODS.get(method)
    return f"{name} {words}" if name else f"{words} of unknown method {method:#05x}"


def _is_classic(data: bytes) -> bool:
    """Whether all is right but for the cookie, as in messages of RFC 3489, which had none."""
    return data[4:8] != _COOKIE and not _refusal(data[:4] + _COOKIE + data[8:])


def _refusal(data: bytes) -> str:
    """Why a receiver drops the message; "" where it does not."""
    try:
        decode_untrusted(data)
    except DecodeError as error:
        return printable(str(error))
    return ""


def _header(data: bytes, what: str, length: int, is_classic: bool) -> tuple[Field, ...]:
    first = (
        Field(0, data[:2], f"type: {what}"),
        Field(2, data[2:4], f"length: {count(length, 'byte')} of attributes", _wrong_length(length, len(data))),
    )
    if is_classic:
        return (*first, Field(4, data[4:20], "transaction id, of RFC 3489: there is no magic cookie"))
    problem = "" if data[4:8] == _COOKIE else f"{COOKIE:#010x} belongs here"
    return (*first, Field(4, data[4:8], "magic cookie", problem), Field(8, data[8:20], "transaction id"))


def _wrong_length(length: int, size: int) -> str:
    if length % 4:
        return "it must be a multiple of 4"
    there = size - HEADER_LENGTH
    return "" if length == there else f"{count(there, 'byte')} follow the header"


def _attributes(data: bytes, end: int, keys: Keys | None) -> tuple[AttributeFields, ...]:
    found: list[AttributeFields] = []
    offset = HEADER_LENGTH
    is_protected = True
    _tell_names(data, end, keys)
    while offset < end:
        if end - offset < 4:
            field = Field(offset, data[offset:end], "an attribute that ends within its type and length", "cut short")
            found.append(AttributeFields(0, "", Field(offset, b"", "attribute"), field, None))
            break
        one = _attribute(data, offset, end, keys, is_protected)
        found.append(one)
        offset = one.value.offset + len(one.value.raw) + (len(one.padding.raw) if one.padding else 0)
        is_protected = is_protected and one.code not in (MESSAGE_INTEGRITY.code, MESSAGE_INTEGRITY_SHA256.code)
    return tuple(found)


def _attribute(data: bytes, offset: int, end: int, keys: Keys | None, is_protected: bool) -> AttributeFields:
    code, length = struct.unpack_from("!HH", data, offset)
    start = offset + 4
    raw = data[start : min(start + length, end)]
    filling = data[start + len(raw) : min(start + length + -length % 4, end)]
    name = name_of(code)
    tag = Field(offset, data[offset:start], f"{name}, {count(length, 'byte')}")
    padding = Field(start + length, filling, "padding") if filling else None
    verdict = ""
    if len(raw) < length:
        value = Field(start, raw, "", f"only {len(raw)} of its {count(length, 'byte')} are there")
    elif code == FINGERPRINT.code:
        verdict, value = _fingerprint(data, start, raw)
    elif code in (MESSAGE_INTEGRITY.code, MESSAGE_INTEGRITY_SHA256.code):
        verdict, value = _integrity(data, start, raw, keys, is_sha256=code == MESSAGE_INTEGRITY_SHA256.code)
    else:
        value = _value(code, start, raw, data[8:20])
        if not is_protected and not value.problem:
            value = attrs.evolve(value, text=f"{value.text} (not protected: it follows the integrity)".lstrip())
    is_protected = is_protected or bool(verdict)
    return AttributeFields(code, name, tag, value, padding, is_protected, verdict)


def _value(code: int, start: int, raw: bytes, transaction_id: bytes) -> Field:
    known = KNOWN.get(code)
    if known is None:
        must = "must be understood: a receiver refuses a request with it" if code < 0x8000 else "may be ignored"
        return Field(start, raw, must)
    try:
        return Field(start, raw, meaning(known, known.unpack(raw, transaction_id)))
    except (ValueError, struct.error) as error:
        return Field(start, raw, "", f"malformed: {printable(str(error))}")


def _fingerprint(data: bytes, start: int, raw: bytes) -> tuple[str, Field]:
    right = (crc32(_covered(data, start, len(raw))) ^ _FINGERPRINT_XOR).to_bytes(4, "big")
    if raw == right:
        return "valid", Field(start, raw, "right")
    return "wrong", Field(start, raw, "", f"wrong: {right.hex()} would be right")


def _integrity(data: bytes, start: int, raw: bytes, keys: Keys | None, *, is_sha256: bool) -> tuple[str, Field]:
    if len(raw) != 20 if not is_sha256 else len(raw) % 4 or not 16 <= len(raw) <= 32:
        return "wrong", Field(start, raw, "", f"{count(len(raw), 'byte')} are not a digest")
    if keys is None:
        return "not checked", Field(start, raw, "not checked: give --password")
    covered = _covered(data, start, len(raw))
    digest = partial(IntegrityKey.sha256 if is_sha256 else IntegrityKey.sha1, message=covered)
    found = keys.find(digest, raw)
    if found is None and keys.lacks_name:
        return "not checked", Field(start, raw, "not checked: USERHASH hides the user's name: give --username")
    if found is None:
        return "wrong", Field(start, raw, "", "wrong, or of another password")
    return "valid", Field(start, raw, f"right ({found})")


def _covered(data: bytes, start: int, length: int) -> bytes:
    """What is protected: all before it, with a header that ends the message right after it (RFC 8489 14.5 to 14.7)."""
    return data[:2] + struct.pack("!H", start + length - HEADER_LENGTH) + data[4 : start - 4]


def _tell_names(data: bytes, end: int, keys: Keys | None) -> None:
    """Keys are made of the name and the realm, which may stand anywhere in the message."""
    if keys is None:
        return
    said: dict[int, str] = {}
    is_hidden = False
    offset = HEADER_LENGTH
    while offset + 4 <= end:
        code, length = struct.unpack_from("!HH", data, offset)
        is_hidden = is_hidden or code == USERHASH.code
        if code in (USERNAME.code, REALM.code):
            try:
                said.setdefault(code, data[offset + 4 : offset + 4 + length].decode())
            except ValueError:
                pass
        offset += 4 + length + -length % 4
    keys.saw(said.get(USERNAME.code), said.get(REALM.code), is_hidden=is_hidden)
