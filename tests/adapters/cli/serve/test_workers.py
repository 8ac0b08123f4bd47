"""Several workers behind one front: one dies, clients are with the wrong one, a service manager gave the sockets."""

import contextlib
import os
import select
import signal
import socket
import ssl
import types
import urllib.request
from pathlib import Path

import pytest
import trio

from sansice import Address
from sansice.stun import (
    CONNECTION_ID,
    ERROR_CODE,
    EVEN_PORT,
    LIFETIME,
    NONCE,
    REALM,
    REQUESTED_TRANSPORT,
    RESERVATION_TOKEN,
    USERNAME,
    XOR_PEER_ADDRESS,
    XOR_RELAYED_ADDRESS,
    MessageClass,
    Method,
    decode_untrusted,
    encode,
    long_term_key,
    new_transaction_id,
)
from sansice.turn import TurnError
from sansice_cli.serve._command import serve
from sansice_cli.serve._logs import Log
from sansice_cli.serve._settings import read_settings
from sansice_cli.serve._socket_sets import open_socket_sets
from sansice_cli.serve._supervisor import Workers
from sansice_trio import open_turn

pytestmark = pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="workers share ports by SO_REUSEPORT")
HANG = 60  # seconds
ME = ("me", "pw")
UDP_RELAY, TCP_RELAY = (REQUESTED_TRANSPORT, 17), (REQUESTED_TRANSPORT, 6)


def children(server):
    """Process ids of the workers."""
    pid = server.process.pid
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def metrics(server):
    with urllib.request.urlopen(server.ready["metrics"], timeout=HANG) as answer:
        return answer.read().decode().splitlines()


def until(server, words):
    """The first line logged that has these words."""
    while words not in (said := server.line()):
        assert said, f"it has ended without saying {words!r}"
    return said


def worker_of(said):
    """The number of the worker that a line is of."""
    return said.partition(" worker=")[2].split()[0]


def code(answer):
    """The error code of an answer; 0 for success."""
    error = answer.get(ERROR_CODE)
    return 0 if error is None else error.code


class Client:
    """A TURN client of one request at a time, over whatever socket it is given."""

    def __init__(self, sock):
        sock.settimeout(HANG)
        self.sock = sock
        self.nonce = None

    def ask(self, method, *attributes):
        """The answer; after a challenge, that to the second attempt."""
        for _ in range(3):
            head, key = [], None
            if self.nonce is not None:
                head, key = [(USERNAME, ME[0]), (REALM, "sansice"), (NONCE, self.nonce)], long_term_key(*ME[:1], "sansice", ME[1])
            self.sock.sendall(encode(method, MessageClass.REQUEST, new_transaction_id(os.urandom), [*attributes, *head], key=key))
            answer = self.read()
            error = answer.get(ERROR_CODE)
            if error is None or error.code not in (401, 438):
                return answer
            self.nonce = answer.get(NONCE)
        raise AssertionError(f"challenged again and again: {error}")

    def read(self):
        if self.sock.type == socket.SOCK_DGRAM:
            return decode_untrusted(self.sock.recv(2048))
        head = self.exactly(20)
        return decode_untrusted(head + self.exactly(int.from_bytes(head[2:4], "big")))

    def exactly(self, size):
        found = b""
        while len(found) < size:
            more = self.sock.recv(size - len(found))
            assert more, "the server has closed the connection"
            found += more
        return found


def udp(server):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect(("127.0.0.1", server.port("udp")))
    return sock


def tcp(server):
    return socket.create_connection(("127.0.0.1", server.port("tcp")), HANG)


def find_only_refusals(server, *connects):
    """Come until a dozen newcomers in a row are sent away, wherever they are hashed to: its line comes before the drain."""
    refused = 0
    while refused < 12:
        with connects[refused % len(connects)](server) as sock:
            newcomer = Client(sock)
            found = code(newcomer.ask(Method.ALLOCATE, UDP_RELAY))
            assert found in (0, 508)
            refused = refused + 1 if found else 0
            if not found:
                newcomer.ask(Method.REFRESH, (LIFETIME, 0))


def test_tokens_are_good_with_whichever_worker_the_client_comes_to(relaying):
    with relaying("--workers", 3) as server:
        for _ in range(8):  # one in three would come to the right worker by chance
            with udp(server) as first, udp(server) as second:
                one, two = Client(first), Client(second)
                answer = one.ask(Method.ALLOCATE, UDP_RELAY, (EVEN_PORT, True))
                port = answer.get(XOR_RELAYED_ADDRESS).port
                answer = two.ask(Method.ALLOCATE, UDP_RELAY, (RESERVATION_TOKEN, answer.get(RESERVATION_TOKEN)))
                assert answer.get(XOR_RELAYED_ADDRESS).port == port + 1
                # All that follows goes the same way.
                peer = (XOR_PEER_ADDRESS, Address("127.0.0.1", port))
                assert two.ask(Method.CREATE_PERMISSION, peer).message_class is MessageClass.SUCCESS


