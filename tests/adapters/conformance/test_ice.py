"""`open_ice` behaves the same on every runtime, and any two of them connect."""

import contextlib
import gc
import itertools
import queue
import select
import socket
import threading

import attrs
import pytest

from _certificates import Authority
from adapters.conformance._runtimes import HANG, RUNTIMES
from sansice import DropReason, LocalProtocolError, Transport
from sansice.ice import (
    CandidateType,
    ConsentLost,
    Description,
    GatheringOptions,
    IceAgent,
    IceClosed,
    IceConfig,
    IceError,
    IceFailed,
    IceRole,
    IceServer,
    IceState,
    NotConnected,
    Pacer,
    SessionDescription,
    WouldBlock,
)
from sansice.sockets import TlsConfig
from sansice.stun import MessageClass, Method, Schedule, TransactionId, decode_untrusted, encode
from sansice.turn import ANY_PEER, RelayAddress, TurnServerConfig

QUICK = IceConfig(ta=0.005)  # the least that RFC 8445 14.2 allows
HASTY = IceConfig(ta=0.005, pac_timeout=0.05, schedule=Schedule(rc=1, rm=1))
NO_CHECK = encode(Method.BINDING, MessageClass.REQUEST, TransactionId(bytes(12)), fingerprint=True)  # nobody says who asks
NOBODY = Description("gone", "nobodynobodynobodynobody")


def on_loopback(rt, controlling, **arguments):
    only_loopback = {"include_loopback": True, "interface_filter": lambda name, address: address == "127.0.0.1"}
    return rt.opened(rt.adapter.open_ice(controlling=controlling, **{**only_loopback, "config": QUICK, **arguments}))


async def connect(rt, alice, bob):
    of_alice, of_bob = await rt.call(alice.gather()), await rt.call(bob.gather())

    async def from_alice():
        return await rt.call(alice.connect(of_bob))

    async def from_bob():
        return await rt.call(bob.connect(of_alice))

    return await rt.together(from_alice, from_bob)


def with_pair(rt, body, **arguments):
    """Run a body with two connected ends, and see that they leave nothing behind."""

    async def run(rt):
        async with on_loopback(rt, True, **arguments) as alice, on_loopback(rt, False, **arguments) as bob:
            await connect(rt, alice, bob)
            await body(alice, bob)

    rt.run(lambda rt: rt.leaves_nothing(lambda: run(rt)))


async def until(rt, ice, condition):
    while not condition():
        await rt.call(ice.changed())


# ---------------------------------------------------------------- any two of them


@pytest.mark.parametrize("runtimes", [*itertools.product(RUNTIMES, repeat=2)], ids=lambda pair: f"{pair[0]}-{pair[1]}")
def test_any_two_runtimes_connect_and_exchange_data_both_ways(runtimes):
    outboxes = queue.Queue(), queue.Queue()
    got, failures = {}, []

    async def end(rt, number):
        async with on_loopback(rt, number == 0) as ice:
            outboxes[number].put(await rt.call(ice.gather()))
            pair = await rt.call(ice.connect(outboxes[1 - number].get(timeout=HANG)))
            await rt.call(ice.send(f"from {number}".encode()))
            got[number] = pair, await rt.call(ice.receive()), ice.role
            outboxes[number].put("done")  # or closing could overtake our data
            outboxes[1 - number].get(timeout=HANG)

    def program(number):
        try:
            runtimes[number].run(end, number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=program, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * HANG)
    assert failures == []
    (of_one, data_of_two, role_of_one), (of_two, data_of_one, role_of_two) = got[0], got[1]
    assert (of_one.local, of_one.remote) == (of_two.remote, of_two.local)
    assert (data_of_two, data_of_one) == (b"from 1", b"from 0")
    assert (role_of_one, role_of_two) == (IceRole.CONTROLLING, IceRole.CONTROLLED)


