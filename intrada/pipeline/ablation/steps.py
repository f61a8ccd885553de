"""The shared jobs of a run, each in its own process: data, source-only model, model of step 1."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from intrada.pipeline.ablation.places import Places
from intrada.pipeline.ablation.workplace import opened, run

INDEX = {name: Path("data", name, "index.csv") for name in ("source", "target", "val")}
LABELLED = Path("data", "labelled", "index.csv")  # the target images with their labels, for a ceiling
SETS = {
    "sources": "source",
    "target_labelled": "target",
}  # block of data sets -> the domain that they belong to


def data(places: Places, tree: dict[str, Any]) -> None:
    """Generate the toy city if the params have one, check the raw data, and preprocess all data sets."""
    drawn = {block["root"]: Path("raw", name) for name, block in tree["toycity"].items()}
    roots = {name: block["root"] for name, block in tree["preprocess"].items()}
    raw = {name: drawn.get(root, Path(root).absolute()) for name, root in roots.items()}
    with opened(places.work, places, tree):
        for name in tree["toycity"]:
            run("toycity", domain=name, out=Path("raw", name), table=Path("raw", f"{name}.csv"))
        run("check", **raw, stamp=Path("stamp.json"), out=Path(places.found.name))
        for name, index in INDEX.items():
            images, labels = index.with_name("images"), index.with_name("labels")
            run("preprocess", domain=name, root=raw[name], index=index, images=images, label_folder=labels)
        for block, domain in SETS.items():
            for name, entry in tree[block].items():
                chosen = {block: name, "root": drawn.get(entry["root"], Path(entry["root"]).absolute())}
                run("check_set", **chosen, stamp=Path(f"{name}_stamp.json"), out=Path(f"{name}_found.json"))
                index = Path("data", domain, name, "index.csv")
                images, labels = index.with_name("images"), index.with_name("labels")
                run("preprocess", **chosen, index=index, images=images, label_folder=labels)
    _keep_labels(places, tree, raw["target"])


def _keep_labels(places: Places, tree: dict[str, Any], root: Path) -> None:
    """Preprocess the target again as a source, which has labels, if all of its images have one."""
    found = json.loads(places.found.read_text(encoding="utf-8"))["target"]
    if found["labelled"] < found["images"]:
        return
    root = root if root.is_absolute() else (places.work / root).absolute()
    blocks = tree["preprocess"] | {"source": tree["preprocess"]["target"]}
    with opened(places.step("labelled"), places, tree | {"preprocess": blocks}):
        images, labels = LABELLED.with_name("images"), LABELLED.with_name("labels")
        run("preprocess", domain="source", root=root, index=LABELLED, images=images, label_folder=labels)


def source(places: Places, tree: dict[str, Any]) -> None:
    """Train on the source labels only."""
    model, init = places.model("source").absolute(), initial(tree["train_source"], None)
    with opened(places.step("source"), places, tree):
        run("train_source", **labelled(), init=init, **trained(model))


def inter(places: Places, tree: dict[str, Any]) -> None:
    """Run step 1, score the target images with its model, and split the evaluation images by difficulty."""
    before, model = places.model("source").absolute(), places.model("inter").absolute()
    scores, images = places.scores.absolute(), places.images.absolute()
    init = initial(tree["train_inter"], before)
    with opened(places.step("inter"), places, tree):
        domains = {**labelled(), "target": INDEX["target"]}
        run("train_inter", **domains, init=init, **trained(model))
        run("score", target=INDEX["target"], model=model, **scored(scores))
        run("evaluate", name="inter", images=INDEX["val"], model=[model], **evaluated(table=images))


def joined(block: str) -> Path:
    """List the data sets of a block of the params in a table in the open folder; return its path."""
    out = Path(f"{block}.csv")
    run("join", block=block, folder=Path("data", SETS[block]), out=out)
    return out


def labelled() -> dict[str, Path]:
    """Return the inputs of a training that say which source images there are."""
    return {"source": INDEX["source"], "sources": joined("sources")}


def initial(block: dict[str, Any], model: Path | None) -> Path:
    """Return the initial weights of a training: `model` if `init` names a result of the pipeline."""
    init = Path(block["init"])
    if model and init.parts[0] == "results":
        return model
    return init if init.parent == Path("weights") else init.absolute()


def trained(model: Path, folder: Path = Path()) -> dict[str, Path]:
    """Return the output paths of a training stage; all but the model are in `folder`."""
    return {"model": model, "snapshots": folder / "snapshots", "losses": folder / "losses.csv"}


def scored(folder: Path) -> dict[str, Path]:
    """Return the output paths of `score`, which are inputs of later stages."""
    return {
        "out": folder / "scores.csv",
        "predictions": folder / "predictions",
        "confidence": folder / "confidence",
    }


def evaluated(**chosen: Path) -> dict[str, Path]:
    """Return the output paths of `evaluate`, in the working folder except for the `chosen` ones."""
    usual = {
        "metrics": Path("metrics.json"),
        "class_iou": Path("classes.csv"),
        "confusion": Path("confusion.csv"),
        "table": Path("images.csv"),
        "samples": Path("samples"),
        "predictions": Path("predictions"),
        "reliability": Path("reliability.csv"),
    }
    return usual | chosen
