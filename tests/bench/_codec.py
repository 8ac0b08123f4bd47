"""The STUN codec against aioice's, in one run; and hostile input against honest messages of the same length."""

from __future__ import annotations

import itertools
import os
import struct
import zlib
from collections.abc import Callable
from importlib.metadata import version

import aioice.stun

from bench._timing import Metric, calibrate, compare_calls, cpu_seconds
from sansice.machine import DecodeError
from sansice.stun import (
    DATA,
    ICE_CONTROLLING,
    PRIORITY,
    UNKNOWN_ATTRIBUTES,
    USERNAME,
    Attribute,
    MessageClass,
    Method,
    Template,
    decode_untrusted,
    encode,
    shapes,
    short_term_key,
)

PASSWORD = "VOkJxbRl1RmTxUk/WvJxBt"
KEY = short_term_key(PASSWORD)
NAME = "evtjKq3p:h6vYZt7w"  # two ufrags of eight characters
TIEBREAKER = 0x932FF9B151263B36
LENGTHS = (20, 24, 100, 284, 548, 1200, 9000, 65552)  # bytes; from a header to the largest multiple of four
VARIETY = 1024  # transaction ids and priorities to go round


def run(rounds: int | None = None) -> dict[str, Metric]:
    """`build`, `stamp` and `parse_verify` in microseconds a message; `hostile`: the worst input that we could think of."""
    peer_name = f"aioice {version('aioice')}"
    ours, peer = _build_ours(), _build_peer()
    assert ours() == peer(), "both sides build the same bytes"
    data = ours()
    return {
        "build": compare_calls(ours, peer, peer_name=peer_name, rounds=rounds),
        "stamp": compare_calls(_stamp_ours(), _build_peer(), peer_name=peer_name, rounds=rounds),
        "parse_verify": compare_calls(_parse_ours(data), _parse_peer(data), peer_name=peer_name, rounds=rounds),
        "hostile": _hostile(rounds),
    }


# ------------------------------------------------------------------- against aioice


def _variety() -> tuple[Callable[[], bytes], Callable[[], int]]:
    """Another transaction id and another PRIORITY at every call, drawn beforehand, the same for both sides."""
    ids = itertools.cycle([struct.pack("!QI", 8489 * number, number) for number in range(VARIETY)])
    priorities = itertools.cycle([0x6E7F00FF + 256 * number for number in range(VARIETY)])
    return ids.__next__, priorities.__next__


def _build_ours() -> Callable[[], bytes]:
    next_id, next_priority = _variety()

    def build() -> bytes:
        attributes = [(USERNAME, NAME), (PRIORITY, next_priority()), (ICE_CONTROLLING, TIEBREAKER)]
        return encode(Method.BINDING, MessageClass.REQUEST, next_id(), attributes, key=KEY, fingerprint=True)

    return build


def _build_peer() -> Callable[[], bytes]:
    next_id, next_priority = _variety()
    key = PASSWORD.encode()

    def build() -> bytes:
        attributes = {"USERNAME": NAME, "PRIORITY": next_priority(), "ICE-CONTROLLING": TIEBREAKER}
        message = aioice.stun.Message(aioice.stun.Method.BINDING, aioice.stun.Class.REQUEST, next_id(), attributes)
        message.add_message_integrity(key)
        return bytes(message)

    return build


def _stamp_ours() -> Callable[[], bytes]:
    next_id, _ = _variety()
    attributes = [(USERNAME, NAME), (PRIORITY, 0x6E7F00FF), (ICE_CONTROLLING, TIEBREAKER)]
    stamp = Template(Method.BINDING, MessageClass.REQUEST, attributes, key=KEY, fingerprint=True).stamp
    return lambda: stamp(next_id())


def _parse_ours(data: bytes) -> Callable[[], object]:
    def parse() -> object:
        message = decode_untrusted(data, require_fingerprint=True)
        if not message.verify(KEY):
            raise AssertionError("the message is authentic")
        return message.get(PRIORITY), message.get(USERNAME)

    parse()
    return parse


def _parse_peer(data: bytes) -> Callable[[], object]:
    key = PASSWORD.encode()

    def parse() -> object:
        message = aioice.stun.parse_message(data)
        if not message.check_message_integrity(key):
            raise AssertionError("the message is authentic")
        return message.attributes["PRIORITY"], message.attributes["USERNAME"]

    parse()
    return parse


# ------------------------------------------------------------------- hostile input


