"""``record=`` on every runtime: the life of a machine on real sockets, in a file that replays."""

import stat

import pytest

from sansice import LocalProtocolError
from sansice.ice import Credentials, Description, IceAgent, IceConfig
from sansice.simulation import RecordingFile, ScrubError, read_recording, replay, replay_file, scrub_file
from sansice.stun import BehaviorTest, ServerAuthentication, StaticUsers, StunError, StunServer


def on_loopback(rt, controlling, record):
    only = {"include_loopback": True, "interface_filter": lambda name, address: address == "127.0.0.1"}
    return rt.opened(rt.adapter.open_ice(controlling=controlling, config=IceConfig(ta=0.005), record=record, **only))


def run(rt, body):
    """Run a body that leaves nothing behind."""
    return rt.run(lambda rt: rt.leaves_nothing(lambda: body(rt)))


async def talk(rt, *records):
    """Two connected agents that say one thing each."""
    async with on_loopback(rt, True, records[0]) as alice, on_loopback(rt, False, records[1]) as bob:
        of_alice, of_bob = await rt.call(alice.gather()), await rt.call(bob.gather())
        await rt.together(lambda: meet(rt, alice, of_bob), lambda: meet(rt, bob, of_alice))
        await rt.call(alice.send(b"hello"))
        assert await rt.call(bob.receive()) == b"hello"
        assert alice.writable
        return alice.selected_pair, bob.stats()


async def meet(rt, ice, remote):
    return await rt.call(ice.connect(remote))


def test_both_ends_of_a_connection_replay_from_their_files(rt, tmp_path):
    pair, stats = run(rt, lambda rt: talk(rt, tmp_path / "alice", str(tmp_path / "bob")))
    for name in ("alice", "bob"):
        report = replay_file(tmp_path / name)
        assert report.same, report
        assert report.machine == "sansice.ice:IceAgent"
        assert report.recording.ending == "closed"
        assert report.recording.steps[-1].method == "close"
    assert replay(read_recording(tmp_path / "alice")).selected_pair == pair
    assert replay(read_recording(tmp_path / "bob")).stats.datagrams_received == stats.datagrams_received == 1


def test_a_file_can_be_read_by_its_user_alone(rt, tmp_path):
    run(rt, lambda rt: talk(rt, tmp_path / "alice", None))
    assert stat.S_IMODE((tmp_path / "alice").stat().st_mode) == 0o600


def test_limits_of_ones_own(rt, tmp_path):
    run(rt, lambda rt: talk(rt, RecordingFile(tmp_path / "alice", max_bytes=4000), None))
    report = replay_file(tmp_path / "alice")
    assert report.same
    assert report.recording.ending == "the limit of 4000 bytes is reached"


def test_a_server_and_who_asked_it_replay_from_their_files(rt, tmp_path):
    async def body(rt):
        users = ServerAuthentication(realm="r", lookup_key=StaticUsers({"me": "secret"}, realm="r"))
        async with rt.opened(rt.adapter.serve_stun("127.0.0.1:0", record=tmp_path / "server")) as service:
            uri = f"stun:{service.listening[0][1]}"
            await rt.call(rt.adapter.stun_binding(uri, record=tmp_path / "lookup"))
            service.replace_authentication(users)
            with pytest.raises(StunError):
                await rt.call(rt.adapter.stun_binding(uri, timeout=5.0))
            await rt.call(service.drain())
            return service.stats

    stats = run(rt, body)
    for name, machine in (("server", "StunServer"), ("lookup", "BindingLookup")):
        report = replay_file(tmp_path / name)
        assert report.same, report
        assert report.machine == f"sansice.stun:{machine}"
    server = replay(read_recording(tmp_path / "server"))
    assert isinstance(server, StunServer)
    assert (server.stats.responses, server.stats.errors) == (stats.responses, stats.errors)


def test_a_discovery_replays_from_its_file(rt, tmp_path):
    async def body(rt):
        async with rt.opened(rt.adapter.serve_stun("udp:127.0.0.1:0")) as service:
            await rt.call(
                rt.adapter.discover_nat(service.listening[0][1], tests=[BehaviorTest.HAIRPINNING], record=tmp_path / "nat")
            )

    run(rt, body)
    report = replay_file(tmp_path / "nat")
    assert report.same, report
    assert report.machine == "sansice.stun:BehaviorDiscovery"


