"""Forward passes in train mode that do not update the running statistics of batch normalisation.

In training, the statistics of the batch are used; in inference, the running statistics, which mix those of
source and target if both are trained on. AdaBN (Li et al., 2016) uses those of the target only; IntraDA uses
both. Params: bn_statistics.
"""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


class FrozenBNStats:
    """Context manager within which the running statistics of `network` are not updated.

    It sets the momentum to 0. Setting the statistics to None instead would change the tensors that a layer
    saves for its backward pass. Reusable, not reentrant.
    """

    def __init__(self, network: nn.Module) -> None:
        self.norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]

    def __enter__(self) -> None:
        self.saved = [(norm.momentum, norm.num_batches_tracked) for norm in self.norms]
        for norm in self.norms:
            norm.momentum, norm.num_batches_tracked = 0.0, None

    def __exit__(self, *_: object) -> None:
        for norm, (momentum, counter) in zip(self.norms, self.saved, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, counter
