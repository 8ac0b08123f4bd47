"""Where the fuzzer starts with TURN: what clients, peers and servers say to each other, from the first request to the last."""

from __future__ import annotations

from fuzz._running import PEER, fixed_entropy, joined
from fuzz._turn_targets import FAR
from sansice import Address
from sansice.stun import (
    CHANNEL_NUMBER,
    CONNECTION_ID,
    DATA,
    DONT_FRAGMENT,
    ERROR_CODE,
    EVEN_PORT,
    LIFETIME,
    MOBILITY_TICKET,
    NONCE,
    REALM,
    REQUESTED_ADDRESS_FAMILY,
    REQUESTED_TRANSPORT,
    XOR_MAPPED_ADDRESS,
    XOR_PEER_ADDRESS,
    XOR_RELAYED_ADDRESS,
    AddressFamily,
    ErrorCode,
    MessageClass,
    Method,
    TransactionId,
    encode,
)
from sansice.turn import encode_channel_data
from sansice.turn._server._tickets import TICKET_KEY, Tickets

_UDP, _TCP = 17, 6
_ID = TransactionId(bytes(range(12)))
_DATA = encode_channel_data(0x4001, b"voice")


def _request(method, *attributes, id=0):
    return encode(method, MessageClass.REQUEST, TransactionId(bytes([id]) * 12), attributes)


def _kind(number, *messages):
    """A piece for each message, of one kind."""
    return [bytes([number]) + message for message in messages]


_ALLOCATE = _request(Method.ALLOCATE, (REQUESTED_TRANSPORT, _UDP), id=1)
_EVEN = _request(Method.ALLOCATE, (REQUESTED_TRANSPORT, _UDP), (EVEN_PORT, True), (LIFETIME, 900), id=2)
_IPV6 = _request(Method.ALLOCATE, (REQUESTED_TRANSPORT, _UDP), (REQUESTED_ADDRESS_FAMILY, AddressFamily.IPV6), id=3)
_OVER_TCP = _request(Method.ALLOCATE, (REQUESTED_TRANSPORT, _TCP), id=4)
_MOBILE = _request(Method.ALLOCATE, (REQUESTED_TRANSPORT, _UDP), (MOBILITY_TICKET, b""), (DONT_FRAGMENT, None), id=5)
_PERMIT = _request(Method.CREATE_PERMISSION, (XOR_PEER_ADDRESS, FAR), (XOR_PEER_ADDRESS, Address("198.51.100.10", 0)), id=6)
_BIND = _request(Method.CHANNEL_BIND, (CHANNEL_NUMBER, 0x4001), (XOR_PEER_ADDRESS, FAR), id=7)
_CONNECT = _request(Method.CONNECT, (XOR_PEER_ADDRESS, FAR), id=8)
_CONNECTION_BIND = _request(Method.CONNECTION_BIND, (CONNECTION_ID, 77), id=9)
_REFRESH = _request(Method.REFRESH, (LIFETIME, 600), id=10)
_MOVE = _request(Method.REFRESH, (MOBILITY_TICKET, bytes(37)), id=11)
_END = _request(Method.REFRESH, (LIFETIME, 0), id=12)
_SEND = encode(Method.SEND, MessageClass.INDICATION, _ID, [(XOR_PEER_ADDRESS, FAR), (DATA, b"voice")])
_HARD = encode(Method.SEND, MessageClass.INDICATION, _ID, [(XOR_PEER_ADDRESS, FAR), (DATA, b"voice"), (DONT_FRAGMENT, None)])


def _answer(method, *attributes, error=None):
    kind = MessageClass.SUCCESS if error is None else MessageClass.ERROR
    return encode(method, kind, _ID, attributes if error is None else [(ERROR_CODE, ErrorCode(error, "")), *attributes])


_ALLOCATED = _answer(
    Method.ALLOCATE, (XOR_RELAYED_ADDRESS, Address("192.0.2.1", 50_000)), (XOR_MAPPED_ADDRESS, PEER), (LIFETIME, 600)
)
_TICKET = _answer(
    Method.ALLOCATE,
    (XOR_RELAYED_ADDRESS, Address("192.0.2.1", 50_000)),
    (XOR_MAPPED_ADDRESS, PEER),
    (LIFETIME, 600),
    (MOBILITY_TICKET, bytes(37)),
)
_CHALLENGE = _answer(Method.ALLOCATE, (REALM, "example.org"), (NONCE, "nonce"), error=401)
_PERMITTED = _answer(Method.CREATE_PERMISSION)
_BOUND = _answer(Method.CHANNEL_BIND)
_REFRESHED = _answer(Method.REFRESH, (LIFETIME, 600))
_HEARD = encode(Method.DATA, MessageClass.INDICATION, _ID, [(XOR_PEER_ADDRESS, FAR), (DATA, b"voice")])
_WAIT, _COMMANDS = b"\xff", [bytes([4 | number << 3]) + b"voice" for number in range(6)]

TURN_SEEDS: dict[str, tuple[bytes, ...]] = {
    "channel_data": (encode_channel_data(0x4FFF, b"voice", padded=True),),
    "token": (Tickets(bytes(TICKET_KEY), entropy=fixed_entropy()).issue(7), bytes(37)),
    "turn_server": (
        joined(
            *_kind(0, _ALLOCATE, _PERMIT, _SEND, _BIND, _DATA, _HARD),
            *_kind(4, b"back"),
            *_kind(6, b""),
            *_kind(0, _REFRESH, _END),
        ),
        joined(
            *_kind(0, _EVEN), *_kind(1, _IPV6, _MOBILE), *_kind(2, _PERMIT), *_kind(5, b"back"), *_kind(1, _MOVE), _WAIT, _WAIT
        ),
        joined(
            *_kind(3, _OVER_TCP, _PERMIT, _CONNECT),
            *_kind(8, b""),
            *_kind(11, b""),
            *_kind(3, _CONNECTION_BIND),
            _WAIT,
            *_kind(9, b""),
        ),
        joined(
            *_kind(0x80, _ALLOCATE, _EVEN),
            *_kind(0, _ALLOCATE),
            *_kind(7, b""),
            *_kind(0, _DATA),
            *_kind(3, _ALLOCATE, _BIND, _DATA, b""),
        ),
        joined(*_kind(3, _ALLOCATE, _BIND), *_kind(10, bytes(100)), *_kind(4, b"back"), *_kind(12, b""), *_kind(13, b"a"), _WAIT),
    ),
    "turn_client": (
        joined(
            *_kind(0, _ALLOCATED),
            _COMMANDS[0],
            *_kind(0, _PERMITTED),
            _COMMANDS[1],
            *_kind(0, _BOUND),
            _COMMANDS[2],
            *_kind(3, _DATA, _HEARD),
        ),
        joined(*_kind(0, _TICKET), _COMMANDS[5], *_kind(0, _REFRESHED), _WAIT, *_kind(0, _REFRESHED), _COMMANDS[4]),
        joined(*_kind(0, _CHALLENGE), _COMMANDS[3], *_kind(0, _ALLOCATED), _WAIT, *_kind(0, _answer(Method.REFRESH, error=437))),
        joined(*_kind(0, _answer(Method.ALLOCATE, error=508)), *_kind(5, b""), *_kind(6, b""), _COMMANDS[3], _WAIT),
        joined(
            *_kind(0, _ALLOCATED),
            _COMMANDS[0],
            *_kind(0, _answer(Method.CREATE_PERMISSION, error=403)),
            _COMMANDS[2],
            _WAIT,
            _WAIT,
        ),
    ),
}
