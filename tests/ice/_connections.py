"""Connections without a runtime: the arguments of ``open_ice``, a driver by hand, and datagrams carried by hand."""

from sansice import Address, Event, OpenSocket, SendDatagram
from sansice.ice import IceConfig


def open_arguments(**changes):
    """What ``open_ice`` says where its caller says nothing, and the changes."""
    return {
        "controlling": True,
        "lite": False,
        "ice_servers": (),
        "credentials": None,
        "streams": 1,
        "components": 1,
        "trickle": False,
        "policy": "all",
        "include_loopback": None,
        "interface_filter": None,
        "port_range": None,
        "watch_network": False,
        "nomination": None,
        "pacer": None,
        "gathering": None,
        "entropy": bytes,
        "config": IceConfig(),
        "max_queued": 1024,
        "max_queued_bytes": 2**20,
        **changes,
    }


def arguments_at(host, **changes):
    """The same for an end that hurries and whose randomness is its address."""
    own = {"entropy": lambda n: bytes([int(host[-1])] * n), "config": IceConfig(ta=0.005)}
    return open_arguments(**{**own, **changes})


class HandDriver:
    """Performs what an agent wants at once, and keeps what it sends."""

    def __init__(self, agent, deliver, ports):
        self.agent, self.deliver, self.ports = agent, deliver, ports
        self.now = 0.0
        self.sent = []
        self.lost = {"EMSGSIZE": 3}
        self.lent = []
        self.opened = []
        self.arriving = []  # what comes out of the sockets when they are looked at

    def call(self, command, *args, **kwargs):
        result = command(*args, now=self.now, **kwargs)
        self.flush()
        return result

    def look(self):
        while self.arriving:
            self.deliver(self.arriving.pop(0))

    def lend(self, id):
        if id in self.lent:
            return None
        self.lent.append(id)
        return Lent(self.agent.selected_pair.local.address)

    def flush(self):
        while outputs := self.agent.take_outputs():
            for output in outputs:
                match output:
                    case OpenSocket(socket=socket, bind=bind):
                        self.opened.append(bind.host)
                        self.agent.handle_socket_opened(socket, Address(bind.host, bind.port or 5000), now=self.now)
                    case SendDatagram(socket=socket, destination=destination, data=data):
                        self.sent.append((socket, destination, data))
                    case Event():
                        self.deliver(output)


class Lent:
    """A socket that is not read here any more."""

    def __init__(self, local):
        self.getsockname = lambda: tuple(local)


def turn(*connections, until):
    """Carry datagrams between the connections, and fire their timers, up to that time; nothing is ever late."""
    while True:
        for one in connections:
            driver = one._driver
            while driver.sent:
                _, destination, data = driver.sent.pop(0)
                for other in connections:
                    if other is not one and other.host == destination.host:
                        other._driver.call(feed, other._agent, Address(one.host, 5000), data)
        if any(one._driver.sent for one in connections):
            continue
        now = min(one._agent.deadline() for one in connections)
        if now > until:
            return
        for one in connections:
            one._driver.now = now
            one._driver.call(one._agent.handle_timer)


def feed(agent, source, data, *, now):
    agent.handle_datagrams(1, [(source, data)], now=now)
