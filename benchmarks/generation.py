"""Tokens a second of `expand --backend transformers` at several batch sizes, next to plain `generate`.

The model has the shape of Llama 3.2 1B (1.24 billion parameters) and random weights, saved and loaded as safetensors, in
bf16 on a GPU. A random model's next-token distribution is nearly flat, so that a nucleus of 0.9 would hold most of the
vocabulary; the last norm is scaled (--peak) until it is as peaked as a trained model's. Needs torch and transformers only.

    python -m benchmarks generation                                   # on a GPU, some minutes
    python -m benchmarks generation -- --tiny --batch-sizes 1 4 --max-tokens 16   # a rehearsal on a CPU
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.texts import differing
from expandr_repro.console.tables import Table
from expandr_repro.llm.base import GeneratorOptions, Reply, Request
from expandr_repro.llm.local.chat import prompt_ids
from expandr_repro.llm.local.transformers import TransformersGenerator
from expandr_repro.llm.sampling import Sampling, seed_of

WORDS = (
    "rain",
    "snow",
    "wind",
    "sun",
    "cloud",
    "storm",
    "river",
    "sea",
    "tide",
    "coast",
    "island",
    "bird",
    "fish",
    "tree",
)
BIG = {"vocab_size": 128256, "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32,
       "num_key_value_heads": 8, "max_position_embeddings": 8192, "tie_word_embeddings": True, "rope_theta": 500000.0}  # fmt: skip
TINY = BIG | {"vocab_size": 512, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
              "num_key_value_heads": 2}  # fmt: skip


def save_model(folder: Path, shape: dict[str, Any], peak: float) -> float:
    """Save a Llama of this shape with random weights and a byte-level tokenizer; return its parameters in billions."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
    from transformers.utils import logging as noise

    noise.disable_progress_bar()

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate(["<s>", "</s>", *letters])}
    made = Tokenizer(models.BPE(vocabulary, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token="</s>").save_pretrained(folder)
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with torch.device(device):
        model = LlamaForCausalLM(LlamaConfig(**shape, bos_token_id=0, eos_token_id=1)).to(torch.bfloat16)
    with torch.no_grad():
        model.model.norm.weight.mul_(peak)
    model.save_pretrained(folder)
    return float(sum(p.numel() for p in model.parameters())) / 1e9


def requests(count: int, max_tokens: int) -> list[Request]:
    """Return prompts of 5 to 20 words in q2d's form, the same each time."""
    chance = random.Random(1)
    made = []
    for i in range(count):
        query = " ".join(chance.choices(WORDS, k=chance.randint(5, 20)))
        prompt = f"Please write a passage to answer the question.\nQuestion: {query}\nPassage:"
        made.append(Request(i, prompt, Sampling(max_tokens=max_tokens), seed_of(42, str(i), 0)))
    return made


def wait() -> None:
    """Wait until the GPU is done."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def measure_plain(model: Any, tokenizer: Any, asked: list[Request], most_seconds: float | None = None) -> tuple[int, float]:  # fmt: skip
    """Return (tokens, seconds) of plain `generate` on one batch; it stops after `most_seconds`."""
    import torch
    from transformers import GenerationConfig

    ids = prompt_ids(tokenizer, [request.prompt for request in asked])
    width = max(map(len, ids))
    pad, ends = model.generation_config.pad_token_id, model.generation_config.eos_token_id
    tokens = torch.tensor([[pad] * (width - len(row)) + row for row in ids], device=model.device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in ids], device=model.device)
    sampling = asked[0].sampling
    config = GenerationConfig(do_sample=True, temperature=sampling.temperature, top_p=sampling.top_p, top_k=0, max_new_tokens=sampling.max_tokens,
                              max_time=most_seconds, eos_token_id=ends, pad_token_id=pad)  # fmt: skip
    start = time.perf_counter()
    with torch.inference_mode():
        new = model.generate(input_ids=tokens, attention_mask=mask, generation_config=config)[:, width:]
    wait()
    seconds = time.perf_counter() - start
    ended = torch.isin(new, torch.tensor(ends, device=new.device)).long().cumsum(1) > 0
    return int((~ended).sum() + ended.any(1).sum()), seconds


def measure_ours(generator: TransformersGenerator, asked: list[Request]) -> tuple[int, float]:
    """Return (tokens, seconds) of the generator."""
    replies: list[Reply] = []
    start = time.perf_counter()
    generator.generate(iter(asked), replies.append)
    wait()
    seconds = time.perf_counter() - start
    if len(replies) != len(asked) or any(r.failure for r in replies):
        raise SystemExit("some requests failed")
    return sum(r.tokens_out for r in replies), seconds


def _prompts(asked: list[Request]) -> int:
    return differing(str(request.prompt) for request in asked)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark and print its table."""
    made = argparse.ArgumentParser(
        prog="python -m benchmarks generation --",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 32, 256])
    made.add_argument("--max-tokens", type=int, default=256)
    made.add_argument("--plain", type=int, default=4, help="prompts for one at a time")
    made.add_argument("--peak", type=float, default=9.0, help="factor of the last norm")
    made.add_argument("--tiny", action="store_true", help="a model of two layers, to rehearse")
    args = made.parse_args(argv)
    import torch
    import transformers

    gpu = torch.cuda.is_available()
    rows: list[list[str | float | int | None]] = []
    with tempfile.TemporaryDirectory() as name:
        billions = save_model(Path(name), TINY if args.tiny else BIG, args.peak)
        generator = TransformersGenerator(GeneratorOptions(name))
        model, tokenizer = generator.model_and_tokenizer
        measure_plain(model, tokenizer, requests(1, 8))  # warm up
        parts = [measure_plain(model, tokenizer, [request]) for request in requests(args.plain, args.max_tokens)]
        tokens, seconds = (sum(values) for values in zip(*parts, strict=True))
        single = tokens / seconds
        rows.append(["plain generate, one at a time", args.plain, _prompts(requests(args.plain, 1)), tokens, seconds, single, 1.0, None])  # fmt: skip
        for size in args.batch_sizes:
            if size > 1:
                asked = requests(size, args.max_tokens)
                try:
                    tokens, seconds = measure_plain(model, tokenizer, asked)
                    rows.append([f"plain generate, batch size {size}", size, _prompts(asked), tokens, seconds, tokens / seconds, tokens / seconds / single, None])  # fmt: skip
                except torch.OutOfMemoryError:
                    rows.append([f"plain generate, batch size {size}: out of memory", *[None] * 7])
            generator = TransformersGenerator(GeneratorOptions(name, batch_size=size))
            measure_ours(generator, requests(size, 8))  # warm up, and load
            if gpu:
                torch.cuda.reset_peak_memory_stats()
            asked = requests(args.plain if size == 1 else 2 * size, args.max_tokens)
            tokens, seconds = measure_ours(generator, asked)
            memory = torch.cuda.max_memory_allocated() / 2**30 if gpu else None
            rows.append(
                [
                    f"expand, batch size {size}",
                    len(asked),
                    _prompts(asked),
                    tokens,
                    seconds,
                    tokens / seconds,
                    tokens / seconds / single,
                    memory,
                ]
            )
    device = torch.cuda.get_device_name() if gpu else "CPU"
    print(f"{device}, torch {torch.__version__}, transformers {transformers.__version__}, {generator.weights.precision}; Llama shape, "
          f"{billions:.2f} billion parameters, random weights; at most {args.max_tokens} new tokens, T = 1.0, top-p 0.9\n")  # fmt: skip
    print(
        Table(
            ["", "texts", "distinct prompts", "tokens", "seconds", "tokens/s", "times plain", "peak GiB"], rows
        ).render("markdown")
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
