"""Load an encoder by name: a known one, a spec file, a model folder, a hub name, or `pyserini:CLASS:MODEL`."""

from __future__ import annotations

import dataclasses
import logging
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from expandr_repro.data.specs import EncoderSpec, encoder_spec, encoders
from expandr_repro.encoders.cached import cached
from expandr_repro.encoders.checkpoints.checkpoint import SETTINGS, is_sentence_transformers, locate, spec_of_folder
from expandr_repro.encoders.checkpoints.sentence_modules import refuse_other_kinds
from expandr_repro.encoders.encoder import Encoder
from expandr_repro.encoders.options import EncoderOptions
from expandr_repro.encoders.protocol import TextEncoder, pick_device
from expandr_repro.errors import ExpandrError, UnknownNameError
from expandr_repro.io.strict_yaml import read_yaml
from expandr_repro.registry import Registry

log = logging.getLogger(__name__)

Factory = Callable[[EncoderOptions], TextEncoder]


def _adopt(thing: Any) -> EncoderSpec | Factory:
    if not isinstance(thing, EncoderSpec) and not callable(thing):
        raise ExpandrError(f"its entry point is {type(thing).__name__}; wanted an EncoderSpec, or a function of EncoderOptions that returns an encoder")  # fmt: skip
    adopted: EncoderSpec | Factory = thing
    return adopted


PLUGINS: Registry[EncoderSpec | Factory] = Registry("encoder", "expandr_repro.encoders", adopt=_adopt)
"""Encoders that plug-ins add: a spec, or a function of the options that returns an encoder; ours are in `resources/encoders.yaml`."""

PREFIXES = {
    r"e5-(mistral|.*instruct)": (
        "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: ",
        "",
    ),
    r"\be5-": ("query: ", "passage: "),
    r"\bbge-(small|base|large)-en": ("Represent this sentence for searching relevant passages: ", ""),
    r"\bbge-(small|base|large)-zh": ("为这个句子生成表示以用于检索相关文章：", ""),
    r"\b(mxbai-embed|uae-large|snowflake-arctic-embed-(xs|s|m|l)$)": (
        "Represent this sentence for searching relevant passages: ",
        "",
    ),
    r"\b(nomic-embed-text|modernbert-embed)": ("search_query: ", "search_document: "),
    r"\bsnowflake-arctic-embed-.*v2": ("query: ", ""),
}
"""Names of model families and the prefixes of queries and documents that their model cards ask for."""


def load_encoder(
    name: str, options: EncoderOptions | None = None, *, cache: bool = False, training: bool = False
) -> TextEncoder:
    """Load an encoder.

    Args:
        name: as on the command line.
        options: what the command line says of it.
        cache: whether vectors of queries and expansions are kept and reused; one of ours is then loaded only when a new text comes.
        training: whether its weights will change.

    Raises:
        UnknownNameError: nothing has that name.
        NotAvailableError: its weights are not here and could not be fetched.
        ExpandrError: a plain checkpoint that does not say how to pool.
    """
    options = dataclasses.replace(options or EncoderOptions(), name=name)
    if name.startswith("pyserini:"):
        kind, _, model = name.removeprefix("pyserini:").partition(":")
        spec = options.applied_to(EncoderSpec(model=model, pyserini_class=kind, source="Pyserini"))
        return _pyserini(name, spec, options)
    plugin = plugin_named(name)
    if plugin is not None and not isinstance(plugin, EncoderSpec):
        return plugin(options)
    spec, folder = _resolve(name, options)
    if spec.pyserini_class:
        return _pyserini(name, spec, options)
    settings = options.applied_to(spec)
    if not name.endswith((".yaml", ".yml")):
        _warn_of_prefixes(name, folder, settings, options)

    def load() -> Encoder:
        encoder = Encoder(
            settings, folder, options.device, options.precision, options.batch_tokens, options.compile, not training
        )
        encoder.name = name
        _check_length(name, options, encoder.longest)
        return encoder

    if not cache:
        return load()
    if options.device not in ("auto", "cpu"):
        pick_device(options.device)  # what is cached would hide that there is no such device
    if options.compile and (options.precision == "fp32" or not pick_device(options.device).startswith("cuda")):
        load()  # refuses it, which what is cached would hide
    return cached(name, settings, folder, options.device, options.precision, load)


def _check_length(name: str, options: EncoderOptions, longest: int | None) -> None:
    if longest and options.max_length and options.max_length > longest:
        raise ExpandrError(
            f"--max-length {options.max_length}: {name} has positions for {longest} tokens; use {longest} or less"
        )