@pytest.mark.parametrize("kinds", [(("active",), ("passive",)), (("active", "passive"),) * 2], ids=["one way", "both ways"])
def test_two_ends_without_udp_connect_over_tcp_and_data_of_any_size_flows_both_ways(rt, kinds):
    async def run(rt):
        of_alice, of_bob = (GatheringOptions(udp=False, tcp=kind) for kind in kinds)
        async with on_loopback(rt, True, gathering=of_alice) as alice, on_loopback(rt, False, gathering=of_bob) as bob:
            await connect(rt, alice, bob)
            assert {one.selected_pair.local.transport for one in (alice, bob)} == {Transport.TCP}
            for data in (b"1", bytes([0x80]) * 60_000):
                await rt.call(alice.send(data))
                assert await rt.call(bob.receive()) == data
                await rt.call(bob.send(data))
                assert await rt.call(alice.receive()) == data
            for ice in (alice, bob):
                with pytest.raises(LocalProtocolError, match=r"over TCP.*no socket of its own"):
                    ice.detach()

    rt.run(lambda rt: rt.leaves_nothing(lambda: run(rt)))


def test_a_lite_end_takes_connections_over_tcp(rt):
    async def run(rt):
        full, lite = GatheringOptions(udp=False, tcp=("active",)), GatheringOptions(udp=False, tcp=("passive",))
        async with on_loopback(rt, True, gathering=full) as alice, on_loopback(rt, False, gathering=lite, lite=True) as bob:
            await connect(rt, alice, bob)
            await rt.call(bob.send(b"over tcp"))
            assert await rt.call(alice.receive()) == b"over tcp"

    rt.run(lambda rt: rt.leaves_nothing(lambda: run(rt)))


# ---------------------------------------------------------------- connecting


def test_what_may_be_read_of_a_connected_connection(rt):
    async def body(alice, bob):
        await rt.call(alice.send(b"12345"))
        assert await rt.call(bob.receive()) == b"12345"
        assert alice.state in (IceState.CONNECTED, IceState.COMPLETED)
        assert alice.writable
        assert alice.selected_pair in alice.pairs
        assert alice.local_candidates == bob.remote_candidates
        assert alice.selected_pair.local.type is CandidateType.HOST
        assert "192" not in alice.explain()
        assert bob.stats().datagrams_received == 1
        assert alice.lost == {}
        assert await rt.call(alice.connected()) == alice.selected_pair

    with_pair(rt, body)


def test_candidates_come_one_by_one_and_end(rt):
    async def body(rt):
        async with on_loopback(rt, True) as ice:
            found = [candidate async for candidate in rt.each(ice.candidates())]
            assert tuple(found) == ice.local_candidates != ()
            assert (await rt.call(ice.gather())).candidates == tuple(found)

    rt.run(body)


def test_trickled_candidates_connect(rt):
    async def body(rt):
        async with on_loopback(rt, True, trickle=True) as alice, on_loopback(rt, False, trickle=True) as bob:
            of_alice, of_bob = alice.local_description, bob.local_description
            assert "trickle" in of_alice.options
            assert not of_alice.end_of_candidates

            def trickle(source, sink):
                async def run():
                    async for candidate in rt.each(source.candidates()):
                        sink.add_remote_candidate(candidate)
                    sink.end_of_candidates()

                return run

            def connected(ice, remote):
                async def run():
                    return await rt.call(ice.connect(remote))

                return run

            # Each hears of the other's description before its candidates, as signalling must see to.
            connecting = [connected(alice, of_bob), connected(bob, of_alice)]

            async def later():
                for ice in (alice, bob):
                    while ice.state is IceState.NEW:
                        await rt.sleep(0.001)
                await rt.together(trickle(alice, bob), trickle(bob, alice))

            await rt.together(*connecting, later)
            assert alice.selected_pair is not None

    rt.run(body)


def test_a_wait_that_ends_early_leaves_everything_going(rt):
    async def body(rt):
        async with on_loopback(rt, True) as alice, on_loopback(rt, False) as bob:
            of_alice = await rt.call(alice.gather())
            of_bob = bob.local_description  # no candidates yet: nobody to check
            with pytest.raises(TimeoutError):
                await rt.within(0.01, alice.connect, of_bob)
            with pytest.raises(TimeoutError):
                await rt.within(0.01, alice.connected)
            with pytest.raises(LocalProtocolError, match=r"connected\(\)"):
                await rt.call(alice.connect(of_bob))
            await rt.call(bob.connect(of_alice))
            assert (await rt.call(alice.connected())).nominated
            with pytest.raises(TimeoutError):
                await rt.within(0.01, alice.receive)
            await rt.call(bob.send(b"kept"))
            assert await rt.call(alice.receive()) == b"kept"

    rt.run(lambda rt: rt.leaves_nothing(lambda: body(rt)))