def _hostile(rounds: int | None) -> Metric:
    """The input that costs most, against an honest message of its length; both are used as an agent would."""
    cases = [(name, data) for length in LENGTHS for name, data in _attacks(length)]

    def ratio(case: tuple[str, bytes]) -> float:
        data, honest = case[1], _honest(len(case[1]))
        number = calibrate(lambda: _use(data), seconds=0.002)
        return cpu_seconds(lambda: _use(data), number) / cpu_seconds(lambda: _use(honest), number)

    worst, data = max(cases, key=ratio)
    honest = _honest(len(data))
    peer_name = f"an honest message of {len(data)} bytes; worst of {len(cases)}: {worst}"
    return compare_calls(lambda: _use(data), lambda: _use(honest), peer_name=peer_name, rounds=rounds)


def _use(data: bytes) -> None:
    """What an agent does with a message, twice over where that is cheap to provoke."""
    try:
        message = decode_untrusted(data)
        message.verify(KEY)
        message.unknown_required()
        for attribute in (USERNAME, PRIORITY, UNKNOWN_ATTRIBUTES, USERNAME, PRIORITY, UNKNOWN_ATTRIBUTES):
            message.get(attribute)
    except DecodeError:
        pass


def _honest(size: int) -> bytes:
    """An authenticated check of this many bytes, to the multiple of four; a bare message where a check does not fit."""
    size -= size % 4
    attributes = [(USERNAME, NAME), (PRIORITY, 0x6E7F00FF), (ICE_CONTROLLING, TIEBREAKER)]
    rest = size - len(encode(Method.BINDING, MessageClass.REQUEST, bytes(12), attributes, key=KEY, fingerprint=True))
    if rest < 4:
        return encode(Method.BINDING, MessageClass.REQUEST, bytes(12), [(DATA, bytes(size - 24))] if size >= 24 else [])
    attributes.insert(0, (DATA, bytes(rest - 4)))
    data = encode(Method.BINDING, MessageClass.REQUEST, bytes(12), attributes, key=KEY, fingerprint=True)
    assert len(data) == size
    return data


def _attacks(size: int) -> list[tuple[str, bytes]]:
    """Datagrams of about this size that are made to be expensive."""
    body = size - 20
    unknown = b"".join(struct.pack("!HH", 0x7000 + number % 0xFFF, 0) for number in range(body // 4))
    attacks = [
        ("random bytes", os.urandom(size)),
        ("empty attributes, all alike", _frame(struct.pack("!HH", 0x25, 0) * (body // 4))),
        ("empty attributes, all unknown", _frame(unknown)),
        ("empty attributes, then an overrun", _frame(unknown[:-2] + b"\xff\xff")),
        ("as many attributes as are decoded", _frame(unknown[: 4 * 63] + _filler(body - 4 * 63))),
        ("the same, authenticated", _sealed(unknown[: 4 * 61], body)),
        ("a list of types", _frame(struct.pack("!HH", 0x0A, max(body - 4, 0)) + bytes(max(body - 4, 0)))),
        ("a name that is none", _frame(struct.pack("!HH", 0x06, max(body - 4, 0)) + b"\xff" * max(body - 4, 0))),
        ("integrity at the end, wrong", _frame(_filler(body - 24) + struct.pack("!HH20x", 0x08, 20))),
        ("integrity of both kinds, wrong", _frame(_filler(body - 60) + struct.pack("!HH20xHH32x", 0x08, 20, 0x1C, 32))),
        ("a wrong fingerprint", _frame(_filler(body - 8) + struct.pack("!HHI", 0x8028, 4, 0))),
        ("a wrong length", _frame(bytes(body))[:-1]),
    ]
    return [(f"{name}, {len(data)} bytes", data) for name, data in attacks if 20 <= len(data) <= 65552]


def _frame(body: bytes) -> bytes:
    return struct.pack("!HHI12x", 0x0001, len(body), 0x2112A442) + body


def _filler(size: int) -> bytes:
    """One attribute that takes this many bytes, or nothing."""
    return struct.pack("!HH", 0x13, size - 4) + bytes(size - 4) if size >= 4 else b""


def _sealed(attributes: bytes, size: int) -> bytes:
    """Authentic and fingerprinted: what a peer can do that has the password and means harm."""
    count = min(len(attributes) // 4, max(size - 32, 0) // 4)
    padding = [(DATA, bytes(size - 32 - 4 * count - 4))] if size - 32 - 4 * count >= 4 else []
    unknown = [(Attribute(0x7000 + number, "?", shapes.FLAG), None) for number in range(count)]
    data = encode(Method.BINDING, MessageClass.REQUEST, bytes(12), [*unknown, *padding], key=KEY, fingerprint=True)
    assert zlib.crc32(data[:-8]) ^ 0x5354554E == int.from_bytes(data[-4:], "big")
    return data
