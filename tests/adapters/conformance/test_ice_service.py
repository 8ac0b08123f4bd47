"""`serve_ice` on every runtime: many connections on one port, announced or not."""

import contextlib
import itertools
import socket
import threading

import attrs
import pytest

from adapters.conformance._runtimes import RUNTIMES
from sansice import Address, DropReason, LocalProtocolError, Transport
from sansice.ice import (
    Admission,
    AdmissionFailed,
    ConsentLost,
    Credentials,
    Description,
    GatheringOptions,
    HandlerFailed,
    IceClosed,
    IceConfig,
    IceError,
    IceFailed,
    IceState,
    NotConnected,
    ReceptionLimits,
    UnknownUfrag,
    WouldBlock,
)
from sansice.ice._binding import encode_check
from sansice.ice._role import IceRole
from sansice.stun import PENDING, TransactionId, short_term_key

QUICK = IceConfig(ta=0.005)  # the least that RFC 8445 14.2 allows
SHARED = IceConfig(ta=0.005, shared_credentials=True)


def secret(ufrag):
    return f"password+of+{ufrag}".ljust(22, "0")


def by_name(stranger):
    """Everybody is let in who says `secret`."""
    return Admission(secret(stranger.ufrag), secret(stranger.remote_ufrag))


def serving(rt, listen="udp:127.0.0.1:0", **options):
    places = [listen] if isinstance(listen, (str, Address)) else listen
    return rt.opened(rt.adapter.serve_ice(places, **{"config": QUICK, **options}))


def client(rt, name="client", **options):
    options = {"credentials": Credentials(name, secret(name)), "config": QUICK, **options}
    only_loopback = {"include_loopback": True, "interface_filter": lambda interface, address: address == "127.0.0.1"}
    return rt.opened(rt.adapter.open_ice(controlling=True, **only_loopback, **options))


def place(service, name="room", *, pwd=None, lite=True):
    """What a client knows of a service that has not heard of it."""
    return Description(name, pwd or secret(name), candidates=service.local_candidates, lite=lite)


async def announced(rt, service, ice):
    """Connect a client with a connection that the service opens for it."""
    served = service.open()
    ours, theirs = await rt.call(served.gather()), await rt.call(ice.gather())

    async def on_our_side():
        return await rt.call(served.connect(theirs))

    async def on_their_side():
        return await rt.call(ice.connect(ours))

    await rt.together(on_our_side, on_their_side)
    return served


async def arrived(rt, service, ice, name="room", **options):
    """Connect a client that comes by itself, and accept it."""

    async def come():
        return await rt.call(ice.connect(place(service, name, **options)))

    async def accept():
        return await rt.call(service.accept())

    _, served = await rt.together(come, accept)
    return served


async def exchange(rt, one, other):
    await rt.call(one.send(b"there"))
    assert await rt.call(other.receive()) == b"there"
    await rt.call(other.send(b"and back"))
    assert await rt.call(one.receive()) == b"and back"


def run(rt, body):
    """Run a body that leaves nothing behind."""
    rt.run(lambda rt: rt.leaves_nothing(lambda: body(rt)))


# ---------------------------------------------------------------- where UDP is dead (RFC 6544)


def over_tcp(rt, name="client"):
    return client(rt, name, gathering=GatheringOptions(udp=False, tcp=("active",)))


@pytest.mark.parametrize("lite", [True, False])
@pytest.mark.parametrize("listen", ["127.0.0.1:0", "tcp:127.0.0.1:0"])
def test_peers_over_udp_and_tcp_share_a_place_to_listen_at(rt, listen, lite):
    async def body(rt):
        async with serving(rt, listen, lite=lite) as service, contextlib.AsyncExitStack() as stack:
            listener = service.listening[-1]
            pairs = []
            for number in range(3):
                ice = await stack.enter_async_context(over_tcp(rt, f"client{number}"))
                pairs.append((ice, await announced(rt, service, ice)))
            if not listen.startswith("tcp"):
                ice = await stack.enter_async_context(client(rt, "overUDP"))
                served = await announced(rt, service, ice)
                assert served.selected_pair.local.transport is Transport.UDP
                await exchange(rt, served, ice)
            for ice, served in pairs:
                assert served.selected_pair.local.address == ice.selected_pair.remote.address == listener
                assert served.selected_pair.local.transport is Transport.TCP
                await exchange(rt, served, ice)
            assert sum(service.dropped.values()) == 0

    run(rt, body)


