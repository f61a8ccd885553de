"""The stages by name. Each is one module: it reads files, calls the package and writes files."""

STAGES: dict[str, str] = {
    "toycity": "draw the toy city like GTA5 and like Cityscapes",
    "check": "check that the raw data match params.yaml",
    "check_set": "the same for a further labelled data set",
    "preprocess": "resize the images, map the labels to classes",
    "join": "list the further labelled data sets for the trainings",
    "train_source": "train the baseline on the labelled source images only",
    "train_inter": "step 1: adapt from source to target",
    "score": "predict every target image, with its entropy",
    "rank": "step 2: split the target images into easy and hard",
    "pseudo_label": "make pseudo-labels of the easy images",
    "train_intra": "step 3: adapt from easy to hard target images",
    "evaluate_snapshots": "measure and select the snapshots of a training",
    "evaluate": "compute the IoU of a model on the evaluation images",
    "analyse": "compare the models, and choose what to label next",
    "report": "write the report: figures, tables and an HTML page",
}
