"""Where the time of generation and of encoding goes on a GPU: rates, kernels and gaps.

One JSON object per line, printed and written to a file as it is found, so that a run that is cut off shows what it had. Work
that no longer fits into the time limit is left out and named.

    python -m benchmarks gpu_profile -- --model FOLDER --output gpu.jsonl        # on a GPU
    python -m benchmarks gpu_profile -- --tiny                                   # a rehearsal on a CPU
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.generation import TINY, measure_ours, measure_plain, requests, save_model, wait
from expandr_repro.llm.base import GeneratorOptions, Request
from expandr_repro.llm.local import decoding
from expandr_repro.llm.local.decoder import Decoder
from expandr_repro.llm.local.seeded import sample
from expandr_repro.llm.local.transformers import TransformersGenerator
from expandr_repro.llm.sampling import Sampling, seed_of

LLM = {"vocab_size": 151936, "hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28, "num_attention_heads": 12,
       "num_key_value_heads": 2, "max_position_embeddings": 8192, "tie_word_embeddings": True, "rope_theta": 1000000.0}  # fmt: skip
"""Qwen2.5 1.5B's shape, for where no model is given."""
TOP = 15


class Log:
    """Print and keep lines of JSON, and know how much time is left."""

    def __init__(self, output: Path | None, limit: float) -> None:
        self._file = output.open("a", encoding="utf-8") if output else None
        self._began, self._limit, self.reserve = time.perf_counter(), limit, 0.0
        self.failed = False

    def __call__(self, what: str, **values: Any) -> None:
        """Write one line."""
        line = json.dumps({"what": what, **values, "at": round(time.perf_counter() - self._began, 1)})
        print(line, flush=True)
        if self._file:
            self._file.write(line + "\n")
            self._file.flush()

    def fits(self, what: str, seconds: float) -> bool:
        """Return whether so many seconds are left; where not, say what is left out."""
        left = self._limit - self.reserve - (time.perf_counter() - self._began)
        if left < seconds:
            self("left out", of=what, seconds_wanted=seconds, seconds_left=round(left, 1))
        return left >= seconds

    def attempt(self, what: str, work: Callable[[], dict[str, Any]]) -> None:
        """Do a part and write what it gives; a part that fails is written as such, stops nothing, and fails the whole."""
        try:
            found = work()
            self.failed |= found.get("share_of_matmul_rate", 0) > 1  # faster than the machine can be
            self(what, **found)
        except Exception as error:  # noqa: BLE001
            self.failed = True
            self(what, failed=f"{type(error).__name__}: {str(error)[:400]}")


def milliseconds(work: Callable[[], object], times: int = 10) -> float:
    """Return the milliseconds of one call, device work included: the mean of several after one."""
    work()
    wait()
    begin = time.perf_counter()
    for _ in range(times):
        work()
    wait()
    return round(1000 * (time.perf_counter() - begin) / times, 4)


