"""Who may ask: users named on the command line, in files, by secrets that issue them, or by somebody who is asked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import attrs

from sansice.stun import (
    PASSWORD_MD5,
    PASSWORD_SHA256,
    Found,
    Listener,
    LookupKey,
    PasswordAlgorithm,
    PasswordFile,
    Pending,
    ServerAuthentication,
    StaticUsers,
    TimeLimitedSecrets,
    parse_listeners,
)

DEFAULT_REALM = "sansice"
_SHORTEST_KEY = 16  # bytes of a nonce key's file: fewer can be guessed


@attrs.frozen
class Realms:
    """The realm of each listener.

    Attributes:
        default: of all listeners that none is named for.
        own: of the others.
    """

    default: str = DEFAULT_REALM
    own: Mapping[Listener, str] = attrs.field(factory=dict)

    @classmethod
    def parse(cls, texts: Iterable[str], listeners: Sequence[Listener]) -> Realms:
        """Read ``NAME`` and ``LISTENER=NAME``, the listener written as in ``--listen``.

        Raises:
            ValueError: two realms for one place, or one for a place where nobody listens.
        """
        default: str | None = None
        own: dict[Listener, str] = {}
        for text in texts:
            places, name = _placed(text)
            if places is None:
                if default is not None:
                    raise ValueError(f"--realm: {default!r} and {name!r} are both for every listener; say LISTENER=NAME")
                default = name
                continue
            meant = [one for one in listeners if any((one.transport, one.address) == (p.transport, p.address) for p in places)]
            if not meant:
                raise ValueError(f"--realm {text}: there is no such listener")
            for one in meant:
                if one in own:
                    raise ValueError(f"--realm: {one} is given two, {own[one]!r} and {name!r}")
                own[one] = name
        return cls(DEFAULT_REALM if default is None else default, own)

    @property
    def names(self) -> tuple[str, ...]:
        """All of them, each once."""
        return tuple(dict.fromkeys((self.default, *self.own.values())))


def _placed(text: str) -> tuple[tuple[Listener, ...] | None, str]:
    place, equals, name = text.partition("=")
    if equals:
        try:
            return parse_listeners(place), name
        except ValueError:
            pass  # a realm may hold the sign itself
    return None, text


@attrs.frozen(kw_only=True)
class Users:
    """Where users are found.

    Attributes:
        given: passwords by name.
        files: of `PasswordFile`.
        secret_files: of `TimeLimitedSecrets`: one secret a line.
        url, command: who is asked about all others.
        nonce_key: file with the secret of the nonces.
    """

    given: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    files: Sequence[str] = ()
    secret_files: Sequence[str] = ()
    url: str | None = None
    command: Sequence[str] = ()
    nonce_key: str | None = None

    @property
    def are_named(self) -> bool:
        """Whether there is any source: otherwise nobody can be asked for credentials."""
        return bool(self.given or self.files or self.secret_files or self.are_elsewhere)

    @property
    def are_elsewhere(self) -> bool:
        """Whether somebody has to be asked, which takes time."""
        return bool(self.url or self.command)

    def read(self) -> Material:
        """Read all files.

        Raises:
            ValueError: one cannot be read, or what is in it not be used; the text names it.
        """
        secrets = tuple(line.strip() for path in self.secret_files for line in _read(path).splitlines() if line.strip())
        if self.secret_files and not secrets:
            raise ValueError(f"{', '.join(self.secret_files)}: there is no secret in it")
        return Material(
            given=self.given,
            texts=tuple((path, _read(path)) for path in self.files),
            secrets=secrets,
            nonce_key=None if self.nonce_key is None else _read_key(self.nonce_key),
        )


@attrs.frozen(kw_only=True)
class Material:
    """Who is named, and what the files of `Users` hold: it can be handed to another process, and outlives a file that breaks.

    Attributes:
        given: passwords by name.
        texts: path and content of the files with users.
        secrets: of all files together.
        nonce_key: 32 bytes, or ``None``.
    """

    given: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    texts: Sequence[tuple[str, str]] = attrs.field(default=(), repr=False)
    secrets: Sequence[str] = attrs.field(default=(), repr=False)
    nonce_key: bytes | None = attrs.field(default=None, repr=False)

    @property
    def names_anybody(self) -> bool:
        """Whether there is any user, or a way to issue some."""
        return bool(self.given or self.texts or self.secrets)


def authentication(
    material: Material, realm: str, *, elsewhere: LookupKey | None = None, others: Sequence[str] = ()
) -> ServerAuthentication:
    """The mechanism with all users of a realm.

    Args:
        material: who they are.
        realm: whose users.
        elsewhere: knows those that were asked about, and says `PENDING` of others.
        others: realms that the same files have users for as well.

    Raises:
        ValueError: something cannot be used; the text names it.
    """
    try:
        ServerAuthentication(realm=realm, lookup_key=_First((), 1))
    except ValueError as error:
        raise ValueError(f"--realm: {error}") from None
    sources: list[LookupKey] = []
    algorithms: tuple[PasswordAlgorithm, ...] = (PASSWORD_SHA256, PASSWORD_MD5)
    if material.given:
        try:
            sources.append(StaticUsers(material.given, realm))
        except ValueError as error:
            raise ValueError(f"--user: {error}") from None
    for path, text in material.texts:
        try:
            found = PasswordFile.parse(_of_realm(text, realm, others), realm)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        if len(found.algorithms) < len(algorithms):
            algorithms = found.algorithms
        sources.append(found)
    if material.secrets:
        sources.append(TimeLimitedSecrets(*material.secrets))
    if elsewhere is not None:
        sources.append(elsewhere)
    # Neither a secret nor somebody who is asked finds a user by a hash of the name.
    userhash = not material.secrets and elsewhere is None
    lookup = _First(sources, max(1, len(material.secrets)))
    keys = () if material.nonce_key is None else (material.nonce_key,)
    return ServerAuthentication(realm=realm, lookup_key=lookup, algorithms=algorithms, userhash=userhash, nonce_keys=keys)


def _of_realm(text: str, realm: str, others: Sequence[str]) -> str:
    """The text without the lines that have keys of another of our realms: empty, so that the others keep their numbers."""
    strangers = [other for other in others if other != realm]
    if not strangers:
        return text
    return "\n".join("" if line.count(":") >= 2 and line.split(":")[1] in strangers else line for line in text.splitlines())


@attrs.frozen
class _First:
    """The keys of the first source that knows the user."""

    _sources: Sequence[LookupKey]
    keys_per_user: int

    def __call__(self, username: str | bytes, realm: str, unix: float) -> Found | Pending:
        for source in self._sources:
            found = source(username, realm, unix)
            if found is not None:
                return found
        return None


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path}: it is not UTF-8") from None


def _read_key(path: str) -> bytes:
    try:
        content = Path(path).read_bytes().strip()
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    if len(content) < _SHORTEST_KEY:
        raise ValueError(f"{path}: a nonce key has {_SHORTEST_KEY} bytes at least; make one with: openssl rand -hex 32")
    return hashlib.blake2b(content, digest_size=32, person=b"sansice nonce").digest()
