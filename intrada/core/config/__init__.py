"""params.yaml: its schema, its parser, and the classes of a segmentation."""