@pytest.mark.parametrize("secure", [False, True], ids=["tcp", "tls"])
def test_data_connections_come_to_the_worker_that_has_the_peer(relaying, certificate, secure):
    own, ca = certificate
    options = ["--workers", 3, "--tcp-relay", "--allow-peer", "127.0.0.0/8"]
    listen = ["--listen", f"{'tls' if secure else 'tcp'}:127.0.0.1:0"] + (["--tls-cert", own] if secure else [])
    context = ssl.create_default_context(cafile=ca)

    def connect():
        sock = socket.create_connection(("127.0.0.1", server.port("tls" if secure else "tcp")), HANG)
        return context.wrap_socket(sock, server_hostname="localhost") if secure else sock

    with relaying(*options, listen=listen) as server, socket.create_server(("127.0.0.1", 0)) as peer, connect() as sock:
        control = Client(sock)
        control.ask(Method.ALLOCATE, TCP_RELAY)
        for number in range(6):
            answer = control.ask(Method.CONNECT, (XOR_PEER_ADDRESS, Address(*peer.getsockname())))
            far, _ = peer.accept()
            with far, connect() as data:
                bind = Client(data).ask(Method.CONNECTION_BIND, (CONNECTION_ID, answer.get(CONNECTION_ID)))
                assert bind.message_class is MessageClass.SUCCESS
                far.sendall(bytes([number]) * 200_000)
                far.shutdown(socket.SHUT_WR)
                found = b""
                while more := data.recv(65536):
                    found += more
                assert found == bytes([number]) * 200_000


async def test_a_worker_that_dies_is_replaced_and_the_others_lose_nothing(relaying):
    with relaying("--workers", 2, "--metrics", "127.0.0.1:0") as server:
        await trio.to_thread.run_sync(server.line)
        with trio.fail_after(HANG):
            turns, path = [], f"turn:127.0.0.1:{server.port('udp')}"
            async with open_turn(path, *ME) as one, open_turn(path, *ME) as two:
                turns += [one, two]
                victim = children(server)[0]
                os.kill(victim, signal.SIGKILL)
                while "worker died" not in (said := await trio.to_thread.run_sync(server.line)):
                    assert said
                assert "worker=0" in said or "worker=1" in said
                lines = []
                while "sansice_workers 2.0" not in lines:
                    lines = await trio.to_thread.run_sync(metrics, server)
                assert victim not in children(server)
                assert "sansice_worker_restarts_total 1.0" in lines
                for _ in range(4):  # wherever they are hashed to
                    async with open_turn(path, *ME) as turn:
                        assert turn.relayed
        assert server.stop()[0] == 0


def test_while_one_worker_still_serves_all_of_them_send_newcomers_away(relaying):
    with relaying(
        "--workers", 3, "--drain-timeout", 1000, listen=("--listen", "udp:127.0.0.1:0", "--listen", "tcp:127.0.0.1:0")
    ) as server:
        server.line()
        with udp(server) as sock:
            last = Client(sock)
            assert last.ask(Method.ALLOCATE, UDP_RELAY).message_class is MessageClass.SUCCESS
            server.process.terminate()
            until(server, "draining")
            find_only_refusals(server, udp, tcp)
            assert last.ask(Method.REFRESH, (LIFETIME, 0)).message_class is MessageClass.SUCCESS
        assert server.process.wait(HANG) == 0


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_worker_that_dies_in_a_drain_is_not_waited_for_and_its_place_sends_newcomers_away(relaying, when):
    with relaying("--workers", 2, "--drain-timeout", 1000) as server, contextlib.ExitStack() as stack:
        server.line()
        clients = {}
        while len(clients) < 2:  # some of each worker
            client = Client(stack.enter_context(udp(server)))
            assert client.ask(Method.ALLOCATE, UDP_RELAY).message_class is MessageClass.SUCCESS
            clients.setdefault(worker_of(until(server, "allocation opened")), []).append(client)
        if when == "meanwhile":
            server.process.terminate()
            until(server, "draining")
        os.kill(children(server)[0], signal.SIGKILL)
        victim = worker_of(until(server, "worker died"))
        if when == "before":
            server.process.terminate()
            until(server, "draining")
        find_only_refusals(server, udp)
        del clients[victim]
        (left,) = clients.values()
        for client in left:
            assert client.ask(Method.REFRESH, (LIFETIME, 0)).message_class is MessageClass.SUCCESS
        assert server.process.wait(HANG) == 0


@pytest.mark.parametrize("how", ["its deadline", "a second signal"])
def test_a_drain_of_workers_ends_with(relaying, how):
    with relaying("--workers", 2, "--drain-timeout", 0.2 if how == "its deadline" else 1000) as server, udp(server) as sock:
        assert Client(sock).ask(Method.ALLOCATE, UDP_RELAY).message_class is MessageClass.SUCCESS
        server.process.terminate()
        until(server, "draining")
        if how == "a second signal":
            server.process.terminate()
        assert server.process.wait(HANG) == 0


