"""One request and its response: retransmission, matching, integrity (RFC 8489 6.2, 6.3.3, 6.3.4, 9.1.4)."""

from __future__ import annotations

import enum
import ipaddress
import math
from functools import lru_cache

import attrs

from sansice._enums import IdentityEnum
from sansice.machine import (
    Address,
    DecodeError,
    DropReason,
    Event,
    IcmpError,
    LocalProtocolError,
    Machine,
    SendDatagram,
    SendStream,
    SocketError,
    SocketId,
)

from ._attributes import ERROR_CODE, MAPPED_ADDRESS, UNKNOWN_ATTRIBUTES, XOR_MAPPED_ADDRESS
from ._header import MessageClass, Method, TransactionId
from ._integrity import IntegrityAlgorithm, IntegrityKey
from ._message import Message, decode_untrusted
from ._schedule import Schedule
from ._security import hides_algorithms

_BROADCAST = ipaddress.ip_address("255.255.255.255")
_DEFAULT_SCHEDULE = Schedule()


class TransactionState(IdentityEnum):
    """Where a transaction is."""

    IDLE = "not started"
    RUNNING = "waiting, retransmitting"
    CANCELLED = "waiting in silence"
    DONE = "over"


class TransactionInput(IdentityEnum):
    """What moves a transaction from one state to another."""

    START = "start"
    CANCEL = "cancel"
    END = "an answer, an error or the last deadline"


TRANSACTION_TRANSITIONS: dict[tuple[TransactionState, TransactionInput], TransactionState] = {
    (TransactionState.IDLE, TransactionInput.START): TransactionState.RUNNING,
    (TransactionState.IDLE, TransactionInput.CANCEL): TransactionState.DONE,
    (TransactionState.RUNNING, TransactionInput.CANCEL): TransactionState.CANCELLED,
    (TransactionState.RUNNING, TransactionInput.END): TransactionState.DONE,
    (TransactionState.CANCELLED, TransactionInput.CANCEL): TransactionState.CANCELLED,
    (TransactionState.CANCELLED, TransactionInput.END): TransactionState.DONE,
    (TransactionState.DONE, TransactionInput.CANCEL): TransactionState.DONE,
}


class FailureCause(enum.Enum):
    """Why a transaction failed, where silence was not the reason."""

    ERROR_RESPONSE = "the server answered with an error"
    INTEGRITY = "integrity protection was violated"
    UNKNOWN_ATTRIBUTE = "the response has attributes that must be understood and are not"
    MALFORMED = "the response is malformed"
    ICMP = "the network said that nobody is there"
    CLOSED = "the socket or stream was lost"
    TOO_LARGE = "the request would not fit into a datagram that is sure to arrive"


@attrs.frozen
class TransactionSucceeded(Event):
    """A success response arrived.

    Attributes:
        id: of the transaction.
        response: verified, where the request was protected; without unknown comprehension-required attributes.
        rtt: seconds; ``None`` after a retransmission, when nobody knows which request was answered (Karn).
        mapped: XOR-MAPPED-ADDRESS, which the answer to a Binding request must have (RFC 8489 6.3.3), or in its place
            the MAPPED-ADDRESS of an RFC 3489 server, where the client said ``classic``; else ``None``.
    """

    id: TransactionId = attrs.field(repr=bytes.hex)
    response: Message
    rtt: float | None
    mapped: Address | None = attrs.field(default=None, eq=False)  # what `response` has, and no more


@attrs.frozen
class TransactionFailed(Event):
    """The transaction ended with an error.

    Attributes:
        id: of the transaction.
        code: of the error response; ``None`` where there was none, or one without a valid ERROR-CODE.
        reason: words for a person: those of the error response, "" where it has none, with an escape for what does not print;
            or what else went wrong.
        cause: what to decide by where ``code`` is ``None``.
        unknown_attributes: what a 420 lists, or what this end did not understand in the response.
        response: what failed the transaction, if it was a response.
        authenticated: ``response`` was protected, and rightly so. Only then may a 300 be followed (RFC 8489 14.8).
    """

    id: TransactionId = attrs.field(repr=bytes.hex)
    code: int | None
    reason: str
    cause: FailureCause = FailureCause.ERROR_RESPONSE
    unknown_attributes: tuple[int, ...] = ()
    response: Message | None = None
    authenticated: bool = False


