"""`train_generator`: a LoRA adapter from preference pairs by DPO, from topics with expansions by supervised fine-tuning, from rewarded topics by GRPO."""

from __future__ import annotations

import json
import logging
import sys
from typing import TYPE_CHECKING, Any

from expandr_repro import cli
from expandr_repro.console.arguments import Parser
from expandr_repro.console.tables import Table
from expandr_repro.engines.launcher import launched
from expandr_repro.errors import ExpandrError
from expandr_repro.train_generator.options import TrainRequest

if TYPE_CHECKING:
    from expandr_repro.train_generator.run import Training
    from expandr_repro.train_generator.settings import TrainingSettings

log = logging.getLogger("expandr_repro.train_generator")  # not __name__, which is __main__ under `python -m`

EXAMPLES = """
python -m expandr_repro.train_generator --pairs pairs.jsonl --dev-pairs pairs.dev.jsonl --model meta-llama/Meta-Llama-3-8B-Instruct --output expandr-llm
python -m expandr_repro.train_generator --sft scifact/train --expansions claude.q2d --dev 80 --model small-llama --set lora_r=0 --output cold-start
python -m expandr_repro.train_generator --grpo --topics scifact/train --hold-out scifact/test --dev 80 --model meta-llama/Meta-Llama-3-8B-Instruct --set reward=delta-ndcg --output grpo
python -m expandr_repro.train_generator --pairs pairs.jsonl --model cold-start --set learning_rate=5e-5 --set seed=7 --merge --output tuned
accelerate launch --num_processes 4 -m expandr_repro.train_generator --pairs pairs.jsonl --model meta-llama/Meta-Llama-3-8B-Instruct --set gradient_accumulation=2 --output expandr-llm
"""


OF_LORA = ("lora_alpha", "lora_dropout", "lora_targets")


def build_parser() -> Parser:
    """Return the command's parser."""
    return cli.parser(
        "train_generator",
        "Train the LLM that writes expansions: by DPO on preference pairs, (--sft) on topics and their expansions, or (--grpo) on its own texts as it writes them. "
        "The same command goes on where a killed one was.",
        EXAMPLES,
        TrainRequest,
    )


def run(request: TrainRequest) -> int:
    """Run the command."""
    if bool(request.pairs) + bool(request.sft) + request.grpo != 1:
        raise ExpandrError(
            "what to learn from: give --pairs F (DPO), --sft TOPICS (supervised fine-tuning) or --grpo --topics TOPICS (GRPO), one of them"
        )
    if request.grpo and not request.topics:
        raise ExpandrError("--grpo: for which topics? Give --topics T, e.g. --topics scifact/train")
    first = launched().rank == 0
    if not first:  # of several processes one speaks
        logging.getLogger("expandr_repro").setLevel(logging.ERROR)
    from expandr_repro.train_generator.run import train_generator

    try:
        manifest = train_generator(_training(request))
    except KeyboardInterrupt:
        log.info("the last checkpoint is kept; the same command goes on from there")
        raise
    if first:
        log.info("wrote %s", request.output)
        _report(manifest, request.format)
    return 0


def _training(request: TrainRequest) -> Training:
    from expandr_repro.train_generator.examples import TrainingData, from_pairs, from_topics
    from expandr_repro.train_generator.online.data import OnlineData, find_data
    from expandr_repro.train_generator.run import Training
    from expandr_repro.train_generator.settings import DpoSettings, GrpoSettings, SftSettings
    from expandr_repro.training.settings import read_config

    settings: DpoSettings | SftSettings | GrpoSettings
    data: TrainingData | OnlineData
    if request.grpo:
        settings = read_config(GrpoSettings, request.config or "grpo", request.changes)
        data = find_data(request, settings.reward, settings.seed)
    elif request.sft:
        settings = read_config(SftSettings, request.config or "sft", request.changes)
        data = from_topics(
            request.sft,
            request.expansions,
            request.prompt or "q2d",
            request.dev or 0,
            settings.seed,
            request.hold_out,
            request.allow_overlap,
        )
    else:
        settings = read_config(DpoSettings, request.config or "dpo", request.changes)
        data = from_pairs(request.pairs or "", request.dev_pairs, request.hold_out)
    training = Training(request, data, settings)
    _warn_of_unused(request, settings, training.validates)
    return training


def _warn_of_unused(request: TrainRequest, settings: TrainingSettings, validates: bool) -> None:
    """Return which settings given by hand decide nothing."""
    given = {change.partition("=")[0].strip() for change in request.changes}
    unused = {
        "with --adapter, which brings its own": given & {"lora_r", *OF_LORA} if request.adapter else set(),
        "with lora_r 0, which trains all weights": set()
        if settings.lora_r or request.adapter
        else given & set(OF_LORA),
        "without anything to validate on": set()
        if validates
        else given & {"eval_steps", "keep_best", "best_by", "sample_texts", "dev_samples"},
        "with max_steps": given & {"epochs"} if settings.max_steps else set(),
    }
    for why, names in unused.items():
        if names:
            log.warning("--set %s: has no effect %s", ", ".join(sorted(names)), why)


def _report(manifest: dict[str, Any], form: str) -> None:
    result = manifest["result"]
    measures = Table(["", "before", "after"], [[name, *ends] for name, ends in result["before_after"].items()])
    if form == "json":
        parts = {key: result[key] for key in ("steps", "chosen_step", "texts") if key in result}
        print(json.dumps({**parts, "counts": manifest["counts"], "measures": json.loads(measures.render("json"))}, indent=2))  # fmt: skip
        return
    rows: list[list[object]] = [["steps", result["steps"]], ["the result is after step", result["chosen_step"]]]
    if "texts" in result:
        rows.append(["texts generated before and after, one for each validation prompt", result["texts"]])
    for name, counts in manifest["counts"].items():
        whose = "training" if name == "train" else "validation"
        rows += [[f"{whose}: {what}", n] for what, n in counts.items() if n]
    print(Table(["", "n"], rows).render(form) + "\n\n" + measures.render(form))


main = cli.command(build_parser, run)

if __name__ == "__main__":
    sys.exit(main())
