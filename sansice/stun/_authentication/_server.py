"""The server's half of both credential mechanisms (RFC 8489 9.1.3, 9.2.4).

Nothing is remembered of anybody. The checks come in the order of the RFC, and the first that fails decides the answer.
Whether a user exists is told neither by the answer nor by the work that is done for it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

import attrs

from sansice.machine import Address, DecodeError, DropReason, Entropy
from sansice.stun._attributes import (
    ACCESS_TOKEN,
    NONCE,
    PASSWORD_ALGORITHM,
    PASSWORD_ALGORITHMS,
    REALM,
    UNKNOWN_ATTRIBUTES,
    USERHASH,
    USERNAME,
    Attribute,
)
from sansice.stun._header import HEADER_LENGTH, MessageClass
from sansice.stun._integrity import IntegrityAlgorithm, IntegrityKey
from sansice.stun._message import Message
from sansice.stun._opaque_string import opaque_string
from sansice.stun._security import PASSWORD_MD5, PASSWORD_SHA256, SUPPORTED, SecurityFeatures, promises_algorithms
from sansice.stun._values import PasswordAlgorithm
from sansice.stun.shapes import OPAQUE

from ._nonce import NONCE_LENGTH, NONCE_LIFETIME, PLAIN_NONCE_LENGTH, NonceIssuer, NonceState
from ._session import Session
from ._user_keys import PENDING, Found, LookupKey, Pending, UserKeys

T = TypeVar("T")

_DUMMY_KEY = 32  # bytes


@attrs.frozen
class Authenticated:
    """The request comes from who it says it comes from.

    Attributes:
        username: the user's name, also where the request had only its hash.
        key: protects the response (RFC 8489 6.3.1.1).
        algorithm: the one integrity attribute that the response carries.
        session: the access token that the request had, or an earlier one of its 5-tuple (RFC 7635).
    """

    username: str
    key: IntegrityKey = attrs.field(repr=False)
    algorithm: IntegrityAlgorithm
    session: Session | None = None


@attrs.frozen
class Rejected:
    """The request is answered with an error, without integrity, USERNAME and USERHASH (RFC 8489 9.1.3, 9.2.4).

    Attributes:
        code: 400, 401, 420 or 438.
        reason: the RFC's words for it.
        attributes: what the error response must have beside ERROR-CODE: REALM, NONCE and PASSWORD-ALGORITHMS, and
            THIRD-PARTY-AUTHORIZATION where tokens are taken; UNKNOWN-ATTRIBUTES of a 420; or nothing.
        drop: what to count it as.
    """

    code: int
    reason: str
    attributes: tuple[tuple[Attribute[Any], Any], ...]
    drop: DropReason


@attrs.frozen
class Ignored:
    """An indication that is not answered.

    Attributes:
        drop: what to count it as.
    """

    drop: DropReason


@attrs.frozen
class Awaiting:
    """The keys are not at hand: `LookupKey` answered `PENDING`. Find them and ask again, with ``found``.

    Attributes:
        username: whose they are: a name, or the 32 bytes of a USERHASH.
        realm: "" with the short-term mechanism.
    """

    username: str | bytes
    realm: str


class Asker(NamedTuple):
    """Who sent a request, when, and to where."""

    source: Address
    now: float
    unix: float
    at: str


AuthenticationResult: TypeAlias = Authenticated | Rejected | Ignored | Awaiting


class ShortTermServerAuthentication:
    """Requests and indications under the short-term mechanism (RFC 8489 9.1.3).

    Args:
        lookup_key: finds the keys; their ``short_term`` is used.
        keys_per_user: how many sets of keys a user may have: that many are tried for everybody. Without it, what
            ``lookup_key.keys_per_user`` says, or else 1.
        entropy: where a key comes from that no user has.
    """

    covers_indications = True
    """Whether indications are authenticated as well."""

    __slots__ = ("_lookup_key", "_matcher")

    def __init__(self, *, lookup_key: LookupKey, keys_per_user: int | None = None, entropy: Entropy = os.urandom) -> None:
        self._lookup_key = lookup_key
        self._matcher = _Matcher(lookup_key, keys_per_user, entropy)

    @property
    def lookup_key(self) -> LookupKey:
        """As given."""
        return self._lookup_key

    @property
    def settings(self) -> Mapping[str, Any]:
        """The other arguments, ``entropy`` apart: another one can be made with them."""
        return {"keys_per_user": self._matcher.tries}

    shortest_challenge = HEADER_LENGTH + 8
    """Bytes of its error responses: ERROR-CODE without words is all that they have."""

    def in_brief(self, rejected: Rejected, source: Address, *, now: float, unix: float, at: str = "") -> Rejected:
        """What is said anyway: there is no nonce in this mechanism."""
        return rejected

    def authenticate(
        self,
        request: Message,
        source: Address,
        *,
        now: float,
        unix: float,
        found: Found | Pending = PENDING,
        at: str = "",
        session: Session | None = None,
    ) -> AuthenticationResult:
        """Judge a request or an indication; never raises because of what is in it.

        Args:
            request: what arrived.
            source, at, session: of no interest to the short-term mechanism.
            now: monotonic seconds.
            unix: seconds of the wall clock, for ``lookup_key``.
            found: what was found after an `Awaiting`.
        """
        try:
            username = required(request, USERNAME)
        except DecodeError as error:
            return _unless_indication(request, bad_request(error.reason))
        if not request.has_integrity:
            return _unless_indication(request, bad_request(DropReason.MISSING_ATTRIBUTE))
        if found is PENDING:
            found = self._lookup_key(username, "", unix)
            if found is PENDING:
                return Awaiting(username, "")
        users = _users(found)
        match = self._matcher.match(request, users, [user.short_term for user in users])
        if match is None:
            drop = DropReason.BAD_INTEGRITY if users else DropReason.BAD_USERNAME
            return _unless_indication(request, Rejected(401, _UNAUTHENTICATED, (), drop))
        # Who can read the newer attribute is answered with it alone (RFC 8489 9.1.3).
        algorithm = _SHA1 if request.integrity is _SHA1 else _SHA256
        return Authenticated(*match, algorithm)


class ServerAuthentication:
    """Requests under the long-term mechanism (RFC 8489 9.2.4).

    Nonces are bound to the client's address and port and need no memory, see `NonceIssuer`. What a request lacks or has
    wrong is looked at in the order of the RFC, a nonce that is no longer valid last: a wrong password is never told
    anything else. Only where the keys are not at hand the nonce comes first, so that nobody is looked up for strangers who
    may not even be there. A nonce whose cookie was altered on the way is no longer valid.

    Indications have no place in this mechanism (RFC 8489 9.2): they are ignored here.

    Args:
        realm: the text of REALM, usually the provider's domain name.
        lookup_key: finds the keys; their ``md5`` or ``sha256`` is used. A user without the key of an algorithm cannot
            use the algorithm, so offer what all have.
        algorithms: what PASSWORD-ALGORITHMS lists, the preferred one first. Without `PASSWORD_MD5` in it, clients of
            before RFC 8489 are refused.
        userhash: clients may hide their names; ``lookup_key`` finds users by USERHASH.
        nonce_lifetime: seconds.
        nonce_keys: shared with other servers, see `NonceIssuer`.
        keys_per_user: how many sets of keys a user may have: that many are tried for everybody. Without it, what
            ``lookup_key.keys_per_user`` says, or else 1.
        entropy: where keys come from, of nonces, and one that no user has.

    Raises:
        ValueError: RFC 8265 forbids the realm, or it is too long; no algorithm, or one that is not supported; a
            lifetime that is not positive; a nonce key that is too short.
        PrecisRequiredError: the realm is not ASCII, and precis-i18n is not installed.
    """

    covers_indications = False
    """Whether indications are authenticated as well."""

    __slots__ = ("_algorithms", "_choices", "_list", "_lookup_key", "_matcher", "_nonce_keys", "_nonces", "_userhash", "realm")

    realm: str
    """The text of REALM."""

    def __init__(
        self,
        *,
        realm: str,
        lookup_key: LookupKey,
        algorithms: Sequence[PasswordAlgorithm] = (PASSWORD_SHA256, PASSWORD_MD5),
        userhash: bool = False,
        nonce_lifetime: float = NONCE_LIFETIME,
        nonce_keys: Sequence[bytes | IntegrityKey] = (),
        keys_per_user: int | None = None,
        entropy: Entropy = os.urandom,
    ) -> None:
        self.realm = opaque_string(realm)
        REALM.pack(self.realm, b"")  # raises ValueError where it is too long
        self._algorithms = tuple(algorithms)
        self._list = PASSWORD_ALGORITHMS.pack(self._algorithms, b"")
        self._choices = {PASSWORD_ALGORITHM.pack(one, b""): one for one in self._algorithms}
        if not self._algorithms or not set(self._algorithms) <= set(SUPPORTED):
            raise ValueError("algorithms: one or more of PASSWORD_SHA256 and PASSWORD_MD5")
        self._lookup_key = lookup_key
        self._userhash = userhash
        features = SecurityFeatures.PASSWORD_ALGORITHMS
        if userhash:
            features |= SecurityFeatures.USERNAME_ANONYMITY
        self._nonce_keys = tuple(key if isinstance(key, IntegrityKey) else IntegrityKey(key) for key in nonce_keys)
        secrets = [key.secret for key in self._nonce_keys]
        self._nonces = NonceIssuer(features=features, lifetime=nonce_lifetime, keys=secrets, entropy=entropy)
        self._matcher = _Matcher(lookup_key, keys_per_user, entropy)

    @property
    def lookup_key(self) -> LookupKey:
        """As given."""
        return self._lookup_key

    @property
    def settings(self) -> Mapping[str, Any]:
        """The other arguments, ``entropy`` apart: another one can be made with them."""
        return {
            "realm": self.realm,
            "algorithms": self._algorithms,
            "userhash": self._userhash,
            "nonce_lifetime": self._nonces.lifetime,
            "nonce_keys": self._nonce_keys,
            "keys_per_user": self._matcher.tries,
        }

    def authenticate(
        self,
        request: Message,
        source: Address,
        *,
        now: float,
        unix: float,
        found: Found | Pending = PENDING,
        at: str = "",
        session: Session | None = None,
    ) -> AuthenticationResult:
        """Judge a request; never raises because of what is in it.

        Args:
            request: what arrived.
            source: who sent it.
            now: monotonic seconds.
            unix: seconds of the wall clock, for ``lookup_key``.
            found: what was found after an `Awaiting`.
            at: where it arrived, in any form: nonces are good there only.
            session: of no interest without access tokens.
        """
        if ACCESS_TOKEN in request:  # nobody has asked for one (RFC 7635 7)
            unknown = ((UNKNOWN_ATTRIBUTES, (ACCESS_TOKEN.code,)),)
            return _unless_indication(request, Rejected(420, "Unknown Attribute", unknown, DropReason.UNKNOWN_ATTRIBUTE))
        return self.authenticate_password(request, Asker(source, now, unix, at), found)

    def authenticate_password(self, request: Message, asker: Asker, found: Found | Pending) -> AuthenticationResult:
        """The same, of a request that shows no token."""
        if request.message_class is not MessageClass.REQUEST:
            return Ignored(DropReason.BAD_CLASS)
        if not request.has_integrity:
            return self.challenge(401, DropReason.MISSING_ATTRIBUTE, asker)
        try:
            username = required(request, USERNAME) if USERNAME in request else required(request, USERHASH)
            required(request, REALM)  # Which one it is, tells the key.
            nonce = required(request, NONCE)
            algorithm = self._algorithm(request, nonce)
        except DecodeError as error:
            return bad_request(error.reason)
        if found is PENDING:
            found = self._find(username, asker.unix)
            if found is PENDING:
                # Before anybody is asked, the client has to be where it says it is: no forger of sources has a nonce.
                is_there = self.knows(nonce, asker)
                return Awaiting(username, self.realm) if is_there else self.challenge(438, DropReason.STALE_NONCE, asker)
        users = _users(found)
        match = self._matcher.match(request, users, [self._key(user, algorithm or PASSWORD_MD5) for user in users])
        if match is None:
            return self.challenge(401, DropReason.BAD_INTEGRITY if users else DropReason.BAD_USERNAME, asker)
        if not self.knows(nonce, asker):
            return self.challenge(438, DropReason.STALE_NONCE, asker)
        return Authenticated(*match, _SHA1 if algorithm is None else _SHA256)

    def knows(self, nonce: str, asker: Asker) -> bool:
        """Whether a nonce was made for who shows it, not too long ago."""
        source, now, unix, at = asker
        return self._nonces.check(nonce, source, now=now, unix=unix, at=at) is _FRESH

    def challenge(self, code: int, drop: DropReason, asker: Asker) -> Rejected:
        """An error that tells the client what to try again with."""
        source, now, unix, at = asker
        nonce = self._nonces.issue(source, now=now, unix=unix, at=at)
        reason = _UNAUTHENTICATED if code == 401 else "Stale Nonce"
        return Rejected(code, reason, ((REALM, self.realm), (NONCE, nonce), (PASSWORD_ALGORITHMS, self._algorithms)), drop)

    def in_brief(self, rejected: Rejected, source: Address, *, now: float, unix: float, at: str = "") -> Rejected:
        """A challenge in fewer bytes, for whoever has sent so few that the whole one would be a gift to a forger of sources.

        It has a plain nonce and no PASSWORD-ALGORITHMS: the challenge of a server of before RFC 8489, which MD5 must be
        allowed for. What is no challenge is given back as it is.
        """
        if rejected.code not in (401, 438) or PASSWORD_MD5 not in self._algorithms:
            return rejected
        nonce = self._nonces.issue(source, now=now, unix=unix, at=at, plain=True)
        kept = [(attribute, nonce if attribute is NONCE else value) for attribute, value in rejected.attributes]
        return attrs.evolve(rejected, attributes=tuple(pair for pair in kept if pair[0] is not PASSWORD_ALGORITHMS))

    @property
    def shortest_challenge(self) -> int:
        """Bytes of the smallest error response that `in_brief` makes."""
        size = HEADER_LENGTH + _ERROR_CODE + _size_of(self.realm.encode())
        if PASSWORD_MD5 in self._algorithms:
            return size + _size_of(bytes(PLAIN_NONCE_LENGTH))
        return size + _size_of(bytes(NONCE_LENGTH)) + _size_of(self._list)

    def _algorithm(self, request: Message, nonce: str) -> PasswordAlgorithm | None:
        """The algorithm of the request's key; ``None``: it comes from a time when there was but one, MD5.

        Raises:
            DecodeError: the list is not the one that was sent with the nonce, or the choice is not in it, or one of the
                two is missing or malformed.
        """
        chosen, offered = request.get(_RAW_CHOICE), request.get(_RAW_LIST)
        if chosen is None and offered is None:
            return None
        # Every nonce of ours was sent with the one list that we have. Another's is refused in the end, whatever it promises.
        if promises_algorithms(nonce) and (offered != self._list or chosen not in self._choices):
            raise DecodeError(DropReason.BID_DOWN)
        return PASSWORD_MD5 if chosen is None else self._choices.get(chosen, _UNKNOWN)

    def _find(self, username: str | bytes, unix: float) -> Found | Pending:
        if isinstance(username, bytes) and not self._userhash:
            return None
        return self._lookup_key(username, self.realm, unix)

    def _key(self, user: UserKeys, algorithm: PasswordAlgorithm) -> IntegrityKey | None:
        if algorithm not in self._algorithms:
            return None
        return user.sha256 if algorithm == PASSWORD_SHA256 else user.md5


class _Matcher:
    """Tries the keys of a user; and, so that no time tells who exists, as many for everybody."""

    __slots__ = ("_nobodys", "tries")

    tries: int

    def __init__(self, lookup_key: LookupKey, keys_per_user: int | None, entropy: Entropy) -> None:
        self._nobodys = IntegrityKey(entropy(_DUMMY_KEY))
        self.tries = getattr(lookup_key, "keys_per_user", 1) if keys_per_user is None else keys_per_user

    def match(
        self, request: Message, users: Sequence[UserKeys], keys: Sequence[IntegrityKey | None]
    ) -> tuple[str, IntegrityKey] | None:
        """The name and the key with which the request's integrity is right."""
        nobodys = self._nobodys
        found: tuple[str, IntegrityKey] | None = None
        for index in range(max(self.tries, len(keys))):
            key = keys[index] if index < len(keys) else None
            right = request.verify(nobodys if key is None else key)
            if right and key is not None and found is None:
                found = users[index].username, key
        return found


