"""`open_ice` on real sockets, over loopback."""

import socket

import pytest
import trio

from sansice import DropReason, LocalProtocolError, SocketId
from sansice.ice import (
    CandidateType,
    ConsentLost,
    Credentials,
    Description,
    IceClosed,
    IceConfig,
    IceFailed,
    IceRole,
    IceServer,
    IceState,
    NotConnected,
    WouldBlock,
)
from sansice_trio import open_ice, serve_ice

HANG = 20
QUICK = IceConfig(ta=0.005)  # the least that RFC 8445 14.2 allows


def on_loopback(controlling, **arguments):
    return open_ice(
        controlling=controlling,
        include_loopback=True,
        interface_filter=lambda name, address: address == "127.0.0.1",
        **{"config": QUICK, **arguments},
    )


async def connect(alice, bob):
    of_alice, of_bob = await alice.gather(), await bob.gather()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(alice.connect, of_bob)
        nursery.start_soon(bob.connect, of_alice)


@pytest.fixture
async def pair():
    """Two connections, each over its own socket; a test that hangs fails."""
    with trio.fail_after(HANG):
        async with on_loopback(True) as alice, on_loopback(False) as bob:
            await connect(alice, bob)
            yield alice, bob


async def until(ice, condition):
    while not condition():
        await ice.changed()


# ---------------------------------------------------------------- connecting


async def test_two_connections_agree_on_a_pair_and_exchange_data(sockets, nothing_left):
    with trio.fail_after(HANG), nothing_left():
        async with on_loopback(True) as alice, on_loopback(False) as bob:
            of_alice, of_bob = await alice.gather(), await bob.gather()
            pairs = {}

            async def run(name, ice, remote):
                pairs[name] = await ice.connect(remote)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(run, "alice", alice, of_bob)
                nursery.start_soon(run, "bob", bob, of_alice)
            assert pairs["alice"].local == pairs["bob"].remote
            assert pairs["alice"].remote == pairs["bob"].local
            await alice.send(b"from alice")
            await bob.send(b"from bob")
            assert await alice.receive() == b"from bob"
            assert await bob.receive() == b"from alice"
        assert alice.lost == bob.lost == {}


async def test_what_may_be_read_of_a_connected_connection(pair):
    alice, bob = pair
    await alice.send(b"12345")
    assert await bob.receive() == b"12345"
    assert alice.state is bob.state is IceState.COMPLETED
    assert (alice.role, bob.role) == (IceRole.CONTROLLING, IceRole.CONTROLLED)
    assert alice.writable
    assert alice.selected_pair in alice.pairs
    assert alice.local_candidates == bob.remote_candidates
    assert "completed" in alice.explain()
    stats = bob.stats()
    assert (stats.datagrams_received, stats.bytes_received) == (1, 5)
    stats.dropped[DropReason.EMPTY] += 1
    assert bob.stats().dropped[DropReason.EMPTY] == 0


async def test_gathering_twice_gives_the_same_description():
    with trio.fail_after(HANG):
        async with on_loopback(True) as ice:
            description = await ice.gather()
            assert description.end_of_candidates
            assert await ice.gather() == description == ice.local_description


async def test_connecting_gathers_where_that_has_not_been_done():
    credentials = Credentials("ufragofbob", "passwordofbob-passwordofbob".replace("-", "+"))
    with trio.fail_after(HANG):
        async with on_loopback(True) as alice, on_loopback(False, credentials=credentials) as bob:
            of_bob = await bob.gather()
            assert (of_bob.ufrag, of_bob.pwd) == (credentials.ufrag, credentials.pwd)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(alice.connect, of_bob)
                nursery.start_soon(bob.connect, alice.local_description)
            assert alice.local_candidates


async def test_candidates_come_one_by_one_and_end(sockets):
    with trio.fail_after(HANG):
        async with on_loopback(True) as ice:
            found = [candidate async for candidate in ice.candidates()]
            assert tuple(found) == ice.local_candidates
            assert [candidate.type for candidate in found] == [CandidateType.HOST]
            async for again in ice.candidates():
                assert again == found[0]
                break  # an abandoned iteration leaves nothing behind


