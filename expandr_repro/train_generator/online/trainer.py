"""trl's GRPOTrainer with our rollouts, our rewards and our validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from expandr_repro.errors import ExpandrError
from expandr_repro.llm.local.chat import prompt_ids
from expandr_repro.llm.prompts import Prompt
from expandr_repro.llm.sampling import Sampling, seed_of
from expandr_repro.prefer.similarity import Case
from expandr_repro.train_generator.online.rewarding import GroupRewards
from expandr_repro.train_generator.online.rollouts import Policy, Text, set_ends
from expandr_repro.train_generator.online.validation import WORDS, Validation, extra_of
from expandr_repro.train_generator.settings import GrpoSettings
from expandr_repro.train_generator.trl.arguments import Place, common_arguments, lora_config
from expandr_repro.train_generator.trl.checks import processes
from expandr_repro.train_generator.trl.trainers import hush, layers_named

LONG = "prompt longer than max_prompt_length"


@dataclass
class Parts:
    """What a GRPO trainer is made of besides a model.

    Attributes:
        cases: topics to train on.
        prompt: that the model answers.
        rewards: of the texts.
        validation: None where there is nothing to validate on.
        words_before: reads from the records how long the untrained model's texts were, where a training goes on.
    """

    cases: Sequence[Case]
    prompt: Prompt
    rewards: GroupRewards
    validation: Validation | None
    words_before: Callable[[], float | None]


def make_grpo_trainer(
    settings: GrpoSettings, place: Place, model: Any, tokenizer: Any, parts: Parts
) -> tuple[Any, int]:
    """Return the trainer, and how many topics were dropped because their prompt is too long; no step is taken yet.

    Args:
        settings: how.
        place: where and how it runs.
        model: of transformers, or of peft where an adapter is trained further.
        tokenizer: its tokenizer; given a padding token where it has none.
        parts: the rest.

    Raises:
        ExpandrError: there are too few topics for a step, or the model has no such layers for an adapter.
    """
    from datasets import Dataset
    from peft import PeftModel
    from trl import GRPOConfig

    prompts = [parts.prompt.render(case.topic.title) for case in parts.cases]
    lengths = [len(ids) for ids in prompt_ids(tokenizer, prompts, settings.chat_template_kwargs)]
    fitting = [i for i, n in enumerate(lengths) if n <= settings.max_prompt_length]
    topics = settings.texts_a_step * processes() // settings.group_size
    if len(fitting) < topics:
        raise ExpandrError(
            f"{len(fitting)} topics are left ({len(prompts) - len(fitting)} prompts are longer than max_prompt_length) and a step takes {topics} "
            "(batch_size x gradient_accumulation / group_size); lower gradient_accumulation, or raise max_prompt_length"
        )
    rows = {"prompt": [prompts[i] for i in fitting], "qid": [parts.cases[i].topic.qid for i in fitting]}
    set_ends(model, tokenizer)
    config = GRPOConfig(
        **common_arguments(settings, place),
        num_generations=settings.group_size,
        max_completion_length=settings.max_completion_length,
        temperature=settings.temperature,
        top_p=settings.top_p,
        top_k=0,
        beta=settings.beta,
        loss_type=settings.loss,
        disable_dropout=False,
    )
    adapter = None if isinstance(model, PeftModel) else lora_config(settings, model)
    with layers_named(settings.lora_targets):
        trainer = _trainer_class()(
            settings,
            parts,
            place,
            model=model,
            args=config,
            train_dataset=Dataset.from_dict(rows),
            # what it holds is not looked at: our own validation takes its place
            eval_dataset=Dataset.from_dict({"prompt": rows["prompt"][:1]}) if parts.validation else None,
            processing_class=tokenizer,
            peft_config=adapter,
        )
    hush(trainer)
    return trainer, len(prompts) - len(fitting)


def _trainer_class() -> Any:
    from trl import GRPOTrainer
    from trl.trainer.utils import RepeatSampler

    class Sampler(RepeatSampler):  # type: ignore[misc]
        """trl's, whose order depends on the epoch alone, so that a training that goes on in a later one has the same."""

        def set_epoch(self, epoch: int) -> None:
            self.generator.manual_seed(self.seed + epoch)

    class Trainer(GRPOTrainer):  # type: ignore[misc]
        """trl's, without its model card and with our own texts, rewards and validation."""

        def __init__(self, settings: GrpoSettings, parts: Parts, place: Place, **named: Any) -> None:
            self.chosen, self.parts = settings, parts
            self.control: Any
            self.written: list[Text] = []
            super().__init__(reward_funcs=[self.reward], rollout_func=self.roll_out, **named)
            inner = self.model.get_base_model() if hasattr(self.model, "peft_config") else self.model
            self.policy = Policy(inner, self.processing_class, place.device, settings.eval_batch_size)
            self.sampling = Sampling(
                settings.temperature, settings.top_p, settings.max_completion_length, extra_of(settings)
            )

        def create_model_card(self, *_: Any, **__: Any) -> None:
            """Write none: the manifest says what the adapter is."""

        def _get_train_sampler(self, dataset: Any = None) -> Any:
            return Sampler(
                self.train_dataset if dataset is None else dataset,
                mini_repeat_count=self.num_generations,
                batch_size=self.args.generation_batch_size // self.num_generations,
                repeat_count=self.num_iterations * self.args.steps_per_generation,
                seed=self.args.seed,
            )

        def roll_out(self, prompts: Sequence[str], _: Any) -> dict[str, Any]:
            """Write a text for each prompt; what was written is kept for the reward."""
            place = f"step {self.state.global_step} process {self.accelerator.process_index}"
            seeds = [seed_of(self.chosen.seed, place, i) for i in range(len(prompts))]
            self.written = self.policy.write(prompts, self.sampling, seeds)
            return {
                "prompt_ids": [t.prompt_ids for t in self.written],
                "completion_ids": [t.ids for t in self.written],
                "logprobs": None,
            }

        def reward(self, qid: Sequence[str], log_metric: Callable[[str, float], None], **_: Any) -> list[float]:
            """Return the reward of each text that was just written."""
            rewards = self.parts.rewards
            if rewards.length_weight and rewards.length_words is None:
                rewards.length_words = self.parts.words_before()
            values = rewards(qid, self.written)
            for name, value in rewards.means.items():
                log_metric(name, value)
            return values

        def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
            """Validate by real searches; nothing is learnt from and no random number is drawn."""
            assert self.parts.validation is not None
            self.policy.model_and_tokenizer[0].to(self.accelerator.device)
            found = self.parts.validation.measure(self.policy)
            if not self.state.global_step and self.parts.rewards.length_words is None:
                self.parts.rewards.length_words = max(1.0, found[WORDS])
            was_training = self.model.training
            self.model.eval()  # what is logged now is no mean over batches of training
            self.log(dict(found))
            self.model.train(was_training)
            self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, found)
            return found

    return Trainer
