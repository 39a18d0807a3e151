"""Run BERT, its relatives and T5 on a CPU with ONNX Runtime, from a checkpoint's `config.json` and safetensors.

It starts in a fifth of the time that torch and transformers take to be imported, and computes faster on processors of any maker
(docs/performance.md). What is not exactly as it is known here is left to transformers: another architecture, setting, activation or type of
number, a missing weight, layers that the configuration does not have.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expandr_repro.data.specs import EncoderSpec
from expandr_repro.encoders.checkpoints.model_files import read_object
from expandr_repro.encoders.compute.onnx_graph import OWN, Graph, Session
from expandr_repro.errors import ExpandrError, is_memory_fault

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

log = logging.getLogger(__name__)


class OtherModelError(Exception):
    """A checkpoint that is not known here."""


@dataclass(frozen=True)
class Names:
    """What an architecture calls its weights and settings; `{}` is a layer's number.

    Attributes:
        settings: in `config.json`: layers, heads, width of a state and of the feed-forward network, activation.
        embeddings: tables that are added up: of words, of positions, of types of token where it has any.
        first: position of a text's first token: a number, or a setting in `config.json` plus one.
        query, key, value, joined: projections of attention.
        up, down: of the feed-forward network.
        norms: after the embeddings, after attention, after the feed-forward network.
        bias: table of relative positions, or empty.
    """

    settings: Sequence[str]
    embeddings: Sequence[str]
    first: int | str
    query: str
    key: str
    value: str
    joined: str
    up: str
    down: str
    norms: Sequence[str]
    bias: str = ""


def _bert(first: int | str, attention: Sequence[str], norm: str, bias: str = "", types: bool = True) -> Names:
    tables = ["word_embeddings", "position_embeddings", *(["token_type_embeddings"] if types else [])]
    query, key, value, joined = (f"encoder.layer.{{}}.attention.{part}" for part in attention)
    return Names(
        ["num_hidden_layers", "num_attention_heads", "hidden_size", "intermediate_size", "hidden_act"], [f"embeddings.{table}" for table in tables], first, query, key, value, joined,
        "encoder.layer.{}.intermediate.dense", "encoder.layer.{}.output.dense",
        ["embeddings.LayerNorm", f"encoder.layer.{{}}.attention.{norm}", "encoder.layer.{}.output.LayerNorm"], bias,
    )  # fmt: skip


BERT = ("self.query", "self.key", "self.value", "output.dense")
DISTILBERT = "transformer.layer.{}."
FAMILY = {
    "bert": _bert(0, BERT, "output.LayerNorm"),
    "roberta": _bert("pad_token_id", BERT, "output.LayerNorm"),
    "xlm-roberta": _bert("pad_token_id", BERT, "output.LayerNorm"),
    "mpnet": _bert(2, ("attn.q", "attn.k", "attn.v", "attn.o"), "LayerNorm", "encoder.relative_attention_bias", types=False),
    "distilbert": Names(
        ["n_layers", "n_heads", "dim", "hidden_dim", "activation"], ["embeddings.word_embeddings", "embeddings.position_embeddings"], 0,
        f"{DISTILBERT}attention.q_lin", f"{DISTILBERT}attention.k_lin", f"{DISTILBERT}attention.v_lin", f"{DISTILBERT}attention.out_lin",
        f"{DISTILBERT}ffn.lin1", f"{DISTILBERT}ffn.lin2",
        ["embeddings.LayerNorm", f"{DISTILBERT}sa_layer_norm", f"{DISTILBERT}output_layer_norm"],
    ),
}  # fmt: skip
"""Architectures of BERT's kind, by `model_type`."""

ARCHITECTURES = (*FAMILY, "t5")

PREFIX = re.compile(r"^(bert|roberta|mpnet|distilbert)\.")
"""What stands before the weights of a model that was saved with a task's layers on top."""

NUMBERED = re.compile(r"\.\d+\.")

BUCKETS, FARTHEST = 32, 128
"""Relative positions are distinguished by so many buckets, up to so many tokens."""


class Weights:
    """The weights of a checkpoint, of which it is known which were used.

    Raises:
        OtherModelError: not one file of safetensors, or numbers of a type that numpy lacks.
    """

    def __init__(self, folder: Path) -> None:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            loaded = load_file(folder / "model.safetensors")
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise OtherModelError(f"weights: {error}") from error
        self._all = {PREFIX.sub("", name): array for name, array in loaded.items()}
        self._left = set(self._all)

    def __call__(self, name: str, *shape: int) -> NDArray[np.float32]:
        """Return a weight as float32.

        Raises:
            OtherModelError: there is none, or it has another shape or type.
        """
        import numpy as np

        array = self._all.get(name)
        if array is None or array.dtype.kind != "f" or array.shape != shape:
            raise OtherModelError(f"the weight {name}")
        self._left.discard(name)
        return array.astype(np.float32, copy=False)

    def refuse_left(self) -> None:
        """Refuse layers that were not used.

        Raises:
            OtherModelError: there are some.
        """
        if left := sorted(filter(NUMBERED.search, self._left)):
            raise OtherModelError(f"the weight {left[0]}")


