"""Schema of the block window of the stages that predict: inference on parts of large images."""

from __future__ import annotations

from pydantic import model_validator

from intrada.core.config.data_blocks import Block
from intrada.core.config.types import Size


class Window(Block):
    """Overlapping windows, which the network gets one after another in place of the whole image."""

    size: Size  # width, height in pixels: best the `crop` of the training
    stride: Size  # pixels from one window to the next, horizontally and vertically

    @model_validator(mode="after")
    def _windows_overlap_or_touch(self) -> Window:
        if any(step > side for step, side in zip(self.stride, self.size, strict=True)):
            raise ValueError(f"stride {self.stride} is larger than size {self.size}, so pixels are left out")
        return self
