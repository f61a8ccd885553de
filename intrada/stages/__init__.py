"""The stages, by name: one file each, which reads files, calls and writes files."""

STAGES: dict[str, str] = {
    "toycity": "draw the toy city in the layouts of GTA5 and Cityscapes",
    "check": "validate params and raw data before anything is touched",
    "preprocess": "resize the images and map the labels of one domain",
    "train_source": "train on the source labels alone: the baseline",
    "train_inter": "step 1: adapt from source to target",
    "score": "entropy and predicted labels of every target image",
    "rank": "step 2: split the target into easy and hard by entropy",
    "pseudo_label": "turn the predictions on the easy split into labels",
    "train_intra": "step 3: adapt from easy to hard",
    "evaluate_snapshots": "choose among a run's snapshots, with and without labels",
    "evaluate": "IoU of one model on the evaluation images",
    "report": "figures, tables and the page that shows them",
}
