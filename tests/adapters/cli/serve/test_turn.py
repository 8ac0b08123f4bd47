"""A TURN server that runs: whom it relays for, and what signals do while it relays."""

import contextlib
import json
import re
import signal
import socket
import time
import urllib.error
import urllib.request

import pytest
import trio

from sansice import Address
from sansice.stun import REQUESTED_TRANSPORT, MessageClass, Method, TimeLimitedSecrets, TransactionId, encode
from sansice.turn import TurnError
from sansice_trio import open_turn

pytestmark = pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="workers share ports by SO_REUSEPORT")
HANG = 60  # seconds
ME = ("me", "pw")


def uri(server, transport="udp"):
    return f"turn:127.0.0.1:{server.port(transport)}?transport={transport}"


class Pair:
    """Two clients of a server that talk with each other through it."""

    def __init__(self, one, two):
        self.one = one.peer(two.relayed[0])
        self.two = two.peer(one.relayed[0])
        self.count = 0

    async def exchange(self, number):
        """So many datagrams each way, one after the other: none may be lost."""
        for _ in range(number):
            self.count += 1
            data = self.count.to_bytes(8, "big")
            await self.one.send(data)
            assert await self.two.receive() == data
            await self.two.send(data)
            assert await self.one.receive() == data


@pytest.fixture
def pair():
    """``async with pair(uri) as pair``."""

    @contextlib.asynccontextmanager
    async def opened(*uris):
        with trio.fail_after(HANG):
            async with open_turn(uris[0], *ME) as one, open_turn(uris[-1], *ME) as two:
                yield Pair(one, two)

    return opened


async def line(server, words):
    """The first line logged that has these words."""
    while True:
        found = await trio.to_thread.run_sync(server.line)
        assert found, f"it has ended without saying {words!r}"
        if words in found:
            return found


async def test_named_users_are_relayed_between_and_nobody_else(relaying, pair):
    with relaying() as server:
        async with pair(uri(server)) as both:
            await both.exchange(10)
        with pytest.raises(TurnError) as caught:
            async with open_turn(uri(server), "me", "wrong"):
                pass
        assert caught.value.code == 401
        assert server.stop()[0] == 0


async def test_time_limited_users_are_one_user_however_many_names_they_get(relaying, tmp_path):
    path = tmp_path / "secret"
    path.write_text("long enough\n")
    secrets = TimeLimitedSecrets("long enough")
    names = [secrets.issue("me", lifetime=lifetime, unix=time.time()) for lifetime in (1000, 2000)]
    with relaying("--quota", "1", users=("--secret", path)) as server:
        async with open_turn(uri(server), *names[0]):
            with pytest.raises(TurnError) as caught:
                async with open_turn(uri(server), *names[1]):
                    pass
            assert caught.value.code == 486


@pytest.mark.parametrize("workers", [1, 2])
async def test_they_are_that_also_where_a_reload_brings_the_first_secret(relaying, tmp_path, workers):
    path, config = tmp_path / "secret", tmp_path / "turn.toml"
    path.write_text("long enough\n")
    config.write_text('user = ["me:pw"]\nquota = 1\n')
    secrets = TimeLimitedSecrets("long enough")
    names = [secrets.issue("other", lifetime=lifetime, unix=time.time()) for lifetime in range(1000, 1000 + workers + 1)]
    with relaying("--config", config, "--workers", workers, users=()) as server:
        config.write_text(f'user = ["me:pw"]\nquota = 1\nsecret = ["{path}"]\n')
        server.process.send_signal(signal.SIGHUP)
        await line(server, "reloaded")
        codes = []
        async with contextlib.AsyncExitStack() as stack:
            for name in names:  # what a user may have, he may have in each worker: this is one more
                try:
                    await stack.enter_async_context(open_turn(uri(server), *name))
                except TurnError as error:
                    codes.append(error.code)
        assert set(codes) == {486}


