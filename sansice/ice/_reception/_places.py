"""Where a service is to listen, from what its caller has written."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sansice.ice._gathering._addresses import usable_addresses
from sansice.ice._gathering._host_list import HostsGiven
from sansice.machine import ANY_IPV4, ANY_IPV6, Address, Transport
from sansice.stun import Listener

Listen = Listener | Address | str


def read_places(listen: Iterable[Listen] | Listen, hosts: Callable[[], HostsGiven]) -> tuple[Listener, ...]:
    """The listeners that are meant.

    Args:
        listen: `Listener` values, addresses, or texts: ``"udp:192.0.2.1:3478"``, ``"192.0.2.1:3478"``. A wildcard
            (``0.0.0.0``, ``[::]``) means each address of the machine of that family, without loopback where there are
            others: answers must leave from the address that was asked, so that each has a socket of its own.
        hosts: the machine's own addresses.

    Raises:
        ValueError: what names no place to listen at; a family that the machine has no address of.
    """
    if isinstance(listen, (str, Listener, Address)):
        listen = (listen,)
    places: dict[Listener, None] = {}
    for one in listen:
        for place in _places(one, hosts):
            places[place] = None
    return tuple(places)


def _places(one: Listen, hosts: Callable[[], HostsGiven]) -> Iterable[Listener]:
    if isinstance(one, Listener):
        return (one,)
    address = _parse(one) if isinstance(one, str) else one
    if address.host not in (ANY_IPV4, ANY_IPV6):
        return (Listener(Transport.UDP, address),)
    is_ipv6 = address.host == ANY_IPV6
    literals = [given if isinstance(given, str) else given.host for given in hosts()]
    usable = usable_addresses([host for host in literals if (":" in host) == is_ipv6])
    if not usable:
        raise ValueError(f"cannot listen at {one}: the machine has no address of that family")
    return [Listener(Transport.UDP, Address(host, address.port)) for host in usable]


def _parse(text: str) -> Address:
    word, _, rest = text.partition(":")
    try:
        if word.isalpha() and rest.count(":") > 0:
            if word.lower() != Transport.UDP.value:
                raise ValueError(f"{word!r} is not udp, which is all that many agents can share")
            return Address.parse(rest)
        return Address.parse(text)
    except ValueError as error:
        raise ValueError(f"cannot listen at {text!r}: {error}") from None
