from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from intrada.data.batch import Batch
from intrada.inference.postprocess import PixelPrediction, predict_pixels
from intrada.inference.predictor import Predictor, for_inference
from intrada.models import MODELS, build_model
from intrada.models.base import SegmentationModel
from tests.support import networks, trained_model
from tests.support.tiny_project import change, tree, write_params

IMAGE = Batch(["a"], torch.zeros((1, 3, 1, 1), dtype=torch.uint8), torch.zeros((1, 1, 1), dtype=torch.int64))


class ConstantModel(SegmentationModel):
    """Returns constant logits of three classes, for an image of one pixel."""

    def __init__(self, *logits: float) -> None:
        super().__init__()
        self.logits = torch.tensor(logits).view(1, 3, 1, 1)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"main": self.logits, "aux": self.logits}

    def normalise(self, images: Tensor) -> Tensor:
        return images.float()


def pixel_logits(predictor: Predictor) -> Tensor:
    (tile,) = predictor.upsampled_tiles(predictor.low_res_logits(IMAGE), 0, (1, 1))
    return tile.logits.flatten()


def ensemble_logits(combine: str, *weights: float) -> Tensor:
    """Return the logits of an ensemble: one model is confident of class 0, the other slightly prefers class 1."""
    members = [ConstantModel(9.0, 0.0, 0.0), ConstantModel(0.0, 2.0, 1.0)]
    return pixel_logits(Predictor(members, weights, combine))


def test_probabilities_are_averaged_by_their_weights() -> None:
    first, second = torch.tensor([9.0, 0.0, 0.0]).softmax(0), torch.tensor([0.0, 2.0, 1.0]).softmax(0)
    average = ensemble_logits("probabilities", 0.25, 0.75).softmax(0)
    assert torch.allclose(average, 0.25 * first + 0.75 * second)


def test_logits_are_averaged_as_the_published_code_does() -> None:
    assert ensemble_logits("logits", 0.25, 0.75).tolist() == pytest.approx([2.25, 1.5, 0.75])


def test_the_two_averages_differ_if_one_model_is_confident() -> None:
    assert ensemble_logits("probabilities", 0.3, 0.7).argmax() == 1
    assert ensemble_logits("logits", 0.3, 0.7).argmax() == 0


def test_a_probability_of_0_has_a_finite_logarithm() -> None:
    members = [ConstantModel(200.0, 0.0, 0.0), ConstantModel(200.0, 0.0, 0.0)]
    logits = pixel_logits(Predictor(members, (0.5, 0.5)))
    assert logits.isfinite().all() and logits.softmax(0).tolist() == pytest.approx([1, 0, 0])


def test_a_single_model_keeps_its_logits() -> None:
    assert pixel_logits(Predictor([ConstantModel(9.0, 0.0, 0.0)])).tolist() == [9.0, 0.0, 0.0]


class ByPosition(SegmentationModel):
    """Predicts two classes from the position alone: probabilities (0.9, 0.1) left, (0.4, 0.6) right."""

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        logits = torch.tensor([[0.9, 0.4], [0.1, 0.6]]).log().view(1, 2, 1, 2)
        return {"main": logits + 0 * images.sum(), "aux": logits}

    def normalise(self, images: Tensor) -> Tensor:
        return images.float()


def two_pixels(predictor: Predictor, image: Tensor) -> PixelPrediction:
    batch = Batch(["a"], image, torch.zeros((1, 1, 2), dtype=torch.int64))
    return predict_pixels(
        predictor.upsampled_tiles(predictor.low_res_logits(batch), 0, (1, 2)), (1, 2), torch.device("cpu")
    )


def test_with_flip_the_probabilities_of_the_image_and_the_mirror_image_are_averaged() -> None:
    """Left (0.9, 0.1) and, mirrored back, (0.4, 0.6): the mean is (0.65, 0.35). Logits would give 0.71."""
    image = torch.zeros((1, 3, 1, 2), dtype=torch.uint8)
    plain = Predictor([ByPosition()])
    assert two_pixels(plain, image).label.tolist() == [[0, 1]]
    averaged = two_pixels(plain.with_flip(), image)
    assert averaged.label.tolist() == [[0, 0]]
    assert averaged.confidence.flatten().tolist() == pytest.approx([0.65, 0.65])
    entropy = -(0.65 * math.log(0.65) + 0.35 * math.log(0.35)) / math.log(2)
    assert averaged.entropy.flatten().tolist() == pytest.approx([entropy] * 2)


class ByContent(ByPosition):
    """Predicts each pixel from its first channel: the logit of class 0 is the value, that of class 1 is 0."""

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        logits = torch.cat([images[:, :1], 0 * images[:, :1]], 1)
        return {"main": logits, "aux": logits}


