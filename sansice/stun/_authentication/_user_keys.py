"""Where a server finds the keys of its users (RFC 8489 9.1.1, 9.2.2)."""

from __future__ import annotations

import base64
import enum
import hmac
from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

import attrs

from sansice.stun._integrity import IntegrityKey, long_term_key, short_term_key, userhash
from sansice.stun._opaque_string import opaque_string
from sansice.stun._security import PASSWORD_MD5, PASSWORD_SHA256
from sansice.stun._values import PasswordAlgorithm


class _Pending(enum.Enum):
    PENDING = "the keys come later"


Pending: TypeAlias = Literal[_Pending.PENDING]
PENDING: Pending = _Pending.PENDING
"""What `LookupKey` answers where the keys are not at hand and somebody will provide them."""


@attrs.frozen
class UserKeys:
    """One password of a user, as the keys that it makes. The password itself is not kept.

    Attributes:
        username: as in USERNAME; what the application is told where the request has only a USERHASH.
        short_term: for the short-term mechanism.
        md5, sha256: for the long-term mechanism, by password algorithm; ``None`` where it cannot be made.
    """

    username: str
    short_term: IntegrityKey | None = attrs.field(default=None, repr=False)
    md5: IntegrityKey | None = attrs.field(default=None, repr=False)
    sha256: IntegrityKey | None = attrs.field(default=None, repr=False)

    @classmethod
    def of_password(cls, username: str, password: str, realm: str | None = None) -> UserKeys:
        """The keys that a password makes: the two long-term ones in a realm, the short-term one without.

        Raises:
            ValueError: RFC 8265 forbids one of the texts.
            PrecisRequiredError: one of them is not ASCII, and precis-i18n is not installed.
        """
        username = opaque_string(username)
        if realm is None:
            return cls(username, short_term=short_term_key(password))
        return cls(
            username,
            md5=long_term_key(username, realm, password),
            sha256=long_term_key(username, realm, password, sha256=True),
        )


Found: TypeAlias = UserKeys | tuple[UserKeys, ...] | None
"""The keys of a user; several sets where one secret is being replaced by another; ``None``: there is no such user."""

LookupKey: TypeAlias = Callable[[str | bytes, str, float], Found | Pending]
"""``lookup_key(username, realm, unix)``: a pure function of its arguments.

``username`` is the text of USERNAME, or the 32 bytes of USERHASH; ``realm`` is the server's, "" with the short-term
mechanism; ``unix`` is seconds of the wall clock, for credentials that expire.
"""


class StaticUsers:
    """A `LookupKey` of users that do not change: names and their passwords.

    Users are found by USERHASH as well.

    Args:
        users: passwords by name.
        realm: "" for the short-term mechanism.

    Raises:
        ValueError: RFC 8265 forbids a name, a password or the realm.
        PrecisRequiredError: one of them is not ASCII, and precis-i18n is not installed.
    """

    __slots__ = ("_keys", "_realm")

    def __init__(self, users: Mapping[str, str], realm: str = "") -> None:
        self._realm = realm
        keys = [UserKeys.of_password(name, password, realm or None) for name, password in users.items()]
        self._keys = _by_name_and_hash(keys, realm)

    def __call__(self, username: str | bytes, realm: str, unix: float) -> UserKeys | None:
        """The keys of a user."""
        return self._keys.get(username) if realm == self._realm else None

    def __repr__(self) -> str:
        return f"StaticUsers(realm={self._realm!r})"


def _by_name_and_hash(keys: list[UserKeys], realm: str) -> dict[str | bytes, UserKeys]:
    table: dict[str | bytes, UserKeys] = {one.username: one for one in keys}
    if realm:
        table.update((userhash(one.username, realm), one) for one in keys)
    return table