@pytest.mark.parametrize("when", ["before it starts", "while it starts"])
async def test_a_worker_that_starts_in_a_drain_is_told_of_it(when):
    async def call(method, *arguments, descriptors=()):
        called.append((method, arguments))
        await workers.drain(60.0)  # of those that run, which are none

    settings = read_settings(
        serve.make_context("serve", ["--listen", "udp:127.0.0.1:0", "--user", "a:b", "--workers", "2"]).params
    )
    material = settings.users.read()
    with contextlib.closing(open_socket_sets(settings.listeners, 2, 0, ())) as sets:
        workers = Workers(settings, material, Log("text"), "text", sets)
        called = []
        if when == "before it starts":
            await workers.drain(60.0)
        await workers._begin(types.SimpleNamespace(number=0, caller=types.SimpleNamespace(call=call)))
        workers.end()
    (start, (task,)), *more = called
    assert (start, task.is_draining, more) == (
        ("start", True, []) if when == "before it starts" else ("start", False, [("drain", (0.0,))])
    )


def test_workers_end_with_their_supervisor_however_that_ends(relaying):
    with relaying("--workers", 2) as server, contextlib.ExitStack() as stack:
        workers = [os.pidfd_open(pid) for pid in children(server)]
        for one in workers:
            stack.callback(os.close, one)
        assert len(workers) == 2
        server.process.kill()
        for one in workers:
            assert select.select([one], [], [], HANG)[0]


def test_a_terminals_interrupt_of_the_whole_group_is_the_supervisors_business(relaying):
    with relaying("--workers", 2) as server:
        server.line()
        for pid in children(server):
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                os.kill(pid, number)
        with udp(server) as sock:
            assert Client(sock).ask(Method.ALLOCATE, UDP_RELAY).message_class is MessageClass.SUCCESS
        code, _, errors = server.stop(signal.SIGINT)
        assert code == 130
        assert "worker died" not in errors


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--relay-ports", "50000-50003"], "4 relay ports for 3 workers: each needs two at least"),
        (["--listen", "udp:192.0.2.77:3478"], "cannot listen at udp:192.0.2.77:3478: "),
        (["--metrics", "192.0.2.77:1"], "cannot serve metrics at 192.0.2.77:1: "),
        (["--users", "/does/not/exist"], "/does/not/exist: No such file"),
        (["--realm", "x" * 128], "--realm: 128 characters"),
    ],
)
def test_what_cannot_be_opened_leaves_no_worker_behind(sansice, arguments, complaint):
    done = sansice("serve", "--workers", 3, "--user", "me:pw", "--listen", "udp:127.0.0.1:0", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert complaint in done.stderr


def test_the_service_managers_sockets_are_shared(relaying, activation):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        place = listener.getsockname()
        with relaying("--workers", 2, listen=(), **activation({"tcp": listener})) as server:
            assert server.ready["listening"] == [f"tcp:127.0.0.1:{place[1]}"]
            for _ in range(4):
                with tcp(server) as sock:
                    assert Client(sock).ask(Method.ALLOCATE, UDP_RELAY).message_class is MessageClass.SUCCESS


def test_datagram_sockets_of_the_service_managers_are_one_for_each_worker(start, activation):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        arguments = ("serve", "--user", "me:pw", "--workers", 2)
        with start(*arguments, **activation({"udp": sock})) as process:
            _, errors = process.communicate(timeout=HANG)
    assert process.returncode == 1
    assert "2 workers need a socket each of the service manager, and there are 1" in errors


async def test_a_user_is_bounded_in_each_worker_and_all_of_them_by_their_shares(relaying, tmp_path):
    with relaying("--workers", 2, "--total-quota", 2, "--control-socket", tmp_path / "control") as server:
        path = f"turn:127.0.0.1:{server.port('udp')}"
        codes = []
        async with trio.open_nursery() as nursery:

            async def hold(task_status=trio.TASK_STATUS_IGNORED):
                try:
                    async with open_turn(path, *ME):
                        codes.append(0)
                        task_status.started()
                        await trio.sleep_forever()
                except TurnError as error:
                    codes.append(error.code)
                    task_status.started()

            for _ in range(12):
                await nursery.start(hold)
            nursery.cancel_scope.cancel()
        assert sorted(codes) == [0, 0, *[508] * 10]


async def test_a_reload_that_fails_leaves_every_worker_as_it_was(relaying, certificate, tmp_path):
    own, _ = certificate
    users = tmp_path / "users"
    users.write_text("me:pw\n")
    listen = ("--listen", "udp:127.0.0.1:0", "--listen", "tls:127.0.0.1:0", "--tls-cert", own)
    with relaying("--workers", 2, users=("--users", users), listen=listen) as server:
        await trio.to_thread.run_sync(server.line)
        for path, content in ((users, "nonsense\n"), (own, "nonsense\n")):
            before = path.read_text()
            path.write_text(content)
            server.process.send_signal(signal.SIGHUP)
            assert "reload failed" in await trio.to_thread.run_sync(server.line)
            path.write_text(before)
            for _ in range(4):
                async with open_turn(f"turn:127.0.0.1:{server.port('udp')}", *ME):
                    pass
                for _ in range(2):  # each allocation says that it has begun, and that it has ended
                    assert "allocation" in await trio.to_thread.run_sync(server.line)
