"""What is thought of lifetimes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.columns import HORIZONS
from scheduler.lifetimes import FOREVER, Lives

KIN = ("bureau", "small")
TWO_DAYS = int(np.flatnonzero(HORIZONS == 2.0)[0])
STEP = st.tuples(
    st.sampled_from(["come", "come", "go", "lapse", "renew"]),
    st.floats(0.001, 3.0),  # days that pass
    st.integers(0, 2),  # host
    st.tuples(st.sampled_from("ab"), st.sampled_from("xy")),
    st.sampled_from([FOREVER, 0.5, 5.0]),  # term
)


def test_nobody_keeps_an_empty_host() -> None:
    lives = Lives(0.0)
    lives.come("i", "h", KIN, 0.0)
    assert (lives.emptying(["h"]) < 0).all()
    lives.go("i", 1.0)
    assert not lives.emptying(["h", "never seen"]).any()
    assert not lives.on("h")


def test_who_comes_again_has_moved() -> None:
    lives = Lives(0.0)
    lives.come("i", "h", KIN, 0.0)
    lives.come("i", "g", KIN, 0.0)
    assert (set(lives.on("h")), set(lives.on("g"))) == (set(), {"i"})
    assert not lives.emptying(["h"]).any()


@given(st.lists(STEP, max_size=40))
def test_following_step_by_step_teaches_what_beginning_from_the_end_does(
    steps: list[tuple[str, float, int, tuple[str, str], float]],
) -> None:
    lives, now, here, ended = Lives(0.0), 0.0, {}, []
    for number, (what, passed, host, kin, term) in enumerate(steps):
        now += passed
        if what == "come":
            here[str(number)] = (f"h{host}", kin, now, now + term)
            lives.come(str(number), *here[str(number)])
        elif what == "renew":
            lives.renew(now)
        elif here:
            key = sorted(here)[host % len(here)]
            _, *one = here.pop(key)
            if what == "go":
                ended.append((one, now))
            lives.go(key, now if what == "go" else None)
    lives.renew(now + 1.0)
    anew = Lives(0.0)
    for (kin, since, until), at in ended:
        anew.past(kin, since, at, until)
    for key, one in here.items():
        anew.come(key, *one)
    anew.renew(now + 1.0)
    hosts = ["h0", "h1", "h2"]
    if not any(what == "lapse" for what, *_ in steps):  # time at risk until it lapsed was told to the first alone
        assert lives.emptying(hosts) == pytest.approx(anew.emptying(hosts), rel=1e-4, abs=1e-4)
        assert lives.expect(("a", "x"), 1.0) == pytest.approx(anew.expect(("a", "x"), 1.0), rel=1e-4)
    assert {host: set(lives.on(host)) for host in hosts} == {host: set(anew.on(host)) for host in hosts}


@given(st.lists(st.floats(0.0, 400.0), max_size=30), st.floats(0.1, 400.0))
def test_who_runs_now_may_run_on_ever_less(ended: list[float], term: float) -> None:
    lives = Lives(0.0)
    for life in ended:
        lives.past(KIN, 0.0, life, term)
    for alive in (lives.expect(KIN), lives.expect(KIN, term), lives.expect(("stranger", "other"))):
        assert all(0.0 <= part <= 1.0 for part in alive)
        assert (np.diff(alive) <= 1e-9).all()


def test_what_runs_on_tells_of_long_lives_and_what_ended_of_short_ones() -> None:
    lives = Lives(0.0)
    before = lives.expect(KIN)[TWO_DAYS]
    for number in range(5):
        lives.come(f"i{number}", "h", KIN, 0.0)
    lives.renew(30.0)
    long = lives.expect(KIN)[TWO_DAYS]
    for number in range(5):
        lives.past(("hasty", "small"), 30.0, 30.0 + 1 / 24)
        lives.past(KIN, 0.0, 30.0 + number)
    assert before < 0.5
    assert long > 0.9
    assert lives.expect(("hasty", "small"))[TWO_DAYS] < 0.1
    assert lives.expect(KIN)[TWO_DAYS] > 0.9


def test_lives_that_are_nearly_alike_have_one_curve() -> None:
    lives = Lives(0.0)
    for number in range(40):
        lives.past(("one", "small"), 0.0, 1.0 if number < 20 else 9.0)
        lives.past(("other", "small"), 0.0, 1.0 if number < 21 else 9.0)
    assert lives.expect(("one", "small")) == lives.expect(("other", "small"))


def test_who_grew_old_is_expected_to_stay_and_the_host_with_it() -> None:
    lives = Lives(0.0)
    lives.come("i", "h", KIN, 0.0)
    young = lives.emptying(["h"])[0]
    assert not lives.due(0.01)
    assert lives.due(100.0)
    lives.renew(100.0)
    assert (lives.emptying(["h"])[0][1:] < young[1:]).all()


def running(lives: Lives, term: float) -> np.ndarray:
    """How probably something runs on that comes on day ten, alone on its host."""
    lives.come("new", "its own", ("new", "new"), 10.0, 10.0 + term)
    lives.renew(10.0)
    return 1.0 - np.exp(lives.emptying(["its own"])[0])


def test_a_term_bounds_a_life_as_far_as_terms_were_kept() -> None:
    def after(outlived: int, kept: int) -> float:
        lives = Lives(0.0)
        for number in range(outlived + kept):
            lives.past(KIN, 0.0, 9.0 if number < outlived else 5.0, 5.0)
        whole, bound = running(lives, FOREVER), running(lives, 2.0)
        assert (bound[:TWO_DAYS] == whole[:TWO_DAYS]).all(), "up to the end of the term nothing is known"
        assert lives.expect(KIN, 2.0)[:TWO_DAYS] == lives.expect(KIN)[:TWO_DAYS]
        assert lives.expect(KIN, 2.0)[TWO_DAYS] <= lives.expect(KIN)[TWO_DAYS]
        return float(bound[TWO_DAYS] / whole[TWO_DAYS])

    assert after(0, 0) == pytest.approx(0.5, rel=1e-4)
    assert after(9, 1) == pytest.approx(10 / 12, rel=1e-4)
    assert after(0, 18) == pytest.approx(0.05, rel=1e-3)


def test_a_term_counts_for_what_runs_until_it_has_passed() -> None:
    def gone(until: float) -> float:
        lives = Lives(0.0)
        lives.come("i", "h", KIN, 0.0, until)
        lives.renew(100.0)
        return float(lives.emptying(["h"])[0][TWO_DAYS])

    assert gone(101.0) > gone(FOREVER)
    assert gone(99.9) == gone(FOREVER)
    assert gone(500.0) == gone(FOREVER)


def test_who_stays_past_his_term_teaches_it_before_he_ends() -> None:
    lives = Lives(0.0)
    for number in range(8):
        lives.come(f"i{number}", "h", KIN, 0.0, 3.0)
    assert (running(lives, 2.0) / running(lives, FOREVER))[TWO_DAYS] == pytest.approx(9 / 10, rel=1e-4)
