"""`expand --method` against a scripted server: what each method asks, what it writes, and that a kill in any round costs nothing twice."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml
from openai_server import openai_server

from expandr_repro.data.topics import read_topics

ROOT = Path(__file__).resolve().parents[2]
SPECS = yaml.safe_load((ROOT / "expandr_repro" / "resources" / "methods.yaml").read_text())
PROMPTS = yaml.safe_load((ROOT / "expandr_repro" / "resources" / "prompts.yaml").read_text())

THINGS = ["cats", "dogs", "bees", "larks", "newts", "oaks", "ferns", "stars", "tides", "ants"]
TRAIN, TEST = THINGS[:6], THINGS[6:]


@pytest.fixture(scope="module")
def beir(tmp_path_factory):
    """A small collection with topics to train on and to test on, and a run of it."""
    folder = tmp_path_factory.mktemp("beir") / "small"
    (folder / "qrels").mkdir(parents=True)
    documents = [(f"d{n}.{k}", f"On {t}", f"fact {k} of {t} {t} thrive, number {n} of many") for n, t in enumerate(THINGS) for k in range(2)]  # fmt: skip
    lines = [json.dumps({"_id": d, "title": title, "text": text}) for d, title, text in documents]
    (folder / "corpus.jsonl").write_text("\n".join(lines) + "\n")
    queries = [json.dumps({"_id": f"q{n}", "text": f"what about {t}"}) for n, t in enumerate(THINGS)]
    (folder / "queries.jsonl").write_text("\n".join(queries) + "\n")
    for split, numbers in (("train", range(6)), ("test", range(6, 10))):
        rows = "".join(f"q{n}\td{n}.0\t1\n" for n in numbers)
        (folder / "qrels" / f"{split}.tsv").write_text("query-id\tcorpus-id\tscore\n" + rows)
    ranked = {f"q{n}": [d for d, *_ in documents[n % 3 :: 1]][:17] for n in range(6, 10)}
    run = "".join(f"{q} Q0 {d} {r} {100 - r} x\n" for q, docids in ranked.items() for r, d in enumerate(docids, 1))
    (folder.parent / "run.trec").write_text(run)
    return folder, {d: f"{title} {text}" for d, title, text in documents}, ranked


def letters(body, count=6):
    """Words that depend on the whole request."""
    digest = hashlib.sha256(json.dumps([body["messages"], body["seed"], body["temperature"]]).encode()).hexdigest()
    return ["w" + "".join(chr(97 + int(c, 16)) for c in digest[4 * i : 4 * i + 4]) for i in range(count)]


def scripted(body):
    """Answer as a model that does what it is told."""
    asked, words = body["messages"][-1]["content"], letters(body)
    if "question1" in asked:
        return json.dumps({f"question{n}": f"why {w}?" for n, w in enumerate(words[:3], 1)})
    if "answer1" in asked:
        return "```json\n" + json.dumps({f"answer{n}": f"because {w}" for n, w in enumerate(words[:3], 1)}) + "\n```"
    if "in double quotes" in asked:
        return f'Document 1: "{words[0]} is so."\nDocument 2: "{words[1]} is so, too."'
    if "name of one pattern" in asked:
        return f"Pattern: {'Generalization' if words[0][1] < 'i' else 'Clarify Intent'}"
    if "keywords" in asked.lower() or "terms alone" in asked:
        return "Keywords: " + ", ".join([*words, words[0].upper()])
    return "Here is a passage:\n\n" + " ".join(words) + " it is."


@pytest.fixture
def expand(command, tmp_path, beir, monkeypatch):
    """Run the command with a method on the small collection; returns its result."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none")

    def call(url, method, *more, output="out.jsonl", topics=None):
        return command(
            "expand", "--topics", topics or beir[0] / "test", "--method", method, "--base-url", url, "--model", "mock",
            "--output", tmp_path / output, "--store", tmp_path / "store.sqlite", "--backoff", 0.02, *more,
        )  # fmt: skip

    return call


