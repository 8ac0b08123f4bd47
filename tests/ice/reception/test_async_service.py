"""Accepting connections without a runtime."""

import pytest

from ice._mux import ALICE, BOB
from ice._service import HandEvent, Service, Task
from sansice.ice import IceClosed


async def all_of(service):
    return [ice async for ice in service]


def test_accept_waits_for_somebody_to_come():
    service = Service()
    waiting = Task(service.accept())
    assert isinstance(waiting.waits_for, HandEvent)
    service.check(1, nominate=False)
    assert not waiting.go_on().is_done
    service.check(1)
    assert waiting.go_on().result is service.connections[0]


def test_who_has_come_before_is_given_at_once():
    service = Service()
    service.check(1)
    assert Task(service.accept()).result is service.connections[0]


def test_accepting_gives_way_to_others_even_where_somebody_has_come_before():
    service = Service()
    service.check(1)
    accepting = service.accept()
    assert accepting.send(None) == "checkpoint"
    with pytest.raises(StopIteration) as accepted:
        accepting.send(None)
    assert accepted.value.value is service.connections[0]


def test_several_who_wait_get_one_each():
    service = Service()
    tasks = [Task(service.accept()) for _ in range(2)]
    assert tasks[0].waits_for is tasks[1].waits_for
    service.check(1, ALICE)
    for task in tasks:
        task.go_on()
    assert [task.is_done for task in tasks] == [True, False]
    service.check(2, BOB)
    assert tasks[1].go_on().result is service.connections[1]


def test_who_gives_up_waiting_leaves_the_connection_to_the_next():
    service = Service()
    Task(service.accept()).coroutine.close()
    service.check(1)
    assert Task(service.accept()).result is service.connections[0]


def test_iteration_ends_with_the_service_and_accept_says_so():
    service = Service()
    waiting, iterating = Task(service.accept()), Task(all_of(service))
    service.close()
    with pytest.raises(IceClosed):
        waiting.go_on()
    assert iterating.go_on().result == []
