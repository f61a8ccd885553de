"""The small network, the base classes of all networks, and the registry."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from intrada.core.errors import UserError
from intrada.models import MODELS, build_model
from intrada.models.base import PRODUCT_CHANNELS, SegmentationModel, SummedConvolutions, upsample


class OneByOne(SegmentationModel):
    """A minimal network with a frozen stem."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 2, 1).requires_grad_(False)
        self.body = nn.Conv2d(2, 2, 1, bias=False)
        self.aux, self.main = nn.Conv2d(2, 4, 1, bias=False), nn.Conv2d(2, 4, 1)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = self.body(self.stem(images))
        return {"main": self.main(features), "aux": self.aux(features)}

    def normalise(self, images: Tensor) -> Tensor:
        return images.float()


@pytest.fixture(scope="module")
def small() -> SegmentationModel:
    torch.manual_seed(0)
    return build_model("small", 11, {})


def test_the_small_network_has_0_223_million_parameters(small: SegmentationModel) -> None:
    assert sum(parameter.numel() for parameter in small.parameters()) == 223_016


@pytest.mark.parametrize(("height", "width"), [(64, 128), (61, 90)])
def test_the_logits_have_a_quarter_of_the_size_and_main_comes_first(
    small: SegmentationModel, height: int, width: int
) -> None:
    logits = small(small.normalise(torch.zeros(2, 3, height, width, dtype=torch.uint8)))
    shape = (2, 11, math.ceil(height / 4), math.ceil(width / 4))
    assert [(name, tuple(values.shape)) for name, values in logits.items()] == [
        ("main", shape),
        ("aux", shape),
    ]


def test_normalise_scales_bytes_to_minus_one_to_one(small: SegmentationModel) -> None:
    images = torch.tensor([0, 51, 255], dtype=torch.uint8).reshape(1, 3, 1, 1)
    normal = small.normalise(images)
    assert normal.dtype == torch.float32
    torch.testing.assert_close(normal.flatten(), torch.tensor([-1.0, -0.6, 1.0]))


def test_the_fourth_block_is_used_by_main_but_not_by_aux(small: SegmentationModel) -> None:
    small.zero_grad(set_to_none=True)
    small(torch.randn(1, 3, 32, 32))["aux"].sum().backward()
    reached = [name for name, weight in small.named_parameters() if weight.grad is not None]
    unreached = [name for name, weight in small.named_parameters() if weight.grad is None]
    assert all(name.startswith(("stem.", "blocks.0.", "blocks.1.", "blocks.2.", "aux.")) for name in reached)
    assert all(name.startswith(("blocks.3.", "main.")) for name in unreached)


def test_batch_normalisation_of_the_small_network_is_trained(small: SegmentationModel) -> None:
    affine = [module.weight for module in small.modules() if isinstance(module, nn.BatchNorm2d)]
    trained = {id(parameter) for group in small.parameter_groups().values() for parameter in group}
    assert affine
    assert all(id(weight) in trained for weight in affine)


