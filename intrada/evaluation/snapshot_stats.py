"""What the criteria of the snapshots of a run (criteria.py) need of the target images, in one pass over them.

The statistics belong to one image each. They are combined in the order of the images, so that the results do
not depend on the number of processes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from intrada.core import seeding
from intrada.core.config.augment_blocks import Colour, Photometric
from intrada.core.distributed.launcher import SINGLE_RANK, Rank
from intrada.core.stage import Context
from intrada.data.batch import Batch
from intrada.data.loader import counted_batches
from intrada.data.photometric import photometric
from intrada.evaluation import criteria, validators
from intrada.evaluation.evaluator import pixels_and_probability
from intrada.evaluation.pixel_stats import LEVELS, confidence_levels
from intrada.inference.predictor import Predictor

# The change of the second view of flip_agreement: in 0..1, as augmentations of a training have them
VIEW = Photometric(
    colour=Colour(brightness=0.3, contrast=0.3, saturation=0.3, hue=0.05, probability=1.0),
)
NEIGHBOURS = 2000  # pixels of all images together, for neighbourhood_density
VOTES = 2**14  # pixels of an image, for mean_agreement: all of a map of 1024 x 1024 / 8 / 8
SEED = 0  # of the changes and of the sampled pixels; the seed of a run must not change how it is measured


class ImageStats(NamedTuple):
    """The statistics of one image under one snapshot.

    At the network's input size: probability: (C,) float64, the mean softmax; entropy: the mean pixel entropy,
    0..1; confidence: (LEVELS + 1,) int64, the pixels by the softmax maximum in steps of 1 / LEVELS.
    At the network's output resolution: gram: (C, C) float64, the sum of p p^T over the pixels' softmax p;
    pixels: their number; sampled: (k, C) float64, the softmax of a few; flip_agreement: share of the pixels
    that keep their class in the changed image, 0..1; votes: (n,) uint8, the classes of evenly spaced pixels.
    """

    id: str
    probability: NDArray[np.float64]
    entropy: float
    confidence: NDArray[np.int64]
    gram: NDArray[np.float64]
    pixels: int
    sampled: NDArray[np.float64]
    flip_agreement: float
    votes: NDArray[np.uint8]


Totals = dict[str, Tensor]  # id of an image -> sum of the softmax of the snapshots, (C, n) float32


@torch.inference_mode()
def image_stats(
    predictors: Sequence[Predictor],
    index: pd.DataFrame,
    batch_size: int,
    device: torch.device,
    context: Context,
    totals: Totals,
    rank: Rank = SINGLE_RANK,
) -> list[list[list[ImageStats]]]:
    """Return the statistics by predictor, batch and image, for the batches of this process.

    predictors: of one member each. index: the columns of index.csv; labels are not read. batch_size: images
    per forward pass. totals: to which the softmax of the pixels of `votes` is added. rank: selects the
    batches of this process.
    """
    stats: list[list[list[ImageStats]]] = [[] for _ in predictors]
    sampled = math.ceil(NEIGHBOURS / len(index))
    for batch in context.progress(*counted_batches(index, batch_size, rank), "batch"):
        changed, batch = _changed(batch).to(device), batch.to(device)
        for number, predictor in enumerate(predictors):
            (low_res_logits,) = predictor.low_res_logits(batch)
            (flipped,) = predictor.low_res_logits(changed)
            kept = (low_res_logits.argmax(1) == flipped.flip(3).argmax(1)).double().mean((1, 2)).tolist()
            stats[number].append(
                [
                    _of_image(predictor, low_res_logits, image, batch, totals, kept[image], sampled)
                    for image in range(len(batch.ids))
                ]
            )
    return stats


def _changed(batch: Batch) -> Batch:
    """Return the mirror images of the batch with the colours changed as VIEW says, by the images' ids."""
    images = [
        photometric(image.flip(2), VIEW, seeding.stream(SEED, "flip_agreement", name))
        for name, image in zip(batch.ids, batch.image, strict=True)
    ]
    return batch._replace(image=torch.stack(images))


def _of_image(
    predictor: Predictor,
    low_res_logits: Tensor,
    image: int,
    batch: Batch,
    totals: Totals,
    flip_agreement: float,
    sampled: int,
) -> ImageStats:
    """Return the statistics of image number `image` of the batch. sampled: the number of sampled pixels."""
    name = batch.ids[image]
    pixels, total = pixels_and_probability(predictor, [low_res_logits], image, batch)
    softmax = low_res_logits[image].float().softmax(0).flatten(1)
    exact = softmax.double()
    count = exact.shape[1]
    random = seeding.stream(SEED, "neighbourhood_density", name)
    few = np.sort(random.choice(count, min(count, sampled), replace=False))
    even = softmax[:, validators.even_sample(count, VOTES)]
    totals[name] = totals[name] + even if name in totals else even
    return ImageStats(
        name,
        total.cpu().numpy() / pixels.entropy.numel(),
        pixels.entropy.mean().item(),
        confidence_levels(pixels).flatten().bincount(minlength=LEVELS + 1).cpu().numpy(),
        (exact @ exact.T).cpu().numpy(),
        count,
        exact[:, few].T.cpu().numpy(),
        flip_agreement,
        even.argmax(0).to(torch.uint8).cpu().numpy(),
    )


def mean_agreements(images: Iterable[ImageStats], totals: Totals) -> list[float]:
    """Return the share of the pixels of each image whose class is that of the mean of the snapshots, 0..1.

    totals: the sums over all snapshots. Source: EnsV (Hu et al., NeurIPS 2024, Datasets and Benchmarks),
    which takes the mean prediction of all candidates as a stand-in for the labels.
    """
    return [
        float((image.votes == totals[image.id].argmax(0).to(torch.uint8).cpu().numpy()).mean())
        for image in images
    ]


def of_target(images: Sequence[ImageStats]) -> dict[str, float]:
    """Return the criteria that one snapshot and the target images determine, each 0..1.

    Each image has the same weight, except in the nuclear norm and the neighbourhood density, where each pixel
    has. flip_agreement is one half of ACM (Chen et al., arXiv 2308.00287): consistency under augmentation.
    """
    probability = sum((image.probability for image in images), start=np.zeros(1)) / len(images)
    entropy = sum(image.entropy for image in images) / len(images)
    gram = sum((image.gram for image in images), start=np.zeros(1))
    return {
        "mean_entropy": entropy,
        "information": criteria.mutual_information(probability, entropy),
        "nuclear_norm": criteria.nuclear_norm(gram, sum(image.pixels for image in images)),
        "neighbourhood_density": criteria.neighbourhood_density(
            np.concatenate([image.sampled for image in images])
        ),
        "flip_agreement": sum(image.flip_agreement for image in images) / len(images),
    }
