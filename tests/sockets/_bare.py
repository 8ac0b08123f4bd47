"""The least of runtimes: real sockets, a clock that a test sets, and a machine that writes down what it hears."""

import select

from sansice import Address, Machine, OpenSocket, SocketId, SocketOptions, Transport
from sansice.driver import Driver
from sansice.sockets import Sockets

LOOPBACK = Address("127.0.0.1", 0)
DEFAULT = SocketOptions()
PATIENCE = 20  # seconds after which what a test waits for over loopback is not late but lost


class Ear(Machine):
    """Writes down what it is told; ``react`` maps the first word of that to what is done about it at once."""

    def __init__(self):
        super().__init__()
        self.heard = []
        self.react = {}

    def note(self, *what):
        self.heard.append(what)
        if what[0] in self.react:
            self.react[what[0]](*what[1:])

    def handle_socket_opened(self, socket, local, *, now):
        self.note("opened", socket, local)

    def handle_socket_failed(self, socket, error, *, now):
        self.errors = [*getattr(self, "errors", []), error]
        self.note("failed", socket, error.kind)

    def handle_accepted(self, listener, socket, remote, *, now):
        self.note("accepted", listener, socket, remote)

    def handle_datagrams(self, socket, batch, *, now):
        for source, data in batch:
            self.note("datagram", socket, source, data)

    def handle_stream_data(self, socket, data, *, now):
        self.note("data", socket, data)

    def handle_stream_sent(self, socket, unsent, *, now):
        self.note("sent", socket, unsent)

    def handle_icmp(self, socket, destination, error, *, now):
        self.note("icmp", destination, error)


class Bare:
    """Runs an `Ear`. Time stands still unless a test moves it."""

    def __init__(self, **options):
        self.time = 100.0
        self.sockets = Sockets(**options)
        self.machine = Ear()
        self.driver = Driver(self.machine, self)

    @property
    def heard(self):
        return self.machine.heard

    def now(self):
        return self.time

    def arm(self, deadline):
        pass

    def send_datagram(self, socket, destination, data):
        self.sockets.send(socket, destination, data)

    def open(self, socket=1, bind=LOOPBACK, transport=Transport.UDP, options=DEFAULT, remote=None):
        """Open, and return what was told at once."""
        told = len(self.heard)
        self.sockets.open(OpenSocket(SocketId(socket), transport, bind, remote, options), self.driver)
        return self.heard.pop() if len(self.heard) > told else None

    def listen(self, socket=1, transport=Transport.TCP, **wanted):
        """Open a listener and return its address."""
        told = self.open(socket, transport=transport, **wanted)
        assert told[:2] == ("opened", socket), self.machine.errors
        return told[2]

    def feed(self):
        """Feed once something is there."""
        assert select.select([self.sockets], [], [], PATIENCE)[0], self.heard
        self.sockets.feed(self.driver)

    def idle(self):
        """Whether nothing is to be fed."""
        return not select.select([self.sockets], [], [], 0)[0]

    def until(self, *kinds):
        """Feed until something of each of these kinds was heard; return the last of the last kind."""
        while not {what[0] for what in self.heard}.issuperset(kinds):
            self.feed()
        return next(what for what in reversed(self.heard) if what[0] == kinds[-1])

    def fire(self):
        """Let time pass until the next deadline of the sockets."""
        self.time = deadline = self.sockets.deadline()
        self.sockets.timer(self.driver, deadline)

    def stream(self, socket):
        """Everything that arrived on a stream."""
        return b"".join(what[2] for what in self.heard if what[:2] == ("data", socket))

    def of(self, kind):
        """What was heard of one kind."""
        return [what for what in self.heard if what[0] == kind]