def test_with_flip_a_network_that_treats_both_sides_alike_predicts_the_same() -> None:
    image = torch.tensor([3, 1], dtype=torch.uint8).view(1, 1, 1, 2).repeat(1, 3, 1, 1)
    plain = Predictor([ByContent()])
    expected, found = two_pixels(plain, image), two_pixels(plain.with_flip(), image)
    assert torch.allclose(found.confidence, expected.confidence) and expected.confidence[0, 0] > 0.9


def test_with_flip_an_ensemble_keeps_the_weights_of_its_members() -> None:
    members = [ConstantModel(9.0, 0.0, 0.0), ConstantModel(0.0, 2.0, 1.0)]
    plain = Predictor(members, (0.25, 0.75))
    assert plain.with_flip().weights == [0.125, 0.125, 0.375, 0.375]
    assert torch.allclose(pixel_logits(plain.with_flip()), pixel_logits(plain))


@pytest.mark.parametrize("name", MODELS)
def test_main_logits_equals_the_main_head_of_forward_and_does_not_run_the_other_head(name: str) -> None:
    network = networks.build(name).eval()
    main, aux = (getattr(network, head) for head in network.head_names)
    calls = [0, 0]
    for number, head in enumerate((main, aux)):
        head.register_forward_hook(lambda *_, number=number: calls.__setitem__(number, calls[number] + 1))
    images = network.normalise(torch.randint(256, (2, 3, 40, 64), dtype=torch.uint8))
    with torch.inference_mode():
        assert torch.equal(network.main_logits(images), network(images)["main"])
    assert calls == [2, 1]


@pytest.mark.parametrize("name", MODELS)
def test_for_inference_changes_the_logits_by_rounding_only_and_does_not_change_the_network(name: str) -> None:
    torch.manual_seed(1)
    network = networks.build(name)
    images = network.normalise(torch.randint(256, (2, 3, 40, 64), dtype=torch.uint8))
    for norm in (module for module in network.modules() if isinstance(module, nn.BatchNorm2d)):
        norm.momentum = None  # statistics of one batch, so that the normalisation is not the identity
    network(images)
    expected = {key: value.clone() for key, value in network.state_dict().items()}
    ready = for_inference(network, torch.device("cpu"))
    with torch.inference_mode():
        logits = network.eval().main_logits(images)
        tolerance = 1e-4 * max(1.0, float(logits.abs().max()))  # as for exported files
        torch.testing.assert_close(ready.main_logits(images), logits, rtol=1e-4, atol=tolerance)
    assert all(torch.equal(expected[key], value) for key, value in network.state_dict().items())


@pytest.mark.parametrize("name", ["small", "deeplabv2"])
def test_all_normalisations_are_fused_if_each_follows_a_convolution(name: str) -> None:
    network = build_model(name, 3, {"backbone": "resnet18"} if name == "deeplabv2" else {})
    assert any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    ready = for_inference(network, torch.device("cpu"))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in ready.modules())


class Shortcut(SegmentationModel):
    """A network that uses the output of its convolution both with and without the normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
        nn.init.uniform_(self.norm.weight, 2.0, 3.0)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = self.convolution(images)
        logits = self.norm(features) + features
        return {"main": logits, "aux": logits}

    def normalise(self, images: Tensor) -> Tensor:
        return images.float()


class Untraceable(Shortcut):
    """Branches on the values of a tensor, so that torch cannot trace it."""

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return super().forward(images) if images.sum() > 0 else {}


@pytest.mark.parametrize("model_class", [Shortcut, Untraceable])
def test_a_network_that_cannot_be_fused_is_unchanged(model_class: type[Shortcut]) -> None:
    network, images = model_class().eval(), torch.rand(1, 3, 4, 5)
    with torch.inference_mode():
        expected = network.main_logits(images)
        actual = for_inference(network, torch.device("cpu")).main_logits(images)
    torch.testing.assert_close(actual, expected)


def test_bf16_rounds_the_networks_logits_and_nothing_after_them() -> None:
    torch.manual_seed(0)
    network = for_inference(build_model("small", 3, {}), torch.device("cpu"))
    batch = Batch(["a"], torch.randint(0, 256, (1, 3, 32, 64), dtype=torch.uint8), torch.empty(0))
    with torch.inference_mode():
        exact, rounded = Predictor([network]), Predictor([network], bf16=True)
        low_res_logits = rounded.low_res_logits(batch)
        assert low_res_logits[0].dtype == torch.bfloat16
        actual, expected = (
            predict_pixels(
                predictor.upsampled_tiles(predictor.low_res_logits(batch), 0, (32, 64)),
                (32, 64),
                torch.device("cpu"),
            )
            for predictor in (rounded, exact)
        )
    assert actual.entropy.dtype == torch.float32
    assert not torch.equal(actual.entropy, expected.entropy)
    torch.testing.assert_close(actual.entropy, expected.entropy, rtol=0, atol=0.05)


def test_the_params_set_the_precision_of_predictions(checkout: Path) -> None:
    trained_model.write()
    for precision in ("bf16", "float32"):
        write_params(change(tree(), compute__precision=precision))
        assert trained_model.predictor().bf16 == (precision == "bf16")
