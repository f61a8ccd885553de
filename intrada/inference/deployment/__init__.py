"""What is done with a trained model outside of the pipeline: predictions of any images, and an ONNX file."""
