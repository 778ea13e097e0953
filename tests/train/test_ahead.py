"""Work done ahead: the same results in the same order, no further ahead than asked, errors where they belong."""

from __future__ import annotations

import threading

import pytest

from annatac.train.ahead import ahead


@pytest.mark.parametrize("depth", [0, 1, 2, 50])
def test_results_come_in_order(depth):
    assert list(ahead(lambda i: i * i, range(20), depth=depth)) == [i * i for i in range(20)]
    assert list(ahead(str, [], depth=depth)) == []


def test_a_thread_is_so_far_ahead_and_no_further():
    done: list[int] = []
    ready = threading.Semaphore(0)

    def work(i: int) -> int:
        done.append(i)
        ready.release()
        return i

    results = ahead(work, range(10), depth=2)
    assert next(results) == 0
    for _ in range(3):  # the one asked for, and two ahead
        assert ready.acquire(timeout=10)
    assert not ready.acquire(timeout=0.05)
    assert done == [0, 1, 2]
    results.close()
    assert done == [0, 1, 2]


def test_without_depth_nothing_is_done_before_it_is_asked_for():
    done: list[int] = []
    results = ahead(lambda i: done.append(i) or threading.current_thread(), range(3), depth=0)
    assert done == []
    assert next(results) is threading.main_thread()
    assert done == [0]


def test_an_error_is_raised_at_its_turn():
    results = ahead(lambda i: 1 // (2 - i), range(5), depth=2)
    assert next(results) == 0
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)