def test_the_same_seed_builds_the_same_network() -> None:
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        states.append(build_model("small", 5, {}).state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_parameter_groups_hold_each_trainable_parameter_once() -> None:
    model = OneByOne()
    groups = model.parameter_groups()
    assert {name: [id(p) for p in group] for name, group in groups.items()} == {
        "backbone": [id(model.body.weight)],
        "heads": [id(model.aux.weight), id(model.main.weight), id(model.main.bias)],
    }


def test_groups_of_the_small_network_are_complete_and_disjoint(small: SegmentationModel) -> None:
    groups = small.parameter_groups()
    ids = [id(parameter) for group in groups.values() for parameter in group]
    assert len(ids) == len(set(ids)) == len(list(small.parameters()))
    assert sum(parameter.numel() for parameter in groups["heads"]) == 4 * 9 * 11 * (56 + 72) + 2 * 4 * 11


def test_the_classifier_is_the_sum_of_its_convolutions() -> None:
    classifier = SummedConvolutions(3, 2, (1, 2, 4))
    features = torch.randn(1, 3, 9, 9)
    total = sum(convolution(features) for convolution in classifier.conv2d_list)
    torch.testing.assert_close(classifier(features), total)
    assert classifier(features).shape == (1, 2, 9, 9)


def test_the_matrix_product_for_many_channels_gives_the_same_values_and_gradients() -> None:
    classifier = SummedConvolutions(PRODUCT_CHANNELS, 3, (1, 2, 4), zero_biases=False).double()
    features = torch.randn(2, PRODUCT_CHANNELS, 5, 7, dtype=torch.float64, requires_grad=True)
    gradient = torch.randn(2, 3, 5, 7, dtype=torch.float64)
    leaves = [features, *classifier.parameters()]
    total = sum(convolution(features) for convolution in classifier.conv2d_list)
    actual = classifier(features)
    torch.testing.assert_close(actual, total)
    gradients = []
    for output in (actual, total):
        for leaf in leaves:
            leaf.grad = None
        for _ in range(2):  # accumulated gradients are wrong if two of them share memory
            output.backward(gradient, retain_graph=True)
        gradients.append([leaf.grad.clone() for leaf in leaves])
    torch.testing.assert_close(*gradients)
    narrow = SummedConvolutions(PRODUCT_CHANNELS - 1, 3, (1,))  # uses the convolutions
    names = [type(layer(torch.randn(1, n, 5, 7)).grad_fn).__name__ for layer, n in
             ((classifier.float(), PRODUCT_CHANNELS), (narrow, PRODUCT_CHANNELS - 1))]  # fmt: skip
    assert names == ["AddBackward0", "ConvolutionBackward0"]


def test_a_kernel_of_dilation_d_reaches_pixels_at_a_distance_of_d() -> None:
    classifier = SummedConvolutions(1, 1, (1, 3))
    for parameter in classifier.parameters():
        nn.init.zeros_(parameter)
    list(classifier.parameters())[2].data.fill_(1.0)  # the weight of the second convolution
    point = torch.zeros(1, 1, 9, 9)
    point[0, 0, 4, 4] = 1.0
    nonzero = classifier(point)[0, 0].nonzero().tolist()
    assert nonzero == [[y, x] for y in (1, 4, 7) for x in (1, 4, 7)]


def test_a_classifier_starts_with_weights_from_n_0_001_and_zero_biases() -> None:
    torch.manual_seed(0)
    classifier = SummedConvolutions(64, 11, (6, 12))
    weights = dict(classifier.named_parameters())
    assert not weights["conv2d_list.0.bias"].any()
    assert weights["conv2d_list.1.weight"].std().item() == pytest.approx(0.01, rel=0.05)


def test_upsample_aligns_the_corners() -> None:
    logits = torch.tensor([[0.0, 2.0], [4.0, 6.0]]).reshape(1, 1, 2, 2)
    row = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0])
    expected = torch.stack([row, row + 2, row + 4])
    torch.testing.assert_close(upsample(logits, (3, 5))[0, 0], expected)


@pytest.mark.parametrize("name", MODELS)
def test_a_registry_key_is_the_name_of_its_module(name: str) -> None:
    assert MODELS[name] == f"intrada.models.{name}"


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("smal", {}, ["model name", "'smal'", "small, deeplabv2, efficientnet_lite0", "write 'small'"]),
        ("small", {"width": 2}, ["options of model small", "'width'", "none at all"]),
    ],
)
def test_the_error_for_an_unknown_name_or_option_lists_the_known_ones(
    name: str, options: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(UserError) as error:
        build_model(name, 11, options)
    assert all(word in str(error.value) for word in words)


def test_importing_the_registry_does_not_import_torch() -> None:
    code = "import sys, intrada.models; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
