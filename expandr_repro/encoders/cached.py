"""Cache the vectors of queries and expansions, and load the encoder only for new texts.

A vector is kept under a hash of all that decides it: the checkpoint's files, the whole spec, the precision, the kind of device asked
for, the versions of the libraries, the code of this package, the role and the text. So a stale one is never found. The vectors of one
model call depend on their batch in the last digit: a search that finds all its vectors repeats the one that kept them to the byte; one
that finds some of them agrees with a fresh search to about 1e-6 in each score.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expandr_repro.data.specs import EncoderSpec
from expandr_repro.encoders.checkpoints.checkpoint import fingerprint
from expandr_repro.encoders.protocol import Role, TextEncoder, as_texts, check_role
from expandr_repro.encoders.vector_cache import VectorStore
from expandr_repro.errors import NotFiniteError
from expandr_repro.io.manifest import key_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from expandr_repro.encoders.encoder import Encoder

LIBRARIES = ("torch", "transformers", "onnxruntime", "tokenizers", "numpy")


def encoder_key(spec: EncoderSpec, folder: Path, device: str, precision: str) -> str:
    """Return a hash of all that decides an encoder's vectors."""
    settings = {k: v for k, v in dataclasses.asdict(spec).items() if k not in ("model", "revision", "source")}
    return key_of(
        {
            "fingerprint": fingerprint(folder),
            "settings": settings,
            "device": device.partition(":")[0],
            "precision": precision,
            "libraries": {name: _version(name) for name in LIBRARIES},
            "code": _code(),
            **({"plugins": spec.pooling_origin} if spec.pooling_origin else {}),
        }
    )


def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _code() -> str:
    """Return a hash over the modules that make vectors."""
    room = Path(__file__).parent
    total = hashlib.sha256()
    for path in sorted(room.rglob("*.py")):
        total.update(path.relative_to(room).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()


class CachedEncoder:
    """Our encoder, behind a store of vectors.

    Args:
        name: what the user called the encoder.
        key: of `encoder_key`.
        load: loads the encoder; called once, when it is needed.
        store: where vectors are kept.
        folder: the checkpoint.
    """

    def __init__(
        self, name: str, key: str, load: Callable[[], Encoder], store: VectorStore, folder: Path | None = None
    ) -> None:
        self.name, self.key, self.folder = name, key, folder
        self._load, self._store = load, store
        self._loaded: Encoder | None = None
        self._facts: dict[str, Any] | None = None
        self._cut: dict[str, int] = {"query": 0, "expansion": 0, "document": 0}

    @property
    def inner(self) -> Encoder:
        """The encoder itself."""
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded

    def _known(self, fact: str) -> Any:
        """Return a fact of the encoder, from the store where it was noted before."""
        if self._facts is None and self._loaded is None:
            noted = self._store.facts(self.key) or {}
            self._facts = noted if {"identity", "separator", "computed_by"} <= set(noted) else None
        if self._facts is None:
            inner = self.inner
            self._facts = {
                "identity": inner.identity,
                "separator": inner.separator,
                "computed_by": getattr(inner, "computed_by", ""),
            }
            self._store.note(self.key, self._facts)
        return self._facts[fact]

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(self.identity["dimension"])

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the vectors."""
        return {**self._known("identity"), "name": self.name}

    @property
    def computed_by(self) -> str:
        """The library that runs the model."""
        return str(self._known("computed_by"))

    @property
    def separator(self) -> str:
        """The tokenizer's separator."""
        return str(self._known("separator"))

    @property
    def truncated(self) -> dict[str, int]:
        """How many texts of each role were cut at the maximum length so far, those whose vectors were kept included."""
        fresh = self._loaded.truncated if self._loaded else {}
        return {role: self._cut.get(role, 0) + fresh.get(role, 0) for role in {**self._cut, **fresh}}

    def encode(self, texts: Sequence[str], role: Role) -> NDArray[np.float32]:
        """Encode texts to (len(texts), dimension) float32; documents are not kept, as they have their index."""
        import numpy as np

        check_role(role)
        texts = as_texts(texts)
        if role == "document":
            return self.inner.encode(texts, role)
        keys = [self._key_of(text, role) for text in texts]
        stored = self._store.get(list(dict.fromkeys(keys)), self.dimension)
        self._cut[role] = self._cut.get(role, 0) + sum(stored[key][1] for key in keys if key in stored)
        rows = [row for row, key in enumerate(keys) if key not in stored]
        if rows:
            fresh = [texts[row] for row in rows]
            before = self.inner.truncated.get(role, 0)
            try:
                vectors = self.inner.encode(fresh, role)
            except NotFiniteError as error:
                error.row = rows[error.row]
                raise
            any_cut = self.inner.truncated[role] > before
            cells = zip(rows, vectors, self._cut_ones(fresh, role) if any_cut else [False] * len(rows), strict=True)
            new = {keys[row]: (vector, cut) for row, vector, cut in cells}
            self._store.put(new)
            stored |= new
        out = np.empty((len(texts), self.dimension), dtype=np.float32)
        for row, key in enumerate(keys):
            out[row] = stored[key][0]
        return out

    def _key_of(self, text: str, role: Role) -> bytes:
        return hashlib.sha256(f"{self.key} {role} ".encode() + text.encode("utf-8", "surrogatepass")).digest()

    def _cut_ones(self, texts: Sequence[str], role: Role) -> list[bool]:
        """Return for each text whether it is cut at the maximum length, without counting it twice."""
        counts = self.inner.truncated
        before, cut = dict(counts), []
        for text in texts:
            count = counts[role]
            self.inner.tokenize([text], role)
            cut.append(counts[role] > count)
        counts.update(before)
        return cut


def behind(encoder: TextEncoder) -> TextEncoder:
    """Return the encoder behind the cache, loaded: documents are not kept, and by itself it can overlap its stages."""
    return encoder.inner if isinstance(encoder, CachedEncoder) else encoder


def cached(
    name: str, spec: EncoderSpec, folder: Path, device: str, precision: str, load: Callable[[], Encoder]
) -> TextEncoder:
    """Return an encoder behind the cache of vectors; a model that brings its own code, which no hash here covers, stays as it is."""
    if spec.trust_remote_code:
        return load()
    return CachedEncoder(name, encoder_key(spec, folder, device, precision), load, VectorStore(), folder)
