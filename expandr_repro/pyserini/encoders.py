"""Use Pyserini's encoder classes as encoders of this toolkit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expandr_repro.data.specs import EncoderSpec
from expandr_repro.encoders.checkpoints.checkpoint import fingerprint, locate
from expandr_repro.encoders.checkpoints.own_code import refuse_adapter, refuse_kernels
from expandr_repro.encoders.checkpoints.weights import position_limit, refuse_incomplete
from expandr_repro.encoders.protocol import Role, as_texts, check_role, pick_device
from expandr_repro.errors import ExpandrError, NotAvailableError, UnknownNameError, reason_of
from expandr_repro.pyserini.jvm import start

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PRESETS: dict[str, dict[str, Any]] = {
    "sentence": {"pooling": "mean", "l2_norm": True},
    "contriever": {"pooling": "mean", "l2_norm": False},
}
"""What Pyserini's own command line passes for these classes (`pyserini/search/faiss/__main__.py`)."""

DOCUMENT_NAMES = {"sentence": "sentence-transformers"}
"""Where Pyserini calls the document side of a class something else."""

AUTOMATIC = ("auto", "sentence", "contriever")


@contextmanager
def _whole_weights(folder: Path) -> Iterator[None]:
    """Make transformers refuse incomplete weights, which Pyserini's classes would initialise at random.

    Raises:
        MismatchError: from within transformers.
    """
    from transformers import PreTrainedModel

    before = PreTrainedModel.__dict__["from_pretrained"]

    def load(cls: type, *args: Any, **options: Any) -> Any:
        model, report = before.__func__(cls, *args, **{**options, "output_loading_info": True})
        refuse_incomplete(folder, model, report)
        return (model, report) if options.get("output_loading_info") else model

    PreTrainedModel.from_pretrained = classmethod(load)
    try:
        yield
    finally:
        PreTrainedModel.from_pretrained = before


@contextmanager
def _model_code(allowed: bool) -> Iterator[None]:
    """Keep a model's own code from running, unless it may: some of Pyserini's classes let it run even without --trust-remote-code.

    Raises:
        ValueError: from within transformers, where a model brings code of its own.
    """
    from transformers import dynamic_module_utils as dynamic

    def refuse(*_: Any, **__: Any) -> None:
        raise ValueError("the model brings code of its own, which runs only with --trust-remote-code")

    before = dynamic.get_class_in_module, dynamic.TIME_OUT_REMOTE_CODE
    if not allowed:
        dynamic.get_class_in_module, dynamic.TIME_OUT_REMOTE_CODE = refuse, 0  # 0: nobody is asked, either
    try:
        yield
    finally:
        dynamic.get_class_in_module, dynamic.TIME_OUT_REMOTE_CODE = before


class PyseriniEncoder:
    """One of Pyserini's encoder classes as the encoder of our commands, called as Pyserini's own commands call it.

    Args:
        name: what the user called it.
        spec: `pyserini_class` and `model`; pooling, normalisation, prefix and length count for the class `auto`.
        device: as for our own encoder.

    Raises:
        UnknownNameError: Pyserini has no such class.
        NotAvailableError: the class cannot load the model.
        MismatchError: the weights are not all of the model that `config.json` describes.
    """

    def __init__(self, name: str, spec: EncoderSpec, device: str) -> None:
        start()
        from pyserini.encode import document_encoder_class_map, query_encoder_class_map

        self.name, self.spec, self.device = name, spec, pick_device(device)
        self.kind = spec.pyserini_class or "auto"
        if self.kind not in query_encoder_class_map:
            raise UnknownNameError("Pyserini encoder class", self.kind, query_encoder_class_map)
        if not spec.model:
            raise ExpandrError(f"encoder {name!r}: no model; write pyserini:{self.kind}:MODEL")
        options = dict(PRESETS.get(self.kind, {}))
        if self.kind == "auto":
            if spec.pooling not in ("cls", "mean"):
                raise ExpandrError(f"encoder {name!r}: Pyserini's auto class pools cls or mean, not {spec.pooling}")
            options = {"pooling": spec.pooling, "l2_norm": spec.normalize, "prefix": spec.query_prefix.rstrip() or None}
        model = str(locate(spec.model)) if spec.model.startswith("package:") else spec.model
        self.folder = Path(model)
        if self.folder.is_dir() and not any(self.folder.rglob("*.safetensors")):
            raise NotAvailableError(
                f"{model}: no weights as safetensors there (other formats can run code and are not loaded); convert it with save_pretrained"
            )
        refuse_kernels(self.folder, spec.trust_remote_code)
        refuse_adapter(self.folder)
        document_class = document_encoder_class_map.get(DOCUMENT_NAMES.get(self.kind, self.kind))
        try:
            with _model_code(spec.trust_remote_code), _whole_weights(self.folder):
                self._query = query_encoder_class_map[self.kind](encoder_dir=model, device=self.device, **options)
                if self.kind == "auto":
                    options["prefix"] = spec.document_prefix.rstrip() or None
                self._document = (
                    document_class(model_name=model, device=self.device, **options) if document_class else None
                )
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise NotAvailableError(
                f"encoder {name!r}: Pyserini's class cannot load {spec.model!r} ({reason_of(error)})"
            ) from error
        self.truncated: dict[str, int] = {"query": 0, "expansion": 0, "document": 0}
        network = getattr(self._query, "model", None)
        self.longest = position_limit(network) if hasattr(network, "named_modules") else None
        self.spec = spec.within(self.longest)
        self._dimension = len(self._query.encode("dimension"))

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self._dimension

    @property
    def separator(self) -> str:
        """The tokenizer's separator, where the class has a tokenizer."""
        return str(getattr(getattr(self._query, "tokenizer", None), "sep_token", "") or "")

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the vectors."""
        spec = self.spec
        automatic = self.kind in AUTOMATIC
        return {
            "name": self.name,
            "fingerprint": fingerprint(self.folder) if self.folder.is_dir() else f"hub:{spec.model}",
            "dimension": self.dimension,
            "pyserini_class": self.kind,
            "pooling": PRESETS.get(self.kind, {}).get("pooling", spec.pooling) if automatic else self.kind,
            "normalize": PRESETS.get(self.kind, {}).get("l2_norm", spec.normalize) if automatic else self.kind,
            "document_prefix": spec.document_prefix,
            "query_prefix": spec.query_prefix,
            "query_max_length": spec.query_max_length,
            "document_max_length": spec.document_max_length,
        }

    def encode(self, texts: Sequence[str], role: Role) -> NDArray[np.float32]:
        """Encode texts as Pyserini's command would: queries one at a time, documents in batches of 32 of like length.

        Raises:
            UnknownNameError: no such role.
        """
        import numpy as np
        import torch

        check_role(role)
        texts = as_texts(texts)
        out = np.zeros((len(texts), self.dimension), dtype=np.float32)
        with torch.no_grad():
            if role == "document":
                if self._document is None:
                    raise ExpandrError(
                        f"Pyserini's class {self.kind!r} encodes no documents; search an index that was made with it"
                    )
                order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
                for begin in range(0, len(order), 32):
                    rows = order[begin : begin + 32]
                    out[rows] = self._document.encode(
                        [texts[i] for i in rows], max_length=self.spec.document_max_length
                    )
            else:
                for row, text in enumerate(texts):
                    out[row] = self._query_vector(text)
        return out

    def _query_vector(self, text: str) -> Any:
        if self.kind in AUTOMATIC:
            return self._query.encode(text, max_length=self.spec.query_max_length)
        return self._query.encode(text)
