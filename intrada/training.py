"""The training game: one loop for all three training stages, whatever the method and the domains."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pandas as pd
import torch
from torch import Tensor, nn

from intrada import optimizers, randomness
from intrada.batches import Batch, training_stream
from intrada.checkpoints import Checkpoints, State
from intrada.curves import Curves
from intrada.errors import UserError
from intrada.initial import initialise
from intrada.labels import ClassSet
from intrada.methods import method
from intrada.methods.base import Nets
from intrada.models import build_model, discriminator
from intrada.params import LossWeights, Params, Training
from intrada.stage import Context


@dataclass(frozen=True)
class Domains:
    """Who plays: `labelled` images with (pseudo-)labels, called source by the discriminators, and
    `target` images without. Frames with the columns of index.csv."""

    labelled: pd.DataFrame
    target: pd.DataFrame


class Game:
    """The state of one training run: networks, optimisers and the number of iterations done."""

    def __init__(self, params: Params, block: Training, classes: ClassSet, init: Path, seed: int) -> None:
        torch.manual_seed(randomness.derive(seed, "segmenter"))
        segmenter = build_model(params.model.name, len(classes), params.model.options)
        initialise(segmenter, params.model.name, init)
        self.method: ModuleType = method(block.method)
        torch.manual_seed(randomness.derive(seed, "discriminators"))
        heads = ("main", "aux") if self.method.ADVERSARIAL else ()
        judges = {head: discriminator.build(len(classes), block.discriminator.width) for head in heads}
        self.nets = Nets(segmenter, nn.ModuleDict(judges))
        self.block = block
        self.done = 0

    def start(self, device: torch.device) -> None:
        """Move the networks to `device`, in train mode, and make the optimisers."""
        for net in (self.nets.segmenter, self.nets.discriminators):
            net.to(device).train()
        chosen = self.block.optimizer
        self.optimizer = optimizers.segmenter_optimizer(
            self.nets.segmenter,
            chosen.name,
            chosen.lr,
            momentum=chosen.momentum,
            weight_decay=chosen.weight_decay,
            heads_lr_multiplier=chosen.heads_lr_multiplier,
            multiplicity=chosen.multiplicity,
        )
        judges, lr = self.nets.discriminators, self.block.discriminator.lr
        self.judge_optimizer = optimizers.discriminator_optimizer(judges, lr) if judges else None

    def rates(self) -> dict[str, float]:
        """The learning rates of the coming iteration, set before it: "lr", and "lr_judge" of D."""
        block = self.block
        bases = {"lr": block.optimizer.lr}
        if self.judge_optimizer:
            bases["lr_judge"] = block.discriminator.lr
        return {
            name: optimizers.poly(base, self.done, block.max_iters, block.power)
            for name, base in bases.items()
        }

    def step(self, source: Batch, target: Batch | None) -> dict[str, Tensor]:
        """One iteration; returns the losses without their weights, detached."""
        used = [optimizer for optimizer in (self.optimizer, self.judge_optimizer) if optimizer]
        for optimizer, rate in zip(used, self.rates().values(), strict=True):
            optimizers.set_learning_rate(optimizer, rate)
            optimizer.zero_grad(set_to_none=True)
        record = play(self.method, self.nets, source, target, self.block.weights)
        for optimizer in used:
            optimizer.step()
        self.done += 1
        return record

    def state(self) -> State:
        """Everything that the next iteration depends on, but for the data, which `done` determines."""
        return {
            "segmenter": self.nets.segmenter.state_dict(),
            "discriminators": self.nets.discriminators.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "judge_optimizer": self.judge_optimizer.state_dict() if self.judge_optimizer else {},
            "random": torch.get_rng_state(),
        }

    def restore(self, state: State) -> None:
        """Go back to what `state` returned."""
        self.nets.segmenter.load_state_dict(state["segmenter"])
        self.nets.discriminators.load_state_dict(state["discriminators"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.judge_optimizer:
            self.judge_optimizer.load_state_dict(state["judge_optimizer"])
        torch.set_rng_state(state["random"])
        self.done = state["done"]


def play(
    way: ModuleType, nets: Nets, source: Batch, target: Batch | None, weights: LossWeights
) -> dict[str, Tensor]:
    """Back-propagate one iteration's losses, group by group; returns them unweighted, by name."""
    record: dict[str, Tensor] = {}
    for group in way.losses(nets, source, target, weights):
        total: Tensor = sum((loss.weight * loss.value for loss in group.values()), start=torch.zeros(()))
        total.backward()  # type: ignore[no-untyped-call]
        record |= {name: loss.value.detach() for name, loss in group.items()}
    return record