# --- a slow, independent implementation: one topic after the other, by the table of the methods alone


def seed_of(qid, sample):
    return int.from_bytes(hashlib.sha256(f"42\0{qid}\0{sample}".encode()).digest()[:4], "big") & 0x7FFFFFFF


def examples_of(step, texts):
    drawn = random.Random(42).sample([f"q{n}" for n in range(6)], 4)
    written = ""
    for qid in drawn:
        n = int(qid[1:])
        passage = texts[f"d{n}.0"]
        if "keywords" in step.get("example", ""):
            words = [w for w in re.findall("[a-z]{4,}", passage.lower()) if w not in ("many", "number")]
            counts = Counter(w for w in re.findall("[a-z]{4,}", passage.lower()))
            best = sorted(counts, key=lambda w: -counts[w])[:5]
            assert words[0]
            written += f"Query: what about {THINGS[n]}\nKeywords: {', '.join(best)}\n\n"
        else:
            written += f"Query: what about {THINGS[n]}\nPassage: {passage}\n\n"
    return written


def parsed(step, answer):
    parser = step.get("parser", "text").split(":")[0]
    if parser in ("json", "questions"):
        return list(json.loads(answer.replace("```json\n", "").replace("\n```", "")).values())
    if parser == "quoted":
        return re.findall('"(.*?)"', answer)
    if parser == "keywords":
        return list(dict.fromkeys(answer.removeprefix("Keywords: ").lower().split(", ")))
    if parser == "choice":
        return [answer.removeprefix("Pattern: ")]
    return [answer.split("\n\n")[1]]


JOINED = {"keywords": ", ", "json": " ", "quoted": " ", "text": ""}


def by_hand(name, beir, passages=10):
    """Return the requests that a method sends, as a multiset, and the texts with types that it writes, by qid."""
    _, texts, ranked = beir
    spec = SPECS[name]
    asked, written = Counter(), {}
    for n in range(6, 10):
        qid, query, seen = f"q{n}", f"what about {THINGS[n]}", []
        written[qid] = []
        for turn in range(spec.get("rounds", 1)):
            previous = None
            shown = []
            for step in spec["steps"]:
                for instruction in step.get("instructions", [""]):
                    template = step.get("template")
                    if template is None:
                        key = step["prompt"] if step["prompt"] in PROMPTS else step["otherwise"]
                        template = PROMPTS[key]["template"]
                    docids = [d for d in ranked[qid] if d not in seen][:passages][: step.get("passages") or None]
                    if "{passages}" in template:
                        shown += docids
                    listed = "\n".join(f"{i}. {texts[d]}" for i, d in enumerate(docids, 1))
                    prompt = template.replace("{query}", query).replace("{passages}", listed)
                    prompt = prompt.replace("{instruction}", instruction)
                    if "{examples}" in prompt:
                        prompt = prompt.replace("{examples}", examples_of(step, texts))
                    if "{choices}" in prompt:
                        lines = [f"- {c['name']}: {c['description']}" for c in spec["choices"]]
                        prompt = prompt.replace("{choices}", "\n".join(lines))
                    if "{previous}" in prompt:
                        chosen = [c for c in spec.get("choices", []) if [c["name"]] == previous]
                        if chosen:
                            hint = (
                                chosen[0]["rule"] + "\nExamples:" + "".join(f"\n- {e}" for e in chosen[0]["examples"])
                            )
                        else:
                            hint = "\n".join(f"{i}. {text}" for i, text in enumerate(previous, 1))
                        prompt = prompt.replace("{previous}", hint)
                    samples = step.get("samples", 1)
                    for sample in range(samples):
                        body = {
                            "messages": [{"role": "user", "content": prompt}], "temperature": step.get("temperature", 1.0),
                            "top_p": step.get("top_p", 1.0), "max_tokens": step.get("max_tokens", 512),
                            "seed": seed_of(qid, turn * samples + sample), "model": "mock",
                        }  # fmt: skip
                        asked[json.dumps(body, sort_keys=True)] += 1
                        items = parsed(step, scripted(body))
                        if sample == 0:
                            previous = items
                        if "type" in step:
                            written[qid].append(
                                (JOINED[step.get("parser", "text").split(":")[0]].join(items), step["type"])
                            )
            seen += [d for d in dict.fromkeys(shown) if d not in seen] if spec.get("fresh") else []
    return asked, written


