"""Estimate of the memory and FLOPs of a training stage before it starts; step_timing.py measures its time.

The first iteration of the stage runs on torch's meta device, whose tensors have no data. It executes the code
of the method, so that the estimate also holds for a new method, and reads no file.
FLOPs: the convolutions and matrix products, forward and backward.
Memory, in float32: weights, gradients, optimizer state, and the activations that the largest autograd graph
saves for its backward pass. With activation checkpointing, the activations are the inputs of all blocks and
those inside the largest block.
Not included: temporary memory (intermediate gradients, cuDNN's workspace, the allocator's reserve, torch
itself), the optimizer's step, checkpoints, and reading the images.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from intrada.core.config.data_blocks import Domain
from intrada.core.config.schema import Params
from intrada.core.config.training_blocks import Intra, Training
from intrada.data.batch import Batch
from intrada.data.train_batches import TrainBatch
from intrada.models.initialise import MARKERS, RANDOM
from intrada.training.flop_counter import FlopCounter
from intrada.training.trainer import Trainer

META = torch.device("meta")


@dataclass(frozen=True)
class Cost:
    """The cost of one training stage on one of its devices.

    sizes: (width, height) in pixels of what the network sees, a crop or a whole image, for the source images
    and, if they are read, for the target and the supervised images; weights: bytes of parameters, buffers,
    gradients and optimizer state; activations: the largest number of bytes that autograd saves at any time,
    of one micro-batch if there are several; flop: FLOPs of one iteration.
    """

    stage: str
    method: str
    batch_size: int
    sizes: tuple[tuple[int, int], ...]
    iterations: int
    weights: int
    activations: int
    flop: int

    @property
    def gib(self) -> float:
        """Memory in GiB."""
        return (self.weights + self.activations) / 2**30


def estimate_all(params: Params) -> list[Cost]:
    """Return the costs of train_source, train_inter and train_intra, in this order.

    Raises UserError if the network cannot be built.
    """
    return [estimate_stage(params, stage) for stage in ("train_source", "train_inter", "train_intra")]


def estimate_stage(params: Params, stage: str) -> Cost:
    """Return the cost of one training stage. train_intra is assumed to have both easy and hard images."""
    block: Training = getattr(params, stage)
    trainer = build_trainer(params, block, META)
    domains = params.preprocess
    of_easy = isinstance(block, Intra) and not block.starts_with_source
    source = domains.target if of_easy else domains.source
    sizes = (block.augment.seen(source.size), block.augment_for_target.seen(domains.target.size))
    read = sizes if trainer.method.NEEDS_TARGET else sizes[:1]
    all_sizes = (*read, *_supervised_sizes(params, block))
    batch = noise_train_batch(params, stage, all_sizes, META)
    counts = count_iteration(trainer, batch, block.has_labels)
    return Cost(stage, block.method, block.batch_size, all_sizes, block.iterations, *counts)


def _supervised_sizes(params: Params, block: Training) -> list[tuple[int, int]]:
    """Return the largest (width, height) of the images that `TrainBatch.supervised` may have, if any."""
    if not isinstance(block, Intra):
        return []
    domains: list[Domain] = [*params.target_labelled.values()]
    if block.adds_source:
        domains.append(params.preprocess.source)
    return sorted((block.augment.seen(domain.size) for domain in domains), key=prod)[-1:]


def noise_train_batch(
    params: Params, stage: str, sizes: Sequence[tuple[int, int]], device: torch.device
) -> TrainBatch:
    """Return a batch of noise of one device of a stage. sizes: as in Cost."""
    block: Training = getattr(params, stage)
    images = block.batch_size // params.compute.devices
    source, *others = (noise_batch(images, size, device) for size in sizes)
    supervised = others.pop() if _supervised_sizes(params, block) else None
    target = others[0] if others else None
    mixes_easy = block.self_training and block.self_training.mix == "easy_on_hard"
    return TrainBatch(source, target, supervised, target if mixes_easy else None)


def build_trainer(params: Params, block: Training, device: torch.device) -> Trainer:
    """Return a started trainer of one stage on `device`, with random weights instead of those of `init`."""
    with device:
        trainer = Trainer(params, block, params.class_set, MARKERS / RANDOM, seed=0)
    trainer.start(device)
    return trainer


def noise_batch(images: int, size: tuple[int, int], device: torch.device) -> Batch:
    """Return `images` images of uniform noise, `size` = (width, height) pixels, all pixels of class 0."""
    shape = (size[1], size[0])
    noise = torch.randint(256, (images, 3, *shape), dtype=torch.uint8, device=device)
    label = torch.zeros(images, *shape, dtype=torch.int64, device=device)
    return Batch(["noise"] * images, noise, label, easy=[False] * images)


def count_iteration(trainer: Trainer, batch: TrainBatch, has_labels: bool = True) -> tuple[int, int, int]:
    """Run the first iteration of a trainer; return (weights, activations, flop) as in Cost.

    The result is the same on all devices, but for attention, whose kernels differ (0.1 % of a SegFormer).
    has_labels: see Trainer.step.
    """
    networks = (trainer.networks.segmenter, trainer.networks.discriminators)
    parameters = [weight for net in networks for weight in net.parameters()]
    resident = parameters + [buffer for net in networks for buffer in net.buffers()]
    saved = SavedTensorBytes(resident)
    blocks = trainer.networks.segmenter.recomputable() if trainer.compute.activation_checkpointing else []
    with FlopCounter() as counter, saved_tensors_hooks(saved.pack, _unpack), _inputs(blocks) as inputs:
        trainer.step(batch, has_labels)
    recomputed = max(
        (_recomputed_bytes(block, features, resident) for block, features in inputs.items()), default=0
    )
    gradients = [weight.grad for weight in parameters if weight.grad is not None]
    optimizers = [
        optimizer for optimizer in (trainer.optimizer, trainer.discriminator_optimizer) if optimizer
    ]
    states = [
        value for optimizer in optimizers for state in optimizer.state.values() for value in state.values()
    ]
    copies = [net for net in (trainer.mean, *(trainer.teacher.copies() if trainer.teacher else ())) if net]
    copied = [value for net in copies for value in net.state_dict().values()]
    tensors = [*resident, *copied, *gradients, *(value for value in states if isinstance(value, Tensor))]
    return sum(tensor.nbytes for tensor in tensors), saved.peak + recomputed, counter.flop


@contextmanager
def _inputs(blocks: Iterable[nn.Module]) -> Iterator[dict[nn.Module, Tensor]]:
    """Yield a dict that receives an empty tensor like the largest input of each block called in the body."""
    largest: dict[nn.Module, Tensor] = {}

    def hook(block: nn.Module, arguments: tuple[Tensor]) -> None:
        if block not in largest or arguments[0].numel() > largest[block].numel():
            largest[block] = torch.empty_like(arguments[0], requires_grad=True)

    handles = [block.register_forward_pre_hook(hook) for block in blocks]
    yield largest
    for handle in handles:
        handle.remove()


def _recomputed_bytes(block: nn.Module, features: Tensor, resident: Iterable[Tensor]) -> int:
    """Return the bytes that a recomputed block saves in addition to its input during its backward pass."""
    saved = SavedTensorBytes([*resident, features])
    with saved_tensors_hooks(saved.pack, _unpack):
        type(block).forward(block, features)  # the forward of the class, which does not recompute
    return saved.peak


class _SavedTensor:
    """The object that autograd holds instead of a saved tensor. It lives as long as autograd needs it."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