@dataclass
class OnnxModel:
    """A model in ONNX Runtime.

    Attributes:
        width: of a token's state.
        words: rows in the table of words.
        longest: tokens it has positions for; None where there is no table of them.
    """

    width: int
    words: int
    longest: int | None
    _session: Session
    _positions: Callable[[NDArray[np.int64]], NDArray[np.int64]] | None
    _buckets: bool
    _start: int | None
    _pad: int

    def sizes(self, pooling: str) -> tuple[int, int, int | None]:
        """Return the length of what comes from pooling, and how many words and positions the model knows."""
        return self.width * (pooling.count("+") + 1), self.words, self.longest

    def pooled(self, ids: Sequence[Sequence[int]], pooling: str) -> NDArray[np.float32]:
        """Embed token ids, right padded, to (texts, width times the number of poolings) float32."""
        import numpy as np

        lengths = np.fromiter(map(len, ids), dtype=np.int32, count=len(ids))
        mask = np.arange(max(1, lengths.max())) < lengths[:, None]
        tokens = np.full(mask.shape, self._pad, dtype=np.int64)
        tokens[mask] = np.concatenate(ids)
        inputs: dict[str, Any] = {"tokens": tokens, "lengths": lengths}
        if self._positions:
            inputs["positions"] = self._positions(tokens)
        if self._buckets:
            inputs["buckets"] = buckets(mask.shape[1])
        if self._start is None:
            inputs["pooling"] = np.stack([POOLINGS[name](mask, lengths) for name in pooling.split("+")], 1)
        else:
            inputs["start"] = np.full((len(ids), 1), self._start, dtype=np.int64)
        return self._session(**inputs).reshape(len(ids), -1)


def _shares(shares: NDArray[Any]) -> NDArray[np.float32]:
    import numpy as np

    return np.asarray(shares / np.maximum(shares.sum(1, keepdims=True), 1e-9), dtype=np.float32)


def _at(mask: NDArray[np.bool_], position: Any) -> NDArray[np.float32]:
    import numpy as np

    chosen = np.arange(mask.shape[1]) == np.reshape(position, (-1, 1))
    return np.broadcast_to(chosen, mask.shape).astype(np.float32)


def _square_root(mask: NDArray[np.bool_], lengths: NDArray[np.int32]) -> NDArray[np.float32]:
    import numpy as np

    return np.asarray(mask / np.sqrt(np.maximum(lengths, 1e-9))[:, None], dtype=np.float32)


POOLINGS: Mapping[str, Callable[[NDArray[np.bool_], NDArray[np.int32]], NDArray[np.float32]]] = {
    "cls": lambda mask, lengths: _at(mask, 0),
    "last": lambda mask, lengths: _at(mask, lengths - 1),
    "mean": lambda mask, lengths: _shares(mask),
    "weighted-mean": lambda mask, lengths: _shares(mask.cumsum(1) * mask),
    "mean-sqrt-len": _square_root,
}
"""Poolings that are sums of the states, and the share that each token has in them: (texts, tokens) float32."""


def buckets(tokens: int) -> NDArray[np.int64]:
    """Return the bucket of each token's position relative to another: (tokens, tokens), as T5 and MPNet have them."""
    import numpy as np

    half, exact = BUCKETS // 2, BUCKETS // 4
    relative = np.arange(tokens)[None, :] - np.arange(tokens)[:, None]
    distance = np.abs(relative)
    # in float32 as there: on the edges of buckets the last digit decides
    scale = np.float32(math.log(FARTHEST / exact))
    far = exact + (np.log(np.maximum(distance, 1).astype(np.float32) / exact) / scale * (half - exact)).astype(np.int64)
    result: NDArray[np.int64] = np.where(distance < exact, distance, np.minimum(far, half - 1)) + half * (relative > 0)
    return result


