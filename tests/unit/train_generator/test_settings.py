"""The packaged settings, and values that no training can have."""

from __future__ import annotations

import pytest

from expandr_repro.errors import ExpandrError, FormatError
from expandr_repro.train_generator.settings import DpoSettings, SftSettings
from expandr_repro.training.settings import read_config


def test_the_packaged_settings_of_dpo_are_those_of_the_paper():
    made = read_config(DpoSettings, "dpo")

    assert (made.lora_r, made.lora_alpha, made.lora_dropout, made.beta) == (8, 32, 0.1, 0.1)
    assert (made.learning_rate, made.epochs, made.batch_size, made.gradient_accumulation) == (2e-5, 2, 2, 8)
    assert (made.max_length, made.max_prompt_length, made.max_grad_norm, made.seed) == (612, 100, 10, 42)
    assert made.precompute_reference


def test_fine_tuning_has_no_settings_of_dpo():
    assert read_config(SftSettings, "sft").learning_rate == 2e-4
    with pytest.raises(FormatError, match="unknown key 'beta'"):
        read_config(SftSettings, "sft", ["beta=0.1"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("epochs=0", "epochs: found 0, wanted 1 or more"),
        ("patience=0", "patience: found 0, wanted 1 or more"),
        ("lora_dropout=1", "settings.lora_dropout: found 1.0, wanted 0 or more and less than 1"),
        ("learning_rate=0", "learning_rate: found 0.0, wanted more than 0"),
        ("learning_rate=.nan", "learning_rate: found nan, wanted more than 0"),
        ("learning_rate=.inf", "learning_rate: found inf, wanted more than 0"),
        ("weight_decay=.inf", "weight_decay: found inf, wanted 0 or more"),
        ("beta=.inf", "beta: found inf, wanted more than 0"),
        ("beta=-1", "beta: found -1.0, wanted more than 0"),
        ("max_length=100", "max_length: found 100, wanted more than max_prompt_length"),
        ("weight_decay=.nan", "weight_decay: found nan, wanted 0 or more"),
        ("sft_weight=-1", "sft_weight: found -1.0, wanted 0 or more"),
        ("ld_alpha=1.5", "ld_alpha: found 1.5, wanted 0 to 1"),
        ("ld_alpha=.nan", "ld_alpha: found nan, wanted 0 to 1"),
        ("loss=dpo", "loss"),
        ("sample_texts=-1", "sample_texts: found -1, wanted 0 or more"),
    ],
)
def test_a_value_that_no_training_can_have_is_refused(change, said):
    with pytest.raises(ExpandrError) as caught:
        read_config(DpoSettings, "dpo", [change])
    assert said in str(caught.value)


def test_fine_tuning_has_no_margin():
    with pytest.raises(ExpandrError, match="best_by: found 'margin', which only preference pairs have"):
        read_config(SftSettings, "sft", ["best_by=margin"])


@pytest.mark.parametrize(("text", "value"), [("3", 3), ("0", 0), ("null", None)])
def test_a_number_of_steps_may_be_set_or_left_to_the_epochs(text, value):
    assert read_config(DpoSettings, "dpo", [f"max_steps={text}"]).max_steps == value
    with pytest.raises(ExpandrError, match="max_steps: found -1, wanted 0 or more"):
        read_config(SftSettings, "sft", ["max_steps=-1"])


def test_values_for_the_template_are_what_json_can_hold():
    made = read_config(SftSettings, "sft", ["chat_template_kwargs={enable_thinking: false, style: [a, 1]}"])

    assert made.chat_template_kwargs == {"enable_thinking": False, "style": ["a", 1]}
    for text in ("{day: 2024-01-01}", "{x: .nan}", "{a: {1: b}}"):
        with pytest.raises(ExpandrError, match=r"chat_template_kwargs: found .*, wanted what JSON can hold"):
            read_config(SftSettings, "sft", [f"chat_template_kwargs={text}"])


def test_a_file_of_settings_from_before_these_keys_is_read(tmp_path):
    from expandr_repro.io.paths import resource

    keys = ("max_steps", "chat_template", "sample_texts", "loss:", "ld_alpha", "sft_weight")
    for name, kind in (("sft", SftSettings), ("dpo", DpoSettings)):
        lines = [x for x in resource("training", f"{name}.yaml").read_text().splitlines() if not x.startswith(keys)]
        (tmp_path / "old.yaml").write_text("\n".join(lines) + "\n")
        assert read_config(kind, str(tmp_path / "old.yaml")) == read_config(kind, name)
