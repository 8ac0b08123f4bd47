"""The client's half of the credential mechanisms (RFC 8489 9.1.2, 9.1.5, 9.2.3, 9.2.5, RFC 7635 5, 8, 9)."""

from __future__ import annotations

import enum
from typing import Any

import attrs

from sansice.machine import DecodeError, LocalProtocolError
from sansice.stun._attributes import (
    ACCESS_TOKEN,
    NONCE,
    PASSWORD_ALGORITHM,
    PASSWORD_ALGORITHMS,
    REALM,
    THIRD_PARTY_AUTHORIZATION,
    USERHASH,
    USERNAME,
    Attribute,
)
from sansice.stun._header import Method
from sansice.stun._integrity import IntegrityAlgorithm, IntegrityKey, long_term_key, short_term_key, userhash
from sansice.stun._message import Message
from sansice.stun._security import (
    PASSWORD_MD5,
    PASSWORD_SHA256,
    AlgorithmChoice,
    SecurityFeatures,
    first_supported,
    hides_algorithms,
    nonce_features,
)
from sansice.stun._transaction import TransactionFailed, TransactionSucceeded
from sansice.stun._values import PasswordAlgorithm

from ._credentials import AccessToken, Credentials, LongTermCredentials, ShortTermCredentials

# Ours: how often in a row what a server has just sent may turn out to be out of date. Once is a nonce that got old; the
# second time is for a server that was restarted, or got another realm, in between.
MAX_CHALLENGES = 2

_UNAUTHENTICATED = 401
_STALE_NONCE = 438
_CHALLENGES = (_UNAUTHENTICATED, _STALE_NONCE)


@attrs.frozen
class Protection:
    """What a request carries for its authentication.

    Attributes:
        attributes: to be put into the request, after its own.
        key: for `encode` and the transaction; ``None``: the request is bare.
        algorithm: for `encode` and the transaction.
        realm: what REALM in ``attributes`` says, "" without.
    """

    attributes: tuple[tuple[Attribute[Any], Any], ...] = attrs.field(default=(), repr=False)
    key: IntegrityKey | None = attrs.field(default=None, repr=False)
    algorithm: IntegrityAlgorithm = IntegrityAlgorithm.SHA1
    realm: str = ""


class Verdict(enum.Enum):
    """What to do with the end of a transaction."""

    FINAL = "tell the application"
    RETRY = "send the request again, as a new transaction, with new protection"


BARE = Protection()

# Their allocation was made with a token, and remembers its session key (RFC 7635 9).
_OF_AN_ALLOCATION = (Method.CREATE_PERMISSION, Method.CHANNEL_BIND, Method.CONNECT, Method.CONNECTION_BIND)