def test_a_server_may_be_given_by_its_name(rt):
    async def body(rt):
        async with rt.opened(rt.adapter.serve_stun(["udp:127.0.0.1:0"])) as service:
            by_name = f"stun:localhost:{service.listening[0][1].port}"
            async with on_loopback(rt, True, ice_servers=by_name) as ice:
                await rt.call(ice.gather())
            assert service.stats.responses == 1

    rt.run(lambda rt: rt.leaves_nothing(lambda: body(rt)))


def test_gathering_that_is_given_up_goes_on(rt):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        server = f"stun:127.0.0.1:{silent.getsockname()[1]}"

        async def body(rt):
            config = IceConfig(ta=0.005, gathering_timeout=0.2)
            async with on_loopback(rt, True, ice_servers=server, config=config) as ice:
                with pytest.raises(TimeoutError):
                    await rt.within(0.01, ice.gather)
                assert (await rt.call(ice.gather())).candidates

        rt.run(body)


# ---------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    "wrong",
    [
        {"lite": True, "ice_servers": "stun:192.0.2.9"},
        {"streams": 0},
        {"components": 0},
        {"policy": "private"},
        {"nomination": "aggressive"},
        {"pacer": 0.005},
        {"lite": True, "pacer": Pacer()},
        {"port_range": (6, 5)},
        {"max_queued": 0},
        {"ice_servers": ["nonsense"]},
    ],
)
def test_what_is_wrong_or_not_built_is_said_before_anything_opens(rt, wrong):
    with pytest.raises(LocalProtocolError):
        rt.adapter.open_ice(controlling=True, **wrong)


class NotingPacer(Pacer):
    """Keeps the moments that it gave."""

    def __init__(self):
        super().__init__()
        self.moments = []

    def reserve(self, now):
        self.moments.append(super().reserve(now))
        return self.moments[-1]


def test_agents_of_a_process_may_share_a_pace(rt):
    pacer = NotingPacer()

    async def body(alice, bob):
        assert alice.state in (IceState.CONNECTED, IceState.COMPLETED)

    with_pair(rt, body, pacer=pacer)
    assert len(pacer.moments) >= 2  # a check of each, at least
    assert all(later >= earlier + pacer.interval for earlier, later in itertools.pairwise(pacer.moments))


def test_a_recording_of_one_agent_has_no_room_for_a_pacer_of_several(rt, tmp_path):
    with pytest.raises(LocalProtocolError, match="record and pacer"):
        rt.adapter.open_ice(controlling=True, pacer=Pacer(), record=tmp_path / "life")


def test_local_ports_are_taken_from_the_range(rt):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    async def body(rt):
        async with on_loopback(rt, True, port_range=(port, port)) as ice:
            assert [one.address.port for one in (await rt.call(ice.gather())).candidates] == [port]

    rt.run(body)


# ---------------------------------------------------------------- data


def test_data_is_refused_before_a_pair_is_valid(rt):
    async def body(rt):
        async with on_loopback(rt, True) as ice:
            with pytest.raises(NotConnected):
                await rt.call(ice.send(b"early"))
            with pytest.raises(NotConnected):
                ice.send_nowait(b"early")
            with pytest.raises(WouldBlock):
                ice.receive_nowait()
            for wrong in ({"stream": 1}, {"component": 2}):
                with pytest.raises(LocalProtocolError, match="there is no stream"):
                    await rt.call(ice.receive(**wrong))

    rt.run(body)


def test_a_full_queue_drops_the_oldest_datagrams_and_counts_them(rt):
    async def body(alice, bob):
        for number in range(9):
            alice.send_nowait(b"%d" % number)
        await until(rt, bob, lambda: bob.stats().datagrams_received == 9)
        assert [bob.receive_nowait() for _ in range(4)] == [b"5", b"6", b"7", b"8"]
        assert bob.stats().dropped[DropReason.QUEUE_FULL] == 5
        with pytest.raises(WouldBlock):
            bob.receive_nowait()

    with_pair(rt, body, max_queued=4)


def test_data_may_be_iterated_over_until_the_end(rt):
    async def body(alice, bob):
        for number in range(3):
            alice.send_nowait(b"%d" % number)
        await until(rt, bob, lambda: bob.stats().datagrams_received == 3)
        bob.close()
        assert [data async for data in rt.each(bob)] == [b"0", b"1", b"2"]

    with_pair(rt, body)