def test_a_file_that_cannot_be_opened_is_an_error_before_anything_else_happens(rt, tmp_path):
    async def body(rt):
        nowhere = tmp_path / "nowhere" / "x"
        with pytest.raises(FileNotFoundError):
            rt.adapter.open_ice(controlling=True, record=nowhere)
        with pytest.raises(FileNotFoundError):
            await rt.call(rt.adapter.stun_binding("stun:127.0.0.1", record=nowhere))

    run(rt, body)


def test_what_is_neither_a_name_nor_a_recorder_is_refused(rt):
    with pytest.raises(LocalProtocolError, match="record: a file's name, or a RecordingFile, not 5"):
        rt.adapter.open_ice(controlling=True, record=5)


def test_arguments_that_are_refused_leave_no_file_open(rt, tmp_path):
    async def body(rt):
        with pytest.raises(LocalProtocolError):
            rt.adapter.open_ice(controlling=True, streams=0, record=tmp_path / "x")
        with pytest.raises(LocalProtocolError):
            rt.adapter.open_ice(controlling="yes", record=tmp_path / "x")

    run(rt, body)
    assert len(read_recording(tmp_path / "x").steps) == 0


def test_any_machine_is_recorded_where_it_is_made(rt, tmp_path):
    """`open_driver` takes machines that exist; a `RecordingFile` makes them."""

    async def body(rt):
        file = RecordingFile(tmp_path / "x")
        agent = file.make(IceAgent, controlling=True)
        async with rt.opened(rt.adapter.open_driver(agent)) as (driver, events):
            driver.call(agent.gather, ["127.0.0.1"], include_loopback=True)
            assert await rt.call(events.get()) is not None
            assert agent.local_candidates[0].address.host == "127.0.0.1"
        file.close()

    run(rt, body)
    assert replay_file(tmp_path / "x").same


SECRETS = {"room": "password+of+the0room00", "client": "password+of+the0client"}


async def visit(rt, record, *, announce, **options):
    """A client talks to a service that is recorded, announced or not; what the service has heard."""
    admit = None if announce else (lambda stranger: SECRETS.get(stranger.ufrag))
    async with rt.opened(rt.adapter.serve_ice("127.0.0.1:0", admit=admit, record=record, **options)) as service:
        own = {"credentials": Credentials("client", SECRETS["client"]), "config": IceConfig(ta=0.005)}
        async with rt.opened(rt.adapter.open_ice(controlling=True, include_loopback=True, **own)) as client:
            if announce:
                served = service.open()
                place = await rt.call(served.gather())
                served.set_remote(await rt.call(client.gather()))
            else:
                place = Description("room", SECRETS["room"], candidates=service.local_candidates, lite=True)

            async def come():
                await rt.call(client.connect(place))
                await rt.call(client.send(b"hello"))

            async def heard():
                connection = served if announce else await rt.call(service.accept())
                said = await rt.call(connection.receive())
                await rt.call(connection.send(b"and back"))
                return said

            _, said = await rt.together(come, heard)
            assert await rt.call(client.receive()) == b"and back"
            return said


@pytest.mark.parametrize("announce", [False, True])
def test_the_life_of_a_service_with_its_connections_replays_exactly(rt, tmp_path, announce):
    async def body(rt):
        return await visit(rt, tmp_path / "service", announce=announce)

    assert run(rt, body) == b"hello"
    report = replay_file(tmp_path / "service")
    assert report.same, report
    assert report.machine == "sansice.ice:IceReception" and report.recording.ending == "closed"
    reception = replay(read_recording(tmp_path / "service"))
    assert reception.stats.accepted == (not announce)


def test_a_recorded_service_is_scrubbed_of_its_passwords_or_not_at_all(rt, tmp_path):
    async def body(rt):
        await visit(rt, tmp_path / "admitted", announce=False)
        await visit(rt, tmp_path / "drawn", announce=True)

    run(rt, body)
    scrub_file(tmp_path / "admitted", tmp_path / "clean")
    told = (tmp_path / "clean").read_bytes()
    assert SECRETS["room"].encode() not in told and b"hello".hex().encode() not in told
    assert replay_file(tmp_path / "clean").same
    with pytest.raises(ScrubError):
        scrub_file(tmp_path / "drawn", tmp_path / "never")
    assert not (tmp_path / "never").exists()
