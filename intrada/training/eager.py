"""torch's optimizers without torch's compiler, whose import takes as much time as that of torch itself.

torch keeps methods of its optimizers from being compiled by decorators that import the compiler at the first
call. Here no optimizer is compiled, so these classes have the methods that are inside the decorators.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import optim


def _undecorated(method: Any) -> Any:
    return inspect.unwrap(method)


class EagerOptimizer(optim.Optimizer):
    """torch.optim.Optimizer."""

    add_param_group = _undecorated(optim.Optimizer.add_param_group)
    load_state_dict = _undecorated(optim.Optimizer.load_state_dict)
    state_dict = _undecorated(optim.Optimizer.state_dict)
    zero_grad = _undecorated(optim.Optimizer.zero_grad)


class SGD(EagerOptimizer, optim.SGD):
    """torch.optim.SGD, not differentiable."""

    step = torch.no_grad()(_undecorated(optim.SGD.step))


class Adam(EagerOptimizer, optim.Adam):
    """torch.optim.Adam, not differentiable."""

    step = torch.no_grad()(_undecorated(optim.Adam.step))


class AdamW(EagerOptimizer, optim.AdamW):
    """torch.optim.AdamW, not differentiable."""

    step = torch.no_grad()(_undecorated(optim.AdamW.step))
