"""A network under trio: time, hosts, and what happens where the two worlds meet."""

import math
import warnings

import pytest
import trio

from sansice import AddressRecord
from sansice.ice import HostAddress
from sansice.simulation import Network, SimulationError
from sansice_trio.testing import LeftNetworkWarning, on_host, open_network

A, B = "192.0.2.1", "192.0.2.2"


@pytest.fixture
def net():
    return Network(seed=1, latency=0.25, trace=1000)


@pytest.fixture
def a(net):
    return net.host("a", A)


@pytest.fixture
def b(net):
    return net.host("b", B)


async def live(net, program):
    """Run a program in a network."""
    async with open_network(net):
        await program()


async def datagrams(port=0, host=""):
    sock = trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM)
    await sock.bind((host, port))
    return sock


# ---------------------------------------------------------------- time


async def test_time_in_the_network_is_that_of_trios_clock(net, a, b, autojump_clock):
    async with open_network(net) as opened:
        assert opened is net
        with on_host(a):
            sender = await datagrams()
        with on_host(b):
            receiver = await datagrams(7)
        await trio.sleep(10)
        assert net.now == trio.current_time() == 10
        await sender.sendto(b"x", (B, 7))
        await receiver.recv(10)
        assert net.now == trio.current_time() == 10.25


async def test_clocks_that_did_not_start_together_differ_by_the_same_time_for_ever(a, b, net, autojump_clock):
    net.run(until=1 / 3)
    autojump_clock.jump(0.1)
    async with open_network(net):
        with on_host(a):
            sender = await datagrams()
        with on_host(b):
            receiver = await datagrams(7)
        for n in range(50):
            await trio.sleep(0.7)
            await sender.sendto(b"x", (B, 7))
            await receiver.recv(10)
            assert trio.current_time() == pytest.approx(0.1 + (n + 1) * 0.95)
            assert net.now == pytest.approx(trio.current_time() - 0.1 + 1 / 3)


async def test_what_a_task_does_to_the_network_itself_counts_from_the_time_at_which_it_does_it(net, autojump_clock):
    times = []
    async with open_network(net):
        await trio.sleep(3)
        net.at(5, lambda: times.append(trio.current_time()))
        net.at(net.now, lambda: times.append(trio.current_time()))
        await trio.sleep(10)
    assert times == [3, 5]


async def test_an_earlier_happening_wakes_the_network_earlier_and_a_distant_one_is_waited_for(net, autojump_clock):
    times = []
    async with open_network(net):
        net.at(1000, lambda: times.append(net.now))
        await trio.sleep(1)
        net.at(2, lambda: times.append(net.now))
        await trio.sleep(1.5)
        assert times == [2]
        assert net.next_time == 1000
        await trio.sleep_until(1000)
    assert times == [2, 1000]


async def test_an_error_in_the_network_comes_out_of_the_block(net, autojump_clock):
    net.at(2, lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError) as raised:
        async with open_network(net):
            await trio.sleep(100)
    assert trio.current_time() == 2
    assert "raised at virtual time 2 s" in raised.value.__notes__


