"""Flows through a TURN server that asks nobody for credentials: an allocation, a channel and a peer each."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from sansice import Address
from sansice.stun import (
    CHANNEL_NUMBER,
    REQUESTED_TRANSPORT,
    XOR_PEER_ADDRESS,
    XOR_RELAYED_ADDRESS,
    Attribute,
    Message,
    MessageClass,
    Method,
    decode_untrusted,
    encode,
    new_transaction_id,
)

HOST = "127.0.0.1"
PEER_HOST = "127.0.0.2"  # not the server's own host: what it relays to that it looks at twice
UDP = 17
CHANNEL = 0x4000
PATIENCE = 2.0  # seconds for an answer
RECEIVE_BUFFER = 1 << 21


class Flow(NamedTuple):
    """A client and its peer; both sockets are connected, so that a load generator needs no addresses."""

    client: socket.socket
    peer: socket.socket


@contextmanager
def open_flows(port: int, count: int) -> Iterator[list[Flow]]:
    """Open flows through the server at a port of 127.0.0.1, and close their sockets in the end. Allocations stay."""
    with ExitStack() as stack:
        yield [_open(port, stack) for _ in range(count)]


def _open(port: int, stack: ExitStack) -> Flow:
    client, peer = (stack.enter_context(_udp(host)) for host in (HOST, PEER_HOST))
    client.connect((HOST, port))
    relayed = _ask(client, Method.ALLOCATE, [(REQUESTED_TRANSPORT, UDP)]).get(XOR_RELAYED_ADDRESS)
    if relayed is None:
        raise RuntimeError("an allocation without an address")
    _ask(client, Method.CHANNEL_BIND, [(CHANNEL_NUMBER, CHANNEL), (XOR_PEER_ADDRESS, Address(*peer.getsockname()))])
    peer.connect(relayed)
    for sock in (client, peer):
        sock.setblocking(False)
    return Flow(client, peer)


def _udp(host: str) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    sock.settimeout(PATIENCE)
    sock.bind((host, 0))
    return sock


def _ask(client: socket.socket, method: Method, attributes: list[tuple[Attribute[Any], Any]]) -> Message:
    transaction_id = new_transaction_id(os.urandom)
    client.send(encode(method, MessageClass.REQUEST, transaction_id, attributes))
    answer = decode_untrusted(client.recv(2000))
    if answer.transaction_id != transaction_id or answer.message_class is not MessageClass.SUCCESS:
        raise RuntimeError(f"{method.name} was answered by {answer!r}")
    return answer
