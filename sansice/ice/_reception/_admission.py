"""Whom a reception lets in: what the application says to a check for a ufrag that nobody has."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import attrs

from sansice.ice._description import Credentials, Description
from sansice.ice._mux._events import UnknownUfrag
from sansice.machine import LocalProtocolError

if TYPE_CHECKING:
    from sansice.stun import Pending

# RFC 8445 5.3 asks for 22 characters. A lite agent checks nothing, so that it never uses the peer's password.
_NOT_NEEDED = "x" * 22


@attrs.frozen
class Admission:
    """The passwords of a connection that is let in.

    Attributes:
        pwd: ours, for the ufrag that the check is for.
        remote_pwd: the peer's. A full agent checks, too, and needs it; a lite one does not.

    Raises:
        ValueError: not a password (RFC 8839 5.4).
    """

    pwd: str = attrs.field(repr=False)
    remote_pwd: str | None = attrs.field(default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        for pwd in (self.pwd, self.remote_pwd):
            if pwd is not None:
                Credentials("none", pwd)

    def credentials(self, stranger: UnknownUfrag) -> Credentials:
        """Of the agent that is to answer."""
        return Credentials(stranger.ufrag, self.pwd)

    def description(self, stranger: UnknownUfrag) -> Description:
        """Of who has come: nothing is known of its addresses but what its checks show."""
        return Description(stranger.remote_ufrag, self.remote_pwd or _NOT_NEEDED)


Admit: TypeAlias = "Callable[[UnknownUfrag], Admission | str | Pending | None]"
"""Says who is let in, by what a first check says of itself: our password for its ufrag, or both; ``None`` lets nobody in now;
`sansice.stun.PENDING` says that the answer comes later. A pure function that must not take long."""


def check_admit(admit: object) -> None:
    """Refuse what cannot be asked.

    Raises:
        LocalProtocolError: no function.
    """
    if admit is not None and not callable(admit):
        raise LocalProtocolError(f"admit: a function that is given each UnknownUfrag, not {admit!r:.40}")


def recordable(admit: Admit | None) -> Admit | None:
    """The same, in a form whose answers can be recorded, and whose passwords are known for what they are.

    Raises:
        LocalProtocolError: no function.
    """
    check_admit(admit)
    if admit is None:
        return None

    def answer(stranger: UnknownUfrag) -> Admission | Pending | None:
        said = admit(stranger)
        return Admission(said) if isinstance(said, str) else said

    return answer


def read_admission(said: object, *, lite: bool) -> Admission:
    """What an `Admit` has answered.

    Raises:
        ValueError: nothing that could be used.
    """
    admission = Admission(said) if isinstance(said, str) else said
    if not isinstance(admission, Admission):
        raise ValueError(f"a password, an Admission, PENDING or None, not {type(said).__name__}")
    if not lite and admission.remote_pwd is None:
        raise ValueError("a full agent checks its peer, and needs remote_pwd for it")
    return admission


@attrs.frozen(kw_only=True)
class ReceptionLimits:
    """Times in seconds, and bounds on connections that nobody has accepted yet.

    Attributes:
        max_arriving: connections that are let in, and are not connected yet. The check of each was made with the right password,
            but an old one can be sent again by anybody who has seen it.
        arrival_timeout: how long they may take: about as long as their first checks are retransmitted.
        max_waiting: connections that wait for `IceReception.accept`; those that come beyond it are closed.
        accept_timeout: how long they wait. A program that is as late as this has other troubles, and a peer that is let down
            tries again sooner if it is told.

    Raises:
        ValueError: a bound or a time that is none.
    """

    max_arriving: int = 256
    arrival_timeout: float = 10.0
    max_waiting: int = 128
    accept_timeout: float = 10.0

    def __attrs_post_init__(self) -> None:
        for name in ("max_arriving", "max_waiting"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name)!r} is below 1")
        for name in ("arrival_timeout", "accept_timeout"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}: {getattr(self, name)!r} is not a number of seconds")


DEFAULT_LIMITS = ReceptionLimits()
