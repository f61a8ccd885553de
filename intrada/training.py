"""The training game: one loop for all three training stages, whatever the method and the domains."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import repeat, starmap
from pathlib import Path
from types import ModuleType
from typing import Literal, NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn

from intrada import (
    activation_checkpointing,
    averaging,
    compilation,
    files,
    interruption,
    optimizers,
    randomness,
)
from intrada.batches import Batch, ahead, training_stream
from intrada.checkpoints import Checkpoints, State
from intrada.curves import Curves, errors_once
from intrada.device import uses_bf16
from intrada.errors import UserError
from intrada.initial import initialise
from intrada.labels import ClassSet
from intrada.methods import method
from intrada.methods.base import Nets
from intrada.models import build_model, discriminator
from intrada.models.base import Segmenter
from intrada.objective import back_propagate, extra_losses, play
from intrada.params import Heads, Params, Training
from intrada.snapshots import Snapshots
from intrada.stage import Context


@dataclass(frozen=True)
class Domains:
    """Who plays; frames with the columns of index.csv.

    labelled: images with (pseudo-)labels, called source by the discriminators (without any label: only
    they look at them); target: images without. extra: labelled images that no discriminator sees.
    source: which of the three are images of the source domain.
    """

    labelled: pd.DataFrame
    target: pd.DataFrame
    extra: pd.DataFrame | None = None
    source: Literal["labelled", "extra"] = "labelled"

    @property
    def supervised(self) -> bool:
        """Whether `labelled` has any label."""
        return bool((self.labelled["label"] != "").any())


class Step(NamedTuple):
    """The batches of one iteration, by their part in the game; None for one that is not asked for."""

    labelled: Batch
    target: Batch | None
    extra: Batch | None

    def to(self, device: torch.device) -> Step:
        """The same batches on `device`."""
        target, extra = (batch.to(device) if batch else None for batch in (self.target, self.extra))
        return Step(self.labelled.to(device), target, extra)

    def parts(self, count: int, classes: int) -> list[Step]:
        """The same batches in `count` steps of equally many images, each with its share; one is the whole."""
        target, extra = (
            batch.parts(count, classes) if batch else repeat(None, count)
            for batch in (self.target, self.extra)
        )
        return list(starmap(Step, zip(self.labelled.parts(count, classes), target, extra, strict=True)))

    def ids(self) -> list[str]:
        """The images of all of them."""
        return [name for batch in (self.labelled, self.target, self.extra) if batch for name in batch.ids]


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
        self.block, self.compute, self.classes = block, params.compute, len(classes)
        self.done = 0

    def start(self, device: torch.device) -> None:
        """Move the networks to `device`, in train mode, and make the optimisers."""
        layout = torch.channels_last if self.compute.channels_last else torch.contiguous_format
        for net in (self.nets.segmenter, self.nets.discriminators):
            net.to(device, memory_format=layout).train()  # type: ignore[call-overload]
        self.nets = replace(self.nets, bf16=uses_bf16(self.compute, device))
        self.mean = copy.deepcopy(self.nets.segmenter) if self.block.ema else None
        if self.compute.activation_checkpointing:
            activation_checkpointing.install(self.nets.segmenter)
        if compilation.is_wanted(self.compute, device):
            compilation.install(self.nets.segmenter, device)
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

    @property
    def model(self) -> Segmenter:
        """What the run is for: the network, or the mean of its weights where `ema` asks for it."""
        return self.mean or self.nets.segmenter

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

    def step(self, batches: Step, supervised: bool = True) -> dict[str, Tensor]:
        """One iteration; returns the losses without their weights, detached.

        supervised: False where `batches.labelled` has no label, so that its cross entropy counts nothing.
        """
        used = [optimizer for optimizer in (self.optimizer, self.judge_optimizer) if optimizer]
        for optimizer, rate in zip(used, self.rates().values(), strict=True):
            optimizers.set_learning_rate(optimizer, rate)
            optimizer.zero_grad(set_to_none=True)
        weights = self.block.weights
        own = weights if supervised else weights.model_copy(update={"seg": Heads(main=0.0, aux=0.0)})
        record: dict[str, Tensor] = {}
        for part in batches.parts(self.block.accumulate, self.classes):
            losses: dict[str, Tensor] = {}
            if part.extra:
                losses = back_propagate(extra_losses(self.nets, part.extra, weights.seg), part.extra.share)
            losses |= play(self.method, self.nets, part.labelled, part.target, own)
            record = {name: record[name] + value if record else value for name, value in losses.items()}
        for optimizer in used:
            optimizer.step()
        self.done += 1
        if self.mean:
            averaging.average(self.mean, self.nets.segmenter, self.done, self.block.ema)
        return record

    def state(self) -> State:
        """Everything that the next iteration depends on, but for the data, which `done` determines."""
        return {
            "segmenter": self.nets.segmenter.state_dict(),
            "mean": self.mean.state_dict() if self.mean else {},
            "discriminators": self.nets.discriminators.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "judge_optimizer": self.judge_optimizer.state_dict() if self.judge_optimizer else {},
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
        }

    def restore(self, state: State) -> None:
        """Go back to what `state` returned."""
        self.nets.segmenter.load_state_dict(state["segmenter"])
        if self.mean:
            self.mean.load_state_dict(state["mean"])
        self.nets.discriminators.load_state_dict(state["discriminators"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.judge_optimizer:
            self.judge_optimizer.load_state_dict(state["judge_optimizer"])
        torch.set_rng_state(state["random"])
        if state["random_cuda"] is not None and torch.cuda.is_available():
            torch.cuda.set_rng_state(state["random_cuda"])
        self.done = state["done"]


def train(
    game: Game,
    domains: Domains,
    seed: int,
    classes: ClassSet,
    device: torch.device,
    snapshots: Snapshots,
    context: Context,
) -> Curves:
    """Play until `block.iterations` are done, from the newest checkpoint of this very run if there is one.

    Returns the curves; the model is in `game`. UserError when a loss, or a weight that is due to enter a
    checkpoint, is not finite, which keeps the last checkpoint; Stopped by a signal, once the iteration
    under way has its checkpoint.
    """
    block, folder = game.block, context.checkpoints
    checkpoints = Checkpoints(
        folder, block.checkpoint_every, block.checkpoint_minutes, block.checkpoints_kept
    )
    game.start(device)
    curves = Curves(folder / "tensorboard", block.log_every, classes)
    if (state := checkpoints.load()) is not None:
        game.restore(state)
        curves.restore(state["curves"], game.done)
    with files.writing(folder), errors_once(), curves, interruption.postponed() as request:
        steps = range(game.done, block.iterations)
        for _, batches in zip(
            context.progress(steps, block.iterations, "it", game.done),
            ahead(_steps(game, domains, seed)),
            strict=True,
        ):
            batches = batches.to(device)
            rates, losses = game.rates(), game.step(batches, domains.supervised)
            _finite(losses, game.done, batches)
            curves.add(game.done, losses, rates)
            due = checkpoints.due(game.done) or game.done == block.iterations or request.number is not None
            snapshot = snapshots.due(game.done, block.iterations)
            if due or snapshot:
                _finite_weights(game, batches)
            if snapshot:  # before the checkpoint, which presumes it
                snapshots.keep(game.done, game.model)
            if due:
                curves.picture(game.done, game.nets, batches.target or batches.labelled)
                checkpoints.save(game.done, {**game.state(), "curves": curves.state()})
                request.obey(game.done)
    return curves


def _steps(game: Game, domains: Domains, seed: int) -> Iterator[Step]:
    """The batches of every iteration that is left: of the domains that the method asks for."""
    block = game.block

    def stream(index: pd.DataFrame | None, name: str) -> Iterator[Batch | None]:
        if index is None:
            return repeat(None, block.iterations - game.done)
        batches = training_stream(
            index, seed, name, block.augment, block.batch_size, game.done, block.iterations
        )
        followed = block.bn_statistics == "all" or name != domains.source
        return (batch._replace(followed=followed) for batch in batches)

    target = domains.target if game.method.NEEDS_TARGET else None
    streams = stream(domains.labelled, "labelled"), stream(target, "target"), stream(domains.extra, "extra")
    return starmap(Step, zip(*streams, strict=True))


def _finite(losses: Mapping[str, Tensor], iteration: int, batches: Step) -> None:
    values = {name: float(value) for name, value in losses.items()}
    if all(math.isfinite(value) for value in values.values()):
        return
    raise _stopped(iteration, f"losses {values}", batches)


def _finite_weights(game: Game, batches: Step) -> None:
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
        raise _stopped(game.done, found, batches)


def _stopped(iteration: int, found: str, batches: Step) -> UserError:
    return UserError(
        f"iteration {iteration}",
        f"{found} on the images {', '.join(batches.ids())}",
        "finite losses and weights",
        "look at these images and labels, or lower optimizer.lr; the last checkpoint is kept",
    )