def test_every_datagram_goes_to_one_of_several_readers(rt):
    async def body(alice, bob):
        async def read():
            return await rt.call(bob.receive())

        async def write():
            for data in (b"1", b"2", b"3"):
                await rt.call(alice.send(data))

        assert sorted((await rt.together(read, read, read, write))[:3]) == [b"1", b"2", b"3"]

    with_pair(rt, body)


# ---------------------------------------------------------------- streams, components, lite ends


def test_streams_and_components_connect_together_and_keep_their_data_apart(rt):
    async def body(alice, bob):
        assert alice.components == bob.components == (2, 1)
        places = [(0, 1), (0, 2), (1, 1)]
        assert await rt.call(alice.connected()) == alice.selected_pair
        pairs = [alice.selected_pair_of(stream=stream, component=component) for stream, component in places]
        assert [pair.local.component for pair in pairs] == [1, 2, 1]
        assert len({pair.local.address for pair in pairs}) == 3
        for stream, component in places:
            assert alice.is_writable(stream=stream, component=component)
            alice.send_nowait(b"%d.%d" % (stream, component), stream=stream, component=component)
        for stream, component in reversed(places):
            assert await rt.call(bob.receive(stream=stream, component=component)) == b"%d.%d" % (stream, component)
        assert alice.state is IceState.COMPLETED
        of_second = alice.channel(1)
        await rt.call(of_second.send(b"by the channel"))
        assert await rt.call(bob.channel(stream=1).receive()) == b"by the channel"

    with_pair(rt, body, streams=2, components=[2, 1])


def test_candidates_of_each_stream_are_told_apart(rt):
    async def body(rt):
        async with on_loopback(rt, True, streams=2) as ice:
            session = await rt.call(ice.gather())
            assert isinstance(session, SessionDescription)
            for stream in (0, 1):
                found = [candidate async for candidate in rt.each(ice.candidates(stream=stream))]
                assert tuple(found) == session.streams[stream].candidates != ()
            with pytest.raises(LocalProtocolError, match="there is no stream 2"):
                ice.candidates(stream=2)

    rt.run(body)


def test_trickled_candidates_of_several_streams_connect(rt):
    async def body(rt):
        async with on_loopback(rt, True, streams=2) as alice, on_loopback(rt, False, streams=2) as bob:
            of_alice, of_bob = alice.local_description, bob.local_description

            def trickle(source, sink, stream):
                async def run():
                    async for candidate in rt.each(source.candidates(stream=stream)):
                        assert sink.add_remote_candidate(candidate, stream=stream)
                    sink.end_of_candidates(stream=stream)

                return run

            async def from_alice():
                return await rt.call(alice.connect(of_bob))

            async def from_bob():
                return await rt.call(bob.connect(of_alice))

            ways = [trickle(*ends, stream) for ends in ((alice, bob), (bob, alice)) for stream in (0, 1)]
            await rt.together(from_alice, from_bob, *ways)

    rt.run(lambda rt: rt.leaves_nothing(lambda: body(rt)))


@pytest.mark.parametrize("other_is_lite", [False, True])
def test_a_lite_end_connects_with_a_full_and_with_a_lite_one(rt, other_is_lite):
    async def body(rt):
        async with on_loopback(rt, True, lite=other_is_lite) as alice, on_loopback(rt, False, lite=True) as bob:
            await connect(rt, alice, bob)
            assert (alice.role, bob.role) == (IceRole.CONTROLLING, IceRole.CONTROLLED)
            await rt.call(bob.send(b"from the lite end"))
            assert await rt.call(alice.receive()) == b"from the lite end"
            await rt.call(alice.send(b"to the lite end"))
            assert await rt.call(bob.receive()) == b"to the lite end"
            assert bob.explain()
            with bob.detach().socket as sock:
                assert sock.getsockname() == tuple(bob.selected_pair.local.address)

    rt.run(lambda rt: rt.leaves_nothing(lambda: body(rt)))


# ---------------------------------------------------------------- restarts, and other addresses


