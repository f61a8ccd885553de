"""SegFormer of transformers and the networks of segmentation_models_pytorch."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from intrada.core.config import plain_yaml
from intrada.core.config.classes import class_set
from intrada.core.config.load import validate
from intrada.core.errors import UserError
from intrada.data.train_batches import TrainBatch
from intrada.models import build_model, model_info, segformer
from intrada.models.initialise import initialise
from intrada.models.model_info import ModelSpec, describe
from intrada.training.cost_estimate import build_trainer, noise_batch
from tests.support import networks
from tests.support.definition import ROOT
from tests.support.tiny_project import PARAMS, change, tree

CPU = torch.device("cpu")
CLASSES = class_set(["sky", "road", "car"])
NAMES = ("segformer", "smp")

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("name", NAMES)
def test_two_iterations_of_advent_move_every_weight(name: str) -> None:
    model = {"name": name, "options": networks.options(name)}
    params = validate(PARAMS, change(tree(), model=model))
    torch.manual_seed(0)
    trainer = build_trainer(params, params.train_inter, CPU)
    before = {name: value.clone() for name, value in trainer.model.named_parameters()}
    for _ in range(2):
        losses = trainer.step(TrainBatch(*(noise_batch(2, (64, 32), CPU) for _ in range(2)), None))
    assert all(bool(value.isfinite()) for value in losses.values()) and "adv_aux" in losses
    assert all(not torch.equal(before[name], value) for name, value in trainer.model.named_parameters())


@pytest.mark.parametrize("name", NAMES)
def test_a_model_file_describes_the_network_and_is_loaded_back(name: str, tmp_path: Path) -> None:
    path, spec = tmp_path / "model.safetensors", ModelSpec(name, networks.options(name), CLASSES)
    model = networks.build(name)
    describe(spec, model, (64, 32), "advent").save(path, model)
    info = model_info.read(path)
    assert info and info.spec.options.items() >= spec.options.items()
    other = networks.build(name)
    initialise(other, info.spec, path)
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in model.state_dict().items())


def test_segformer_b0_has_the_published_size_and_a_stride_of_4() -> None:
    """3,752,694 parameters with the head, as published for 150 classes; `aux` has 161 for each class."""
    networks.options("segformer")
    model = build_model("segformer", 150, {}).eval()
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count - 161 * 150 == 3_752_694
    with torch.no_grad():
        logits = model(torch.zeros(1, 3, 64, 96))
    assert [tuple(values.shape[2:]) for values in logits.values()] == [(16, 24), (4, 6)]


@pytest.mark.parametrize(
    "published, name",
    [
        ("encoder.patch_embeddings.0.proj.weight", "stages.0.patch_embeddings.proj.weight"),
        ("encoder.block.1.0.layer_norm_1.bias", "stages.1.blocks.0.layernorm_before.bias"),
        ("encoder.block.1.1.attention.self.query.weight", "stages.1.blocks.1.attention.q_proj.weight"),
        (
            "encoder.block.0.1.attention.self.sr.weight",
            "stages.0.blocks.1.attention.sequence_reduction.sequence_reduction.weight",
        ),
        ("encoder.block.3.0.attention.output.dense.bias", "stages.3.blocks.0.attention.o_proj.bias"),
        ("encoder.block.2.1.mlp.dense2.weight", "stages.2.blocks.1.mlp.fc2.weight"),
        ("encoder.block.2.1.mlp.dwconv.dwconv.weight", "stages.2.blocks.1.mlp.dwconv.dwconv.weight"),
        ("encoder.layer_norm.3.weight", "stages.3.layer_norm.weight"),
    ],
)
def test_a_published_name_of_segformer_is_converted(published: str, name: str) -> None:
    assert segformer.current_name(published) == name
    assert f"encoder.{name}" in networks.build("segformer").state_dict()


@pytest.mark.parametrize("name, prefix", [("segformer", "segformer."), ("smp", "encoder.")])
def test_a_file_of_an_encoder_is_loaded_and_its_decoder_left_out(
    name: str, prefix: str, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    saved, model = networks.build(name), networks.build(name)
    inner = saved.get_submodule("encoder").state_dict()
    tensors = {prefix + key: value.clone() for key, value in inner.items()}
    save_file(tensors | {"decode_head.weight": torch.zeros(1)}, tmp_path / "weights.safetensors")
    initialise(model, ModelSpec(name, networks.options(name), CLASSES), tmp_path / "weights.safetensors")
    assert all(torch.equal(value, inner[key]) for key, value in model.encoder.state_dict().items())  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("segformer", {"size": "b6"}, "model.options.size: 'b6'"),
        ("smp", {"architecture": "dpt"}, "model.options.architecture: 'dpt'"),
        ("smp", {"encoder": "resnet81"}, "segmentation_models_pytorch refuses 'resnet81'"),
        ("smp", {"options": {"depth": 3}}, "refuses 'resnet34' with .*depth"),
    ],
)
def test_other_options_are_refused(name: str, options: dict[str, object], message: str) -> None:
    networks.options(name)
    with pytest.raises(UserError, match=message):
        build_model(name, 3, options)


@pytest.mark.parametrize(
    "name, package, command",
    [
        ("timm", "timm", "pip install timm"),
        ("segformer", "transformers", 'pip install "transformers>=5"'),
        ("smp", "segmentation_models_pytorch", "pip install segmentation-models-pytorch"),
    ],
)
def test_the_error_for_a_missing_package_has_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, name: str, package: str, command: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf"{package} is not installed") as caught:
        build_model(name, 3, {})
    assert caught.value.fix == command


def test_smp_never_downloads_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.socket", None)
    assert isinstance(networks.build("smp"), nn.Module)


@pytest.mark.parametrize("name", ["timm", *NAMES])
def test_the_blocks_of_the_page_are_networks_that_predict(name: str) -> None:
    networks.options(name)
    page = (ROOT / "docs/how-to/own-network.md").read_text(encoding="utf-8")
    blocks = [plain_yaml.parse(text)["model"] for text in re.findall(r"```yaml\n(.*?)```", page, re.S)]
    [options] = [block["options"] for block in blocks if block["name"] == name]
    with torch.device("meta"):
        logits = build_model(name, 19, options).eval()(torch.zeros(1, 3, 512, 1024))
    assert {values.shape[1] for values in logits.values()} == {19}