@pytest.mark.parametrize("lite", [True, False])
def test_who_comes_by_itself_over_tcp_is_let_in_with_the_right_password_only(rt, lite):
    async def body(rt):
        async with serving(rt, "tcp:127.0.0.1:0", lite=lite, admit=by_name) as service, over_tcp(rt) as ice:
            with socket.create_connection(service.listening[0]) as web:
                web.sendall(b"\0\x12GET / HTTP/1.1\r\n\r\n")
                served = await arrived(rt, service, ice, lite=lite)
                await exchange(rt, served, ice)
                assert service.dropped[DropReason.NOT_STUN] == 1
                with pytest.raises(ConnectionResetError):
                    web.recv(1)

    run(rt, body)


# ---------------------------------------------------------------- several ports


@pytest.mark.parametrize("lite", [True, False])
@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
def test_each_port_of_an_address_is_a_candidate_and_carries_who_comes_to_it(rt, transport, lite):
    async def body(rt):
        listen = [f"{transport.value}:127.0.0.1:0"] * 2 + ["udp:[::1]:0"]
        make = client if transport is Transport.UDP else over_tcp
        async with serving(rt, listen, lite=lite, admit=by_name) as service, contextlib.AsyncExitStack() as stack:
            one, two = service.listening[:2]
            candidates = service.local_candidates
            assert sorted(candidate.address for candidate in candidates) == sorted(service.listening)
            assert len({candidate.priority for candidate in candidates}) == 3
            assert len({candidate.foundation for candidate in candidates}) == 2
            for number, port in enumerate([two, one, two]):
                (only,) = [candidate for candidate in candidates if candidate.address == port]
                ice = await stack.enter_async_context(make(rt, f"comes{number}"))
                room = Description(f"room{number}", secret(f"room{number}"), candidates=[only], lite=lite)

                async def come(ice=ice, room=room):
                    return await rt.call(ice.connect(room))

                async def accept():
                    return await rt.call(service.accept())

                _, served = await rt.together(come, accept)
                assert served.selected_pair.local.address == ice.selected_pair.remote.address == port
                await exchange(rt, served, ice)
                ice = await stack.enter_async_context(make(rt, f"told{number}"))
                served = service.open()
                ours, theirs = await rt.call(served.gather()), await rt.call(ice.gather())
                assert sorted(candidate.address for candidate in ours.candidates) == sorted(service.listening)
                served.set_remote(theirs)
                await rt.call(ice.connect(attrs.evolve(ours, candidates=[only])))
                await rt.call(served.connected())
                assert served.selected_pair.local.address == ice.selected_pair.remote.address == port
                await exchange(rt, served, ice)
                served.update_addresses()
                await exchange(rt, served, ice)
            assert sum(service.dropped.values()) == 0
            assert service.lost == {}

    run(rt, body)


# ---------------------------------------------------------------- peers that are announced


@pytest.mark.parametrize("lite", [True, False])
def test_several_announced_peers_talk_over_one_port_each_to_its_own_connection(rt, lite):
    async def body(rt):
        async with serving(rt, lite=lite) as service, contextlib.AsyncExitStack() as stack:
            (port,) = service.listening
            pairs = []
            for number in range(3):
                ice = await stack.enter_async_context(client(rt, f"client{number}"))
                pairs.append((ice, await announced(rt, service, ice)))
            assert service.connections == tuple(served for _, served in pairs)
            for number, (ice, served) in enumerate(pairs):
                assert served.selected_pair.local.address == ice.selected_pair.remote.address == port
                await rt.call(ice.send(b"from %d" % number))
            for number, (ice, served) in enumerate(pairs):
                assert await rt.call(served.receive()) == b"from %d" % number
                await exchange(rt, served, ice)
            assert service.lost == {}
            assert sum(service.dropped.values()) == 0

    run(rt, body)


def test_a_served_connection_has_the_face_of_any_other(rt):
    async def body(rt):
        async with serving(rt) as service, client(rt) as ice:
            served = await announced(rt, service, ice)
            assert isinstance(served, rt.adapter.IceConnection)
            assert served.state is IceState.COMPLETED
            assert served.writable
            assert served.local_description.lite
            assert served.local_candidates == service.local_candidates
            assert served.components == (1,)
            assert "completed" in str(served.explain())
            assert served.stats().pairs
            channel = served.channel()
            channel.send_nowait(b"by the channel")
            assert await rt.call(ice.receive()) == b"by the channel"
            with pytest.raises(WouldBlock):
                served.receive_nowait()
            with pytest.raises(LocalProtocolError, match="shared by all connections"):
                served.detach()
            with pytest.raises(LocalProtocolError, match="lite"):
                served.nominate(served.selected_pair)
            served.update_addresses()
            assert served.lost == service.lost == {}

    run(rt, body)


