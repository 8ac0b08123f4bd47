import pytest

from sansice.machine import AddressRecord, NaptrRecord, RecordKind, ResolveError, SrvRecord, Transport
from sansice.stun import ServerUri
from sansice.stun._resolution._order import usable_records
from sansice.stun._resolution._rules import MAX_NAPTR_DEPTH, MAX_TARGETS, Search, default_transports, usable_transports

UDP, TCP, TLS, DTLS = Transport

# RFC 5928, figure 1.
EXAMPLE_NET = """
    example.net            NAPTR 100 10 "" RELAY:turn.udp datagram.example.net
    example.net            NAPTR 200 10 "" RELAY:turn.tcp:turn.tls stream.example.net
    datagram.example.net   NAPTR 100 10 S RELAY:turn.udp _turn._udp.example.net
    stream.example.net     NAPTR 100 10 S RELAY:turn.tcp _turn._tcp.example.net
    stream.example.net     NAPTR 200 10 A RELAY:turn.tls a.example.net
    _turn._udp.example.net SRV 0 0 3478 a.example.net
    _turn._tcp.example.net SRV 0 0 5000 a.example.net
    a.example.net          A 192.0.2.1
"""
TABLE_2 = ["udp 192.0.2.1:3478", "tls 192.0.2.1:5349", "tcp 192.0.2.1:5000"]

# RFC 5928, figure 2.
EXAMPLE_COM = EXAMPLE_NET + 'example.com NAPTR 100 10 "" RELAY:turn.udp:turn.tcp:turn.tls example.net'

HOST = """
    h A 192.0.2.1
    h AAAA 2001:db8::1
    a A 192.0.2.2
    b A 192.0.2.3
    b AAAA 2001:db8::3
"""


def never(size):
    raise AssertionError("nothing is to be drawn")


def zone(text):
    records = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, kind, *fields = line.split()
        match kind:
            case "SRV":
                priority, weight, port, target = fields
                record = SrvRecord(int(priority), int(weight), int(port), target)
            case "NAPTR":
                order, preference, flags, service, replacement = fields
                record = NaptrRecord(int(order), int(preference), flags.strip('"'), service, "", replacement)
            case _:
                record = AddressRecord(fields[0])
        records.setdefault((name, kind), []).append(record)
    return {(name, kind): usable_records(RecordKind(kind), found, never) for (name, kind), found in records.items()}


def search(uri, text="", *, transports=None, service=None, families=(6, 4), otherwise=ResolveError.NOT_FOUND):
    """What is asked, in order, and what is found by it."""
    uri = ServerUri.parse(uri)
    usable = usable_transports(uri, default_transports(uri) if transports is None else transports)
    answers, known = zone(text), {}
    while True:
        found = Search(uri, usable, service=service, families=families, answer=known.get)
        if not found.wanted:
            asked = [f"{question.kind.value} {question.name}" for question in known]
            return asked, [f"{transport.value} {address}" for transport, address in found.found]
        for question in found.wanted:
            known[question] = answers.get((question.name, question.kind.value), otherwise)


def refused(uri, transports):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the callers look at the text
        usable_transports(ServerUri.parse(uri), transports)
    return str(caught.value)


@pytest.mark.req("RFC7064-004")
@pytest.mark.parametrize(
    ("uri", "transports", "targets"),
    [
        ("stun:192.0.2.1", None, ["udp 192.0.2.1:3478"]),
        ("stun:192.0.2.1:99", None, ["udp 192.0.2.1:99"]),
        ("stun:192.0.2.1", (TLS, TCP, UDP, DTLS), ["tcp 192.0.2.1:3478", "udp 192.0.2.1:3478"]),
        ("stun:[2001:db8::1]", None, ["udp [2001:db8::1]:3478"]),
        ("stuns:192.0.2.1", None, ["tls 192.0.2.1:5349"]),
        ("stuns:192.0.2.1", tuple(Transport), ["tls 192.0.2.1:5349", "dtls 192.0.2.1:5349"]),
        ("stuns:192.0.2.1:99", (DTLS,), ["dtls 192.0.2.1:99"]),
    ],
)
def test_stun_is_cleartext_and_stuns_is_not_and_an_address_needs_no_question(uri, transports, targets):
    assert search(uri, transports=transports) == ([], targets)


