"""What an `IceMux` tells beside its listeners' `ListenerOpened`, `ListenerFailed` and `ServerReady`."""

from __future__ import annotations

from types import MappingProxyType
from typing import NamedTuple, NewType

import attrs

from sansice._enums import IdentityEnum
from sansice.machine import Address, Event

AgentId = NewType("AgentId", int)
"""Names an agent on a mux. A number, and not the agent: what a machine puts out is immutable and can be written down."""


class MuxState(IdentityEnum):
    """Where a mux is in its life."""

    NEW = "not started"
    RUNNING = "routing"
    CLOSED = "closed"


class MuxInput(IdentityEnum):
    """What moves a mux from one state to another."""

    START = "start()"
    CLOSE = "close()"


MUX_TRANSITIONS = MappingProxyType(
    {
        MuxState.NEW: {MuxInput.START: MuxState.RUNNING, MuxInput.CLOSE: MuxState.CLOSED},
        MuxState.RUNNING: {MuxInput.CLOSE: MuxState.CLOSED},
        MuxState.CLOSED: {MuxInput.CLOSE: MuxState.CLOSED},
    }
)


class _AgentEvent(NamedTuple):
    agent: AgentId
    event: Event


class AgentEvent(_AgentEvent, Event):
    """One of the agents tells something. A NamedTuple, because there is one for every packet of data.

    Attributes:
        agent: which, as `IceMux.add` named it.
        event: what it tells.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"AgentEvent(agent={self.agent}, event={self.event!r})"


@attrs.frozen
class UnknownUfrag(Event):
    """A check has come for a ufrag that no agent has. Told once; the check waits.

    Answer with `IceMux.add` of an agent that has this ufrag, and it is given this very check once it has gathered; or with
    `IceMux.refuse`. Or not at all: it is forgotten after ``MuxConfig.unknown_timeout``. Nothing about it is authenticated:
    anybody can send such a check, from any address.

    Attributes:
        ufrag: ours, as the check has it.
        remote_ufrag: the sender's.
        source: where it came from.
        local: where it came to.
    """

    ufrag: str
    remote_ufrag: str
    source: Address
    local: Address


@attrs.frozen
class UfragTaken(Event):
    """An agent has restarted with a ufrag that another one has: checks for it go to the other one. Restart it again.

    With ufrags that the agents draw themselves it does not happen: they are 48 random bits.
    """

    agent: AgentId
    ufrag: str
