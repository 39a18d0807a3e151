"""Find a local model's weights and adapter, and identify them by hash."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from expandr_repro.encoders.checkpoints.checkpoint import fingerprint, locate
from expandr_repro.encoders.checkpoints.own_code import refuse_kernels
from expandr_repro.encoders.protocol import PRECISIONS, pick_device
from expandr_repro.errors import ExpandrError, NotAvailableError
from expandr_repro.io.files import sha256_file
from expandr_repro.llm.answers.markers import mentions_marks
from expandr_repro.llm.base import GeneratorOptions, Identity
from expandr_repro.llm.local.adapters import check_adapter
from expandr_repro.llm.local.chat import TEMPLATE_DATE
from expandr_repro.llm.local.gguf import converted, find_gguf, gguf_identity, is_gguf, require_local
from expandr_repro.llm.local.seeded import VERSION


@dataclass(frozen=True)
class Weights:
    """A local model's folders and settings, resolved.

    Attributes:
        folder: of the model.
        adapter: of the LoRA adapter, or None.
        precision: fp32, bf16 or fp16.
        identity: what decides the texts.
    """

    folder: Path
    adapter: Path | None
    precision: str
    identity: Identity


def find_weights(backend: str, options: GeneratorOptions, device: str) -> Weights:
    """Find (and where need be fetch) a model and its adapter; the weights are not loaded yet.

    Raises:
        NotAvailableError: not there, cannot be fetched, or not as safetensors.
        MismatchError: the adapter is of another model.
        ExpandrError: an unknown precision.
    """
    if options.precision not in ("auto", *PRECISIONS):
        raise ExpandrError(f"--precision {options.precision!r}: wanted one of auto, {', '.join(PRECISIONS)}")
    precision = options.precision
    if precision == "auto":
        precision = "bf16" if pick_device(device).startswith("cuda") else "fp32"
    if is_gguf(options.model):
        require_local(backend)
        folder, digest = converted(find_gguf(options.model, options.revision))
        name, revision = gguf_identity(options.model, digest)
    else:
        folder = locate(options.model, options.revision, options.trust_remote_code)
        _refuse_pickles(folder)
        refuse_kernels(folder, options.trust_remote_code)
        name, revision = _name(options.model, folder), _revision(folder)
    adapter = locate(options.adapter) if options.adapter else None
    if adapter:
        check_adapter(adapter, str(options.adapter), name, revision)
    written = _tokenizer_text(folder)
    identity = Identity(
        backend=backend,
        model=name,
        revision=revision,
        adapter=_name(options.adapter, adapter) if options.adapter and adapter else None,
        adapter_sha256=fingerprint(adapter) if adapter else None,
        precision=precision,
        template_date=TEMPLATE_DATE if "strftime_now" in written else None,
        decoding="marks kept" if mentions_marks(written) else None,
        sampler=f"seeded {VERSION}" if backend == "transformers" else None,
    )
    return Weights(folder, adapter, precision, identity)


def _tokenizer_text(folder: Path) -> str:
    """Return what a folder says of its chat template and its added tokens, which stand at the beginning of tokenizer.json."""
    names = (
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.json",
        "added_tokens.json",
        "special_tokens_map.json",
    )
    texts = []
    for path in [*sorted(folder.rglob("*.jinja")), *(folder / name for name in names)]:
        if path.is_file():
            with path.open(encoding="utf-8", errors="replace") as file:
                texts.append(file.read(1 << 20))
    return "\n".join(texts)


def _refuse_pickles(folder: Path) -> None:
    if not any(folder.glob("*.safetensors")):
        raise NotAvailableError(
            f"{folder}: no model weights as safetensors there (other formats can run code and are not loaded); convert it with save_pretrained"
        )


def _name(asked: str, folder: Path) -> str:
    """Return a name that is the same on every machine: a hub name as it is, of a folder its last part."""
    return folder.resolve().name if Path(asked).is_dir() else asked


def _revision(folder: Path) -> str:
    if folder.parent.name == "snapshots":  # the hub's cache names the folder by the commit
        return folder.name
    templates = [f"{p.name} {sha256_file(p)}" for p in sorted(folder.glob("*.jinja"))]  # these change the prompt
    whole = "\n".join([fingerprint(folder), *templates])
    return "sha256:" + hashlib.sha256(whole.encode()).hexdigest()[:32]
