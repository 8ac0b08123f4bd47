"""How answers leave a server: counted, and no larger than the question allows (RFC 8489 16.1.1)."""

from __future__ import annotations

from typing import Final

from sansice.machine import Action, Event, SendDatagram, SendStream, Transport
from sansice.stun._attributes import ERROR_CODE
from sansice.stun._header import MessageClass
from sansice.stun._paths import Path
from sansice.stun._values import ErrorCode

from ._answers import Attributes, encode_answer
from ._binding_answer import PLAIN_ANSWER_IPV4, PLAIN_ANSWER_IPV6
from ._config import StunServerConfig
from ._rate_limit import PrefixLimiter
from ._requests import Exchange
from ._stats import StunServerStats

AMPLIFICATION: Final = 1.6
"""How much larger than an unauthenticated request its answer may be, without counting as several requests."""

_HEADERS_IPV4, _HEADERS_IPV6 = 28, 48  # bytes of IP and UDP, without options

_ERROR = MessageClass.ERROR
_UDP = Transport.UDP


class Answerer:
    """Counts answers, charges what they cost, and sends them.

    Args:
        config: the server's.
        stats: the server's.
        limiter: of source prefixes, where there is one.
    """

    __slots__ = ("_config", "_limiter", "_stats")

    def __init__(self, config: StunServerConfig, stats: StunServerStats, limiter: PrefixLimiter | None) -> None:
        self._config = config
        self._stats = stats
        self._limiter = limiter

    def refusal(self, exchange: Exchange, code: int, reason: str, attributes: Attributes) -> bytes:
        """An error response. Words are for people, and a spoofed source pays for none."""
        words = reason if exchange.key is not None or exchange.path.reliable else ""
        return encode_answer(self._config, exchange, _ERROR, ((ERROR_CODE, ErrorCode(code, words)), *attributes))

    def is_modest(self, exchange: Exchange, answer: bytes) -> bool:
        """Whether an answer to somebody unknown is within ``max_amplification``, IP and UDP headers counted.

        Over streams, and over DTLS after its cookie, nobody can forge a source.
        """
        bound = self._config.max_amplification
        if bound is None or exchange.path.transport is not _UDP:
            return True
        headers = _HEADERS_IPV6 if exchange.path.remote.is_ipv6 else _HEADERS_IPV4
        return headers + len(answer) <= bound * (headers + len(exchange.request.data))

    def send(
        self,
        exchange: Exchange,
        answer: bytes,
        outputs: list[Action | Event],
        *,
        path: Path | None = None,
        code: int | None = None,
        now: float,
    ) -> None:
        """Send an answer.

        Args:
            exchange: the request.
            answer: the message.
            outputs: where the action goes.
            path: where the answer goes, if not where the request came from.
            code: of an error, 0 for success; ``None`` for an answer that was counted before.
            now: monotonic seconds.
        """
        if code is not None:
            self.count(code)
        path = path or exchange.path
        if path.reliable:
            outputs.append(SendStream(path.socket, answer))
            return
        self.charge(path, len(exchange.request.data), len(answer), now)
        outputs.append(SendDatagram(path.socket, path.remote, answer))

    def count(self, code: int) -> None:
        """Count an answer: an error, or success with the code 0."""
        if code:
            self._stats.errors[code] += 1
        else:
            self._stats.responses += 1

    def charge(self, path: Path, asked: int, answered: int, now: float) -> None:
        """Count an answer that is larger than it should be as several."""
        allowed = max(AMPLIFICATION * asked, PLAIN_ANSWER_IPV6 if path.remote.is_ipv6 else PLAIN_ANSWER_IPV4)
        if self._limiter is not None and answered > allowed:
            self._limiter.charge(path.remote.host, now, answered / allowed - 1)
