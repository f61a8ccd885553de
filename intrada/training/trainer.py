"""The training game: one loop for all three training stages, whatever the method and the domains."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from itertools import repeat, starmap
from pathlib import Path
from types import ModuleType

import pandas as pd
import torch
from torch import Tensor, nn

from intrada.core import files, seeding, signals
from intrada.core.config.classes import ClassSet
from intrada.core.config.schema import Heads, Params, Training
from intrada.core.distributed.device import uses_bf16
from intrada.core.distributed.process_group import ALONE, World
from intrada.core.stage import Context
from intrada.data.loader import Batch, ahead, training_stream
from intrada.data.train_batches import Domains, Step
from intrada.methods import method
from intrada.methods.backward import back_propagate, extra_losses, play
from intrada.methods.base import Nets
from intrada.methods.entropy import information_map, pixel_entropy
from intrada.models import activation_checkpointing, build_model, discriminator, ema, sync_batch_norm
from intrada.models.base import Segmenter
from intrada.models.compile import install, is_wanted
from intrada.models.initialise import initialise
from intrada.training import nan_check, optimizers
from intrada.training.checkpoints import Checkpoints, State
from intrada.training.metric_logger import Curves, errors_once
from intrada.training.snapshots import Snapshots


class Game:
    """The state of one training run: networks, optimisers and the number of iterations done.

    world: the processes that play it together, each on its part of every batch. Their networks are equal
    from first to last, but for running statistics of batch normalisation that is not synchronised.
    """

    def __init__(
        self,
        params: Params,
        block: Training,
        classes: ClassSet,
        init: Path,
        seed: int,
        world: World = ALONE,
    ) -> None:
        torch.manual_seed(seeding.derive(seed, "segmenter"))
        segmenter = build_model(params.model.name, len(classes), params.model.options)
        initialise(segmenter, params.model.name, init)
        self.method: ModuleType = method(block.method)
        torch.manual_seed(seeding.derive(seed, "discriminators"))
        heads = ("main", "aux") if self.method.ADVERSARIAL else ()
        judges = {head: discriminator.build(len(classes), block.discriminator.width) for head in heads}
        self.nets = Nets(segmenter, nn.ModuleDict(judges))
        self.block, self.compute, self.world, self.classes = block, params.compute, world, len(classes)
        self.done = 0
        if not world.first:  # the first one's dropout is that of a single process
            torch.manual_seed(seeding.derive(seed, "process", world.part.number))

    def start(self, device: torch.device) -> None:
        """Move the networks to `device`, in train mode, and make the optimisers."""
        layout = torch.channels_last if self.compute.channels_last else torch.contiguous_format
        for net in (self.nets.segmenter, self.nets.discriminators):
            net.to(device, memory_format=layout).train()  # type: ignore[call-overload]
        self.nets = replace(self.nets, bf16=uses_bf16(self.compute, device))
        self.mean = copy.deepcopy(self.nets.segmenter) if self.block.ema else None
        if self.compute.sync_batch_norm and not self.world.alone:
            sync_batch_norm.synchronise(self.nets.segmenter)
        if self.compute.activation_checkpointing:
            activation_checkpointing.install(self.nets.segmenter)
        if is_wanted(self.compute, device):
            install(self.nets.segmenter, device)
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
        for part in batches.shared(self.world, self.classes).parts(self.block.accumulate, self.classes):
            losses: dict[str, Tensor] = {}
            if part.extra:
                losses = back_propagate(extra_losses(self.nets, part.extra, weights.seg), part.extra.share)
            losses |= play(self.method, self.nets, part.labelled, part.target, own)
            record = {name: record[name] + value if record else value for name, value in losses.items()}
        self.world.add_gradients([self.nets.segmenter, self.nets.discriminators])
        for optimizer in used:
            optimizer.step()
        self.done += 1
        if self.mean:
            ema.average(self.mean, self.nets.segmenter, self.done, self.block.ema)
        return self.world.total(record)

    def state(self) -> State:
        """Everything that the next iteration depends on, but for the data, which `done` determines.

        Of several processes the first one's tensors, which all have, and the random states of each.
        """
        cuda = torch.cuda.get_rng_state() if torch.cuda.is_available() else None
        return {
            "segmenter": self.nets.segmenter.state_dict(),
            "mean": self.mean.state_dict() if self.mean else {},
            "discriminators": self.nets.discriminators.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "judge_optimizer": self.judge_optimizer.state_dict() if self.judge_optimizer else {},
            "random": self.world.gather(torch.get_rng_state()),
            "random_cuda": self.world.gather(cuda),
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
        own, cuda = (state[name][self.world.part.number] for name in ("random", "random_cuda"))
        torch.set_rng_state(own)
        if cuda is not None and torch.cuda.is_available():
            torch.cuda.set_rng_state(cuda)
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
    under way has its checkpoint. Of several processes the first one writes; what is raised is raised by
    all, but for what a process meets alone.
    """
    block, folder, world = game.block, context.checkpoints, game.world
    checkpoints = Checkpoints(
        folder, block.checkpoint_every, block.checkpoint_minutes, block.checkpoints_kept
    )
    game.start(device)
    curves = Curves(folder / "tensorboard", block.log_every, classes)
    if (state := checkpoints.load()) is not None:
        game.restore(state)
        curves.restore(state["curves"], game.done)
    shown = curves if world.first else nullcontext()
    with files.writing(folder), errors_once(), shown, signals.postponed() as request:
        steps = range(game.done, block.iterations)
        for _, batches in zip(
            context.progress(steps, block.iterations, "it", game.done),
            ahead(_steps(game, domains, seed)),
            strict=True,
        ):
            batches = batches.to(device)
            rates, losses = game.rates(), game.step(batches, domains.supervised)
            nan_check.check_losses(losses, game.done, batches.ids(), world)
            if world.first:
                curves.add(game.done, losses, rates)
            due = checkpoints.due(game.done) or game.done == block.iterations
            due, request.number = world.decided(due, request.number, device)
            due = due or request.number is not None
            snapshot = snapshots.due(game.done, block.iterations)
            if due or snapshot:
                nets = {"segmenter": game.nets.segmenter, "discriminators": game.nets.discriminators}
                nan_check.check_weights(nets, game.done, batches.ids(), world)
            if snapshot and world.first:  # before the checkpoint, which presumes it
                snapshots.keep(game.done, game.model)
            if due:
                state = game.state()
                if world.first:
                    curves.picture(game.done, *predict_first(game.nets, batches.target or batches.labelled))
                    checkpoints.save(game.done, {**state, "curves": curves.state()})
                request.obey(game.done)
    return curves


