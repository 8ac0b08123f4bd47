"""What a component sends on, and until when it may: the pair in use, its consent and its keepalives (RFC 8445 11, 12)."""

from __future__ import annotations

import math

from sansice.ice._events import IceCause
from sansice.ice._pair import Pair
from sansice.ice._role import IceRole
from sansice.ice._telling._tally import Tally
from sansice.machine import Address, DecodeError, DropReason, SendDatagram, SocketId
from sansice.stun import Message, MessageClass, Method, encode, new_transaction_id

from ._checker import Checker
from ._conclusion import Conclusion
from ._consent import Consent, ConsentAnswer
from ._session import Session

_CONTROLLING = IceRole.CONTROLLING  # looked up once: see stun/_transaction.py
_BINDING, _INDICATION = Method.BINDING, MessageClass.INDICATION


# Who restarts again and again before any of it has selected is known by so many addresses: more than a generation has.
MAX_FORMER = 256


class Component:
    """One component of a stream, over all its generations.

    Attributes:
        stream, number: which one it is.
        conclusion: of the present generation.
        former: where data may come from still that did so before a restart; of the present generation `Pairing` knows it.
        path: the socket and the address to send data to; ``None``: no pair is valid.
        until: when consent to send there ends.
        carried: the data over the pairs in use; `ledger` says which of them carried what.
        selected: the selected pair, also while another generation looks for one.
        selections: how often that has changed.
        is_quiet: whether the peer counts as disconnected here.
        used: the valid pair of that path.
        checker: the generation that the pair is of.
    """

    __slots__ = (
        "_keepalive_at",
        "_kept_at",
        "_next_check",
        "_overdue_at",
        "_quiet_at",
        "_session",
        "_timer",
        "carried",
        "checker",
        "conclusion",
        "consent",
        "former",
        "is_quiet",
        "ledger",
        "number",
        "path",
        "selected",
        "selections",
        "stream",
        "until",
        "used",
    )

    def __init__(self, session: Session, stream: int, number: int, timer: int, checker: Checker) -> None:
        self._session = session
        self.stream = stream
        self.number = number
        self._timer = timer
        self.checker = checker
        self.conclusion: Conclusion = checker.conclusions[number - 1]
        self.former: tuple[Address, ...] = ()
        self.used: Pair | None = None
        self.path: tuple[SocketId, Address] | None = None
        self.consent: Consent | None = None
        self.until = math.inf
        self.ledger = session.stats.add_component()
        self.carried = self.ledger.total
        self.selected: Tally | None = None
        self.selections = 0
        self._kept_at = -math.inf
        self.is_quiet = False
        self._next_check = self._overdue_at = self._quiet_at = self._keepalive_at = math.inf

    def is_trusted(self, source: Address) -> bool:
        """Whether an authenticated check of this session came from ``source``, or was answered from there."""
        return source in self.conclusion.pairing.trusted or source in self.former

    def source_on(self, socket: SocketId) -> Address | None:
        """Where data comes from on a socket, if the pair in use is one of it: an address that is trusted, too."""
        path = self.path
        return path[1] if path is not None and path[0] == socket else None

    @property
    def is_of_former(self) -> bool:
        """Whether an earlier generation's pair is in use."""
        return self.path is not None and self.checker.is_retired

    def uses(self, checker: Checker) -> bool:
        """Whether a pair of that generation is in use."""
        return self.path is not None and self.checker is checker

    @property
    def is_alive(self) -> bool:
        """Whether there is a path, and the peer does not count as disconnected on it."""
        return self.path is not None and not self.is_quiet

    def restart(self, checker: Checker) -> None:
        """Another generation has begun. What is in use stays in use until that one has selected (RFC 8445 9)."""
        known = (*self.former, *self.conclusion.pairing.trusted)
        self.former = () if self.path is None else tuple(dict.fromkeys(known))[-MAX_FORMER:]
        self.conclusion = checker.conclusions[self.number - 1]

    # ------------------------------------------------------------- the pair in use

    def use(self, pair: Pair | None, checker: Checker, now: float) -> None:
        """Send on ``pair`` from now on, and watch the consent to do so."""
        if pair is self.used:
            self.renew()  # the answer that nominated it renews consent too
            return
        if pair is None:
            self.stop()
            self._session.move(self.stream, IceCause.LOSE)
            return
        config = self._session.config
        if self.consent is None or checker is not self.checker:
            self.consent = Consent(pair, config) if config.consent else None
        else:
            self.consent.use(pair)
        self.used, self.checker = pair, checker
        self.ledger.use(pair.tally)
        self.path = (pair.local.socket, pair.remote_address)
        # The rhythm of checks is the component's, whatever the pair: who changes pairs all the time is asked all the same.
        if self.consent is None:
            self._keepalive_at = min(self._keepalive_at, now + config.keepalive_interval)
        elif self._next_check == math.inf:
            self._next_check = now + self.consent.interval(self._session.entropy)
        self.renew()

    def select(self, pair: Pair | None) -> None:
        """Note which pair is selected."""
        tally = None if pair is None else pair.tally
        if tally is not self.selected:
            self.selected = tally
            self.selections += 1

    def renew(self) -> None:
        """Consent to use the pair has begun, or is renewed."""
        self.is_quiet = False
        self._watch()

    def stop(self) -> None:
        """Send nothing any more."""
        self.ledger.use(None)
        self.select(None)
        self.used = self.path = self.consent = None
        self.is_quiet = False
        self.until = self._next_check = self._overdue_at = self._quiet_at = self._keepalive_at = math.inf
        self._session.timers.cancel(self._timer)

    def _watch(self) -> None:
        consent = self.consent
        if consent is not None:
            self.until = consent.expires_at
            self._quiet_at = math.inf if self.is_quiet else consent.quiet_at
            self._overdue_at = math.inf if self.conclusion.mover is None else consent.overdue_at
        self._arm()

    def _arm(self) -> None:
        at = min(self.until, self._next_check, self._overdue_at, self._quiet_at, self._keepalive_at)
        self._session.timers.set(self._timer, at)

    def handle_timer(self, *, now: float) -> None:
        """Ask for consent, tell of silence, keep the path alive. That consent has ended is the stream's to see, before."""
        if self._overdue_at <= now:
            self._overdue_at = math.inf
            self.conclusion.suspect(self.used, now)
        if self._quiet_at <= now:
            self._quiet_at = math.inf
            self.is_quiet = True
            self._session.move(self.stream, IceCause.QUIET)
        if self._next_check <= now and self.consent is not None:
            self._check_consent(self.consent, now)
        if self._keepalive_at <= now and self.path is not None:
            self._keep_alive(self.path, now)
        self._arm()

    # ------------------------------------------------------------- consent

    def _check_consent(self, consent: Consent, now: float) -> None:
        """Ask once more (RFC 7675 5.1); consent checks are not paced with the others."""
        pair = consent.pair
        transaction_id, request = self.checker.encode_check(pair.local, *self._renomination_of(pair))
        consent.asked(transaction_id, now=now)
        pair.tally.consent_requests_sent += 1
        self._session.outputs.append(SendDatagram(pair.local.socket, pair.remote_address, request))
        self._next_check = now + consent.interval(self._session.entropy)
        self._watch()

    def ask_again(self, pair: Pair, now: float) -> None:
        """The connection in use was lost: a check on another one is what makes it usable (RFC 6544 11.1)."""
        if self.consent is None:
            self.checker.list.trigger(pair)
        elif now < self.until:
            self._check_consent(self.consent, now)
            self._arm()

    def _renomination_of(self, pair: Pair) -> tuple[bool, int]:
        """Whether a consent check is to have USE-CANDIDATE, and which number."""
        session, conclusion = self._session, self.conclusion
        if not session.nomination.use_candidate_in_consent or session.role is not _CONTROLLING or pair is not conclusion.selected:
            return False, 0
        return True, conclusion.number

    def handle_response(self, socket: SocketId, source: Address, message: Message, *, now: float) -> ConsentAnswer:
        """Take the answer to a consent check, and say what it means; the stream acts on it."""
        consent = self.consent
        if consent is None or not consent.is_outstanding(message.transaction_id):
            self._session.drop(DropReason.UNKNOWN_TRANSACTION)
        elif not _is_path_of(consent.asked_on(message.transaction_id), socket, source):
            self._session.drop(DropReason.WRONG_SOURCE)
        elif not self.checker.verify(message):
            self._session.drop(DropReason.BAD_INTEGRITY)
        else:
            asked_on = consent.asked_on(message.transaction_id)
            try:
                answer = consent.answered(message, now=now)
            except DecodeError as error:
                self._session.drop(error.reason)
                return ConsentAnswer.NEITHER
            if asked_on is not self.used:  # it was in use when it was asked
                if answer is ConsentAnswer.REVOKED:
                    self.checker.fail_valid(asked_on, -math.inf, now=now)
                return ConsentAnswer.NEITHER
            if answer is ConsentAnswer.RENEWED:
                self.conclusion.is_cut = False  # the peer has opened another connection, and from the same port
                self.renew()
            return answer
        return ConsentAnswer.NEITHER

    # ------------------------------------------------------------- without consent

    def _keep_alive(self, path: tuple[SocketId, Address], now: float) -> None:
        """Send an indication where nothing else was sent for Tr (RFC 8445 11)."""
        interval = self._session.config.keepalive_interval
        if now >= max(self.carried.last_sent, self._kept_at) + interval:
            data = encode(_BINDING, _INDICATION, new_transaction_id(self._session.entropy), fingerprint=True)
            self._session.outputs.append(SendDatagram(*path, data))
            self._kept_at = now
        self._keepalive_at = max(self.carried.last_sent, self._kept_at) + interval


def _is_path_of(pair: Pair, socket: SocketId, source: Address) -> bool:
    return (socket, source) == (pair.local.socket, pair.remote_address)
