"""The breaker's states, by a clock of the test's own; pauses that an endpoint asks for."""

import time

import pytest

from mixlab.generation.breaker import FAILURES_IN_A_ROW, Breaker
from mixlab.generation.openai import read_pause
from mixlab.generation.pacing import Pacer


class Clock:
    """Stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def fail(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        assert breaker.delay() == 0
        breaker.start()
    for _ in range(times):
        breaker.fail()


def test_it_opens_after_failures_in_a_row_and_one_success_between_them_counts_anew() -> None:
    breaker = Breaker(2.0, 3, Clock())
    fail(breaker, FAILURES_IN_A_ROW - 1)
    breaker.succeed()
    fail(breaker, FAILURES_IN_A_ROW - 1)
    assert breaker.delay() == 0
    fail(breaker, 1)
    assert breaker.delay() == 2.0


def test_half_open_lets_one_try_through_and_closes_when_it_is_answered() -> None:
    clock = Clock()
    breaker = Breaker(2.0, 3, clock)
    fail(breaker, FAILURES_IN_A_ROW)
    clock.now += 2.0
    assert breaker.delay() == 0
    breaker.start()
    assert breaker.delay() == 2.0
    breaker.succeed()
    assert (breaker.delay(), breaker.failures, breaker.is_gone) == (0, 0, False)


def test_each_failed_probe_doubles_the_pause_until_the_endpoint_is_gone() -> None:
    clock = Clock()
    breaker = Breaker(2.0, 3, clock)
    fail(breaker, FAILURES_IN_A_ROW)
    pauses = []
    while not breaker.is_gone:
        pauses.append(breaker.delay())
        clock.now += pauses[-1]
        fail(breaker, 1)
    assert pauses == [2.0, 4.0, 8.0]


def test_tries_that_were_under_way_when_it_opened_are_no_probes() -> None:
    breaker = Breaker(2.0, 1, Clock())
    fail(breaker, FAILURES_IN_A_ROW + 40)
    assert not breaker.is_gone
    assert breaker.delay() == 2.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0),
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": " 7 "}, 7),
        ({"Retry-After": "soon"}, 0),
        ({"Retry-After": "-3"}, 0),
        ({"Retry-After": "9" * 30}, 0),
        ({"Retry-After": "²"}, 0),
        ({"Retry-After": "٣"}, 0),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:05 GMT", "Date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 5),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT", "Date": "Wed, 21 Oct 2015 07:28:05 GMT"}, 0),
    ],
)
def test_a_date_is_read_by_the_servers_own_clock(headers: dict[str, str], seconds: float) -> None:
    assert read_pause(headers) == seconds


def test_tokens_are_spaced_as_estimated_and_corrected_by_what_was_taken() -> None:
    pacer = Pacer(None, tokens_per_minute=6000)
    assert pacer.claim(200) == 0
    assert pacer.claim(1) == pytest.approx(2.0, abs=0.2)
    pacer.correct(200, 100)
    assert pacer.claim(1) == pytest.approx(1.0, abs=0.2)
    pacer.correct(100, 0)
    assert pacer.claim(1) == 0


def test_requests_are_spaced_whatever_their_tokens() -> None:
    pacer = Pacer(60, tokens_per_minute=10**9)
    began = time.monotonic()
    assert pacer.claim(5) == 0
    wait = pacer.claim(5)
    assert 1.0 - (time.monotonic() - began) <= wait <= 1.0
