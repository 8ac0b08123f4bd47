"""Who may ask: users named on the command line, in a file, or by secrets that issue them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from sansice.stun import (
    PASSWORD_MD5,
    PASSWORD_SHA256,
    Found,
    LookupKey,
    PasswordAlgorithm,
    PasswordFile,
    Pending,
    ServerAuthentication,
    StaticUsers,
    TimeLimitedSecrets,
)


@attrs.frozen
class Users:
    """Where users are found; read anew by each `authentication`.

    Attributes:
        given: passwords by name.
        file: of `PasswordFile`.
        secret_files: of `TimeLimitedSecrets`: one secret a line.
        realm: of the long-term mechanism.
    """

    given: Mapping[str, str] = attrs.field(repr=False)
    file: str | None
    secret_files: Sequence[str]
    realm: str

    def authentication(self) -> ServerAuthentication | None:
        """The mechanism with all of them; ``None`` where nobody was named: then anybody may ask.

        Raises:
            ValueError: a file cannot be read, or what is in it not be used; the text names it.
        """
        if not (self.given or self.file is not None or self.secret_files):
            return None
        try:
            ServerAuthentication(realm=self.realm, lookup_key=_First((), 1))
        except ValueError as error:
            raise ValueError(f"--realm: {error}") from None
        sources: list[LookupKey] = []
        algorithms: tuple[PasswordAlgorithm, ...] = (PASSWORD_SHA256, PASSWORD_MD5)
        if self.given:
            try:
                sources.append(StaticUsers(self.given, self.realm))
            except ValueError as error:
                raise ValueError(f"--user: {error}") from None
        if self.file is not None:
            text = _read(self.file)
            try:
                users = PasswordFile.parse(text, self.realm)
            except ValueError as error:
                raise ValueError(f"{self.file}: {error}") from None
            algorithms = users.algorithms
            sources.append(users)
        secrets = [line.strip() for path in self.secret_files for line in _read(path).splitlines() if line.strip()]
        if self.secret_files:
            if not secrets:
                raise ValueError(f"{', '.join(self.secret_files)}: there is no secret in it")
            sources.append(TimeLimitedSecrets(*secrets))
        lookup = _First(sources, max(1, len(secrets)))
        return ServerAuthentication(realm=self.realm, lookup_key=lookup, algorithms=algorithms, userhash=not secrets)


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