async def test_trickled_candidates_connect():
    with trio.fail_after(HANG):
        async with on_loopback(True, trickle=True) as alice, on_loopback(False, trickle=True) as bob:
            of_alice, of_bob = alice.local_description, bob.local_description
            assert "trickle" in of_alice.options
            assert not of_alice.end_of_candidates

            async def trickle(source, sink):
                async for candidate in source.candidates():
                    assert sink.add_remote_candidate(candidate)
                sink.end_of_candidates()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(alice.connect, of_bob)
                nursery.start_soon(bob.connect, of_alice)
                nursery.start_soon(trickle, alice, bob)
                nursery.start_soon(trickle, bob, alice)
            assert alice.add_remote_candidate(bob.local_candidates[0]) is False
            assert alice.stats().dropped[DropReason.UNUSABLE_CANDIDATE] == 1


async def test_a_second_connect_is_refused_and_changes_nothing(pair):
    alice, bob = pair
    with pytest.raises(LocalProtocolError, match=r"connected\(\)"):
        await alice.connect(bob.local_description)
    assert await alice.connected() == alice.selected_pair


async def test_a_refused_description_leaves_connect_to_be_called_again():
    with trio.fail_after(HANG):
        async with on_loopback(True) as alice, on_loopback(False) as bob:
            with pytest.raises(LocalProtocolError, match="own description"):
                await alice.connect(alice.local_description)
            await connect(alice, bob)


async def test_a_cancelled_connect_goes_on_and_connected_waits_for_it():
    with trio.fail_after(HANG):
        async with on_loopback(True) as alice, on_loopback(False) as bob:
            of_alice, of_bob = await alice.gather(), await bob.gather()
            with trio.CancelScope() as scope:
                scope.cancel()
                await alice.connect(of_bob)
            assert alice.state is IceState.CHECKING
            with trio.CancelScope() as scope:
                scope.cancel()
                await alice.connected()
            await bob.connect(of_alice)
            assert (await alice.connected()).nominated


async def test_a_cancelled_gather_goes_on():
    with trio.fail_after(HANG):
        async with on_loopback(True) as ice:
            with trio.CancelScope() as scope:
                scope.cancel()
                await ice.gather()
            assert (await ice.gather()).candidates


async def test_a_dead_server_is_told_by_icmp_and_does_not_delay_gathering(autojump_clock):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind(("127.0.0.1", 0))
        port = gone.getsockname()[1]
    async with on_loopback(True, ice_servers=f"stun:127.0.0.1:{port}") as ice:
        start = trio.current_time()
        await ice.gather()
        assert trio.current_time() - start < 0.1  # silence would take 3 s


async def test_a_silent_server_delays_gathering_no_longer_than_configured(autojump_clock, peer):
    server = IceServer(f"stun:127.0.0.1:{peer.getsockname()[1]}")
    async with on_loopback(True, ice_servers=[server]) as ice:
        start = trio.current_time()
        await ice.gather()
        assert trio.current_time() - start == pytest.approx(QUICK.gathering_timeout, abs=0.1)
    assert len((await peer.recvfrom(1000))[0]) >= 20


async def test_local_ports_are_taken_from_the_range():
    with trio.fail_after(HANG), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        async with on_loopback(True, port_range=(port, port)) as alice, on_loopback(True, port_range=(port, port)) as bob:
            assert [candidate.address.port for candidate in (await alice.gather()).candidates] == [port]
            assert (await bob.gather()).candidates == ()


# ---------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    "wrong",
    [
        {"lite": True, "ice_servers": "stun:192.0.2.1"},
        {"streams": 0},
        {"components": [1, 1]},
        {"policy": "private"},
        {"nomination": "aggressive"},
        {"port_range": (0, 5)},
        {"port_range": (6, 5)},
        {"port_range": (5, 65536)},
        {"ice_servers": ["turn:192.0.2.1:nowhere"]},
        {"ice_servers": ["192.0.2.1"]},
        {"ice_servers": IceServer("https://192.0.2.1")},
    ],
)
async def test_what_is_wrong_or_not_built_is_said_before_anything_opens(wrong, nothing_left):
    with nothing_left():
        with pytest.raises(LocalProtocolError):
            on_loopback(True, **wrong)


# ---------------------------------------------------------------- data


async def test_data_is_refused_before_a_pair_is_valid_and_nothing_is_counted():
    with trio.fail_after(HANG):
        async with on_loopback(True) as ice:
            with pytest.raises(NotConnected):
                await ice.send(b"early")
            with pytest.raises(NotConnected):
                ice.send_nowait(b"early")
            with pytest.raises(WouldBlock):
                ice.receive_nowait()
            assert ice.stats().datagrams_sent == 0


