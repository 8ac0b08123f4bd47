"""How workers hand clients to each other: a box for each worker, a pair of datagram sockets that the supervisor holds.

Whoever is started in the place of a dead worker finds in its box what has come meanwhile. A letter is a line of JSON and the
client's bytes; a stream comes along as a descriptor.
"""

from __future__ import annotations

import json
import socket
import struct
from collections import Counter
from collections.abc import Sequence

import trio

from sansice import Address, LocalProtocolError, Transport
from sansice.turn import DatagramsElsewhere, StreamElsewhere
from sansice_trio import TurnService

_MAX_LETTER = 2**18  # bytes: more than a datagram, or what is read of a stream before its request is judged
_ROOM = 2**20  # bytes that may wait in a box: a moment's worth of datagrams
_FD = struct.Struct("i")


def make_boxes(workers: int) -> list[tuple[socket.socket, socket.socket]]:
    """For each worker the end to read, and the end that all others write to."""
    boxes = []
    for _ in range(workers):
        reading, writing = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        writing.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ROOM)
        boxes.append((reading, writing))
    return boxes


class Exchange:
    """A worker's side.

    Args:
        box: where letters come.
        boxes: of all workers, by number: where they are put.

    Attributes:
        lost: letters that could not be delivered, or not be used, by reason.
    """

    def __init__(self, box: socket.socket, boxes: Sequence[socket.socket]) -> None:
        for one in boxes:
            one.setblocking(False)
        self._box = trio.socket.from_stdlib_socket(box)
        self._boxes = boxes
        self.lost: Counter[str] = Counter()

    def send_datagrams(self, event: DatagramsElsewhere) -> None:
        """Hand datagrams on; or lose them, as the network might."""
        head = {"sizes": [len(data) for data in event.datagrams], **_place(event)}
        self._send(event.worker, head, b"".join(event.datagrams))

    def send_stream(self, event: StreamElsewhere, sock: socket.socket) -> None:
        """Hand a stream over; where that fails it is closed, and the client has to come again."""
        with sock:
            self._send(event.worker, _place(event), event.data, sock.fileno())

    def _send(self, worker: int, head: dict[str, object], body: bytes, *descriptors: int) -> None:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, _FD.pack(one)) for one in descriptors]
        try:
            self._boxes[worker].sendmsg([json.dumps(head).encode(), b"\n", body], rights)
        except BlockingIOError:
            self.lost["another worker is behind"] += 1
        except OSError:
            self.lost["another worker cannot be reached"] += 1

    async def serve(self, service: TurnService) -> None:
        """Take in what others hand over."""
        while True:
            letter, ancillary, _, _ = await self._box.recvmsg(_MAX_LETTER, socket.CMSG_SPACE(_FD.size))
            descriptors = [_FD.unpack_from(data)[0] for _, kind, data in ancillary if kind == socket.SCM_RIGHTS]
            if not self._take_in(service, letter, descriptors):
                self.lost["no listener for what another worker handed over"] += 1

    def _take_in(self, service: TurnService, letter: bytes, descriptors: Sequence[int]) -> bool:
        line, _, body = letter.partition(b"\n")
        head = json.loads(line)
        place = Transport(head["transport"]), Address(*head["local"]), Address(*head["remote"])
        if not descriptors:
            datagrams, at = [], 0
            for size in head["sizes"]:
                datagrams.append(body[at : at + size])
                at += size
            return service.feed(*place, datagrams)
        sock = socket.socket(fileno=descriptors[0])
        try:
            return service.take_in(*place, sock, body)
        except LocalProtocolError:  # the server is being closed
            sock.close()
            return False

    def close(self) -> None:
        """Close this worker's ends."""
        self._box.close()
        for one in self._boxes:
            one.close()


def _place(event: DatagramsElsewhere | StreamElsewhere) -> dict[str, object]:
    path = event.path
    return {"transport": path.transport.value, "local": list(event.local), "remote": list(path.remote)}
