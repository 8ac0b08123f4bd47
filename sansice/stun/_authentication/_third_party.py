"""Third-party authorization, the server's half: who has a token may enter, whoever it is (RFC 7635 4, 5, 7, 9)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from sansice.machine import Address, DecodeError, DropReason, Entropy
from sansice.stun._attributes import ACCESS_TOKEN, NONCE, REALM, THIRD_PARTY_AUTHORIZATION, USERNAME
from sansice.stun._header import MessageClass
from sansice.stun._integrity import IntegrityAlgorithm, IntegrityKey
from sansice.stun._message import Message
from sansice.stun._security import PASSWORD_MD5, PASSWORD_SHA256
from sansice.stun._values import PasswordAlgorithm

from ._nonce import NONCE_LIFETIME
from ._server import Asker, Authenticated, AuthenticationResult, Ignored, Rejected, ServerAuthentication, bad_request, required
from ._session import Session
from ._token import MAC_KEY, TOKEN_DELTA, TokenKey, decode_token_untrusted
from ._token_cipher import CIPHERS, TokenAlgorithm, TokenCipher
from ._user_keys import PENDING, Found, LookupKey, Pending

_SHA1, _SHA256 = IntegrityAlgorithm.SHA1, IntegrityAlgorithm.SHA256
_ACCOUNT = 12  # bytes of a digest: no two tokens share one
_SHORT_KEY = 16  # bytes: as long as the key of a password (RFC 8489 9.2.2), which coturn 4.6 takes all keys for


def _nobody(username: str | bytes, realm: str, unix: float) -> None:
    """The `LookupKey` of a server without users of its own."""


class ThirdPartyServerAuthentication:
    """Requests with access tokens, and maybe others with passwords.

    Whoever comes without either is told the server's name, THIRD-PARTY-AUTHORIZATION, with which he can get a token from an
    authorization server; and realm and nonce, with which a client without tokens can try a password. A token is good until
    its time is over, for whoever also knows the session key inside. Requests for an allocation that was made with a token
    have none (RFC 7635 9): they are judged by the `Session` that the token made.

    A token names nobody, so its user goes by the server's name; and who made an allocation with one may go on with the next,
    whichever key that was made with.

    Nothing is remembered here. An unknown key, a forged token, one that has expired and a wrong session key are all answered
    with the same 401, and with the same work.

    Args:
        server_name: what tokens are made for.
        keys: those shared with authorization servers.
        realm: the text of REALM; by default the server's name.
        lookup_key: finds the keys of users with passwords; ``None``: there are none.
        delta: seconds that clocks may be apart.
        short_keys: take also requests whose integrity is made with the first 16 bytes of a session key alone: of coturn's
            clients, and of those that were made for coturn's server. RFC 7635 6.2 has no such key.
        algorithms, userhash, nonce_lifetime, nonce_keys, keys_per_user, entropy: as for `ServerAuthentication`.

    Raises:
        ValueError: no name, or one that has no room in its attribute; no key, or two of one name; what `ServerAuthentication`
            refuses.
        CryptographyRequiredError: cryptography is not installed.
    """

    covers_indications = False
    """Whether indications are authenticated as well."""

    __slots__ = ("_ciphers", "_delta", "_key_sizes", "_keys", "_nobodys", "_passwords", "_stranger", "server_name")

    server_name: str
    """The text of THIRD-PARTY-AUTHORIZATION."""

    def __init__(
        self,
        *,
        server_name: str,
        keys: Iterable[TokenKey],
        realm: str | None = None,
        lookup_key: LookupKey | None = None,
        delta: float = TOKEN_DELTA,
        short_keys: bool = False,
        algorithms: Sequence[PasswordAlgorithm] = (PASSWORD_SHA256, PASSWORD_MD5),
        userhash: bool = False,
        nonce_lifetime: float = NONCE_LIFETIME,
        nonce_keys: Sequence[bytes | IntegrityKey] = (),
        keys_per_user: int | None = None,
        entropy: Entropy = os.urandom,
    ) -> None:
        THIRD_PARTY_AUTHORIZATION.pack(server_name, b"")  # raises ValueError where it is too long
        self.server_name = server_name
        self._keys = tuple(keys)
        self._delta = delta
        self._key_sizes = (None, _SHORT_KEY) if short_keys else (None,)
        self._ciphers = {key.kid: (key, TokenCipher(key.algorithm, key.key)) for key in self._keys}
        if not server_name or not self._keys or len(self._ciphers) < len(self._keys):
            raise ValueError("a server that takes access tokens needs a name, and one or more keys with names of their own")
        self._passwords = ServerAuthentication(
            realm=server_name if realm is None else realm,
            lookup_key=_nobody if lookup_key is None else lookup_key,
            algorithms=algorithms,
            userhash=userhash,
            nonce_lifetime=nonce_lifetime,
            nonce_keys=nonce_keys,
            keys_per_user=keys_per_user,
            entropy=entropy,
        )
        # So that no time tells which keys there are, a token of an unknown one is read as well, and its integrity checked.
        self._stranger = TokenCipher(TokenAlgorithm.A256GCM, entropy(CIPHERS[TokenAlgorithm.A256GCM].key))
        self._nobodys = entropy(MAC_KEY)

    @property
    def realm(self) -> str:
        """The text of REALM."""
        return self._passwords.realm

    @property
    def lookup_key(self) -> LookupKey:
        """What finds the keys of users with passwords."""
        return self._passwords.lookup_key

    @property
    def settings(self) -> Mapping[str, Any]:
        """The other arguments, ``entropy`` apart: another one can be made with them."""
        short_keys = len(self._key_sizes) > 1
        own = {"server_name": self.server_name, "keys": self._keys, "delta": self._delta, "short_keys": short_keys}
        return {**self._passwords.settings, **own}

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
            unix: seconds of the wall clock, for tokens and ``lookup_key``.
            found: what was found after an `Awaiting`.
            at: where it arrived, in any form: nonces are good there only.
            session: what an earlier request of this 5-tuple was `Authenticated` with.
        """
        asker = Asker(source, now, unix, at)
        if request.message_class is not MessageClass.REQUEST:
            return Ignored(DropReason.BAD_CLASS)
        if ACCESS_TOKEN in request and request.has_integrity:
            result = self._judge_token(request, asker)
        elif session is not None and _is_of(request, session):
            result = self._judge_session(request, session, asker)
        else:
            result = self._passwords.authenticate_password(request, asker, found)
        if isinstance(result, Rejected) and result.code in (401, 438):  # RFC 7635 4
            return attrs.evolve(result, attributes=(*result.attributes, (THIRD_PARTY_AUTHORIZATION, self.server_name)))
        return result

    def in_brief(self, rejected: Rejected, source: Address, *, now: float, unix: float, at: str = "") -> Rejected:
        """A challenge in fewer bytes, see `ServerAuthentication.in_brief`."""
        return self._passwords.in_brief(rejected, source, now=now, unix=unix, at=at)

    @property
    def shortest_challenge(self) -> int:
        """Bytes of the smallest error response that `in_brief` makes."""
        name = len(self.server_name.encode())
        return self._passwords.shortest_challenge + 4 + name + -name % 4

    def _judge_token(self, request: Message, asker: Asker) -> AuthenticationResult:
        """The checks of RFC 7635 7, after those of RFC 8489 9.2.4 on what must be there."""
        try:
            kid, nonce, token = required(request, USERNAME), required(request, NONCE), required(request, ACCESS_TOKEN)
            required(request, REALM)
        except DecodeError as error:
            return bad_request(error.reason)
        key, cipher = self._ciphers.get(kid, (None, self._stranger))
        try:
            contents = decode_token_untrusted(token, cipher, self.server_name)
        except DecodeError:
            contents = None
        secret = self._nobodys if contents is None else contents.mac_key
        mac_keys = [IntegrityKey(secret[:size]) for size in self._key_sizes]
        right = [mac_key for mac_key in mac_keys if request.verify(mac_key)]  # all of them, so that no time tells which it was
        if key is None or contents is None or (key.expires is not None and key.expires <= asker.unix):  # RFC 7635 4.1.1
            return self._passwords.challenge(401, DropReason.BAD_TOKEN, asker)
        account = f"{kid} {hashlib.blake2b(contents.mac_key, digest_size=_ACCOUNT).hexdigest()}"
        session = Session(kid, right[0] if right else mac_keys[0], contents.timestamp, contents.lifetime, account)
        return self._admit(request, session, nonce, asker, is_right=bool(right))

    def _judge_session(self, request: Message, session: Session, asker: Asker) -> AuthenticationResult:
        try:
            nonce = required(request, NONCE)
            required(request, REALM)
        except DecodeError as error:
            return bad_request(error.reason)
        return self._admit(request, session, nonce, asker, is_right=request.verify(session.key))

    def _admit(self, request: Message, session: Session, nonce: str, asker: Asker, *, is_right: bool) -> AuthenticationResult:
        if not session.lifetime + self._delta > abs(asker.unix - session.timestamp):  # RFC 7635 7
            return self._passwords.challenge(401, DropReason.BAD_TOKEN, asker)
        if not is_right:
            return self._passwords.challenge(401, DropReason.BAD_INTEGRITY, asker)
        if not self._passwords.knows(nonce, asker):
            return self._passwords.challenge(438, DropReason.STALE_NONCE, asker)
        # RFC 7635 knows MESSAGE-INTEGRITY alone; who sends the newer one is answered with it (RFC 8489 9.2.4).
        algorithm = _SHA1 if request.integrity is _SHA1 else _SHA256
        return Authenticated(self.server_name, session.key, algorithm, session)


def _is_of(request: Message, session: Session) -> bool:
    try:
        return request.has_integrity and request.get(USERNAME) == session.username
    except DecodeError:
        return False