def _unpack(saved: _SavedTensor) -> Tensor:
    return saved.tensor


class SavedTensorBytes:
    """Bytes of the distinct storages that autograd saves for backward passes, except those of `resident`.

    peak: the largest number of bytes at any time.
    """

    def __init__(self, resident: Iterable[Tensor]) -> None:
        self.peak = self._bytes = 0
        self._resident = {_storage_id(tensor) for tensor in resident}
        self._holders: Counter[int] = Counter()

    def pack(self, tensor: Tensor) -> _SavedTensor:
        """Count a tensor that autograd saves; a pack hook for saved_tensors_hooks."""
        key, size = _storage_id(tensor), tensor.untyped_storage().nbytes()
        saved = _SavedTensor(tensor.detach())
        if key not in self._resident:
            self._holders[key] += 1
            self._bytes += size if self._holders[key] == 1 else 0
            self.peak = max(self.peak, self._bytes)
            weakref.finalize(saved, self._release, key, size)
        return saved

    def _release(self, key: int, size: int) -> None:
        self._holders[key] -= 1
        self._bytes -= size if self._holders[key] == 0 else 0


def _storage_id(tensor: Tensor) -> int:
    """Return a number that is unique among live storages. On the meta device all have the address 0."""
    return int(tensor.untyped_storage()._cdata)