class ClientAuthentication:
    """How requests to one server, one address and port, are authenticated; learns from its responses.

    Ask `protect` for every request, give what it said to `encode` and to `StunTransaction` (with ``long_term`` as
    `long_term` says), and show every end of a transaction to `handle_response`, which says whether to try again.
    Several requests may be on their way at once. Retries are bounded, whatever the server says.

    Args:
        credentials: ``None`` for none: requests are bare.
        choose: picks the password algorithm from the server's list; TURN has a rule of its own, `strongest_supported`.
    """

    __slots__ = ("_challenges", "_choose", "_long_term", "_offered", "_protection", "_token", "_tokenless", "problem")

    problem: str
    """Why the last challenge could not be answered, in words for a person; "" while there is no reason."""

    def __init__(
        self,
        credentials: Credentials | None = None,
        *,
        choose: AlgorithmChoice = first_supported,
    ) -> None:
        self._choose = choose
        self._protection = BARE
        self._tokenless: Protection | None = None  # the same, where a request shows no token
        self._long_term: LongTermCredentials | None = None
        self._token: AccessToken | None = None
        self._offered: tuple[PasswordAlgorithm, ...] | None = None
        self._challenges = 0  # that changed something, since a request was last accepted
        self.problem = ""
        if isinstance(credentials, ShortTermCredentials):
            algorithm = credentials.algorithm or IntegrityAlgorithm.BOTH  # RFC 8489 9.1.2
            self._protection = Protection(((USERNAME, credentials.username),), short_term_key(credentials.password), algorithm)
        elif isinstance(credentials, AccessToken):
            self._token = credentials
            self._long_term = credentials.first_party
        else:
            self._long_term = credentials

    @property
    def long_term(self) -> bool:
        """Whether transactions follow the rules of the long-term mechanism."""
        return self._long_term is not None or self._token is not None

    def protect(self, method: Method = Method.ALLOCATE) -> Protection:
        """What the next request carries.

        With long-term credentials the first request is bare: the server has to tell its realm first (RFC 8489 9.2.3.1).

        Args:
            method: of the request: those that are about an allocation show no access token (RFC 7635 9).
        """
        return self._tokenless if self._tokenless is not None and method in _OF_AN_ALLOCATION else self._protection

    def protect_indication(self) -> Protection:
        """What the next indication carries: nothing with long-term credentials, for it cannot be challenged (RFC 8489 9.2)."""
        return BARE if self.long_term else self._protection

    def renew(self, token: AccessToken) -> None:
        """Use another access token from now on, before the one in use expires (RFC 7635 8, 9).

        Raises:
            LocalProtocolError: this authentication was not made with one.
        """
        if self._token is None:
            raise LocalProtocolError("renew(): there is no access token that another could take the place of")
        shown = self._tokenless is not None
        self._token = token
        self._long_term = token.first_party
        if shown:
            attributes = dict(self._protection.attributes)
            self._show(token, attributes[REALM], attributes[NONCE])

    def handle_response(self, event: TransactionSucceeded | TransactionFailed, sent: Protection) -> Verdict:
        """Learn from the end of a transaction.

        Args:
            event: what the transaction said, a timeout excepted.
            sent: what its request carried.
        """
        if not self.long_term:
            self._learn_algorithm(event)
            return Verdict.FINAL
        if isinstance(event, TransactionFailed) and event.response is not None and event.code in _CHALLENGES:
            self.problem = self._answer_challenge(event.code, event.response, sent)
            if not self.problem:
                return Verdict.RETRY
        if isinstance(event, TransactionFailed) or sent.key is not None:
            self._challenges = 0
        return Verdict.FINAL

    def _learn_algorithm(self, event: TransactionSucceeded | TransactionFailed) -> None:
        """Use only what the server's first authentic response used (RFC 8489 9.1.5)."""
        response = event.response
        if self._protection.algorithm is not IntegrityAlgorithm.BOTH or response is None:
            return
        if isinstance(event, TransactionFailed) and not event.authenticated:
            return
        one = IntegrityAlgorithm.SHA1 if response.integrity is IntegrityAlgorithm.SHA1 else IntegrityAlgorithm.SHA256
        self._protection = attrs.evolve(self._protection, algorithm=one)

    def _answer_challenge(self, code: int, response: Message, sent: Protection) -> str:
        """Learn what the server wants to see (RFC 8489 9.2.5); why that is of no use, "" where it is."""
        if hides_algorithms(response):
            return "the server's nonce promises password algorithms that its response does not list: somebody removed them"
        if sent is not self._protection and sent is not self._tokenless:
            return ""  # Another request has learned something since, which may well do.
        try:
            realm, nonce, offered = response.get(REALM), response.get(NONCE), response.get(PASSWORD_ALGORITHMS)
        except DecodeError as error:
            return f"the server's challenge cannot be read: {error}"
        if code == _STALE_NONCE and realm is None:
            realm = sent.realm
        if not realm or nonce is None:
            return "the server's challenge has no realm or no nonce"
        if sent.key is not None:
            if code == _UNAUTHENTICATED and realm == sent.realm:
                what = "user name or the password" if self._tokenless is None else "access token: it may have expired"
                return f"the server refuses the {what}"
            self._challenges += 1
            if self._challenges > MAX_CHALLENGES:
                return "the server refuses again and again what it has just sent"
        # What was offered once stays: who removes the list later, from a nonce without a promise, shall not bring back
        # MD5 and SHA-1 (RFC 8489 9.2.5, last paragraph).
        if offered is None:
            offered = self._offered
        # Whoever asks for tokens is shown one, whatever else he takes (RFC 7635 6.1); a stale nonce changes nothing about that.
        asked = THIRD_PARTY_AUTHORIZATION in response or (code == _STALE_NONCE and self._tokenless is not None)
        try:
            if self._token is not None and asked:
                self._show(self._token, realm, nonce)
            elif self._long_term is not None:
                self._tokenless = None
                self._protection = self._with(self._long_term, realm, nonce, offered)
            else:
                return "the server asks for a user name and a password, and takes no access tokens"
        except ValueError as error:
            return f"the server's challenge cannot be answered: {error}"
        self._offered = offered
        return ""

    def _show(self, token: AccessToken, realm: str, nonce: str) -> None:
        """Show a token from now on. Its key is used as it is (RFC 7635 5), for MESSAGE-INTEGRITY.

        Raises:
            ValueError: realm or nonce are longer than may be sent.
        """
        common = ((USERNAME, token.kid), (NONCE, nonce), (REALM, realm))
        for attribute, value in common:
            attribute.pack(value, b"")
        key = IntegrityKey(token.mac_key)
        self._protection = Protection(((ACCESS_TOKEN, token.token), *common), key, IntegrityAlgorithm.SHA1, realm)
        self._tokenless = Protection(common, key, IntegrityAlgorithm.SHA1, realm)

    def _with(
        self, credentials: LongTermCredentials, realm: str, nonce: str, offered: tuple[PasswordAlgorithm, ...] | None
    ) -> Protection:
        """How requests are protected from now on.

        Raises:
            ValueError: the server wants what cannot be.
        """
        attributes: list[tuple[Attribute[Any], Any]] = [(NONCE, nonce), (REALM, realm)]
        chosen = PASSWORD_MD5
        if offered is not None:
            choice = self._choose(offered)
            if choice is None:
                raise ValueError("none of its password algorithms is known here")
            chosen = choice
            attributes += [(PASSWORD_ALGORITHMS, offered), (PASSWORD_ALGORITHM, chosen)]
        name = credentials.username
        if nonce_features(nonce) & SecurityFeatures.USERNAME_ANONYMITY:
            attributes.insert(0, (USERHASH, userhash(name, realm)))
        else:
            attributes.insert(0, (USERNAME, name))
        for attribute, value in attributes:
            attribute.pack(value, b"")  # more may be received than may be sent (RFC 8489 14.9, 14.10)
        key = long_term_key(name, realm, credentials.password, sha256=chosen == PASSWORD_SHA256)
        # A server that lists algorithms knows the newer attribute; of another nobody can tell (RFC 8489 9.2.5).
        algorithm = IntegrityAlgorithm.SHA1 if offered is None else IntegrityAlgorithm.SHA256
        return Protection(tuple(attributes), key, algorithm, realm)
