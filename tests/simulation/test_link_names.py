"""The mDNS of simulated hosts: who answers for the names of their machines, and who finds them."""

from sansice.machine import AddressRecord, Machine, PublishName, QueryId, RecordKind, Resolve, ResolveError, WithdrawName
from sansice.simulation import Network

NAME = "0b5a4d2e-7c1f-4a3b-9e8d-5f6a7b8c9d0e.local"
A, AAAA = RecordKind.A, RecordKind.AAAA


class Asking(Machine):
    """Does what it is told, and keeps what it is answered."""

    def __init__(self):
        super().__init__()
        self.answers = []

    def do(self, *actions, now):
        self._outputs += actions

    def handle_resolved(self, query, answer, *, now):
        self.answers.append(answer)


class Home:
    """Two hosts on one segment, each with a machine."""

    def __init__(self, *addresses):
        self.net = Network(seed=1)
        lan = self.net.segment("LAN")
        hosts = [self.net.host(f"host {n}", address, behind=lan) for n, address in enumerate(addresses)]
        self.here, self.there = (host.run(Asking()) for host in hosts)

    def publish(self, name=NAME, host="192.168.1.1"):
        self.here.call(self.here.machine.do, PublishName(name, host))

    def ask(self, name=NAME, kind=A, *, node=None):
        node = node or self.there
        node.call(node.machine.do, Resolve(QueryId(1), name, kind))
        self.net.run(until=self.net.now + 10.0)
        return node.machine.answers[-1]


def test_a_name_is_found_on_the_link_in_its_family_until_it_is_withdrawn():
    home = Home("192.168.1.1", "192.168.1.2")
    home.publish()
    assert home.ask() == (AddressRecord("192.168.1.1"),)
    assert home.ask(kind=AAAA) is ResolveError.NOT_FOUND
    assert home.ask(node=home.here) == (AddressRecord("192.168.1.1"),)
    home.here.call(home.here.machine.do, WithdrawName(NAME), WithdrawName("other.local"))
    home.net.run(until=home.net.now + 2.0)
    assert home.ask() is ResolveError.NOT_FOUND


def test_no_name_service_is_asked_for_a_name_that_conceals_an_address():
    home = Home("192.168.1.1", "192.168.1.2")
    home.net.resolve(NAME, [AddressRecord("203.0.113.9")])
    home.net.resolve("printer.local", [AddressRecord("203.0.113.9")])
    assert home.ask() is ResolveError.NOT_FOUND
    assert home.ask("printer.local") == (AddressRecord("203.0.113.9"),)


def test_the_names_of_a_machine_that_was_stopped_are_nobodys():
    home = Home("192.168.1.1", "192.168.1.2")
    home.publish()
    home.there.call(home.there.machine.do, PublishName(f"1{NAME[1:]}", "192.168.1.2"))
    home.net.run(until=2.0)
    home.here.stop()
    home.net.run(until=5.0)
    assert home.ask() is ResolveError.NOT_FOUND
    assert home.ask(f"1{NAME[1:]}") == (AddressRecord("192.168.1.2"),)


def test_a_name_that_cannot_be_answered_for_is_nobodys():
    home = Home("192.168.1.1", "192.168.1.2")
    home.publish("printer.local")
    home.publish(host="nonsense")
    assert home.ask() is ResolveError.NOT_FOUND


def test_link_local_addresses_are_told_as_this_host_writes_them():
    plain = Home("fe80::1", "fe80::2")
    plain.publish(host="fe80::1")
    assert plain.ask(kind=AAAA) == (AddressRecord("fe80::1"),)


def test_an_interface_that_goes_down_is_no_link():
    home = Home("192.168.1.1", "192.168.1.2")
    home.publish()
    home.there.host.interfaces[0].down()
    assert home.ask() is ResolveError.NOT_FOUND
    home.there.host.interfaces[0].up()
    assert home.ask() == (AddressRecord("192.168.1.1"),)
