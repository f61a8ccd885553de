"""A trained model outside the pipeline: prediction of images and videos, the Python API, ONNX export."""
