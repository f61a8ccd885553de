"""Items that threads compute in advance, in their order: batches by one thread, samples by several."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from itertools import chain
from typing import Any, TypeVar

Item = TypeVar("Item")
PREFETCHED = 2  # items that `prefetch` computes in advance


class Threads:
    """Threads that call functions in advance. Results come in the order of the arguments.

    pool: the executor; count: its number of threads.
    """

    def __init__(self, pool: Executor, count: int) -> None:
        self.pool, self.count = pool, count

    def groups(
        self, function: Callable[[int], Item], groups: Iterable[Iterable[int]]
    ) -> Iterator[list[Item]]:
        """Yield the results of `function` for each group of arguments.

        While the results of a group are used, `count` or more calls for the next groups are made. An error of
        a call is raised in place of its group.
        """
        ahead: deque[list[Future[Item]]] = deque()
        try:
            for group in groups:
                ahead.append([self.pool.submit(function, argument) for argument in group])
                if sum(map(len, ahead)) - len(ahead[0]) >= self.count:
                    yield [future.result() for future in ahead.popleft()]
            while ahead:
                yield [future.result() for future in ahead.popleft()]
        finally:
            for future in chain.from_iterable(ahead):
                future.cancel()


def prefetch(items: Iterable[Item]) -> Generator[Item, None, None]:
    """Yield the same items in the same order, with PREFETCHED of them computed in advance by a thread.

    An error raised by `items` is raised in place of the item.
    """
    source, end = iter(items), object()
    with ThreadPoolExecutor(1) as pool:
        futures: deque[Any] = deque(pool.submit(next, source, end) for _ in range(PREFETCHED))
        while (item := futures.popleft().result()) is not end:
            futures.append(pool.submit(next, source, end))
            yield item