def _warn_of_prefixes(name: str, folder: Path, spec: EncoderSpec, options: EncoderOptions) -> None:
    """Return what a family of models wants before its texts, where neither the folder nor the command line sets anything."""
    if spec.query_prefix or spec.document_prefix or (options.query_prefix, options.document_prefix) != (None, None):
        return
    called = name.rstrip("/").rpartition("/")[2].lower()
    for family, (query, document) in PREFIXES.items():
        if re.search(family, called):
            log.warning(
                "%s: models of this name were trained with prefixes, and nothing in %s sets any; add --query-prefix %r%s",
                name, folder.name, query, f" --document-prefix {document!r}" if document else "",
            )  # fmt: skip
            return


def _pyserini(name: str, spec: EncoderSpec, options: EncoderOptions) -> TextEncoder:
    from expandr_repro.pyserini.encoders import PyseriniEncoder

    if options.compile:
        raise ExpandrError(f"--compile: {name} is run by Pyserini, which has no such option; leave it out")
    encoder = PyseriniEncoder(name, spec, options.device)
    _check_length(name, options, encoder.longest)
    return encoder


def _resolve(name: str, options: EncoderOptions) -> tuple[EncoderSpec, Path]:
    if name in encoders() or name.endswith((".yaml", ".yml")):
        # a file may be a stranger's, and only the command line says that a model's own code may run
        spec = dataclasses.replace(encoder_spec(name), trust_remote_code=False)
        if spec.pyserini_class:
            return spec, Path()
        folder = _trained_here(name) or locate(spec.model, spec.revision, options.trust_remote_code)
        return spec if name in encoders() else _over_folder(name, spec, folder), folder
    # the known encoder whose model has this hub name, in capitals or not
    if known := next((known for known, spec in encoders().items() if spec.model.lower() == name.lower()), None):
        spec = dataclasses.replace(encoders()[known], trust_remote_code=False)
        folder = Path(name) if Path(name).is_dir() else locate(spec.model, spec.revision, options.trust_remote_code)
        if not (folder / SETTINGS).is_file():
            log.info("%s: taken with the settings of the encoder %s (prefixes, pooling, lengths)", name, known)
            return spec, folder
    if isinstance(plugin := plugin_named(name), EncoderSpec):
        spec = dataclasses.replace(plugin, trust_remote_code=False)
        return spec, locate(spec.model, spec.revision, options.trust_remote_code)
    trained = _trained_here(name)
    if trained is None and not Path(name).is_dir() and name.count("/") != 1:
        raise unknown_encoder(name)
    folder = trained or locate(name, remote_code=options.trust_remote_code)
    if (folder / SETTINGS).is_file():
        # a folder may come from a stranger: what it says may shape vectors, not run code or point elsewhere
        stored = encoder_spec(str(folder / SETTINGS))
        return dataclasses.replace(stored, model=str(folder), pyserini_class=None, trust_remote_code=False), folder
    if is_sentence_transformers(folder):
        return spec_of_folder(folder), folder
    refuse_other_kinds(folder)
    if options.pooling is None or options.normalize is None:
        raise ExpandrError(
            f"{name}: a plain checkpoint does not say how its vectors are made; add --pooling mean|cls|last|first-decoder and --normalize or --no-normalize"
        )
    return EncoderSpec(model=str(folder)), folder


def plugin_named(name: str) -> EncoderSpec | Factory | None:
    """Return the encoder that a plug-in adds under a name; None where none does, or a folder or an encoder of ours has the name.

    Raises:
        ExpandrError: a plug-in adds it, and does not load.
    """
    taken = name in encoders() or "/" in name or name.endswith((".yaml", ".yml"))
    if taken or _trained_here(name) or Path(name).is_dir() or name not in PLUGINS.names():
        return None
    return PLUGINS.find(name)


def unknown_encoder(name: str) -> UnknownNameError:
    """Return the error of a name that no encoder has."""
    return UnknownNameError(
        "encoder",
        name,
        [*encoders(), *PLUGINS.names()],
        "A model folder, a hub name (owner/model), a .yaml spec or pyserini:CLASS:MODEL works as well.",
    )


def _over_folder(name: str, spec: EncoderSpec, folder: Path) -> EncoderSpec:
    """Override the settings of a model's folder with those of a settings file."""
    if not is_sentence_transformers(folder):
        return spec
    own = spec_of_folder(folder)
    given = {key: getattr(spec, key) for key in read_yaml(name) if key != "model"}
    return dataclasses.replace(own, **{"model": spec.model, **given, "trust_remote_code": False})


def _trained_here(name: str) -> Path | None:
    """Return `$EXPANDR_MODELS/<name>`, where it is a folder directly below."""
    base = os.environ.get("EXPANDR_MODELS")
    if not base or "/" in name or name in (".", ".."):
        return None
    folder = Path(base).expanduser() / name
    return folder if folder.is_dir() else None


def say_truncated(encoder: TextEncoder | None) -> None:
    """Log how many texts of each role were cut at the encoder's maximum length, if any were."""
    cut = {role: n for role, n in (encoder.truncated if encoder else {}).items() if n}
    if cut:
        log.info("cut at the encoder's maximum length: %s", ", ".join(f"{n} {role} texts" for role, n in cut.items()))
