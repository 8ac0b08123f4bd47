"""`sansice gather`, in processes and in this one."""

import json
import signal

import pytest

from sansice.ice import Candidate, CandidateType, HostAddress
from sansice_cli.gather import _gathering

HANG = 60  # seconds
ONLY_IPV4 = ("--interface", "lo", "--family", "ipv4", "--loopback")


def test_json_has_candidates_servers_and_the_time(sansice, peers, honest, refusing):
    [good] = peers(good=honest).values()
    done = sansice("gather", *ONLY_IPV4, "--server", good, "--server", refusing, "--json")
    assert done.returncode == 1
    [line] = done.stdout.splitlines()
    said = json.loads(line)
    assert set(said) == {"candidates", "servers", "addresses", "complete_ms"}
    [host] = map(Candidate.from_sdp, said["candidates"])  # the server sees nothing else
    assert (host.type, host.address.host) == (CandidateType.HOST, "127.0.0.1")
    assert said["addresses"] == [{"address": "127.0.0.1", "interface": "lo", "kind": "unknown", "temporary": False}]
    of_good, of_refusing = said["servers"]
    assert (of_good["url"], of_good["ok"], of_good["error"]) == (good, True, None)
    assert of_good["ms"] > 0
    assert of_good["mapped"] == [str(host.address)]
    assert (of_refusing["url"], of_refusing["ok"], of_refusing["ms"]) == (refusing, False, None)
    assert "nobody is there" in of_refusing["error"]
    assert said["complete_ms"] > 0
    assert f"{good}: sees 127.0.0.1:" in done.stderr
    assert "1 candidate, complete after" in done.stderr


def test_a_relay_is_told_who_asks_and_its_candidate_is_shown(sansice, start):
    options = ("--listen", "udp:127.0.0.1:0", "--user", "alice:secret", "--relay-address", "127.0.0.1")
    with start("serve", *options) as process:
        url = f"turn:{json.loads(process.stdout.readline())['listening'][0].removeprefix('udp:')}"
        done = sansice("gather", *ONLY_IPV4, "--server", url, "--user", "alice:secret", "--json")
        said = json.loads(done.stdout)
        assert (done.returncode, said["servers"][0]["ok"]) == (0, True)
        types = [Candidate.from_sdp(one).type for one in said["candidates"]]
        assert types == [CandidateType.HOST, CandidateType.RELAYED]
        assert f"{url}: sees 127.0.0.1:" in done.stderr
        assert ", and relays at 127.0.0.1:" in done.stderr
        refused = sansice("gather", *ONLY_IPV4, "--server", url, "--user", "alice:wrong", "--json")
        assert refused.returncode == 1
        assert json.loads(refused.stdout)["servers"][0]["error"]


def test_without_servers_there_are_host_candidates(sansice):
    done = sansice("gather", *ONLY_IPV4)
    assert (done.returncode, done.stderr) == (0, "")
    assert "host  udp  127.0.0.1:" in done.stdout
    assert "  on lo  " in done.stdout


def test_an_interface_that_is_not_there_has_no_candidates(invoke):
    code, output, _ = invoke("gather", "--interface", "nosuch0", "--json")
    assert code == 1
    assert json.loads(output)["candidates"] == []


def test_watching_goes_on_until_it_is_interrupted(start):
    with start("gather", *ONLY_IPV4, "--watch", "--every", "1", "--json") as process:
        rounds = [json.loads(process.stdout.readline()) for _ in range(2)]
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=HANG)
    assert process.returncode == 130
    assert all(len(one["candidates"]) == 1 for one in rounds)
    assert "the same addresses" in errors
    assert errors.endswith("Interrupted.\n")


async def test_watching_gathers_again_when_the_addresses_change(monkeypatch, autojump_clock):
    ipv4, ipv6 = HostAddress("127.0.0.1", interface="lo"), HostAddress("::1", interface="lo")
    lists = iter([[ipv4], [ipv4], [ipv4, ipv6], [ipv4, ipv6], [ipv6], [ipv6]])

    def listed(is_wanted, refresh):
        assert [is_wanted("lo", "::1"), is_wanted("eth0", "::1")] == [True, False]
        return next(lists, [])

    monkeypatch.setattr(_gathering, "local_hosts", listed)
    said, rounds = [], []

    class Enough(Exception):
        pass

    def done(round):
        rounds.append(round)
        if len(rounds) == 3:
            raise Enough

    class Silent:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def show(self, round, found):
            pass

    wish = _gathering.Wish(servers=(), timeout=1.0, include_loopback=True, names=("lo",))
    with pytest.raises(Enough):
        await _gathering.gather_again(wish, 3600.0, Silent, said.append, done)
    assert [line.split(" ", 1)[1] for line in said] == ["127.0.0.1", "+::1", "-127.0.0.1"]
    assert [len(round.found) for round in rounds] == [1, 2, 1]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--server", "http://192.0.2.1"),
        ("--server", "stun:"),
        ("--every", "5"),
        ("--watch", "--every", "0"),
        ("--timeout", "nan"),
        ("--family", "ipv5"),
        ("--user", "alice"),
        ("--ca", "/nosuch/file.pem"),
        ("what",),
    ],
)
def test_wrong_usage_is_code_2(invoke, arguments):
    assert invoke("gather", *arguments)[0] == 2


def test_help_names_the_exit_codes(sansice):
    done = sansice("gather", "--help")
    assert "Exit codes: 0" in " ".join(done.stdout.split())


def test_every_url_of_a_server_is_asked_and_not_only_the_best(sansice, start):
    options = ("--listen", "127.0.0.1:0", "--user", "alice:secret", "--relay-address", "127.0.0.1")
    with start("serve", *options) as process:
        places = json.loads(process.stdout.readline())["listening"]
        urls = [f"turn:{place}?transport={transport}" for transport, _, place in (one.partition(":") for one in places)]
        assert len(urls) == 2
        servers = [word for url in urls for word in ("--server", url)]
        done = sansice("gather", *ONLY_IPV4, *servers, "--user", "alice:secret", "--json")
        said = json.loads(done.stdout)
    assert [(one["url"], one["ok"]) for one in said["servers"]] == [(url, True) for url in urls]
