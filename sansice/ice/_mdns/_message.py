"""Messages of multicast DNS: as much of them as concerns the addresses of names under ``.local`` (RFC 1035 4, RFC 6762 18)."""

from __future__ import annotations

import ipaddress
import re
import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sansice.machine import DecodeError, DropReason

A, AAAA, NSEC, ANY = 1, 28, 47, 255  # RFC 1035 3.2.2, RFC 3596 2.1, RFC 4034 4; RFC 1035 3.2.3

MAX_MESSAGE = 9000  # RFC 6762 17, with the IP and UDP headers, which are not worth subtracting
MAX_ENTRIES = 256  # questions and records of a message; what a whole household of printers answers has some dozens
MAX_POINTERS = 16  # in one name: who compresses well needs one or two, and each costs who reads it time
_MAX_NAME, _MAX_LABEL = 255, 63  # RFC 1035 2.3.4

_HEADER = struct.Struct("!6H")
_QUESTION = struct.Struct("!2H")
_RECORD = struct.Struct("!2HIH")
_RESPONSE, _AUTHORITATIVE, _TRUNCATED = 0x8000, 0x0400, 0x0200
_OPCODE_AND_RCODE = 0x780F
_IN, _ANY_CLASS = 1, 255
_TOP_BIT = 0x8000  # of the class: "cache flush" in a record, "answer by unicast" in a question (RFC 6762 10.2, 5.4)
_POINTER = 0xC0
_LABEL = re.compile(rb"[0-9a-z_-]{1,63}")
_DOMAIN = b"local"
_SIZES = {A: 4, AAAA: 16}
_BITMAPS = {A: b"\0\1\x40", AAAA: b"\0\4\0\0\0\x08"}  # RFC 4034 4.1.2: window 0, its length, the bit of the one type


class Question(NamedTuple):
    """Which addresses a name has: ``type`` is `A`, `AAAA`, `NSEC` or `ANY`.

    Attributes:
        name: in lower case, ``something.local``.
        type: of record.
        unicast: whether the answer may come by unicast (RFC 6762 5.4).
    """

    name: str
    type: int
    unicast: bool = False


class HostRecord(NamedTuple):
    """An address of a name.

    Attributes:
        name: in lower case, ``something.local``.
        host: an IPv4 or IPv6 literal without a zone.
        ttl: seconds; 0 says goodbye (RFC 6762 10.1).
        flush: whether there are no others of this family (RFC 6762 10.2).
    """

    name: str
    host: str
    ttl: int
    flush: bool = True

    @property
    def type(self) -> int:
        """`A` or `AAAA`."""
        return type_of(self.host)


def type_of(host: str) -> int:
    """The type of record that holds a literal: `A` or `AAAA`."""
    return AAAA if ":" in host else A


class _Entry(NamedTuple):
    """Where a question or a record is. A question has no data."""

    at: int
    type: int
    kind: int
    ttl: int = 0
    start: int = 0
    end: int = 0


# ------------------------------------------------------------------- reading


class MdnsMessage:
    """A message whose frame has been checked; what it says is read when it is asked for.

    Attributes:
        id: 0 but from and to programs that know only unicast DNS (RFC 6762 18.1).
        is_response: or else it is a query.
        asks: whether it has any questions.
        is_truncated: of a query: more known answers follow in other messages (RFC 6762 7.2).
    """

    __slots__ = ("_additional", "_answers", "_data", "_questions", "asks", "id", "is_response", "is_truncated")

    def __init__(self, data: bytes, id: int, flags: int, entries: tuple[list[_Entry], list[_Entry], list[_Entry]]) -> None:
        self._data = data
        self._questions, self._answers, self._additional = entries
        self.id: int = id
        self.asks: bool = bool(self._questions)
        self.is_response: bool = bool(flags & _RESPONSE)
        self.is_truncated: bool = bool(flags & _TRUNCATED)

    def questions_untrusted(self) -> list[Question]:
        """What it asks, as far as it is about addresses under ``.local``.

        Raises:
            DecodeError: a malformed name.
        """
        found: list[Question] = []
        for at, type, kind, *_ in self._questions:
            if type in (A, AAAA, NSEC, ANY) and kind & ~_TOP_BIT in (_IN, _ANY_CLASS):
                name = _name_untrusted(self._data, at)
                if name is not None:
                    found.append(Question(name, type, bool(kind & _TOP_BIT)))
        return found

    def answers_untrusted(self) -> list[HostRecord]:
        """The addresses that it tells: in a query, those that the asker knows already (RFC 6762 7.1).

        Raises:
            DecodeError: a malformed name, or an address of the wrong length.
        """
        return self._hosts_untrusted(self._answers)

    def hosts_untrusted(self) -> list[HostRecord]:
        """The same with those that were not asked for (RFC 6762 6): all that a response tells.

        Raises:
            DecodeError: as `answers_untrusted`.
        """
        return self._hosts_untrusted([*self._answers, *self._additional])

    def _hosts_untrusted(self, entries: Iterable[_Entry]) -> list[HostRecord]:
        found: list[HostRecord] = []
        for at, type, kind, ttl, start, end in entries:
            size = _SIZES.get(type)
            if size is None or kind & ~_TOP_BIT != _IN:
                continue
            if end - start != size:
                raise DecodeError(DropReason.NOT_MDNS, f"an address of {end - start} bytes")
            name = _name_untrusted(self._data, at)
            if name is not None:
                host = str(ipaddress.ip_address(self._data[start:end]))
                found.append(HostRecord(name, host, ttl & 0x7FFFFFFF, bool(kind & _TOP_BIT)))  # RFC 2181 8
        return found


