"""Where the fuzzer starts from: for each target honest inputs, from which it learns what the format looks like."""

from __future__ import annotations

import json
from pathlib import Path

from sansice import Address
from sansice.stun import (
    ERROR_CODE,
    ICE_CONTROLLED,
    NONCE,
    PASSWORD_ALGORITHMS,
    PRIORITY,
    REALM,
    SOFTWARE,
    UNKNOWN_ATTRIBUTES,
    USE_CANDIDATE,
    USERNAME,
    XOR_MAPPED_ADDRESS,
    ErrorCode,
    IntegrityAlgorithm,
    MessageClass,
    Method,
    PasswordAlgorithm,
    TransactionId,
    encode,
    frame_rfc4571,
    short_term_key,
)

from ._targets import joined

_KEY = short_term_key("password")
_AGENT_KEY = short_term_key("p" * 22)
_ID = TransactionId(bytes(range(12)))
_VECTORS = json.loads((Path(__file__).parents[1] / "stun" / "vectors.json").read_text())

_ANSWER = [(XOR_MAPPED_ADDRESS, Address("2001:db8::1", 5000)), (SOFTWARE, "x")]

_BINDING = encode(Method.BINDING, MessageClass.REQUEST, _ID)
_CHECK = encode(
    Method.BINDING,
    MessageClass.REQUEST,
    _ID,
    [(USERNAME, "ufra:peer"), (PRIORITY, 1), (ICE_CONTROLLED, 2), (USE_CANDIDATE, None)],
    key=_AGENT_KEY,
    fingerprint=True,
)
_SUCCESS = encode(
    Method.BINDING, MessageClass.SUCCESS, _ID, [(XOR_MAPPED_ADDRESS, Address("2001:db8::1", 5000)), (SOFTWARE, "x")]
)
_CHALLENGE = encode(
    Method.BINDING,
    MessageClass.ERROR,
    _ID,
    [
        (ERROR_CODE, ErrorCode(401, "Unauthenticated")),
        (REALM, "example.org"),
        (NONCE, "obMatJos2gAAAnonce"),
        (PASSWORD_ALGORITHMS, (PasswordAlgorithm(2), PasswordAlgorithm(1), PasswordAlgorithm(9, b"abc"))),
    ],
)
_REFUSAL = encode(
    Method.BINDING,
    MessageClass.ERROR,
    _ID,
    [(ERROR_CODE, ErrorCode(420, "")), (UNKNOWN_ATTRIBUTES, (1, 2, 3))],
    key=_KEY,
    algorithm=IntegrityAlgorithm.BOTH,
    fingerprint=True,
)
_CLASSIC = bytes((0, 1, 0, 8)) + bytes(range(16)) + bytes((0, 3, 0, 4, 0, 0, 0, 6))
_CHANNEL = bytes((0x40, 1, 0, 3)) + b"abc\0"
_MESSAGES = (_BINDING, _CHECK, _SUCCESS, _CHALLENGE, _REFUSAL, _CLASSIC)

SEEDS: dict[str, tuple[bytes, ...]] = {
    "message": (*_MESSAGES, *(bytes.fromhex(vector["hex"]) for vector in _VECTORS["vectors"])),
    "stream": (
        b"".join((_BINDING, _SUCCESS, _CHALLENGE)),
        b"".join((_BINDING, _CHANNEL, _REFUSAL, _CHANNEL)),
        b"".join(frame_rfc4571(one) for one in _MESSAGES),
    ),
    "uri": tuple(
        text.encode()
        for text in (
            "stun:example.org",
            "stuns:example.org:5349",
            "turn:192.0.2.1:3478?transport=udp",
            "turns:[2001:db8::1]:5349?transport=TCP",
            "TURN:a%2Db.example:1?transport=x-y",
        )
    ),
    "description": tuple(
        text.encode()
        for text in (
            "candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host",
            "a=candidate:2 1 UDP 1694498815 203.0.113.5 6000 typ srflx raddr 10.0.0.1 rport 5000 generation 0",
            "candidate:3 1 tcp 1 2001:db8::1 9 typ host tcptype active",
            "candidate:4 1 udp 1 a.local 9 typ host",
            "a=ice-ufrag:abcd\r\na=ice-pwd:" + "p" * 22 + "\r\na=ice-options:ice2 trickle\r\na=ice-pacing:50\r\na=ice-lite\r\n",
            json.dumps(
                {
                    "ufrag": "abcd",
                    "pwd": "p" * 22,
                    "lite": False,
                    "options": ["ice2"],
                    "pacing": 50,
                    "candidates": ["candidate:1 1 udp 1 192.0.2.1 5000 typ host"],
                    "end_of_candidates": True,
                }
            ),
        )
    ),
    "agent": (joined(_CHECK, b"", _CHECK), joined(_BINDING, _SUCCESS, b"", b"\x80data"), joined(_CHALLENGE, b"", b"", _REFUSAL)),
}
