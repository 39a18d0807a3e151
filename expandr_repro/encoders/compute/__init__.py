"""Speed up encoding: packed attention on a GPU, oneDNN on a CPU, asynchronous copies of vectors."""
