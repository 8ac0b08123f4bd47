"""`open_turn` and `serve_turn` on every runtime, against each other."""

import contextlib
import socket

import attrs
import pytest

from _certificates import Authority
from sansice import Address, DropReason, IcmpError, LocalProtocolError, Transport
from sansice.simulation import replay_file
from sansice.sockets import TlsConfig
from sansice.stun import (
    PENDING,
    CredentialRequested,
    LongTermCredentials,
    ServerAuthentication,
    StaticUsers,
    TimeLimitedSecrets,
    UserKeys,
)
from sansice.turn import (
    AllocationClosed,
    AllocationCreated,
    AllocationLost,
    AllocationMoved,
    AllocationOpened,
    ChannelBound,
    CloseReason,
    DataReceived,
    PeerPolicy,
    PeerUnreachable,
    TurnClientConfig,
    TurnClientState,
    TurnClosed,
    TurnError,
    TurnLimits,
    TurnLost,
    TurnServerConfig,
    TurnStep,
    TurnWouldBlock,
)

LOOPBACK = PeerPolicy(allow=["127.0.0.0/8"])
ALICE = ("alice", "secret")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def certificate(authority):
    return authority.issue("127.0.0.1", "localhost")


@pytest.fixture
def peer():
    """A plain UDP socket to be reached through the relay."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        yield sock


async def heard(rt, sock):
    """The next datagram at a plain socket, and where it came from."""
    while True:
        with contextlib.suppress(BlockingIOError):
            data, source = sock.recvfrom(65535)
            return data, Address(*source)
        await rt.sleep(0.001)


def at(sock):
    return Address(*sock.getsockname())


def run(rt, body):
    """Run a body that leaves nothing behind."""
    rt.run(lambda rt: rt.leaves_nothing(lambda: body(rt)))


def serving(rt, listen="udp:127.0.0.1:0", **options):
    options = {"users": dict([ALICE]), "realm": "example.org", "peer_policy": LOOPBACK, **options}
    return rt.opened(rt.adapter.serve_turn([listen], **options))


def uri_of(service, number=0):
    transport, address = service.listening[number]
    scheme = "turns" if transport.is_secure else "turn"
    return f"{scheme}:{address}?transport={'tcp' if transport.is_stream else 'udp'}"


def opening(rt, service, user=ALICE, number=0, **options):
    return rt.opened(rt.adapter.open_turn(uri_of(service, number), *user, **options))


@contextlib.asynccontextmanager
async def relaying(rt, **options):
    """A server and a client of it."""
    async with serving(rt) as service, opening(rt, service, **options) as turn:
        yield service, turn


# ---------------------------------------------------------------- data


def test_datagrams_go_both_ways_between_a_client_and_its_peer(rt, peer):
    async def body(rt):
        async with relaying(rt) as (service, turn):
            (relayed,) = turn.relayed
            assert relayed.host == "127.0.0.1"
            assert turn.mapped.host == "127.0.0.1"
            assert turn.lifetime == 600
            assert turn.state is TurnClientState.ALLOCATED
            there = turn.peer(at(peer))
            assert turn.peer(str(at(peer))) is there
            assert turn.peers == (at(peer),)
            await rt.call(there.send(b"before the permission"))
            assert await heard(rt, peer) == (b"before the permission", relayed)
            await rt.call(there.ready())
            for data in (b"answer", b"", bytes(1400)):
                peer.sendto(data, relayed)
                assert await rt.call(there.receive()) == data
            there.send_nowait(b"once more")
            assert (await heard(rt, peer))[0] == b"once more"
            assert turn.stats().sent_packets == 2
            assert turn.lost == service.lost == {}
            assert "relaying" in turn.explain()

    run(rt, body)


@pytest.mark.parametrize("transport", Transport, ids=lambda transport: transport.value)
def test_two_clients_meet_over_every_transport(rt, transport, authority, certificate):
    async def body(rt):
        tls = TlsConfig(certificate)
        trusting = {"tls": TlsConfig(ca_file=authority.ca_file), "verify_name": "localhost", "transports": [transport]}
        async with serving(rt, f"{transport.value}:127.0.0.1:0", tls=tls) as service:
            async with opening(rt, service, **trusting) as alice, opening(rt, service, **trusting) as bob:
                to_bob, to_alice = alice.peer(bob.relayed[0]), bob.peer(alice.relayed[0])
                await rt.call(to_bob.ready())
                await rt.call(to_alice.ready())
                for number in range(5):  # in indications first, then by channels; with padding over streams
                    await rt.call(to_bob.send(bytes(number)))
                    assert await rt.call(to_alice.receive()) == bytes(number)
                    await rt.call(to_alice.send(bytes(100 + number)))
                    assert await rt.call(to_bob.receive()) == bytes(100 + number)
            assert service.allocations() == ()

    run(rt, body)


def test_who_was_only_permitted_is_told_apart_by_the_address(rt, peer):
    async def body(rt):
        async with relaying(rt) as (_, turn), relaying_socket() as other:
            await rt.call(turn.permit("127.0.0.1"))
            await rt.call(turn.permit(at(peer), "127.0.0.1:9"))
            for sock in (peer, other):
                sock.sendto(b"hello", turn.relayed[0])
                received = await rt.call(turn.receive())
                assert received == DataReceived(at(sock), b"hello")
                await rt.call(turn.send(received.peer, b"you"))
                turn.send_nowait(str(received.peer), b"too")
                assert [(await heard(rt, sock))[0] for _ in range(2)] == [b"you", b"too"]
            there = turn.peer(at(peer), channel=False)
            for sock in (other, peer):
                sock.sendto(b"again", turn.relayed[0])
            assert await rt.call(there.receive()) == b"again"
            assert (await rt.call(turn.receive())).peer == at(other)

    run(rt, body)


@contextlib.asynccontextmanager
async def relaying_socket():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        yield sock


def test_what_nobody_reads_makes_room_for_what_is_newer_and_is_counted(rt, peer):
    async def body(rt):
        async with relaying(rt, max_queued=2, max_queued_bytes=100) as (_, turn):
            there = turn.peer(at(peer))
            await rt.call(there.ready())
            for data in (b"1", b"2", b"3", bytes(99)):
                peer.sendto(data, turn.relayed[0])
            while turn.stats().received_packets < 4:
                await rt.sleep(0.001)
            assert turn.stats().dropped == {DropReason.QUEUE_FULL: 2}
            assert [there.receive_nowait(), there.receive_nowait()] == [b"3", bytes(99)]
            for receive in (there.receive_nowait, turn.receive_nowait):
                with pytest.raises(TurnWouldBlock):
                    receive()

    run(rt, body)


def test_a_wait_for_data_may_be_given_up_and_loses_none(rt, peer):
    async def body(rt):
        async with relaying(rt) as (_, turn):
            there = turn.peer(at(peer))
            await rt.call(there.ready())
            for receive in (there.receive, turn.receive):
                with pytest.raises(TimeoutError):
                    await rt.within(0.01, receive)
            peer.sendto(b"late", turn.relayed[0])
            assert await rt.call(there.receive()) == b"late"

    run(rt, body)


def test_peers_and_connections_are_iterated_over_until_the_connection_is_closed(rt, peer):
    async def body(rt):
        async with relaying(rt) as (_, turn), relaying_socket() as other:
            there = turn.peer(at(peer))
            await rt.call(there.ready())
            for sock in (peer, other):
                sock.sendto(b"last words", turn.relayed[0])

            async def read(items, found):
                async for item in rt.each(items):
                    found.append(item)
                    if len(told) == 2:
                        turn.close()

            told = []
            await rt.together(lambda: read(there, told), lambda: read(turn, told))
            assert sorted(told, key=repr) == [DataReceived(at(other), b"last words"), b"last words"]
            for wait in (there.receive, turn.receive, turn.allocate, there.ready):
                with pytest.raises(TurnClosed):
                    await rt.call(wait())
            turn.close()
            assert turn.relayed == ()
            assert turn.lifetime == 0

    run(rt, body)


def test_icmp_errors_are_told_of_their_peer(rt, peer):
    closed = at(peer)
    peer.close()

    async def body(rt):
        async with relaying(rt) as (_, turn):
            there = turn.peer(closed)
            await rt.call(there.send(b"anybody?"))
            while not isinstance(event := await rt.call(turn.events.get()), PeerUnreachable):
                pass
            assert event == PeerUnreachable(closed, IcmpError(3, 3))
            assert there.unreachable == IcmpError(3, 3)

    run(rt, body)


def test_events_tell_what_went_on(rt, peer):
    async def body(rt):
        async with relaying(rt) as (_, turn):
            turn.peer(at(peer))
            found = []
            while ChannelBound not in found:
                found.append(type(await rt.call(turn.events.get())))
            assert found[0] is AllocationCreated

    run(rt, body)


# ---------------------------------------------------------------- what is refused


def test_a_wrong_password_is_told_with_its_step_and_code(rt):
    async def body(rt):
        async with serving(rt) as service:
            with pytest.raises(TurnError) as caught:
                async with opening(rt, service, ("alice", "guess")):
                    pass
            assert (caught.value.code, caught.value.uri) == (401, uri_of(service))
            assert caught.value.step is TurnStep.AUTHENTICATE

    run(rt, body)


def test_a_server_that_is_not_there_is_told_at_once(rt, peer):
    closed = at(peer)
    peer.close()

    async def body(rt):
        for transport in ("udp", "tcp"):
            with pytest.raises(TurnError, match=str(closed)):
                async with rt.opened(rt.adapter.open_turn(f"turn:{closed}?transport={transport}", *ALICE)):
                    pass

    run(rt, body)


def test_a_peer_that_the_server_refuses_is_told_and_the_others_go_on(rt, peer):
    async def body(rt):
        async with relaying(rt) as (_, turn):
            secret = turn.peer("10.0.0.1:53")
            there = turn.peer(at(peer))
            for wait in (secret.ready, secret.receive):
                with pytest.raises(TurnError, match=r"403 10\.0\.0\.1: Forbidden") as caught:
                    await rt.call(wait())
                assert caught.value.step is TurnStep.PERMIT
            with pytest.raises(TurnError, match="403"):
                secret.send_nowait(b"x")
            with pytest.raises(TurnError, match="403"):
                await rt.call(turn.permit("127.0.0.2", "10.0.0.1"))
            await rt.call(turn.permit("127.0.0.2"))
            await rt.call(there.send(b"still here"))
            assert (await heard(rt, peer))[0] == b"still here"

    run(rt, body)


@pytest.mark.parametrize(
    ("use", "told"),
    [
        (lambda turn: turn.peer("name.example:5000"), "named by its address"),
        (lambda turn: turn.peer("[2001:db8::1]:5000"), "another family"),
        (lambda turn: turn.peer("192.0.2.1:0"), "port"),
        (lambda turn: turn.send_nowait("127.0.0.9:5000", b"x"), "no permission"),
        (lambda turn: turn.peer("127.0.0.1:5000").send_nowait(bytes(65_500)), "65,?444"),
    ],
)
def test_a_mistake_of_the_callers_is_told_and_changes_nothing(rt, use, told):
    async def body(rt):
        async with relaying(rt) as (_, turn):
            with pytest.raises(LocalProtocolError, match=told):
                use(turn)
            await rt.call(turn.permit("127.0.0.1"))

    run(rt, body)


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (("alice",), {}),
        ((None, "secret"), {}),
        (ALICE, {"max_queued": 0}),
        (ALICE, {"max_queued_bytes": 0}),
        (ALICE, {"family": 5}),
    ],
)
def test_arguments_that_exclude_each_other_are_refused_before_anything_opens(rt, arguments, options):
    async def body(rt):
        with pytest.raises(LocalProtocolError):
            async with rt.opened(rt.adapter.open_turn("turn:127.0.0.1:9", *arguments, **options)):
                pass
        with pytest.raises(ValueError, match="TURN"):
            async with rt.opened(rt.adapter.open_turn("stun:127.0.0.1:9", *ALICE)):
                pass

    run(rt, body)


def test_credentials_may_be_given_as_an_object(rt):
    async def body(rt):
        async with serving(rt) as service, opening(rt, service, (None, LongTermCredentials(*ALICE))) as turn:
            assert len(turn.relayed) == 1

    run(rt, body)


# ---------------------------------------------------------------- ending, and beginning again


def test_leaving_deletes_the_allocation_and_the_server_tells(rt):
    async def body(rt):
        async with serving(rt) as service:
            async with opening(rt, service) as turn:
                (info,) = service.allocations()
                assert info.relayed == turn.relayed
                assert info.username == "alice"
            assert service.allocations() == ()
            opened, closed = await rt.call(service.events.get()), await rt.call(service.events.get())
            assert (type(opened), opened.id) == (AllocationOpened, info.id)
            assert (type(closed), closed.reason) == (AllocationClosed, CloseReason.DELETED)

    run(rt, body)


def test_an_exception_of_the_body_comes_out_as_it_is_and_deletes_the_allocation(rt):
    async def body(rt):
        async with serving(rt) as service:
            with pytest.raises(ZeroDivisionError):
                async with opening(rt, service):
                    raise ZeroDivisionError
            assert service.allocations() == ()

    run(rt, body)


def test_a_lost_allocation_is_told_and_a_new_one_serves_the_same_peers(rt, peer):
    async def body(rt):
        async with relaying(rt) as (service, turn):
            there = turn.peer(at(peer))
            await rt.call(there.ready())
            await rt.call(turn.permit("127.0.0.3"))
            (info,) = service.allocations()
            assert service.close_allocation(info.id) is True
            assert service.close_allocation(info.id) is False
            with pytest.raises(TurnLost) as caught:
                await rt.call(turn.permit("127.0.0.2"))
            assert (caught.value.code, caught.value.step) == (437, TurnStep.REFRESH)
            for use in (there.receive, turn.receive):
                with pytest.raises(TurnLost):
                    await rt.call(use())
            for use in (lambda: there.send_nowait(b"x"), lambda: turn.peer("127.0.0.1:9"), there.receive_nowait):
                with pytest.raises(TurnLost):
                    use()
            first, second = await rt.together(lambda: allocate(rt, turn), lambda: allocate(rt, turn))
            assert first == second == turn.relayed != info.relayed
            await rt.call(there.ready())
            await rt.call(turn.permit("127.0.0.3"))
            peer.sendto(b"found you", turn.relayed[0])
            assert await rt.call(there.receive()) == b"found you"
            assert await allocate(rt, turn) == first
            found = []
            while AllocationLost not in found:
                found.append(type(await rt.call(turn.events.get())))

    run(rt, body)


async def allocate(rt, turn):
    return await rt.call(turn.allocate())


def test_a_mobile_allocation_is_taken_along_to_another_address(rt, peer):
    async def body(rt):
        async with serving(rt, config=TurnServerConfig(mobility=True)) as service:
            async with opening(rt, service, mobility=True) as turn:
                there = turn.peer(at(peer))
                await rt.call(there.ready())
                before, relayed = turn.client.local, turn.relayed
                await rt.call(turn.rebind())
                assert turn.client.local != before
                assert turn.relayed == relayed
                await rt.call(turn.rebind(local=Address("127.0.0.3", 0)))
                assert turn.client.local.host == "127.0.0.3"
                await rt.call(there.send(b"from elsewhere"))
                assert await heard(rt, peer) == (b"from elsewhere", relayed[0])
                peer.sendto(b"found you", relayed[0])
                assert await rt.call(there.receive()) == b"found you"
                events = [await rt.call(service.events.get()) for _ in range(3)]
                assert [type(event) for event in events] == [AllocationOpened, AllocationMoved, AllocationMoved]
                assert (events[1].left.remote, events[2].client.remote) == (before, turn.client.local)
            assert service.allocations() == ()

    run(rt, body)


def test_an_allocation_that_is_not_mobile_stays(rt):
    async def body(rt):
        async with relaying(rt) as (_, turn):
            with pytest.raises(LocalProtocolError, match="mobil"):
                await rt.call(turn.rebind())

    run(rt, body)


def test_a_new_allocation_that_is_refused_is_told(rt):
    async def body(rt):
        async with relaying(rt) as (service, turn):
            service.set_limits(attrs.evolve(service.limits, allocations_per_user=0))
            assert service.limits.allocations_per_user == 0
            (info,) = service.allocations()
            service.close_allocation(info.id)
            with pytest.raises(TurnLost):
                await rt.call(turn.permit("127.0.0.2"))
            for _ in range(2):
                with pytest.raises(TurnError, match="486") as caught:
                    await rt.call(turn.allocate())
                assert type(caught.value) is TurnError
            with pytest.raises(TurnError, match="486"):
                await rt.call(turn.receive())

    run(rt, body)


def test_a_wait_for_an_allocation_or_a_permission_may_be_given_up(rt, peer):
    async def body(rt):
        silent = f"turn:{at(peer)}"
        config = TurnClientConfig(allocate_timeout=0.2)
        with pytest.raises(TurnError):
            async with rt.opened(rt.adapter.open_turn(silent, *ALICE, config=config)):
                pass
        async with relaying(rt) as (service, turn):
            (info,) = service.allocations()
            service.close_allocation(info.id)
            with pytest.raises(TurnLost):
                await rt.call(turn.permit("127.0.0.2"))
            with contextlib.suppress(TimeoutError):
                await rt.within(0.0, turn.allocate)
            assert await rt.call(turn.allocate()) == turn.relayed
            with contextlib.suppress(TimeoutError):
                await rt.within(0.0, turn.permit, "127.0.0.2")
            await rt.call(turn.permit("127.0.0.2"))

    run(rt, body)


def test_a_peer_that_is_given_up_is_dropped_unless_its_host_is_wanted_otherwise(rt, peer):
    async def body(rt):
        async with relaying(rt) as (_, turn):
            one, two = turn.peer(at(peer)), turn.peer("127.0.0.1:9")
            await rt.call(one.ready())
            two.close()
            two.close()
            assert turn.peers == (at(peer),)
            assert turn.client.is_permitted("127.0.0.1")
            one.close()
            assert not turn.client.is_permitted("127.0.0.1")
            other = turn.peer("127.0.0.2:9")
            await rt.call(turn.permit("127.0.0.2"))
            other.close()
            assert turn.client.is_permitted("127.0.0.2")
            assert repr(other) == "<TurnPeer 127.0.0.2:9>"

    run(rt, body)


# ---------------------------------------------------------------- the server


def test_a_server_that_cannot_listen_everywhere_says_where_and_why(rt, peer):
    async def body(rt):
        with pytest.raises(TurnError, match=f"cannot listen at udp:{at(peer)}: Address already in use") as caught:
            async with serving(rt, f"udp:{at(peer)}"):
                pass
        assert caught.value.step is TurnStep.OPEN

    run(rt, body)


def test_a_server_that_would_ask_nobody_is_refused_unless_it_is_meant(rt):
    async def body(rt):
        with pytest.raises(LocalProtocolError, match="credentials"):
            async with serving(rt, users=None):
                pass
        with pytest.raises(LocalProtocolError, match="two ways"):
            async with serving(rt, authentication=of("x")):
                pass
        with pytest.raises(ValueError, match="cannot listen at"):
            async with serving(rt, "name.example:1"):
                pass
        async with serving(rt, users=None, config=TurnServerConfig(anonymous=True)) as service:
            async with opening(rt, service, ()) as turn:
                assert len(turn.relayed) == 1

    run(rt, body)


def of(password):
    return ServerAuthentication(realm="example.org", lookup_key=StaticUsers({"alice": password}, "example.org"))


def test_credentials_may_be_replaced_and_users_may_be_a_function(rt):
    secrets = TimeLimitedSecrets("north")

    async def body(rt):
        async with serving(rt, users=secrets) as service:
            user = secrets.issue("alice", lifetime=1e10, unix=0.0)
            async with opening(rt, service, user) as turn:
                service.replace_authentication(of("new"))
                assert len(turn.relayed) == 1
            async with opening(rt, service, ("alice", "new")):
                pass
            with pytest.raises(TurnError, match="401"):
                async with opening(rt, service, user):
                    pass

    run(rt, body)


def test_keys_may_be_found_by_the_application_later(rt):
    authentication = ServerAuthentication(realm="example.org", lookup_key=lambda name, realm, unix: PENDING)

    async def body(rt):
        async with serving(rt, users=None, authentication=authentication) as service:

            async def use():
                async with opening(rt, service) as turn:
                    done.append(turn.relayed)

            async def find():
                while not done or service.allocations():
                    with contextlib.suppress(TimeoutError):
                        event = await rt.within(0.05, service.events.get)
                        if isinstance(event, CredentialRequested):
                            service.provide_key(event.id, UserKeys.of_password(*ALICE, "example.org"))

            done = []
            await rt.together(use, find)
            assert len(done) == 1

    run(rt, body)


def test_draining_serves_who_is_there_and_ends_with_the_last(rt, peer):
    async def body(rt):
        async with serving(rt) as service:
            uri = uri_of(service)
            async with rt.opened(rt.adapter.open_turn(uri, *ALICE)) as turn:
                there = turn.peer(at(peer))
                await rt.call(there.ready())
                with pytest.raises(TimeoutError):
                    await rt.within(0.01, service.drain)
                with pytest.raises(TurnError, match=r"508|486|300"):
                    async with rt.opened(rt.adapter.open_turn(uri, *ALICE)):
                        pass
                await rt.call(there.send(b"goes on"))
                assert (await heard(rt, peer))[0] == b"goes on"
            await rt.call(service.wait_closed())
            assert service.listening == ()
            with pytest.raises(LocalProtocolError):
                await rt.call(service.drain())

    run(rt, body)


def test_draining_ends_by_its_grace(rt):
    async def body(rt):
        async with relaying(rt) as (service, _):
            await rt.call(service.drain(grace=0.05))
            assert service.allocations() == ()

    run(rt, body)


def test_draining_without_closing_goes_on_sending_newcomers_away(rt):
    async def body(rt):
        async with serving(rt) as service:
            uri = uri_of(service)

            async def refused():
                with pytest.raises(TurnError, match="508"):
                    async with rt.opened(rt.adapter.open_turn(uri, *ALICE)):
                        pass

            async with rt.opened(rt.adapter.open_turn(uri, *ALICE)):
                with pytest.raises(TimeoutError):
                    await rt.within(0.01, service.drain, close=False)
                await refused()
            await rt.call(service.drain(close=False))
            assert service.allocations() == ()
            await refused()
            with pytest.raises(TimeoutError):
                await rt.within(0.01, service.wait_closed)
            await rt.call(service.drain())
            assert service.listening == ()

    run(rt, body)


def test_everybody_who_waits_for_a_drain_is_told(rt):
    async def body(rt):
        async def drain():
            await rt.call(service.drain(grace=0.05, close=False))

        async with relaying(rt) as (service, _):
            await rt.together(drain, drain, drain)
            assert service.allocations() == ()

    run(rt, body)


def test_limits_and_counters_are_the_servers(rt):
    async def body(rt):
        async with serving(rt, limits=TurnLimits(allocations_per_user=1)) as service:
            async with opening(rt, service):
                with pytest.raises(TurnError, match="486"):
                    async with opening(rt, service):
                        pass
                assert service.stats.allocations == 1

    run(rt, body)


def test_both_lives_replay_from_their_files(rt, tmp_path, peer):
    async def body(rt):
        account = {"alice": "the office"}
        async with serving(rt, record=tmp_path / "server", account=lambda name: account[name]) as service:
            async with opening(rt, service, record=tmp_path / "client") as turn:
                there = turn.peer(at(peer))
                await rt.call(there.send(b"hello"))
                assert (await heard(rt, peer))[0] == b"hello"

    run(rt, body)
    for name in ("client", "server"):
        report = replay_file(tmp_path / name)
        assert report.same, report
