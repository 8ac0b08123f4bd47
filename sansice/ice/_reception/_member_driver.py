"""What a connection on a shared port has for a driver: the service's, which runs all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from sansice.ice._handover import LentSocket
from sansice.ice._mux._events import AgentId
from sansice.machine import LocalProtocolError, SocketId

from ._reception import IceReception

R = TypeVar("R")


class ReceptionDriver(Protocol):
    """What a service needs of the driver that runs its reception."""

    @property
    def lost(self) -> Mapping[str, int]:
        """How many datagrams were not sent, by reason."""
        ...

    def call(self, command: Callable[..., R], *args: object, **kwargs: object) -> R:
        """Run a command of the machine's with ``now`` filled in, and perform what it wants."""
        ...


class MemberDriver:
    """Gives the commands of one connection to the reception that has its agent.

    Args:
        driver: of the reception.
        reception: the machine.
        name: the agent's.

    Attributes:
        name: as given.
    """

    __slots__ = ("_driver", "_reception", "name")

    def __init__(self, driver: ReceptionDriver, reception: IceReception, name: AgentId) -> None:
        self._driver = driver
        self._reception = reception
        self.name: AgentId = name

    def call(self, command: Callable[..., R], *args: object, **kwargs: object) -> R:
        """Run a command of the agent's, by its name where that does: a recording has names, and no agents.

        One that is gone answers for itself, and wants nothing done.
        """
        mux = self._reception.mux
        if self.name not in mux:
            return self._driver.call(command, *args, **kwargs)
        if getattr(command, "__self__", None) is mux.agent(self.name):
            told: R = self._driver.call(self._reception.command, self.name, command.__name__, *args, **kwargs)
            return told
        result: R = self._driver.call(self._reception.tell, self.name, command, *args, **kwargs)
        return result

    def look(self) -> None:
        """Feed the machine what has arrived by now, where the driver can be asked to."""
        look: Callable[[], None] | None = getattr(self._driver, "look", None)
        if look is not None:
            look()

    @property
    def lost(self) -> Mapping[str, int]:
        """What the driver has lost, of all connections together."""
        return self._driver.lost

    @property
    def lock(self) -> Any:
        """The lock of a driver that has a thread."""
        return getattr(self._driver, "lock")  # noqa: B009 - only such a driver has one

    def lend(self, id: SocketId) -> LentSocket | None:
        """No socket is this connection's alone.

        Raises:
            LocalProtocolError: always.
        """
        raise LocalProtocolError("detach(): the socket is shared by all connections of the service")