async def test_data_that_cannot_be_sent_is_refused(pair):
    alice, _ = pair
    for wrong in ({"data": b""}, {"data": bytes(65508)}, {"data": b"x", "stream": 1}, {"data": b"x", "component": 2}):
        with pytest.raises(LocalProtocolError):
            await alice.send(**wrong)
    for wrong in ({"stream": 1}, {"component": 2}):
        with pytest.raises(LocalProtocolError, match="there is no stream"):
            await alice.receive(**wrong)
        with pytest.raises(LocalProtocolError, match="there is no stream"):
            alice.receive_nowait(**wrong)


async def test_the_largest_datagram_arrives_whole(pair):
    alice, bob = pair
    data = bytes(range(256)) * 255 + bytes(227)
    assert len(data) == 65507
    await alice.send(data)
    assert await bob.receive() == data


async def test_an_empty_datagram_of_the_peer_never_reaches_the_application(pair):
    alice, bob = pair
    to_bob = alice.selected_pair.remote.address
    alice._driver.send_datagram(SocketId(1), to_bob, b"")
    alice.send_nowait(b"full")
    assert await bob.receive() == b"full"
    assert bob.stats().dropped[DropReason.EMPTY] == 1


async def test_a_strangers_data_never_reaches_the_application(pair, peer):
    alice, bob = pair
    await peer.sendto(b"not from alice", bob.selected_pair.local.address)
    await alice.send(b"from alice")
    assert await bob.receive() == b"from alice"


async def test_what_has_arrived_is_received_without_the_drivers_task(pair):
    alice, bob = pair
    steps = []

    class Steps(trio.abc.Instrument):
        def before_task_step(self, task):
            steps.append(task.name)

    alice.send_nowait(b"there")
    trio.lowlevel.add_instrument(Steps())
    assert await bob.receive() == b"there"
    alice.send_nowait(b"again")
    await bob.changed()
    assert bob.receive_nowait() == b"again"
    assert "sansice reactor" not in steps
    assert steps  # each was a checkpoint all the same


async def test_who_waits_for_the_selected_pair_is_woken_by_nothing_less():
    steps = []

    class Steps(trio.abc.Instrument):
        def before_task_step(self, task):
            if task.name == "waits":
                steps.append(alice.state)

    with trio.fail_after(HANG):
        async with on_loopback(True) as alice, on_loopback(False) as bob, trio.open_nursery() as nursery:
            of_alice, of_bob = await alice.gather(), await bob.gather()
            trio.lowlevel.add_instrument(Steps())
            nursery.start_soon(alice.connected, name="waits")
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(alice.connect, of_bob)
            await bob.connect(of_alice)
            await alice.connected()
            await trio.testing.wait_all_tasks_blocked()
    assert steps == [IceState.NEW, IceState.COMPLETED]


async def test_a_cancelled_send_sends_nothing(pair):
    alice, _ = pair
    with trio.CancelScope() as scope:
        scope.cancel()
        await alice.send(b"never")
    assert alice.stats().datagrams_sent == 0


async def test_a_cancelled_receive_loses_nothing(pair):
    alice, bob = pair
    await alice.send(b"kept")
    await until(bob, lambda: bob.stats().datagrams_received == 1)
    with trio.CancelScope() as scope:
        scope.cancel()
        await bob.receive()
    assert bob.receive_nowait() == b"kept"


async def test_every_datagram_goes_to_one_of_several_readers(pair):
    alice, bob = pair
    got = []

    async def read():
        got.append(await bob.receive())

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        for data in (b"1", b"2", b"3"):
            await alice.send(data)
    assert sorted(got) == [b"1", b"2", b"3"]


async def flooded(number, data, **bounds):
    with trio.fail_after(HANG):
        async with on_loopback(True) as alice, on_loopback(False, **bounds) as bob:
            await connect(alice, bob)
            for sent in range(number):
                await alice.send(b"%04d" % sent + data)
                await until(bob, lambda sent=sent: bob.stats().datagrams_received == sent + 1)
            kept = []
            while True:
                try:
                    kept.append(int(bob.receive_nowait()[:4]))
                except WouldBlock:
                    return kept, bob.stats().dropped[DropReason.QUEUE_FULL]


async def test_a_full_queue_drops_the_oldest_datagrams_and_counts_them():
    assert await flooded(25, b"", max_queued=10) == (list(range(15, 25)), 15)


async def test_a_queue_full_of_bytes_drops_the_oldest_datagrams_and_counts_them():
    assert await flooded(25, bytes(996), max_queued_bytes=10_500) == (list(range(15, 25)), 15)


