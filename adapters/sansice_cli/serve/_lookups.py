"""Users that somebody else knows: what was answered is kept, what is being asked is asked once, and all of it is bounded.

The server is told `PENDING` and goes on; the answer comes by `CredentialRequested` and ``provide_key``. Nobody is known before
he has proved who he is, so strangers can have any name looked up: those that do not exist are kept apart, for a shorter time,
and cannot push those out that do.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

import attrs

from sansice.stun import PENDING, Found, IntegrityKey, Pending, RequestId, UserKeys

T = TypeVar("T")

MAX_KNOWN = 10_000  # users whose keys are kept: some hundred bytes each
MAX_UNKNOWN = 10_000  # names that nobody has
UNKNOWN_LIFETIME = 5.0  # seconds: somebody who was just made a user should not wait long
MAX_ASKED = 500  # names that are being asked about; a server keeps no more than 1,000 requests waiting either
MAX_LIFETIME = 86_400.0  # seconds: an answer that says more is no cache any more but a second list of users


@attrs.frozen
class Answer:
    """What was said of a user.

    Attributes:
        keys: ``None``: there is no such user.
        lifetime: seconds for which it is good; ``None``: whatever is usual.
    """

    keys: UserKeys | None
    lifetime: float | None = None


def read_answer(username: str, realm: str, content: object) -> Answer:
    """Read a JSON object: ``password``, or ``md5`` and ``sha256`` in hexadecimal; and maybe ``ttl`` in seconds.

    Raises:
        ValueError: it is something else. The text shows nothing of it: it may hold a password.
    """
    if not isinstance(content, dict):
        raise ValueError("the answer is no JSON object")
    lifetime = content.get("ttl")
    if lifetime is not None and not (isinstance(lifetime, (int, float)) and 0 <= lifetime <= MAX_LIFETIME):
        raise ValueError(f"ttl is not a number of seconds up to {MAX_LIFETIME:g}")
    password = content.get("password")
    if isinstance(password, str):
        return Answer(UserKeys.of_password(username, password, realm), lifetime)
    md5, sha256 = _key(content.get("md5"), 16, "md5"), _key(content.get("sha256"), 32, "sha256")
    if md5 is None and sha256 is None:
        raise ValueError("the answer has neither password nor md5 nor sha256")
    return Answer(UserKeys(username, md5=md5, sha256=sha256), lifetime)


def _key(text: object, size: int, name: str) -> IntegrityKey | None:
    if text is None:
        return None
    try:
        key = bytes.fromhex(text) if isinstance(text, str) else b""
    except ValueError:
        key = b""
    if len(key) != size:
        raise ValueError(f"{name} is not {2 * size} hexadecimal digits")
    return IntegrityKey(key)


class Lookups:
    """What is known, and who waits for what is being asked.

    As a `LookupKey` it answers at once, `PENDING` included.

    Args:
        lifetime: seconds for which an answer is good that does not say.
        provide: hands the keys to the server.

    Attributes:
        refused: requests that were left to their deadline because too much was being asked already.
        failures: questions that had no answer.
    """

    def __init__(self, lifetime: float, provide: Callable[[RequestId, Found], object]) -> None:
        self._lifetime = lifetime
        self._provide = provide
        self._known: OrderedDict[tuple[str, str], tuple[float, UserKeys]] = OrderedDict()
        self._unknown: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._asked: dict[tuple[str, str], list[RequestId]] = {}
        self.refused = 0
        self.failures = 0

    def __call__(self, username: str | bytes, realm: str, unix: float) -> Found | Pending:
        """The keys of a user, or `PENDING`."""
        if isinstance(username, bytes):
            return None
        who = username, realm
        known = self._known.get(who)
        if known is not None and unix < known[0]:
            return known[1]
        if unix < self._unknown.get(who, 0.0):
            return None
        return PENDING

    def want(self, id: RequestId, username: str | bytes, realm: str) -> tuple[str, str] | None:
        """A request waits for a user's keys: whom to ask about now; ``None`` where that is being done already, or too much is."""
        if isinstance(username, bytes):
            self._provide(id, None)
            return None
        who = username, realm
        waiting = self._asked.get(who)
        if waiting is not None:
            waiting.append(id)
            return None
        if len(self._asked) >= MAX_ASKED:
            self.refused += 1
            return None
        self._asked[who] = [id]
        return who

    def answered(self, who: tuple[str, str], answer: Answer, unix: float) -> None:
        """Keep an answer, and have the server go on with all requests that waited for it."""
        if answer.keys is None:
            _keep(self._unknown, who, unix + min(UNKNOWN_LIFETIME, self._lifetime), MAX_UNKNOWN)
        else:
            lifetime = self._lifetime if answer.lifetime is None else answer.lifetime
            _keep(self._known, who, (unix + lifetime, answer.keys), MAX_KNOWN)
            self._unknown.pop(who, None)
        for id in self._asked.pop(who, ()):
            self._provide(id, answer.keys)

    def failed(self, who: tuple[str, str]) -> None:
        """Nobody could be asked. Whoever waited is answered with 500 at the deadline: a 401 would say that he does not exist."""
        self.failures += 1
        self._asked.pop(who, None)

    def forget(self) -> None:
        """Ask anew about everybody."""
        self._known.clear()
        self._unknown.clear()


def _keep(table: OrderedDict[tuple[str, str], T], who: tuple[str, str], value: T, limit: int) -> None:
    table[who] = value
    table.move_to_end(who)
    if len(table) > limit:
        table.popitem(last=False)
