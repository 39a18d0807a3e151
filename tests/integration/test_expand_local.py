"""`expand --backend transformers` with a tiny Llama of random weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_llama import save_tiny_llama

from expandr_repro.data.topics import Topic, read_topics, write_topics
from expandr_repro.llm.base import GeneratorOptions, Request, load_generator
from expandr_repro.llm.sampling import Sampling, seed_of

ROOT = Path(__file__).resolve().parents[2]
PROMPTS = ["rain", "what is snow in the mountains", "a", "a passage about what rain is " * 3, "hail", "sun and rain"]


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    return save_tiny_llama(tmp_path_factory.mktemp("models") / "tiny-llama")


@pytest.fixture(scope="session")
def adapter(model, tmp_path_factory):
    """A LoRA adapter that changes what the model says."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    config = LoraConfig(r=4, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
    adapted = get_peft_model(AutoModelForCausalLM.from_pretrained(model), config)
    folder = tmp_path_factory.mktemp("models") / "tiny-adapter"
    adapted.save_pretrained(folder)
    return folder


def generate(model, batch_size, sampling, prompts=PROMPTS, seed=1, **options):
    """Return prompt -> reply."""
    generator = load_generator(
        "transformers", GeneratorOptions(str(model), batch_size=batch_size, device="cpu", **options)
    )
    replies = {}
    requests = (Request(p, p, sampling, seed_of(seed, p, 0)) for p in prompts)
    generator.generate(requests, lambda reply: replies.__setitem__(reply.request.ident, reply))
    return replies


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_batch_gives_what_single_requests_give(model, temperature):
    sampling = Sampling(temperature=temperature, max_tokens=24)
    single, batch = generate(model, 1, sampling), generate(model, 4, sampling)

    assert {p: r.text for p, r in single.items()} == {p: r.text for p, r in batch.items()}
    assert {p: (r.finish, r.tokens_in, r.tokens_out) for p, r in single.items()} == {
        p: (r.finish, r.tokens_in, r.tokens_out) for p, r in batch.items()
    }


def test_greedy_texts_are_those_of_plain_generate(model):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, plain = AutoTokenizer.from_pretrained(model), AutoModelForCausalLM.from_pretrained(model)
    replies = generate(model, 4, Sampling(temperature=0.0, max_tokens=24))
    for prompt in PROMPTS:
        chat = [{"role": "user", "content": prompt}]
        inputs = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=True, return_tensors="pt")
        with torch.inference_mode():
            whole = plain.generate(**inputs, do_sample=False, max_new_tokens=24)
        ids = whole[0, inputs["input_ids"].shape[1] :].tolist()
        text = tokenizer.decode(ids[: ids.index(tokenizer.eos_token_id)] if tokenizer.eos_token_id in ids else ids)
        assert replies[prompt].text == text


def test_seeds_repeat_and_other_seeds_give_other_texts(model):
    sampling = Sampling(max_tokens=24)
    first, again, other = (generate(model, 4, sampling, seed=s) for s in (1, 1, 2))

    assert {p: r.text for p, r in first.items()} == {p: r.text for p, r in again.items()}
    assert all(first[p].text != other[p].text for p in PROMPTS)


def test_a_text_is_cut_at_its_limit_and_says_so(model):
    replies = generate(model, 4, Sampling(max_tokens=5))

    assert {(r.finish, r.tokens_out) for r in replies.values() if r.finish == "length"} == {("length", 5)}


def test_a_prompt_that_does_not_fit_fails_alone(model):
    replies = generate(model, 4, Sampling(max_tokens=100), prompts=["rain", "rain " * 600])

    assert replies["rain"].failure is None
    assert "are more than the model's 512; lower --max-tokens" in replies["rain " * 600].failure


def test_an_adapter_changes_the_texts_and_the_identity(model, adapter):
    greedy = Sampling(temperature=0.0, max_tokens=12)
    plain, adapted = generate(model, 4, greedy), generate(model, 4, greedy, adapter=str(adapter))
    identity = load_generator("transformers", GeneratorOptions(str(model), adapter=str(adapter), device="cpu")).identity

    assert any(plain[p].text != adapted[p].text for p in PROMPTS)
    assert identity.adapter == "tiny-adapter"
    assert len(identity.adapter_sha256) == 32
    assert identity.revision.startswith("sha256:")


@pytest.fixture
def expand(command, model, tmp_path):
    write_topics(tmp_path / "topics.jsonl", [Topic(f"q{i}", f"rain and snow {i}") for i in range(10)])

    def call(*more, chosen=model, output="out.jsonl"):
        return command(
            "expand", "--topics", tmp_path / "topics.jsonl", "--backend", "transformers", "--model", chosen, "--device", "cpu",
            "--max-tokens", 16, "--output", tmp_path / output, "--store", tmp_path / "store.sqlite", *more,
        )  # fmt: skip

    return call


