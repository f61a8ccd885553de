"""The evaluation images of the page with the predictions of all models, within a limit on their size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from intrada.evaluation.reporting import pictures, samples
from intrada.evaluation.reporting.samples import Sample

SIDES = (512, 384, 256, 128, 64)  # longest sides in pixels; the first that fits the budget is used
BUDGET = 14_000_000  # characters of all images, most of the page, which must stay below 20 MB
ENDS = 4  # images of the lowest entropy, and of the highest, that are compared side by side


@dataclass(frozen=True)
class Entry:
    """One evaluation image as the page shows it.

    accuracy: model -> pixel accuracy in percent, {} without a label. changed: model -> percent of the pixels
    on which it differs from the first model. layers: image, entropy, the models and
    label -> data URL; no label without one. marks: model -> data URL of its wrong pixels or, without a
    label, of those that differ from the first model; only of the images compared side by side.
    """

    name: str
    subset: str
    entropy: float
    accuracy: dict[str, float]
    changed: dict[str, float]
    layers: dict[str, str]
    marks: dict[str, str] = field(default_factory=dict)

    @property
    def characters(self) -> int:
        """The length of all data URLs."""
        return sum(len(url) for urls in (self.layers, self.marks) for url in urls.values())

    @property
    def is_labelled(self) -> bool:
        """Whether the image has a label, so that the marks are wrong pixels."""
        return "label" in self.layers

    @property
    def rates(self) -> dict[str, float]:
        """The correct pixels of each model or, without a label, the pixels changed by the later models."""
        return self.accuracy if self.is_labelled else self.changed

    @property
    def gain(self) -> float | None:
        """The pixel accuracy of the last model minus that of the first; None without a label."""
        values = list(self.accuracy.values())
        return values[-1] - values[0] if values else None


@dataclass(frozen=True)
class Gallery:
    """models: their names. compared: the images side by side, easiest first; others: the rest."""

    models: list[str]
    compared: list[Entry]
    others: list[Entry]

    @property
    def is_labelled(self) -> bool:
        """Whether any image has a label."""
        return any(entry.is_labelled for entry in self.compared + self.others)

    def orders(self) -> list[tuple[str, str]]:
        """Return the orders of the images as pairs of a value ("key up", "key down") and a description."""
        orders = [("entropy up", "easiest first"), ("entropy down", "hardest first"), ("name up", "name")]
        if self.is_labelled:
            first, last = self.models[0], self.models[-1]
            orders += [
                ("accuracy up", f"lowest pixel accuracy ({last}) first"),
                ("gain up", f"largest loss from {first} to {last} first"),
                ("gain down", f"largest gain from {first} to {last} first"),
            ]
        return orders


def build(shown: Sequence[Sample], palette: list[int], budget: int = BUDGET) -> Gallery:
    """Return the gallery of the samples, which are in ascending order of entropy.

    palette: 768 ints, red, green and blue of the class indices. budget: the most characters of all images.
    """
    names = {sample.name for sample in samples.easiest_and_hardest(list(shown), ENDS)}
    for side in SIDES:
        entries = [_entry(samples.downscale(sample, side), palette, sample.name in names) for sample in shown]
        if sum(entry.characters for entry in entries) <= budget:
            break
    return Gallery(
        list(shown[0].predictions),
        [entry for entry in entries if entry.name in names],
        [entry for entry in entries if entry.name not in names],
    )


def _entry(sample: Sample, palette: list[int], is_compared: bool) -> Entry:
    layers = {"image": pictures.photograph(sample.image), "entropy": pictures.entropy(sample.entropy_map)}
    layers |= {name: pictures.class_map(indices, palette) for name, indices in sample.predictions.items()}
    if sample.label is not None:
        layers["label"] = pictures.class_map(sample.label, palette)
    marks = _marks(sample) if is_compared else {}
    accuracy = {name: float(value) for name, value in sample.accuracy.items()}
    return Entry(sample.name, sample.subset, float(sample.entropy), accuracy, _changed(sample), layers, marks)


def _changed(sample: Sample) -> dict[str, float]:
    first, *later = sample.predictions.values()
    names = list(sample.predictions)[1:]
    return {name: 100 * float((other != first).mean()) for name, other in zip(names, later, strict=True)}


def _marks(sample: Sample) -> dict[str, str]:
    if sample.label is not None:
        label = sample.label
        return {
            name: pictures.mistakes(sample.image, prediction, label)
            for name, prediction in sample.predictions.items()
        }
    first, *later = sample.predictions
    return {
        name: pictures.differences(sample.image, sample.predictions[name], sample.predictions[first])
        for name in later
    }