@pytest.mark.req("RFC5928-003", "RFC7065-004", "RFC7065-005")
@pytest.mark.parametrize(
    ("uri", "transports", "targets"),
    [
        ("turn:192.0.2.1", (TCP, UDP), ["tcp 192.0.2.1:3478", "udp 192.0.2.1:3478"]),
        ("turn:192.0.2.1", None, ["udp 192.0.2.1:3478", "tcp 192.0.2.1:3478"]),
        ("turn:192.0.2.1:99", None, ["udp 192.0.2.1:99", "tcp 192.0.2.1:99"]),
        ("turn:192.0.2.1?transport=udp", None, ["udp 192.0.2.1:3478"]),
        ("turn:192.0.2.1?transport=tcp", None, ["tcp 192.0.2.1:3478"]),
        ("turns:192.0.2.1", None, ["tls 192.0.2.1:5349", "dtls 192.0.2.1:5349"]),
        ("turns:192.0.2.1", (DTLS, UDP, TLS), ["dtls 192.0.2.1:5349", "tls 192.0.2.1:5349"]),
        ("turns:192.0.2.1:99?transport=tcp", None, ["tls 192.0.2.1:99"]),
    ],
)
def test_an_address_of_turn_is_used_with_the_transport_named_or_all_in_order(uri, transports, targets):
    assert search(uri, transports=transports) == ([], targets)


@pytest.mark.req("RFC7350-005", "RFC7065-004")
@pytest.mark.parametrize("token", ["udp", "dtls"])
def test_secure_and_udp_is_dtls(token):
    assert search(f"turns:192.0.2.1?transport={token}") == ([], ["dtls 192.0.2.1:5349"])


@pytest.mark.parametrize(("uri", "families"), [("stun:192.0.2.1", (6,)), ("stun:[2001:db8::1]", (4,)), ("stun:0.0.0.0", (4,))])
def test_an_address_that_cannot_be_used_is_not_found(uri, families):
    assert search(uri, families=families) == ([], [])


@pytest.mark.req("RFC5928-001")
@pytest.mark.parametrize(
    ("uri", "transports", "complaint"),
    [
        ("turn:h?transport=udp", (TCP, TLS, DTLS), "UDP is not among the transports to be used (TCP, TLS, DTLS)"),
        ("turn:h?transport=tcp", (UDP,), "TCP is not among"),
        ("turns:h?transport=tcp", (UDP, TCP, DTLS), "TLS is not among"),
        ("turns:h?transport=udp", (UDP, TCP, TLS), "DTLS is not among"),
        ("turn:h?transport=sctp", tuple(Transport), "no transport 'sctp' is known for turn:"),
        ("turn:h?transport=dtls", tuple(Transport), "no transport 'dtls' is known for turn:"),
        ("turns:h?transport=tls", tuple(Transport), "no transport 'tls' is known for turns:"),
    ],
)
def test_a_transport_that_is_unknown_or_not_supported_stops_it(uri, transports, complaint):
    assert complaint in refused(uri, transports)


@pytest.mark.req("RFC5928-002")
@pytest.mark.parametrize(
    ("uri", "transports", "complaint"),
    [
        ("turns:h", (UDP, TCP), "needs TLS or DTLS, and may use UDP, TCP"),
        ("turns:h", (UDP,), "needs TLS or DTLS, and may use UDP"),
        ("turns:192.0.2.1", (TCP,), "needs TLS or DTLS"),
        ("stuns:h", (UDP, TCP), "needs TLS or DTLS"),
        ("stun:h", (TLS, DTLS), "needs UDP or TCP, and may use TLS, DTLS"),
        ("turn:h:99", (TLS,), "needs UDP or TCP"),
        ("turn:h", (), "and may use nothing"),
    ],
)
def test_no_transport_left_stops_it(uri, transports, complaint):
    assert complaint in refused(uri, transports)


