"""Other toolkits' encoders as functions from texts to vectors."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import NotHereError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Encode = Callable[[Sequence[str]], "NDArray[np.float32]"]


@contextlib.contextmanager
def _without_java() -> Iterator[None]:
    """Let `pyserini.encode._auto` be imported alone: the whole package starts a JVM and takes seven seconds, for nothing that it needs.

    Empty packages stand in for `pyserini` and `pyserini.encode`, and are forgotten afterwards: whoever imports them then gets them.
    """
    found = importlib.util.find_spec("pyserini")
    if found is None or not found.submodule_search_locations:
        raise NotHereError("Pyserini is not installed")
    places = list(found.submodule_search_locations)
    before = {k: v for k, v in sys.modules.items() if k.partition(".")[0] == "pyserini"}
    for name in before:
        del sys.modules[name]
    for name, below in (("pyserini", ""), ("pyserini.encode", "encode")):
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = [str(Path(place, below)) for place in places]
    util = types.ModuleType("pyserini.util")
    util.download_encoded_queries = None  # type: ignore[attr-defined]  # never called here
    sys.modules["pyserini.util"] = util
    try:
        yield
    finally:
        for name in [k for k in sys.modules if k.partition(".")[0] == "pyserini"]:
            del sys.modules[name]
        sys.modules.update(before)


def pyserini_auto() -> Any:
    """Return the module with stock Pyserini's AutoDocumentEncoder and AutoQueryEncoder.

    Raises:
        NotHereError: Pyserini, or what its encoders need, is not installed.
    """
    with _without_java():
        try:
            base = importlib.import_module("pyserini.encode._base")
            for name in ("DocumentEncoder", "QueryEncoder"):
                setattr(sys.modules["pyserini.encode"], name, getattr(base, name))
            return importlib.import_module("pyserini.encode._auto")
        except ImportError as error:
            raise NotHereError(f"Pyserini cannot be imported ({error})") from error


def pyserini_documents(folder: Path, device: str, max_length: int, batch: int) -> Encode:
    """Return stock Pyserini's AutoDocumentEncoder, in batches as `pyserini.encode` makes them."""
    import numpy as np

    encoder = pyserini_auto().AutoDocumentEncoder(str(folder), device=_first(device), pooling="mean", l2_norm=True)

    def encode(texts: Sequence[str]) -> NDArray[np.float32]:
        parts = [encoder.encode(list(texts[n : n + batch]), max_length=max_length) for n in range(0, len(texts), batch)]
        return np.concatenate(parts)

    return encode


def pyserini_queries(folder: Path, device: str, max_length: int) -> Encode:
    """Return stock Pyserini's AutoQueryEncoder: one query after the other, as `pyserini.search.faiss` calls it."""
    import numpy as np

    encoder = pyserini_auto().AutoQueryEncoder(str(folder), device=_first(device), pooling="mean", l2_norm=True)
    return lambda texts: np.stack([encoder.encode(text, max_length=max_length) for text in texts])


def sentence_transformers(folder: Path, device: str, max_length: int, batch: int, precision: str = "fp32") -> Encode:
    """Return sentence-transformers' `encode`: mean pooling, unit vectors; it sorts by length itself."""
    import numpy as np

    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise NotHereError("sentence-transformers is not installed") from error
    import torch

    kind = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    model = SentenceTransformer(str(folder), device=device, model_kwargs={"dtype": kind})
    model.max_seq_length = max_length

    def encode(texts: Sequence[str]) -> NDArray[np.float32]:
        made = model.encode(
            list(texts), batch_size=batch, normalize_embeddings=True, show_progress_bar=False, convert_to_tensor=True
        )
        return np.asarray(made.float().cpu().numpy(), dtype=np.float32)

    return encode


def _first(device: str) -> str:
    return "cuda:0" if device == "cuda" else device
