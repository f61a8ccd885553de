"""The stages by name. Each is one module: it reads files, calls the package and writes files."""

STAGES: dict[str, str] = {
    "toycity": "draw the toy city in the layouts of GTA5 and Cityscapes",
    "check": "validate the params and the raw data before any output is written",
    "preprocess": "resize the images and map the labels of one domain",
    "train_source": "train on the labelled source images only: the baseline",
    "train_inter": "step 1: adapt from source to target",
    "score": "compute the entropy and the predicted labels of every target image",
    "rank": "step 2: split the target images into easy and hard by entropy",
    "pseudo_label": "make pseudo-labels of the predictions on the easy images",
    "train_intra": "step 3: adapt from easy to hard target images",
    "evaluate_snapshots": "select a snapshot of a training run, with and without labels",
    "evaluate": "compute the IoU of a model on the evaluation images",
    "report": "write the report: figures, tables and an HTML page",
}