@pytest.mark.parametrize("lite", [False, True])
def test_a_restart_by_either_end_connects_anew(rt, lite):
    async def body(rt):
        async with on_loopback(rt, True) as alice, on_loopback(rt, False, lite=lite) as bob:
            await connect(rt, alice, bob)
            states = alice.states()
            for one, other in ((alice, bob), (bob, alice)):
                old = one.local_description
                credentials = one.restart()
                offer = await rt.call(one.gather())
                assert (offer.ufrag, offer.pwd) == (credentials.ufrag, credentials.pwd) != (old.ufrag, old.pwd)
                await rt.call(other.send(b"meanwhile"))
                assert await rt.call(one.receive()) == b"meanwhile"
                other.set_remote(offer)
                answer = await rt.call(other.gather())

                async def from_one(one=one, answer=answer):
                    return await rt.call(one.connect(answer))

                async def from_other(other=other):
                    return await rt.call(other.connected())

                await rt.together(from_one, from_other)
                await rt.call(one.send(b"anew"))
                assert await rt.call(other.receive()) == b"anew"
            alice.close()
            assert [state async for state in rt.each(states)][-1] is IceState.CLOSED

    rt.run(lambda rt: rt.leaves_nothing(lambda: body(rt)))


def test_what_has_failed_is_revived_by_a_restart(rt):
    async def body(rt):
        async with on_loopback(rt, True, config=HASTY) as alice, on_loopback(rt, False) as bob:
            with pytest.raises(IceFailed):
                await rt.call(alice.connect(NOBODY))
            alice.restart()
            of_alice = await rt.call(alice.gather())
            of_bob = await rt.call(bob.gather())

            async def from_alice():
                return await rt.call(alice.connect(of_bob))

            async def from_bob():
                return await rt.call(bob.connect(of_alice))

            await rt.together(from_alice, from_bob)

    rt.run(lambda rt: rt.leaves_nothing(lambda: body(rt)))


def test_addresses_that_go_are_noticed_by_whoever_wants_to_know(rt):
    wanted = ["127.0.0.1", "::1"]

    async def body(rt):
        arguments = {"interface_filter": lambda name, address: address in wanted, "include_loopback": True}
        async with on_loopback(rt, True, watch_network=0.005, **arguments) as ice:
            assert len((await rt.call(ice.gather())).candidates) == 2
            wanted.remove("127.0.0.1")
            while len(ice.local_candidates) > 1:
                await rt.sleep(0.001)
            assert [one.address.host for one in ice.local_candidates] == ["::1"]

    rt.run(lambda rt: rt.leaves_nothing(lambda: body(rt)))


def test_a_filter_that_fails_while_the_network_is_watched_comes_out_of_the_block(rt):
    gathered = []

    def fails(name, address):
        if gathered:
            raise RuntimeError("a defect of the filter")
        return address == "127.0.0.1"

    async def wait(rt):
        async with on_loopback(rt, True, watch_network=0.002, interface_filter=fails) as ice:
            gathered.append(await rt.call(ice.gather()))
            await rt.call(ice.receive())

    async def body(rt):
        with pytest.raises(BaseExceptionGroup) as caught:
            await wait(rt)
        assert caught.group_contains(RuntimeError, match="a defect of the filter")

    rt.run(lambda rt: rt.leaves_nothing(lambda: body(rt)))


def test_a_stream_that_fails_alone_is_told_to_who_waits_for_it(rt):
    async def body(rt):
        trickling = attrs.evolve(NOBODY, options=["trickle"], end_of_candidates=False)
        session = SessionDescription([trickling, trickling])
        async with on_loopback(rt, True, streams=2, config=attrs.evolve(HASTY, assume_end_of_candidates=False)) as alice:
            await rt.call(alice.gather())
            alice.set_remote(session)
            alice.end_of_candidates(stream=0)
            with pytest.raises(IceFailed) as caught:
                await rt.call(alice.receive())
            assert caught.value.stream == 0
            with pytest.raises(IceFailed):
                await rt.call(alice.connected())
            with pytest.raises(WouldBlock):
                alice.receive_nowait(stream=1)  # which may still be told a candidate

    rt.run(lambda rt: rt.leaves_nothing(lambda: body(rt)))


# ---------------------------------------------------------------- relays


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    """What a server presents, and what its clients trust."""
    authority = Authority(tmp_path_factory.mktemp("relays"))
    return TlsConfig(authority.issue("127.0.0.1", "localhost")), TlsConfig(ca_file=authority.ca_file)


