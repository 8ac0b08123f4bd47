"""What somebody can send who sees packets and knows no password."""

from __future__ import annotations

from typing import Any

from sansice.machine import Address
from sansice.simulation._world._packets import Packet
from sansice.stun import (
    ERROR_CODE,
    FINGERPRINT,
    ICE_CONTROLLED,
    ICE_CONTROLLING,
    PRIORITY,
    USE_CANDIDATE,
    USERNAME,
    XOR_MAPPED_ADDRESS,
    Attribute,
    Message,
    MessageClass,
    encode,
    short_term_key,
)

from ._evidence import read

STRANGER = {False: Address("203.0.113.254", 6666), True: Address("2001:db8:bad::1", 6666)}  # RFC 5737, RFC 3849
GUESS = short_term_key("a guess at the password")
FORGED_DATA = b"\xf0 forged"  # RFC 7983: neither STUN nor anything else that has a meaning


_KEPT = (USERNAME, PRIORITY, ICE_CONTROLLED, ICE_CONTROLLING, XOR_MAPPED_ADDRESS, ERROR_CODE)


def replayed(packet: Packet) -> Packet:
    """The same bytes from an address that has no part in this."""
    return packet._replace(source=STRANGER[":" in packet.destination[0]])


def forged(packet: Packet) -> Packet:
    """What looks like this packet and is protected by a guess.

    A request nominates, a response maps to where the original maps; in place of data there is other data, which
    needs no password, so it comes from the stranger's own address.
    """
    message = read(packet.data)
    if message is None:
        return replayed(packet)._replace(data=FORGED_DATA)
    attributes = [_copy(message, attribute) for attribute in _KEPT if attribute in message]
    if message.message_class is MessageClass.REQUEST:
        attributes.append((USE_CANDIDATE, None))
    data = encode(
        message.method,
        message.message_class,
        message.transaction_id,
        attributes,
        key=GUESS if message.has_integrity else None,
        fingerprint=FINGERPRINT in message,
    )
    return packet._replace(data=data)


def _copy(message: Message, attribute: Attribute[Any]) -> tuple[Attribute[Any], object]:
    return attribute, message.get(attribute)
