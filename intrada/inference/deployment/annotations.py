"""Predictions in the forms that annotation tools read, so that a person can correct them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from intrada.core.config.classes import ClassSet
from intrada.core.errors import UserError
from intrada.inference.deployment import coco, cvat, pictures
from intrada.inference.deployment.archive import archive
from intrada.inference.deployment.pictures import IMAGES, Picture
from intrada.inference.deployment.sources import Sources

MASKS, COCO, CVAT = FORMATS = ("masks", "coco", "cvat")


@dataclass(frozen=True)
class Request:
    """What a person is to correct.

    format: one of FORMATS; with "masks" nothing is written beside the results of every prediction. hardest:
    only so many images, those of the highest mean entropy; None for all.
    """

    format: str
    hardest: int | None

    def check(self, classes: ClassSet, sources: Sources) -> None:
        """Raise UserError if the options contradict each other, or the format cannot hold a name."""
        if self.format == MASKS and self.hardest is not None:
            raise UserError(
                "--hardest",
                f"{self.hardest} without --format coco or --format cvat",
                "a format: it chooses the images of the file for an annotation tool",
                "add --format cvat or --format coco, or leave --hardest out",
            )
        if self.format == CVAT:
            cvat.check(classes, [source.name for source in [*sources.images, *sources.videos]])

    def write(
        self,
        folder: Path,
        table: Path,
        sources: Sources,
        every: int,
        classes: ClassSet,
        size: tuple[int, int],
    ) -> Iterator[str]:
        """Write the files into `folder`; yield the lines that say what was written.

        table: predictions.csv, whose label maps are in `folder`; every: as for the prediction; size: (width,
        height) of the training images.
        """
        if self.format == MASKS:
            return
        names = pictures.choose(table, self.hardest)
        chosen = pictures.read(names, sources, every, folder)
        with archive(folder / IMAGES) as add_image, self._writer(folder, classes, size) as add:
            for picture in chosen:
                add_image(picture.file, picture.content)
                add(picture)
        which = "" if self.hardest is None else " of the highest entropy"
        yield f"{len(names)} images{which} to correct: {folder / IMAGES}"
        yield f"their predictions: {folder / (coco.FILE if self.format == COCO else cvat.ANNOTATIONS)}"

    def _writer(
        self, folder: Path, classes: ClassSet, size: tuple[int, int]
    ) -> AbstractContextManager[Callable[[Picture], None]]:
        return coco.writer(folder, classes) if self.format == COCO else cvat.writer(folder, classes, size)