@contextlib.asynccontextmanager
async def relaying(rt, transport="udp", **options):
    """A relay on the loopback interface: the service, and the server's name for `open_ice`."""
    config = TurnServerConfig(relay_addresses=[RelayAddress("127.0.0.1")])
    listen = [f"{transport}:127.0.0.1:0"]
    served = rt.adapter.serve_turn(listen, users={"alice": "secret"}, config=config, peer_policy=ANY_PEER, **options)
    async with rt.opened(served) as service:
        place = service.listening[0][1]
        url = f"turns:{place}" if transport == "tls" else f"turn:{place}?transport={transport}"
        yield service, IceServer(url, "alice", "secret", verify_name="localhost" if transport == "tls" else None)


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_relays_alone_connect_and_nothing_is_left_at_the_server(rt, transport, tls):
    serving, trusting = tls
    options = {"tls": serving} if transport == "tls" else {}

    async def body(rt):
        async with relaying(rt, transport, **options) as (service, server):
            arguments = {"ice_servers": [server], "policy": "relay", "tls": trusting}
            async with on_loopback(rt, True, **arguments) as alice, on_loopback(rt, False, **arguments) as bob:
                await connect(rt, alice, bob)
                assert {one.type for one in alice.local_candidates} == {CandidateType.RELAYED}
                assert alice.selected_pair.local.type is CandidateType.RELAYED
                await rt.call(alice.send(b"over two relays"))
                assert await rt.call(bob.receive()) == b"over two relays"
                with pytest.raises(LocalProtocolError, match="over a relay"):
                    alice.detach()
                assert len(service.allocations()) == 2
            while service.allocations():
                await rt.sleep(0.001)

    rt.run(lambda rt: rt.leaves_nothing(lambda: body(rt)))


def test_candidates_of_servers_come_when_they_are_found(rt):
    async def body(rt):
        async with relaying(rt) as (_, server), on_loopback(rt, True, ice_servers=[server]) as ice:
            found = [candidate.type async for candidate in rt.each(ice.candidates())]
            assert found == [CandidateType.HOST, CandidateType.RELAYED]

    rt.run(body)


def test_a_dead_server_delays_nothing_but_the_complete_description(rt):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        dead = IceServer(f"turn:127.0.0.1:{silent.getsockname()[1]}", "somebody", "else")  # of another provider

        async def body(rt):
            async with relaying(rt) as (_, server):
                servers = [dead, server]
                async with on_loopback(rt, True, ice_servers=servers) as alice, on_loopback(rt, False) as bob:
                    alice.candidates()
                    await until(rt, alice, lambda: len(alice.local_candidates) == 2)
                    assert [one.type for one in alice.local_candidates] == [CandidateType.HOST, CandidateType.RELAYED]
                    assert not alice.local_description.end_of_candidates
                    bob_told = await rt.call(bob.gather())

                    async def from_alice():
                        return await rt.call(alice.connect(bob_told))

                    async def from_bob():
                        return await rt.call(bob.connect(alice.local_description))

                    await rt.together(from_alice, from_bob)

        rt.run(body)


# ---------------------------------------------------------------- channels


def test_a_channel_is_a_component_by_itself(rt):
    async def body(alice, bob):
        here, there = alice.channel(), bob.channel(stream=0, component=1)
        assert (here.stream, here.component) == (0, 1)
        assert here.writable
        assert here.selected_pair == alice.selected_pair
        await rt.call(here.send(b"1"))
        here.send_nowait(b"2")
        assert [await rt.call(there.receive()) for _ in range(2)] == [b"1", b"2"]
        with pytest.raises(WouldBlock):
            there.receive_nowait()
        here.send_nowait(b"3")
        await until(rt, bob, lambda: bob.stats().datagrams_received == 3)
        bob.close()
        assert [data async for data in rt.each(there)] == [b"3"]
        with pytest.raises(IceClosed):
            await rt.call(there.receive())

    with_pair(rt, body)


def test_waiting_for_a_channel_may_be_given_up(rt):
    async def body(alice, bob):
        channel = alice.channel()
        with pytest.raises(TimeoutError):
            await rt.within(0.01, channel.receive)
        bob.send_nowait(b"kept")
        assert await rt.call(channel.receive()) == b"kept"

    with_pair(rt, body)


def test_a_channel_may_have_a_queue_of_its_own_size(rt):
    async def body(alice, bob):
        channel = bob.channel(max_queued=2)
        for number in range(4):
            alice.send_nowait(b"%d" % number)
        await until(rt, bob, lambda: bob.stats().datagrams_received == 4)
        assert [channel.receive_nowait() for _ in range(2)] == [b"2", b"3"]
        bob.channel(max_queued_bytes=10)
        for number in range(4):
            alice.send_nowait(b"datagram%d" % number)
        await until(rt, bob, lambda: bob.stats().datagrams_received == 8)
        assert channel.receive_nowait() == b"datagram3"
        for wrong in ({"max_queued": 0}, {"max_queued_bytes": -1}, {"stream": 1}, {"component": 0}):
            with pytest.raises(LocalProtocolError):
                bob.channel(**wrong)

    with_pair(rt, body)