def decode_untrusted(data: bytes) -> MdnsMessage:
    """Check the frame of a message, and note where everything is.

    Raises:
        DecodeError: it is none, too long, or of a kind that is ignored (RFC 6762 18.3, 18.11).
    """
    if len(data) < _HEADER.size:
        raise DecodeError(DropReason.TOO_SHORT, f"{len(data)} bytes of DNS")
    if len(data) > MAX_MESSAGE:
        raise DecodeError(DropReason.NOT_MDNS, f"{len(data)} bytes")
    id, flags, *counts = _HEADER.unpack_from(data)
    if flags & _OPCODE_AND_RCODE:
        raise DecodeError(DropReason.NOT_MDNS, f"opcode or response code in {flags:#06x}")
    if sum(counts) > MAX_ENTRIES:
        raise DecodeError(DropReason.LIMIT, f"{sum(counts)} questions and records")
    questions, at = _questions_untrusted(data, _HEADER.size, counts[0])
    answers, at = _records_untrusted(data, at, counts[1])
    _, at = _records_untrusted(data, at, counts[2])  # what a probe would claim (RFC 6762 8.2)
    additional, _ = _records_untrusted(data, at, counts[3])
    return MdnsMessage(data, id, flags, (questions, answers, additional))


def _questions_untrusted(data: bytes, at: int, count: int) -> tuple[list[_Entry], int]:
    found: list[_Entry] = []
    for _ in range(count):
        after = _skip_name_untrusted(data, at)
        end = after + _QUESTION.size
        if end > len(data):
            raise DecodeError(DropReason.TOO_SHORT, "a question is cut off")
        found.append(_Entry(at, *_QUESTION.unpack_from(data, after)))
        at = end
    return found, at


def _records_untrusted(data: bytes, at: int, count: int) -> tuple[list[_Entry], int]:
    found: list[_Entry] = []
    for _ in range(count):
        after = _skip_name_untrusted(data, at)
        start = after + _RECORD.size
        if start > len(data):
            raise DecodeError(DropReason.TOO_SHORT, "a record is cut off")
        type, kind, ttl, length = _RECORD.unpack_from(data, after)
        end = start + length
        if end > len(data):
            raise DecodeError(DropReason.BAD_LENGTH, f"a record of {length} bytes is cut off")
        found.append(_Entry(at, type, kind, ttl, start, end))
        at = end
    return found, at


def _skip_name_untrusted(data: bytes, at: int) -> int:
    """Where what follows a name begins. Where a pointer leads is not looked at yet."""
    begin = at
    while at < len(data) and at - begin < _MAX_NAME:
        length = data[at]
        if length >= _POINTER:
            return at + 2
        if length > _MAX_LABEL:  # RFC 6891 5: what 01 and 10 were once for is obsolete
            raise DecodeError(DropReason.NOT_MDNS, f"a label of kind {length >> 6}")
        at += 1 + length
        if not length:
            return at
    raise DecodeError(DropReason.NOT_MDNS, "a name that does not end")


