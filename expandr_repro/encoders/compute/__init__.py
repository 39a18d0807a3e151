"""Speed up encoding: packed attention on a GPU, ONNX Runtime on a CPU, asynchronous copies of vectors."""
