"""The benchmarks by name."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Benchmark:
    """An entry.

    Attributes:
        summary: what it measures, in a line.
        cpu: whether it belongs to a run without --gpu.
        gpu: whether it belongs to one with it.
        program: whether it has options of its own (given after `--`) and prints its own tables.
        smallest: its own options at the smallest size, where it is such a program.
    """

    summary: str
    cpu: bool = True
    gpu: bool = False
    program: bool = False
    smallest: list[str] = field(default_factory=list)


BENCHMARKS = {
    "encode": Benchmark("documents through the encoder, next to Pyserini and sentence-transformers", gpu=True),
    "encode_memory": Benchmark("peak memory of `encode` as the corpus grows, next to sentence-transformers"),
    "queries": Benchmark("short queries in batches, next to Pyserini's one by one", gpu=True),
    "search": Benchmark("the whole dense search, start included, next to pyserini.search.faiss"),
    "bm25": Benchmark("the whole BM25 search, start included, next to pyserini.search.lucene"),
    "evaluate": Benchmark("ten runs to scores, next to ranx"),
    "load": Benchmark("time and memory of search, evaluate, compare and report as topics grow to 100,000"),
    "start": Benchmark("how long each command takes to give --help"),
    "scale_index": Benchmark("flat, SQ8, HNSW and IVF indexes: building, size, recall, speed"),
    "flat_search": Benchmark("flat search in threads, next to Faiss's own and to torch; --vectors", gpu=True),
    "scale_encode": Benchmark("a million passages in one run; --passages, --gpus", cpu=False, gpu=True),
    "expand_endpoint": Benchmark("requests a second of `expand`, next to one at a time", program=True, smallest=["--topics", "40", "--delay", "0.02", "--sequential", "4"]),
    "generation": Benchmark("tokens a second of `expand --backend transformers`, next to plain generate at the same batch sizes", cpu=False, gpu=True, program=True,
                            smallest=["--tiny", "--batch-sizes", "1", "4", "--max-tokens", "8", "--plain", "1"]),
    "gpu_profile": Benchmark("where the time of generation and encoding goes on a GPU, by kernels", cpu=False, gpu=True, program=True,
                             smallest=["--tiny", "--texts", "12", "--topics", "4", "--batch-sizes", "4", "2", "--main", "4", "--max-tokens", "8", "--steps", "2", "--plain-seconds", "1"]),
    "prefer": Benchmark("topics a second of `prefer`, next to one topic at a time", cpu=False, gpu=True, program=True,
                        smallest=["--shape", "tiny", "--topics", "8", "--candidates", "4", "--one-by-one", "4", "--device", "cpu"]),
    "train_encoder": Benchmark("memory and time of a training step, with and without gradient caching", cpu=False, gpu=True, program=True,
                               smallest=["--shape", "tiny", "--batches", "4", "--steps", "1", "--words", "20", "--device", "cpu"]),
    "report": Benchmark("size and time of a large collection's page", program=True,
                        smallest=["--topics", "20", "--documents", "200", "--hits", "10"]),
}  # fmt: skip
