"""Compute MPNet's attention, which has a bias for each distance between tokens, with torch's fused kernels on a GPU.

transformers computes it in steps, each of which reads and writes the scores of all pairs of tokens, and repeats the bias for each text.
Here the bias and the padding are added up once for all layers, and the kernel takes the sum. This is for encoders that are not trained:
attention's dropout is left out.
"""

from __future__ import annotations

from types import MethodType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

MULTIPLE = 16
"""Texts are padded to a multiple of this: else a kernel copies the bias in every layer, or has to be prepared for each single length."""


def can_fuse(model: Any, device: str, precision: str) -> bool:
    """Return whether a model can compute this way there: transformers' MPNet, in half precision on a GPU."""
    if not (device.startswith("cuda") and precision in ("bf16", "fp16") and model.config.model_type == "mpnet"):
        return False
    from transformers import MPNetModel

    # a model's own code may do otherwise, and only to eager attention does transformers give the padding as numbers, which can be added
    return type(model) is MPNetModel and model.config._attn_implementation == "eager"


def lay_over(model: Any) -> None:
    """Make an MPNet compute its attention with torch's fused kernels.

    Args:
        model: of transformers; changed in place, and not to be trained.
    """
    encoder = model.encoder
    bias_of = encoder.compute_position_bias

    def with_bias(_: Any, given: tuple[Any, ...], named: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        bias, padding = bias_of(given[0][:1]), named.get("attention_mask")
        return given, {**named, "attention_mask": bias if padding is None else bias + padding}

    encoder.register_forward_pre_hook(with_bias, with_kwargs=True)
    encoder.compute_position_bias = lambda states: None  # it is in the mask
    for layer in encoder.layer:
        layer.attention.attn.forward = MethodType(_attention, layer.attention.attn)


def _attention(
    self: Any, hidden_states: torch.Tensor, attention_mask: torch.Tensor, *_: Any, **__: Any
) -> tuple[torch.Tensor]:
    """Attend as `MPNetSelfAttention` does; the mask is bias and padding, (texts or 1, heads, tokens, tokens)."""
    from torch.nn.functional import scaled_dot_product_attention

    shape = (*hidden_states.shape[:-1], -1, self.attention_head_size)
    query, key, value = (part(hidden_states).view(shape).transpose(1, 2) for part in (self.q, self.k, self.v))
    attended = scaled_dot_product_attention(query, key, value, attn_mask=attention_mask)
    states: torch.Tensor = self.o(attended.transpose(1, 2).flatten(2))
    return (states,)
