"""Measure the share of checkpoints in the training time of the toy city, whose iterations are short."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

from benchmarks import Row, timing
from intrada.core.config.load import load
from intrada.core.distributed.device import configure_torch
from intrada.data.train_batches import TrainBatch
from intrada.training import cost_estimate
from intrada.training.checkpoints import Checkpoints

PRESET = Path("presets/toycity.yaml")
ITERATIONS, SAVES = 20, 10


def measure() -> Row:
    """Return the seconds of a checkpoint, and of the iterations between two checkpoints."""
    params = load(PRESET)
    block, size = params.train_inter, params.preprocess.source.size
    configure_torch(params.compute, params.compute.threads, torch.device("cpu"))
    device = torch.device("cpu")
    trainer = cost_estimate.build_trainer(params, block, device)
    batches = [cost_estimate.noise_batch(block.batch_size, (size[0], size[1]), device) for _ in range(2)]
    step = TrainBatch(batches[0], batches[1], None)
    trainer.step(step)
    iteration = timing.median(lambda: trainer.step(step), ITERATIONS)
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Checkpoints(Path(folder), block.checkpoint_every, 60.0, block.checkpoints_kept)
        save = timing.median(lambda: checkpoints.save(trainer.iteration, trainer.state()), SAVES)
    between = block.checkpoint_every * iteration
    return Row("checkpoint_share", save, between, save / (between + save), "s", "under 0.02")