def train(
    game: Game, domains: Domains, seed: int, classes: ClassSet, device: torch.device, context: Context
) -> Curves:
    """Play until `block.iterations` are done, from the newest checkpoint of this very run if there is one.

    Returns the curves; the model is in `game`. UserError when a loss, or a weight that is due to enter a
    checkpoint, is not finite, which keeps the last checkpoint.
    """
    block = game.block
    folder = context.runs / context.fingerprint[:16]
    checkpoints = Checkpoints(
        folder, block.checkpoint_every, block.checkpoint_minutes, block.checkpoints_kept
    )
    game.start(device)
    curves = Curves(folder / "tensorboard", block.log_every, classes)
    if (state := checkpoints.load()) is not None:
        game.restore(state)
        curves.restore(state["curves"], game.done)
    with curves:
        steps = range(game.done, block.iterations)
        for _, (source, target) in zip(
            context.progress(steps, block.iterations, "it", game.done),
            _pairs(game, domains, seed),
            strict=True,
        ):
            source, target = source.to(device), target.to(device) if target else None
            rates, losses = game.rates(), game.step(source, target)
            _finite(losses, game.done, source, target)
            curves.add(game.done, losses, rates)
            if checkpoints.due(game.done) or game.done == block.iterations:
                _finite_weights(game, source, target)
                curves.picture(game.done, game.nets, target or source)
                checkpoints.save(game.done, {**game.state(), "curves": curves.state()})
    return curves


def _pairs(game: Game, domains: Domains, seed: int) -> Iterator[tuple[Batch, Batch | None]]:
    """One labelled and one target batch for each iteration that is left; None for a method without."""
    block = game.block
    span = (block.batch_size, game.done, block.iterations)
    labelled = training_stream(domains.labelled, seed, "labelled", block.augment, *span)
    if not game.method.NEEDS_TARGET:
        return ((batch, None) for batch in labelled)
    return zip(labelled, training_stream(domains.target, seed, "target", block.augment, *span), strict=True)


def _finite(losses: Mapping[str, Tensor], iteration: int, source: Batch, target: Batch | None) -> None:
    values = {name: float(value) for name, value in losses.items()}
    if all(math.isfinite(value) for value in values.values()):
        return
    raise _stopped(iteration, f"losses {values}", source, target)


def _finite_weights(game: Game, source: Batch, target: Batch | None) -> None:
    """A step can spoil the weights after finite losses, and a checkpoint of them could never go on."""
    nets = {"segmenter": game.nets.segmenter, "discriminators": game.nets.discriminators}
    bad = [
        f"{net}.{name}"
        for net, module in nets.items()
        for name, value in module.state_dict().items()
        if not bool(torch.isfinite(value).all())
    ]
    if bad:
        found = f"{len(bad)} tensors of nan or infinite weights, {bad[0]} the first, after a step"
        raise _stopped(game.done, found, source, target)


def _stopped(iteration: int, found: str, source: Batch, target: Batch | None) -> UserError:
    images = source.ids + (target.ids if target else [])
    return UserError(
        f"iteration {iteration}",
        f"{found} on the images {', '.join(images)}",
        "finite losses and weights",
        "look at these images and labels, or lower optimizer.lr; the last checkpoint is kept",
    )
