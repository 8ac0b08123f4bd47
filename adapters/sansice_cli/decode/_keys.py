"""Which key protects a message: all that a password makes are tried (RFC 8489 9.1.1, 9.2.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hmac import compare_digest

from sansice.stun import IntegrityKey, long_term_key, short_term_key

MAX_PAIRS = 64  # names with realms that are remembered; each costs two keys for a message whose own are not known


class Keys:
    """The keys that a password makes.

    A response carries neither name nor realm, so those of the messages before are remembered.

    Args:
        password: the user's, or the ICE password of the end that the requests go to.
        username, realm: of the long-term mechanism; what is not given is taken from the messages.

    Raises:
        ValueError: RFC 8265 forbids the password, the name or the realm.
    """

    def __init__(self, password: str, username: str | None = None, realm: str | None = None) -> None:
        self._password = password
        self._username = username
        self._realm = realm
        self._names: dict[str, None] = {}
        self._realms: dict[str, None] = {}
        self._is_hidden = False
        self._short_term = short_term_key(password)
        long_term_key(username or "x", realm or "x", password)  # raises now rather than later

    @property
    def lacks_name(self) -> bool:
        """Whether a message hid its user's name behind USERHASH, and none was given."""
        return self._is_hidden and self._username is None

    def saw(self, username: str | None, realm: str | None, *, is_hidden: bool = False) -> None:
        """Note what a message says of itself; the last said is tried first."""
        self._is_hidden = self._is_hidden or is_hidden
        for known, said in ((self._names, username), (self._realms, realm)):
            if said is not None:
                known.pop(said, None)
                known[said] = None
                if len(known) > MAX_PAIRS // 8:
                    del known[next(iter(known))]

    def find(self, protects: Callable[[IntegrityKey], bytes], digest: bytes) -> str | None:
        """The name of the key for which ``protects`` makes ``digest``, or ``None``."""
        for name, key in self._candidates():
            if compare_digest(protects(key)[: len(digest)], digest):
                return name
        return None

    def _candidates(self) -> Iterator[tuple[str, IntegrityKey]]:
        yield "short-term", self._short_term
        names = [self._username] if self._username is not None else list(reversed(self._names))
        realms = [self._realm] if self._realm is not None else list(reversed(self._realms))
        for name in names:
            for realm in realms:
                for sha256, label in ((False, "long-term, MD5"), (True, "long-term, SHA-256")):
                    try:
                        yield label, long_term_key(name, realm, self._password, sha256=sha256)
                    except ValueError:  # a realm that RFC 8265 forbids makes no key
                        continue
