"""Training loop shared by train_source, train_inter and train_intra."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from intrada.core import files, seeding, signals
from intrada.core.config.classes import ClassSet
from intrada.core.config.schema import Params
from intrada.core.config.training_blocks import Heads, Training
from intrada.core.distributed.device import uses_bf16
from intrada.core.distributed.process_group import SINGLE_PROCESS, ProcessGroup
from intrada.core.stage import Context
from intrada.data.batch import Batch
from intrada.data.train_batches import TrainBatch, TrainData
from intrada.methods import is_adversarial, method
from intrada.methods.backward import back_propagate, supervised_losses, training_step
from intrada.methods.base import AdversarialNetworks, Teacher
from intrada.methods.entropy import information_map, pixel_entropy
from intrada.models import activation_checkpointing, discriminator, ema, sync_batch_norm
from intrada.models.base import SegmentationModel
from intrada.models.compile import install, is_enabled
from intrada.models.initialise import initialise
from intrada.models.model_info import ModelSpec
from intrada.training import nan_check, optimizers
from intrada.training.checkpoints import Checkpoints, State
from intrada.training.metric_logger import MetricLogger, suppress_thread_os_errors
from intrada.training.schedules import learning_rate
from intrada.training.snapshots import Snapshots
from intrada.training.streams import batches_on, default_threads


class Trainer:
    """The state of one training run: networks, optimizers and the number of finished iterations.

    init: a weight file or a marker file of weights/. process_group: data-parallel processes, each of which
    computes a part of every batch. Their networks stay equal, except for the running statistics of batch
    normalisation without `sync_batch_norm`.
    """

    def __init__(
        self,
        params: Params,
        block: Training,
        classes: ClassSet,
        init: Path,
        seed: int,
        process_group: ProcessGroup = SINGLE_PROCESS,
    ) -> None:
        torch.manual_seed(seeding.derive(seed, "segmenter"))
        self.spec = ModelSpec(params.model.name, params.model.options, classes)
        segmenter = self.spec.build()
        initialise(segmenter, self.spec, init)
        self.method: ModuleType = method(block.method)
        torch.manual_seed(seeding.derive(seed, "discriminators"))
        heads = ("main", "aux") if is_adversarial(block) else ()
        width = block.discriminator.width
        discriminators = {head: discriminator.build(len(classes), width) for head in heads}
        self.networks = AdversarialNetworks(segmenter, nn.ModuleDict(discriminators))
        self.block, self.compute, self.classes = block, params.compute, len(classes)
        self.process_group, self.class_set, self.seed = process_group, classes, seed
        self.teacher: Teacher | None = None
        self.iteration = 0
        if not process_group.is_main_process:  # the main process keeps the dropout of a run on one device
            torch.manual_seed(seeding.derive(seed, "process", process_group.rank.rank))

    def start(self, device: torch.device) -> None:
        """Move the networks to `device`, set train mode and create the optimizers."""
        layout = torch.channels_last if self.compute.channels_last else torch.contiguous_format
        for net in (self.networks.segmenter, self.networks.discriminators):
            net.to(device, memory_format=layout).train()  # type: ignore[call-overload]
        self.networks = replace(self.networks, bf16=uses_bf16(self.compute, device))
        self.mean = copy.deepcopy(self.networks.segmenter) if self.block.ema else None
        if self.compute.sync_batch_norm and self.process_group.is_distributed:
            sync_batch_norm.synchronise(self.networks.segmenter)
        if settings := self.block.self_training:
            self.teacher = self.method.Teacher(
                self.networks.segmenter,
                settings,
                self.class_set,
                self.seed,
                self.process_group,
                self.networks.bf16,
            )
            self.networks = replace(self.networks, teacher=self.teacher)
        if self.compute.activation_checkpointing:
            activation_checkpointing.install(self.networks.segmenter)
        if is_enabled(self.compute, device):
            install(self.networks.segmenter, device)
        optimizer = self.block.optimizer
        self.optimizer = optimizers.segmenter_optimizer(
            self.networks.segmenter,
            optimizer.name,
            optimizer.lr,
            momentum=optimizer.momentum,
            weight_decay=optimizer.weight_decay,
            heads_lr_multiplier=optimizer.heads_lr_multiplier,
            multiplicity=optimizer.multiplicity,
            layer_decay=optimizer.layer_decay,
            no_decay_on_norms=optimizer.no_decay_on_norms,
        )
        self.discriminator_optimizer = None
        if discriminators := self.networks.discriminators:
            lr = self.block.discriminator.lr
            self.discriminator_optimizer = optimizers.discriminator_optimizer(discriminators, lr)

    @property
    def model(self) -> SegmentationModel:
        """The trained network; with `ema`, the moving average of its weights; if it is saved, the teacher."""
        if self.teacher and self.teacher.settings.saved == "teacher":
            return self.teacher.network
        return self.mean or self.networks.segmenter

    def rates(self) -> dict[str, float]:
        """Return the learning rates of the next iteration: "lr", and "lr_discriminator" if there is one."""
        block = self.block
        bases = {"lr": block.optimizer.lr}
        if self.discriminator_optimizer:
            bases["lr_discriminator"] = block.discriminator.lr
        return {
            name: learning_rate(base, self.iteration, block.max_iters, block.power, block.schedule)
            for name, base in bases.items()
        }

    def step(self, batch: TrainBatch, has_labels: bool = True) -> dict[str, Tensor]:
        """Run one iteration; return the scalar losses by name, unweighted and detached.

        has_labels: False where `batch.source` has no label; its cross entropy then has weight 0.
        """
        active = [optimizer for optimizer in (self.optimizer, self.discriminator_optimizer) if optimizer]
        for optimizer, rate in zip(active, self.rates().values(), strict=True):
            optimizers.set_learning_rate(optimizer, rate)
            optimizer.zero_grad(set_to_none=True)
        weights = self.block.weights
        unlabelled = weights.model_copy(update={"seg": Heads(main=0.0, aux=0.0)})
        method_weights = weights if has_labels else unlabelled
        if self.teacher:
            batch = self.teacher.label(batch, self.iteration)
        batch = batch.weighted(self.process_group, self.classes)
        record: dict[str, Tensor] = {}
        for source, target, supervised, _ in batch.micro_batches(
            self.block.gradient_accumulation_steps, self.classes
        ):
            losses: dict[str, Tensor] = {}
            if supervised:
                groups = supervised_losses(self.networks, supervised, weights.seg)
                losses = back_propagate(groups, supervised.weight)

            losses |= training_step(self.method, self.networks, source, target, method_weights)
            record = {name: record[name] + value if record else value for name, value in losses.items()}
        self.process_group.add_gradients([self.networks.segmenter, self.networks.discriminators])
        for optimizer in active:
            optimizer.step()
        self.iteration += 1
        if self.mean:
            ema.update(self.mean, self.networks.segmenter, self.iteration, self.block.ema)
        if self.teacher:
            self.teacher.update(self.networks.segmenter, self.iteration)
        return self.process_group.total(record)

    def state(self) -> State:
        """Return the state that a resumed run needs. The data depend on `iteration` only, so none is saved.

        With several processes: the tensors of the main process, which are equal in all processes, and the
        random states of all processes. Collective.
        """
        cuda = torch.cuda.get_rng_state() if torch.cuda.is_available() else None
        optimizer = self.discriminator_optimizer
        return {
            "segmenter": self.networks.segmenter.state_dict(),
            "mean": self.mean.state_dict() if self.mean else {},
            "teacher": self.teacher.network.state_dict() if self.teacher else {},
            "discriminators": self.networks.discriminators.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "discriminator_optimizer": optimizer.state_dict() if optimizer else {},
            "random": self.process_group.gather(torch.get_rng_state()),
            "random_cuda": self.process_group.gather(cuda),
        }

    def restore(self, state: State) -> None:
        """Load a state that `state` returned."""
        self.networks.segmenter.load_state_dict(state["segmenter"])
        if self.mean:
            self.mean.load_state_dict(state["mean"])
        if self.teacher:
            self.teacher.network.load_state_dict(state["teacher"])
        self.networks.discriminators.load_state_dict(state["discriminators"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.discriminator_optimizer:
            self.discriminator_optimizer.load_state_dict(state["discriminator_optimizer"])
        cpu, cuda = (state[name][self.process_group.rank.rank] for name in ("random", "random_cuda"))
        torch.set_rng_state(cpu)
        if cuda is not None and torch.cuda.is_available():
            torch.cuda.set_rng_state(cuda)
        self.iteration = state["iteration"]


def train(
    trainer: Trainer,
    data: TrainData,
    seed: int,
    classes: ClassSet,
    device: torch.device,
    snapshots: Snapshots,
    context: Context,
) -> MetricLogger:
    """Train up to `block.iterations`, resuming from the newest checkpoint of this run if there is one.

    Returns the metric logger; the model is in `trainer`. Only the main process writes files.
    Raises UserError for a loss that is not finite, at most `block.log_every` iterations later, and for a
    weight that is not finite when a checkpoint or snapshot would be saved; the last checkpoint is kept.
    Raises Stopped after a signal, when the checkpoint of the current iteration has been saved. Both are
    raised in all processes.
    """
    block, folder, process_group = trainer.block, context.checkpoints, trainer.process_group
    checkpoints = Checkpoints(
        folder, block.checkpoint_every, block.checkpoint_minutes, block.checkpoints_kept
    )
    trainer.start(device)
    metric_logger = MetricLogger(folder / "tensorboard", block.log_every, classes)
    if (state := checkpoints.load()) is not None:
        trainer.restore(state)
        metric_logger.restore(state["metrics"], trainer.iteration)
    is_main, loss_check = process_group.is_main_process, nan_check.LossCheck(process_group)
    logging = metric_logger if is_main else nullcontext()
    with files.writing(folder), suppress_thread_os_errors(), logging, signals.postponed() as request:
        steps = range(trainer.iteration, block.iterations)
        threads = context.loader_threads or default_threads(device)
        batches = batches_on(device, threads, block, data, seed, trainer.iteration, process_group.rank)
        progress = context.progress(steps, block.iterations, "it", trainer.iteration)
        for _, batch in zip(progress, batches, strict=True):
            rates, losses = trainer.rates(), trainer.step(batch, data.has_labels)
            iteration = trainer.iteration
            loss_check.add(iteration, losses, batch.ids())
            save = checkpoints.should_save(iteration) or iteration == block.iterations
            save, request.number = process_group.agree(save, request.number, device)
            save = save or request.number is not None
            snapshot = snapshots.should_keep(iteration, block.iterations)
            if save or snapshot or iteration % block.log_every == 0:
                loss_check.look()
            if is_main:
                metric_logger.add(iteration, losses, rates)
            if save or snapshot:
                nan_check.check_weights(trainer.networks.by_name(), iteration, batch.ids(), process_group)
            if (
                snapshot and is_main
            ):  # before the checkpoint, since a run resumed from it would skip the snapshot
                snapshots.keep(iteration, trainer.model)
            if save:
                state = trainer.state()
                if is_main:
                    image = predict_first(trainer.networks, batch.target or batch.source)
                    metric_logger.add_images(iteration, *image)
                    checkpoints.save(iteration, {**state, "metrics": metric_logger.state()})
                request.raise_if_stopped(iteration)
    return metric_logger


@torch.no_grad()
def predict_first(networks: AdversarialNetworks, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Return the first image (3, H, W) uint8, its predicted label (H, W) int64 and entropy (H, W) in 0..1.

    The forward pass runs in evaluation mode, so that it does not update the statistics of batch
    normalisation.
    """
    networks.segmenter.eval()
    logits = networks.predict(Batch(batch.ids[:1], batch.image[:1], batch.label[:1]))["main"]
    networks.segmenter.train()
    return batch.image[0], logits[0].argmax(0), pixel_entropy(information_map(logits))[0]
