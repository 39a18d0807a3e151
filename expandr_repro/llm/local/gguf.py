"""Convert GGUF files into models: dequantised to bf16 once, and cached as a folder.

What transformers reads of a GGUF file lacks two things: its end-of-text and padding tokens are wrong for some tokenizers,
so the file's own are taken; and the loaded model counts as quantised, and is then not allowed to be saved, although its
weights are plain.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any

from expandr_repro.errors import ExpandrError, FormatError, NotAvailableError, SetupError, reason_of
from expandr_repro.io.files import atomic_folder, sha256_file
from expandr_repro.io.paths import cache_dir

VERSION = 1
"""Of the conversion; a part of the folder's name."""

HUB = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+):(?P<file>[\w./-]+\.gguf)")


def is_gguf(model: str) -> bool:
    """Return whether a model's name is a GGUF file or `repo:file.gguf` on the hub."""
    return model.lower().endswith(".gguf") and not Path(model).is_dir()


def find_gguf(model: str, revision: str | None = None) -> Path:
    """Return the file, fetched from the hub where `model` is `org/repo:file.gguf`.

    Raises:
        NotAvailableError: there is no such file, or it cannot be had.
    """
    if Path(model).is_file():
        return Path(model)
    match = HUB.fullmatch(model)
    if not match:
        raise NotAvailableError(f"{model}: no such file; a GGUF file on the hub is named org/repo:file.gguf")
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(match["repo"], match["file"], revision=revision))
    except (OSError, ValueError) as error:
        raise NotAvailableError(
            f"{model}: cannot be fetched from the hub ({reason_of(error)}); download it and give its path"
        ) from error


def converted(file: Path) -> tuple[Path, str]:
    """Return the model folder of a GGUF file, made where it is not in the cache yet, and the file's SHA-256.

    Raises:
        SetupError: the package gguf is not installed.
        FormatError: the file is none, is damaged, or is of an architecture that transformers does not read.
    """
    from filelock import FileLock

    digest = sha256_file(file)
    folder = cache_dir() / "gguf" / f"{digest[:20]}.{VERSION}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not folder.is_dir():
            with atomic_folder(folder) as fresh:
                _convert(file, fresh)
    return folder, digest


def _convert(file: Path, folder: Path) -> None:
    import torch

    try:
        from gguf import GGUFReader
    except ImportError as error:
        raise SetupError("a GGUF model needs the package gguf; run `pip install expandr-repro[gguf]`") from error
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging as noise

    with file.open("rb") as beginning:
        if beginning.read(4) != b"GGUF":
            raise FormatError(file, None, "does not begin like a GGUF file; download it again")
    before = noise.get_verbosity()
    noise.set_verbosity_error()
    noise.disable_progress_bar()
    where = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    try:
        fields = GGUFReader(file).fields
        tokenizer = AutoTokenizer.from_pretrained(**where)
        model = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.bfloat16)
    except (ValueError, KeyError, OSError, IndexError, RuntimeError, NotImplementedError, ImportError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise FormatError(
            file,
            None,
            f"transformers cannot read this GGUF file ({reason}); take another architecture, or the model's safetensors",
        ) from error
    finally:
        noise.set_verbosity(before)
    end, pad = _number(fields, "eos"), _number(fields, "padding")
    if end is None:
        end = tokenizer.eos_token_id
    if end is None:
        raise FormatError(file, None, "names no end-of-text token; take the model's safetensors")
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(end)
    tokenizer.pad_token = tokenizer.convert_ids_to_tokens(end if pad is None else pad)
    plain = _plain(model)
    plain.config.eos_token_id = plain.generation_config.eos_token_id = end
    plain.generation_config.pad_token_id = tokenizer.pad_token_id
    plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _number(fields: Any, what: str) -> int | None:
    key = f"tokenizer.ggml.{what}_token_id"
    return int(fields[key].contents()) if key in fields else None


def _plain(model: Any) -> Any:
    """Return the model without its marks of quantisation, which its weights no longer have."""
    import torch

    for holder in (model, model.config):
        for name in ("quantization_config", "quantization_method", "is_quantized", "hf_quantizer"):
            if hasattr(holder, name):
                with contextlib.suppress(AttributeError):  # where it is the class's
                    delattr(holder, name)
                if getattr(holder, name, None) is not None:
                    setattr(holder, name, None)
    with torch.device("meta"):  # weights that are replaced at once need not be drawn
        plain = type(model)(model.config)
    plain.load_state_dict({k: v.to(torch.bfloat16) for k, v in model.state_dict().items()}, assign=True)
    plain.tie_weights()
    return plain


def gguf_identity(asked: str, digest: str) -> tuple[str, str]:
    """Return the model's name, the same on every machine, and its revision: the file's hash and the conversion."""
    return (Path(asked).name if Path(asked).is_file() else asked), f"gguf-sha256:{digest[:32]}.{VERSION}"


def require_local(backend: str) -> None:
    """Refuse a GGUF file where the backend reads it itself or serves models.

    Raises:
        ExpandrError: the backend is another than transformers.
    """
    if backend == "vllm":
        raise ExpandrError(
            "--backend vllm: give a GGUF model to --backend transformers, or serve it with llama.cpp or Ollama and use --base-url"
        )
