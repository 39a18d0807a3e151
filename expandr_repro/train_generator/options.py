"""The options of `train_generator`, and when they apply."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from expandr_repro.console.options import Options, When, option, positive
from expandr_repro.console.tables import FORMATS
from expandr_repro.encoders.options import DEFAULT
from expandr_repro.training.options import allow_overlap, hold_out

KINDS = ("pairs", "sft", "grpo")


def _only(*kinds: str) -> When:
    """Return that an option belongs to some kinds of training; with several kinds or none, that is what is wrong."""

    def chosen(request: TrainRequest) -> list[str]:
        return [kind for kind in KINDS if getattr(request, kind)]

    return When(
        "",
        lambda request: len(chosen(request)) != 1 or chosen(request)[0] in kinds,
        lambda request: f" has no meaning with --{chosen(request)[0]}; leave it out",
    )


PAIRS, SFT, GRPO, TOPICS = _only("pairs"), _only("sft"), _only("grpo"), _only("sft", "grpo")
HUB = When("to a model of the hub; a folder is what it is", lambda request: not Path(request.model).is_dir())
VALIDATES = When(
    "with --sft or --grpo and --dev, which keeps topics for validation, or --dev-topics",
    lambda request: bool((request.sft or request.grpo) and (request.dev or request.dev_topics)),
)

DATA = "what to learn from"
learn, base, how, out = (partial(option, group=title) for title in (DATA, "model", "how", "output"))


@dataclass(frozen=True)
class TrainRequest(Options):
    """What to train, and how."""

    pairs: str | None = learn(None, metavar="F", help="preference pairs, as `prefer` writes them: DPO")
    dev_pairs: str | None = learn(None, metavar="F", help="pairs to validate on (default: none)", applies=PAIRS)
    sft: str | None = learn(None, metavar="T", help="topics with expansions, or a collection (its train split, where none is named): supervised fine-tuning")  # fmt: skip
    grpo: bool = learn(False, help="generate texts for --topics during training, and learn from their rewards: GRPO")
    topics: str | None = learn(None, metavar="T", help="--grpo: a collection whose qrels and documents give the gold passages, e.g. scifact/train (its train split, where none is named)", applies=GRPO)  # fmt: skip
    answers: str | None = learn(None, metavar="F", help="--grpo: augmented topics of `expand --prompt q2a`, for the reward `answer`", applies=GRPO)  # fmt: skip
    dev_topics: str | None = learn(None, metavar="T", help="--grpo: validate by searching these topics, which are not trained on", applies=GRPO)  # fmt: skip
    encoder: str = learn(DEFAULT, metavar="E", help="--grpo: encoder for rewards and searches", applies=GRPO)
    index: str | None = learn(None, metavar="I", help="--grpo: index to search (default: the collection's, built once)", applies=GRPO)  # fmt: skip
    expansions: str | None = learn(None, metavar="E", help="--sft: an augmented topics file or a packaged set (default: the topics' own)", applies=SFT)  # fmt: skip
    dev: int | None = learn(None, metavar="N", parse=positive, help="--sft, --grpo: validate on N topics, drawn by seed (default: none)", applies=TOPICS)  # fmt: skip
    prompt: str | None = learn(None, metavar="P", help="--sft, --grpo: the prompt, filled in with the title (default: q2d); pairs have their own", applies=TOPICS)  # fmt: skip
    hold_out: tuple[str, ...] = hold_out(DATA)
    allow_overlap: bool = allow_overlap(DATA, VALIDATES)
    model: str = base("", required=True, metavar="M", help="a model folder or a hub name")
    revision: str | None = base(None, metavar="R", help="revision on the hub", applies=HUB)
    adapter: str | None = base(None, metavar="A", help="a LoRA adapter of that model, to train further")
    device: str = base("auto", parse=str, help="cpu, cuda or auto")
    trust_remote_code: bool = base(False, help="run the model's own code; only for models you trust")
    config: str | None = how(None, metavar="C", help="settings: dpo, sft, grpo, or a .yaml file with all their keys (default: by the kind of training)")  # fmt: skip
    changes: tuple[str, ...] = how((), "--set", metavar="KEY=VALUE", again=True, help="change one setting, e.g. learning_rate=5e-5; may be repeated")  # fmt: skip
    output: Path = out(Path(), required=True, metavar="DIR", help="the folder to write: adapter, tokenizer, manifest.json, metrics.jsonl, curves.png")  # fmt: skip
    merge: bool = out(False, help="write the model with the adapter merged into it, and the adapter in DIR/adapter")
    overwrite: bool = out(False, help="replace the result of another training in DIR")
    format: str = out("text", choices=FORMATS, help="format of the report")