def sent(server):
    return Counter(json.dumps(entry["body"], sort_keys=True) for entry in server.log)


def texts_in(path):
    return {t.qid: [(e.text, e.type) for e in t.expansions] for t in read_topics(path)}


@pytest.mark.parametrize("name", SPECS)
def test_a_method_sends_the_requests_and_writes_the_texts_of_a_slow_implementation(name, expand, beir, tmp_path):
    more = ("--context", f"{beir[0].parent / 'run.trec'}:10") if "context" in SPECS[name] else ()
    asked, written = by_hand(name, beir)
    with openai_server(reply=scripted) as server:
        result = expand(server.url, name, *more)

    assert result.code == 0, result.err
    assert sent(server) == asked
    assert texts_in(tmp_path / "out.jsonl") == written
    provenance = read_topics(tmp_path / "out.jsonl")[0].provenance
    assert (provenance["method"], provenance["method_version"]) == (name, 1)
    assert provenance["fusion"] == SPECS[name]["fusion"]


@pytest.mark.parametrize("name", ["query2doc-fs", "qa-expand", "lamer", "csqe", "thinkqe", "reformer"])
def test_what_a_prompt_was_is_written_with_the_topic_and_its_passages(name, expand, beir, tmp_path):
    more = ("--context", f"{beir[0].parent / 'run.trec'}:10") if "context" in SPECS[name] else ()
    with openai_server(reply=scripted) as server:
        expand(server.url, name, *more)

    prompts = {entry["body"]["messages"][0]["content"] for entry in server.log}
    for topic in read_topics(tmp_path / "out.jsonl"):
        records = topic.provenance["prompts"]
        assert {e.prompt for e in topic.expansions} == set(range(len(records)))
        for record in records:
            assert record["text"] in prompts
            assert topic.title in record["text"]
            listed = [beir[1][d] for d in record.get("context", ())]
            assert all(f"{n}. {text}" in record["text"] for n, text in enumerate(listed, 1))


@pytest.mark.parametrize("name", ["qa-expand", "thinkqe", "csqe", "reformer"])
def test_a_rerun_asks_for_nothing_and_writes_the_same_bytes(name, expand, beir, tmp_path):
    more = ("--context", f"{beir[0].parent / 'run.trec'}:10") if "context" in SPECS[name] else ()
    with openai_server(reply=scripted) as server:
        expand(server.url, name, *more)
        count = len(server.log)
        expand(server.url, name, *more, output="again.jsonl")

    assert len(server.log) == count
    assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "again.jsonl").read_bytes()


def killed_at(number, name, beir, folder, url_of):
    """Start the command in a process of its own, which is killed when it sends its request of that number; returns the server's log."""
    held = {}

    def reply(body):
        if len(server.log) > number and "process" in held:
            held["process"].send_signal(signal.SIGKILL)
        return scripted(body)

    with openai_server(reply=reply) as server:
        words = ["--topics", beir[0] / "test", "--method", name, "--base-url", server.url, "--model", "mock", "--concurrency", 1,
                 "--output", folder / "out.jsonl", "--store", folder / "store.sqlite", *url_of]  # fmt: skip
        environment = os.environ | {"OPENAI_API_KEY": "sk-none"}
        held["process"] = subprocess.Popen([sys.executable, "-m", "expandr_repro.expand", *map(str, words)], env=environment, stderr=subprocess.DEVNULL)  # fmt: skip
        assert held["process"].wait(60) == -signal.SIGKILL
        return list(server.log)


