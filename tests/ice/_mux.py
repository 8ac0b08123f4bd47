"""An `IceMux` on the bench: the test is its driver and its agents' peers; and a mux with clients in the simulation."""

import itertools

from ice._wire import at
from sansice.ice import AgentEvent, Credentials, Description, IceAgent, IceMux, LiteAgent, MuxConfig
from sansice.ice._binding import encode_check
from sansice.ice._role import IceRole
from sansice.machine import Address, CloseSocket, Event, OpenSocket, SendDatagram
from sansice.stun import Listener, MessageClass, TransactionId, decode_untrusted, short_term_key

PORT = at("192.0.2.1", 4000)
ALICE, BOB, CAROL = (at(f"198.51.100.{number}", 5000) for number in (1, 2, 3))
STRANGER = at("203.0.113.66", 6666)
WRONG = short_term_key("nobodyKnowsThisPassword")


def credentials(number: int) -> Credentials:
    return Credentials(f"server{number}", f"passwordOfServer{number:08}")


def client(number: int, *, lite: bool = False, candidates=()) -> Description:
    """What the peer of agent ``number`` says of itself."""
    return Description(f"client{number}", f"passwordOfClient{number:08}", candidates=candidates, lite=lite, options=("ice2",))


class MuxBench:
    """A mux that listens at `PORT`; what it sends and tells is kept."""

    def __init__(
        self, *listen: Address | Listener, config: MuxConfig | None = None, started: bool = True, opened: bool = True
    ) -> None:
        self.now = 0.0
        self.mux = IceMux(config=config or MuxConfig())
        self.sent: list[SendDatagram] = []
        self.events: list[Event] = []
        self.others: list[object] = []
        self.opens: list[OpenSocket] = []
        self.closed: list[int] = []
        self.transactions = itertools.count(1)
        self.sockets: dict[Address, int] = {}
        if started:
            self.call(self.mux.start, listen or (PORT,))
            if opened:
                self.open_all()

    def call(self, method, *arguments, **keywords):
        """A command or an input at the present time; what comes of it is kept."""
        try:
            return method(*arguments, **keywords, now=self.now)
        finally:
            self.drain()

    def drain(self) -> None:
        for output in self.mux.take_outputs():
            if isinstance(output, SendDatagram):
                self.sent.append(output)
            elif isinstance(output, OpenSocket):
                self.opens.append(output)
            elif isinstance(output, CloseSocket):
                self.closed.append(output.socket)
            elif isinstance(output, Event):
                self.events.append(output)
            else:
                self.others.append(output)

    def open_all(self) -> None:
        """Whatever was asked for opens."""
        while self.opens:
            wish = self.opens.pop(0)
            local = wish.bind if wish.bind.port else wish.bind._replace(port=40000 + wish.socket)
            self.sockets[local] = wish.socket
            self.call(self.mux.handle_socket_opened, wish.socket, local)

    def lite(self, number: int, *, known: bool = True, gather: bool = True, **options):
        """A lite agent on the mux, and its name."""
        options.setdefault("credentials", credentials(number))
        agent = LiteAgent(controlling=False, ids=self.mux.ids, **options)
        name = self.call(self.mux.add, agent)
        if gather:
            self.call(self.mux.gather, name)
        if known:
            self.tell(name, client(number))
        return name

    def full(self, number: int, *, known: bool = True, gather: bool = True, controlling: bool = False, remote=None, **options):
        """A full agent on the mux, and its name."""
        options.setdefault("credentials", credentials(number))
        agent = IceAgent(controlling=controlling, ids=self.mux.ids, pacer=self.mux.pacer, **options)
        name = self.call(self.mux.add, agent)
        if gather:
            self.call(self.mux.gather, name)
        if known:
            self.tell(name, remote or client(number))
        return name

    def tell(self, name, description) -> None:
        """The peer's description."""
        self.command(name, "set_remote", description)

    def command(self, name, command: str, *arguments, **keywords):
        """A command for an agent."""
        result = getattr(self.mux.agent(name), command)(*arguments, **keywords, now=self.now)
        self.call(self.mux.absorb, name)
        return result

    def check(self, number: int, source: Address, *, to: Address = PORT, ours=None, theirs=None, key=None, nominate=True):
        """A check of the peer of agent ``number``; the answer to it, or ``None``."""
        own = ours or credentials(number)
        data = encode_check(
            TransactionId(next(self.transactions).to_bytes(12, "big")),
            username=f"{own.ufrag}:{theirs or client(number).ufrag}",
            key=key or short_term_key(own.pwd),
            priority=1862270975,
            role=IceRole.CONTROLLING,
            tiebreaker=number,
            use_candidate=nominate,
        )
        return self.arrive(source, data, to=to)

    def arrive(self, source: Address, *data: bytes, to: Address = PORT):
        """Datagrams of one source, and the answer to the last of them, if it was a request."""
        self.call(self.mux.handle_datagrams, self.sockets[to], [(source, one) for one in data])
        return self.answer_to(data[-1], source)

    def answer_to(self, request: bytes, source: Address):
        for sent in reversed(self.sent):
            if sent.data[8:20] == request[8:20] and sent.destination == source and sent.data[:2] in (b"\1\1", b"\1\x11"):
                return decode_untrusted(sent.data)
        return None

    def is_accepted(self, *arguments, **keywords) -> bool:
        """Whether a check is answered with success."""
        answer = self.check(*arguments, **keywords)
        return answer is not None and answer.message_class is MessageClass.SUCCESS

    def told(self, name) -> list[Event]:
        """What one agent has told."""
        return [one.event for one in self.events if isinstance(one, AgentEvent) and one.agent == name]

    def got(self, name) -> list[bytes]:
        """The data that one agent has received."""
        return [event.data for event in self.told(name) if hasattr(event, "data")]

    def dropped(self) -> dict[str, int]:
        """What the mux has dropped."""
        return {reason.name: count for reason, count in self.mux.stats.dropped.items() if count}

    def run(self, until: float) -> None:
        """Let time pass."""
        while self.mux.deadline() <= until:
            self.now = max(self.now, self.mux.deadline())
            self.call(self.mux.handle_timer)
        self.now = until