def load_onnx(folder: Path, spec: EncoderSpec) -> OnnxModel | None:
    """Load a checkpoint into ONNX Runtime; None where that is not known to give the model that transformers gives.

    Args:
        folder: with `config.json` and `model.safetensors`.
        spec: pooling and layers after it.

    Raises:
        MemoryError: there is too little memory for it.
    """
    try:
        import onnxruntime  # noqa: F401

        config = read_object(folder / "config.json")
        kind = config.get("model_type")
        plain = not any(
            config.get(key) for key in ("is_decoder", "add_cross_attention", "quantization_config", "auto_map")
        )
        pooled = spec.pooling == "first-decoder" if kind == "t5" else set(spec.pooling.split("+")) <= set(POOLINGS)
        if kind not in ARCHITECTURES or not plain or not pooled or spec.modules or not spec.include_prompt:
            raise OtherModelError(f"{kind} with the pooling {spec.pooling}")
        weights = Weights(folder)
        model = _t5(config, weights) if kind == "t5" else _bert_model(config, FAMILY[kind], weights)
    except Exception as error:  # ONNX Runtime's have no common base; torch does the work, or says why not
        if is_memory_fault(error):
            # not torch: how much memory is free must not decide what computes, which is noted with the vectors
            raise MemoryError(str(error)) from error
        expected = (OtherModelError, ExpandrError, ImportError, KeyError, TypeError, ValueError, ZeroDivisionError)
        log.log(logging.DEBUG if isinstance(error, expected) else logging.INFO, "%s: ONNX Runtime cannot run it (%s)", folder, error)  # fmt: skip
        return None
    return model


def _transposed(weights: Weights, shape: tuple[int, int], *names: str) -> NDArray[np.float32]:
    """Return the weights of linear layers of a shape next to each other: (in, out of all)."""
    import numpy as np

    return np.concatenate([weights(f"{name}.weight", *shape) for name in names]).T


