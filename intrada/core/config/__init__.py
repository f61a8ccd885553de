"""params.yaml: its schema, how it is read, and the classes of a segmentation."""
