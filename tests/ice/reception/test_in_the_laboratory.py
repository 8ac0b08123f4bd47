"""Unannounced clients behind NATs, over lines that lose packets, come to one port in the simulation."""

import pytest

from ice._wire import at
from sansice.ice import (
    Admission,
    AgentEvent,
    Credentials,
    DataReceived,
    Description,
    IceAgent,
    IceReception,
    IceState,
    PeerArrived,
    UnknownUfrag,
)
from sansice.simulation import Network
from sansice.stun import PENDING

SERVER = at("203.0.113.80", 3478)
CLIENTS = 12


def secret(name):
    return f"password+of+{name}".ljust(22, "0")


def at_once(stranger):
    return Admission(secret(stranger.ufrag), secret(stranger.remote_ufrag))


def later(stranger):
    return PENDING


class Town:
    """A server, and clients that know no more than its address and a password, of whom every fourth has a wrong one."""

    def __init__(self, seed, *, lite, admit, ports=(SERVER,)):
        self.net = Network(seed=seed, latency=0.04, loss=0.1)
        host = self.net.host("server", SERVER.host)
        self.reception = IceReception(lite=lite, admit=admit, entropy=host.entropy)
        self.server = host.run(self.reception)
        self.server.call(self.reception.start, ports)
        self.net.run(until=0.5)
        self.clients = {}
        for number in range(CLIENTS):
            home = self.net.nat(f"198.51.100.{number + 1}", preset="symmetric" if number % 2 else "port-restricted")
            place = self.net.host(f"client {number}", "192.168.1.2", behind=home)
            own = Credentials(f"client{number}", secret(f"client{number}"))
            agent = IceAgent(controlling=True, credentials=own, entropy=place.entropy)
            node = place.run(agent)
            node.call(agent.gather, place.addresses)
            room = f"room{number}"
            pwd = "w" * 22 if number % 4 == 3 else secret(room)
            port = ports[number % len(ports)]
            told = [candidate for candidate in self.reception.local_candidates if candidate.address == port]
            known = Description(room, pwd, candidates=told, lite=lite)
            node.call(agent.set_remote, known)
            self.clients[room] = node

    def run(self, seconds):
        """Accept whoever comes, and welcome him by the name of his room; answer what was left open a second later."""
        accepted, read, asked, end = {}, 0, [], self.net.now + seconds
        while self.net.now < end:
            self.net.run(until=self.net.now + 0.05)
            events, read = self.server.events[read:], len(self.server.events)
            asked += [(self.net.now + 1.0, event) for _, event in events if isinstance(event, UnknownUfrag)]
            while asked and asked[0][0] <= self.net.now:
                stranger = asked.pop(0)[1]
                self.server.call(self.reception.admit, stranger.ufrag, at_once(stranger))
            for _ in [event for _, event in events if isinstance(event, PeerArrived)]:
                name = self.server.call(self.reception.accept)
                agent = self.reception.agent(name)
                accepted[agent.credentials.ufrag] = name
                self.server.call(self.reception.tell, name, agent.send, f"welcome to {agent.credentials.ufrag}".encode())
        return accepted


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("admit", [at_once, later])
@pytest.mark.parametrize("lite", [True, False])
def test_who_knows_the_password_is_connected_and_hears_what_is_meant_for_him_and_who_does_not_is_not(lite, admit, seed):
    town = Town(seed, lite=lite, admit=admit)
    accepted = town.run(20.0)
    wanted = [room for number, room in enumerate(town.clients) if number % 4 != 3]
    assert sorted(accepted) == sorted(wanted)
    for room in wanted:
        node = town.clients[room]
        assert node.machine.writable
        assert node.machine.selected_pair.remote.address == SERVER
        data = {event.data for _, event in node.events if isinstance(event, DataReceived)}
        assert data <= {f"welcome to {room}".encode()}
        node.call(node.machine.send, room.encode())
    town.net.run(until=town.net.now + 1.0)
    for _, event in town.server.events:
        if isinstance(event, AgentEvent) and isinstance(event.event, DataReceived):
            assert accepted[event.event.data.decode()] == event.agent
    assert town.reception.stats.accepted == len(wanted)
    assert town.reception.stats.forged > 0
    assert len(town.reception.mux.agents) == len(wanted)


@pytest.mark.parametrize("lite", [True, False])
def test_clients_behind_nats_hear_from_the_port_that_they_know_and_the_nats_let_no_other_in(lite):
    ports = [at(SERVER.host, port) for port in (3478, 443, 5349)]
    town = Town(5, lite=lite, admit=at_once, ports=ports)
    accepted = town.run(20.0)
    wanted = [room for number, room in enumerate(town.clients) if number % 4 != 3]
    assert sorted(accepted) == sorted(wanted)
    town.net.run(until=town.net.now + 60.0)  # consent (RFC 7675) goes on where the pair is
    for number, room in enumerate(town.clients):
        if room in accepted:
            client = town.clients[room]
            served = town.reception.agent(accepted[room])
            assert client.machine.selected_pair.remote.address == served.selected_pair.local.address == ports[number % 3]
            assert client.machine.writable
            assert served.writable
            for _ in range(5):  # the line loses packets
                town.server.call(town.reception.tell, accepted[room], served.send, b"once more")
    town.net.run(until=town.net.now + 1.0)
    for room in wanted:
        assert b"once more" in [event.data for _, event in town.clients[room].events if isinstance(event, DataReceived)]


def test_clients_that_go_are_lost_one_by_one_and_closing_leaves_nothing():
    town = Town(7, lite=True, admit=at_once)
    accepted = town.run(20.0)
    for node in town.clients.values():
        node.call(node.machine.close)
    town.net.run(until=town.net.now + 60.0)
    agents = [town.reception.agent(name) for name in accepted.values()]
    assert {agent.state for agent in agents} == {IceState.FAILED}
    for name, agent in zip(accepted.values(), agents, strict=True):
        town.server.call(town.reception.tell, name, agent.close)
    residents = town.reception.mux._residents
    assert (residents.members, residents.lanes, residents.by_ufrag, residents.owners) == ({}, {}, {}, {})
    assert all(not shared.routes for shared in town.reception.mux._listening.sockets.values())