async def test_only_the_first_error_in_the_network_is_told(net, autojump_clock):
    net.at(2, lambda: 1 // 0)
    net.at(2, lambda: [][0])

    async def stubborn():
        with trio.CancelScope(shield=True):
            await trio.sleep(5)

    with pytest.raises(ZeroDivisionError):
        await live(net, stubborn)


async def test_an_exception_of_the_block_comes_out_as_it_is(net, autojump_clock):
    async def program():
        await trio.sleep(1)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await live(net, program)


async def test_letting_time_pass_by_hand_in_the_block_is_an_error_that_says_so(net, autojump_clock):
    async def program():
        net.run(until=5)
        await trio.sleep(1)

    with pytest.raises(SimulationError, match="ran ahead of trio's clock"):
        await live(net, program)


async def test_after_the_block_time_in_the_network_stands_still(net, autojump_clock):
    async with open_network(net):
        await trio.sleep(1)
    net.at(3, lambda: 1 // 0)
    await trio.sleep(10)
    assert (net.now, net.next_time) == (1, 3)


async def test_a_second_network_follows_the_first_and_never_covers_it(net, autojump_clock):
    other = Network()
    async with open_network(net):
        with pytest.raises(RuntimeError, match="one network a run"):
            async with open_network(other):
                raise AssertionError("not reached")
        with pytest.raises(SimulationError, match="on no host"):
            trio.socket.socket()
    async with open_network(other):
        pass
    trio.socket.socket().close()


async def test_machines_live_beside_programs(net, a, autojump_clock):
    net.stun_server("192.0.2.9")
    async with open_network(net):
        with on_host(a):
            sock = await datagrams(5000)
            await sock.sendto(bytes.fromhex("000100002112a442") + bytes(12), ("192.0.2.9", 3478))
            answer, source = await sock.recvfrom(1000)
    assert source == ("192.0.2.9", 3478)
    assert answer[:2] == b"\1\1"


async def test_nothing_of_the_block_is_left_behind(net, a, autojump_clock):
    before = trio.lowlevel.current_statistics().tasks_living
    async with open_network(net):
        await trio.sleep(1)
    await trio.testing.wait_all_tasks_blocked()
    assert trio.lowlevel.current_statistics().tasks_living == before


async def test_under_a_clock_that_runs_by_itself_the_network_runs_with_it(net, a, b, mock_clock):
    mock_clock.rate = 1000
    async with open_network(net):
        with on_host(a):
            sender = await datagrams()
        with on_host(b):
            receiver = await datagrams(7)
        for _ in range(3):
            sent = net.now
            await sender.sendto(b"x", (B, 7))
            assert await receiver.recv(9) == b"x"
            assert sent + 0.25 <= net.now <= trio.current_time()


# ---------------------------------------------------------------- hosts


async def test_tasks_are_on_the_host_on_which_they_were_started(net, a, b, autojump_clock):
    found = {}

    async def program(name):
        await trio.sleep(1)
        found[name] = (await datagrams(7)).getsockname(), net.now

    async with open_network(net), trio.open_nursery() as nursery:
        with on_host(a):
            nursery.start_soon(program, "a")
            with on_host(b):
                nursery.start_soon(program, "b")
            sock = await datagrams(host=A)
    assert found == {"a": (("0.0.0.0", 7), 1), "b": (("0.0.0.0", 7), 1)}
    assert sock.getsockname()[0] == A


async def test_off_every_host_there_is_an_error_that_says_what_to_do(net, autojump_clock):
    async with open_network(net):
        with pytest.raises(SimulationError, match=r"a socket is wanted, and this task is on no host: .*`with on_host\(host\):`"):
            trio.socket.socket()
        with pytest.raises(SimulationError, match=r"the name b'example\.org' is looked up, and"):
            await trio.socket.getaddrinfo("example.org", 80)


async def test_sockets_of_other_families_are_real(net, a, autojump_clock):
    async with open_network(net):
        with on_host(a), trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM) as sock:
            assert sock.fileno() < 2**20


async def test_other_protocols_are_refused(net, a, autojump_clock):
    async with open_network(net):
        with on_host(a), pytest.raises(OSError, match="Protocol not supported: type 3, protocol 1 in a simulated network"):
            trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_RAW, 1)


# ---------------------------------------------------------------- leaving


async def test_a_real_socket_of_a_program_on_a_host_is_refused_and_named(net, a, autojump_clock):
    import socket

    async with open_network(net):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as real:
            with on_host(a):
                for use in (lambda: real.bind(("127.0.0.1", 0)), lambda: real.sendto(b"", ("127.0.0.1", 9))):
                    with pytest.raises(SimulationError, match=r"a program on a uses a real socket \(socket\.\w+\)"):
                        use()
                with pytest.raises(SimulationError, match=r"gethostbyname"):
                    socket.gethostbyname("localhost")
            real.bind(("127.0.0.1", 0))  # the test itself is on no host


async def test_a_unix_socket_of_a_program_is_its_own_business(net, a, autojump_clock, tmp_path):
    import socket

    with on_host(a), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as real:
        real.bind(str(tmp_path / "socket"))


async def test_a_thread_of_a_program_on_a_host_is_warned_of(net, a):
    async with open_network(net):
        assert await trio.to_thread.run_sync(math.sqrt, 4) == 2  # the test itself is on no host
        with on_host(a), pytest.warns(LeftNetworkWarning, match="a program on a uses a thread"):
            await trio.to_thread.run_sync(math.sqrt, 4)


