"""Speed up encoding: packed and fused attention on a GPU, ONNX Runtime on a CPU, asynchronous copies of vectors."""