# ---------------------------------------------------------------- states


def test_states_come_one_after_the_other_and_none_is_left_out(rt):
    async def body(rt):
        async with on_loopback(rt, True) as alice, on_loopback(rt, False) as bob:
            early, late = alice.states(), alice.states()

            async def watch():
                return [state async for state in rt.each(early)]

            async def work():
                await connect(rt, alice, bob)
                alice.close()

            seen, _ = await rt.together(watch, work)
            assert seen[:2] == [IceState.NEW, IceState.CHECKING]
            assert IceState.COMPLETED in seen
            assert seen[-1] is IceState.CLOSED
            assert [state async for state in rt.each(late)] == seen
            assert [state async for state in rt.each(early)] == []
            assert [state async for state in rt.each(alice.states())] == [IceState.CLOSED]
            assert early.missed == 0

    rt.run(lambda rt: rt.leaves_nothing(lambda: body(rt)))


def test_states_end_where_the_block_is_left_after_a_failure(rt):
    async def body(rt):
        async with on_loopback(rt, True, config=HASTY) as ice:
            states = ice.states()
            with pytest.raises(IceFailed):
                await rt.call(ice.connect(NOBODY))
        assert [state async for state in rt.each(states)] == [
            IceState.NEW,
            IceState.CHECKING,
            IceState.FAILED,
            IceState.CLOSED,
        ]

    rt.run(lambda rt: rt.leaves_nothing(lambda: body(rt)))


# ---------------------------------------------------------------- data that others move


async def until_readable(rt, sock):
    while not select.select([sock], [], [], 0)[0]:
        await rt.sleep(0.001)


def test_who_took_the_socket_moves_the_data_and_feeds_the_agent(rt):
    async def body(alice, bob):
        handover = alice.channel().detach()
        with handover.socket as sock:
            assert sock.getsockname() == tuple(handover.local) == tuple(alice.selected_pair.local.address)
            assert handover.remote == alice.selected_pair.remote.address
            assert handover.is_current
            sock.sendto(b"from the socket", handover.remote)
            assert await rt.call(bob.receive()) == b"from the socket"
            alice.send_nowait(b"from the agent")
            assert await rt.call(bob.receive()) == b"from the agent"
            bob.send_nowait(b"to the socket")
            await until_readable(rt, sock)
            data, source = sock.recvfrom(100)
            assert not handover.feed(data, source)
            assert data == b"to the socket"
            with pytest.raises(WouldBlock):
                alice.receive_nowait()
            # What the agent must see it answers, by the same way.
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                stranger.bind(("127.0.0.1", 0))
                stranger.sendto(NO_CHECK, handover.local)
                await until_readable(rt, sock)
                assert handover.feed(*sock.recvfrom(2000))
                await until_readable(rt, stranger)
                answer, source = stranger.recvfrom(2000)
                assert decode_untrusted(answer).message_class is MessageClass.ERROR
                assert source == handover.local
            assert alice.detach().socket.close() is None  # another duplicate
            alice.close()
            assert not handover.is_current
            with pytest.raises(IceClosed):
                alice.detach()
            assert sock.fileno() >= 0

    with_pair(rt, body)


# ---------------------------------------------------------------- the end


def test_a_failure_to_connect_says_what_was_tried(rt):
    async def body(rt):
        async with on_loopback(rt, True, config=HASTY) as ice:
            with pytest.raises(IceFailed) as caught:
                await rt.call(ice.connect(NOBODY))
            assert "failed" in caught.value.explanation
            assert ice.state is IceState.FAILED
            for again in (ice.connected, ice.receive, ice.changed):
                with pytest.raises(IceFailed):
                    await rt.within(HANG, again)
            for again in (lambda: ice.send_nowait(b"x"), ice.receive_nowait):
                with pytest.raises(IceFailed):
                    again()
            with pytest.raises(IceFailed):
                _ = [data async for data in rt.each(ice)]

    rt.run(lambda rt: rt.leaves_nothing(lambda: body(rt)))