async def test_peers_in_private_networks_are_refused_unless_they_are_allowed(relaying):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as echo:
        echo.bind(("127.0.0.1", 0))
        echo.settimeout(HANG)
        with relaying() as server:
            async with open_turn(uri(server), *ME) as turn:
                with pytest.raises(TurnError) as caught:
                    await turn.permit(Address(*echo.getsockname()))
                assert caught.value.code == 403
        with relaying("--allow-peer", "127.0.0.0/8") as server:
            async with open_turn(uri(server), *ME) as turn:
                await turn.peer(Address(*echo.getsockname())).send(b"hello")
                assert (await trio.to_thread.run_sync(echo.recv, 100)) == b"hello"


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_reload_under_load_loses_no_allocation_and_no_packet(relaying, pair, tmp_path, workers):
    config = tmp_path / "turn.toml"
    config.write_text('user = ["me:pw"]\nquota = 10\n')
    with relaying("--config", config, "--workers", workers, users=()) as server:
        async with pair(uri(server)) as both:
            await both.exchange(50)
            for quota in (9, 8, 7):
                config.write_text(f'user = ["me:pw", "other:secret"]\nquota = {quota}\n')
                server.process.send_signal(signal.SIGHUP)
                await both.exchange(200)
                await line(server, "reloaded")
            async with open_turn(uri(server), "other", "secret"):
                pass
            config.write_text('usr = ["me:pw"]\n')
            server.process.send_signal(signal.SIGHUP)
            assert f"{config}, line 1: no option is called 'usr'; is it 'user'?" in await line(server, "reload failed")
            await both.exchange(50)
        assert server.stop()[0] == 0


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_drain_serves_whom_it_has_takes_nobody_new_and_ends_with_the_last(relaying, pair, workers):
    with relaying("--workers", workers, "--health", "127.0.0.1:0") as server:
        health = server.ready["health"]
        assert await trio.to_thread.run_sync(fetched, health) == (200, {"status": "ok"})
        async with pair(uri(server)) as both:
            await both.exchange(20)
            server.process.terminate()
            await line(server, "draining")
            await both.exchange(200)
            assert await trio.to_thread.run_sync(fetched, health) == (503, {"status": "unavailable", "reason": "draining"})
            with pytest.raises(TurnError) as caught:
                async with open_turn(uri(server), *ME):
                    pass
            assert caught.value.code == 508
            assert server.process.poll() is None
        assert await trio.to_thread.run_sync(server.process.wait, HANG) == 0


async def test_a_drain_ends_at_its_deadline(relaying, pair):
    with relaying("--drain-timeout", "0.5") as server:
        async with pair(uri(server)):
            server.process.terminate()
            assert await trio.to_thread.run_sync(server.process.wait, HANG) == 0


async def test_a_second_signal_to_end_does_not_wait(relaying, pair):
    with relaying() as server:
        async with pair(uri(server)):
            server.process.terminate()
            await line(server, "draining")
            server.process.terminate()
            await line(server, "a second time")
            assert await trio.to_thread.run_sync(server.process.wait, HANG) == 0


def fetched(url):
    """Status and content."""
    try:
        with urllib.request.urlopen(url, timeout=HANG) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


async def test_allocations_and_what_they_carry_are_counted(relaying, pair):
    with relaying("--metrics", "127.0.0.1:0") as server:
        async with pair(uri(server)) as both:
            await both.exchange(10)

            def lines():
                with urllib.request.urlopen(server.ready["metrics"], timeout=HANG) as answer:
                    return answer.read().decode().splitlines()

            found = await trio.to_thread.run_sync(lines)
            assert "sansice_turn_allocations 2.0" in found
            assert 'sansice_turn_relayed_packets_total{direction="from_client"} 20.0' in found
            assert 'sansice_turn_relayed_bytes_total{direction="to_client"} 160.0' in found
            assert not any("me" in one.partition(" ")[0].partition("{")[2] for one in found if "user" in one)
        _, _, errors = server.stop()
    assert errors.count("info allocation opened") == errors.count("info allocation closed") == 2
    assert 'reason="deleted"' in errors
    assert errors.count(" from_client_bytes=80 to_client_bytes=80 ") == 2