@attrs.frozen
class TransactionTimedOut(Event):
    """No valid response came.

    Attributes:
        id: of the transaction.
        integrity_violated: responses did come, but none with the right integrity: a wrong password, or an attack
            (RFC 8489 9.1.4).
    """

    id: TransactionId = attrs.field(repr=bytes.hex)
    integrity_violated: bool = False


# Looked up once: on Python 3.11 each look-up in an Enum runs through its metaclass, as slow as a call.
_IDLE, _RUNNING, _CANCELLED = TransactionState.IDLE, TransactionState.RUNNING, TransactionState.CANCELLED
_START, _CANCEL, _END = TransactionInput
_BINDING, _SUCCESS, _ERROR = Method.BINDING, MessageClass.SUCCESS, MessageClass.ERROR
_BOTH = IntegrityAlgorithm.BOTH

_BAD_REQUEST = 400
_CHALLENGES = (401, 438)  # unauthenticated, stale nonce


class StunTransaction(Machine):
    """One request on its way: send, retransmit, match the response, check its integrity.

    Meant to sit inside an agent that decodes what arrives and hands responses on by transaction id.

    The times are absolute, so a late `handle_timer` does not move those that follow. Where several retransmissions were
    missed (a laptop slept), one is sent, not a burst.

    Args:
        request: an encoded request.
        socket: where it leaves.
        destination: whom it asks.
        key: verifies responses, and must be given when the request carries integrity; ``None`` when it carries none.
        schedule: retransmissions and the end.
        reliable: ``socket`` is a stream (TCP, TLS): the request is sent once (RFC 8489 6.2.2).
        long_term: the server may challenge the request, by 401 and 438 without integrity: `ClientAuthentication` answers
            them. Unprotected 400s, and what hides the server's password algorithms, are not heard (RFC 8489 9.2.5).
        classic: where XOR-MAPPED-ADDRESS is missing, take MAPPED-ADDRESS: the server may be of RFC 3489 (RFC 5389 12.1).

    Raises:
        LocalProtocolError: ``request`` is no valid STUN request, or it and ``key`` do not go together.
    """

    __slots__ = (
        "_algorithm",
        "_classic",
        "_destination",
        "_end",
        "_key",
        "_long_term",
        "_method",
        "_next",
        "_refusal",
        "_reliable",
        "_request",
        "_schedule",
        "_sent",
        "_socket",
        "_started",
        "_state",
        "_violated",
        "id",
    )

    def __init__(
        self,
        request: bytes,
        socket: SocketId,
        destination: Address,
        *,
        key: IntegrityKey | None = None,
        schedule: Schedule = _DEFAULT_SCHEDULE,
        reliable: bool = False,
        long_term: bool = False,
        classic: bool = False,
    ) -> None:
        try:
            message = decode_untrusted(request)
        except DecodeError as error:
            raise LocalProtocolError(f"no STUN request: {error}") from error
        if message.message_class is not MessageClass.REQUEST:
            raise LocalProtocolError(f"no request: {message!r}")
        if message.has_integrity != (key is not None):
            raise LocalProtocolError("a protected request needs its key, an unprotected one has none")
        self._set_up(
            request,
            message.transaction_id,
            message.method,
            socket,
            destination,
            key,
            message.integrity,
            schedule,
            reliable,
            long_term,
            classic,
        )

    @classmethod
    def of_encoded(
        cls,
        request: bytes,
        transaction_id: TransactionId,
        socket: SocketId,
        destination: Address,
        *,
        method: Method = Method.BINDING,
        key: IntegrityKey | None = None,
        algorithm: IntegrityAlgorithm = IntegrityAlgorithm.SHA1,
        schedule: Schedule = _DEFAULT_SCHEDULE,
        reliable: bool = False,
        long_term: bool = False,
        classic: bool = False,
    ) -> StunTransaction:
        """A transaction of a request that the caller has just built with `encode`, and that is not read again.

        Args:
            request: what `encode` returned for class REQUEST.
            transaction_id, method, key, algorithm: what `encode` was given.
            socket, destination, schedule, reliable, long_term, classic: as for the constructor.
        """
        transaction = cls.__new__(cls)
        used = None if key is None else algorithm
        transaction._set_up(
            request, transaction_id, method, socket, destination, key, used, schedule, reliable, long_term, classic
        )
        return transaction

    def _set_up(
        self,
        request: bytes,
        transaction_id: TransactionId,
        method: Method,
        socket: SocketId,
        destination: Address,
        key: IntegrityKey | None,
        algorithm: IntegrityAlgorithm | None,
        schedule: Schedule,
        reliable: bool,
        long_term: bool,
        classic: bool,
    ) -> None:
        super().__init__()
        self.id: TransactionId = transaction_id
        self._method = method
        self._algorithm = algorithm
        self._request = request
        self._socket = socket
        self._destination = destination
        self._key = key
        self._schedule = schedule
        self._reliable = reliable
        self._long_term = long_term
        self._classic = classic
        self._state = _IDLE
        self._started = 0.0
        self._end = math.inf
        self._next = math.inf  # when the next retransmission is due
        self._sent = 0  # transmissions, for Karn
        self._violated = False
        self._refusal: DropReason | None = None

    @property
    def state(self) -> TransactionState:
        """Where the transaction is."""
        return self._state

    @property
    def done(self) -> bool:
        """Whether nothing more will come of it: it may be forgotten."""
        return self._state is TransactionState.DONE

    @property
    def refusal(self) -> DropReason | None:
        """Why the last `handle_response` did not take the message; ``None`` after one that was taken."""
        return self._refusal

    def start(self, *, now: float) -> None:
        """Send the request.

        Raises:
            LocalProtocolError: it was started or cancelled before.
        """
        if self._state is not _IDLE:
            raise LocalProtocolError(f"a transaction starts once; this one is {self._state.value}")
        self._move(_START)
        schedule = self._schedule
        self._started = now
        self._end = now + (schedule.ti if self._reliable else schedule.duration)
        self._send()
        if not self._reliable:
            self._next = self._next_send(now)

    def cancel(self, *, now: float) -> None:
        """Retransmit no more and report no silence; a response within the original time still counts (RFC 8445 7.3.1.4)."""
        self._move(_CANCEL)
        self._next = math.inf

    def handle_response(self, message: Message, *, now: float) -> bool:
        """Look at a message that may answer the request.

        Returns:
            Whether the transaction ended with it. Otherwise the message is to be dropped, and `refusal` says why: it
            answers something else (RFC 8489 6.3), or its integrity is wrong, which over UDP leaves the transaction
            waiting, so that a forger cannot end it (RFC 8489 9.1.4).
        """
        if not self._answers(message):
            self._refusal = DropReason.UNKNOWN_TRANSACTION
            return False
        key = self._key
        if self._long_term:
            code = _error_code(message)
            self._refusal = _long_term_refusal(message, code, key is not None)
            if self._refusal is not None:
                return False
            if code in _CHALLENGES and not message.has_integrity:
                key = None  # who does not know the user, or his nonce, cannot protect the response (RFC 8489 9.2.4)
        if key is not None and not self._is_authentic(message, key):
            self._refusal = DropReason.BAD_INTEGRITY
            self._violated = True
            if self._reliable:
                self._fail(FailureCause.INTEGRITY)
            return self._reliable
        self._refusal = None
        # Only now: an attribute of a forged response proves nothing (RFC 8489 6.3).
        unknown = message.unknown_required()
        if unknown:
            self._fail(FailureCause.UNKNOWN_ATTRIBUTE, unknown=unknown, response=message, authenticated=key is not None)
        elif message.message_class is _SUCCESS:
            self._take_success(message, now)
        else:
            self._take_error(message, key is not None)
        return True

    def handle_icmp(self, socket: SocketId, destination: Address, error: IcmpError, *, now: float) -> None:
        """A hard ICMP error ends the transaction at once (RFC 8489 6.2.1); a soft one is ignored."""
        if error.is_hard and not self._reliable and self._is_live and (socket, destination) == (self._socket, self._destination):
            self._fail(FailureCause.ICMP)

    def handle_socket_failed(self, socket: SocketId, error: SocketError, *, now: float) -> None:
        """No response can arrive any more (RFC 8489 6.2.2)."""
        if socket == self._socket and self._is_live:
            self._fail(FailureCause.CLOSED, reason=error.text)

    def handle_stream_data(self, socket: SocketId, data: bytes, *, now: float) -> None:
        """Only the end of the stream matters here; its bytes are cut into messages by who owns it (RFC 8489 6.2.2)."""
        if not data and self._reliable and socket == self._socket and self._is_live:
            self._fail(FailureCause.CLOSED)

    def handle_timer(self, *, now: float) -> None:
        """Retransmit, or give up."""
        if now >= self._end:
            silent = self._state is _CANCELLED
            self._finish()
            if not silent:
                self._outputs.append(TransactionTimedOut(self.id, self._violated))
        elif now >= self._next:
            self._send()
            self._next = self._next_send(now)

    def deadline(self) -> float:
        """When the next retransmission or the end is due."""
        return min(self._end, self._next)

    # ------------------------------------------------------------- inside

    @property
    def _is_live(self) -> bool:
        return self._state is _RUNNING or self._state is _CANCELLED

    def _move(self, step: TransactionInput) -> None:
        self._state = TRANSACTION_TRANSITIONS[self._state, step]

    def _send(self) -> None:
        self._sent += 1
        if self._reliable:
            self._outputs.append(SendStream(self._socket, self._request))
        else:
            self._outputs.append(SendDatagram(self._socket, self._destination, self._request))

    def _next_send(self, now: float) -> float:
        """The first time on the schedule after ``now``: what was missed is skipped."""
        for transmission in range(1, self._schedule.rc):
            at = self._started + self._schedule.send_offset(transmission)
            if at > now:
                return at
        return math.inf

    def _answers(self, message: Message) -> bool:
        return (
            message.transaction_id == self.id
            and message.method is self._method
            and (message.message_class is _SUCCESS or message.message_class is _ERROR)
            and self._is_live
        )

    def _is_authentic(self, message: Message, key: IntegrityKey) -> bool:
        # Who asked with one algorithm is answered with that one: no downgrade (RFC 8489 9.1.4).
        if self._algorithm is not _BOTH and message.integrity is not self._algorithm:
            return False
        return message.verify(key)

    def _take_success(self, message: Message, now: float) -> None:
        mapped: Address | None = None
        if self._method is _BINDING:
            try:
                mapped = message.get(XOR_MAPPED_ADDRESS)
                if mapped is None and self._classic:
                    mapped = message.get(MAPPED_ADDRESS)
            except DecodeError as error:
                self._fail(FailureCause.MALFORMED, reason=str(error), response=message)
                return
            if mapped is None:  # RFC 8489 6.3.3
                self._fail(FailureCause.MALFORMED, reason="no XOR-MAPPED-ADDRESS", response=message)
                return
            if not mapped.port or not _may_send(mapped.host):
                self._fail(FailureCause.MALFORMED, reason=f"nobody sends from {mapped}, the address it names", response=message)
                return
        self._finish()
        rtt = now - self._started if self._sent == 1 else None
        self._outputs.append(TransactionSucceeded(self.id, message, rtt, mapped))

    def _take_error(self, message: Message, authenticated: bool) -> None:
        try:
            error = message.get(ERROR_CODE)
            unknown = message.get(UNKNOWN_ATTRIBUTES) or ()
        except DecodeError as malformed:
            self._fail(FailureCause.MALFORMED, reason=str(malformed), response=message)
            return
        if error is None:  # RFC 8489 6.3.4
            self._fail(FailureCause.MALFORMED, reason="no ERROR-CODE", response=message)
            return
        self._fail(FailureCause.ERROR_RESPONSE, error.code, _printable(error.reason), unknown, message, authenticated)

    def _finish(self) -> None:
        self._move(_END)
        self._next = self._end = math.inf

    def _fail(
        self,
        cause: FailureCause,
        code: int | None = None,
        reason: str = "",
        unknown: tuple[int, ...] = (),
        response: Message | None = None,
        authenticated: bool = False,
    ) -> None:
        self._finish()
        words = reason or ("" if code is not None else cause.value)
        self._outputs.append(TransactionFailed(self.id, code, words, cause, unknown, response, authenticated))


@lru_cache(64)  # the same few addresses again and again; ipaddress takes as long as authenticating a response
def _may_send(mapped: str) -> bool:
    """Whether a datagram can have come from there (RFC 1122 3.2.1.3, RFC 4291 2.7): otherwise the server lies, or is broken."""
    host = ipaddress.ip_address(mapped.partition("%")[0])
    return not (host.is_unspecified or host.is_multicast or host == _BROADCAST)


def _printable(text: str) -> str:
    """What a server wrote, without what a terminal acts on or hides: people read it in errors and logs."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def _long_term_refusal(message: Message, code: int | None, protected: bool) -> DropReason | None:
    """Why the response is as good as never received, whatever the transport (RFC 8489 9.2.5)."""
    if code not in _CHALLENGES and hides_algorithms(message):
        return DropReason.BID_DOWN
    return DropReason.BAD_INTEGRITY if code == _BAD_REQUEST and protected and not message.has_integrity else None


def _error_code(message: Message) -> int | None:
    if message.message_class is not _ERROR:
        return None
    try:
        error = message.get(ERROR_CODE)
    except DecodeError:
        return None
    return None if error is None else error.code
