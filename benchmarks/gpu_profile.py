"""Where the time of generation and of encoding goes on a GPU: rates, kernels, gaps, and what other ways would take.

One JSON object per line, printed and written to a file as it is found, so that a run that is cut off shows what it had. Work
that no longer fits into the time limit is left out and named.

    python -m benchmarks gpu_profile -- --model FOLDER --output gpu.jsonl        # on a GPU
    python -m benchmarks gpu_profile -- --tiny                                   # a rehearsal on a CPU
"""

from __future__ import annotations

import argparse
import inspect
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
from expandr_repro.llm.local.seeded import LADDER, sample
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
        """Do a part and write what it gives; a part that fails is written as such and stops nothing."""
        try:
            self(what, **work())
        except Exception as error:  # noqa: BLE001
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
    kind = torch.autograd.DeviceType.CUDA if gpu else torch.autograd.DeviceType.CPU
    events = sorted(
        (e.time_range.start, e.time_range.end, e.name) for e in found.events() or () if e.device_type == kind
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
        self._plain = {name: getattr(decoding.Decoder, name) for name in ("read", "put", "keep", "step", "_capture")}
        for name, plain in self._plain.items():
            setattr(decoding.Decoder, name, self._counted(name, plain))
        return self

    def __exit__(self, *_: object) -> None:
        for name, plain in self._plain.items():
            setattr(decoding.Decoder, name, plain)

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


def generation(log: Log, folder: Path, args: argparse.Namespace) -> None:
    """Measure generation."""
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
    decoder = decoding.Decoder(model, size, max(map(len, ids)) + max_tokens, [])  # no text ends: all rows stay at work
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
        log.attempt("ways of sampling", lambda: _sampling_ways(logits, rows.temperature))
        log.attempt("kernels of a fill", lambda: _fill_again(model, tokenizer, prompts, decoder, args))
        log.attempt("ways of attention", lambda: _attention_ways(decoder, model, at))
        decoder, rows, logits = None, None, None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if torch.cuda.is_available() and log.fits("compiled layers", 45):
            log.attempt("compiled layers", lambda: _compiled_layers(model, tokenizer, prompts, size, args))


def _fill_again(model: Any, tokenizer: Any, prompts: list[str], decoder: Any, args: argparse.Namespace) -> dict[str, Any]:  # fmt: skip
    """Profile the reading of 8 prompts into 64 rows, as in the middle of a run."""
    from expandr_repro.llm.local.chat import prompt_ids

    count = min(8, decoder.rows)
    ids = prompt_ids(tokenizer, prompts[:count])
    count = len(ids)
    into = list(range(min(8 * count, decoder.rows)))
    read = decoder.read(ids)

    def put() -> None:
        decoder.put(read, [i % count for i in into], into)

    return {"read_milliseconds": milliseconds(lambda: decoder.read(ids), 5), "put_milliseconds": milliseconds(put, 5), **kernels(put)}  # fmt: skip


def _sampling_ways(logits: Any, temperature: Any) -> dict[str, Any]:
    """Time the pieces of sampling."""
    import torch

    scale = temperature[:, None]

    def total(logits: Any, scale: Any) -> Any:
        return torch.logsumexp(logits.float() / scale, dim=-1, keepdim=True)

    found: dict[str, Any] = {"logsumexp": milliseconds(lambda: total(logits, scale))}
    for count in (32, *LADDER):
        found[f"topk_{count}"] = milliseconds(
            lambda count=count: torch.topk(logits, min(count, logits.shape[-1]), dim=-1)
        )  # type: ignore[misc]
        found[f"topk_{count}_of_an_eighth"] = milliseconds(lambda count=count: torch.topk(logits[: len(logits) // 8], min(count, logits.shape[-1]), dim=-1))  # type: ignore[misc]  # fmt: skip
    found["sort_of_a_64th"] = milliseconds(lambda: torch.sort(logits[: max(1, len(logits) // 64)], dim=-1, descending=True, stable=True))  # fmt: skip
    found["amax"] = milliseconds(lambda: logits.amax(-1))
    if logits.is_cuda:
        begin = time.perf_counter()
        compiled = torch.compile(total, dynamic=True)
        compiled(logits, scale)
        wait()
        found["logsumexp_compile_seconds"] = round(time.perf_counter() - begin, 2)
        found["logsumexp_compiled"] = milliseconds(lambda: compiled(logits, scale))
        found["logsumexp_differs_by"] = float((compiled(logits, scale) - total(logits, scale)).abs().max())
    return found


def _attention_ways(decoder: Any, model: Any, at: int) -> dict[str, Any]:
    """Time the attention of one layer at one step: masked, and with each row's own length."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention as sdpa

    state = decoder._state
    key, value = state.keys[0], state.values[0]
    rows, heads, length, size = key.shape
    group = model.config.num_attention_heads // heads
    span = (at // decoding.SPAN + 1) * decoding.SPAN
    query = torch.randn(rows, heads, group, size, dtype=key.dtype, device=key.device)
    used = (state.places + 1).to(torch.int32)
    bias = torch.where(torch.arange(span, device=key.device)[None] < used[:, None], 0.0, float("-inf")).to(key.dtype)[:, None, None]  # fmt: skip
    masked = lambda: sdpa(query, key[:, :, :span], value[:, :, :span], attn_mask=bias)  # noqa: E731
    found: dict[str, Any] = {"span": span, "mean_length": float(used.float().mean()), "masked": milliseconds(masked, 50), "bytes": 2 * rows * heads * span * size * key.element_size()}  # fmt: skip
    found["write_by_index"] = milliseconds(lambda: key.index_put_((state.rows, torch.arange(heads, device=key.device)[:, None], state.places), query[:, :, 0].transpose(0, 1)), 50)  # fmt: skip
    if key.is_cuda:
        from torch.nn.attention.varlen import varlen_attn

        found["varlen_attn"] = str(inspect.signature(varlen_attn))[:400]
        k, v = (t.transpose(1, 2).contiguous().view(rows * length, heads, size) for t in (key, value))
        edges_q = torch.arange(0, rows * group + 1, group, dtype=torch.int32, device=key.device)
        edges_k = torch.arange(0, rows * length + 1, length, dtype=torch.int32, device=key.device)
        q = query.transpose(1, 2).reshape(rows * group, heads, size)
        if "seqused_k" in inspect.signature(varlen_attn).parameters:
            for splits in (None, 1):
                given: dict[str, Any] = {"seqused_k": used, "num_splits": splits}
                own = partial(varlen_attn, q, k, v, edges_q, edges_k, group, span, **given)
                try:
                    found[f"own_length_splits_{splits}"] = milliseconds(own, 50)
                    out = own().view(rows, group, heads, size).transpose(1, 2)
                    found["differs_by"] = float((out - masked()).abs().max())
                except Exception as error:  # noqa: BLE001
                    found[f"own_length_splits_{splits}"] = f"{type(error).__name__}: {str(error)[:200]}"
    return found


def _compiled_layers(model: Any, tokenizer: Any, prompts: list[str], size: int, args: argparse.Namespace) -> dict[str, Any]:  # fmt: skip
    """Time steps whose layers' small steps are fused by torch.compile; attention stays out of it."""
    import torch

    plain = decoding._attend
    begin = time.perf_counter()
    decoding._attend = torch.compiler.disable(plain)
    layers = model.model.layers
    try:
        for layer in layers:
            layer.compile(dynamic=None)
        decoder, rows = _started(model, tokenizer, prompts, size, args.max_tokens)
        longest = max(rows.offsets)

        def advance(times: int) -> None:
            for _ in range(times):
                decoding._advance(decoder, rows, min(longest + rows.now, decoder.length - 1), lambda: None)

        advance(1)
        wait()
        spent = time.perf_counter() - begin
        graphable = decoder._graphable
        advance(min(80, args.max_tokens // 2))
        at = min(longest + rows.now, decoder.length - 1)
        step = milliseconds(lambda: decoder.step(rows.tokens, rows.places, at))
        return {"compile_seconds": round(spent, 1), "captured": graphable, "model_milliseconds": step, **kernels(lambda: decoder.step(rows.tokens, rows.places, at))}  # fmt: skip
    finally:
        decoding._attend = plain
        for layer in layers:
            layer._compiled_call_impl = None


def _prompts(args: argparse.Namespace) -> list[str]:
    if args.prompts:
        lines = Path(args.prompts).read_text(encoding="utf-8").splitlines()
        return [json.loads(line)["prompt"] if line.startswith("{") else line for line in lines if line.strip()]
    return [str(r.prompt) for r in requests(args.topics, 1)]


# --- encoding


def encoding(log: Log, work: Path, args: argparse.Namespace) -> None:
    """Measure encoding."""
    import numpy as np
    import torch

    from benchmarks.machine import bert_operations, matmul_rate
    from benchmarks.models import made_up_model
    from benchmarks.texts import distinct, made_up, passages, variants
    from expandr_repro.encoders.compute import packed

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
    for tokens in (32_768, 65_536, 262_144) if gpu else ():
        usual, encoder.batch_tokens = encoder.batch_tokens, tokens
        log.attempt("the model alone, bf16", lambda tokens=tokens: alone(encoder, batch_tokens=tokens))  # type: ignore[misc]
        encoder.batch_tokens = usual
    if gpu and log.fits("varlen attention alone", 3):
        log.attempt("varlen attention alone", lambda: _varlen_ways(model.config, lengths, packed))
        log.attempt("ways of the feed-forward part", lambda: _feed_forward_ways(encoder))
    if gpu and log.fits("encoding, --compile", 45):
        compiled = model.load(device, "bf16", compiled=True)
        log.attempt("encoding, bf16, --compile", lambda: vectors(compiled, lambda: compiled.encode(texts, "document")))
        log.attempt("the model alone, --compile", lambda: alone(compiled))
        log.attempt("kernels, --compile", lambda: kernels(lambda: compiled.embed(part)))


def _varlen_ways(config: Any, lengths: Sequence[int], packed: Any) -> dict[str, Any]:
    """Time attention over one packed batch, with what else the torch at hand offers."""
    import torch
    from torch.nn import attention
    from torch.nn.attention.varlen import varlen_attn

    taken = sorted(lengths, reverse=True)
    middle = len(taken) // 2
    spans = taken[middle : middle + 131_072 // taken[middle]]
    edges = torch.tensor([0, *spans], device="cuda").cumsum(0).int()
    heads, size = config.num_attention_heads, config.hidden_size // config.num_attention_heads
    q, k, v = torch.randn(3, sum(spans), heads, size, device="cuda", dtype=torch.bfloat16).unbind(0)
    longest = 1 << (max(spans) - 1).bit_length()
    found: dict[str, Any] = {"tokens": sum(spans), "longest": max(spans), "impls": [n for n in dir(attention) if "flash" in n.lower()]}  # fmt: skip
    found["milliseconds"] = milliseconds(lambda: varlen_attn(q, k, v, edges, edges, longest, longest))
    found["exact_longest"] = milliseconds(lambda: varlen_attn(q, k, v, edges, edges, max(spans), max(spans)))
    width = max(spans)
    padded = torch.randn(3, len(spans), heads, width, size, device="cuda", dtype=torch.bfloat16)
    for name in ("FLASH_ATTENTION", "CUDNN_ATTENTION"):
        with attention.sdpa_kernel(getattr(attention.SDPBackend, name)):
            try:
                found[f"padded_{name}"] = milliseconds(lambda: torch.nn.functional.scaled_dot_product_attention(*padded.unbind(0)))  # fmt: skip
            except Exception as error:  # noqa: BLE001
                found[f"padded_{name}"] = str(error)[:200]
    return found


def _feed_forward_ways(encoder: Any) -> dict[str, Any]:
    """Time the two products between which GELU stands, with GELU in its own kernel, compiled, and within the product."""
    import torch

    layer = encoder.model.encoder.layer[0]
    up, down = layer.intermediate.dense, layer.output.dense
    states = torch.randn(131_072, up.in_features, device="cuda", dtype=torch.bfloat16)
    wide = torch.randn(131_072, up.out_features, device="cuda", dtype=torch.bfloat16)
    gelu = torch.nn.functional.gelu
    with torch.inference_mode():
        both = lambda x: gelu(up(x))  # noqa: E731
        found: dict[str, Any] = {
            "up": milliseconds(lambda: up(states)),
            "down": milliseconds(lambda: down(wide)),
            "gelu": milliseconds(lambda: gelu(wide)),
            "norm": milliseconds(lambda: layer.output.LayerNorm(states)),
            "add": milliseconds(lambda: states + states),
            "up_and_gelu": milliseconds(lambda: both(states)),
        }
        fused = lambda: torch.ops.aten._addmm_activation(up.bias, states, up.weight.t(), use_gelu=True)  # noqa: E731
        found["up_and_tanh_gelu_in_one"] = milliseconds(fused)
        found["tanh_gelu_differs_by"] = float((fused().float() - both(states).float()).abs().max())
        for rows in (16_384, 32_768, 65_536):
            found[f"up_and_gelu_of_{rows}_rows_times"] = round(131_072 / rows * milliseconds(lambda rows=rows: both(states[:rows])), 3)  # type: ignore[misc]  # fmt: skip
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
                log.attempt("encoding done", lambda: encoding(log, Path(name), args) or {})
                continue
            folder = Path(args.model) if args.model else Path(name, "llm")
            if not args.model:
                save_model(folder, TINY if args.tiny else LLM, args.peak)
            log.attempt("generation done", lambda folder=folder: generation(log, folder, args) or {})  # type: ignore[misc]
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
    return 0


if __name__ == "__main__":
    sys.exit(main())
