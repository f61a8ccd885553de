"""The teacher: its average, its batch normalisation, and what it makes of a target batch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from intrada.core.config.classes import IGNORE, class_set
from intrada.core.config.self_training import SelfTraining
from intrada.core.distributed.process_group import SINGLE_PROCESS, ProcessGroup
from intrada.core.errors import UserError
from intrada.data.batch import Batch
from intrada.data.train_batches import TrainBatch
from intrada.methods.self_training.teacher import Teacher
from intrada.models.base import upsample
from tests.support.tiny_segmenter import TinySegmenter, build

CLASSES = class_set(["sky", "road", "car"])
SIZE = 32
SETTINGS: dict[str, Any] = {
    "decay": 0.9,
    "batch_norm": "train",
    "confidence": "none",
    "threshold": 0.5,
    "weight": 1.0,
    "mix": "none",
    "curriculum": "none",
    "saved": "student",
    "adversary": "none",
}

pytestmark = pytest.mark.usefixtures("one_thread")


def student(dropout: float = 0.0) -> TinySegmenter:
    torch.manual_seed(0)
    network = build(len(CLASSES), dropout).train()
    with torch.no_grad():
        network.main.weight.mul_(5)  # confident enough that labels differ between images
    return network


def teacher(network: TinySegmenter | None = None, **changes: Any) -> Teacher:
    settings = SelfTraining(**SETTINGS | changes)
    return Teacher(network or student(), settings, CLASSES, 1, SINGLE_PROCESS, bf16=False)


def batch(seed: int, count: int = 2, size: int = SIZE, labelled: bool = False) -> Batch:
    random = torch.Generator().manual_seed(seed)
    image = torch.randint(0, 256, (count, 3, size, size), generator=random, dtype=torch.uint8)
    label = torch.randint(0, 3, (count, size, size), generator=random)
    names = [f"{seed}_{number}" for number in range(count)]
    return Batch(names, image, label if labelled else torch.zeros_like(label), easy=[False] * count)


def labelled_batch(made: Teacher, iteration: int = 0, **changes: Any) -> Batch:
    """Return what the student sees, of a batch whose fields `changes` replace."""
    given = TrainBatch(batch(1, labelled=True), batch(2), None, batch(3, labelled=True))
    target = made.label(given._replace(**changes), iteration).target
    assert target and target.view
    return target.view.mixed


def argmax(network: TinySegmenter, images: Tensor) -> Tensor:
    logits = network(network.normalise(images))["main"]
    predicted: Tensor = upsample(logits, (SIZE, SIZE)).argmax(1)
    return predicted


def test_the_teacher_is_the_mean_of_the_first_students_and_then_a_moving_average() -> None:
    """alpha_t = min(1 - 1 / t, 0.6) at t = 1, 2, 3: 0, 1/2, 0.6."""
    network = student()
    made = teacher(network, decay=0.6)
    for iteration, value in enumerate((2.0, 4.0, 8.0), 1):
        for weight in network.parameters():
            weight.data.fill_(value)
        network.norm.running_mean.fill_(value)
        made.update(network, iteration)
    expected = 0.6 * 3.0 + 0.4 * 8.0
    for weight in made.network.parameters():
        torch.testing.assert_close(weight, torch.full_like(weight, expected))
    assert made.network.norm.running_mean.eq(8).all()  # type: ignore[union-attr]  # copied, not averaged


def test_in_train_mode_the_teacher_uses_the_statistics_of_the_batch_and_does_not_move_its_own() -> None:
    network = student()
    made = teacher(network)
    before = {name: value.clone() for name, value in made.network.state_dict().items()}
    label = labelled_batch(made).label
    assert all(torch.equal(value, before[name]) for name, value in made.network.state_dict().items())
    assert torch.equal(label, argmax(network, batch(2).image))  # the student in train mode


def test_in_eval_mode_the_teacher_uses_the_running_statistics() -> None:
    network = student()
    network.norm.running_mean.add_(0.3)
    label = labelled_batch(teacher(network, batch_norm="eval")).label
    assert not torch.equal(label, argmax(network, batch(2).image))
    assert torch.equal(label, argmax(network.eval(), batch(2).image))


def test_the_teacher_has_no_dropout_and_no_gradient() -> None:
    made = teacher(student(dropout=0.5))
    assert torch.equal(labelled_batch(made).label, labelled_batch(made).label)
    assert not any(weight.requires_grad for weight in made.network.parameters())


def test_margins_and_padding_are_ignored() -> None:
    allowed = torch.zeros(2, SIZE, SIZE, dtype=torch.int64)
    allowed[:, :5] = IGNORE
    view = labelled_batch(teacher(confidence="pixel", threshold=0.0), target=batch(2)._replace(label=allowed))
    assert view.label[:, :5].eq(IGNORE).all() and view.label[:, 5:].ne(IGNORE).all()


def test_half_of_the_classes_of_each_source_image_are_pasted_on_the_target_image_at_its_place() -> None:
    made = teacher(mix="source_on_target", confidence="batch_share", threshold=0.7)
    plain, mixed = labelled_batch(teacher(confidence="batch_share", threshold=0.7)), labelled_batch(made)
    source = batch(1, labelled=True)
    for number in range(2):
        is_pasted = (mixed.image[number] != plain.image[number]).any(0)
        classes = source.label[number][is_pasted].unique()
        assert len(classes) == 2  # of three
        everywhere = torch.isin(source.label[number], classes)
        assert torch.equal(mixed.image[number][:, everywhere], source.image[number][:, everywhere])
        assert torch.equal(mixed.label[number][everywhere], source.label[number][everywhere])
        assert torch.equal(mixed.label[number][~everywhere], plain.label[number][~everywhere])
        assert mixed.pixel_weight is not None and plain.pixel_weight is not None
        assert mixed.pixel_weight[number][everywhere].eq(1).all()
        assert torch.equal(mixed.pixel_weight[number][~everywhere], plain.pixel_weight[number][~everywhere])
        assert 0 < plain.pixel_weight[number][0, 0] < 1


def test_each_image_has_classes_of_its_own() -> None:
    """The published code draws the classes once for a whole batch."""
    made, source = teacher(mix="source_on_target"), batch(1, count=8, labelled=True)
    target = batch(2, count=8)
    mixed = labelled_batch(made, source=source, target=target)
    chosen = {
        tuple(source.label[number][(mixed.image[number] != target.image[number]).any(0)].unique().tolist())
        for number in range(8)
    }
    assert len(chosen) > 1


def test_easy_images_are_pasted_on_hard_ones_with_their_labels_and_stay_as_they_are() -> None:
    made = teacher(mix="easy_on_hard")
    target = batch(2)._replace(easy=[True, False])
    mixed, plain = labelled_batch(made, target=target), labelled_batch(teacher(), target=target)
    partner = batch(3, labelled=True)
    assert torch.equal(mixed.image[0], plain.image[0]) and torch.equal(mixed.label[0], plain.label[0])
    is_pasted = (mixed.image[1] != plain.image[1]).any(0)
    assert is_pasted.any()
    assert torch.equal(mixed.label[1][is_pasted], partner.label[1][is_pasted])


def test_images_that_are_mixed_need_one_size() -> None:
    with pytest.raises(UserError, match=r"64x64 pixels \(1_0\) and 32x32 pixels \(2_0\)"):
        labelled_batch(teacher(mix="source_on_target"), source=batch(1, size=64, labelled=True))


def test_only_the_trusted_curriculum_counts_every_pixel_of_easy_images() -> None:
    target = batch(2)._replace(easy=[True, False])
    for curriculum, kept in (("easy_trusted", True), ("none", False), ("easy_first", False)):
        made = teacher(curriculum=curriculum, confidence="pixel", threshold=0.99)
        label = labelled_batch(made, target=target).label
        assert label[0].ne(IGNORE).all().item() is kept
        assert label[1].eq(IGNORE).any()


def test_the_student_sees_other_colours_but_the_teacher_does_not() -> None:
    strong = {"colour": {"brightness": 0.5, "contrast": 0, "saturation": 0, "hue": 0, "probability": 1.0}}
    plain, changed = labelled_batch(teacher()), labelled_batch(teacher(strong=strong))
    assert torch.equal(changed.label, plain.label)
    assert all(not torch.equal(*images) for images in zip(changed.image, plain.image, strict=True))


def test_masked_images_are_unmixed_with_hidden_blocks_and_the_same_labels() -> None:
    made = teacher(mix="source_on_target", masked={"block": 8, "ratio": 0.5, "weight": 1.0})
    given = TrainBatch(batch(1, labelled=True), batch(2), None)
    target = made.label(given, 0).target
    assert target and target.view and target.view.masked
    masked = target.view.masked
    hidden = (masked.image == 0).all(1)  # the colour that this network normalises to 0
    assert 0.2 < hidden.float().mean() < 0.8
    shown = ~hidden[:, None].expand_as(masked.image)
    assert torch.equal(masked.image[shown], batch(2).image[shown])
    assert torch.equal(masked.label, labelled_batch(teacher()).label)


def test_the_random_numbers_depend_on_the_position_in_the_stream_only() -> None:
    """Two processes with an image each do what one process does with both; and so after a resume."""
    settings = SelfTraining(**SETTINGS | {"mix": "source_on_target", "batch_norm": "eval"})
    given = TrainBatch(batch(1, labelled=True), batch(2), None)
    whole = teacher(mix="source_on_target", batch_norm="eval").label(given, 5).target
    assert whole and whole.view
    for number in range(2):
        rank = ProcessGroup().rank._replace(rank=number, world_size=2)
        made = Teacher(student(), settings, CLASSES, 1, ProcessGroup(rank), bf16=False)
        made.process_group.__dict__["sum"] = lambda values: values
        half = TrainBatch(*(part and _only(part, number) for part in given))
        target = made.label(half, 5).target
        assert target and target.view
        assert torch.equal(target.view.mixed.image[0], whole.view.mixed.image[number])
    other = teacher(mix="source_on_target", batch_norm="eval").label(given, 6).target
    assert other and other.view and not torch.equal(other.view.mixed.image, whole.view.mixed.image)


def _only(whole: Batch, number: int) -> Batch:
    part = slice(number, number + 1)
    return whole._replace(
        ids=whole.ids[part], image=whole.image[part], label=whole.label[part], easy=whole.easy[part]
    )
