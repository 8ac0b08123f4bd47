"""Gathering, once and again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import attrs
import trio

from sansice.driver import clock
from sansice.ice import GatheringOptions, HostAddress, IceAgent, IceConfig, IceServer
from sansice.sockets import TlsConfig, local_hosts
from sansice.stun import HttpProxy
from sansice_trio import open_driver

from ._presenter import Presenter
from ._round import Round

LOOK = 1.0  # seconds between two looks at the interfaces, each of which takes a system call or two


@attrs.frozen(kw_only=True)
class Wish:
    """What to gather.

    Attributes:
        servers: whom to ask.
        timeout: seconds that servers may take.
        include_loopback: see `IceAgent.gather`.
        families: 4, 6 or both.
        names: of the interfaces to use; none for all.
        tls: what to trust.
        proxy: through which servers are reached over TCP and TLS.
    """

    servers: Sequence[IceServer]
    timeout: float
    include_loopback: bool | None = None
    families: tuple[int, ...] = (4, 6)
    names: tuple[str, ...] = ()
    tls: TlsConfig = attrs.field(factory=TlsConfig)
    proxy: HttpProxy | None = None

    @property
    def urls(self) -> list[str]:
        """Of all servers, each once."""
        return list(dict.fromkeys(url for server in self.servers for url in server.urls))

    def agent(self) -> IceAgent:
        """A new agent."""
        gathering = GatheringOptions(proxy=self.proxy, every_url=True)
        return IceAgent(
            controlling=True, servers=self.servers, gathering=gathering, config=IceConfig(gathering_timeout=self.timeout)
        )

    def addresses(self) -> list[HostAddress]:
        """What the machine has of what is wanted, at this moment."""
        return local_hosts(self._is_wanted, refresh=True)

    def _is_wanted(self, name: str, address: str) -> bool:
        return (not self.names or name in self.names) and (6 if ":" in address else 4) in self.families


async def gather_once(wish: Wish, addresses: Sequence[HostAddress], presenter: Presenter) -> Round:
    """Gather, and show it as it goes. Cancelling it closes everything."""
    agent = wish.agent()
    with presenter:
        async with open_driver(agent, tls=wish.tls) as (driver, events):
            round = Round(wish.urls, addresses, began=clock())
            driver.call(agent.gather, addresses, include_loopback=wish.include_loopback)
            async for event in events:
                found = round.take(event, now=clock())
                presenter.show(round, found)
                if round.is_complete:
                    break
    return round


async def gather_again(
    wish: Wish, every: float, present: Callable[[], Presenter], say: Callable[[str], None], done: Callable[[Round], None]
) -> None:
    """Gather whenever the addresses have changed, and after ``every`` seconds; until it is cancelled."""
    before: list[HostAddress] = []
    while True:
        addresses = wish.addresses()
        say(f"{time.strftime('%H:%M:%S')} {_difference(before, addresses)}")
        done(await gather_once(wish, addresses, present()))
        before = addresses
        with trio.move_on_after(every):
            await _change(wish, addresses)


async def _change(wish: Wish, addresses: Sequence[HostAddress]) -> None:
    """Wait until the machine has other addresses. Not every system tells of that by itself, so it is asked."""
    while True:
        await trio.sleep(LOOK)
        if wish.addresses() != addresses:
            return


def _difference(before: Sequence[HostAddress], after: Sequence[HostAddress]) -> str:
    if not before:
        return " ".join(one.host for one in after)
    went = [f"-{one.host}" for one in before if one not in after]
    came = [f"+{one.host}" for one in after if one not in before]
    return " ".join([*went, *came]) or "the same addresses"
