"""The Binding messages of ICE: checks, and the answers to them (RFC 8445 7.1, 7.3)."""

from __future__ import annotations

import enum
from typing import Any, NamedTuple

import attrs

from sansice.machine import Address, DropReason
from sansice.stun import (
    ERROR_CODE,
    ICE_CONTROLLED,
    ICE_CONTROLLING,
    MESSAGE_INTEGRITY_SHA256,
    PRIORITY,
    UNKNOWN_ATTRIBUTES,
    USE_CANDIDATE,
    USERNAME,
    XOR_MAPPED_ADDRESS,
    Attribute,
    ErrorCode,
    IntegrityAlgorithm,
    IntegrityKey,
    Message,
    MessageClass,
    Method,
    TransactionId,
    encode,
)

from ._nomination import NOMINATION
from ._role import IceRole

# Looked up once: see stun/_transaction.py.
_BINDING, _REQUEST, _SUCCESS = Method.BINDING, MessageClass.REQUEST, MessageClass.SUCCESS
_SHA1, _SHA256 = IntegrityAlgorithm.SHA1, IntegrityAlgorithm.SHA256
_CONTROLLING = IceRole.CONTROLLING


def encode_check(
    transaction_id: TransactionId,
    *,
    username: str,
    key: IntegrityKey,
    priority: int,
    role: IceRole,
    tiebreaker: int,
    use_candidate: bool = False,
    nomination: int = 0,
) -> bytes:
    """A connectivity or consent check (RFC 8445 7.1, 7.2.2); ``nomination``, if not 0, numbers what it nominates."""
    role_attribute = ICE_CONTROLLING if role is _CONTROLLING else ICE_CONTROLLED
    attributes: list[tuple[Attribute[Any], Any]] = [(USERNAME, username), (PRIORITY, priority), (role_attribute, tiebreaker)]
    if use_candidate:
        attributes.append((USE_CANDIDATE, None))
    if nomination:
        attributes.append((NOMINATION, nomination))
    return encode(_BINDING, _REQUEST, transaction_id, attributes, key=key, fingerprint=True)


class Refusal(enum.IntEnum):
    """Errors that a check is answered with."""

    BAD_REQUEST = 400
    UNAUTHENTICATED = 401
    UNKNOWN_ATTRIBUTE = 420
    ROLE_CONFLICT = 487


def encode_success(request: Message, source: Address, key: IntegrityKey) -> bytes:
    """The answer to a check: where it came from (RFC 8445 7.3.1.2)."""
    return encode(
        _BINDING,
        _SUCCESS,
        request.transaction_id,
        ((XOR_MAPPED_ADDRESS, source),),
        key=key,
        algorithm=_algorithm_of(request),
        fingerprint=True,
    )


def encode_refusal(request: Message, refusal: Refusal, key: IntegrityKey | None, unknown: tuple[int, ...] = ()) -> bytes:
    """An error answer without a reason phrase: a stranger gets back hardly more than was sent."""
    attributes: list[tuple[Attribute[Any], Any]] = [(ERROR_CODE, ErrorCode(refusal.value, ""))]
    if unknown:
        attributes.append((UNKNOWN_ATTRIBUTES, unknown))
    return encode(
        Method.BINDING,
        MessageClass.ERROR,
        request.transaction_id,
        attributes,
        key=key,
        algorithm=_algorithm_of(request),
        fingerprint=True,
    )


def _algorithm_of(request: Message) -> IntegrityAlgorithm:
    # RFC 8489 9.1.3: the answer carries SHA256 alone if the request had it, else SHA1 alone.
    return _SHA256 if MESSAGE_INTEGRITY_SHA256 in request else _SHA1


@attrs.frozen
class Check:
    """An authenticated check, as far as it concerns the checklist.

    Attributes:
        remote_ufrag: who says to have sent it (RFC 8445 7.3.1.4).
        priority: of a peer-reflexive candidate, if the source is new (RFC 8445 7.3.1.3).
        use_candidate: whether it nominates, by USE-CANDIDATE or by a number.
        nomination: the number, where it has one (draft-thatcher-ice-renomination); else 0.
    """

    remote_ufrag: str
    priority: int
    use_candidate: bool
    nomination: int = 0


class Refused(NamedTuple):
    """A check that is not accepted, with what to count and what to answer."""

    reason: DropReason
    refusal: Refusal
    authenticated: bool = False
    unknown: tuple[int, ...] = ()


def read_check(request: Message, ufrag: str, key: IntegrityKey) -> Check | Refused:
    """Authenticate a request with our credentials and read what a check must carry.

    The order is that of RFC 8489 6.3 and 9.1.3: credentials, then unknown attributes, then content.

    Raises:
        DecodeError: an attribute is malformed.
    """
    username = request.get(USERNAME)
    if username is None or not request.has_integrity:
        reason = DropReason.BAD_USERNAME if username is None else DropReason.BAD_INTEGRITY
        return Refused(reason, Refusal.BAD_REQUEST)
    own, colon, remote_ufrag = username.partition(":")
    if not colon or own != ufrag:  # RFC 8445 7.3
        return Refused(DropReason.BAD_USERNAME, Refusal.UNAUTHENTICATED)
    if not request.verify(key):
        return Refused(DropReason.BAD_INTEGRITY, Refusal.UNAUTHENTICATED)
    unknown = request.unknown_required()
    if unknown:
        return Refused(DropReason.UNKNOWN_ATTRIBUTE, Refusal.UNKNOWN_ATTRIBUTE, True, unknown)
    priority = request.get(PRIORITY)
    if priority is None:  # RFC 8445 7.1.1: every check has it
        return Refused(DropReason.MISSING_ATTRIBUTE, Refusal.BAD_REQUEST, True)
    nomination = request.get(NOMINATION) or 0  # libwebrtc sends it in place of USE-CANDIDATE, pion beside it
    return Check(remote_ufrag, priority, nomination > 0 or USE_CANDIDATE in request, nomination)
