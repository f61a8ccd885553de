"""A plain training iteration of AdvEnt."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.baseline import Size, information_map, upsample
from benchmarks.baseline_network import DeepLab, discriminator
from intrada.core.config.training_blocks import Training

HEADS = ("aux", "main")  # in the order of the network's outputs
SOURCE, TARGET = 0.0, 1.0
IGNORED = 255


class AdvEnt:
    """Networks and optimisers with given initial weights; the learning rates are constant."""

    def __init__(self, block: Training, classes: int, state: Mapping[str, dict[str, Tensor]]) -> None:
        """block: the hyperparameters; state: state dicts of "segmenter" and of each head's discriminator."""
        self.block = block
        self.network = DeepLab(classes)
        self.network.load_state_dict(state["segmenter"])
        self.network.train()
        self.discriminators = {
            head: discriminator(classes, block.discriminator.width).train() for head in HEADS
        }
        for head, network in self.discriminators.items():
            network.load_state_dict(state[head])
        self.momentum: dict[nn.Parameter, Tensor] = {}
        self.discriminator_optimizers = [
            torch.optim.Adam(network.parameters(), lr=block.discriminator.lr, betas=(0.9, 0.99))
            for network in self.discriminators.values()
        ]

    def iteration(self, source: Tensor, label: Tensor, target: Tensor) -> dict[str, float]:
        """Run one iteration and return the losses without their weights.

        source, target: (1, 3, H, W) float32; label: (1, H, W) int64.
        """
        size = (source.shape[3], source.shape[2])
        for net in (self.network, *self.discriminators.values()):
            net.zero_grad()
        self._freeze_discriminators(True)
        weights = self.block.weights

        source_logits = self._predict(source, size)
        losses = {f"seg_{head}": cross_entropy(logits, label) for head, logits in source_logits.items()}
        (weights.seg.main * losses["seg_main"] + weights.seg.aux * losses["seg_aux"]).backward()  # type: ignore[no-untyped-call]

        target_logits = self._predict(target, size)
        for head, logits in target_logits.items():
            losses[f"adv_{head}"] = domain_bce(self.discriminators[head](information_map(logits)), SOURCE)
        (weights.target.main * losses["adv_main"] + weights.target.aux * losses["adv_aux"]).backward()  # type: ignore[no-untyped-call]

        self._freeze_discriminators(False)
        for name, by_head, domain in (
            ("source", source_logits, SOURCE),
            ("target", target_logits, TARGET),
        ):
            for head, logits in by_head.items():
                loss = domain_bce(self.discriminators[head](information_map(logits.detach())), domain)
                (loss / 2).backward()  # type: ignore[no-untyped-call]
                losses[f"d_{name}_{head}"] = loss

        self._update()
        return {name: loss.item() for name, loss in losses.items()}

    def _predict(self, images: Tensor, size: Size) -> dict[str, Tensor]:
        return {
            head: upsample(logits, size) for head, logits in zip(HEADS, self.network(images), strict=True)
        }

    def _freeze_discriminators(self, frozen: bool) -> None:
        for network in self.discriminators.values():
            network.requires_grad_(not frozen)

    @torch.no_grad()
    def _update(self) -> None:
        """Update G by SGD as in torch 0.4.1, once for each listing of a weight, and D by Adam."""
        chosen = self.block.optimizer
        heads = [*self.network.layer5.parameters(), *self.network.layer6.parameters()]
        for weights, rate in (
            (self.network.listed_weights(), chosen.lr),
            (heads, chosen.heads_lr_multiplier * chosen.lr),
        ):
            for weight in weights:
                assert weight.grad is not None
                gradient = weight.grad.add_(weight, alpha=chosen.weight_decay)
                if weight not in self.momentum:
                    self.momentum[weight] = torch.zeros_like(weight)
                velocity = self.momentum[weight].mul_(chosen.momentum).add_(gradient)
                weight.sub_(velocity, alpha=rate)
        for optimizer in self.discriminator_optimizers:
            optimizer.step()


def cross_entropy(logits: Tensor, label: Tensor) -> Tensor:
    """Return the mean over the labelled pixels, selected from logits with the classes as the last axis."""
    labelled = label != IGNORED
    return functional.cross_entropy(logits.permute(0, 2, 3, 1).contiguous()[labelled], label[labelled])


def domain_bce(d_logits: Tensor, domain: float) -> Tensor:
    """Return the binary cross entropy with one domain as the target of all logits."""
    return functional.binary_cross_entropy_with_logits(d_logits, torch.full_like(d_logits, domain))