_ERROR_CODE = 8  # bytes of ERROR-CODE without words


def _size_of(value: bytes) -> int:
    """Bytes of an attribute in a message."""
    return 4 + len(value) + -len(value) % 4


# To be compared byte for byte (RFC 8489 9.2.4), which spares reading them.
_RAW_LIST = Attribute(PASSWORD_ALGORITHMS.code, PASSWORD_ALGORITHMS.name, OPAQUE)
_RAW_CHOICE = Attribute(PASSWORD_ALGORITHM.code, PASSWORD_ALGORITHM.name, OPAQUE)
_UNKNOWN = PasswordAlgorithm(0)  # reserved (RFC 8489 18.5): no user has a key for it
_UNAUTHENTICATED = "Unauthenticated"
_SHA1, _SHA256 = IntegrityAlgorithm.SHA1, IntegrityAlgorithm.SHA256
_FRESH = NonceState.FRESH


def required(request: Message, attribute: Attribute[T]) -> T:
    """The value of an attribute; missing is as bad as malformed.

    Raises:
        DecodeError: there is no sound value.
    """
    value = request.get(attribute)
    if value is None:
        raise DecodeError(DropReason.MISSING_ATTRIBUTE, attribute.name)
    return value


def _users(found: Found) -> tuple[UserKeys, ...]:
    if found is None:
        return ()
    return found if isinstance(found, tuple) else (found,)


def bad_request(drop: DropReason) -> Rejected:
    return Rejected(400, "Bad Request", (), drop)


def _unless_indication(request: Message, rejected: Rejected) -> Rejected | Ignored:
    """Indications get no answer."""
    return Ignored(rejected.drop) if request.message_class is MessageClass.INDICATION else rejected
