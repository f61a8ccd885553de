"""What a training costs, before it starts: bytes, FLOPs, and hours at the speed of this machine.

The stage's own first iteration runs on tensors without data (torch's meta device), so a method is
counted by its own code, and no file is opened. It is an estimate. Counted are the convolutions and
matrix products, forward and backward, and the tensors that outlive an operation: weights, gradients,
optimiser state, and what the largest graph keeps for its backward pass, all as float32; of blocks that are
computed again, their inputs and the largest of them whole. Not counted are
scratch memory (gradients on their way, cuDNN's workspace, the allocator's reserve, torch itself), the
optimiser's step, checkpoints, and reading the images.
"""

from __future__ import annotations

import time
import weakref
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from intrada.core.config.schema import Intra, Params, Training
from intrada.data.loader import Batch
from intrada.data.train_batches import TrainBatch
from intrada.methods import method
from intrada.methods.backward import training_step
from intrada.models.initialise import MARKERS, RANDOM
from intrada.training.trainer import Trainer

META = torch.device("meta")
# The speed is taken at the first of these widths whose pass lasts long enough to be timed.
WIDTHS = (128, 256, 512)
LONG_ENOUGH = 0.1  # seconds


@dataclass(frozen=True)
class Cost:
    """One training stage on one of its devices.

    sizes: (width, height) of the labelled images and, where they are read, of the target's and the extra;
    weights: bytes of parameters, buffers, gradients and optimiser state; kept: bytes that the largest
    graph alive keeps for its backward pass, of a part where a batch is cut; flop: of one iteration.
    """

    stage: str
    method: str
    batch_size: int
    sizes: tuple[tuple[int, int], ...]
    iterations: int
    weights: int
    kept: int
    flop: int

    @property
    def gib(self) -> float:
        """Memory, in GiB."""
        return (self.weights + self.kept) / 2**30

    def hours(self, throughput: float) -> float:
        """Duration on a machine of `throughput` FLOP/s."""
        return self.iterations * self.flop / throughput / 3600


def trainings(params: Params) -> list[Cost]:
    """The costs of the three training stages, in their order; UserError where the network cannot be built."""
    return [training(params, stage) for stage in ("train_source", "train_inter", "train_intra")]


def training(params: Params, stage: str) -> Cost:
    """The cost of one of them; train_intra is taken to have both easy and hard images."""
    block: Training = getattr(params, stage)
    trainer = build_trainer(params, block, META)
    domains = params.preprocess
    labelled = domains.target if stage == "train_intra" else domains.source
    sizes = tuple((domain.size[0], domain.size[1]) for domain in (labelled, domains.target))
    if not trainer.method.NEEDS_TARGET:
        sizes = sizes[:1]
    supervision = block.supervision if isinstance(block, Intra) else "pseudo"
    extra = [] if supervision == "pseudo" else [(domains.source.size[0], domains.source.size[1])]
    images = block.batch_size // params.compute.devices
    first, *target = (any_batch(images, size, META) for size in sizes)
    more = [any_batch(images, size, META) for size in extra]
    step = TrainBatch(first, target[0] if target else None, more[0] if more else None)
    counted = count(trainer, step, supervised=supervision != "source")
    return Cost(stage, block.method, block.batch_size, (*sizes, *extra), block.iterations, *counted)