def test_an_announced_peer_restarts_and_goes_on(rt):
    async def body(rt):
        async with serving(rt) as service, client(rt) as ice:
            served = await announced(rt, service, ice)
            ice.restart()
            served.set_remote(await rt.call(ice.gather()))
            ours = await rt.call(served.gather())

            async def theirs():
                await rt.call(ice.connect(ours))

            async def mine():
                await rt.call(served.connected())

            await rt.together(theirs, mine)
            await exchange(rt, ice, served)

    run(rt, body)


def test_a_connection_that_is_closed_is_forgotten_and_the_others_go_on(rt):
    async def body(rt):
        async with serving(rt) as service, client(rt, "first") as one, client(rt, "second") as two:
            gone, stays = await announced(rt, service, one), await announced(rt, service, two)
            async with rt.opened(gone):
                pass
            assert service.connections == (stays,)
            gone.close()
            for refused in (gone.send_nowait, gone.receive_nowait):
                with pytest.raises(IceClosed):
                    refused(*([b"late"] if refused == gone.send_nowait else []))
            with pytest.raises(IceClosed):
                await rt.call(gone.receive())
            await exchange(rt, two, stays)
            assert service.reception.mux.agents == (stays._driver.name,)

    run(rt, body)


def test_two_connections_cannot_have_one_ufrag(rt):
    async def body(rt):
        async with serving(rt) as service:
            own = Credentials("room", secret("room"))
            service.open(credentials=own)
            with pytest.raises(LocalProtocolError, match="room is taken"):
                service.open(credentials=own)
            assert len(service.connections) == 1

    run(rt, body)


def test_a_send_before_anything_is_connected_is_refused(rt):
    async def body(rt):
        async with serving(rt) as service:
            with pytest.raises(NotConnected):
                service.open().send_nowait(b"early")

    run(rt, body)


# ---------------------------------------------------------------- peers that come by themselves


@pytest.mark.parametrize("runtimes", [*itertools.product(RUNTIMES, repeat=2)], ids=lambda pair: f"{pair[0]}-{pair[1]}")
@pytest.mark.parametrize("lite", [True, False])
def test_the_first_check_of_an_unannounced_peer_is_answered_on_any_two_runtimes(runtimes, lite):
    """The client's only knowledge is the port and a password; its very first check connects it."""
    server, guest = runtimes
    listening, done = [], threading.Event()
    known = threading.Event()

    async def serve(rt):
        async with serving(rt, lite=lite, admit=by_name) as service:
            listening.append(service.local_candidates)
            known.set()
            served = await rt.call(service.accept())
            assert await rt.call(served.receive()) == b"up"
            await rt.call(served.send(b"down"))
            while not done.is_set():
                await rt.sleep(0.002)
            assert service.stats.admitted == service.stats.accepted == 1

    async def visit(rt):
        known.wait(20)
        async with client(rt) as ice:
            await rt.call(ice.connect(Description("room", secret("room"), candidates=listening[0], lite=lite)))
            await rt.call(ice.send(b"up"))
            assert await rt.call(ice.receive()) == b"down"
            report = ice.stats()
            assert sum(pair.requests_sent for pair in report.pairs if pair.nominated) >= 1
        done.set()

    thread = threading.Thread(target=server.run, args=(serve,))
    thread.start()
    try:
        guest.run(visit)
    finally:
        done.set()
        thread.join(20)
    assert not thread.is_alive()


def test_both_ends_may_have_the_same_credentials_as_in_webrtc_direct(rt):
    both = "libp2p+webrtc+v1/" + "a" * 32

    def as_named(stranger):
        return Admission(stranger.ufrag, stranger.remote_ufrag)

    async def body(rt):
        for lite in (True, False):
            async with (
                serving(rt, lite=lite, admit=as_named, config=SHARED) as service,
                client(rt, credentials=Credentials(both, both), config=SHARED) as ice,
            ):
                served = await arrived(rt, service, ice, both, pwd=both, lite=lite)
                await exchange(rt, ice, served)

    run(rt, body)


