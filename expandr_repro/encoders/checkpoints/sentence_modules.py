"""Read the modules of a sentence-transformers folder: applied as sentence-transformers does, or refused by name."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from expandr_repro.data.specs import EncoderSpec
from expandr_repro.encoders.checkpoints.model_files import inside_of, read_json, read_object
from expandr_repro.errors import FormatError, shown

log = logging.getLogger(__name__)

POOLINGS = {
    "cls": "cls", "max": "max", "mean": "mean", "mean_sqrt_len_tokens": "mean-sqrt-len", "weightedmean": "weighted-mean", "lasttoken": "last",
}  # fmt: skip
"""sentence-transformers' pooling -> ours, in the order in which its old form puts several together."""

OLD_POOLINGS = {
    "pooling_mode_cls_token": "cls", "pooling_mode_max_tokens": "max", "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens", "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}  # fmt: skip

TRANSFORMER_FILES = [
    f"sentence_{name}_config.json" for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
]  # fmt: skip

SENTENCE = "sentence_embedding"

TEXT = {"text": {"method": "forward", "method_output_name": "last_hidden_state"}}

HARMLESS: dict[str, tuple[Any, ...]] = {
    "transformer_task": ("feature-extraction",), "modality_config": (TEXT,), "module_output_name": ("token_embeddings",), "unpad_inputs": (True, False),
    "processing_kwargs": ({},), "query_expansion": (), "tokenizer_name_or_path": (),
}  # fmt: skip
"""Settings of a Transformer module and the values, besides none at all, that change no vector of ours."""

ARGUMENTS = ("model_args", "model_kwargs", "config_args", "config_kwargs", "tokenizer_args", "processor_kwargs")

HARMLESS_ARGUMENTS = {"trust_remote_code", "attn_implementation", "use_fast", "local_files_only", "token", "cache_dir"}
"""Arguments for transformers that change no vector; whether a model's own code runs is the command line's to say."""


def settings_of(folder: Path, spec: EncoderSpec) -> dict[str, Any]:
    """Return the fields of an encoder's spec that a sentence-transformers folder decides.

    Args:
        folder: with `modules.json`.
        spec: what holds where the folder says nothing.

    Raises:
        FormatError: a module or a setting that our encoder does not have, by name; or a file that cannot be read.
    """
    refuse_other_kinds(folder)
    path = folder / "config_sentence_transformers.json"
    whole = read_object(path)
    (kind, first), *rest = _modules(folder)
    if kind != "Transformer" or not rest or rest[0][0] != "Pooling":
        names = " and ".join(name for name, _ in ((kind, first), *rest)[:2])
        raise _unsupported(folder / "modules.json", f"it begins with {names}", "Transformer and Pooling, in this order")
    (_, pooling), *head = rest
    modules = [_head_module(name, module_folder, folder) for name, module_folder in head if name != "Dropout"]
    similarity = whole.get("similarity_fn_name")
    if similarity not in (None, "cosine", "dot"):
        raise _unsupported(
            path, f"similarity_fn_name is {shown(similarity)}", "cosine or dot, which inner products rank"
        )
    truncate = whole.get("truncate_dim")
    if truncate is not None and (not isinstance(truncate, int) or truncate < 1):
        raise FormatError(path, None, f"truncate_dim is {shown(truncate)}, wanted a whole number from 1")
    normalize = similarity == "cosine"
    while modules and modules[-1] == "Normalize" and (normalize or truncate is None):
        normalize = bool(modules.pop())
    if similarity is None and not normalize and not modules:
        log.info("%s: names no similarity and no Normalize module; inner products of its vectors are ranked", folder)
    return {
        **_transformer(first, spec),
        **_pooling(pooling / "config.json"),
        **_prompts(path, whole, spec),
        "subfolder": first.relative_to(folder).as_posix().removeprefix("."),
        "modules": modules,
        "truncate_dim": truncate,
        "normalize": normalize,
    }


def refuse_other_kinds(folder: Path) -> None:
    """Refuse a model that scores pairs, or makes sparse or several vectors of a text.

    Raises:
        FormatError: it does; says which kind it is.
    """
    path = folder / "config_sentence_transformers.json"
    kind = read_object(path).get("model_type", "SentenceTransformer")
    if kind != "SentenceTransformer":
        raise _unsupported(
            path, f"the model is a {shown(kind)}", "a SentenceTransformer, which makes one vector of a text"
        )
    path = folder / "config.json"
    config = read_object(path)
    named = config.get("architectures") or [""]
    if "sbert_ce_default_activation_function" in config or str(named[0]).endswith("ForSequenceClassification"):
        raise _unsupported(path, f"the model is a CrossEncoder or a classifier ({shown(named[0])})", "an encoder")


def _unsupported(path: Path, value: str, wanted: str) -> FormatError:
    return FormatError(path, None, f"{value}, which is not supported here; wanted {wanted}")


def _modules(folder: Path) -> list[tuple[str, Path]]:
    """Return the modules of a folder in order: kind and place.

    Raises:
        FormatError: one that is not sentence-transformers' own or that our encoder lacks.
    """
    path = folder / "modules.json"
    listed = read_json(path)
    if not isinstance(listed, list) or not listed or not all(isinstance(m, dict) and "type" in m for m in listed):
        raise FormatError(path, None, 'wanted a list of {"type": ..., "path": ...}, as sentence-transformers writes it')
    modules = []
    for module in listed:
        kind = str(module["type"])
        name = kind.rpartition(".")[2]
        known = ("Transformer", "Pooling", "Dense", "LayerNorm", "Normalize", "Dropout")
        if name not in known or not kind.startswith("sentence_transformers.") or ".sparse_encoder." in kind:
            raise _unsupported(path, f"its module {kind[:200]}", f"sentence-transformers' {', '.join(known)}")
        if module.get("kwargs"):
            raise _unsupported(
                path, f"its module {name} takes arguments at each call ({shown(module['kwargs'])})", "none"
            )
        modules.append((name, inside_of(folder, str(module.get("path", "")), path)))
    return modules


def _head_module(name: str, module_folder: Path, folder: Path) -> str:
    if name not in ("Dense", "LayerNorm", "Normalize"):
        raise _unsupported(folder / "modules.json", f"a second {name}", "one Transformer and one Pooling")
    path = module_folder / "config.json"
    config = read_object(path)
    for key in ("module_input_name", "module_output_name"):
        if config.get(key) not in (None, SENTENCE):
            raise _unsupported(path, f"{key} is {shown(config[key])}", SENTENCE)
    return name if name == "Normalize" else f"{name}:{module_folder.relative_to(folder).as_posix()}"


def _pooling(path: Path) -> dict[str, Any]:
    config = read_object(path)
    _refuse_unknown(
        path,
        config,
        ("pooling_mode", "include_prompt", "embedding_dimension", "word_embedding_dimension", *OLD_POOLINGS),
    )
    modes = config.get("pooling_mode", [mode for key, mode in OLD_POOLINGS.items() if config.get(key)] or "mean")
    listed = modes if isinstance(modes, list) else [modes]
    if not listed or not all(isinstance(mode, str) and mode in POOLINGS for mode in listed):
        raise _unsupported(path, f"the pooling is {shown(modes)}", f"one or several of {', '.join(POOLINGS)}")
    return {
        "pooling": "+".join(POOLINGS[mode] for mode in listed),
        "include_prompt": bool(config.get("include_prompt", True)),
    }


def _refuse_unknown(path: Path, config: Mapping[str, Any], known: Iterable[str]) -> None:
    if unknown := sorted(set(config) - set(known)):
        raise _unsupported(path, f"it sets {unknown[0]}", f"at most {', '.join(known)}")


def _transformer(folder: Path, spec: EncoderSpec) -> dict[str, Any]:
    """Return the lengths and the lower-casing that a Transformer module sets."""
    path = next(
        (folder / name for name in TRANSFORMER_FILES if read_object(folder / name)), folder / TRANSFORMER_FILES[0]
    )
    config = read_object(path)
    lengths = ("max_seq_length", "query_length", "document_length")
    _refuse_unknown(path, config, (*HARMLESS, *ARGUMENTS, *lengths, "do_lower_case"))
    for key, values in HARMLESS.items():
        if config.get(key) is not None and config[key] not in values:
            raise _unsupported(path, f"{key} is {shown(config[key])}", f"{shown(values[0])}" if values else "none")
    limit = _length(path, config, "max_seq_length")
    for key in ARGUMENTS:
        given = config.get(key) or {}
        if not isinstance(given, dict):
            raise FormatError(path, None, f"{key} is {shown(given)}, wanted a JSON object")
        if key in ("tokenizer_args", "processor_kwargs"):
            limit = _length(path, given, "model_max_length") or limit
        fp32 = {name for name in ("dtype", "torch_dtype") if given.get(name) in ("auto", "float32")}
        if others := sorted(set(given) - HARMLESS_ARGUMENTS - fp32 - {"model_max_length"}):
            raise _unsupported(
                path, f"{key} sets {others[0]} to {shown(given[others[0]])}", "a model and tokenizer without it"
            )
    limit = limit or _own_limit(folder)
    return {
        "query_max_length": _length(path, config, "query_length") or limit or spec.document_max_length,
        "document_max_length": _length(path, config, "document_length") or limit or spec.document_max_length,
        "lower_case": bool(config.get("do_lower_case")),
    }


def _length(path: Path, config: Mapping[str, Any], key: str) -> int | None:
    """Return a number of tokens, or None where there is no limit (transformers writes 1e30)."""
    length = config.get(key)
    if length is None or (isinstance(length, int | float) and length >= 1_000_000):
        return None
    if not isinstance(length, int) or isinstance(length, bool) or length < 1:
        raise FormatError(path, None, f"{key} is {shown(length)}, wanted a whole number from 1")
    return length


def _own_limit(folder: Path) -> int | None:
    """Return the limit that holds where sentence-transformers' own settings name none: the tokenizer's, or the model's if that is less."""
    path = folder / "tokenizer_config.json"
    limits = [_length(path, read_object(path), "model_max_length")]
    path = folder / "config.json"
    config = read_object(path)
    limits += [
        _length(path, config, key)
        for key in ("max_position_embeddings", "n_positions")
        if config.get(key) not in (-1, 0)
    ]
    return min((length for length in limits if length), default=None)


def _prompts(path: Path, config: Mapping[str, Any], spec: EncoderSpec) -> dict[str, str]:
    """Return the prefixes: the prompts `query` and `document`, as encode_query and encode_document take them."""
    prompts = config.get("prompts") or {}
    if not isinstance(prompts, dict) or not all(isinstance(p, str | None) for p in prompts.values()):
        raise FormatError(path, None, f"found the prompts {shown(prompts)}, wanted texts by name")
    default = config.get("default_prompt_name")
    if default is not None and default not in (*prompts, "query", "document"):
        raise FormatError(
            path, None, f"default_prompt_name is {shown(default)}, wanted one of {', '.join(prompts) or 'none'}"
        )
    for name in dict.fromkeys(("passage", "corpus", default)):
        if name not in (None, "query", "document") and prompts.get(name):
            log.warning(
                "%s: the prompt %s (%s) is not used, as encode_query and encode_document of sentence-transformers do not use it; "
                "--query-prefix and --document-prefix set others",
                path, shown(name), shown(prompts[name]),
            )  # fmt: skip
    fallback = {"query": spec.query_prefix, "document": spec.document_prefix}
    return {f"{role}_prefix": prompts.get(role) or ("" if role in prompts else text) for role, text in fallback.items()}
