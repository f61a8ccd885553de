"""Self-training with an online teacher: its labels of each target batch train the student.

Params: the block self_training. Sources: Mean Teacher (Tarvainen and Valpola, NeurIPS 2017); for segmentation
across domains DACS (Tranheden et al., WACV 2021) and DAFormer (Hoyer et al., CVPR 2022); masked images: MIC
(Hoyer et al., CVPR 2023). With `adversary: advent`, the losses of AdvEnt (CVPR 2019) are added.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

from torch import Tensor

from intrada.core.config.training_blocks import Heads, LossWeights
from intrada.data.batch import Batch
from intrada.methods.base import (
    AdversarialNetworks,
    Group,
    Loss,
    Losses,
    alignment_losses,
    segmentation_losses,
)
from intrada.methods.entropy import information_map
from intrada.methods.losses import cross_entropy
from intrada.methods.self_training import feature_distance
from intrada.methods.self_training.teacher import (
    Teacher as Teacher,  # what the training loop makes and updates
)

NEEDS_TARGET = True
ADVERSARIAL = False  # with self_training.adversary it is, see methods.is_adversarial


def losses(
    networks: AdversarialNetworks, source: Batch, target: Batch, weights: LossWeights
) -> Iterator[Group]:
    """Yield the cross entropy on `source` and on what the student sees of `target` (`target.view`).

    The names of the losses: seg_ (source), self_ (the teacher's labels), masked_, features (the distance to
    the initial features), and those of AdvEnt. `teacher_confident` is no loss but the share of the pixels of
    the batch whose probability reaches the threshold.
    """
    teacher, view = networks.teacher, target.view
    if teacher is None or view is None:
        raise ValueError("mean_teacher needs a teacher and a target batch that it has labelled")
    settings = teacher.settings
    is_adversarial = settings.adversary != "none"
    features: list[Tensor] = []
    distance = settings.feature_distance
    with feature_distance.recorded(networks.segmenter, features) if distance else nullcontext():
        logits = networks.predict(source)
    source_maps = {
        head: information_map(values.detach()) for head, values in logits.items() if is_adversarial
    }
    group = segmentation_losses(networks, logits, source.label, weights.seg)
    if distance:
        group.losses["features"] = Loss(teacher.feature_distance(features[-1], source), distance.weight)
    del logits, features
    yield group
    del group

    predicted = networks.predict(view.mixed)
    of_target = _on_target("self", predicted, view.mixed, weights.seg, settings.weight)
    of_target["teacher_confident"] = Loss(view.confident, 0.0)
    if is_adversarial and settings.mix == "none":
        yield from alignment_losses(
            networks, source_maps, predicted, weights.target, information_map, of_target
        )
    else:
        yield Group(of_target, networks.segmenter)
    del predicted, of_target
    if is_adversarial and settings.mix != "none":  # images of one domain only
        yield from alignment_losses(
            networks, source_maps, networks.predict(target), weights.target, information_map
        )
    if view.masked and settings.masked:
        predicted = networks.predict(view.masked)
        yield Group(
            _on_target("masked", predicted, view.masked, weights.seg, settings.masked.weight),
            networks.segmenter,
        )


def _on_target(
    name: str, predicted: dict[str, Tensor], batch: Batch, weights: Heads, weight: float
) -> Losses:
    """Return the cross entropy of each head with the teacher's labels; `weight` is a common factor."""
    return {
        f"{name}_{head}": Loss(
            cross_entropy(values, batch.label, batch.pixel_weight),
            weight * getattr(weights, head),
            labelled=True,
            batch=batch,
        )
        for head, values in predicted.items()
    }
