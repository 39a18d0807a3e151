"""Compute linear layers on a CPU with oneDNN, for encoders that are not trained.

torch gives fp32 products to MKL, which has no AVX-512 for processors that are not Intel's: on an AMD one with AVX-512 oneDNN does the
same work in less than half the time (docs/performance.md), on Intel's in about the same, so that these are left as they are. Sums are
made in another order: digits differ from the seventh on.
"""

from __future__ import annotations

import contextlib
import platform
from functools import partial
from pathlib import Path
from typing import Any

ARCHITECTURES = frozenset({"bert", "distilbert", "electra", "mpnet", "roberta", "t5", "xlm-roberta"})
"""Models whose code, in transformers, uses linear layers by calling them; DeBERTa's, for one, multiplies by pieces of their weights."""

CPUINFO = Path("/proc/cpuinfo")


def wanted(config: Any, device: str, precision: str, own_code: bool) -> bool:
    """Return whether an encoder that is not trained is to compute this way.

    Args:
        config: of transformers.
        device: `cpu` or another.
        precision: only fp32 goes to MKL.
        own_code: whether the model's code may come with it, and do anything.
    """
    known = config.model_type in ARCHITECTURES and not own_code
    return known and device == "cpu" and precision == "fp32" and can_lay_out()


def can_lay_out() -> bool:
    """Return whether this torch and this processor have what it takes, and the processor is not one that MKL is made for."""
    import torch

    backends: Any = torch.backends
    return (
        bool(backends.mkldnn.is_available())
        and backends.cpu.get_cpu_capability() == "AVX512"
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
        and "GenuineIntel" not in _vendor()
    )


def _vendor() -> str:
    """Return a text with the name of the processor's maker, as Linux or else Python's `platform` has it."""
    with contextlib.suppress(OSError), CPUINFO.open(encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("vendor_id"):
                return line
    return platform.processor()


def lay_out(model: Any) -> int:
    """Make all linear layers of a model in fp32 on the CPU compute with oneDNN; the model cannot be trained, saved or moved afterwards.

    Args:
        model: changed in place. Its layers keep a `weight` without content, whose shape and type other code may ask for.

    Returns:
        The number of layers.
    """
    import torch

    layers: list[Any] = [module for module in model.modules() if type(module) is torch.nn.Linear]
    for layer in layers:
        weight = layer.weight.detach()
        bias = None if layer.bias is None else layer.bias.detach()
        # the operators that torch's own compiler uses; the weight's copy in the plain layout is given up
        laid_out = torch.ops.mkldnn._reorder_linear_weight(weight, None)
        del layer.weight
        layer.weight = weight.to("meta")
        layer.forward = partial(_product, laid_out, bias)
    return len(layers)


def _product(weight: Any, bias: Any, states: Any) -> Any:
    import torch

    return torch.ops.mkldnn._linear_pointwise(states, weight, bias, "none", [], "")