@pytest.mark.req("RFC5928-004")
@pytest.mark.parametrize(
    ("uri", "targets"),
    [
        ("turn:h:99", ["udp [2001:db8::1]:99", "udp 192.0.2.1:99", "tcp [2001:db8::1]:99", "tcp 192.0.2.1:99"]),
        ("turn:h:99?transport=tcp", ["tcp [2001:db8::1]:99", "tcp 192.0.2.1:99"]),
        ("turns:h:99?transport=udp", ["dtls [2001:db8::1]:99", "dtls 192.0.2.1:99"]),
        ("stun:h:99", ["udp [2001:db8::1]:99", "udp 192.0.2.1:99"]),
    ],
)
def test_a_name_with_a_port_is_asked_for_its_addresses_only(uri, targets):
    assert search(uri, HOST) == (["AAAA h", "A h"], targets)


@pytest.mark.req("RFC8489-070")
@pytest.mark.parametrize(
    ("families", "asked", "targets"),
    [
        ((6, 4), ["AAAA h", "A h"], ["udp [2001:db8::1]:99", "udp 192.0.2.1:99"]),
        ((4, 6), ["A h", "AAAA h"], ["udp 192.0.2.1:99", "udp [2001:db8::1]:99"]),
        ((4,), ["A h"], ["udp 192.0.2.1:99"]),
        ((6,), ["AAAA h"], ["udp [2001:db8::1]:99"]),
    ],
)
def test_both_families_are_asked_for_unless_one_is_enough(families, asked, targets):
    assert search("stun:h:99", HOST, families=families) == (asked, targets)


@pytest.mark.req("RFC8489-068", "RFC7350-002", "RFC5928-005")
@pytest.mark.parametrize(
    ("uri", "transport", "name"),
    [
        ("stun:h", UDP, "_stun._udp.h"),
        ("stun:h", TCP, "_stun._tcp.h"),
        ("stuns:h", TLS, "_stuns._tcp.h"),
        ("stuns:h", DTLS, "_stuns._udp.h"),
        ("turn:h?transport=udp", UDP, "_turn._udp.h"),
        ("turn:h?transport=tcp", TCP, "_turn._tcp.h"),
        ("turns:h?transport=tcp", TLS, "_turns._tcp.h"),
        ("turns:h?transport=udp", DTLS, "_turns._udp.h"),
    ],
)
def test_a_name_without_a_port_is_asked_for_its_service(uri, transport, name):
    asked, targets = search(uri, f"{name} SRV 0 0 99 a\n{name} SRV 1 0 98 b" + HOST, transports=[transport])
    assert asked == [f"SRV {name}", "AAAA a", "A a", "AAAA b", "A b"]
    word = transport.value
    assert targets == [f"{word} 192.0.2.2:99", f"{word} [2001:db8::3]:98", f"{word} 192.0.2.3:98"]


@pytest.mark.req("RFC8489-071", "RFC5928-005", "RFC7064-004", "RFC7065-005", "RFC7350-002")
@pytest.mark.parametrize("otherwise", [*ResolveError, ()])
@pytest.mark.parametrize(
    ("uri", "transport", "port"),
    [
        ("stun:h", UDP, 3478),
        ("stun:h", TCP, 3478),
        ("stuns:h", TLS, 5349),
        ("stuns:h", DTLS, 5349),
        ("turn:h?transport=udp", UDP, 3478),
        ("turn:h?transport=tcp", TCP, 3478),
        ("turns:h?transport=tcp", TLS, 5349),
        ("turns:h?transport=udp", DTLS, 5349),
    ],
)
def test_without_a_service_the_name_and_the_default_port_are_used(uri, transport, port, otherwise):
    asked, targets = search(uri, HOST, transports=[transport], otherwise=otherwise)
    assert asked[1:] == ["AAAA h", "A h"]
    assert targets == [f"{transport.value} [2001:db8::1]:{port}", f"{transport.value} 192.0.2.1:{port}"]


def test_a_service_that_is_denied_has_no_server():
    """RFC 2782: the target "." says so, and the name's addresses are not asked for."""
    asked, targets = search("stun:h", "_stun._udp.h SRV 0 0 0 .\n_stun._tcp.h SRV 0 0 9 a" + HOST, transports=(UDP, TCP))
    assert asked == ["SRV _stun._udp.h", "SRV _stun._tcp.h", "AAAA a", "A a"]
    assert targets == ["tcp 192.0.2.2:9"]


