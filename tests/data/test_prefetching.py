from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from intrada.core.errors import UserError
from intrada.data.prefetching import PREFETCHED, Threads, prefetch


@pytest.mark.parametrize("count", [1, 2, 7])
def test_results_of_threads_come_in_the_order_of_the_groups(count: int) -> None:
    """The first call of a group ends last."""
    groups = [range(first, first + 3) for first in range(0, 30, 3)]
    last = [threading.Event() for _ in groups]

    def square(number: int) -> int:
        if count > 2 and number % 3 == 0:
            assert last[number // 3].wait(timeout=60)
        if number % 3 == 2:
            last[number // 3].set()
        return number * number

    with ThreadPoolExecutor(count) as pool:
        found = list(Threads(pool, count).groups(square, groups))
    assert found == [[number * number for number in group] for group in groups]


def test_all_threads_work_while_a_result_is_used() -> None:
    """Three threads meet at a barrier, though only the first group is asked for."""
    barrier = threading.Barrier(3, timeout=60)

    def meet(number: int) -> int:
        if number > 0:
            barrier.wait()
        return number

    with ThreadPoolExecutor(3) as pool:
        results = Threads(pool, 3).groups(meet, ([number] for number in range(4)))
        assert next(results) == [0]
        assert list(results) == [[1], [2], [3]]


@pytest.mark.parametrize("size", [1, 4])
def test_threads_compute_few_groups_in_advance(size: int) -> None:
    started: list[int] = []
    with ThreadPoolExecutor(2) as pool:
        groups = (range(first, first + size) for first in range(0, 100 * size, size))
        results = Threads(pool, 2).groups(lambda number: started.append(number) or number, groups)
        for group in range(5):
            assert next(results)[0] == group * size
            assert len(started) <= (group + 1) * size + 1 + size
        results.close()  # type: ignore[attr-defined]
    assert len(started) <= 5 * size + 1 + size


def test_prefetch_yields_the_same_items_in_the_same_order() -> None:
    assert list(prefetch(range(7))) == list(range(7))
    assert list(prefetch([])) == []


def test_at_most_prefetched_items_are_computed_in_advance() -> None:
    computed: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            computed.append(number)
            yield number

    stream = prefetch(items())
    assert computed == []
    for number in range(10):
        assert next(stream) == number
        assert len(computed) <= number + 1 + PREFETCHED
    stream.close()
    assert len(computed) <= 10 + PREFETCHED


def test_an_error_of_a_prefetched_item_is_raised_in_its_place() -> None:
    def items() -> Iterator[int]:
        yield 0
        yield 1
        raise UserError("image", "broken", "readable images", "fix it")

    stream = prefetch(items())
    assert [next(stream), next(stream)] == [0, 1]
    with pytest.raises(UserError, match="broken"):
        next(stream)


def test_the_next_item_is_computed_while_the_current_one_is_used() -> None:
    read = threading.Event()

    def items() -> Iterator[int]:
        yield 0
        read.set()
        yield 1

    stream = prefetch(items())
    assert next(stream) == 0
    assert read.wait(timeout=60)  # without a call of next()
    assert list(stream) == [1]
