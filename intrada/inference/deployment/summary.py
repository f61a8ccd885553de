"""The lines that `predict` prints: how the network gets the images, and at the end what it predicted."""

from __future__ import annotations

from pathlib import Path

from intrada.inference.deployment.prediction import PredictOptions, Table


def describe_input(options: PredictOptions, training_size: tuple[int, int]) -> str:
    """Return how the network gets each image. training_size: (width, height) of the training images."""
    if options.size is None:
        text = "each image at its own size"
    else:
        width, height = options.size
        is_default = options.size == training_size
        text = f"{width}x{height} pixels" + (", the size of its training images" if is_default else "")
    if window := options.predictor.window:
        sides, steps = ("x".join(map(str, pair)) for pair in (window.size, window.stride))
        text += f", in windows of {sides} every {steps} pixels"
    return f"{text}; each image and its mirror image" if options.predictor.flip else text


def lines(table: Table, path: Path, network_input: str, seconds: float, failed: int) -> list[str]:
    """Return the summary of a run.

    table: its rows, all written; path: their file; seconds: time from the first image read to the last file
    written; failed: images and videos that could not be used. Without rows it is one line.
    """
    first = f"{table.rows} images and frames, {failed} failed: {path}"
    if not table.rows:
        return [first]
    names = table.classes.names
    width = max(map(len, names))
    shares = [
        f"{name:<{width}}  {share:6.1%}"
        for name, share in zip(names, table.pixels / table.pixels.sum(), strict=True)
    ]
    facts = [
        ("input of the network", network_input),
        ("time", f"{seconds / table.rows:.3g} seconds an image, with reading and writing"),
        ("mean entropy", f"{table.entropies / table.rows:.3f} (0: certain, 1: the largest possible)"),
        ("share of the pixels", shares[0]),
        *(("", share) for share in shares[1:]),
    ]
    return [first, *(f"  {name:<20}  {text}" for name, text in facts)]