async def test_by_default_a_thousand_datagrams_wait_and_no_more():
    kept, dropped = await flooded(1124, b"")
    assert (kept[0], len(kept), dropped) == (100, 1024, 100)


# ---------------------------------------------------------------- the end


async def nowhere():
    """The description of a peer that is not there."""
    async with on_loopback(False) as gone:
        return await gone.gather()


async def test_a_failure_to_connect_says_what_was_tried(autojump_clock):
    async with on_loopback(True) as ice:
        start = trio.current_time()
        with pytest.raises(IceFailed) as caught:
            await ice.connect(await nowhere())
        # RFC 8863 4: never before 39.5 s, whatever ICMP says.
        assert trio.current_time() - start == pytest.approx(39.5, abs=0.1)
        assert "failed" in caught.value.explanation
        assert ice.state is IceState.FAILED
        for again in (ice.connected, ice.receive, ice.changed):
            with pytest.raises(IceFailed):
                await again()
        with pytest.raises(IceFailed):
            ice.send_nowait(b"x")
        with pytest.raises(IceFailed):
            ice.receive_nowait()
        with pytest.raises(IceFailed):
            _ = [data async for data in ice]


async def test_a_failure_is_caught_around_the_block(autojump_clock, nothing_left):
    with nothing_left():
        with pytest.raises(IceFailed):
            async with on_loopback(True) as ice:
                await ice.connect(await nowhere())


async def test_a_peer_that_leaves_is_missed_within_30_seconds_after_its_last_data(autojump_clock):
    async with on_loopback(True) as alice:
        async with on_loopback(False) as bob:
            await connect(alice, bob)
            await bob.send(b"last words")
            await until(alice, lambda: alice.stats().datagrams_received == 1)
        start = trio.current_time()
        assert [await alice.receive()] == [b"last words"]
        with pytest.raises(ConsentLost):
            await alice.receive()
        assert 24 <= trio.current_time() - start <= 30  # RFC 7675 5.1: 30 s after the last answer
        with pytest.raises(ConsentLost):
            _ = [data async for data in alice]
        with pytest.raises(ConsentLost):
            await alice.send(b"anybody?")


async def test_closing_wakes_everybody_who_waits(pair):
    alice, _ = pair
    ended = []

    async def wait():
        with pytest.raises(IceClosed):
            await alice.receive()
        ended.append("receive")

    async def read():
        assert [data async for data in alice] == []
        ended.append("iteration")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        nursery.start_soon(wait)
        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        alice.close()
    assert sorted(ended) == ["iteration", "receive", "receive"]


async def test_a_closed_connection_gives_out_what_had_arrived_and_refuses_the_rest(pair):
    alice, bob = pair
    await bob.send(b"unread")
    await until(alice, lambda: alice.stats().datagrams_received == 1)
    alice.close()
    alice.close()
    assert alice.state is IceState.CLOSED
    assert [data async for data in alice] == [b"unread"]
    for refused in (alice.gather, alice.connected, alice.receive, alice.changed):
        with pytest.raises(IceClosed):
            await refused()
    with pytest.raises(IceClosed):
        await alice.send(b"late")


async def test_leaving_the_block_wakes_those_who_wait_outside_of_it():
    with trio.fail_after(HANG):
        async with trio.open_nursery() as nursery:
            async with on_loopback(True) as ice:

                async def read():
                    with pytest.raises(IceClosed):
                        await ice.receive()

                nursery.start_soon(read)
                await trio.testing.wait_all_tasks_blocked()


async def test_a_closed_connection_gathers_nothing():
    with trio.fail_after(HANG):
        async with on_loopback(True) as ice:
            ice.close()
            with pytest.raises(IceClosed):
                await ice.gather()
            with pytest.raises(IceClosed):
                await ice.connect(Description("ufrag", "password" * 3))


async def test_an_iteration_over_candidates_ends_when_the_connection_closes(peer):
    silent = f"stun:127.0.0.1:{peer.getsockname()[1]}"
    with trio.fail_after(HANG):
        async with on_loopback(True, ice_servers=silent) as ice:
            async with trio.open_nursery() as nursery:

                async def close():
                    await until(ice, lambda: ice.local_candidates)
                    await trio.testing.wait_all_tasks_blocked()
                    ice.close()

                nursery.start_soon(close)
                found = [candidate async for candidate in ice.candidates()]
            assert [candidate.type for candidate in found] == [CandidateType.HOST]


