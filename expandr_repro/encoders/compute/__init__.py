"""What makes encoding fast: packed attention on a GPU, oneDNN on a CPU, vectors fetched behind."""