def measured_throughput(params: Params, device: torch.device) -> float:
    """FLOP/s of the network of `params` on `device`, in training at its precision, without the optimiser.

    One image, small at first: a second or two. A large batch may run faster on a GPU.
    """
    trainer, counted = (build_trainer(params, params.train_source, where) for where in (device, META))
    throughput = 0.0
    for width in WIDTHS:
        size = (width, width // 2)
        with Operations() as operations:
            _play(counted, any_batch(1, size, META))
        batch = any_batch(1, size, device)
        _duration(trainer, batch)  # a compiled network is made by its first call
        seconds = _duration(trainer, batch)
        throughput = operations.flop / seconds
        if seconds > LONG_ENOUGH:
            break
    return throughput


def _duration(trainer: Trainer, batch: Batch) -> float:
    start = time.perf_counter()
    torch.stack(list(_play(trainer, batch).values())).tolist()  # waits until a GPU is done
    return time.perf_counter() - start


def _play(trainer: Trainer, batch: Batch) -> dict[str, Tensor]:
    return training_step(method("source_only"), trainer.networks, batch, None, trainer.block.weights)


def build_trainer(params: Params, block: Training, device: torch.device) -> Trainer:
    """Return the trainer of one stage on `device`, started, with random weights in place of `init`."""
    with device:
        trainer = Trainer(params, block, params.class_set, MARKERS / RANDOM, seed=0)
    trainer.start(device)
    return trainer


def any_batch(images: int, size: tuple[int, int], device: torch.device) -> Batch:
    """`images` images of noise, of size (width, height), whose pixels are all of class 0."""
    shape = (size[1], size[0])
    noise = torch.randint(256, (images, 3, *shape), dtype=torch.uint8, device=device)
    return Batch(["noise"] * images, noise, torch.zeros(images, *shape, dtype=torch.int64, device=device))


def count(trainer: Trainer, batches: TrainBatch, supervised: bool = True) -> tuple[int, int, int]:
    """Run one iteration of a new trainer; returns Cost's (weights, kept, flop), the same on any device."""
    networks = (trainer.networks.segmenter, trainer.networks.discriminators)
    parameters = [weight for net in networks for weight in net.parameters()]
    resident = parameters + [buffer for net in networks for buffer in net.buffers()]
    graphs = Graphs(resident)
    blocks = trainer.networks.segmenter.recomputable() if trainer.compute.activation_checkpointing else []
    with Operations() as operations, saved_tensors_hooks(graphs.pack, _unpack), _inputs(blocks) as inputs:
        trainer.step(batches, supervised)
    again = max((_kept_by(block, features, resident) for block, features in inputs.items()), default=0)
    gradients = [weight.grad for weight in parameters if weight.grad is not None]
    optimizers = [
        optimizer for optimizer in (trainer.optimizer, trainer.discriminator_optimizer) if optimizer
    ]
    states = [
        value for optimizer in optimizers for state in optimizer.state.values() for value in state.values()
    ]
    averaged = trainer.mean.state_dict().values() if trainer.mean else ()
    tensors = [*resident, *averaged, *gradients, *(value for value in states if isinstance(value, Tensor))]
    return sum(tensor.nbytes for tensor in tensors), graphs.peak + again, operations.flop


@contextmanager
def _inputs(blocks: Iterable[nn.Module]) -> Iterator[dict[nn.Module, Tensor]]:
    """Of each block that is called inside: its largest input, without values."""
    largest: dict[nn.Module, Tensor] = {}

    def note(block: nn.Module, arguments: tuple[Tensor]) -> None:
        if block not in largest or arguments[0].numel() > largest[block].numel():
            largest[block] = torch.empty_like(arguments[0], requires_grad=True)

    hooks = [block.register_forward_pre_hook(note) for block in blocks]
    yield largest
    for hook in hooks:
        hook.remove()


def _kept_by(block: nn.Module, features: Tensor, resident: Iterable[Tensor]) -> int:
    """Bytes that a block computed again keeps beside its input while its own backward pass runs."""
    graphs = Graphs([*resident, features])
    with saved_tensors_hooks(graphs.pack, _unpack):
        type(block).forward(block, features)  # not the forward that lets go of them
    return graphs.peak


class _Kept:
    """What autograd holds in place of a saved tensor; its end is the tensor's."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


def _unpack(kept: _Kept) -> Tensor:
    return kept.tensor


class Graphs:
    """Bytes of the distinct storages that the graphs alive keep, those of `resident` left out.

    peak: the most at any time.
    """

    def __init__(self, resident: Iterable[Tensor]) -> None:
        self.peak = self._bytes = 0
        self._resident = {_storage(tensor) for tensor in resident}
        self._holders: Counter[int] = Counter()

    def pack(self, tensor: Tensor) -> _Kept:
        """The hook that autograd calls with every tensor it saves."""
        kept, key, size = _Kept(tensor.detach()), _storage(tensor), tensor.untyped_storage().nbytes()
        if key not in self._resident:
            self._holders[key] += 1
            self._bytes += size if self._holders[key] == 1 else 0
            self.peak = max(self.peak, self._bytes)
            weakref.finalize(kept, self._release, key, size)
        return kept

    def _release(self, key: int, size: int) -> None:
        self._holders[key] -= 1
        self._bytes -= size if self._holders[key] == 0 else 0


def _storage(tensor: Tensor) -> int:
    """What tells storages alive apart; on the meta device they all have the address 0."""
    return int(tensor.untyped_storage()._cdata)


class Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the FLOPs of the tensor operations inside it, by the formulas of torch's flop counter."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flop = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        shortcut = SHORTCUTS.get(func) if args and isinstance(args[0], Tensor) and args[0].is_meta else None
        result = (shortcut or func)(*args, **(kwargs or {}))
        if formula := FORMULAS.get(func.overloadpacket):
            self.flop += formula(*args, **(kwargs or {}), out_val=result)
        return result


def _convolution_backward_flop(gradient: Tensor, images: Tensor, weight: Tensor, *rest: Any, **_: Any) -> int:
    """Each gradient costs a forward pass. Torch's own formula takes a grouped convolution for a full one."""
    transposed, wanted = rest[4], rest[-1]
    swept = images if transposed else gradient
    return int(sum(wanted[:2]) * 2 * weight.numel() * swept.numel() // swept.shape[1])


def _batch_norm(images: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    channels = images.shape[1]
    return torch.empty_like(images), images.new_empty(channels), images.new_empty(channels)


def _batch_norm_backward(gradient: Tensor, *rest: Any) -> tuple[Tensor | None, ...]:
    return tuple(
        made if wanted else None for made, wanted in zip(_batch_norm(gradient), rest[-1], strict=True)
    )


FORMULAS = flop_registry | {torch.ops.aten.convolution_backward: _convolution_backward_flop}
# Torch works out these shapes in Python, 3 ms a call: most of the time of a ResNet-101.
SHORTCUTS = {
    torch.ops.aten.native_batch_norm.default: _batch_norm,
    torch.ops.aten.native_batch_norm_backward.default: _batch_norm_backward,
}
