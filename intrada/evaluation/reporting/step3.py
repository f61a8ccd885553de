"""What step 3 of a run trained on, which several sections of the page say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Value = Callable[[str, str], Any]  # dotted key of the params, job -> the value in the run of this job
TEACHING = "mean_teacher"


@dataclass(frozen=True)
class Step3:
    """has_teacher: a training has an online teacher; is_taught: that of step 3 has; uses_pseudo_labels: the
    pseudo-labels of the easy images are labels of step 3.
    """

    has_teacher: bool = False
    is_taught: bool = False
    uses_pseudo_labels: bool = True


PAPER = Step3()


def of_run(value: Value) -> Step3:
    """Return what the params of the runs say."""
    methods = [value(f"{job}.method", job) for job in ("train_inter", "train_intra")]
    is_taught = methods[1] == TEACHING
    mixes = is_taught and value("train_intra.self_training.mix", "train_intra") == "easy_on_hard"
    supervision = value("train_intra.supervision", "train_intra")
    return Step3(TEACHING in methods, is_taught, supervision != "source" or mixes)
