from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from intrada.core.errors import UserError
from intrada.models import deeplabv2


def with_random_bn_stats(model: nn.Module) -> nn.Module:
    """Set random running statistics, so that the outputs of train and eval mode differ."""
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean = torch.randn(norm.num_features)
            norm.running_var = torch.rand(norm.num_features) + 0.5
    return model


@pytest.fixture(scope="module")
def resnet50() -> deeplabv2.DeepLabV2:
    return deeplabv2.build(3, "resnet50")


# 65 -> 33 (stem) -> 17 (pool: (33 - 1) / 2 + 1) -> 9; 64 -> 32 -> 17 (ceil; floor would be 16) -> 9
@pytest.mark.parametrize("size, logits", [((65, 64), (9, 9)), ((64, 128), (9, 17)), ((40, 33), (6, 5))])
def test_the_output_stride_is_8_and_pooling_rounds_up(size: tuple[int, int], logits: tuple[int, int]) -> None:
    outputs = deeplabv2.build(3, "resnet18").eval()(torch.rand(1, 3, *size))
    assert list(outputs) == ["main", "aux"]
    assert {tuple(values.shape) for values in outputs.values()} == {(1, 3, *logits)}


@pytest.mark.parametrize("layer, dilation", [("layer1", 1), ("layer2", 1), ("layer3", 2), ("layer4", 4)])
def test_every_block_of_the_last_two_layers_is_dilated(
    resnet50: deeplabv2.DeepLabV2, layer: str, dilation: int
) -> None:
    blocks = [block for block in getattr(resnet50, layer).modules() if isinstance(block, Bottleneck)]
    assert {block.conv2.dilation for block in blocks} == {(dilation, dilation)}
    assert {block.conv2.padding for block in blocks} == {(dilation, dilation)}


def test_in_layer2_only_the_first_1x1_convolutions_have_a_stride(resnet50: deeplabv2.DeepLabV2) -> None:
    strided = [
        name
        for name, module in resnet50.named_modules()
        if isinstance(module, nn.Conv2d) and module.stride != (1, 1)
    ]
    assert strided == ["conv1", "layer2.0.conv1", "layer2.0.downsample.0"]


def test_both_convolutions_of_basic_blocks_are_dilated() -> None:
    blocks = [b for b in deeplabv2.build(3, "resnet18").layer4.modules() if isinstance(b, BasicBlock)]
    assert {conv.dilation for block in blocks for conv in (block.conv1, block.conv2)} == {(4, 4)}


@pytest.mark.parametrize("heads, used", [("four", 4), ("two", 2)])
def test_a_head_is_the_sum_of_its_convolutions(heads: str, used: int) -> None:
    head = deeplabv2.HEADS[heads](5, 3)
    features = torch.rand(1, 5, 9, 9)
    expected = sum(head.conv2d_list[i](features) for i in range(used))
    torch.testing.assert_close(head(features), expected)
    assert [conv.dilation[0] for conv in head.conv2d_list] == [6, 12, 18, 24]
    assert sum(p.requires_grad for p in head.parameters()) == 2 * used


def test_both_heads_have_the_state_dict_of_the_checkpoints() -> None:
    four, two = (deeplabv2.build(3, "resnet18", heads).state_dict() for heads in ("four", "two"))
    layers = ["conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "layer5", "layer6"]
    assert list(dict.fromkeys(name.split(".")[0] for name in four)) == layers
    assert [(k, v.shape) for k, v in four.items()] == [(k, v.shape) for k, v in two.items()]


def test_main_is_layer6_after_layer4_and_aux_is_layer5_after_layer3() -> None:
    model = deeplabv2.build(3, "resnet18").eval()
    images = torch.rand(1, 3, 32, 32)
    before = model(images)
    with torch.no_grad():
        model.get_parameter("layer6.conv2d_list.0.bias").add_(1.0)
    after = model(images)
    torch.testing.assert_close(after["main"], before["main"] + 1)
    torch.testing.assert_close(after["aux"], before["aux"], rtol=0, atol=0)
    assert model.get_parameter("layer5.conv2d_list.0.weight").shape[1] == 256


def test_affine_parameters_are_frozen_and_running_statistics_are_updated() -> None:
    model = with_random_bn_stats(deeplabv2.build(3, "resnet18")).train()
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert not any(p.requires_grad for norm in norms for p in norm.parameters())
    before = [norm.running_mean.clone() for norm in norms if norm.running_mean is not None]
    model(torch.rand(2, 3, 32, 32))
    after = [norm.running_mean for norm in norms if norm.running_mean is not None]
    assert all(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_normalise_subtracts_the_published_bgr_mean() -> None:
    model = deeplabv2.build(3, "resnet18")
    actual = model.normalise(torch.tensor([104, 116, 122], dtype=torch.uint8).view(1, 3, 1, 1))
    expected = torch.tensor([104 - 104.00698793, 116 - 116.66876762, 122 - 122.67891434])
    torch.testing.assert_close(actual.flatten(), expected, rtol=0, atol=1e-5)
    assert actual.dtype == torch.float32
    assert model.double().normalise(torch.zeros(1, 3, 1, 1)).dtype == torch.float64


def test_each_trainable_weight_is_in_exactly_one_parameter_group(resnet50: deeplabv2.DeepLabV2) -> None:
    groups = resnet50.parameter_groups()
    names = {id(p): name for name, p in resnet50.named_parameters()}
    assert {names[id(p)].split(".")[0] for p in groups["heads"]} == {"layer5", "layer6"}
    listed = [id(p) for group in groups.values() for p in group]
    assert sorted(listed) == sorted(id(p) for p in resnet50.parameters() if p.requires_grad)


@pytest.mark.parametrize("options", [{"backbone": "resnet34"}, {"heads": "three"}])
def test_unknown_options_are_refused(options: dict[str, str]) -> None:
    ((key, value),) = options.items()
    with pytest.raises(UserError, match=f"model.options.{key}: '{value}'\n  allowed: .*(resnet101|two)"):
        deeplabv2.build(3, **options)  # type: ignore[arg-type]


def test_the_unused_convolutions_of_a_head_get_no_gradient() -> None:
    model = deeplabv2.build(3, "resnet18", "two").train()
    sum(values.sum() for values in model(torch.rand(1, 3, 32, 32)).values()).backward()
    for first, second in pairwise(model.layer6.conv2d_list[2:]):
        assert first.weight.grad is None and second.weight.grad is None


def test_the_heads_have_the_published_initialisation() -> None:
    """Weights from N(0, 0.01); biases uniform in +-1 / sqrt(9 * channels), torch's default."""
    torch.manual_seed(0)
    model = deeplabv2.build(19, "resnet18")
    for head, channels in ((model.layer5, 256), (model.layer6, 512)):
        weights = torch.cat([conv.weight.flatten() for conv in head.conv2d_list])
        biases = torch.cat([conv.bias for conv in head.conv2d_list])
        assert weights.std().item() == pytest.approx(0.01, rel=0.02)
        assert 0.8 / (9 * channels) ** 0.5 < biases.abs().max().item() <= 1 / (9 * channels) ** 0.5
