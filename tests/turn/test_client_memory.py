import math

import pytest

from _turn_client_scene import OTHER, SERVER
from sansice.machine import Address
from sansice.stun import AccessToken, LongTermCredentials
from sansice.turn import ServerWait, TurnServerMemory
from sansice.turn._client._memory import MAX_WAITS, username_of


def ask(memory, now, *, server=SERVER, families=(4,), username="user"):
    return memory.wait(server, families=families, username=username, now=now)


def refuse(memory, code, *, server=SERVER, families=(4,), username="user", now=0.0):
    memory.refused(server, code, "no", families=families, username=username, now=now)


@pytest.mark.req("RFC8656-051", "RFC8656-054", "RFC8656-055")
@pytest.mark.parametrize(("code", "seconds"), [(486, 60.0), (508, 60.0), (437, 120.0)])
def test_a_server_is_left_alone_for_as_long_as_its_code_says(code, seconds):
    memory = TurnServerMemory()
    refuse(memory, code, now=5.0)
    assert ask(memory, 5.0 + seconds - 0.01) == ServerWait(5.0 + seconds, code, "no")
    assert ask(memory, 5.0 + seconds) is None
    assert ask(memory, 5.0) is None


def test_others_are_not_concerned():
    memory = TurnServerMemory()
    refuse(memory, 486)
    assert ask(memory, 0.0, server=OTHER) is None
    assert ask(memory, 0.0, username=None).code == 486


@pytest.mark.parametrize("code", [300, 400, 403, 420, 441, 442, 500])
def test_codes_that_forbid_nothing_are_not_remembered(code):
    memory = TurnServerMemory()
    refuse(memory, code)
    assert ask(memory, 0.0) is None


@pytest.mark.req("RFC8656-049")
def test_wrong_credentials_close_a_server_to_their_user_alone():
    memory = TurnServerMemory()
    refuse(memory, 401)
    assert ask(memory, 1e9) == ServerWait(math.inf, 401, "no")
    assert ask(memory, 0.0, username="another") is None
    assert ask(memory, 0.0, username=None) is None


@pytest.mark.req("RFC8016-003")
def test_mobility_is_refused_for_good_and_closes_the_server_to_nobody():
    memory = TurnServerMemory()
    refuse(memory, 405)
    assert memory.is_mobility_refused(SERVER, now=1e9)
    assert not memory.is_mobility_refused(OTHER, now=0.0)
    assert ask(memory, 0.0) is None
    memory.forget(SERVER)  # the problem has been fixed
    assert not memory.is_mobility_refused(SERVER, now=0.0)


@pytest.mark.req("RFC8656-047", "RFC8656-052")
def test_a_refused_family_is_one_that_is_not_asked_for_alone():
    memory = TurnServerMemory()
    refuse(memory, 440, families=(6,))
    assert ask(memory, 1e9, families=(6,)).until == math.inf
    assert ask(memory, 0.0) is None
    assert ask(memory, 0.0, families=(4, 6)) is None
    assert memory.is_family_refused(SERVER, 6, now=1e9)
    assert not memory.is_family_refused(SERVER, 4, now=0.0)


@pytest.mark.req("RFC8656-048")
def test_of_two_refused_families_the_sooner_counts():
    memory = TurnServerMemory()
    memory.refused_family(SERVER, 4, 508, now=0.0)
    memory.refused_family(SERVER, 6, 440, now=0.0)
    wait = ask(memory, 59.0, families=(4, 6))
    assert (wait.until, wait.code) == (60.0, 508)
    assert ask(memory, 60.0, families=(4, 6)) is None
    memory.refused_family(OTHER, 4, 403, now=0.0)
    assert not memory.is_family_refused(OTHER, 4, now=0.0)


@pytest.mark.req("RFC8656-045")
def test_a_server_that_gives_what_nobody_can_use_is_never_asked_until_it_is_forgotten():
    memory = TurnServerMemory()
    memory.misfit(SERVER, "IPv6")
    refuse(memory, 440, families=(6,))
    assert ask(memory, 1e9) == ServerWait(math.inf, None, "IPv6")
    memory.forget(OTHER)
    assert ask(memory, 0.0)
    memory.forget(SERVER)
    assert ask(memory, 0.0, families=(6,)) is None


def test_new_credentials_are_a_new_beginning_for_their_user_alone():
    memory = TurnServerMemory()
    refuse(memory, 401)
    refuse(memory, 401, username="another")
    refuse(memory, 486, server=OTHER)
    memory.forgive("user")
    assert ask(memory, 0.0) is None
    assert ask(memory, 0.0, username="another")
    assert ask(memory, 0.0, server=OTHER)


@pytest.mark.parametrize(
    ("credentials", "name"),
    [(None, None), (LongTermCredentials("user", "password"), "user"), (AccessToken("kid", b"token", b"key"), "kid")],
)
def test_a_server_takes_the_owner_of_credentials_for(credentials, name):
    assert username_of(credentials) == name


def test_the_memory_is_bounded_and_the_oldest_goes_first():
    memory = TurnServerMemory()
    servers = [Address("192.0.2.1", port) for port in range(1, MAX_WAITS + 2)]
    for server in servers:
        refuse(memory, 486, server=server)
    assert ask(memory, 0.0, server=servers[0]) is None
    assert ask(memory, 0.0, server=servers[1])
    assert len(memory._waits) == MAX_WAITS


def test_who_refuses_again_is_not_the_oldest_any_more():
    memory = TurnServerMemory()
    servers = [Address("192.0.2.1", port) for port in range(1, MAX_WAITS + 2)]
    for server in (*servers[:-1], servers[0], servers[-1]):
        refuse(memory, 486, server=server)
    assert ask(memory, 0.0, server=servers[0])
    assert ask(memory, 0.0, server=servers[1]) is None
