"""In which order the records of a DNS answer are used, and which are not (RFC 2782, RFC 3958, RFC 8305 4)."""

from __future__ import annotations

import ipaddress
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, chain, zip_longest

from sansice.machine import Address, AddressRecord, Entropy, NaptrRecord, Record, SrvRecord

from ._uri import host_name

# Nobody runs more servers behind one name and waits for the last of them. A hostile answer may hold thousands.
MAX_RECORDS = 16

_FLAGS = ("", "S", "A")  # RFC 3958 6.3: these and no other
_DRAW = 8  # bytes: over 65,535 records of weight 65,535 the modulo favours nobody by more than 2^-31


def order_srv(records: Iterable[Record], entropy: Entropy) -> tuple[SrvRecord, ...]:
    """Sort by priority, and shuffle by weight among equals (RFC 2782, "Usage rules").

    Records that name no host or port are left out, except the target "." that denies the service: it becomes "".
    """
    usable = [clean for record in records if isinstance(record, SrvRecord) and (clean := _clean_srv(record)) is not None]
    ordered: list[SrvRecord] = []
    for priority in sorted({record.priority for record in usable}):
        equals = [record for record in usable if record.priority == priority]
        equals.sort(key=lambda record: record.weight != 0)  # RFC 2782: those of weight 0 first
        while equals and len(ordered) < MAX_RECORDS:
            ordered.append(equals.pop(_pick(equals, entropy)))
    return tuple(ordered)


def _clean_srv(record: SrvRecord) -> SrvRecord | None:
    target = record.target.removesuffix(".")
    if not target:
        return SrvRecord(record.priority, record.weight, record.port, "", record.ttl)
    if not 1 <= record.port <= 65535 or record.weight < 0:
        return None
    name = _name(target)
    return SrvRecord(record.priority, record.weight, record.port, name, record.ttl) if name else None


def _pick(records: Sequence[SrvRecord], entropy: Entropy) -> int:
    if len(records) == 1:
        return 0
    drawn = int.from_bytes(entropy(_DRAW), "big") % (sum(record.weight for record in records) + 1)
    return bisect_left(list(accumulate(record.weight for record in records)), drawn)


def order_naptr(records: Iterable[Record]) -> tuple[NaptrRecord, ...]:
    """Sort what S-NAPTR can use by order and preference (RFC 3958 2.2); flags come out in upper case."""
    usable = [clean for record in records if isinstance(record, NaptrRecord) and (clean := _clean_naptr(record)) is not None]
    usable.sort(key=rank)
    return tuple(usable[:MAX_RECORDS])


def rank(record: NaptrRecord) -> tuple[int, int]:
    """What NAPTR records are sorted by."""
    return record.order, record.preference


def _clean_naptr(record: NaptrRecord) -> NaptrRecord | None:
    flags = record.flags.upper()
    name = _name(record.replacement)
    if record.regexp or flags not in _FLAGS or not name or not protocol_tags(record):
        return None
    return NaptrRecord(record.order, record.preference, flags, record.service, "", name, record.ttl)


def protocol_tags(record: NaptrRecord) -> tuple[str, ...]:
    """The application protocol tags of a record for TURN servers, in lower case; none of any other (RFC 5928 3)."""
    service, *tags = record.service.lower().split(":")
    return tuple(tags) if service == "relay" else ()


def order_addresses(answers: Mapping[int, Iterable[Record]], families: Sequence[int]) -> tuple[str, ...]:
    """Interleave the addresses of a name, the preferred family first (RFC 8305 4).

    Within a family they stay as the name service had them, which may have sorted them by RFC 6724.

    Args:
        answers: by family, 4 or 6, what the name has.
        families: in order of preference.
    """
    columns = [_addresses(answers.get(family, ()), family) for family in families]
    return tuple(host for host in chain.from_iterable(zip_longest(*columns)) if host is not None)


def _addresses(records: Iterable[Record], family: int) -> list[str]:
    hosts: dict[str, None] = {}
    for record in records:
        if len(hosts) == MAX_RECORDS:
            break
        if isinstance(record, AddressRecord) and (host := _server_host(record.host)) and family_of(host) == family:
            hosts[host] = None
    return list(hosts)


def _server_host(text: str) -> str | None:
    try:
        host = Address.of(text, 0).host
    except ValueError:
        return None
    return host if is_server_host(host) else None


def is_server_host(host: str) -> bool:
    """Whether an address can be a server's. To send to the unspecified one reaches the sender itself."""
    address = ipaddress.ip_address(host)
    return not (address.is_unspecified or address.is_multicast)


def family_of(host: str) -> int:
    """4 or 6."""
    return 6 if ":" in host else 4


def _name(text: str) -> str | None:
    try:
        return host_name(text)
    except ValueError:
        return None
