"""Decoding row by row beside transformers' own `generate`."""

from __future__ import annotations

import types

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from expandr_repro.llm.local import decoding  # noqa: E402
from expandr_repro.llm.local.decoder import Decoder, supports  # noqa: E402
from expandr_repro.llm.local.decoding import Job, decode  # noqa: E402
from expandr_repro.llm.local.seeded import SeededSampling  # noqa: E402
from expandr_repro.llm.sampling import Sampling  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")
SHAPE = {"vocab_size": 97, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
         "num_key_value_heads": 2, "max_position_embeddings": 256}  # fmt: skip


def tiny(family: str, **more):
    torch.manual_seed(1)
    config = getattr(transformers, f"{family}Config")(
        **{**SHAPE, **more}, bos_token_id=0, eos_token_id=1, pad_token_id=0
    )
    model = getattr(transformers, f"{family}ForCausalLM")(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.2)
    return model


@pytest.fixture(scope="module")
def llama():
    return tiny("Llama")


def jobs(count: int, *, samples: int = 1, limit: int = 24) -> list[Job]:
    chance = torch.Generator().manual_seed(3)
    made = []
    for i in range(count):
        prompt = torch.randint(2, 97, (1 + i * 5 % 17,), generator=chance).tolist()
        made += [
            Job((i, j), prompt, 100 * i + j, (1.0, 0.7, 0.0)[j % 3], (0.9, 1.0)[i % 2], limit - i % 3)
            for j in range(samples)
        ]
    return made


def decoded(model, listed: list[Job], rows: int) -> dict:
    found = {}
    length = max(len(j.prompt) + j.limit for j in listed)
    decode(
        Decoder(model, rows, length, [1]),
        iter(listed),
        max(j.limit for j in listed),
        lambda job, tokens: found.setdefault(job.ident, tokens),
    )
    return found


def plainly(model, job: Job) -> list[int]:
    sampler = SeededSampling([Sampling(temperature=job.temperature, top_p=job.top_p)], [job.seed], 64, "cpu")
    whole = model.generate(
        input_ids=torch.tensor([job.prompt]),
        attention_mask=torch.ones(1, len(job.prompt), dtype=torch.long),
        generation_config=transformers.GenerationConfig(
            max_new_tokens=job.limit, do_sample=False, eos_token_id=1, pad_token_id=0
        ),
        logits_processor=[sampler],
    )
    return whole[0, len(job.prompt) :].tolist()


@pytest.mark.parametrize("rows", [1, 3, 64])
def test_texts_are_those_of_generate_one_at_a_time_whatever_the_rows(llama, rows):
    listed = jobs(11, samples=3)
    found = decoded(llama, listed, rows)

    assert found == {job.ident: plainly(llama, job) for job in listed}


def test_some_texts_end_early_and_some_at_their_limit(llama):
    listed = jobs(40)
    found = decoded(llama, listed, 8)
    early = [i for i, tokens in found.items() if tokens[-1] == 1]

    assert 0 < len(early) < len(listed)
    assert all(len(found[job.ident]) == job.limit for job in listed if job.ident not in early)


def test_equal_prompts_are_read_once(llama, monkeypatch):
    read = []
    plain = Decoder.read

    def counted(self, prompts):
        read.extend(prompts)
        return plain(self, prompts)

    monkeypatch.setattr(Decoder, "read", counted)
    decoded(llama, jobs(4, samples=6), 64)

    assert len(read) == 4


def test_prompts_are_read_before_there_are_rows_for_them(llama, monkeypatch):
    read = []
    plain = Decoder.read
    monkeypatch.setattr(Decoder, "read", lambda self, prompts: read.append(len(prompts)) or plain(self, prompts))
    decoded(llama, jobs(8, samples=2), 4)

    assert len(read) < 4, "16 texts in 4 rows"
    assert sum(read) == 8


def test_texts_are_handed_over_once_the_next_step_is_under_way(llama, monkeypatch):
    listed, steps, seen = jobs(9), [], {}
    plain = Decoder.step
    monkeypatch.setattr(Decoder, "step", lambda self, *given: steps.append(1) or plain(self, *given))
    decode(Decoder(llama, 3, 64, [1]), iter(listed), 24, lambda job, _: seen.setdefault(job.ident, len(steps)))

    assert sorted(seen) == sorted(job.ident for job in listed)
    assert all(count % decoding.EVERY == 1 or count == len(steps) for count in seen.values())


def test_prompts_beyond_the_budget_are_read_in_parts(llama, monkeypatch):
    listed = jobs(9, samples=2)
    whole = decoded(llama, listed, 64)
    monkeypatch.setattr(decoding, "PREFILL", 20)

    assert decoded(llama, listed, 64) == whole


def test_a_model_is_left_as_it_was(llama):
    before = llama.config._attn_implementation
    decoded(llama, jobs(2), 2)

    assert llama.config._attn_implementation == before


@pytest.mark.parametrize(
    "family", ["Llama", "Qwen2", "Mistral", "Qwen3", "Phi3", "Olmo2", "GPTNeoX", "Gemma", "Cohere", "Granite"]
)
def test_families_with_plain_attention_are_supported_and_give_their_own_texts(family):
    more = {} if family != "Gemma" else {"head_dim": 8}
    model = tiny(family, **more)
    assert supports(model)
    listed = jobs(3)
    assert decoded(model, listed, 2) == {job.ident: plainly(model, job) for job in listed}


def test_a_window_shorter_than_the_texts_is_found_out():
    assert not supports(tiny("Mistral", sliding_window=4))


@pytest.mark.parametrize("family", ["Bloom", "Gemma2", "Mamba"])
def test_other_attention_goes_the_plain_way(family):
    more = {"Bloom": {"n_layer": 2, "n_head": 4}, "Gemma2": {"head_dim": 8, "sliding_window": 4}, "Mamba": {}}[family]
    try:
        model = tiny(family, **more)
    except TypeError:
        pytest.skip(f"{family} is made otherwise here")
    assert not supports(model)


def test_texts_that_outgrow_a_window_are_left_to_generate():
    from expandr_repro.llm.base import GeneratorOptions, Request
    from expandr_repro.llm.local.transformers import TransformersGenerator

    model = tiny("Mistral", sliding_window=70)
    assert supports(model)  # short texts lie within the window
    model.generation_config.eos_token_id, model.generation_config.pad_token_id = [1], 0
    generator = TransformersGenerator(GeneratorOptions("m", device="cpu"))
    generator._loaded = (model, types.SimpleNamespace(decode=lambda ids, **_: str(ids)))
    requests = [Request(i, "", Sampling(max_tokens=90), i) for i in range(3)]

    left = generator._decode(requests, [[5, 6, 7]] * 3, lambda reply: None)

    assert left
    assert generator._decodes is False