def test_a_password_alone_is_enough_for_a_lite_service_and_not_for_a_full_one(rt):
    def password(stranger):
        return secret(stranger.ufrag)

    async def body(rt):
        async with serving(rt, admit=password) as service, client(rt) as ice:
            await exchange(rt, ice, await arrived(rt, service, ice))
        async with serving(rt, lite=False, admit=password) as service, client(rt) as ice:
            await rt.call(ice.gather())
            ice.set_remote(place(service, lite=False))
            failed = await rt.call(service.events.get())
            assert failed.ufrag == "room"
            assert "remote_pwd" in failed.reason

    run(rt, body)


def test_who_has_a_wrong_password_gets_in_by_no_means_and_keeps_nobody_else_out(rt):
    async def body(rt):
        async with serving(rt, admit=by_name) as service, client(rt, "liar") as liar, client(rt) as ice:
            await rt.call(liar.gather())
            liar.set_remote(place(service, pwd="x" * 22))
            while not service.stats.forged:
                await rt.sleep(0.002)
            assert service.connections == ()
            await exchange(rt, ice, await arrived(rt, service, ice))
            assert service.stats.admitted == 1

    run(rt, body)


def test_who_is_not_admitted_is_refused(rt):
    asked = []

    def nobody(stranger):
        asked.append(stranger)

    async def body(rt):
        async with serving(rt, admit=nobody) as service, client(rt) as ice:
            await rt.call(ice.gather())
            ice.set_remote(place(service))
            while not service.stats.refused:
                await rt.sleep(0.002)
            assert [(one.ufrag, one.remote_ufrag, one.local) for one in asked] == [("room", "client", service.listening[0])]
            assert service.connections == ()
        async with serving(rt) as service, client(rt) as ice:
            await rt.call(ice.gather())
            ice.set_remote(place(service))
            while not sum(service.dropped.values()):
                await rt.sleep(0.002)
            assert service.stats.refused == 0

    run(rt, body)


def test_a_name_lets_in_one_client_after_another(rt):
    async def body(rt):
        async with serving(rt, admit=by_name) as service, client(rt, "first") as first, client(rt, "second") as second:
            served = await arrived(rt, service, first)
            await exchange(rt, served, first)
            served.close()  # of which its client hears nothing, so that it goes on with its checks
            await exchange(rt, await arrived(rt, service, second), second)
            assert service.stats.admitted == 2

    run(rt, body)


def test_who_is_faster_than_the_signalling_that_tells_of_him_gets_in_with_his_next_check(rt):
    asked = []

    def admit(stranger):
        asked.append(stranger.ufrag)
        return secret(stranger.ufrag) if len(asked) > 1 else None

    async def body(rt):
        async with serving(rt, admit=admit) as service, client(rt) as ice:
            await exchange(rt, await arrived(rt, service, ice), ice)
            assert asked == ["room", "room"] and service.stats.refused == 1

    run(rt, body)


def test_an_admit_that_is_no_function_is_refused(rt):
    async def body(rt):
        with pytest.raises(LocalProtocolError, match="admit: a function"):
            async with serving(rt, admit="room"):
                raise AssertionError

    run(rt, body)


def test_checks_of_one_client_under_the_address_of_another_take_none_of_its_data(rt):
    """Loopback keeps the order of what is sent, so that nobody has to wait for anything but the data."""

    async def body(rt):
        numbers = itertools.count(1)

        def check(name, *, nominate=False):
            return encode_check(
                TransactionId(next(numbers).to_bytes(12, "big")),
                username=f"{name}:client",
                key=short_term_key(secret(name)),
                priority=1,
                role=IceRole.CONTROLLING,
                tiebreaker=1,
                use_candidate=nominate,
            )

        async with serving(rt) as service, contextlib.AsyncExitStack() as stack:
            victim = service.open(credentials=Credentials("victim", secret("victim")))
            insider = service.open(credentials=Credentials("insider", secret("insider")))
            for served in (victim, insider):
                await rt.call(served.gather())
                served.set_remote(Description("client", secret("client")))
            near, far = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(2)]
            for place, name in ((near, "victim"), (far, "insider")):
                place.connect(service.listening[0])
                place.send(check(name, nominate=True))
            seen = check("insider")
            far.send(seen)
            for number in range(20):
                near.send(seen if number % 2 else check("insider"))
                near.send(b"\x80%d" % number)
            assert [await rt.call(victim.receive()) for _ in range(20)] == [b"\x80%d" % number for number in range(20)]
            assert sum(service.dropped.values()) == 0

    run(rt, body)


