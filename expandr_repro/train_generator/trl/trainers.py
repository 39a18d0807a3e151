"""trl's trainers, fed with our token ids."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from expandr_repro.errors import ExpandrError, reason_of
from expandr_repro.train_generator.settings import DpoSettings, PassageSettings
from expandr_repro.train_generator.trl.arguments import Place, common_arguments, lora_config
from expandr_repro.train_generator.trl.examples import Examples
from expandr_repro.train_generator.trl.reference import ReferenceStore, with_reference


def make_trainer(
    settings: PassageSettings,
    setup: Place,
    model: Any,
    tokenizer: Any,
    train: Examples,
    dev: Examples | None,
    store: ReferenceStore,
) -> Any:
    """Return the trainer of trl that the settings ask for; no step is taken yet.

    Args:
        settings: `DpoSettings` or `SftSettings`.
        setup: where and how it runs.
        model: of transformers, or of peft where an adapter is trained further.
        tokenizer: its tokenizer; given a padding token where it has none.
        train: at least one example.
        dev: to validate on.
        store: of the reference's log-probabilities.

    Raises:
        ExpandrError: the model has no such layers for an adapter.
    """
    from peft import PeftModel

    adapter = None if isinstance(model, PeftModel) else lora_config(settings, model)
    has_adapter = adapter is not None or isinstance(model, PeftModel)
    kind, config, rows = _dpo(settings, setup, has_adapter, store) if isinstance(settings, DpoSettings) else _sft(settings, setup)  # fmt: skip
    with layers_named(settings.lora_targets):
        trainer = kind(
            model=model,
            args=config,
            train_dataset=rows(train),
            eval_dataset=rows(dev) if dev else None,
            processing_class=tokenizer,
            peft_config=adapter,
        )
    hush(trainer)
    return trainer


@contextmanager
def layers_named(targets: str) -> Iterator[None]:
    """Say which layers were asked for where peft finds none.

    Raises:
        ExpandrError: the model has no such layers.
    """
    try:
        yield
    except ValueError as error:
        if "target" in str(error).lower():
            raise ExpandrError(
                f"lora_targets: the model has no fitting layers called {targets} ({reason_of(error, 160)})"
            ) from error
        raise


class _WithoutCard:
    """A trainer of trl's that writes no model card: the manifest says what the adapter is."""

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """Write none."""


Kind = tuple[type[Any], Any, Callable[[Examples], Any]]
"""A trainer's class, its arguments, and what makes its data set of examples."""


def _dpo(settings: DpoSettings, setup: Place, has_adapter: bool, store: ReferenceStore) -> Kind:
    from trl import DPOConfig, DPOTrainer

    kept = settings.precompute_reference

    class Trainer(_WithoutCard, DPOTrainer):  # type: ignore[misc]
        """trl's, which would tokenise again, drop rows silently, and keep the reference's values for one process only."""

        def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
            return dataset

        def _precompute_ref_logps(self, dataset: Any, _name: str, batch_size: int) -> Any:
            return store.add_to(dataset, self, batch_size) if kept else dataset

        def compute_loss(self, model: Any, inputs: Any, *more: Any, **named: Any) -> Any:
            """Compute the loss, and before it the reference's values where they are not kept."""
            return super().compute_loss(
                model, inputs if kept or not has_adapter else with_reference(self, inputs), *more, **named
            )

    config = DPOConfig(
        **common_arguments(settings, setup),
        max_length=settings.max_length,
        beta=settings.beta,
        loss_type=[settings.loss] + ["sft"] * bool(settings.sft_weight),
        loss_weights=[1.0] + [settings.sft_weight] * bool(settings.sft_weight),
        ld_alpha=settings.ld_alpha,
        disable_dropout=False,  # trl's default would set the adapter's dropout to 0, too
        precompute_ref_log_probs=kept or has_adapter,  # of an adapter's model we compute them in either case
        precompute_ref_batch_size=settings.eval_batch_size,
    )
    return Trainer, config, _pairs


def _sft(settings: PassageSettings, setup: Place) -> Kind:
    from trl import SFTConfig, SFTTrainer

    class Trainer(_WithoutCard, SFTTrainer):  # type: ignore[misc]
        """trl's, without its model card."""

    config = SFTConfig(
        **common_arguments(settings, setup),
        max_length=settings.max_length,
        dataset_kwargs={"skip_prepare_dataset": True},
    )
    return Trainer, config, _labelled


def _pairs(examples: Examples) -> Any:
    from datasets import Dataset

    chosen, rejected = zip(*examples.passages, strict=True)
    return Dataset.from_dict({"prompt_ids": examples.prompts, "chosen_ids": list(chosen), "rejected_ids": list(rejected)})  # fmt: skip


def _labelled(examples: Examples) -> Any:
    """Learn the passage only: the prompt's tokens are no labels."""
    from datasets import Dataset

    passages = [passage for (passage,) in examples.passages]
    rows = list(zip(examples.prompts, passages, strict=True))
    return Dataset.from_dict({"input_ids": [p + c for p, c in rows], "labels": [[-100] * len(p) + c for p, c in rows]})


def hush(trainer: Any) -> None:
    """Take away the callback that prints dicts on standard output."""
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)