class TimeLimitedSecrets:
    """A `LookupKey` of users that carry their own expiry: the "REST" scheme of TURN services.

    A user name is ``EXPIRY:NAME``, the expiry in seconds of the wall clock (``EXPIRY`` alone is a user without a name);
    its password is the Base64 of HMAC-SHA1 of the whole user name under a secret that the service and the servers
    share. So nobody needs to tell the servers who the users are, and a credential that leaked is soon worth nothing.

    Several secrets may be good at once, so that one can be replaced by another: credentials are issued with the first.
    A USERHASH tells no expiry, so nobody is found by it.

    Args:
        secrets: one or more, none of them empty.
        separator: what stands between expiry and name.

    Raises:
        ValueError: no secret, or an empty one; an empty separator.
    """

    __slots__ = ("_secrets", "_separator", "keys_per_user")

    keys_per_user: int
    """How many sets of keys a user has: one for each secret."""

    def __init__(self, *secrets: str, separator: str = ":") -> None:
        if not secrets or not all(secrets) or not separator:
            raise ValueError("at least one secret is needed, and neither a secret nor the separator may be empty")
        self._secrets = tuple(secret.encode() for secret in secrets)
        self._separator = separator
        self.keys_per_user = len(secrets)

    def issue(self, user: str, *, lifetime: float, unix: float) -> tuple[str, str]:
        """A user name and its password, good for ``lifetime`` seconds from ``unix`` on; a fraction of a second is lost.

        Raises:
            ValueError: RFC 8265 forbids the name.
        """
        expiry = str(int(unix + lifetime))
        username = opaque_string(f"{expiry}{self._separator}{user}" if user else expiry)
        return username, _time_limited_password(self._secrets[0], username)

    def __call__(self, username: str | bytes, realm: str, unix: float) -> tuple[UserKeys, ...] | None:
        """The keys of a user whose time is not over."""
        if isinstance(username, bytes):
            return None
        expiry = username.partition(self._separator)[0]
        if not _is_expiry(expiry) or int(expiry) <= unix:
            return None
        try:
            return tuple(
                UserKeys.of_password(username, _time_limited_password(secret, username), realm or None)
                for secret in self._secrets
            )
        except ValueError:  # a name that nobody was issued
            return None

    def account(self, username: str) -> str:
        """Whose a user name is: what stands behind the expiry, or the whole name where nothing does.

        For quotas: whoever gets a new name each minute is still one user.
        """
        expiry, _, user = username.partition(self._separator)
        return user if user and _is_expiry(expiry) else username

    def __repr__(self) -> str:
        return f"TimeLimitedSecrets({self.keys_per_user} secrets)"


_EXPIRY_DIGITS = 15  # seconds for 31 million years; int() of a longer text would only cost time


def _is_expiry(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _EXPIRY_DIGITS


def _time_limited_password(secret: bytes, username: str) -> str:
    return base64.b64encode(hmac.digest(secret, username.encode(), "sha1")).decode()


class PasswordFile:
    """A `LookupKey` of a text with one user a line, made by `parse`.

    Users are found by USERHASH as well.

    Attributes:
        algorithms: what every user has a key for: what a server may offer in PASSWORD-ALGORITHMS.
    """

    __slots__ = ("_keys", "_realm", "algorithms")

    algorithms: tuple[PasswordAlgorithm, ...]

    def __init__(self, keys: list[UserKeys], realm: str) -> None:
        self._realm = realm
        self._keys = _by_name_and_hash(keys, realm)
        every = all(one.sha256 is not None for one in keys)
        self.algorithms = (PASSWORD_SHA256, PASSWORD_MD5) if every else (PASSWORD_MD5,)

    @classmethod
    def parse(cls, text: str, realm: str) -> PasswordFile:
        """Read lines of ``NAME:PASSWORD``, or ``NAME:REALM:MD5[:SHA256]`` with keys in hexadecimal (RFC 8489 18.5.1).

        Empty lines and lines that begin with ``#`` are skipped. A password has no colon; one that has is written as
        its keys.

        Args:
            text: the whole file.
            realm: the server's, which every line with a realm must name.

        Raises:
            ValueError: a line cannot be read. It is named by its number; no password is shown.
        """
        found: dict[str, tuple[int, UserKeys]] = {}
        opaque_string(realm)
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            try:
                keys = _read_user(line, realm)
                if keys.username in found:
                    raise ValueError(f"user {keys.username!r} is in line {found[keys.username][0]} already")
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None
            found[keys.username] = number, keys
        return cls([keys for _, keys in found.values()], realm)

    def __call__(self, username: str | bytes, realm: str, unix: float) -> UserKeys | None:
        """The keys of a user."""
        return self._keys.get(username) if realm == self._realm else None

    def __len__(self) -> int:
        return sum(isinstance(name, str) for name in self._keys)

    def __repr__(self) -> str:
        return f"PasswordFile({len(self)} users, realm={self._realm!r})"


def _read_user(line: str, realm: str) -> UserKeys:
    match line.split(":"):
        case [name, password]:
            return UserKeys.of_password(name, password, realm)
        case [name, of_realm, md5] | [name, of_realm, md5, _]:
            if of_realm != realm:
                raise ValueError(f"the realm is not the server's, {realm!r} (and a password cannot have a colon)")
            sha256 = line.split(":")[3:]
            return UserKeys(opaque_string(name), md5=_read_key(md5, 16), sha256=_read_key(sha256[0], 32) if sha256 else None)
        case _:
            raise ValueError("neither NAME:PASSWORD nor NAME:REALM:MD5[:SHA256]")


def _read_key(text: str, size: int) -> IntegrityKey:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != size:
        raise ValueError(f"a key is not {2 * size} hexadecimal digits")
    return IntegrityKey(key)
