import math

import pytest

from _turn_client_scene import CREDENTIALS, LOCAL, SERVER, UDP, Counting
from sansice.machine import (
    Address,
    AddressRecord,
    Ids,
    OpenSocket,
    ProxyOptions,
    QueryId,
    RecordKind,
    Resolve,
    ResolveError,
    Transport,
)
from sansice.stun import HttpProxy, Path, Redirected, ServerTarget, ServerUri, StunClient, TransactionTimedOut
from sansice.turn import AllocateWish, AllocationFailed, TurnClientConfig, TurnServerMemory, TurnStep, through
from sansice.turn._client._farewells import Farewells
from sansice.turn._client._search import AllocateSearch

TARGET = ServerTarget(UDP, SERVER)
URI = ServerUri.parse("turn:turn.example:3478?transport=udp")
PATH = Path(1, SERVER, UDP)


def search_for(server, **options):
    stun = StunClient(credentials=CREDENTIALS, entropy=Counting())
    settings = {
        "transports": None,
        "verify_name": None,
        "ids": Ids(),
        "entropy": Counting(),
        "stun": stun,
        "farewells": Farewells(stun),
        "memory": TurnServerMemory(),
        "config": TurnClientConfig(),
        "local": None,
        "username": "user",
    }
    return AllocateSearch(server, AllocateWish(), **{**settings, **options}), stun


@pytest.mark.parametrize("server", [TARGET, URI])
def test_before_it_is_started_it_has_no_race_and_waits_for_nothing(server):
    search, _ = search_for(server)
    search.handle_resolved(QueryId(7), ResolveError.NOT_FOUND, 0.0)
    search.handle_timer(0.0)
    search.opened(PATH, LOCAL, 0.0)
    search.check(0.0)
    assert not search.settle(TransactionTimedOut(bytes(12)), 0.0)
    assert not search.redirected(Redirected(bytes(12), PATH, PATH, None, None))
    assert (search.race, search.end, search.deadline(), search.take_actions(0.0)) == (None, None, math.inf, [])
    search.stop(0.0)


def test_an_address_is_asked_at_once():
    search, stun = search_for(TARGET)
    search.start(0.0)
    assert [output.remote for output in stun.take_outputs()] == [SERVER]
    assert search.deadline() == 39.5
    assert search.take_actions(0.0) == []
    search.stop(0.0)


@pytest.mark.parametrize(("local", "kinds"), [(None, {RecordKind.A, RecordKind.AAAA}), (LOCAL, {RecordKind.A})])
def test_a_name_is_looked_up_in_the_families_that_can_be_reached(local, kinds):
    search, stun = search_for(URI, local=local)
    search.start(0.0)
    queries = search.take_actions(0.0)
    assert {query.kind for query in queries if isinstance(query, Resolve)} == kinds
    assert search.deadline() < math.inf
    for query in queries:
        found = (AddressRecord(SERVER.host),) if query.kind is RecordKind.A else ResolveError.NOT_FOUND
        search.handle_resolved(query.query, found, 0.0)
    assert search.take_actions(0.0) == []
    assert search.race is not None
    (action,) = stun.take_outputs()
    assert isinstance(action, OpenSocket)
    assert action.remote == SERVER


def test_an_address_whose_certificate_cannot_be_told_is_no_failure_of_a_look_up():
    search, _ = search_for(ServerUri.parse("turns:192.0.2.1"))
    search.start(0.0)
    assert search.take_actions(0.0) == []
    assert search.end.step is TurnStep.OPEN
    assert "give the name to verify beside the address" in search.end.reason
    assert "_" not in search.end.reason


def test_a_name_that_is_not_found_is_the_end():
    search, _ = search_for(URI)
    search.start(0.0)
    for query in search.take_actions(0.0):
        search.handle_resolved(query.query, ResolveError.NOT_FOUND, 0.0)
    search.take_actions(0.0)
    assert isinstance(search.end, AllocationFailed)
    assert search.end.step is TurnStep.RESOLVE


def test_a_redirection_of_somebody_else_is_none_of_its_business():
    search, stun = search_for(TARGET)
    search.start(0.0)
    assert not search.redirected(Redirected(bytes(12), PATH, PATH, None, None))
    (action,) = stun.take_outputs()
    stun.handle_socket_opened(action.socket, LOCAL, now=0.0)
    assert not search.settle(TransactionTimedOut(bytes(12)), 0.0)


def test_through_a_proxy_only_that_is_looked_up_and_the_sockets_lead_there():
    config = TurnClientConfig(proxy="http://alice:secret@10.1.0.10:3128")
    search, stun = search_for(ServerUri.parse("turns:turn.example:443?transport=tcp"), config=config)
    search.start(0.0)
    assert search.take_actions(0.0) == []
    (opening,) = stun.take_outputs()
    at = Address("10.1.0.10", 3128)
    assert (opening.transport, opening.remote) == (Transport.TLS, at)
    assert opening.options.proxy == ProxyOptions(at, "alice", "secret", "turn.example:443")
    assert opening.options.tls.server_hostname == "turn.example"
    assert "secret" not in repr((config, opening))
    search.stop(0.0)


def test_an_argument_for_a_proxy_leaves_the_rest_of_a_configuration_alone():
    config = TurnClientConfig(relax=False)
    assert through(config, None) is config
    assert through(config, "http://10.1.0.10") == TurnClientConfig(relax=False, proxy=HttpProxy("10.1.0.10"))