@torch.no_grad()
def predict_first(nets: Nets, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """The batch's first image (3, H, W) uint8, its predicted label (H, W) int64 and entropy (H, W) in 0..1.

    The forward pass runs in evaluation mode, so that batch normalisation learns nothing from it.
    """
    nets.segmenter.eval()
    logits = nets.predict(Batch(batch.ids[:1], batch.image[:1], batch.label[:1]))["main"]
    nets.segmenter.train()
    return batch.image[0], logits[0].argmax(0), pixel_entropy(information_map(logits))[0]


def _steps(game: Game, domains: Domains, seed: int) -> Iterator[Step]:
    """The batches of every iteration that is left: of the domains that the method asks for."""
    block = game.block

    def stream(index: pd.DataFrame | None, name: str) -> Iterator[Batch | None]:
        if index is None:
            return repeat(None, block.iterations - game.done)
        batches = training_stream(
            index, seed, name, block.augment, block.batch_size, game.done, block.iterations, game.world.part
        )
        followed = block.bn_statistics == "all" or name != domains.source
        return (batch._replace(followed=followed) for batch in batches)

    target = domains.target if game.method.NEEDS_TARGET else None
    streams = stream(domains.labelled, "labelled"), stream(target, "target"), stream(domains.extra, "extra")
    return starmap(Step, zip(*streams, strict=True))
