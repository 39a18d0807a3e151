"""Rows of a causal model, each at its own length: the cache of its attention, and one step of it at a time.

`generate` pads all rows to one length, appends to a growing cache, and computes a row until the last of its batch has
ended. Here the keys and values of each row have a place of fixed size, and on a GPU a step is one CUDA graph for the longest
row so far, rounded up.

The model is transformers' own; only its attention goes through `_attend`, a function registered with its attention
interface. `supports` compares logits with the model's own attention before the first use, so that an architecture whose
attention is another one (sinks, biases, sliding windows shorter than the texts) goes the plain way.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

ATTENTION = "expandr_decoding"
"""The name under which transformers finds `_attend`."""

SPAN = 64
"""Graphs are captured for longest rows of so many tokens, twice as many, ..."""


@dataclass
class _State:
    """What the attention of the running step reads: the cache, where each row writes, and what it may see.

    Attributes:
        keys: per layer (rows, key heads, length, dim); likewise `values`.
        rows: (rows,) their numbers.
        places: (rows,) where each row's newest token goes.
        bias: (rows, 1, 1, span), 0 where a row may look and minus infinity elsewhere.
        span: so much of the length is looked at.
        fresh: while prompts are read, what each layer makes of them; else None.
    """

    keys: list[torch.Tensor] = field(default_factory=list)
    values: list[torch.Tensor] = field(default_factory=list)
    rows: torch.Tensor | None = None
    places: torch.Tensor | None = None
    bias: torch.Tensor | None = None
    span: int = 0
    fresh: list[tuple[torch.Tensor, torch.Tensor]] | None = None


_RUNNING: list[_State] = []


class UnsupportedModelError(Exception):
    """The model's attention asks for what `_attend` does not do."""


