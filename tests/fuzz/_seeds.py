"""Where the fuzzer starts from: for each target honest inputs, from which it learns what the format looks like."""

from __future__ import annotations

import json
from pathlib import Path

from sansice import Address, SendDatagram
from sansice.stun import (
    CHANGE_REQUEST,
    ERROR_CODE,
    ICE_CONTROLLED,
    MAPPED_ADDRESS,
    NONCE,
    OTHER_ADDRESS,
    PADDING,
    PASSWORD_ALGORITHM,
    PASSWORD_ALGORITHMS,
    PRIORITY,
    REALM,
    RESPONSE_ORIGIN,
    RESPONSE_PORT,
    SOFTWARE,
    UNKNOWN_ATTRIBUTES,
    USE_CANDIDATE,
    USERHASH,
    USERNAME,
    XOR_MAPPED_ADDRESS,
    ChangeRequest,
    ErrorCode,
    IntegrityAlgorithm,
    MessageClass,
    Method,
    PasswordAlgorithm,
    TransactionId,
    decode_untrusted,
    encode,
    frame_rfc4571,
    long_term_key,
    short_term_key,
    userhash,
)

from ._running import PEER, STEP, joined
from ._targets import AT_HOST, authenticated_server, started
from ._turn_seeds import TURN_SEEDS

_KEY = short_term_key("password")
_AGENT_KEY = short_term_key("p" * 22)
_ID = TransactionId(bytes(range(12)))
_ICE = Path(__file__).parents[1] / "ice"
_GENERATION = "a=ice-ufrag:abcd\r\na=ice-pwd:" + "p" * 22 + "\r\n"
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
_PROTECTED = encode(Method.BINDING, MessageClass.SUCCESS, _ID, _ANSWER, key=_KEY)
_OTHER = encode(
    Method.BINDING,
    MessageClass.SUCCESS,
    _ID,
    [
        (XOR_MAPPED_ADDRESS, Address("192.0.2.1", 40000)),
        (MAPPED_ADDRESS, Address("192.0.2.1", 40000)),
        (RESPONSE_ORIGIN, Address("192.0.2.7", 5000)),
        (OTHER_ADDRESS, Address("192.0.2.8", 5001)),
    ],
)


def _signed() -> tuple[bytes, ...]:
    """Requests that the server of the target accepts: with the nonce that it gives, as its entropy is always the same."""
    machine, udp, _ = started(authenticated_server(), AT_HOST)
    machine.handle_datagrams(udp, [(PEER, _BINDING)], now=STEP)
    (challenge,) = (output for output in machine.take_outputs() if isinstance(output, SendDatagram))
    answer = decode_untrusted(challenge.data)
    given = [(REALM, answer.get(REALM)), (NONCE, answer.get(NONCE))]
    chosen = [(PASSWORD_ALGORITHMS, answer.get(PASSWORD_ALGORITHMS)), (PASSWORD_ALGORITHM, PasswordAlgorithm(2))]
    sha256 = IntegrityAlgorithm.SHA256
    strong = long_term_key("user", "realm", "password", sha256=True)
    return tuple(
        encode(Method.BINDING, MessageClass.REQUEST, _ID, attributes, key=key, algorithm=algorithm)
        for attributes, key, algorithm in (
            ([(USERNAME, "user"), *given, *chosen], strong, sha256),
            ([(USERHASH, userhash("user", "realm")), *given, *chosen], strong, sha256),
            ([(USERNAME, "user"), *given], long_term_key("user", "realm", "password"), IntegrityAlgorithm.SHA1),
            ([(USERNAME, "nobody"), *given, *chosen], strong, sha256),
        )
    )


_BEHAVIOR = [
    encode(Method.BINDING, MessageClass.REQUEST, _ID, [attribute])
    for attribute in (
        (CHANGE_REQUEST, ChangeRequest(change_ip=True, change_port=True)),
        (RESPONSE_PORT, 40001),
        (PADDING, bytes(200)),
    )
]
_CLASSIC = bytes((0, 1, 0, 8)) + bytes(range(16)) + bytes((0, 3, 0, 4, 0, 0, 0, 6))
_CHANNEL = bytes((0x40, 1, 0, 3)) + b"abc\0"
_STRANGE = encode(
    Method.BINDING, MessageClass.REQUEST, _ID, [(USERNAME, "else:peer"), (PRIORITY, 1)], key=_AGENT_KEY, fingerprint=True
)
# A connection with a check in two pieces and data behind it, one with an empty frame and half of one, an end, and a silence.
_ASKING = frame_rfc4571(_CHECK)
_VISIT = (b"\0", b"\1" + _ASKING[:9], b"\1" + _ASKING[9:], b"\1\0\3abc", b"\4", b"\5\0\0\1", b"\2", b"\3")
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
    "session": tuple((_ICE / "sdp" / f"{name}.sdp").read_bytes() for name in ("chromium", "firefox", "teams", "lite-server")),
    "fragment": tuple(
        text.encode()
        for text in (
            _GENERATION
            + "m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\na=end-of-candidates\r\n",
            "m=audio 9 RTP/AVP 0\r\n" + _GENERATION + "a=mid:1\r\na=rtcp-mux\r\nm=video 9 RTP/AVP 0\r\na=mid:0\r\n" + _GENERATION,
            _GENERATION + "a=ice-lite\r\na=ice-options:ice2 trickle\r\na=ice-pacing:50\r\na=end-of-candidates\r\n",
        )
    ),
    "server": (joined(*_MESSAGES, b"", _BINDING),),
    "server_authenticated": (joined(_BINDING, *_signed(), b"", _CHECK),),
    "server_behavior": (joined(_BINDING, *_BEHAVIOR, b"", _CLASSIC),),
    "lookup": (joined(_SUCCESS), joined(_CHALLENGE, _PROTECTED), joined(b"", _REFUSAL, b"", _SUCCESS)),
    "discovery": (joined(_OTHER, _OTHER, b"", _OTHER, _SUCCESS), joined(_SUCCESS), joined(_CHALLENGE)),
    "lite": (b"\x01" + joined(_CHECK, b"", _CHECK), b"\x00" + joined(_CHECK, b"\x80data", _BINDING), b"\x01" + joined(b"", b"")),
    "agent": (joined(_CHECK, b"", _CHECK), joined(_BINDING, _SUCCESS, b"", b"\x80data"), joined(_CHALLENGE, b"", b"", _REFUSAL)),
    "tcp": tuple(kind + joined(*_VISIT) for kind in (b"\0", b"\1")),
    "mux": (joined(*_VISIT), joined(b"\0", b"\1" + frame_rfc4571(_STRANGE), b"\4", b"\5" + _ASKING, b"\3")),
    **TURN_SEEDS,
}