def test_a_function_that_raises_ends_the_hope_of_one_peer_only(rt):
    def careless(stranger):
        return {"room": secret("room")}[stranger.ufrag]

    async def body(rt):
        async with serving(rt, admit=careless) as service, client(rt, "lost") as lost, client(rt) as ice:
            await rt.call(lost.gather())
            lost.set_remote(place(service, "elsewhere"))
            failed = await rt.call(service.events.get())
            assert isinstance(failed, AdmissionFailed)
            assert (failed.ufrag, failed.reason) == ("elsewhere", "KeyError: 'elsewhere'")
            await exchange(rt, ice, await arrived(rt, service, ice))

    run(rt, body)


def test_the_answer_may_come_later(rt):
    async def body(rt):
        async with serving(rt, admit=lambda stranger: PENDING) as service, client(rt) as ice:
            await rt.call(ice.gather())
            ice.set_remote(place(service))
            stranger = await rt.call(service.events.get())
            assert isinstance(stranger, UnknownUfrag)
            assert not service.admit("somebody else", secret("x"))
            assert service.admit(stranger.ufrag, secret(stranger.ufrag))
            served = await rt.call(service.accept())
            await rt.call(ice.connected())
            await exchange(rt, ice, served)
        async with serving(rt, admit=lambda stranger: PENDING) as service, client(rt) as ice:
            await rt.call(ice.gather())
            ice.set_remote(place(service))
            service.refuse((await rt.call(service.events.get())).ufrag)
            assert service.stats.refused == 1

    run(rt, body)


def test_who_is_not_accepted_in_time_is_closed(rt):
    async def body(rt):
        limits = ReceptionLimits(accept_timeout=0.05)
        async with serving(rt, admit=by_name, limits=limits) as service, client(rt) as ice:
            await rt.call(ice.connect(place(service)))
            while not service.stats.not_accepted:
                await rt.sleep(0.005)
            assert service.connections == ()
            with pytest.raises(TimeoutError):
                await rt.within(0.02, service.accept)

    run(rt, body)


def test_who_comes_when_too_many_wait_is_closed_and_the_others_are_accepted(rt):
    async def body(rt):
        async with (
            serving(rt, admit=by_name, limits=ReceptionLimits(max_waiting=1)) as service,
            client(rt, "first") as one,
            client(rt, "second") as two,
        ):
            await rt.call(one.connect(place(service, "room1")))
            await rt.call(two.gather())
            two.set_remote(place(service, "room2"))
            while not service.stats.not_accepted:
                await rt.sleep(0.002)
            served = await rt.call(service.accept())
            await exchange(rt, one, served)
            assert service.connections == (served,)

    run(rt, body)


def test_waiting_for_somebody_is_cancelled_without_harm(rt):
    async def body(rt):
        async with serving(rt, admit=by_name) as service, client(rt) as ice:
            for _ in range(3):
                with pytest.raises(TimeoutError):
                    await rt.within(0.01, service.accept)
            await exchange(rt, ice, await arrived(rt, service, ice))

    run(rt, body)


def test_each_of_several_who_wait_gets_another_connection(rt):
    async def body(rt):
        async with serving(rt, admit=by_name) as service, client(rt, "first") as one, client(rt, "second") as two:

            async def accept():
                return await rt.call(service.accept())

            async def come():
                await rt.call(one.connect(place(service, "room1")))
                await rt.call(two.connect(place(service, "room2")))

            first, second, _ = await rt.together(accept, accept, come)
            assert first is not second
            assert set(service.connections) == {first, second}

    run(rt, body)


# ---------------------------------------------------------------- handlers


def test_a_handler_that_raises_ends_its_own_connection_only(rt):
    async def handle(ice):
        data = await rt.call(ice.receive())
        if data == b"fall":
            raise ZeroDivisionError("on purpose")
        await rt.call(ice.send(data))
        await rt.call(ice.receive())

    def handler(ice):
        with contextlib.suppress(StopIteration):
            handle(ice).send(None)

    async def body(rt):
        async with serving(rt, admit=by_name) as service, client(rt, "first") as one, client(rt, "second") as two:

            async def serve():
                await rt.call(service.serve(handler if rt.name == "blocking" else handle))

            async def visit():
                await rt.call(one.connect(place(service, "room1")))
                await rt.call(two.connect(place(service, "room2")))
                await rt.call(one.send(b"fall"))
                failed = await rt.call(service.events.get())
                assert isinstance(failed, HandlerFailed)
                assert repr(failed.error) == "ZeroDivisionError('on purpose')"
                await rt.call(two.send(b"stand"))
                assert await rt.call(two.receive()) == b"stand"
                assert len(service.connections) == 1
                service.close()

            await rt.together(serve, visit)
            assert service.connections == ()

    run(rt, body)


