"""Whom a TURN server deals with at all: asked before anything is known of anybody (RFC 8656 7.2, 21.1)."""

from __future__ import annotations

from collections.abc import Mapping

from sansice.machine import LocalProtocolError
from sansice.stun import HEADER_LENGTH, Authentication, Authentications, is_stun

from ._config import TurnServerConfig

MAX_AMPLIFICATION = 2.0
"""How many times as large as a request, headers counted, the challenge may be that it is answered with."""

_SHORTEST_ALLOCATE = HEADER_LENGTH + 8  # with REQUESTED-TRANSPORT and nothing else (RFC 8656 7.1)
_HEADERS = 28  # bytes of IPv4 and UDP
_MODEST = int(MAX_AMPLIFICATION * (_HEADERS + _SHORTEST_ALLOCATE)) - _HEADERS
_BINDING_REQUEST = b"\x00\x01"


def is_too_short(data: bytes) -> bool:
    """Whether a stranger's request is shorter than any Allocate, which he would have to begin with.

    It would be answered with 401, whoever it seems to come from, and to that only an Allocate has a right. Indications are
    never answered, and the answer to a Binding request is small.
    """
    if len(data) >= _SHORTEST_ALLOCATE or not is_stun(data):
        return False
    return not data[0] & 0x01 and not data[1] & 0x10 and data[:2] != _BINDING_REQUEST


def check_authentication(authentication: Authentication | Authentications | None, config: TurnServerConfig) -> None:
    """A relay that asks nobody for credentials is the whole world's; and one that asks with too many words is a weapon.

    Raises:
        LocalProtocolError: there would be the one or the other by oversight.
    """
    every = list(authentication.values()) if isinstance(authentication, Mapping) else [authentication]
    if (None in every or not every) and not config.anonymous:
        raise LocalProtocolError(
            "authentication: a relay without it is open to the whole world, so it is refused; make credentials, for example "
            "ServerAuthentication(realm='example.org', lookup_key=StaticUsers({'name': 'a long password'})), "
            "or say TurnServerConfig(anonymous=True) where everybody who can reach the server may use it"
        )
    for one in every:
        over = 0 if one is None else one.shortest_challenge - _MODEST
        if over > 0:
            raise LocalProtocolError(
                f"authentication: with its realm (and server name) the shortest 401 is {over} bytes over {_MODEST}, which is "
                f"what the shortest Allocate request may be answered with over UDP: nobody is to flood others through the server"
            )