def _name_untrusted(data: bytes, at: int) -> str | None:
    """A name of two labels, the second ``local``, in lower case; ``None`` for any other.

    Raises:
        DecodeError: a pointer that leads not back, or is one too many; a name that does not end.
    """
    labels: list[bytes] = []
    limit, pointers = at, 0
    while True:
        if at >= len(data):
            raise DecodeError(DropReason.NOT_MDNS, "a name that does not end")
        length = data[at]
        if length >= _POINTER:
            target = (length & ~_POINTER) << 8 | data[at + 1] if at + 1 < len(data) else limit
            pointers += 1
            # RFC 1035 4.1.4: to a prior occurrence. Who only ever goes back comes to an end.
            if target >= limit or pointers > MAX_POINTERS:
                raise DecodeError(DropReason.NOT_MDNS, "a pointer that leads nowhere")
            at = limit = target
            continue
        if length > _MAX_LABEL:
            raise DecodeError(DropReason.NOT_MDNS, f"a label of kind {length >> 6}")
        if not length:
            break
        if len(labels) == 2:  # the name of a service, or of a network elsewhere
            return None
        labels.append(data[at + 1 : at + 1 + length].lower())
        at += 1 + length
    if len(labels) != 2 or labels[1] != _DOMAIN or not _LABEL.fullmatch(labels[0]):
        return None
    return f"{labels[0].decode()}.local"


# ------------------------------------------------------------------- writing


class _Writer:
    """Appends names, each ending shared with an earlier one where there is one (RFC 1035 4.1.4, RFC 6762 18.14)."""

    __slots__ = ("_known", "data")

    def __init__(self, id: int, flags: int, counts: tuple[int, int, int, int]) -> None:
        self.data = bytearray(_HEADER.pack(id, flags, *counts))
        self._known: dict[tuple[bytes, ...], int] = {}

    def name(self, text: str) -> None:
        labels = tuple(label.encode() for label in text.split("."))
        while labels:
            known = self._known.setdefault(labels, len(self.data))
            if known != len(self.data):
                self.data += (_POINTER << 8 | known).to_bytes(2, "big")
                return
            self.data += bytes((len(labels[0]),)) + labels[0]
            labels = labels[1:]
        self.data.append(0)

    def question(self, question: Question) -> None:
        self.name(question.name)
        self.data += _QUESTION.pack(question.type, _IN | (_TOP_BIT if question.unicast else 0))

    def host(self, record: HostRecord) -> None:
        packed = ipaddress.ip_address(record.host).packed
        self.name(record.name)
        self.data += _RECORD.pack(record.type, _kind(record), record.ttl, len(packed)) + packed

    def no_other_type(self, record: HostRecord) -> None:
        self.name(record.name)
        self.data += _RECORD.pack(NSEC, _kind(record), record.ttl, 0)
        start = len(self.data)
        self.name(record.name)
        self.data += _BITMAPS[record.type]
        self.data[start - 2 : start] = (len(self.data) - start).to_bytes(2, "big")


def _kind(record: HostRecord) -> int:
    return _IN | (_TOP_BIT if record.flush else 0)


def encode_query(questions: Sequence[Question], known: Sequence[HostRecord] = (), *, id: int = 0) -> bytes:
    """A query, with what is known already of the answer (RFC 6762 7.1)."""
    writer = _Writer(id, 0, (len(questions), len(known), 0, 0))
    for question in questions:
        writer.question(question)
    for record in known:
        writer.host(record)
    return bytes(writer.data)


def encode_response(records: Sequence[HostRecord]) -> bytes:
    """A response, as it is multicast: the records, and for each that its name has no others (RFC 6762 6.1).

    Without the latter, who asks for both families waits for the other until he gives up.
    """
    writer = _Writer(0, _RESPONSE | _AUTHORITATIVE, (0, len(records), 0, len(records)))
    for record in records:
        writer.host(record)
    for record in records:
        writer.no_other_type(record)
    return bytes(writer.data)


def encode_legacy_response(id: int, questions: Sequence[Question], records: Sequence[HostRecord]) -> bytes:
    """A response to a program that knows only unicast DNS (RFC 6762 6.7): what it asked comes first, and nothing is flushed."""
    writer = _Writer(id, _RESPONSE | _AUTHORITATIVE, (len(questions), len(records), 0, 0))
    for question in questions:
        writer.question(question._replace(unicast=False))
    for record in records:
        writer.host(record._replace(flush=False))
    return bytes(writer.data)
