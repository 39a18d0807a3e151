"""Which layers get an adapter: each name must be a layer's."""

from __future__ import annotations

import pytest
import torch

from expandr_repro.errors import ExpandrError
from expandr_repro.train_generator.settings import DpoSettings
from expandr_repro.train_generator.trl.arguments import lora_config
from expandr_repro.training.settings import read_config


@pytest.fixture(scope="module")
def model():
    layer = torch.nn.ModuleDict({"q_proj": torch.nn.Linear(2, 2), "v_proj": torch.nn.Linear(2, 2), "norm": torch.nn.LayerNorm(2)})  # fmt: skip
    return torch.nn.ModuleDict({"layers": torch.nn.ModuleList([layer]), "lm_head": torch.nn.Linear(2, 2)})


def targets(model, text, *more):
    made = lora_config(read_config(DpoSettings, "dpo", [f"lora_targets={text}", *more]), model)
    return made and (made.target_modules if isinstance(made.target_modules, str) else sorted(made.target_modules))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("all-linear", "all-linear"),
        ("q_proj", ["q_proj"]),
        ("v_proj, q_proj", ["q_proj", "v_proj"]),
        ("layers.0.q_proj,lm_head", ["layers.0.q_proj", "lm_head"]),
    ],
)
def test_names_of_layers_and_ends_of_their_paths_are_taken(model, text, wanted):
    assert targets(model, text) == wanted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("q_proj,v_prooj", "called v_prooj; did you mean 'v_proj'?"),
        ("q_prok", "called q_prok; did you mean 'q_proj'?"),
        ("all-linera", "called all-linera; did you mean 'all-linear'?"),
        ("layers.0.q_porj", "did you mean 'q_proj'?"),
        ("zzz", "called zzz; known: lm_head, q_proj, v_proj; or all-linear alone"),
        ("q_proj,", "called nothing; known:"),
        ("_proj", "called _proj; did you mean"),
        ("q_proj,all-linear", "all-linear cannot be combined with others"),
    ],
)
@pytest.mark.parametrize("rank", [8, 0])
def test_a_name_that_is_no_layers_is_refused_beside_one_that_is(model, text, said, rank):
    with pytest.raises(ExpandrError) as caught:
        targets(model, text, f"lora_r={rank}")
    assert said in str(caught.value)


def test_without_a_rank_there_is_no_adapter(model):
    assert targets(model, "q_proj", "lora_r=0") is None
