"""What an `IceReception` tells and counts, beside what its mux tells."""

from __future__ import annotations

import attrs

from sansice.ice._mux._events import AgentId
from sansice.machine import Address, Event


@attrs.frozen
class PeerAdmitted(Event):
    """An agent was made for a peer that has come by itself; it is not connected yet.

    Attributes:
        agent: its name.
        ufrag: the agent's own.
        remote_ufrag: the peer's.
    """

    agent: AgentId
    ufrag: str
    remote_ufrag: str


@attrs.frozen
class PeerArrived(Event):
    """The same agent is connected, and waits for `IceReception.accept`."""

    agent: AgentId


@attrs.frozen
class AdmissionFailed(Event):
    """Asked whether to let somebody in, the application's function has failed, or has given what cannot be used. Nobody was let
    in, and for ``MuxConfig.refused_timeout`` it is not asked about this ufrag again.

    Attributes:
        ufrag: for which the check was.
        source: where it came from.
        reason: the error's type and text.
    """

    ufrag: str
    source: Address
    reason: str


@attrs.define
class ReceptionStats:
    """How it went with the peers that came by themselves.

    Attributes:
        admitted: let in.
        accepted: of these, taken by the application.
        not_connected: closed, because they did not connect in time, or at all.
        not_accepted: closed, because nobody took them in time, or too many waited.
        forged: checks with a wrong password.
        refused: that the application did not want, or said nothing useful about.
    """

    admitted: int = 0
    accepted: int = 0
    not_connected: int = 0
    not_accepted: int = 0
    forged: int = 0
    refused: int = 0
