"""In which order the records of a DNS answer are used, and which are not (RFC 2782, RFC 3958, RFC 8305 4)."""

from __future__ import annotations

import ipaddress
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate, chain, islice, zip_longest

from sansice.machine import Address, AddressRecord, Entropy, NaptrRecord, Record, RecordKind, SrvRecord
from sansice.stun._uri import host_name

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
    ranked = sorted((record for record in records if isinstance(record, NaptrRecord)), key=rank)
    usable = (clean for record in ranked if (clean := _clean_naptr(record)) is not None)
    return tuple(islice(usable, MAX_RECORDS))


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


def usable_addresses(records: Iterable[Record], family: int) -> tuple[AddressRecord, ...]:
    """The addresses of a family, 4 or 6, that can be a server's: each once, in the order of the name service.

    Which may have sorted them by RFC 6724.
    """
    hosts: dict[str, AddressRecord] = {}
    for record in records:
        if len(hosts) == MAX_RECORDS:
            break
        if isinstance(record, AddressRecord) and (host := _server_host(record.host)) and family_of(host) == family:
            hosts.setdefault(host, AddressRecord(host, record.ttl))
    return tuple(hosts.values())


def usable_records(kind: RecordKind, records: Iterable[Record], entropy: Entropy) -> tuple[Record, ...]:
    """What remains of an answer: at most `MAX_RECORDS` of the kind asked for, in the order to use them."""
    if kind is RecordKind.SRV:
        return order_srv(records, entropy)
    if kind is RecordKind.NAPTR:
        return order_naptr(records)
    return usable_addresses(records, 4 if kind is RecordKind.A else 6)


def interleave(*families: Iterable[Record]) -> tuple[str, ...]:
    """The hosts of address records, the families taking turns, the first one first (RFC 8305 4)."""
    columns = [[record.host for record in records if isinstance(record, AddressRecord)] for records in families]
    return tuple(host for host in chain.from_iterable(zip_longest(*columns)) if host is not None)


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
