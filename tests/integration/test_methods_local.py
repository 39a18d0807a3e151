"""Methods on a local model and through Python: whole passages are cut by the model's own window, a function gives the context."""

from __future__ import annotations

import json

import pytest
from openai_server import openai_server
from tiny_llama import save_tiny_llama

import expandr_repro as ex
from expandr_repro.data.topics import read_topics
from expandr_repro.errors import ExpandrError


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_tiny_llama(tmp_path_factory.mktemp("models") / "tiny-llama")


def test_passages_are_cut_to_the_window_of_a_local_model_by_its_own_tokenizer(command, model, tmp_path):
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps({"_id": f"d{n}", "title": "", "text": "rain snow " * 30}) + "\n" for n in range(9)))  # fmt: skip
    (tmp_path / "t.jsonl").write_text('{"qid": "q", "title": "what is rain"}\n')
    (tmp_path / "r.trec").write_text("".join(f"q Q0 d{n} {n} {-n} x\n" for n in range(9)))

    result = command(
        "expand", "--topics", tmp_path / "t.jsonl", "--method", "lamer", "--context", tmp_path / "r.trec", "--corpus", tmp_path / "corpus.jsonl",
        "--backend", "transformers", "--model", model, "--device", "cpu", "--max-tokens", 16, "--samples", 1, "--store", tmp_path / "s.sqlite",
        "--output", tmp_path / "o.jsonl", "--format", "json",
    )  # fmt: skip

    assert result.code in (0, 1), result.err
    rows = {row[""]: row["expand"] for row in json.loads(result.out)}
    assert 0 < rows["passages in prompts"] < 9
    assert rows["passages cut"] == 9 - rows["passages in prompts"]
    assert rows["tokens in"] <= 512 - 16
    assert "did not fit into the model's window" in result.err


def test_a_function_gives_the_passages_in_python_and_sees_the_texts_so_far(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none")
    seen = []

    def context(topics):
        seen.append([len(t.texts) for t in topics])
        return {t.qid: [(f"d{len(seen)}", f"passage {len(seen)} on {t.title}")] for t in topics}

    with openai_server() as server:
        made = ex.generate({"1": "cats", "2": "dogs"}, method="thinkqe", context=context, model="mock", base_url=server.url, store=tmp_path / "s.sqlite")  # fmt: skip

    assert seen == [[0, 0], [2, 2], [4, 4]]
    assert [len(t.texts) for t in made] == [6, 6]
    prompts = {e["body"]["messages"][0]["content"] for e in server.log}
    assert all(any(f"1. passage {n} on {t}\n" in p for p in prompts) for n in (1, 2, 3) for t in ("cats", "dogs"))
    made.save(tmp_path / "t.jsonl")
    assert [r["context"] for r in read_topics(tmp_path / "t.jsonl")[0].provenance["prompts"]] == [
        ["d1"],
        ["d2"],
        ["d3"],
    ]


def test_a_context_without_a_method_is_refused_in_python():
    with pytest.raises(ExpandrError, match="context: applies only with method"):
        ex.generate({"1": "cats"}, context=lambda topics: {}, model="mock")
    with pytest.raises(ExpandrError, match="context: applies only with method"):
        ex.generate({"1": "cats"}, context="dense:3", model="mock")
    with pytest.raises(ExpandrError, match="prompt and method exclude each other"):
        ex.generate({"1": "cats"}, prompt="q2d", method="lamer", model="mock")
