"""Consent to go on sending on the pair in use (RFC 7675)."""

from __future__ import annotations

import enum
import math

from sansice.ice._config import IceConfig
from sansice.ice._pair import Pair
from sansice.machine import DecodeError, DropReason, Entropy
from sansice.stun import ERROR_CODE, XOR_MAPPED_ADDRESS, Message, MessageClass, TransactionId

_REVOKED = 403  # RFC 7675 5.2
QUIET_CHECKS = 2  # in a row without an answer: with 5 % loss one alone would be unanswered each minute


class ConsentAnswer(enum.Enum):
    """What an authenticated answer to a consent check says."""

    RENEWED = "the peer consents"
    REVOKED = "the peer wants nothing more"
    NEITHER = "another error"


class Consent:
    """The clock of the pair in use: it runs from the last valid answer, whichever check was answered.

    Attributes:
        pair: the valid pair in use; change it with `use`.
    """

    __slots__ = ("_config", "_outstanding", "pair")

    def __init__(self, pair: Pair, config: IceConfig) -> None:
        self.pair = pair
        self._config = config
        self._outstanding: dict[TransactionId, tuple[float, Pair]] = {}  # in the order of asking

    def use(self, pair: Pair) -> None:
        """Watch another pair from now on. What was asked on the earlier one is still worth an answer."""
        self.pair = pair

    @property
    def expires_at(self) -> float:
        """When consent ends, without another answer."""
        return self.pair.answered_at + self._config.consent_timeout

    @property
    def overdue_at(self) -> float:
        """From when on the first check since the last answer is late, by the round trips of this pair (RFC 7675 5.1)."""
        return self._late_at(1)

    @property
    def quiet_at(self) -> float:
        """From when on the peer counts as disconnected.

        One lost datagram is no silence, and neither is a long way: two checks in a row must be late.
        """
        return max(self.pair.answered_at + self._config.disconnected_after, self._late_at(QUIET_CHECKS))

    def _late_at(self, count: int) -> float:
        pair = self.pair
        for sent_at, asked in self._outstanding.values():
            if asked is pair and sent_at > pair.answered_at:
                count -= 1
                if not count:
                    return sent_at + pair.patience
        return math.inf

    def interval(self, entropy: Entropy) -> float:
        """Until the next check: the base period times 0.8 to 1.2, drawn anew each time (RFC 7675 5.1)."""
        return self._config.consent_interval * (0.8 + 0.4 * int.from_bytes(entropy(2), "big") / 65535)

    def asked(self, transaction_id: TransactionId, *, now: float) -> None:
        """A check was sent. It is sent once; until consent ends its answer counts."""
        oldest = now - self._config.consent_timeout
        self._outstanding = {one: asked for one, asked in self._outstanding.items() if asked[0] > oldest}
        self._outstanding[transaction_id] = now, self.pair

    def is_outstanding(self, transaction_id: TransactionId) -> bool:
        """Whether a check with this id waits for its answer."""
        return transaction_id in self._outstanding

    def asked_on(self, transaction_id: TransactionId) -> Pair:
        """The pair on which an outstanding check was sent: the one in use, or one that was."""
        return self._outstanding[transaction_id][1]

    def answered(self, response: Message, *, now: float) -> ConsentAnswer:
        """Take an answer whose source and integrity are right.

        Raises:
            DecodeError: it is not valid, and so counts for nothing (RFC 8489 6.3.3, 6.3.4).
        """
        sent_at, pair = self._outstanding.pop(response.transaction_id)
        if response.unknown_required():
            raise DecodeError(DropReason.UNKNOWN_ATTRIBUTE)
        if response.message_class is MessageClass.SUCCESS:
            if response.get(XOR_MAPPED_ADDRESS) is None:
                raise DecodeError(DropReason.MISSING_ATTRIBUTE, "XOR-MAPPED-ADDRESS")
            pair.answered(now - sent_at, now=now)
            return ConsentAnswer.RENEWED
        error = response.get(ERROR_CODE)
        if error is not None and error.code == _REVOKED:
            return ConsentAnswer.REVOKED
        return ConsentAnswer.NEITHER
