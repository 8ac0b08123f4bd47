"""`stun_binding`, `discover_nat` and `serve_stun` on every runtime, against each other."""

import socket
import threading

import pytest

from _certificates import Authority
from adapters.conformance._runtimes import HANG
from sansice import Address, LocalProtocolError, Transport
from sansice.sockets import TlsConfig
from sansice.stun import (
    PENDING,
    BehaviorDiscovered,
    BehaviorProgressed,
    BehaviorTest,
    CredentialRequested,
    FilteringBehavior,
    Listener,
    LongTermCredentials,
    LookupStep,
    MappingBehavior,
    ServerAuthentication,
    ServerUri,
    StaticUsers,
    StunError,
    StunServerConfig,
    UserKeys,
)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def certificate(authority):
    return authority.issue("127.0.0.1", "localhost")


def square():
    """Two loopback addresses with the same two free ports."""
    hosts = ("127.0.0.1", "127.0.0.2")
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as two:
            one.bind((hosts[0], 0))
            two.bind((hosts[0], 0))
            ports = one.getsockname()[1], two.getsockname()[1]
        found = [Listener(Transport.UDP, Address(host, port)) for host in hosts for port in ports]
        try:
            for listener in found:
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                    sock.bind(listener.address)
        except OSError:
            continue
        return found


def uri_of(service, number=0, scheme="stun"):
    return f"{scheme}:{service.listening[number][1]}"


def run(rt, body):
    """Run a body that leaves nothing behind."""
    rt.run(lambda rt: rt.leaves_nothing(lambda: body(rt)))


# ---------------------------------------------------------------- asking and being asked


def test_a_served_address_is_told_to_who_asks(rt):
    async def body(rt):
        async with rt.opened(rt.adapter.serve_stun(["udp:127.0.0.1:0"])) as service:
            ((transport, address),) = service.listening
            assert transport is Transport.UDP
            assert address.port != 0
            mapped = await rt.call(rt.adapter.stun_binding(uri_of(service)))
            assert mapped.host == "127.0.0.1"
            assert service.stats.responses == 1
            assert (await rt.call(rt.adapter.stun_binding(ServerUri.parse(uri_of(service))))).host == "127.0.0.1"
        assert service.listening == ()

    run(rt, body)


def test_a_chosen_local_address_is_the_one_that_is_asked_from(rt):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.3", 0))
        local = Address(*free.getsockname())

    async def body(rt):
        async with rt.opened(rt.adapter.serve_stun(["udp:127.0.0.1:0"])) as service:
            assert await rt.call(rt.adapter.stun_binding(uri_of(service), local=local)) == local

    run(rt, body)


def test_names_are_looked_up(rt):
    async def body(rt):
        async with rt.opened(rt.adapter.serve_stun(["udp:127.0.0.1:0"])) as service:
            port = service.listening[0][1].port
            assert (await rt.call(rt.adapter.stun_binding(f"stun:localhost:{port}"))).host == "127.0.0.1"

    run(rt, body)


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.TLS, Transport.DTLS])
def test_streams_are_served(rt, transport, authority, certificate):
    scheme = "stun" if transport is Transport.TCP else "stuns"

    async def body(rt):
        listen = [f"{transport.value}:127.0.0.1:0"]
        async with rt.opened(rt.adapter.serve_stun(listen, tls=TlsConfig(certificate))) as service:
            trusting = TlsConfig(ca_file=authority.ca_file)
            uri = uri_of(service, 0, scheme)
            asked = rt.adapter.stun_binding(uri, transports=[transport], verify_name="localhost", tls=trusting)
            assert (await rt.call(asked)).host == "127.0.0.1"
            assert service.stats.responses == 1

    run(rt, body)


def test_an_untrusted_certificate_is_an_error_that_says_so(rt, certificate):
    async def body(rt):
        async with rt.opened(rt.adapter.serve_stun(["tls:127.0.0.1:0"], tls=TlsConfig(certificate))) as service:
            with pytest.raises(StunError, match="certificate") as caught:
                await rt.call(rt.adapter.stun_binding(uri_of(service, 0, "stuns"), verify_name="localhost"))
            assert caught.value.step is LookupStep.OPEN

    run(rt, body)


def test_inherited_sockets_are_listened_at(rt):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as given:
        given.bind(("127.0.0.1", 0))
        address = Address(*given.getsockname())

        async def body(rt):
            async with rt.opened(rt.adapter.serve_stun([f"udp:{address}"], inherited=[given])) as service:
                assert service.listening == ((Transport.UDP, address),)
                await rt.call(rt.adapter.stun_binding(uri_of(service)))

        rt.run(body)


