"""Which settings `--extra` takes: none that makes the request another one, or contradicts what the output records."""

from __future__ import annotations

import pytest

from expandr_repro.errors import ExpandrError
from expandr_repro.llm.sampling import SamplingPlan


@pytest.mark.parametrize("name", ["model", "messages", "prompt", "stream"])
def test_a_key_that_makes_another_request_is_refused(name):
    with pytest.raises(ExpandrError, match=f"--extra: '{name}' is not a setting of the sampling"):
        SamplingPlan(extra={name: []})


@pytest.mark.parametrize(("name", "flag"), [("temperature", "--temperature"), ("top_p", "--top-p"), ("max_tokens", "--max-tokens")])  # fmt: skip
def test_a_value_that_the_output_would_not_name_is_refused_and_null_is_not(name, flag):
    with pytest.raises(ExpandrError, match=f"--extra: '{name}' has an option of its own.*give {flag}$"):
        SamplingPlan(extra={name: 0})
    SamplingPlan(extra={name: None, "max_completion_tokens": 9, "seed": 7, "n": 2, "top_k": 5})
