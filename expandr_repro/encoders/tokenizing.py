"""Tokenise many texts at once with the tokenizers library, on all processors and without offsets."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from expandr_repro.errors import ExpandrError


def put_in_lower_case(tokenizer: Any, folder: Path) -> None:
    """Make a tokenizer lower-case texts first, as sentence-transformers' `do_lower_case` does.

    Raises:
        ExpandrError: it is not one of the tokenizers library, which could.
    """
    from tokenizers.normalizers import Lowercase, Sequence

    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    if not hasattr(backend, "normalizer"):
        raise ExpandrError(
            f"{folder}: do_lower_case is not supported for a {type(tokenizer).__name__}; wanted a fast tokenizer"
        )
    backend.normalizer = Sequence([Lowercase(), *([backend.normalizer] if backend.normalizer else [])])


class TextTokenizer:
    """The tokenizer of a checkpoint, for whole lists of texts.

    transformers' own call makes masks, types and a Python object for each text first; the ids are the same (a test).

    Args:
        tokenizer: as `AutoTokenizer` loads it.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._cutting: dict[int, Any] = {}
        self._lock = threading.Lock()

    def ids(self, texts: Sequence[str], length: int) -> tuple[list[list[int]], int]:
        """Tokenise, with special tokens, cut at a length.

        Args:
            texts: with their prefix.
            length: the most tokens of a text, special ones included.

        Returns:
            The ids of each text, and how many texts were cut.
        """
        cutting = self._cutting_at(length)
        if cutting is None:  # a tokenizer in Python
            coded = self._tokenizer(
                list(texts),
                truncation=True,
                max_length=length,
                return_attention_mask=False,
                return_token_type_ids=False,
            )
            return list(coded["input_ids"]), 0
        coded = cutting.encode_batch_fast(list(texts))
        ids = [e.ids for e in coded]
        # only full ones can have an overflow, and asking each for it takes as long as tokenising
        return ids, sum(1 for e, row in zip(coded, ids, strict=True) if len(row) >= length and e.overflowing)

    def _cutting_at(self, length: int) -> Any:
        """Return a copy of the Rust tokenizer that cuts there: the one in transformers keeps the state of its last call."""
        with self._lock:
            if length not in self._cutting:
                backend = getattr(self._tokenizer, "backend_tokenizer", None)
                if backend is not None and hasattr(backend, "encode_batch_fast"):
                    backend = type(backend).from_str(backend.to_str())
                    backend.enable_truncation(length, direction=self._tokenizer.truncation_side)
                    backend.no_padding()
                else:
                    backend = None
                self._cutting[length] = backend
            return self._cutting[length]