# ---------------------------------------------------------------- failing


def test_a_server_that_is_not_there_is_told_at_once(rt):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind(("127.0.0.1", 0))
        uri = f"stun:127.0.0.1:{gone.getsockname()[1]}"

    async def body(rt):
        with pytest.raises(StunError) as caught:
            await rt.call(rt.adapter.stun_binding(uri, timeout=HANG / 2))
        assert caught.value.uri == uri
        assert caught.value.step is LookupStep.REQUEST
        with pytest.raises(StunError) as caught:
            await rt.call(rt.adapter.stun_binding(uri, transports=[Transport.TCP]))
        assert caught.value.step is LookupStep.OPEN

    run(rt, body)


def test_a_silent_server_is_given_up_in_time(rt):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))

        async def body(rt):
            with pytest.raises(StunError) as caught:
                await rt.call(rt.adapter.stun_binding(f"stun:127.0.0.1:{silent.getsockname()[1]}", timeout=0.05))
            assert caught.value.step is LookupStep.REQUEST

        run(rt, body)


def test_a_name_without_addresses_is_told(rt, monkeypatch):
    def nowhere(*args, **kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)

    async def body(rt):
        with pytest.raises(StunError, match=r"nowhere\.example") as caught:
            await rt.call(rt.adapter.stun_binding("stun:nowhere.example:3478"))
        assert caught.value.step is LookupStep.RESOLVE

    rt.run(body)


@pytest.mark.parametrize("uri", ["", "stun", "http://127.0.0.1", "stun:"])
def test_what_is_no_uri_is_refused_before_anything_opens(rt, uri):
    async def body(rt):
        with pytest.raises(ValueError, match=r".+"):
            await rt.call(rt.adapter.stun_binding(uri))
        with pytest.raises(ValueError, match=r".+"):
            await rt.call(rt.adapter.discover_nat(uri))

    run(rt, body)


def test_a_server_that_cannot_listen_everywhere_says_where_and_why(rt):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]

        async def body(rt):
            listen = ["udp:127.0.0.1:0", f"udp:127.0.0.1:{port}"]
            with pytest.raises(StunError, match=rf"udp:127\.0\.0\.1:{port}: Address already in use") as caught:
                async with rt.opened(rt.adapter.serve_stun(listen)):
                    pass
            assert caught.value.step is LookupStep.OPEN

        run(rt, body)


@pytest.mark.parametrize(
    ("listen", "error"), [(["nowhere"], ValueError), (["udp:0.0.0.0:1"], ValueError), ([], LocalProtocolError)]
)
def test_a_place_that_is_none_is_refused(rt, listen, error):
    async def body(rt):
        with pytest.raises(error):
            async with rt.opened(rt.adapter.serve_stun(listen)):
                pass

    run(rt, body)


# ---------------------------------------------------------------- credentials


def test_credentials_are_asked_for_and_may_be_replaced(rt):
    def of(password):
        return ServerAuthentication(realm="example.org", lookup_key=StaticUsers({"alice": password}, "example.org"))

    async def body(rt):
        async with rt.opened(rt.adapter.serve_stun(["udp:127.0.0.1:0"], authentication=of("old"))) as service:

            async def ask(password):
                credentials = password and LongTermCredentials("alice", password)
                return await rt.call(rt.adapter.stun_binding(uri_of(service), credentials=credentials))

            assert (await ask("old")).host == "127.0.0.1"
            for wrong in ("new", None):
                with pytest.raises(StunError, match="401"):
                    await ask(wrong)
            service.replace_authentication(of("new"))
            assert (await ask("new")).host == "127.0.0.1"

    run(rt, body)


def test_keys_may_be_found_by_the_application_later(rt):
    authentication = ServerAuthentication(realm="example.org", lookup_key=lambda name, realm, unix: PENDING)

    async def body(rt):
        async with rt.opened(rt.adapter.serve_stun(["udp:127.0.0.1:0"], authentication=authentication)) as service:

            async def ask():
                return await rt.call(rt.adapter.stun_binding(uri_of(service), credentials=LongTermCredentials("alice", "secret")))

            async def find():
                while not isinstance(event := await rt.call(service.events.get()), CredentialRequested):
                    pass
                return service.provide_key(event.id, UserKeys.of_password("alice", "secret", "example.org"))

            mapped, was_waiting = await rt.together(ask, find)
            assert mapped.host == "127.0.0.1"
            assert was_waiting is True

    run(rt, body)


# ---------------------------------------------------------------- ending


