"""Train a small Llama from scratch: a byte-level BPE and a language model on the text of some collections, where no real LLM is available.

Each document is seen in two ways: as it is, and as the answer to ExpandR's prompt with its title for a question. The last documents of
each collection are held out; training stops when their loss does not fall any more, and the best weights are kept. The model has read
the collections' documents, those that are relevant to test topics too (not the topics, nor the qrels): so has many a real LLM.

    python examples/loop/pretrain.py --data $EXPANDR_DATA --collections scifact nfcorpus cacm --output models/small
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

END = "<|end|>"


def documents(names: list[str], expansions: Path | None) -> Iterator[tuple[str, str]]:
    """Yield (title, text) of every document, and (query, passage) of training expansions."""
    from expandr_repro.data.collections import find_corpus
    from expandr_repro.data.topics import read_topics

    for name in names:
        for document in find_corpus(name).read():
            if document.text:
                yield document.title, document.text
    if expansions:
        for topic in read_topics(expansions):
            yield from ((topic.title, text) for text in topic.texts)


def make_tokenizer(texts: Iterator[str], size: int, folder: Path) -> Any:
    """Train a byte-level BPE; texts are ended by `END`, and nothing is put before them."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=size, special_tokens=[END], initial_alphabet=alphabet, show_progress=False))  # fmt: skip
    made = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token=END, pad_token=END)
    made.save_pretrained(folder)
    return made


def stream(pairs: list[tuple[str, str]], tokenizer: Any, draw: random.Random) -> np.ndarray[Any, Any]:
    """Return one long row of token ids: each pair as a document or as a prompt and its answer, in an order drawn again."""
    from expandr_repro.llm.prompts import find_prompt, prepare

    prompt = prepare(*find_prompt("q2d"))
    texts = []
    for title, text in pairs:
        texts.append(f"{prompt.render(title)} {text}" if title else text)
        if draw.random() < 0.5:
            texts.append(f"{title}. {text}" if title else text)
    draw.shuffle(texts)
    rows = tokenizer([t + END for t in texts], return_attention_mask=False)["input_ids"]
    return np.concatenate([np.asarray(r, dtype=np.int64) for r in rows])


def blocks(row: np.ndarray[Any, Any], length: int) -> torch.Tensor:
    """Cut a row into (blocks, length)."""
    return torch.from_numpy(row[: len(row) // length * length].reshape(-1, length).copy())


def loss_of(model: Any, batch: torch.Tensor, device: str) -> torch.Tensor:
    """Return the mean loss of the next token."""
    ids = batch.to(device)
    with torch.autocast(device.split(":")[0], dtype=torch.bfloat16, enabled=device != "cpu"):
        loss: torch.Tensor = model(input_ids=ids, labels=ids).loss
    return loss


def main() -> int:
    """Train and save."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--collections", nargs="+", required=True)
    made.add_argument("--data", default=os.environ.get("EXPANDR_DATA"), help="where they are")
    made.add_argument("--expansions", type=Path, help="augmented training topics, to be read as well")
    made.add_argument("--output", type=Path, required=True)
    made.add_argument("--vocabulary", type=int, default=16384)
    made.add_argument("--shape", type=int, nargs=3, default=[512, 8, 8], metavar=("WIDTH", "LAYERS", "HEADS"))
    made.add_argument("--length", type=int, default=512)
    made.add_argument("--batch", type=int, default=64)
    made.add_argument("--epochs", type=int, default=16)
    made.add_argument("--learning-rate", type=float, default=1e-3)
    made.add_argument("--patience", type=int, default=2)
    made.add_argument("--seed", type=int, default=42)
    made.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = made.parse_args()
    if args.data:
        os.environ["EXPANDR_DATA"] = str(args.data)
    from safetensors.torch import load_model, save_model
    from transformers import LlamaConfig, LlamaForCausalLM

    begin = time.perf_counter()
    args.output.mkdir(parents=True, exist_ok=True)
    pairs = list(documents(args.collections, args.expansions))
    draw = random.Random(args.seed)
    draw.shuffle(pairs)
    held, pairs = pairs[: len(pairs) // 33], pairs[len(pairs) // 33 :]
    tokenizer = make_tokenizer((f"{a} {b}" for a, b in pairs), args.vocabulary, args.output)
    width, layers, heads = args.shape
    torch.manual_seed(args.seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=width, intermediate_size=int(width * 2.75), num_hidden_layers=layers, num_attention_heads=heads,
        num_key_value_heads=heads, max_position_embeddings=1024, tie_word_embeddings=True, attention_dropout=0.1,
        bos_token_id=None, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    model = LlamaForCausalLM(config).to(args.device)
    parameters = sum(p.numel() for p in model.parameters())
    check = blocks(stream(held, tokenizer, random.Random(0)), args.length)
    train = blocks(stream(pairs, tokenizer, draw), args.length)
    steps = args.epochs * math.ceil(len(train) / args.batch)
    print(f"{parameters / 1e6:.1f} million parameters, {len(pairs)} texts, {train.numel() / 1e6:.2f} million tokens an epoch, {len(tokenizer)} in the vocabulary; {time.perf_counter() - begin:.0f} s", flush=True)  # fmt: skip
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.learning_rate, betas=(0.9, 0.95), weight_decay=0.1, fused=args.device != "cpu")  # fmt: skip
    best, bad, step, log = math.inf, 0, 0, []
    for epoch in range(args.epochs):
        if epoch:
            train = blocks(stream(pairs, tokenizer, draw), args.length)
        order = list(range(len(train)))
        draw.shuffle(order)
        model.train()
        total = 0.0
        for first in range(0, len(order), args.batch):
            rate = args.learning_rate * min(1.0, (step + 1) / 100, 0.1 + 0.9 * max(0.0, 1 - step / steps))
            for group in optimizer.param_groups:
                group["lr"] = rate
            loss = loss_of(model, train[order[first : first + args.batch]], args.device)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            total += float(loss.detach()) * min(args.batch, len(order) - first)
            step += 1
        model.eval()
        with torch.inference_mode():
            parts = [(float(loss_of(model, check[i : i + args.batch], args.device)), len(check[i : i + args.batch])) for i in range(0, len(check), args.batch)]  # fmt: skip
        held_loss = sum(a * n for a, n in parts) / sum(n for _, n in parts)
        log.append({"epoch": epoch + 1, "loss": total / len(order), "held_out": held_loss})
        print(f"epoch {epoch + 1}: loss {log[-1]['loss']:.3f}, held out {held_loss:.3f}; {time.perf_counter() - begin:.0f} s", flush=True)  # fmt: skip
        if held_loss < best:
            best, bad = held_loss, 0
            save_model(model, str(args.output / "best.safetensors"))
        else:
            bad += 1
            if bad >= args.patience:
                break
    load_model(model, str(args.output / "best.safetensors"))
    (args.output / "best.safetensors").unlink()
    model.save_pretrained(args.output)
    (args.output / "pretraining.jsonl").write_text("".join(json.dumps(r) + "\n" for r in [{"parameters": parameters, "texts": len(pairs), "best": best}, *log]))  # fmt: skip
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
