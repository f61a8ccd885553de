"""Read the images and the frames of videos that are to be predicted; images are decoded in advance."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from intrada.core import files
from intrada.core.errors import UserError
from intrada.core.failures import Failures
from intrada.inference.deployment import video
from intrada.inference.deployment.prediction import Frame
from intrada.inference.deployment.sources import Source

Item = TypeVar("Item")
Result = TypeVar("Result")


def of_images(
    images: Iterable[Source], failures: Failures, pool: ThreadPoolExecutor, ahead: int
) -> Iterator[Frame]:
    """Yield the images that can be read, in order; the others are added to `failures`.

    The threads of `pool` decode up to `ahead` images before they are asked for.
    """
    for source, read in in_advance(_read, images, pool, ahead):
        if isinstance(read, UserError):
            failures.add(source.name, read)
        else:
            yield read


def of_video(source: Source, every: int, failures: Failures) -> Iterator[Frame]:
    """Yield the frames 0, every, 2 * every, ... of a video, with names NAME/NUMBER."""
    for number, image in video.read(source.path, every, partial(failures.add, source.name)):
        yield Frame(name_of(source, number), image)


def name_of(source: Source, number: int) -> str:
    """Return the name of the results of frame `number` of a video."""
    return f"{source.name}/{number:06d}"


def in_advance(
    function: Callable[[Item], Result], items: Iterable[Item], pool: ThreadPoolExecutor, ahead: int
) -> Iterator[tuple[Item, Result]]:
    """Yield each item with `function(item)`, in order; `pool` computes up to `ahead` of them in advance."""
    pending: deque[tuple[Item, Future[Result]]] = deque()
    for item in items:
        pending.append((item, pool.submit(function, item)))
        if len(pending) > ahead:
            first, future = pending.popleft()
            yield first, future.result()
    for item, future in pending:
        yield item, future.result()


def _read(source: Source) -> Frame | UserError:
    try:
        return Frame(source.name, files.read_image(source.path))
    except UserError as error:
        return error