def kernels(work: Callable[[], object]) -> dict[str, Any]:
    """Profile some work: the kernels with the largest shares, and how long the device stood still between kernels."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    gpu = torch.cuda.is_available()
    with profile(activities=[ProfilerActivity.CUDA if gpu else ProfilerActivity.CPU]) as found:
        work()
        wait()
    kind = "CUDA" if gpu else "CPU"
    events = sorted(
        (e.time_range.start, e.time_range.end, e.name) for e in found.events() or () if e.device_type.name == kind
    )
    if not events:
        return {"kernels": []}
    spent: dict[str, list[float]] = defaultdict(list)
    until, gaps = events[0][0], []
    for start, end, name in events:
        spent[name].append(end - start)
        if start > until:
            gaps.append(start - until)
        until = max(until, end)
    whole = until - events[0][0]
    top = sorted(spent.items(), key=lambda item: -sum(item[1]))[:TOP]
    return {
        "milliseconds": round(whole / 1000, 2),
        "launches": len(events),
        "idle_share": round(sum(gaps) / whole, 4),
        "gaps_over_20us": sum(g > 20 for g in gaps),
        "gaps_over_20us_milliseconds": round(sum(g for g in gaps if g > 20) / 1000, 2),
        "top": [[name[:140], len(t), round(sum(t) / 1000, 3), round(sum(t) / whole, 4)] for name, t in top],
    }


# --- generation


def texts_asked(prompts: list[str], count: int, max_tokens: int) -> list[Request]:
    """Return so many requests: each prompt's samples next to each other, each with its own seed."""
    each = max(1, -(-count // len(prompts)))
    return [
        Request((p, n), prompts[p], Sampling(max_tokens=max_tokens), seed_of(42, str(p), n))
        for p in range(len(prompts))
        for n in range(each)
    ][:count]


class Counter:
    """Count what a decoder does, and how long the host is at it."""

    def __init__(self) -> None:
        self.calls: dict[str, list[float]] = defaultdict(list)

    def __enter__(self) -> Counter:
        self._plain = {name: getattr(Decoder, name) for name in ("read", "put", "keep", "step", "_capture")}
        for name, plain in self._plain.items():
            setattr(Decoder, name, self._counted(name, plain))
        return self

    def __exit__(self, *_: object) -> None:
        for name, plain in self._plain.items():
            setattr(Decoder, name, plain)

    def _counted(self, name: str, plain: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*given: Any, **named: Any) -> Any:
            begin = time.perf_counter()
            try:
                return plain(*given, **named)
            finally:
                self.calls[name].append(time.perf_counter() - begin)

        return counted

    @property
    def facts(self) -> dict[str, Any]:
        return {name: {"calls": len(t), "host_seconds": round(sum(t), 2)} for name, t in self.calls.items()}


def generation(log: Log, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Measure generation; return nothing that is not written yet."""
    import torch

    begin = time.perf_counter()
    first = TransformersGenerator(GeneratorOptions(str(folder), batch_size=args.batch_sizes[0]))
    model, tokenizer = first.model_and_tokenizer
    wait()
    log("model", load_seconds=round(time.perf_counter() - begin, 2), dtype=str(model.dtype), billions=round(sum(p.numel() for p in model.parameters()) / 1e9, 3))  # fmt: skip
    prompts = _prompts(args)
    begin = time.perf_counter()
    measure_ours(first, texts_asked(prompts, 64, 8))
    log("first call", seconds=round(time.perf_counter() - begin, 2))

    def ours(size: int, count: int) -> dict[str, Any]:
        generator = TransformersGenerator(GeneratorOptions(str(folder), batch_size=size))
        generator._loaded, generator._supported = first._loaded, first._decodes
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        with Counter() as counter:
            tokens, seconds = measure_ours(generator, texts_asked(prompts, count, args.max_tokens))
        steps = len(counter.calls["step"])
        peak = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else 0
        return {"batch_size": size, "texts": count, "tokens": tokens, "seconds": round(seconds, 2), "tokens_per_second": round(tokens / seconds, 1),
                "row_use": round(tokens / max(1, steps * size), 3), "peak_GiB": round(peak, 1), **counter.facts}  # fmt: skip

    main = args.main if args.main in args.batch_sizes else args.batch_sizes[0]
    log.attempt("generation", lambda: ours(main, args.texts))
    if log.fits("profile", 15):
        _steps(log, model, tokenizer, prompts, main, args)
    for size in args.batch_sizes:
        if size != main and log.fits(f"generation, batch size {size}", 20 if size > main else 15):
            log.attempt("generation", lambda size=size: ours(size, min(args.texts, (2 if size > main else 4) * size)))  # type: ignore[misc]
    for size in args.batch_sizes:
        if log.fits(f"plain generate, batch size {size}", args.plain_seconds + 5):
            log.attempt("plain generate", lambda size=size: _plain(model, tokenizer, prompts, size, args))  # type: ignore[misc]
    return {}


def _plain(model: Any, tokenizer: Any, prompts: list[str], size: int, args: argparse.Namespace) -> dict[str, Any]:
    """Measure `generate` on one batch, stopped after some seconds."""
    measure_plain(model, tokenizer, texts_asked(prompts, size, 4))
    made, seconds = measure_plain(model, tokenizer, texts_asked(prompts, size, args.max_tokens), args.plain_seconds)
    return {"batch_size": size, "tokens": made, "seconds": round(seconds, 2), "tokens_per_second": round(made / seconds, 1), "stopped_after_seconds": args.plain_seconds}  # fmt: skip


def _started(model: Any, tokenizer: Any, prompts: list[str], size: int, max_tokens: int) -> tuple[Any, Any]:
    """Return a decoder whose rows are all at work, and its rows."""
    from expandr_repro.llm.local.chat import prompt_ids

    asked = texts_asked(prompts, size, max_tokens)
    ids = prompt_ids(tokenizer, [r.prompt for r in asked])
    jobs = [decoding.Job(r.ident, row, r.seed, 1.0, 0.9, max_tokens) for r, row in zip(asked, ids, strict=True)]
    decoder = Decoder(model, size, max(map(len, ids)) + max_tokens, [])  # no text ends: all rows stay at work
    rows = decoding._Rows(size, max_tokens, decoder.device)
    decoding._Ahead(decoder, iter(jobs)).fill(rows, range(size))
    return decoder, rows


def _steps(log: Log, model: Any, tokenizer: Any, prompts: list[str], size: int, args: argparse.Namespace) -> None:
    """Profile decode steps, and time their parts."""
    import torch

    with torch.inference_mode():
        decoder, rows = _started(model, tokenizer, prompts, size, args.max_tokens)
        longest = max(rows.offsets)

        def advance(times: int) -> None:
            for _ in range(times):
                decoding._advance(decoder, rows, min(longest + rows.now, decoder.length - 1), lambda: None)

        advance(min(80, args.max_tokens // 2))
        log("steps", batch_size=size, longest=longest + rows.now, milliseconds=milliseconds(lambda: advance(1), args.steps))  # fmt: skip
        log.attempt("kernels of decode steps", lambda: {"steps": args.steps, **kernels(lambda: advance(args.steps))})
        at = min(longest + rows.now, decoder.length - 1)
        logits = decoder.step(rows.tokens, rows.places, at).clone()
        step = milliseconds(lambda: decoder.step(rows.tokens, rows.places, at))
        uniform = rows.uniform[:, 0].contiguous()
        sampling = milliseconds(lambda: sample(logits, rows.temperature, rows.top_p, uniform))
        scaled = torch.softmax(logits.float(), -1).sort(-1, descending=True).values.double().cumsum(-1)
        nucleus = (scaled < 0.9).sum(-1) + 1
        log("parts of a step", model_milliseconds=step, sampling_milliseconds=sampling, rows_beyond={str(n): int((nucleus > n).sum()) for n in (32, 64, 128, 256, 512, 1024, 4096)})  # fmt: skip
        del scaled, nucleus
        log.attempt("kernels of sampling", lambda: kernels(lambda: sample(logits, rows.temperature, rows.top_p, uniform)))  # fmt: skip


def _prompts(args: argparse.Namespace) -> list[str]:
    if args.prompts:
        lines = Path(args.prompts).read_text(encoding="utf-8").splitlines()
        return [json.loads(line)["prompt"] if line.startswith("{") else line for line in lines if line.strip()]
    return [str(r.prompt) for r in requests(args.topics, 1)]


# --- encoding


def encoding(log: Log, work: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Measure encoding; return nothing that is not written yet."""
    import numpy as np
    import torch

    from benchmarks.machine import bert_operations, matmul_rate
    from benchmarks.models import made_up_model
    from benchmarks.texts import distinct, made_up, passages, variants

    gpu = torch.cuda.is_available()
    device, shape = ("cpu", "tiny") if args.tiny else ("cuda" if gpu else "cpu", "bert-base")
    rate = matmul_rate(device, "bf16", 8192 if gpu else 256)
    if args.tiny:
        first, texts = (t := made_up(24, 40)), t
    else:
        first = passages()[1]
        texts = distinct([*first, *variants(first, 4)])
    model = made_up_model(shape, work / shape)
    exact = model.load(device).encode(first[: args.exact], "document")
    encoder = model.load(device, "bf16")
    begin = time.perf_counter()
    ids = encoder.tokenize(texts, "document")
    lengths = [len(row) for row in ids]
    operations = bert_operations(model.config, lengths)
    log("passages", count=len(texts), mean_tokens=sum(lengths) / len(lengths), tokenising_seconds=round(time.perf_counter() - begin, 2), matmul_tflops=rate / 1e12, limit_passages_per_second=len(texts) * rate / operations)  # fmt: skip

    def vectors(encoder: Any, work: Callable[[], Any]) -> dict[str, Any]:
        begin = time.perf_counter()
        found = encoder.encode(first[: args.exact], "document")
        startup = time.perf_counter() - begin
        cosine = float((found * exact).sum(1).min())
        work()  # every length is seen once
        begin = time.perf_counter()
        work()
        wait()
        seconds = time.perf_counter() - begin
        return {"first_seconds": round(startup, 1), "seconds": round(seconds, 3), "passages_per_second": round(len(texts) / seconds, 1),
                "share_of_matmul_rate": round(operations / rate / seconds, 4), "smallest_cosine": cosine, "finite": bool(np.isfinite(found).all())}  # fmt: skip

    def alone(encoder: Any, **more: Any) -> dict[str, Any]:
        return {**more, **vectors(encoder, lambda: encoder.embed(ids))}

    part = ids[:: max(1, len(ids) // 1200)]
    log.attempt("encoding, bf16", lambda: vectors(encoder, lambda: encoder.encode(texts, "document")))
    log.attempt("the model alone, bf16", lambda: alone(encoder, batch_tokens=encoder.batch_tokens))
    log.attempt("kernels of the model alone", lambda: kernels(lambda: encoder.embed(part)))
    if log.fits("MPNet", 25):
        log.attempt("MPNet", lambda: _mpnet(device, shape, work, first[: 4096 if gpu else 24]))
    if gpu and log.fits("encoding, --compile", 45):
        compiled = model.load(device, "bf16", compiled=True)
        log.attempt("encoding, bf16, --compile", lambda: vectors(compiled, lambda: compiled.encode(texts, "document")))
        log.attempt("the model alone, --compile", lambda: alone(compiled))
        log.attempt("kernels, --compile", lambda: kernels(lambda: compiled.embed(part)))
    return {}


def _mpnet(device: str, shape: str, work: Path, texts: list[str]) -> dict[str, Any]:
    """Measure an MPNet of random weights in bf16, with transformers' own attention and with torch's fused kernels."""
    import torch
    from transformers import MPNetConfig, MPNetModel

    from benchmarks.models import SHAPES, made_up_model
    from expandr_repro.data.specs import EncoderSpec
    from expandr_repro.encoders.compute import relative
    from expandr_repro.encoders.encoder import Encoder

    folder = made_up_model(shape, work / "mpnet").folder  # for its tokenizer
    torch.manual_seed(0)
    model = MPNetModel(MPNetConfig(vocab_size=30_522, max_position_embeddings=514, **SHAPES[shape]))
    # large enough that the cosines depend on it
    torch.nn.init.normal_(model.encoder.relative_attention_bias.weight, std=3.0)
    model.save_pretrained(folder)
    spec = EncoderSpec(model="", normalize=True, document_max_length=384)
    found: dict[str, Any] = {"texts": len(texts)}
    usual, exact = relative.can_fuse, None
    for name in ("fp32", "own", "fused"):
        relative.can_fuse = (lambda *_: True) if name == "fused" else (lambda *_: False)
        try:
            encoder = Encoder(spec, folder, device, "fp32" if name == "fp32" else "bf16", frozen=True)
        finally:
            relative.can_fuse = usual
        some = texts[:256] if name == "fp32" else texts
        vectors = encoder.encode(some, "document")
        begin = time.perf_counter()
        encoder.encode(some, "document")
        wait()
        found[f"{name}_passages_per_second"] = round(len(some) / (time.perf_counter() - begin), 1)
        exact = vectors if exact is None else exact
        found[f"{name}_smallest_cosine"] = float((vectors[: len(exact)] * exact).sum(1).min())
        found[f"{name}_top"] = kernels(partial(encoder.encode, some[:512], "document")).get("top", [])[:4]
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    made = argparse.ArgumentParser(
        prog="python -m benchmarks gpu_profile --", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )  # fmt: skip
    made.add_argument("--model", help="a folder with a causal model (default: Qwen2.5 1.5B's shape, random weights)")
    made.add_argument("--prompts", help="a file of prompts: one a line, or JSON objects with a prompt")
    made.add_argument("--topics", type=int, default=809, help="made-up prompts, where there is no file")
    made.add_argument("--texts", type=int, default=6472)
    made.add_argument("--max-tokens", type=int, default=160)
    made.add_argument("--batch-sizes", type=int, nargs="+", default=[256, 1024, 2048])
    made.add_argument("--main", type=int, default=1024, help="the batch size that does all texts and is profiled")
    made.add_argument("--steps", type=int, default=20, help="decode steps that are profiled")
    made.add_argument("--plain-seconds", type=float, default=6.0, help="after which plain generate is stopped")
    made.add_argument("--exact", type=int, default=512, help="passages whose cosine to fp32 is taken")
    made.add_argument("--peak", type=float, default=9.0, help="factor of the last norm of random weights")
    made.add_argument("--parts", nargs="+", choices=("generation", "encoding"), default=["generation", "encoding"])
    made.add_argument("--limit", type=float, default=150.0, help="seconds after which nothing further is begun")
    made.add_argument("--output", type=Path, help="a file for the lines")
    made.add_argument("--tiny", action="store_true", help="tiny models, to rehearse on a CPU")
    args = made.parse_args(argv)
    import torch
    import transformers

    log = Log(args.output, args.limit)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    log("machine", device=device, torch=torch.__version__, transformers=transformers.__version__)
    with tempfile.TemporaryDirectory() as name:
        for part in args.parts:
            log.reserve = 35.0 if part != args.parts[-1] else 0.0  # seconds for the part after it
            if part == "encoding":
                log.attempt("encoding done", lambda: encoding(log, Path(name), args))
                continue
            folder = Path(args.model) if args.model else Path(name, "llm")
            if not args.model:
                save_model(folder, TINY if args.tiny else LLM, args.peak)
            log.attempt("generation done", lambda folder=folder: generation(log, folder, args))  # type: ignore[misc]
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
    return int(log.failed)


if __name__ == "__main__":
    sys.exit(main())
