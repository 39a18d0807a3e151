"""A tiny BERT with random weights and a word tokenizer over pocket's vocabulary, made where a test trains one."""

from __future__ import annotations

import json
from pathlib import Path

from expandr_repro.io.paths import resource


def pocket_words() -> list[str]:
    """Return every word of pocket's passages, queries and expansions, in lower case."""
    words: set[str] = set()
    for name in ("corpus.jsonl", "queries.jsonl"):
        for line in (resource("pocket") / name).read_text(encoding="utf-8").splitlines():
            words.update("".join(c if c.isalnum() else " " for c in json.dumps(json.loads(line)).lower()).split())
    return sorted(words)


def save_tiny_bert(folder: Path, *, dropout: float = 0.1, dim: int = 32, seed: int = 0) -> Path:
    """Save a BERT of two layers with random weights, the same each time."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    vocabulary = {word: number for number, word in enumerate([*special, *pocket_words()])}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    raw.normalizer = normalizers.Lowercase()
    raw.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Punctuation("removed")])
    raw.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", model_max_length=128
    )  # fmt: skip
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=dim, num_hidden_layers=2, num_attention_heads=2, intermediate_size=2 * dim,
        max_position_embeddings=128, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
