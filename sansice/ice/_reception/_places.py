"""Where a service is to listen, from what its caller has written."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sansice.ice._gathering._addresses import AddressKind, look_at, usable_addresses
from sansice.ice._gathering._host_list import HostsGiven
from sansice.machine import ANY_IPV4, ANY_IPV6, Address, Transport
from sansice.stun import Listener

Listen = Listener | Address | str

_SHARED = (Transport.UDP, Transport.TCP)


def read_places(listen: Iterable[Listen] | Listen, hosts: Callable[[], HostsGiven]) -> tuple[Listener, ...]:
    """The listeners that are meant.

    Args:
        listen: `Listener` values, or texts: ``"udp:192.0.2.1:3478"``, ``"tcp:[2001:db8::1]:3478"``. Without a transport,
            ``"192.0.2.1:3478"`` or an `Address`, it is both. A wildcard (``0.0.0.0``, ``[::]``) means each address of the
            machine of that family, without loopback where there are others: answers must leave from the address that was
            asked, so that each has a socket of its own. A place that is named twice is one; but port 0 is another each time.
        hosts: the machine's own addresses.

    Raises:
        ValueError: what names no place to listen at, or one where no agent has a candidate; a family that the machine lacks.
    """
    if isinstance(listen, (str, Listener, Address)):
        listen = (listen,)
    places: list[Listener] = []
    for one in listen:
        places += [place for place in _places(one, hosts) if place.address.port == 0 or place not in places]
    return tuple(places)


def _places(one: Listen, hosts: Callable[[], HostsGiven]) -> Iterable[Listener]:
    if isinstance(one, Listener):
        _check_usable(one, one.address)
        return (one,)
    if not isinstance(one, (str, Address)):
        raise ValueError(f"cannot listen at {one!r}: a Listener, an Address, or a text such as 'udp:192.0.2.1:3478'")
    transports, address = _parse(one) if isinstance(one, str) else (_SHARED, one)
    if address.host not in (ANY_IPV4, ANY_IPV6):
        _check_usable(one, address)
        return [Listener(transport, address) for transport in transports]
    is_ipv6 = address.host == ANY_IPV6
    literals = [given if isinstance(given, str) else given.host for given in hosts()]
    usable = usable_addresses([host for host in literals if (":" in host) == is_ipv6])
    if not usable:
        raise ValueError(f"cannot listen at {one}: the machine has no address of that family")
    return [Listener(transport, Address(host, address.port)) for host in usable for transport in transports]


def _check_usable(one: Listen, address: Address) -> None:
    """Refuse to listen where no agent has a candidate (RFC 8445 5.1.1.1), so that nobody would ever be answered."""
    if look_at(address.host)[1] is AddressKind.UNUSABLE:
        raise ValueError(f"cannot listen at {one}: no peer connects to a multicast address, or to a deprecated form of IPv6")


def _parse(text: str) -> tuple[tuple[Transport, ...], Address]:
    word, _, rest = text.partition(":")
    try:
        if word.isalpha() and rest.count(":") > 0:
            transports = tuple([one for one in _SHARED if one.value == word.lower()])
            if not transports:
                raise ValueError(f"{word!r} is neither udp nor tcp, which is all that many agents can share")
            return transports, Address.parse(rest)
        return _SHARED, Address.parse(text)
    except ValueError as error:
        raise ValueError(f"cannot listen at {text!r}: {error}") from None