async def test_a_failure_inside_the_driver_comes_out_of_the_block(monkeypatch, nothing_left):
    def fail(self, *args, **kwargs):
        raise RuntimeError("a defect")

    async def run():
        async with on_loopback(True) as alice, on_loopback(False) as bob:
            of_alice, of_bob = await alice.gather(), await bob.gather()
            monkeypatch.setattr(type(bob._agent), "handle_datagrams", fail)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(bob.connect, of_alice)
                nursery.start_soon(alice.connect, of_bob)

    with trio.fail_after(HANG), nothing_left():
        with pytest.raises(ExceptionGroup) as caught:
            await run()
        assert caught.group_contains(RuntimeError, match="a defect")


# ---------------------------------------------------------------- nothing is left behind


async def test_cancelling_at_any_await_leaves_nothing_behind(sockets, cancel_everywhere):
    async def scenario():
        async with on_loopback(True) as alice, on_loopback(False) as bob:
            async for _ in alice.candidates():
                pass
            await connect(alice, bob)
            await alice.connected()
            await alice.send(b"x")
            assert await bob.receive() == b"x"
            async with trio.open_nursery() as nursery:
                nursery.start_soon(alice.receive)
                await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()

    assert await cancel_everywhere(scenario) >= 8


async def test_cancelling_a_service_and_who_comes_to_it_at_any_await_leaves_nothing_behind(cancel_everywhere):
    async def scenario():
        places = ["udp:127.0.0.1:0", "127.0.0.1:0"]
        async with serve_ice(places, admit=lambda stranger: "p" * 22) as service, on_loopback(True) as ice:
            await ice.connect(Description("room", "p" * 22, candidates=service.local_candidates[-1:], lite=True))
            served = await service.accept()
            await ice.send(b"x")
            assert await served.receive() == b"x"

    assert await cancel_everywhere(scenario) >= 4


async def test_two_hundred_sessions_leak_nothing(sockets, nothing_left):
    with nothing_left():
        for _ in range(4):
            async with trio.open_nursery() as nursery:
                for _ in range(50):
                    nursery.start_soon(_session)


async def _session():
    with trio.fail_after(HANG):
        async with on_loopback(True) as alice, on_loopback(False) as bob:
            await connect(alice, bob)
            await alice.send(b"x")
            assert await bob.receive() == b"x"


async def test_connection_outside_of_its_block_says_so_and_is_unharmed():
    connection = open_ice(controlling=True, include_loopback=True)
    with pytest.raises(LocalProtocolError, match="async with"):
        await connection.gather()
    async with connection as ice:
        assert (await ice.gather()).candidates
        with pytest.raises(LocalProtocolError, match="second time"):
            await connection.__aenter__()
    with pytest.raises(LocalProtocolError, match="second time"):
        await connection.__aenter__()


async def test_connect_that_was_refused_may_be_called_again():
    async with open_ice(controlling=True) as a, open_ice(controlling=False) as b:
        with pytest.raises(LocalProtocolError, match="from_json"):
            await a.connect("{}")
        with pytest.raises(LocalProtocolError, match="own description"):
            await a.connect(await a.gather())
        of_a, of_b = await a.gather(), await b.gather()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(a.connect, of_b)
            nursery.start_soon(b.connect, of_a)
        assert a.selected_pair is not None


async def test_connect_whose_interface_filter_raises_may_be_called_again():
    calls = []

    def moody(name, address):
        calls.append(address)
        if len(calls) == 1:
            raise RuntimeError("not now")
        return True

    async with open_ice(controlling=False) as b, open_ice(controlling=True, interface_filter=moody) as a:
        of_b = await b.gather()
        with pytest.raises(RuntimeError, match="not now"):
            await a.connect(of_b)
        with trio.move_on_after(0.01):
            await a.connect(of_b)
        assert a.state is not IceState.NEW


async def test_connect_after_close_says_closed():
    async with open_ice(controlling=True) as a, open_ice(controlling=False) as b:
        of_b = await b.gather()
        a.close()
        with pytest.raises(IceClosed):
            await a.connect(of_b)


@pytest.mark.parametrize("keywords", [{"port_range": 5000}, {"port_range": (9, 8)}, {"max_queued": 0}, {"max_queued_bytes": -1}])
def test_arguments_that_make_no_sense_are_named(keywords):
    with pytest.raises(LocalProtocolError, match=r"port_range|queue"):
        open_ice(controlling=True, **keywords)