def test_a_service_whose_servers_have_no_address_is_not_looked_for_elsewhere():
    assert search("stun:h", "_stun._udp.h SRV 0 0 9 gone" + HOST)[1] == []


@pytest.mark.req("RFC5780-010")
@pytest.mark.parametrize(
    ("uri", "transport", "asked", "target"),
    [
        ("stun:h", UDP, "SRV _stun-behavior._udp.h", "udp 192.0.2.2:9"),
        ("stun:h", TCP, "SRV _stun-behavior._tcp.h", "tcp 192.0.2.2:9"),
        ("stuns:h", TLS, "SRV _stun-behaviors._tcp.h", "tls 192.0.2.2:9"),
        ("stuns:h", DTLS, "AAAA h", "dtls [2001:db8::1]:5349"),
    ],
)
def test_behaviour_discovery_has_services_of_its_own(uri, transport, asked, target):
    records = "\n".join(
        f"_{service}._{proto}.h SRV 0 0 9 a" for service in ("stun-behavior", "stun-behaviors") for proto in ("udp", "tcp")
    )
    questions, targets = search(uri, records + HOST, transports=[transport], service="stun-behavior")
    assert questions[0] == asked
    assert targets[0] == target


@pytest.mark.req("RFC5928-006")
@pytest.mark.parametrize(("uri", "text"), [("turn:example.net", EXAMPLE_NET), ("turn:example.com", EXAMPLE_COM)])
def test_the_examples_of_rfc_5928_give_its_table_2(uri, text):
    asked, targets = search(uri, text, transports=(TLS, TCP, UDP))
    assert targets == TABLE_2
    assert asked[0] == f"NAPTR {uri[5:]}"
    assert len(asked) == len(set(asked))


def test_a_set_of_one_record_leaves_the_ranking_to_the_set_it_points_to():
    text = """
        h NAPTR 1 1 "" RELAY:turn.udp:turn.tls n
        n NAPTR 1 1 "" RELAY:turn.udp:turn.tls:turn.tcp m
        m NAPTR 1 1 A RELAY:turn.tcp b
        m NAPTR 2 1 A RELAY:turn.udp a
        m NAPTR 3 1 A RELAY:turn.tls a
    """
    assert search("turn:h", text + HOST, transports=(TLS, TCP, UDP))[1] == ["udp 192.0.2.2:3478", "tls 192.0.2.2:5349"]
    assert search("turn:h", text.partition("m NAPTR")[0] + HOST)[1] == []


@pytest.mark.req("RFC5928-006")
def test_the_preference_of_the_client_decides_between_transports_of_the_same_rank():
    assert search("turn:example.net", EXAMPLE_NET, transports=(UDP, TCP, TLS))[1] == [TABLE_2[0], TABLE_2[2], TABLE_2[1]]
    assert search("turn:example.net", EXAMPLE_NET, transports=(TCP, UDP))[1] == [TABLE_2[0], TABLE_2[2]]


@pytest.mark.req("RFC5928-006")
@pytest.mark.parametrize("transports", [(UDP, TLS), (TLS, UDP)])
def test_the_preference_of_the_client_decides_between_records_of_the_same_rank(transports):
    text = "h NAPTR 1 1 A RELAY:turn.udp a\nh NAPTR 1 1 A RELAY:turn.tls a" + HOST
    by_transport = {UDP: "udp 192.0.2.2:3478", TLS: "tls 192.0.2.2:5349"}
    assert search("turn:h", text, transports=transports)[1] == [by_transport[one] for one in transports]


@pytest.mark.req("RFC5928-006", "RFC7350-005")
def test_turn_dtls_is_a_tag_of_naptr():
    text = "h NAPTR 1 1 A RELAY:turn.dtls a\nh NAPTR 2 1 A RELAY:turn.tls b" + HOST
    assert search("turns:h", text)[1] == ["dtls 192.0.2.2:5349", "tls [2001:db8::3]:5349", "tls 192.0.2.3:5349"]
    assert search("turns:h", text, transports=(DTLS,))[1] == ["dtls 192.0.2.2:5349"]


def test_a_flag_of_a_takes_the_default_port_of_its_transport():
    text = "h NAPTR 1 1 a RELAY:turn.udp:turn.tls a" + HOST
    assert search("turn:h", text, transports=(UDP, TLS))[1] == ["udp 192.0.2.2:3478", "tls 192.0.2.2:5349"]