def test_draining_ends_a_server_and_everybody_who_waits_for_that(rt):
    async def body(rt):
        async with rt.opened(rt.adapter.serve_stun(["127.0.0.1:0"])) as service:
            assert [transport for transport, _ in service.listening] == [Transport.UDP, Transport.TCP]
            idle = socket.create_connection(service.listening[1][1])
            try:
                while not service.stats.connections:
                    await rt.sleep(0.001)
                await rt.together(service_closed(rt, service), service_drained(rt, service))
                assert service.listening == ()
                idle.settimeout(HANG)
                assert idle.recv(1) == b""
            finally:
                idle.close()
            with pytest.raises(LocalProtocolError):
                await rt.call(service.drain())

    run(rt, body)


def service_closed(rt, service):
    async def run():
        await rt.call(service.wait_closed())

    return run


def service_drained(rt, service):
    async def run():
        await rt.call(service.drain())

    return run


def test_a_wait_for_a_server_may_be_given_up(rt):
    async def body(rt):
        async with rt.opened(rt.adapter.serve_stun(["udp:127.0.0.1:0"])) as service:
            with pytest.raises(TimeoutError):
                await rt.within(0.01, service.wait_closed)
            await rt.call(rt.adapter.stun_binding(uri_of(service)))

    run(rt, body)


def test_renewed_certificates_are_used_by_new_connections(rt, authority, tmp_path):
    file = tmp_path / "certificate.pem"

    def install(name):
        file.write_bytes(authority.issue(name).read_bytes())

    async def body(rt):
        install("old.example")
        tls = TlsConfig(file)
        async with rt.opened(rt.adapter.serve_stun(["tls:127.0.0.1:0"], tls=tls)) as service:

            async def ask(name):
                trusting = TlsConfig(ca_file=authority.ca_file)
                asked = rt.adapter.stun_binding(uri_of(service, 0, "stuns"), verify_name=name, tls=trusting)
                return (await rt.call(asked)).host

            assert await ask("old.example") == "127.0.0.1"
            install("new.example")
            tls.reload()
            assert await ask("new.example") == "127.0.0.1"

    run(rt, body)


# ---------------------------------------------------------------- NAT behaviour


def test_the_absence_of_a_nat_is_discovered_step_by_step(rt):
    async def body(rt):
        listen = square()
        async with rt.opened(rt.adapter.serve_stun(listen, config=StunServerConfig(behavior=True))) as service:
            steps = []

            def progress(event):
                steps.append(event)
                assert service.listening  # not within a step of anybody: commands and questions are welcome

            tests = (BehaviorTest.FILTERING, BehaviorTest.MAPPING)
            behavior = await rt.call(rt.adapter.discover_nat(listen[0].address, tests=tests, progress=progress))
            assert behavior.mapping is MappingBehavior.NONE
            assert behavior.filtering is FilteringBehavior.ENDPOINT_INDEPENDENT
            assert behavior.mapped == behavior.local
            began = [(step.test, step.done, step.total) for step in steps if isinstance(step, BehaviorProgressed)]
            assert began == [(BehaviorTest.FILTERING, 0, 2), (BehaviorTest.MAPPING, 1, 2)]
            assert not any(isinstance(step, BehaviorDiscovered) for step in steps)
            again = await rt.call(rt.adapter.discover_nat(uri_of(service), tests=tests))
            assert again.mapping is MappingBehavior.NONE

    run(rt, body)


def test_what_the_observer_of_a_discovery_raises_comes_out(rt):
    def complain(event):
        raise KeyError("enough")

    async def body(rt):
        async with rt.opened(rt.adapter.serve_stun(["udp:127.0.0.1:0"])) as service:
            with pytest.raises(KeyError, match="enough"):
                await rt.call(rt.adapter.discover_nat(uri_of(service), progress=complain))

    run(rt, body)


def test_a_discovery_whose_server_has_no_address_says_so(rt, monkeypatch):
    def nowhere(*args, **kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)

    async def body(rt):
        with pytest.raises(StunError, match=r"nowhere\.example"):
            await rt.call(rt.adapter.discover_nat("stun:nowhere.example:3478"))

    rt.run(body)


def test_several_may_be_asked_at_the_same_time(rt):
    async def body(rt):
        async with rt.opened(rt.adapter.serve_stun(["udp:127.0.0.1:0"])) as service:

            async def ask():
                return await rt.call(rt.adapter.stun_binding(uri_of(service)))

            mapped = await rt.together(*[ask] * 8)
            assert len(set(mapped)) == 8
            assert threading.active_count() < 50

    run(rt, body)