def test_the_command_writes_topics_that_search_takes_and_a_rerun_the_same_bytes(expand, command, tmp_path):
    result = expand()
    assert result.code == 0, result.err
    first = (tmp_path / "out.jsonl").read_bytes()
    topics = read_topics(tmp_path / "out.jsonl")
    assert {len(t.texts) for t in topics} == {1}
    assert topics[0].provenance["model"] == "tiny-llama"
    assert topics[0].provenance["precision"] == "fp32"
    assert str(tmp_path) not in first.decode()

    result = expand("--batch-size", 3, "--format", "json", output="again.jsonl")
    assert {r[""]: r["expand"] for r in json.loads(result.out)}["requests"] == 0
    assert (tmp_path / "again.jsonl").read_bytes() == first
    found = command("search", "--topics", tmp_path / "out.jsonl", "--index", "pocket", "--hits", 5, "--format", "json")
    assert found.code == 0, found.err


def test_shares_of_the_topics_make_the_same_file_as_one_process(expand, model, tmp_path):
    assert expand().code == 0
    words = ["--topics", tmp_path / "topics.jsonl", "--backend", "transformers", "--model", model, "--device", "cpu", "--max-tokens", 16,
             "--output", tmp_path / "shared.jsonl", "--store", tmp_path / "shared.sqlite", "--data-parallel", 2, "--format", "json"]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "expandr_repro.expand", *map(str, words)], cwd=ROOT, capture_output=True, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=240, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert {r[""]: r["expand"] for r in json.loads(done.stdout)}["requests"] == 10  # of both processes
    assert (tmp_path / "shared.jsonl").read_bytes() == (tmp_path / "out.jsonl").read_bytes()


def test_a_launcher_of_two_processes_gives_each_its_share(expand, model, tmp_path):
    """torchrun's, whose variables `accelerate launch` sets on GPUs as well; on a CPU that one starts a single process."""
    assert expand().code == 0
    words = ["--topics", tmp_path / "topics.jsonl", "--backend", "transformers", "--model", model, "--device", "cpu", "--max-tokens", 16,
             "--output", tmp_path / "shared.jsonl", "--store", tmp_path / "shared.sqlite", "--format", "json"]  # fmt: skip
    launch = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "expandr_repro.expand"]
    done = subprocess.run(
        [sys.executable, "-m", *launch, *map(str, words)], cwd=ROOT, capture_output=True, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=240, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "shared.jsonl").read_bytes() == (tmp_path / "out.jsonl").read_bytes()


def test_a_model_that_is_not_there_is_one_line(expand, tmp_path):
    result = expand(chosen=tmp_path / "none")

    assert result.code == 2
    assert "no such model folder" in result.error


def test_weights_that_could_run_code_are_not_loaded(expand, tmp_path):
    (tmp_path / "pickled").mkdir()
    (tmp_path / "pickled" / "pytorch_model.bin").write_bytes(b"x")
    (tmp_path / "pickled" / "config.json").write_text("{}")
    result = expand(chosen=tmp_path / "pickled")

    assert result.code == 2
    assert "no model weights as safetensors there (other formats can run code and are not loaded)" in result.error


def test_an_adapter_of_another_model_is_one_line(expand, adapter, model, tmp_path):
    import shutil

    other = tmp_path / "other-adapter"
    shutil.copytree(adapter, other)
    config = json.loads((other / "adapter_config.json").read_text())
    (other / "adapter_config.json").write_text(json.dumps(config | {"r": 7}))
    result = expand("--adapter", other)

    assert result.code == 2
    assert "does not fit the model tiny-llama" in result.error


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--extra", '{"top_k": 5}'], "unknown setting in --extra for --backend transformers 'top_k'"),
        (["--precision", "int8"], "--precision 'int8': wanted one of auto, fp32, bf16, fp16"),
        (["--device", "cuda:7"], "cuda"),
        (["--base-url", "http://x"], "--base-url has no meaning for --backend transformers"),
    ],
)
def test_what_the_backend_cannot_do_is_one_line(expand, arguments, said):
    result = expand(*arguments)

    assert result.code == 2
    assert said in result.error


def test_vllm_is_asked_for_by_the_extra_that_brings_it(expand, model, command, tmp_path):
    pytest.importorskip("torch")
    if __import__("importlib.util", fromlist=["util"]).find_spec("vllm"):
        pytest.skip("vLLM is installed here")
    result = command(
        "expand",
        "--topics",
        tmp_path / "topics.jsonl",
        "--backend",
        "vllm",
        "--model",
        model,
        "--output",
        tmp_path / "o.jsonl",
        "--store",
        tmp_path / "s",
    )

    assert result.code == 2
    assert "run `pip install expandr-repro[vllm]`" in result.error