def _attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """Attend to the row's own past. Shapes: query (rows, heads, new, dim); key and value with the model's key heads."""
    from torch.nn.functional import scaled_dot_product_attention

    odd = [k for k in ("softcap", "s_aux", "position_bias") if others.get(k) is not None]
    if odd or not _RUNNING:
        raise UnsupportedModelError(f"attention with {odd}" if odd else "attention called from elsewhere")
    state = _RUNNING[-1]
    seen = query.shape[2] if state.fresh is not None else state.span
    if sliding_window is not None and sliding_window < seen:
        raise UnsupportedModelError(f"a sliding window of {sliding_window}")
    if state.fresh is not None:  # prompts, padded on the right: no token sees what comes after it
        state.fresh.append((key, value))
        shared = query.shape[1] != key.shape[1]
        out = scaled_dot_product_attention(query, key, value, is_causal=True, scale=scaling, enable_gqa=shared)
        return out.transpose(1, 2), None
    keys, values = state.keys[module.layer_idx], state.values[module.layer_idx]
    keys[state.rows, :, state.places] = key[:, :, 0]
    values[state.rows, :, state.places] = value[:, :, 0]
    count, heads, _, size = query.shape
    # the query heads that share a key head stand as one head's queries, so that each key is read once
    grouped = query.reshape(count, keys.shape[1], heads // keys.shape[1], size)
    out = scaled_dot_product_attention(
        grouped, keys[:, :, : state.span], values[:, :, : state.span], attn_mask=state.bias, scale=scaling
    )
    return out.reshape(count, 1, heads, out.shape[-1]), None


@contextlib.contextmanager
def _through(model: Any, state: _State) -> Iterator[None]:
    """Route the model's attention through `_attend` on this state."""
    from transformers import AttentionInterface

    AttentionInterface.register(ATTENTION, _attend)
    before = model.config._attn_implementation
    model.config._attn_implementation = ATTENTION
    _RUNNING.append(state)
    try:
        yield
    finally:
        _RUNNING.pop()
        model.config._attn_implementation = before


def supports(model: Any) -> bool:
    """Return whether this module gives the model's own logits, for a token after a prompt of which two rows share a part."""
    import torch

    if getattr(model.config, "is_encoder_decoder", False):
        return False
    vocabulary = model.config.get_text_config().vocab_size
    ids = (torch.arange(3, 10, device=model.device) * 7 % vocabulary)[None]
    try:
        with torch.inference_mode():
            wanted = model(input_ids=ids, use_cache=False).logits[0, -2:].float()
            decoder = Decoder(model, rows=2, length=8, ends=[])
            decoder.put(decoder.read([ids[0, :-2].tolist()]), [0, 0], [0, 1])
            reasons = [
                decoder.step(ids[0, i].expand(2), ids.shape[1] - 2 + n)[0].float().clone()
                for n, i in enumerate((-2, -1))
            ]
    except (UnsupportedModelError, TypeError, AttributeError, RuntimeError, ValueError, IndexError) as reason:
        log.debug("texts are decoded by generate: %s", reason)
        return False
    spread = (wanted.max() - wanted.min()).clamp(min=1e-6)
    error = float((torch.stack(reasons) - wanted).abs().max() / spread)
    fits = error <= (1e-4 if model.dtype == torch.float32 else 3e-2)
    if not fits:
        log.debug("texts are decoded by generate: logits differ by %g of their range", error)
    return fits


class Decoder:
    """Rows of a causal model, each at its own length.

    Args:
        model: transformers' causal language model, in evaluation mode.
        rows: texts at a time.
        length: tokens of the longest prompt and text together.
        ends: tokens that end a text.
    """

    def __init__(self, model: Any, rows: int, length: int, ends: Sequence[int]) -> None:
        import torch

        self.model, self.length = model, -(-length // SPAN) * SPAN
        self.device = model.device
        self._ends = torch.tensor(sorted(ends), dtype=torch.long, device=self.device)
        self._state = _State()
        self._sized(rows)

    def _sized(self, rows: int) -> None:
        import torch

        self.rows = rows
        self._state.rows = torch.arange(rows, device=self.device)
        self._state.places = torch.zeros(rows, dtype=torch.long, device=self.device)
        self._tokens = torch.zeros(rows, dtype=torch.long, device=self.device)
        self._graphs: dict[int, tuple[Any, torch.Tensor]] = {}
        self._graphable = self.device.type == "cuda"

    def read(self, prompts: Sequence[Sequence[int]]) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Read prompts, each once.

        Returns:
            Of each layer the keys and values, (prompts, key heads, longest prompt, dim) both, for `put`.
        """
        import torch

        width = max(1, *map(len, prompts))
        ids = torch.zeros((len(prompts), width), dtype=torch.long)
        for i, prompt in enumerate(prompts):
            ids[i, : len(prompt)] = torch.tensor(prompt, dtype=torch.long)
        positions = torch.arange(width, device=self.device)[None].expand(len(prompts), -1)
        state = self._state
        fresh: list[tuple[torch.Tensor, torch.Tensor]] = []
        state.fresh = fresh
        try:
            with _through(self.model, state):
                self.model(input_ids=ids.to(self.device), position_ids=positions, use_cache=False, logits_to_keep=1)
        finally:
            state.fresh = None
        if not fresh:
            raise UnsupportedModelError("attention that does not go through the interface")
        return fresh

    def put(
        self, read: Sequence[tuple[torch.Tensor, torch.Tensor]], owners: Sequence[int], rows: Sequence[int]
    ) -> None:
        """Put the keys and values of prompts into rows.

        Args:
            read: what `read` returned.
            owners: for each of these rows the prompt that it takes.
            rows: which rows.
        """
        import torch

        state = self._state
        if not state.keys:
            for key, value in read:
                state.keys.append(key.new_zeros(self.rows, key.shape[1], self.length, key.shape[3]))
                state.values.append(value.new_zeros(self.rows, value.shape[1], self.length, value.shape[3]))
        into, takes = torch.tensor(rows, device=self.device), torch.tensor(owners, device=self.device)
        for layer, (key, value) in enumerate(read):
            state.keys[layer][into, :, : key.shape[2]] = key[takes]
            state.values[layer][into, :, : value.shape[2]] = value[takes]

    def is_end(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return which tokens end a text."""
        import torch

        return torch.isin(tokens, self._ends)

    def keep(self, rows: torch.Tensor) -> None:
        """Keep these rows alone, in this order."""
        state = self._state
        self._graphs.clear()
        state.keys = [k[rows] for k in state.keys]
        state.values = [v[rows] for v in state.values]
        self._sized(len(rows))

    def step(self, tokens: torch.Tensor, places: torch.Tensor | int, longest: int | None = None) -> torch.Tensor:
        """Return the logits (rows, vocabulary) of the token after each row's newest.

        Args:
            tokens: (rows,) newest tokens.
            places: (rows,) their positions.
            longest: no position is larger; None where `places` is one number.
        """
        assert self._state.places is not None
        if longest is None:
            assert isinstance(places, int)
            longest = places
        self._tokens.copy_(tokens)
        self._state.places.copy_(places) if not isinstance(places, int) else self._state.places.fill_(places)
        span = (longest // SPAN + 1) * SPAN
        if not self._graphable:
            return self._forward(span)
        if span not in self._graphs:
            self._capture(span)
            if not self._graphable:
                return self._forward(span)
        graph, logits = self._graphs[span]
        graph.replay()
        return logits

    def _forward(self, span: int) -> torch.Tensor:
        import torch

        state = self._state
        assert state.places is not None
        state.span = span
        seen = torch.arange(span, device=self.device)[None] <= state.places[:, None]
        state.bias = torch.where(seen, 0.0, float("-inf")).to(self.model.dtype)[:, None, None]
        with _through(self.model, state):
            out = self.model(
                input_ids=self._tokens[:, None], position_ids=state.places[:, None], use_cache=False, logits_to_keep=1
            )
        logits: torch.Tensor = out.logits[:, -1]
        return logits

    def _capture(self, span: int) -> None:
        import torch

        try:
            side = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
            side.wait_stream(torch.cuda.current_stream(self.device))
            with torch.cuda.stream(side):  # kernels are chosen and memory is taken before, as a graph cannot
                self._forward(span)
            torch.cuda.current_stream(self.device).wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            pool = next(iter(self._graphs.values()))[0].pool() if self._graphs else None
            with torch.cuda.graph(graph, pool=pool):
                logits = self._forward(span)
            self._graphs[span] = (graph, logits)
        except RuntimeError as reason:
            if isinstance(reason, torch.OutOfMemoryError):
                raise
            log.debug("steps are not captured: %s", reason)
            torch.cuda.synchronize(self.device)
            self._graphable = False