@pytest.mark.req("RFC5928-006")
@pytest.mark.parametrize(
    "naptr",
    [
        "",
        "h NAPTR 1 1 S SIP+D2U _sip._udp.h",
        "h NAPTR 1 1 A SIP:turn.udp b",
        "h NAPTR 1 1 U RELAY:turn.udp a",
        "h NAPTR 1 1 A RELAY:turn.sctp a",
    ],
)
@pytest.mark.parametrize("otherwise", [*ResolveError, ()])
def test_without_a_naptr_record_for_turn_each_transport_has_its_service(naptr, otherwise):
    text = f"{naptr}\n_turn._tcp.h SRV 0 0 9 a" + HOST
    asked, targets = search("turn:h", text, otherwise=otherwise)
    assert asked == ["NAPTR h", "SRV _turn._udp.h", "SRV _turn._tcp.h", "AAAA h", "A h", "AAAA a", "A a"]
    assert targets == ["udp [2001:db8::1]:3478", "udp 192.0.2.1:3478", "tcp 192.0.2.2:9"]
    asked, targets = search("turns:h", "_turns._udp.h SRV 0 0 9 a" + HOST, otherwise=otherwise)
    assert asked == ["NAPTR h", "SRV _turns._tcp.h", "SRV _turns._udp.h", "AAAA h", "A h", "AAAA a", "A a"]
    assert targets == ["tls [2001:db8::1]:5349", "tls 192.0.2.1:5349", "dtls 192.0.2.2:9"]


def test_naptr_records_that_lead_nowhere_are_the_end():
    """RFC 5928 3, step 4: only the first query's silence leads to step 5."""
    text = "h NAPTR 1 1 S RELAY:turn.udp _turn._udp.gone\nh NAPTR 2 1 A RELAY:turn.udp gone" + HOST
    assert search("turn:h", text) == (["NAPTR h", "SRV _turn._udp.gone", "AAAA gone", "A gone"], [])


def test_records_for_another_transport_are_not_followed():
    text = """
        h NAPTR 1 1 "" RELAY:turn.udp:turn.tcp n
        n NAPTR 1 1 A RELAY:turn.tcp a
        n NAPTR 2 1 A RELAY:turn.udp b
    """
    assert search("turn:h", text + HOST, transports=(UDP,))[1] == ["udp [2001:db8::3]:3478", "udp 192.0.2.3:3478"]


def test_a_loop_of_names_ends():
    text = """
        h NAPTR 1 1 "" RELAY:turn.udp:turn.tcp n
        n NAPTR 1 1 "" RELAY:turn.udp:turn.tcp h
        n NAPTR 2 1 "" RELAY:turn.udp:turn.tcp n
        n NAPTR 3 1 A RELAY:turn.tcp a
    """
    assert search("turn:h", text + HOST) == (["NAPTR h", "NAPTR n", "AAAA a", "A a"], ["tcp 192.0.2.2:3478"])


def test_a_chain_of_names_ends():
    text = "\n".join(f'n{number} NAPTR 1 1 "" RELAY:turn.udp n{number + 1}' for number in range(1000))
    assert search("turn:n0", text) == ([f"NAPTR n{number}" for number in range(MAX_NAPTR_DEPTH)], [])


def test_a_server_reached_by_two_ways_is_tried_once():
    text = "_stun._udp.h SRV 1 0 99 a\n_stun._udp.h SRV 2 0 99 b\nb A 192.0.2.2" + HOST
    assert search("stun:h", text)[1] == ["udp 192.0.2.2:99", "udp [2001:db8::3]:99", "udp 192.0.2.3:99"]


def test_servers_beyond_the_limit_are_left_out():
    services = "\n".join(f"_stun._udp.h SRV {number} 0 99 n{number}" for number in range(10))
    text = "\n".join([services, *(f"n{name} A 198.18.{name}.{number}" for name in range(10) for number in range(10))])
    found = search("stun:h", text)[1]
    assert found == [f"udp 198.18.{number // 10}.{number % 10}:99" for number in range(MAX_TARGETS)]
