from ice._wire import candidate
from sansice.ice import Candidate
from sansice.ice._agent._generations import MAX_PAST, Generations, ufrag_of

ONE, TWO = candidate("198.51.100.1"), candidate("198.51.100.2")


def test_what_came_before_a_description_is_taken_with_it_in_order_and_what_is_of_others_is_dropped():
    generations = Generations(10)
    assert all(generations.keep(*one) for one in (("next", ONE), ("other", TWO), ("next", None), ("next", TWO)))
    assert generations.take("next") == [ONE, None, TWO]
    assert generations.take("next") == generations.take("other") == []


def test_what_is_said_twice_is_kept_once_and_there_is_a_bound():
    generations = Generations(2)
    assert generations.keep("next", ONE) and generations.keep("next", ONE) and generations.keep("next", None)
    assert not generations.keep("next", TWO) and generations.keep("next", None)
    assert generations.take("next") == [ONE, None]


def test_the_latest_generations_that_are_over_are_remembered():
    generations = Generations(1)
    for number in range(MAX_PAST + 1):
        generations.end(f"past{number}")
    assert not generations.is_past("past0") and not generations.is_past("present")
    assert all(generations.is_past(f"past{number}") for number in range(1, MAX_PAST + 1))


def test_a_candidate_may_name_its_generation_as_browsers_have_it():
    text = "candidate:1 1 udp 1 192.0.2.1 5000 typ host generation 0 ufrag abcd network-cost 999"
    assert ufrag_of(Candidate.from_sdp(text)) == "abcd"
    assert ufrag_of(ONE) is None