def _bert_model(config: Mapping[str, Any], names: Names, weights: Weights) -> OnnxModel:
    import numpy as np

    layers, heads, width, inner, activation = (config[setting] for setting in names.settings)
    if activation != "gelu" or config.get("position_embedding_type", "absolute") != "absolute":
        raise OtherModelError("its activation or positions")
    if names.bias and config["relative_attention_num_buckets"] != BUCKETS:
        raise OtherModelError("its buckets of positions")
    graph, epsilon = Graph(), float(config.get("layer_norm_eps", 1e-12))
    sizes = (config[size] for size in ("vocab_size", "max_position_embeddings", "type_vocab_size") if size in config)
    words, places, *types = (weights(f"{t}.weight", n, width) for t, n in zip(names.embeddings, sizes, strict=False))
    pad = int(config["pad_token_id"])
    first = pad + 1 if isinstance(names.first, str) else names.first
    places = places + types[0][0] if types else places  # every token is of the first type

    def normed(kind: str, name: str, *inputs: str, bias: tuple[str, ...] = ()) -> str:
        scale = [graph.weight(weights(f"{name}.{part}", width)) for part in ("weight", "bias")]
        own = {"domain": OWN} if kind.startswith("Skip") else {}
        return graph(kind, *inputs, *scale, *bias, epsilon=epsilon, **own)  # type: ignore[arg-type]

    def linear(value: str, name: str, size: int, out: int) -> tuple[str, str]:
        """Return the product and the bias, which the next operator adds."""
        product = graph("MatMul", value, graph.weight(_transposed(weights, (out, size), name)))
        return product, graph.weight(weights(f"{name}.bias", out))

    tables = [graph("Gather", graph.weight(words), "tokens"), graph("Gather", graph.weight(places), "positions")]
    states = normed("LayerNormalization", names.norms[0], graph("Add", *tables))
    bias = _relative(graph, weights(f"{names.bias}.weight", BUCKETS, heads)) if names.bias else ""
    for number in range(layers):
        projections = [name.format(number) for name in (names.query, names.key, names.value)]
        joined = graph.weight(np.concatenate([weights(f"{name}.bias", width) for name in projections]))
        attended = graph("Attention", states, graph.weight(_transposed(weights, (width, width), *projections)), joined, "lengths", "", bias, domain=OWN, num_heads=heads)  # fmt: skip
        product, added = linear(attended, names.joined.format(number), width, width)
        states = normed("SkipLayerNormalization", names.norms[1].format(number), product, states, bias=(added,))
        raised = graph("BiasGelu", *linear(states, names.up.format(number), width, inner), domain=OWN)
        product, added = linear(raised, names.down.format(number), inner, width)
        states = normed("SkipLayerNormalization", names.norms[2].format(number), product, states, bias=(added,))
    weights.refuse_left()

    def positions(tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        if not first:
            return np.broadcast_to(np.arange(tokens.shape[1]), tokens.shape)
        real = tokens != first - 1  # a text that has the padding token's name in it is counted as its authors did
        counted: NDArray[np.int64] = real.cumsum(1) * real + first - 1
        return counted

    inputs = {"tokens": ("int64", 2), "positions": ("int64", 2), "lengths": ("int32", 1), "pooling": ("float32", 3)}
    inputs |= {"buckets": ("int64", 2)} if bias else {}
    session = graph.session(inputs, graph("MatMul", "pooling", states))
    return OnnxModel(width, len(words), len(places) - first, session, positions, bool(bias), None, pad)


def _relative(graph: Graph, table: NDArray[np.float32]) -> str:
    """Add the bias of each head for each pair of tokens: (1, heads, tokens, tokens)."""
    return graph("Gather", graph.weight(table.T[None]), "buckets", axis=2)


def _t5(config: Mapping[str, Any], weights: Weights) -> OnnxModel:
    forward = config.get("feed_forward_proj", "relu")
    if forward not in ("relu", "gated-gelu") or config["relative_attention_num_buckets"] != BUCKETS:
        raise OtherModelError("its activation or positions")
    if config.get("relative_attention_max_distance", FARTHEST) != FARTHEST:
        raise OtherModelError("its farthest position")
    graph, heads, epsilon = Graph(), config["num_heads"], float(config["layer_norm_epsilon"])
    width, high, inner = config["d_model"], config["d_ff"], heads * config["d_kv"]
    table = graph.weight(weights("shared.weight", config["vocab_size"], width))

    def normed(value: str, name: str) -> str:
        scale = graph.weight(weights(f"{name}layer_norm.weight", width))
        return graph("SimplifiedLayerNormalization", value, scale, axis=-1, epsilon=epsilon, stash_type=1)

    def linear(value: str, name: str, size: int, out: int) -> str:
        return graph("MatMul", value, graph.weight(_transposed(weights, (out, size), name)))

    def fed(value: str, layer: str) -> str:
        name, state = f"{layer}.DenseReluDense", normed(value, f"{layer}.")
        if forward == "relu":
            up = graph("Relu", linear(state, f"{name}.wi", width, high))
        else:
            gate, raised = (linear(state, f"{name}.{part}", width, high) for part in ("wi_0", "wi_1"))
            up = graph("Mul", graph("FastGelu", gate, domain=OWN), raised)
        return graph("Add", value, linear(up, f"{name}.wo", high, width))

    bias = _relative(graph, weights("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", BUCKETS, heads))  # fmt: skip
    states = graph("Gather", table, "tokens")
    for number in range(config["num_layers"]):
        layer = f"encoder.block.{number}.layer"
        joined = graph.weight(
            _transposed(weights, (inner, width), *(f"{layer}.0.SelfAttention.{part}" for part in "qkv"))
        )
        attended = graph(
            "Attention", normed(states, f"{layer}.0."), joined, "", "lengths", "", bias,
            domain=OWN, num_heads=heads, scale=1.0, qkv_hidden_sizes=[inner] * 3,
        )  # fmt: skip
        states = fed(graph("Add", states, linear(attended, f"{layer}.0.SelfAttention.o", inner, width)), f"{layer}.1")
    states = normed(states, "encoder.final_")
    # of one position attention gives that position's value: queries, keys and relative positions do not matter
    weights("decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", BUCKETS, heads)
    value = graph("Gather", table, "start")
    for number in range(config.get("num_decoder_layers") or config["num_layers"]):
        layer = f"decoder.block.{number}.layer"
        own, other = f"{layer}.0.SelfAttention", f"{layer}.1.EncDecAttention"
        for part in "qk":
            weights(f"{own}.{part}.weight", inner, width)
        value = graph(
            "Add",
            value,
            linear(linear(normed(value, f"{layer}.0."), f"{own}.v", width, inner), f"{own}.o", inner, width),
        )
        sources = zip("qkv", (normed(value, f"{layer}.1."), states, states), strict=True)
        three = [linear(source, f"{other}.{part}", width, inner) for part, source in sources]
        attended = graph("MultiHeadAttention", *three, "", "lengths", domain=OWN, num_heads=heads, scale=1.0)
        value = fed(graph("Add", value, linear(attended, f"{other}.o", inner, width)), f"{layer}.2")
    value = normed(value, "decoder.final_")
    weights.refuse_left()
    inputs = {"tokens": ("int64", 2), "lengths": ("int32", 1), "buckets": ("int64", 2), "start": ("int64", 2)}
    session = graph.session(inputs, value)
    return OnnxModel(width, config["vocab_size"], None, session, None, True, config["decoder_start_token_id"], config["pad_token_id"])  # fmt: skip