async def test_a_client_that_moves_is_told_of_with_both_of_its_addresses(relaying, pair):
    with relaying("--mobility") as server, trio.fail_after(HANG):
        async with open_turn(uri(server), *ME, mobility=True) as turn:
            await turn.rebind()
        _, _, errors = server.stop()
    (opened,), (moved,) = ([one for one in errors.splitlines() if f"allocation {what}" in one] for what in ("opened", "moved"))
    left, came = (moved.partition(f' {word}="')[2].partition('"')[0] for word in ("left", "client"))
    assert f'client="{left}"' in opened
    assert came.startswith("udp:127.0.0.1:")
    assert came != left


@pytest.mark.parametrize("workers", [1, 2])
async def test_the_control_socket_lists_kills_limits_and_drains(relaying, pair, sansice, tmp_path, workers):
    path = tmp_path / "control"

    async def control(*words, code=0):
        done = await trio.to_thread.run_sync(lambda: sansice("serve", "--control", *words, "--control-socket", path, "--json"))
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout) if done.stdout else done.stderr

    with relaying("--control-socket", path, "--workers", workers) as server:
        assert path.stat().st_mode & 0o777 == 0o600
        async with pair(uri(server)) as both:
            await both.exchange(5)
            listed = (await control("list"))["allocations"]
            assert [one["user"] for one in listed] == ["me", "me"]
            assert {one["from_client_packets"] for one in listed} == {5}
            assert (await control("limits"))["limits"]["allocations-per-user"] == 500
            changed = await control("limits", "allocations-per-user=2", "bytes-per-second=1M")
            assert changed["limits"]["bytes-per-second"] == 1_000_000
            assert "is no limit" in await control("limits", "alocations=2", code=1)
            if workers == 1:  # a bound on a user is one on what he has in each worker
                with pytest.raises(TurnError) as caught:
                    async with open_turn(uri(server), *ME):
                        pass
                assert caught.value.code == 486
            killed = listed[0]["id"]
            assert await control("kill", killed) == {"ok": True, "killed": [killed], "unknown": []}
            assert (await control("kill", killed, "99", "nonsense", code=1))["unknown"] == [killed, "99", "nonsense"]
            ids = [one["id"] for one in listed]
            assert len((await control("list"))["allocations"]) == 1
            assert (await control("drain", "0.2"))["draining"] is True
            assert await trio.to_thread.run_sync(server.process.wait, HANG) == 0
        _, _, errors = server.stop()
    assert not path.exists()
    closed = re.findall(r'allocation closed id="(.*?)"', errors)
    assert sorted(closed) == sorted(ids)  # by the names that they are killed by


async def test_a_client_behind_a_trusted_proxy_is_known_by_its_own_address(relaying, sansice, tmp_path):
    path = tmp_path / "control"
    options = ("--control-socket", path, "--proxy-protocol", "127.0.0.0/8", "--log-format", "json", "--anonymous")
    with relaying(*options, users=(), listen=("--listen", "tcp:127.0.0.1:0")) as server:
        with socket.create_connection(("127.0.0.1", server.port("tcp")), HANG) as proxy:
            proxy.sendall(b"PROXY TCP4 192.0.2.7 198.51.100.1 5000 3478\r\n")
            request = encode(Method.ALLOCATE, MessageClass.REQUEST, TransactionId(bytes(12)), [(REQUESTED_TRANSPORT, 17)])
            proxy.sendall(request)
            assert proxy.recv(1000)[:2] == b"\x01\x03"
            done = sansice("serve", "--control", "list", "--control-socket", path, "--json")
            assert json.loads(done.stdout)["allocations"][0]["client"] == "tcp:192.0.2.7:5000"


async def test_old_clients_and_containers_are_catered_for(relaying):
    with relaying("--few-ports", "4", "--wide-channels", "--external-address", "192.0.2.7") as server:
        async with open_turn(uri(server), *ME) as turn:
            assert turn.relayed[0].host == "192.0.2.7"
            assert 50_000 <= turn.relayed[0].port < 50_004