@pytest.mark.parametrize(("name", "number"), [("thinkqe", 3), ("thinkqe", 11), ("thinkqe", 20), ("qa-expand", 2), ("qa-expand", 6), ("qa-expand", 10)])  # fmt: skip
def test_a_kill_in_any_round_goes_on_there_with_the_same_bytes_and_nothing_asked_for_twice(name, number, expand, beir, tmp_path):  # fmt: skip
    more = ("--context", f"{beir[0].parent / 'run.trec'}:10") if "context" in SPECS[name] else ()
    asked, written = by_hand(name, beir)
    folder = tmp_path / "killed"
    folder.mkdir()
    before = killed_at(number, name, beir, folder, more)
    assert not (folder / "out.jsonl").exists()
    with openai_server(reply=scripted) as server:
        result = expand(server.url, name, *more, "--store", folder / "store.sqlite", output="killed/out.jsonl")
        after = list(server.log)
    with openai_server(reply=scripted) as server:
        expand(server.url, name, *more)

    assert result.code == 0, result.err
    assert (folder / "out.jsonl").read_bytes() == (tmp_path / "out.jsonl").read_bytes()
    assert texts_in(folder / "out.jsonl") == written
    all_sent = Counter(json.dumps(e["body"], sort_keys=True) for e in (*before, *after))
    assert set(all_sent) == set(asked)
    # the one in flight when the process died never came back, and it alone may be asked for again
    assert sum(all_sent.values()) - sum(asked.values()) <= 1


def test_a_search_is_the_context_and_rounds_search_with_the_texts_so_far(expand, tmp_path):
    with openai_server(reply=scripted) as server:
        words = ("--limit", 6, "--context", "dense:10")
        result = expand(server.url, "thinkqe", *words, topics="pocket")
        first = len(server.log)
        again = expand(server.url, "thinkqe", *words, topics="pocket", output="again.jsonl")

    assert result.code == again.code == 0, result.err
    assert first == len(server.log) == 36
    assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "again.jsonl").read_bytes()
    assert "relevant passages in the prompts of" in result.err
    for topic in read_topics(tmp_path / "out.jsonl"):
        shown = [record["context"] for record in topic.provenance["prompts"]]
        assert [len(docids) for docids in shown] == [5, 5, 5]
        assert len({d for docids in shown for d in docids}) == 15  # seen ones are left out
        assert topic.provenance["context"]["source"] == "dense:10"


def test_more_samples_at_other_temperatures_are_candidates_of_one_prompt_to_train_on(expand, beir, command, tmp_path):
    with openai_server(reply=scripted) as server:
        result = expand(
            server.url,
            "lamer",
            "--context",
            f"{beir[0].parent / 'run.trec'}",
            "--temperature",
            "0.5,1.5",
            "--samples",
            2,
        )

    assert result.code == 0, result.err
    made = read_topics(tmp_path / "out.jsonl")
    assert {e.sampling["temperature"] for e in made[0].expansions} == {0.5, 1.5}
    pairs = command("prefer", "--candidates", tmp_path / "out.jsonl", "--gold", beir[0] / "test", "--encoder", "all-MiniLM-L6-v2",
                    "--reward", "retriever=1", "--min-similarity", "-2", "--output", tmp_path / "pairs.jsonl")  # fmt: skip
    assert pairs.code == 0, pairs.err
    written = [json.loads(line) for line in (tmp_path / "pairs.jsonl").read_text().splitlines()]
    records = {t.qid: t.provenance["prompts"][0]["text"] for t in made}
    assert {p["qid"]: p["prompt"] for p in written} == records
    assert {p["provenance"]["prompt"] for p in written} == {"lamer"}