@pytest.mark.parametrize("rt", [one for one in RUNTIMES if one.name != "blocking"], ids=repr)
def test_cancelling_what_serves_ends_its_handlers_and_closes_their_connections(rt):
    begun = []

    async def handle(ice):
        begun.append(ice)
        await ice.receive()

    async def body(rt):
        async with serving(rt, admit=by_name) as service, client(rt, "guest1") as one, client(rt, "guest2") as two:

            async def serve():
                with pytest.raises(TimeoutError):
                    await rt.within(0.5, service.serve, handle)

            async def visit():
                await one.connect(place(service, "room1"))
                await two.connect(place(service, "room2"))

            await rt.together(serve, visit)
            assert len(begun) == 2
            assert service.connections == ()
            assert {ice.state for ice in begun} == {IceState.CLOSED}
            begun.clear()

    run(rt, body)


# ---------------------------------------------------------------- the service's own life


def test_leaving_the_block_closes_all_connections_and_whoever_waits(rt):
    left = []

    async def body(rt):
        async with client(rt) as ice:
            async with serving(rt, admit=by_name) as service:
                left.append(service)
                left.append(await announced(rt, service, ice))
                left.append(service.open())
            service, connected, unused = left
            for connection in (connected, unused):
                assert connection.state is IceState.CLOSED
                async with rt.opened(connection):
                    pass
                with pytest.raises(IceClosed):
                    await rt.call(connection.receive())
            with pytest.raises(IceClosed):
                await rt.call(service.accept())
            assert [one async for one in rt.each(service)] == []
            with pytest.raises(LocalProtocolError):
                service.open()
            assert await rt.call(service.events.get()) is None

    run(rt, body)
    left.clear()


def test_closing_the_service_wakes_who_waits_for_a_connection(rt):
    async def body(rt):
        async with serving(rt, admit=by_name) as service:

            async def accept():
                with pytest.raises(IceClosed):
                    await rt.call(service.accept())

            async def close():
                await rt.sleep(0.01)
                service.close()
                service.close()

            await rt.together(accept, close)
            assert service.listening == ()
            assert service.local_candidates == ()

    run(rt, body)


def test_a_port_that_is_taken_is_an_error_that_says_so(rt):
    async def body(rt):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.1", 0))
            taken = f"127.0.0.1:{other.getsockname()[1]}"
            with pytest.raises(IceError, match=taken):
                async with serving(rt, taken):
                    raise AssertionError("it serves")

    run(rt, body)


@pytest.mark.parametrize(
    ("listen", "match"),
    [("tls:127.0.0.1:1", "neither udp nor tcp"), ("nowhere", "cannot listen"), ("quic:1.2.3.4:5", "neither udp nor tcp")],
)
def test_a_text_that_names_no_place_is_refused(rt, listen, match):
    async def body(rt):
        with pytest.raises(ValueError, match=match):
            async with serving(rt, listen):
                raise AssertionError("it serves")

    run(rt, body)


def test_a_wildcard_means_the_addresses_that_the_filter_lets_through(rt):
    async def body(rt):
        only = {"interface_filter": lambda name, address: address == "127.0.0.1"}
        for listen in ("0.0.0.0:0", Address("0.0.0.0", 0)):
            async with serving(rt, listen, **only) as service:
                assert {one.host for one in service.listening} == {"127.0.0.1"}
                assert [one.transport for one in service.local_candidates] == [Transport.UDP, Transport.TCP]
                assert tuple(one.address for one in service.local_candidates) == service.listening
        with pytest.raises(ValueError, match="no address of that family"):
            async with serving(rt, "[::]:0", **only):
                raise AssertionError("it serves")

    run(rt, body)


def test_servers_of_a_lite_service_are_refused(rt):
    async def body(rt):
        with pytest.raises(LocalProtocolError, match="lite=False"):
            async with serving(rt, ice_servers=["stun:127.0.0.1"]):
                raise AssertionError("it serves")

    run(rt, body)


def test_a_full_connection_that_fails_says_so(rt):
    hasty = IceConfig(ta=0.005, pac_timeout=0.05)

    async def body(rt):
        async with serving(rt, lite=False, config=hasty) as service:
            served = service.open(controlling=True)
            await rt.call(served.gather())
            with pytest.raises(IceFailed):
                await rt.call(served.connect(Description("none", secret("none"))))
            assert not isinstance(served._agent.failure, ConsentLost)

    run(rt, body)