def test_a_peer_that_vanishes_is_missed(rt):
    # RFC 7675 5.1 has 30 s and no less than 5 between checks; nothing but the test's patience stands against less.
    vanishing = IceConfig(ta=0.005, consent_interval=5.0, consent_timeout=0.2)

    async def body(rt):
        async with on_loopback(rt, True, config=vanishing) as alice:
            async with on_loopback(rt, False) as bob:
                await connect(rt, alice, bob)
            with pytest.raises(ConsentLost):
                await rt.call(alice.receive())
            with pytest.raises(ConsentLost):
                _ = [data async for data in rt.each(alice)]
            with pytest.raises(ConsentLost):
                alice.send_nowait(b"anybody?")

    rt.run(body)


def test_closing_wakes_everybody_who_waits(rt):
    async def body(alice, bob):
        async def wait():
            with pytest.raises(IceClosed):
                await rt.call(alice.receive())

        async def read():
            assert [data async for data in rt.each(alice)] == []

        async def close():
            await rt.sleep(0.01)
            alice.close()
            alice.close()

        await rt.together(wait, wait, read, close)
        for refused in (alice.gather, alice.connected, alice.receive, alice.changed):
            with pytest.raises(IceClosed):
                await rt.within(HANG, refused)
        with pytest.raises(IceClosed):
            await rt.call(alice.send(b"late"))

    with_pair(rt, body)


def test_leaving_the_block_wakes_those_who_wait_outside_of_it(rt):
    async def body(rt):
        opened = []

        async def own():
            async with on_loopback(rt, True) as ice:
                opened.append(ice)
                await rt.sleep(0.02)

        async def read():
            while not opened:
                await rt.sleep(0.001)
            with pytest.raises(IceClosed):
                await rt.call(opened[0].receive())

        await rt.together(own, read)

    rt.run(lambda rt: rt.leaves_nothing(lambda: body(rt)))


def test_iterating_over_candidates_ends_or_is_refused_when_the_connection_closes(rt):
    async def body(rt):
        async with on_loopback(rt, True) as ice:
            ice.close()
            with pytest.raises(IceClosed):
                ice.candidates()
            with pytest.raises(IceClosed):
                await rt.call(ice.connect(NOBODY))

    rt.run(body)


def test_a_connection_outside_of_its_block_says_so_and_is_unharmed(rt):
    async def body(rt):
        connection = rt.adapter.open_ice(controlling=True, include_loopback=True)
        with pytest.raises(LocalProtocolError, match="with"):
            await rt.call(connection.gather())
        async with rt.opened(connection) as ice:
            assert (await rt.call(ice.gather())).candidates
        with pytest.raises(LocalProtocolError, match="second time"):
            async with rt.opened(connection):
                pass

    rt.run(lambda rt: rt.leaves_nothing(lambda: body(rt)))


def test_a_failure_inside_the_driver_comes_out_of_the_block(rt, monkeypatch):
    def fail(self, *args, **kwargs):
        raise RuntimeError("a defect")

    async def body(rt):
        async with on_loopback(rt, True, config=HASTY) as alice, on_loopback(rt, False, config=HASTY) as bob:
            of_alice, of_bob = await rt.call(alice.gather()), await rt.call(bob.gather())
            monkeypatch.setattr(type(bob._agent), "handle_datagrams", fail)

            async def from_alice():
                await rt.call(alice.connect(of_bob))

            async def from_bob():
                await rt.call(bob.connect(of_alice))

            await rt.together(from_alice, from_bob)

    async def check(rt):
        with pytest.raises(BaseExceptionGroup) as caught:
            await body(rt)
        assert caught.group_contains(RuntimeError, match="a defect")
        assert caught.value.split(lambda error: isinstance(error, (RuntimeError, IceError)))[1] is None

    rt.run(lambda rt: rt.leaves_nothing(lambda: check(rt)))


def test_what_is_left_of_a_connection_is_freed_without_the_garbage_collector(rt):
    def count():
        return sum(type(one) in (IceAgent, rt.driver) for one in gc.get_objects())

    async def run(rt):
        async with on_loopback(rt, True) as alice, on_loopback(rt, False) as bob:
            await connect(rt, alice, bob)

    async def body(rt):
        await run(rt)  # what a runtime makes for the first who comes stays
        gc.collect()
        before = count()
        gc.disable()
        try:
            await run(rt)
            assert count() == before
        finally:
            gc.enable()

    rt.run(body)
