"""Schema of the block `compute` of params.yaml: device, threads and precision."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from intrada.core.config.data_blocks import Block
from intrada.core.config.types import Count, Switch


class Compute(Block):
    device: Literal["auto", "cpu", "cuda"]  # auto: CUDA if available
    threads: Count  # CPU threads of one training process; the rounding depends on their number
    inference_threads: Count  # CPU threads of one process in inference
    deterministic: bool  # deterministic algorithms on CUDA; a CPU always uses them
    tf32: bool  # on CUDA: convolutions and matrix products in TF32
    precision: Literal["auto", "float32", "bf16"]  # of convolutions; auto: bf16 if the device supports it
    channels_last: bool  # memory format of the networks in training only
    activation_checkpointing: bool  # in training: recompute activations in the backward pass
    compile: Switch  # torch.compile of the network in training; auto: on CUDA
    devices: Count  # GPUs, or processes on the CPU, of one stage; each computes a part of every batch
    sync_batch_norm: bool  # in training with several devices: batch statistics over all of them
    # The following keys change no result, so no stage lists them in its `params:` and no dump has them.
    loader_threads: Count | None = Field(default=None, exclude=True)  # that read the images of a training
    # folder on a disk of the node for copies of the images; may name environment variables
    scratch: str | None = Field(default=None, min_length=1, exclude=True)

    @model_validator(mode="after")
    def _compiles_or_recomputes(self) -> Compute:
        if self.activation_checkpointing and self.compile:
            raise ValueError(
                f"activation_checkpointing requires compile false, but compile is {self.compile!r}"
            )
        return self