def test_a_parser_that_finds_nothing_is_asked_once_more_and_then_reported(expand, tmp_path):
    def reply(body):
        asked = body["messages"][-1]["content"]
        return "I found no sentence." if "in double quotes" in asked and "oaks" not in asked and "ferns" in asked else scripted(body)  # fmt: skip

    folder = tmp_path
    with openai_server(reply=reply) as server:
        run = folder / "r.trec"
        run.write_text("".join(f"q{n} Q0 d{n}.0 1 1 x\n" for n in range(6, 10)))
        result = expand(server.url, "csqe", "--context", run)
        again = expand(server.url, "csqe", "--context", run)
        retried = expand(server.url, "csqe", "--context", run, "--retry-refused")

    assert result.code == 0
    assert again.code == 0
    asked = [e["body"] for e in server.log if "ferns" in e["body"]["messages"][0]["content"] and "in double quotes" in e["body"]["messages"][0]["content"]]  # fmt: skip
    assert (
        len({b["seed"] for b in asked}) == len(asked) == 2 * 2 + 2 * 3
    )  # twice each; --retry-refused three times more
    assert retried.code == 0
    assert "2 expansions are missing: nothing of the wanted form in the answer (topic q6" in result.err
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl.failures.jsonl").read_text().splitlines()]
    assert {line["qid"] for line in lines} == {"q6"}
    assert "the parser found nothing in 'I found no sentence.'" in lines[0]["reason"]


def test_a_chain_that_breaks_is_reported_and_its_later_steps_are_not_asked(expand, tmp_path):
    def reply(body):
        asked = body["messages"][-1]["content"]
        return "..." if "question1" in asked and "ferns" in asked else scripted(body)

    with openai_server(reply=reply) as server:
        result = expand(server.url, "qa-expand")

    assert result.code == 0, result.err
    assert len(server.log) == 3 * 3 + 2
    assert [len(t.expansions) for t in read_topics(tmp_path / "out.jsonl")] == [0, 1, 1, 1]
    assert (
        "1 expansion is missing: nothing of the wanted form in the answer (topic q6, step 1: the parser found nothing in '...', 2 times)"
        in result.err
    )


def test_passages_beyond_the_window_are_left_out_whole_and_counted(expand, beir, tmp_path):
    with openai_server(reply=scripted) as server:
        result = expand(
            server.url, "lamer", "--context", f"{beir[0].parent / 'run.trec'}:10", "--window", 260, "--format", "json"
        )

    assert result.code == 0, result.err
    kept = [len(t.provenance["prompts"][0]["context"]) for t in read_topics(tmp_path / "out.jsonl")]
    assert all(0 < n < 10 for n in kept)
    rows = {row[""]: row["expand"] for row in json.loads(result.out)}
    assert rows["passages cut"] == 40 - sum(kept)
    assert f"{40 - sum(kept)} passages did not fit into the model's window" in result.err
    for entry in server.log:
        assert len(entry["body"]["messages"][0]["content"]) / 3 + 128 <= 260


BANK = """
- id: lamer.msmarco.v1
  method_family: lamer
  version: 1
  template:
    system: |
      You write passages.
    user: |
      Q "{query}" among
      {contexts}
    assistant: |
      Passage:
"""


def test_the_prompts_of_a_bank_are_sent_exactly_as_querygym_sends_them(expand, beir, tmp_path):
    bank = tmp_path / "bank.yaml"
    bank.write_text(BANK)
    with openai_server(reply=scripted) as server:
        result = expand(
            server.url, "lamer", "--context", f"{beir[0].parent / 'run.trec'}:2", "--prompt-bank", bank, "--qids", "q7"
        )

    assert result.code == 0, result.err
    first, second = beir[2]["q7"][:2]
    user = f'Q "what about stars" among\n1. {beir[1][first]}\n2. {beir[1][second]}\n'
    wanted = [{"role": "system", "content": "You write passages.\n"}, {"role": "user", "content": user}, {"role": "assistant", "content": "Passage:\n"}]  # fmt: skip
    assert [e["body"]["messages"] for e in server.log] == [wanted] * 5
    (topic,) = read_topics(tmp_path / "out.jsonl")
    assert topic.provenance["prompts"][0]["messages"] == wanted
    assert topic.provenance["prompt_bank_sha256"] == hashlib.sha256(bank.read_bytes()).hexdigest()


