"""A tiny Llama with random weights and a tokenizer like Llama 3's, made where a test needs one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

LLAMA_3_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|start_header_id|>{{ message['role'] }}<|end_header_id|>\n\n"
    "{{ message['content'] }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)

SPECIAL = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]


def tokenizer_like_llama_3(template: str | None = LLAMA_3_TEMPLATE, *, add_end: bool = False) -> Any:
    """Return a byte-level BPE tokenizer that puts <|begin_of_text|> before every text, as Llama 3's does."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        ["what is rain", "a passage about snow"],
        trainers.BpeTrainer(vocab_size=320, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False),
    )
    start, end = SPECIAL[:2]
    single = f"{start} $A {end}" if add_end else f"{start} $A"
    pair = f"{single} $B"
    made.post_processor = processors.TemplateProcessing(
        single=single, pair=pair, special_tokens=[(t, made.token_to_id(t)) for t in SPECIAL[:2]]
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, bos_token=start, eos_token="<|eot_id|>")
    if add_end:
        tokenizer.eos_token = end
    tokenizer.chat_template = template
    return tokenizer


def save_tiny_llama(folder: Path, template: str | None = LLAMA_3_TEMPLATE) -> Path:
    """Save a Llama of two layers with random weights, the same each time."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = tokenizer_like_llama_3(template)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=512, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        initializer_range=0.5,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
