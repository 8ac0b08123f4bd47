"""A mux that listens over TCP, too; the test is whoever connects to it."""

from ice._mux import ALICE, PORT, MuxBench, client, credentials
from ice._tcp_bench import frames
from sansice.ice import GatheringOptions, MuxConfig
from sansice.ice._binding import encode_check
from sansice.ice._role import IceRole
from sansice.machine import Address, CloseMode, CloseSocket, SendStream, SocketId, Transport
from sansice.stun import Listener, TransactionId, decode_untrusted, frame_rfc4571, short_term_key

TCP_PORT = Listener(Transport.TCP, PORT)
BOTH = GatheringOptions(tcp=("passive",))
TCP_ONLY = GatheringOptions(udp=False, tcp=("passive",))


class MuxTcpBench(MuxBench):
    """A `MuxBench` with a TCP listener at `PORT` besides.

    Attributes:
        listeners: the driver's names for those over TCP.
        streams: what was sent over each connection, in frames.
        shut: what was closed, and how.
    """

    def __init__(self, *listen, **options) -> None:
        self.streams: dict[SocketId, list[bytes]] = {}
        self.shut: dict[SocketId, CloseMode] = {}
        self.listeners: list[SocketId] = []
        self.accepted = 0
        super().__init__(*(listen or (PORT, TCP_PORT)), **options)

    def open_all(self) -> None:
        self.listeners = [wish.socket for wish in self.opens if wish.transport is Transport.TCP]
        datagrams = {wish.bind: wish.socket for wish in self.opens if wish.transport is Transport.UDP}
        super().open_all()
        self.sockets |= datagrams  # where both have the same address

    def drain(self) -> None:
        outputs = self.mux.take_outputs()
        for output in outputs:
            if isinstance(output, SendStream):
                assert output.socket not in self.shut
                self.streams.setdefault(output.socket, []).extend(frames(output.data))
            elif isinstance(output, CloseSocket):
                assert output.socket not in self.shut
                self.shut[output.socket] = output.mode
        self.mux._outputs.extend(output for output in outputs if not isinstance(output, SendStream))
        super().drain()

    def connect(self, source: Address = ALICE, listener: int = 0) -> SocketId:
        """Somebody connects to one of the listeners."""
        self.accepted -= 1
        socket = SocketId(self.accepted)
        self.call(self.mux.handle_accepted, self.listeners[listener], socket, source)
        return socket

    def feed(self, socket: SocketId, data: bytes) -> None:
        """Bytes arrive over a connection."""
        self.call(self.mux.handle_stream_data, socket, data)

    def check_for(self, number: int, *, key=None, nominate=True) -> bytes:
        """A check of the peer of agent ``number``, in its frame."""
        return frame_rfc4571(
            encode_check(
                TransactionId(next(self.transactions).to_bytes(12, "big")),
                username=f"{credentials(number).ufrag}:{client(number).ufrag}",
                key=key or short_term_key(credentials(number).pwd),
                priority=1862270975,
                role=IceRole.CONTROLLING,
                tiebreaker=number,
                use_candidate=nominate,
            )
        )

    def ask(self, socket: SocketId, number: int, **options):
        """The same over a connection: the answer to it, or ``None``."""
        check = self.check_for(number, **options)
        self.feed(socket, check)
        return self.answer_over(socket, check)

    def answer_over(self, socket: SocketId, check: bytes):
        for data in reversed(self.streams.get(socket, [])):
            if data[8:20] == check[10:22] and data[:2] in (b"\1\1", b"\1\x11"):
                return decode_untrusted(data)
        return None

    def waiting(self) -> int:
        """Connections of which nobody knows whose they are."""
        return len(self.mux._residents.doorstep)


def narrow(**bounds) -> MuxTcpBench:
    """With such bounds."""
    return MuxTcpBench(config=MuxConfig(**bounds))