NEW = """
haiku:
  summary: three haikus after reading two passages
  source: arXiv 2700.00001
  context: bm25:2
  steps:
    - {type: passage, template: "Haiku on {query} after\\n{passages}", samples: 3, temperature: 0.9}
  fusion: {bm25: "repeat:n=2", dense: mean}
"""


def test_a_new_method_is_one_yaml_entry(expand, beir, tmp_path):
    (tmp_path / "haiku.yaml").write_text(NEW)
    with openai_server(reply=scripted) as server:
        result = expand(server.url, tmp_path / "haiku.yaml", "--context", f"{beir[0].parent / 'run.trec'}:2")

    assert result.code == 0, result.err
    assert len(server.log) == 12
    assert read_topics(tmp_path / "out.jsonl")[0].provenance["method"] == "haiku"


def test_q2d_as_a_method_finds_what_the_prompt_q2d_left_in_the_store(expand, beir, command, tmp_path):
    with openai_server(reply=scripted) as server:
        words = ("--base-url", server.url, "--model", "mock", "--store", tmp_path / "store.sqlite")
        assert command("expand", "--topics", beir[0] / "test", *words, "--output", tmp_path / "p.jsonl").code == 0
        count = len(server.log)
        result = expand(server.url, "q2d")

    assert result.code == 0, result.err
    assert len(server.log) == count == 4
    assert [t.texts for t in read_topics(tmp_path / "p.jsonl")] == [
        t.texts for t in read_topics(tmp_path / "out.jsonl")
    ]


@pytest.mark.parametrize(
    ("method", "words", "problem"),
    [
        ("lammer", (), "unknown method 'lammer': did you mean 'lamer'"),
        ("genqr", ("--context", "dense:3"), "has no passages in its prompts"),
        ("lamer", ("--context", "runn.trec"), "no such run file"),
        ("q2d", ("--prompt", "q2e"), "--prompt"),
        ("q2d", ("--language", "French"), "has no {language} in it; leave --language out"),
    ],
)
def test_bad_input_is_one_line(method, words, problem, expand):
    result = expand("http://127.0.0.1:9/v1", method, *words)

    assert result.code == 2
    assert problem in result.error


def test_a_method_that_needs_training_topics_where_there_are_none_is_one_line(expand, tmp_path):
    topics = tmp_path / "own.jsonl"
    topics.write_text('{"qid": "1", "title": "why"}\n')

    result = expand("http://127.0.0.1:9/v1", "query2doc-fs", topics=topics)

    assert result.code == 2
    assert "no training qrels are known for these topics; name some with --examples-from" in result.error


def test_the_methods_are_listed_with_their_source_their_calls_and_what_they_need(command):
    result = command("expand", "methods", "--format", "json")

    rows = {row["method"]: row for row in json.loads(result.out)}
    assert list(rows) == list(SPECS)
    assert rows["lamer"]["calls"] == 5
    assert rows["lamer"]["needs"] == "passages (bm25:10)"
    assert rows["query2doc-fs"]["needs"] == "training topics"
    assert "2304.14233" in rows["lamer"]["source"]


def test_a_dry_run_counts_and_asks_for_nothing(expand, beir):
    with openai_server(reply=scripted) as server:
        result = expand(
            server.url, "thinkqe", "--context", beir[0].parent / "run.trec", "--dry-run", "--format", "json"
        )

    assert result.code == 0, result.err
    assert server.log == []
    rows = {row[""]: row["remaining"] for row in json.loads(result.out)}
    assert rows["requests"] == rows["of texts"] == 24
