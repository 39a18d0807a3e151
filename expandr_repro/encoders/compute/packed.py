"""Pack texts into one row without padding: attention of variable length for half-precision encoders on a GPU."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from expandr_repro.data.specs import EncoderSpec
from expandr_repro.errors import UnknownNameError

if TYPE_CHECKING:
    import torch

ATTENTION = "expandr_packed"
"""The name under which transformers knows the attention below."""

FIRST_POSITION = {"bert": 0, "distilbert": 0, "electra": 0, "roberta": None, "xlm-roberta": None}
"""Architectures whose texts may lie end to end (absolute positions, attention by transformers' interface), and their first
position; None for RoBERTa's way of counting from the padding token's number on."""

PACKED_POOLINGS = ("cls", "mean", "last")

MULTIPLE = 64
"""The row is filled up to a multiple of this, where the matrix kernels are fast; the rest is a text of its own, left out of the result."""


def can_pack(config: Any, device: str, precision: str) -> bool:
    """Return whether a model can take its texts end to end there: the kernel wants a GPU and half precision."""
    return device.startswith("cuda") and precision in ("bf16", "fp16") and config.model_type in FIRST_POSITION


def can_pool(spec: EncoderSpec) -> bool:
    """Return whether texts that lie end to end can be pooled as a spec wants it."""
    return spec.pooling in PACKED_POOLINGS and spec.include_prompt


def register() -> None:
    """Make the packed attention known to transformers. Texts that come padded, with a mask, go its usual way."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(ATTENTION, _attention)
    AttentionMaskInterface.register(ATTENTION, sdpa_mask)


def _attention(module: Any, query: Any, key: Any, value: Any, attention_mask: Any, **options: Any) -> tuple[Any, None]:
    """Attend within each text: query, key and value are (1, heads, tokens, size); gives (1, tokens, heads, size)."""
    edges = options.get("cu_seq_lens_q")
    if edges is None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        result: tuple[Any, None] = sdpa_attention_forward(module, query, key, value, attention_mask, **options)
        return result
    q, k, v = (t.squeeze(0).transpose(0, 1) for t in (query, key, value))
    if query.is_cuda:
        from torch.nn.attention.varlen import varlen_attn

        longest = options["max_length_q"]
        out: Any = varlen_attn(q, k, v, edges, edges, longest, longest)
    else:
        out = _one_by_one(q, k, v, edges)
    return out.unsqueeze(0), None


def _one_by_one(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
    """Attend text by text, (tokens, heads, size): where there is no kernel, to test against."""
    import torch

    parts = []
    for a, b in itertools.pairwise(edges.tolist()):
        q, k, v = (t[a:b].transpose(0, 1) for t in (query, key, value))
        parts.append(torch.nn.functional.scaled_dot_product_attention(q, k, v).transpose(0, 1))
    return torch.cat(parts)


def forward(model: Any, ids: Sequence[Sequence[int]], pooling: str, pad: int, device: str) -> torch.Tensor:
    """Embed token ids, pooled and not yet normalised: (texts, dimension) float32 on the device.

    Args:
        model: of an architecture in `FIRST_POSITION`, with the attention `ATTENTION`.
        ids: of each text, none empty.
        pooling: `cls`, `mean` or `last`.
        pad: the id to fill up with.
        device: where the model is.
    """
    import numpy as np
    import torch

    lengths = np.fromiter(map(len, ids), dtype=np.int32, count=len(ids))
    total = int(lengths.sum())
    filler = -total % MULTIPLE
    spans = np.append(lengths, filler) if filler else lengths
    edges = np.concatenate([[0], np.cumsum(spans)]).astype(np.int32)
    first = FIRST_POSITION[model.config.model_type]
    # one copy to the device: the tokens, the places of the texts, and each token's position within its text
    packed = np.full(2 * (total + filler) + len(edges), pad, dtype=np.int32)
    packed[:total] = np.fromiter(itertools.chain.from_iterable(ids), dtype=np.int32, count=total)
    starts = np.repeat(edges[:-1], spans)
    packed[total + filler : 2 * (total + filler)] = (
        np.arange(total + filler, dtype=np.int32) - starts + (pad + 1 if first is None else first)
    )
    packed[2 * (total + filler) :] = edges
    there: Any = torch.from_numpy(packed)
    if device.startswith("cuda"):
        # from pinned memory the copy does not wait for the batch that is being computed
        there = there.pin_memory().to(device, non_blocking=True)
    tokens, positions, cuts = there.split([total + filler, total + filler, len(edges)])
    longest = 1 << int(spans.max() - 1).bit_length()  # few different values: what is compiled may hold for each
    states = model(
        input_ids=tokens[None],
        position_ids=positions[None].long(),
        cu_seq_lens_q=cuts,
        cu_seq_lens_k=cuts,
        max_length_q=longest,
        max_length_k=longest,
    ).last_hidden_state[0]
    return _pooled(states, cuts[: len(ids) + 1], pooling)


def _pooled(states: torch.Tensor, edges: torch.Tensor, pooling: str) -> torch.Tensor:
    """Pool (tokens, dimension) to (texts, dimension), where text i is edges[i] to edges[i + 1]."""
    import torch

    if pooling == "cls":
        return states[edges[:-1]].float()
    if pooling == "last":
        return states[edges[1:] - 1].float()
    if pooling == "mean":
        # one thread a column adds a text up in order: the same digits every time, unlike sums by atomic additions
        return torch.segment_reduce(states.float(), "mean", lengths=edges.diff(), axis=0, unsafe=True)
    raise UnknownNameError("pooling", pooling, PACKED_POOLINGS)
