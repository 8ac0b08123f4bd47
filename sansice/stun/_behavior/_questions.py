"""What the tests ask and what they are told: one question is one Binding transaction."""

from __future__ import annotations

import enum

import attrs

from sansice.machine import Address, DecodeError, Event
from sansice.stun._attributes import CHANGED_ADDRESS, MAPPED_ADDRESS, OTHER_ADDRESS, PADDING, XOR_MAPPED_ADDRESS, Attribute
from sansice.stun._message import Message
from sansice.stun._values import ChangeRequest


class Port(enum.Enum):
    """The local sockets by what they are for; each is opened when first asked from."""

    FIRST = "reachability and mapping"
    FILTERING = "filtering: never sent from to anybody but the server's first address"
    SECOND = "the other end of hairpinning"
    SILENT = "lifetime: the one whose mapping is left alone, X of RFC 5780 4.6"
    CONTROL = "lifetime: the one that asks about it, Y of RFC 5780 4.6"


@attrs.frozen
class Server:
    """Whom the tests are run with.

    Attributes:
        primary: the address that is asked.
        alternate: the other address and port, as named and accepted.
        classic: it is asked by RFC 3489.
    """

    primary: Address
    alternate: Address
    classic: bool = False

    @property
    def other_host(self) -> Address:
        """The other address, the same port."""
        return Address(self.alternate.host, self.primary.port)

    @property
    def other_port(self) -> Address:
        """The same address, the other port."""
        return Address(self.primary.host, self.alternate.port)


@attrs.frozen
class Question:
    """A Binding request to be sent.

    Attributes:
        port: from where.
        destination: to whom.
        change: CHANGE-REQUEST, with ``answered_from``, where the answer should then come from.
        response_port: RESPONSE-PORT; the answer may then arrive at any of the ports.
        padding: bytes of PADDING.
        classic: written as RFC 3489 has it.
        requests: how many are sent at most, where that is less than the schedule has.
        delay: seconds to wait before.
        returns: it is sent to ourselves, and seen to come back.
    """

    port: Port
    destination: Address
    change: ChangeRequest | None = None
    answered_from: Address | None = None
    response_port: int | None = None
    padding: int = 0
    classic: bool = False
    requests: int | None = None
    delay: float = 0.0
    returns: bool = False


class Outcome(enum.Enum):
    """How a question ended."""

    ANSWERED = "was answered"
    REFUSED = "answered with an error"
    SILENT = "did not answer"
    UNREACHABLE = "is not reachable"
    UNUSABLE = "gave an answer that cannot be used"
    LOST = "could not be asked"
    RETURNED = "is ourselves: the request came back"


@attrs.frozen
class Reply:
    """How a question ended, and with what.

    Attributes:
        outcome: how.
        asked, ended: when, in seconds on the machine's clock.
        local: the address that the question left from.
        text: words about it, where it was not answered.
        code: of the error response.
        arrived: at which port the answer came.
        source: where it came from.
        mapped: what the server saw: XOR-MAPPED-ADDRESS, or MAPPED-ADDRESS of a classic question or answer.
        plain: MAPPED-ADDRESS beside XOR-MAPPED-ADDRESS: something on the way may have rewritten it.
        other: OTHER-ADDRESS.
        changed: CHANGED-ADDRESS.
        padded: whether PADDING came back.
    """

    outcome: Outcome
    asked: float
    ended: float
    local: Address | None = None
    text: str = ""
    code: int | None = None
    arrived: Port | None = None
    source: Address | None = None
    mapped: Address | None = None
    plain: Address | None = None
    other: Address | None = None
    changed: Address | None = None
    padded: bool = False

    def complaint(self, question: Question) -> str:
        """Why the question was not answered, as a sentence's main part."""
        detail = f" ({self.text})" if self.text else ""
        return f"{question.destination} {self.outcome.value}{detail}"


@attrs.frozen
class Replied(Event):
    """Told by `Asking` to its owner, never to the application."""

    question: Question
    reply: Reply


def address_in(message: Message, attribute: Attribute[Address]) -> Address | None:
    """The value of an optional attribute; a malformed one is as good as none."""
    try:
        return message.get(attribute)
    except DecodeError:
        return None


def answer(message: Message, mapped: Address | None, question: Question, *, asked: float, ended: float, local: Address) -> Reply:
    """The reply that a success response makes, before it is known where it arrived."""
    plain = address_in(message, MAPPED_ADDRESS)
    seen = plain if question.classic else mapped
    if seen is None or seen.is_ipv6 != local.is_ipv6:
        return Reply(Outcome.UNUSABLE, asked, ended, local, f"mapped address {seen}")
    return Reply(
        Outcome.ANSWERED,
        asked,
        ended,
        local,
        mapped=seen,
        plain=plain if XOR_MAPPED_ADDRESS in message and not question.classic else None,
        other=address_in(message, OTHER_ADDRESS),
        changed=address_in(message, CHANGED_ADDRESS),
        padded=PADDING in message,
    )
