"""Load a checkpoint's tokenizer, and tokenise many texts at once with the tokenizers library, on all processors and without offsets."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expandr_repro.encoders.checkpoints.model_files import read_object
from expandr_repro.encoders.checkpoints.weights import no_encoder
from expandr_repro.errors import ExpandrError

SPECIAL = {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]"}  # fmt: skip
"""BERT's special tokens."""

HARMLESS = frozenset({
    "tokenizer_class", "name_or_path", "model_max_length", "do_basic_tokenize", "special_tokens_map_file", "clean_up_tokenization_spaces",
    "model_input_names", "padding_side", "max_length", "stride", "truncation_strategy", "pad_to_multiple_of", "pad_token_type_id", "backend",
    "is_local", "local_files_only", "tokenizer_file",
})  # fmt: skip
"""Settings in tokenizer_config.json that change no token that is cut on the right and not padded."""


@dataclass(frozen=True)
class BertTokenizer:
    """What encoding needs of transformers' tokenizer of BERT, by the tokenizers library alone.

    Attributes:
        backend_tokenizer: of that library.
        pad_token_id: of the token that fills up.
        all_special_ids: of all special tokens.
    """

    backend_tokenizer: Any
    pad_token_id: int
    all_special_ids: Sequence[int]
    sep_token: str = SPECIAL["sep_token"]
    truncation_side: str = "right"

    def __len__(self) -> int:
        return int(self.backend_tokenizer.get_vocab_size())


def load_tokenizer(folder: Path, trust: bool = False, plain: bool = False) -> Any:
    """Load a checkpoint's tokenizer: with transformers, or without importing it where that gives the same tokens.

    Args:
        folder: with the tokenizer's files.
        trust: let the tokenizer's own code run.
        plain: whether it may come without transformers; then it can only do what `BertTokenizer` says.

    Raises:
        NotAvailableError: there is none.
    """
    if plain and (bert := bert_tokenizer(folder)):
        return bert
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=trust)
    except (OSError, ValueError, KeyError, ImportError, TypeError, AttributeError) as error:
        raise no_encoder(folder, error) from error


def bert_tokenizer(folder: Path) -> BertTokenizer | None:
    """Load BERT's tokenizer from its `tokenizer.json`; None where that is not just what transformers makes of a folder's files.

    transformers builds it from the words and from settings in other files, so these have to agree.
    """
    from tokenizers import Tokenizer

    try:
        written, config = (read_object(folder / f"tokenizer{end}.json") for end in ("", "_config"))
        tokens = read_object(folder / "special_tokens_map.json")
        if read_object(folder / "config.json").get("model_type") != "bert" or (folder / "added_tokens.json").exists():
            return None
        words, added = written["model"]["vocab"], _special_tokens(written["added_tokens"])
        if not _agree(written, added, config, tokens):
            return None
        backend = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception:  # noqa: BLE001 - what tokenizers raises; transformers then says what is wrong
        return None
    return BertTokenizer(backend, words[SPECIAL["pad_token"]], sorted(added.values()))


def _special_tokens(listed: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return the special tokens and their ids; none that is looked for in a way of its own."""
    flags = ("single_word", "lstrip", "rstrip", "normalized")
    return {t["content"]: t["id"] for t in listed if t["special"] and not any(t[flag] for flag in flags)}


def _agree(written: Mapping[str, Any], added: Mapping[str, int], config: Mapping[str, Any], tokens: Mapping[str, Any]) -> bool:  # fmt: skip
    model = {key: value for key, value in written["model"].items() if key != "vocab"}
    words = written["model"]["vocab"]
    named = [(key, value) for key, value in (*tokens.items(), *config.items()) if key in SPECIAL]
    rest = {key: value for key, value in config.items() if key not in SPECIAL and key not in HARMLESS}
    normalizer = {
        "type": "BertNormalizer",
        "clean_text": True,
        "handle_chinese_chars": rest.pop("tokenize_chinese_chars", True),
        "strip_accents": rest.pop("strip_accents", None),
        "lowercase": rest.pop("do_lower_case", True),
    }
    decoder = [{"id": int(number), **token} for number, token in rest.pop("added_tokens_decoder", {}).items()]
    single = [
        {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}},
        {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
    ]
    usual = {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100}  # fmt: skip
    contents = [(key, value["content"] if isinstance(value, dict) else value) for key, value in named]
    processor = written["post_processor"]
    return (
        config["tokenizer_class"] in ("BertTokenizer", "BertTokenizerFast")
        and model == usual
        and written["normalizer"] == normalizer
        and written["pre_tokenizer"] == {"type": "BertPreTokenizer"}
        and (processor["type"], processor["single"]) == ("TemplateProcessing", single)
        and all(processor["special_tokens"][name]["ids"] == [words[name]] for name in ("[CLS]", "[SEP]"))
        and rest.pop("truncation_side", "right") == "right"
        and (written.get("truncation") or {}).get("direction", "Right") == "Right"
        and len(written["added_tokens"]) == len(added)
        and added == {token: words[token] for token in SPECIAL.values()}
        and (not decoder or (_special_tokens(decoder), len(decoder)) == (added, len(added)))
        and all(SPECIAL[key] == content for key, content in contents)
        and not set(tokens) - set(SPECIAL)
        and not any(rest.values())
    )


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
