"""The mDNS of a simulated host: one `sansice.ice.MdnsAgent` for all machines that run there, as on a real one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from sansice.ice import HostAddress, MdnsAgent, NameFailed, NameResolved
from sansice.machine import AddressRecord, Event, LocalProtocolError, QueryId, Record, RecordKind, Resolve, ResolveError

if TYPE_CHECKING:
    from ._host import Host
    from ._node import Node

Answered = Callable[[tuple[Resolve, tuple[Record, ...] | ResolveError]], object]


class LinkNames:
    """Finds names on the links of a host, and answers for those of its own; its packets are seen as all others are.

    Args:
        host: where.
    """

    __slots__ = ("_machine", "_node", "_published", "_waiting")

    def __init__(self, host: Host) -> None:
        self._machine = MdnsAgent(entropy=host.entropy)
        self._node: Node = host.run(self._machine)
        self._node.listener = self._take
        self._waiting: dict[QueryId, tuple[Resolve, Answered]] = {}
        self._published: dict[str, Node] = {}

    def find(self, action: Resolve, answered: Answered) -> None:
        """Look for an address of a name; the answer never comes within this call."""
        self._look_at_links()
        self._waiting[self._node.call(self._machine.resolve, action.name)] = (action, answered)

    def publish(self, name: str, host: str, owner: Node) -> None:
        """Answer for a name of a machine's. Beyond what one machine of mDNS answers for, nobody does."""
        self._look_at_links()
        self._published[name] = owner
        try:
            self._node.call(self._machine.publish, name, host)
        except LocalProtocolError:
            del self._published[name]

    def withdraw(self, name: str) -> None:
        """Answer for it no more; an unknown one is a no-op."""
        self._published.pop(name, None)
        self._node.call(self._machine.withdraw, name)

    def forget(self, owner: Node) -> None:
        """A machine was stopped, and its names with it."""
        for name in [name for name, other in self._published.items() if other is owner]:
            self.withdraw(name)

    def _look_at_links(self) -> None:
        up = [HostAddress(one.address, one.label) for one in self._node.host.interfaces if one.is_up]
        self._node.call(self._machine.update_addresses, up)

    def _take(self, event: Event) -> None:
        event = cast("NameResolved | NameFailed", event)  # it has no others
        action, answered = self._waiting.pop(event.query)
        if isinstance(event, NameFailed) or (":" in event.host) != (action.kind is RecordKind.AAAA):
            answered((action, ResolveError.NOT_FOUND))
        else:
            answered((action, (AddressRecord(self._as_here(event.host)),)))

    def _as_here(self, host: str) -> str:
        """An address as it is written on this host, where link-local ones mostly have no zone."""
        has_zones = any("%" in one.address for one in self._node.host.interfaces)
        return host if has_zones else host.partition("%")[0]
