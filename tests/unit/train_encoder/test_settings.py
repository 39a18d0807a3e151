"""The settings of train_encoder: the packaged files are whole, and what makes no sense is refused by name."""

from __future__ import annotations

import pytest

from expandr_repro.errors import ExpandrError
from expandr_repro.train_encoder.settings import EncoderTraining
from expandr_repro.training.settings import read_config


def test_the_papers_settings_are_those_of_the_paper():
    config = read_config(EncoderTraining, "expandr-encoder")
    assert (config.learning_rate, config.epochs, config.temperature) == (1e-5, 3, 0.02)
    assert (config.batch_size, config.accumulation, config.hard_negatives) == (2 * 64, 8, 1)
    assert config.views == {"fused": 1.0}


def test_a_setting_can_be_replaced_on_the_command_line_and_a_view_may_have_any_weight():
    config = read_config(EncoderTraining, "encoder", ["learning_rate=3e-5", "views={fused: 1, query: 0.5}"])
    assert config.learning_rate == 3e-5
    assert config.views == {"fused": 1.0, "query": 0.5}


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("epochs=0", "settings.epochs: found 0, wanted 1 or more"),
        ("temperature=0.0", "settings.temperature: found 0.0, wanted more than 0"),
        ("warmup=1.0", "settings.warmup: found 1.0, wanted 0 or more and less than 1"),
        ("views={fussed: 1}", "did you mean 'fused'"),
        ("views={fused: 0.0}", "settings.views.fused: found 0.0, wanted more than 0"),
        ("weight_decay=.nan", "settings.weight_decay: found nan, wanted 0 or more"),
        ("weight_decay=.inf", "settings.weight_decay: found inf, wanted 0 or more"),
        ("blend=0.0", "settings.blend: found 0.0, wanted more than 0 and 1 or less"),
        ("blend=1.5", "settings.blend: found 1.5, wanted more than 0 and 1 or less"),
        ("views={}", "wanted at least one of fused, query, expansion"),
        ("epoch=3", "did you mean 'epochs'"),
        ("epochs=many", "wanted int"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(setting, said):
    with pytest.raises(ExpandrError, match=said):
        read_config(EncoderTraining, "encoder", [setting])