async def test_the_warning_of_a_thread_comes_out_of_the_block_where_warnings_are_errors(net, a):
    async def program():
        with on_host(a), warnings.catch_warnings():
            warnings.simplefilter("error")
            await trio.to_thread.run_sync(math.sqrt, 4)

    with pytest.raises(LeftNetworkWarning):
        await live(net, program)


# ---------------------------------------------------------------- names


@pytest.fixture
async def named(net, a):
    net.resolve("both.example", [AddressRecord(B), AddressRecord("2001:db8::2")], latency=0.1)
    net.resolve("four.example", [AddressRecord(B)], latency=0.2)
    return net


async def look_up(*arguments, **options):
    return [(info[0], info[1], info[4]) for info in await trio.socket.getaddrinfo(*arguments, **options)]


async def test_names_come_from_the_networks_name_service_and_take_its_time(named, a, autojump_clock):
    async with open_network(named):
        with on_host(a):
            found = await look_up("four.example", 80, type=trio.socket.SOCK_STREAM)
    assert found == [(trio.socket.AF_INET, trio.socket.SOCK_STREAM, (B, 80))]
    assert trio.current_time() == 0.2


async def test_families_without_a_way_come_last_and_both_are_asked_at_once(named, a, autojump_clock):
    async with open_network(named):
        with on_host(a):
            found = await look_up("both.example", "domain")
            assert [info[2] for info in found] == [(B, 53), (B, 53), ("2001:db8::2", 53, 0, 0), ("2001:db8::2", 53, 0, 0)]
            assert trio.current_time() == 0.1
            a.attach("2001:db8::1", named.internet)
            found = await look_up("both.example", b"8080", type=trio.socket.SOCK_DGRAM)
            assert [info[2] for info in found] == [("2001:db8::2", 8080, 0, 0), (B, 8080)]
            only = await look_up("both.example", None, family=trio.socket.AF_INET6, proto=trio.socket.IPPROTO_TCP)
            assert only == [(trio.socket.AF_INET6, trio.socket.SOCK_STREAM, ("2001:db8::2", 0, 0, 0))]


async def test_a_host_asks_the_name_service_that_it_was_given(named, a, b, autojump_clock):
    from sansice.simulation import NameService

    b.names = NameService()
    b.names.say("four.example", [AddressRecord("198.51.100.4")])
    async with open_network(named):
        with on_host(b):
            assert {info[2][0] for info in await look_up("four.example", 0)} == {"198.51.100.4"}


async def test_errors_of_names_are_those_of_a_system(named, a, autojump_clock):
    from sansice import ResolveError

    named.resolve("slow.example", ResolveError.TIMEOUT, latency=10.0)
    named.resolve("broken.example", ResolveError.FAILURE)
    codes = {}
    async with open_network(named):
        with on_host(a):
            for name in ("no.example", "slow.example", "broken.example", "four.example"):
                with pytest.raises(trio.socket.gaierror) as raised:
                    await trio.socket.getaddrinfo(name, 80 if "four" not in name else "no-such-service")
                codes[name.partition(".")[0]] = raised.value.args[0]
    socket = trio.socket
    assert codes == {
        "no": socket.EAI_NONAME, "slow": socket.EAI_AGAIN, "broken": socket.EAI_FAIL, "four": socket.EAI_SERVICE
    }  # fmt: skip
    assert trio.current_time() == 10.0


async def test_localhost_is_everywhere_and_addresses_have_no_names(named, a, autojump_clock):
    async with open_network(named):
        with on_host(a):
            assert {info[2] for info in await look_up("localhost", 1)} == {("::1", 1, 0, 0), ("127.0.0.1", 1)}
            assert await trio.socket.getnameinfo((B, 80), 0) == (B, "80")
            with pytest.raises(trio.socket.gaierror):
                await trio.socket.getnameinfo((B, 80), trio.socket.NI_NAMEREQD)


async def test_interfaces_that_are_listed_are_the_hosts(net, a, autojump_clock):
    from sansice_trio._custom import host_addresses

    a.attach("2001:db8::1", net.internet, name="wlan0")
    down = a.attach("192.0.2.77", net.internet)
    down.down()
    async with open_network(net):
        with on_host(a):
            assert [one.host for one in host_addresses()] == [A, "2001:db8::1"]
            assert host_addresses(lambda name, address: name == "wlan0") == [HostAddress("2001:db8::1", interface="wlan0")]
    assert A not in [one.host for one in host_addresses(refresh=True)]
