"""`prefer` with real parts: pairs, rewards against slow implementations, filters, draws, and what a user gets wrong."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace

import numpy as np
import pytest

from expandr_repro.data.topics import Expansion, Topic, read_topics, write_topics
from expandr_repro.io.paths import resource
from expandr_repro.llm.prompts import prompts
from expandr_repro.prefer.pairs import read_pairs

POCKET = resource("pocket")
CANDIDATES = 4


def augmented(topic, texts, prompt="q2d"):
    return Topic(topic.qid, topic.title, tuple(Expansion(t) for t in texts), {"prompt": prompt, "model": "tiny"})


@pytest.fixture(scope="module")
def topics():
    return read_topics(POCKET / "queries.jsonl")[::6]


@pytest.fixture
def files(tmp_path, topics):
    """Four candidates per topic: its passage, half of it, the next topic's, and the bare title. The answer is the need."""
    needs = {r["_id"]: r["need"] for r in map(json.loads, (POCKET / "queries.jsonl").read_text().splitlines())}
    neighbours = [*topics[1:], topics[0]]
    made = []
    for topic, other in zip(topics, neighbours, strict=True):
        (own,), (others,) = topic.texts, other.texts
        made.append(augmented(topic, [own[: len(own) // 2], others, own, topic.title]))
    write_topics(tmp_path / "candidates.jsonl", made)
    write_topics(tmp_path / "answers.jsonl", [augmented(t, [needs[t.qid]], "q2a") for t in topics])
    return tmp_path


def prefer(command, files, *arguments, answers=True, length=24):
    """Run the command without the threshold; texts are cut where their whole length is not what is tested, for speed."""
    return command(
        "prefer", "--candidates", files / "candidates.jsonl", "--gold", "pocket/test", "--output", files / "pairs.jsonl",
        *(["--answers", files / "answers.jsonl"] if answers else []), *(["--max-length", length] if length else []), "--min-similarity", "0", *arguments,
    )  # fmt: skip


def report(result):
    assert result.code == 0, result.err
    return json.loads(result.out)


def test_each_topic_gives_a_pair_with_its_prompt_and_the_best_candidate_against_the_worst(command, files, topics):
    found = report(prefer(command, files, "--format", "json"))
    pairs = read_pairs(files / "pairs.jsonl")
    assert found["counts"] == {
        "topics": 12,
        "pairs": 12,
        "pairs with equal rewards, told apart by similarity": 0,
        "written for training": 12,
        "written for development": 0,
    }
    assert not any(found["dropped"].values())
    assert [p.qid for p in pairs] == [t.qid for t in topics]
    assert [p.prompt for p in pairs] == [prompts()["q2d"].template.format(query=t.title) for t in topics]
    candidates = {t.qid: t.texts for t in read_topics(files / "candidates.jsonl")}
    for pair in pairs:
        where = pair.provenance
        assert pair.chosen == candidates[pair.qid][where["chosen_candidate"]]
        assert pair.rejected == candidates[pair.qid][where["rejected_candidate"]]
        assert where["prompt"] == "q2d"
        assert where["generator"] == "tiny"
    assert sum(p.provenance["rejected_candidate"] == 1 for p in pairs) >= 10  # another topic's passage


def test_the_report_is_a_table_of_counts_and_one_of_quantiles(command, files):
    result = prefer(command, files)
    assert result.code == 0
    counts, spread = result.out.split("\n\n")
    assert "written for training" in counts
    rows = {line[:24].strip(): line.split() for line in spread.splitlines()}
    assert rows["retriever"][1] == str(12 * CANDIDATES)
    assert rows["margin"][1] == "12"
    assert rows["similarity to answer"]


def slow_rewards(topic, gold, answer, encoder):
    """The official script, one topic at a time in three calls, in plain loops."""

    def unit(vector):
        vector = vector.astype(np.float64)
        return vector / np.sqrt((vector * vector).sum())

    positive = unit(encoder.encode([gold], "document")[0])
    answered = unit(encoder.encode([answer], "document")[0])
    docs = [unit(v) for v in encoder.encode(list(topic.texts), "expansion")]
    near = [[float(d @ other) for d in docs] for other in (positive, answered)]
    totals = [sum(1 / (1 + sum(s > scores[i] for s in scores)) for scores in near) for i in range(len(docs))]
    sums = [a + b for a, b in zip(*near, strict=True)]
    best = max(range(len(docs)), key=lambda i: (round(totals[i], 9), sums[i]))
    worst = min(range(len(docs)), key=lambda i: (round(totals[i], 9), sums[i]))
    return best, worst, totals[best], totals[worst], max(sums)


def expected_pairs(topics, gold, answers, threshold=0.6):
    from expandr_repro.encoders.loading import load_encoder

    encoder = load_encoder("all-MiniLM-L6-v2")
    expected = []
    for topic in topics:
        best, worst, high, low, nearest = slow_rewards(topic, gold[topic.qid], answers[topic.qid], encoder)
        if nearest >= threshold and topic.texts[best] != topic.texts[worst]:
            expected.append((topic.qid, topic.texts[best], topic.texts[worst], pytest.approx(high), pytest.approx(low)))
    return expected


def written(path):
    return [(p.qid, p.chosen, p.rejected, p.chosen_reward, p.rejected_reward) for p in read_pairs(path)]


def gold_of(folder, qids, qrels="test"):
    """The first relevant document by docid of the highest grade, found by reading everything."""
    opened = {p.name.removesuffix(".gz"): p for p in folder.iterdir()}["corpus.jsonl"]
    with (gzip.open if opened.suffix == ".gz" else open)(opened, "rt", encoding="utf-8") as file:
        texts = {d["_id"]: f"{d['title']} {d['text']}".strip() for d in map(json.loads, file)}
    judged = {}
    for line in (folder / "qrels" / f"{qrels}.tsv").read_text().splitlines()[1:]:
        qid, docid, grade = line.split("\t")
        judged.setdefault(qid, []).append((-int(grade), docid))
    return {qid: texts[min(judged[qid])[1]] for qid in qids}


def test_pairs_on_pocket_are_those_of_the_official_script_done_slowly(command, files):
    assert prefer(command, files, "--min-similarity", "1.1", length=None).code == 0
    topics = read_topics(files / "candidates.jsonl")
    answers = {t.qid: t.texts[0] for t in read_topics(files / "answers.jsonl")}
    expected = expected_pairs(topics, gold_of(POCKET, [t.qid for t in topics]), answers, 1.1)
    assert 0 < len(expected) < len(topics)
    assert written(files / "pairs.jsonl") == expected


@pytest.mark.data
def test_pairs_on_scifact_from_three_llms_are_those_of_the_official_script_done_slowly(command, data, tmp_path):
    models = ["gpt-4.1", "gpt-4.1-nano", "Qwen2.5-7B-Instruct"]
    sets = [read_topics(data / "expansions" / f"scifact.test.query2doc-zs.{m}.jsonl")[::10] for m in models]
    topics = [
        replace(same[0], expansions=tuple(e for t in same for e in t.expansions)) for same in zip(*sets, strict=True)
    ]
    answers = read_topics(data / "expansions" / "scifact.test.q2d.claude.jsonl")[::10]
    write_topics(tmp_path / "candidates.jsonl", topics)
    write_topics(tmp_path / "answers.jsonl", answers)
    result = command("prefer", "--candidates", tmp_path / "candidates.jsonl", "--gold", "scifact/test", "--answers", tmp_path / "answers.jsonl",
                     "--output", tmp_path / "pairs.jsonl", "--candidates-per-topic", 3)  # fmt: skip
    assert result.code == 0, result.err
    gold = gold_of(data / "scifact", [t.qid for t in topics])
    expected = expected_pairs(topics, gold, {t.qid: t.texts[0] for t in answers})
    assert len(expected) >= 28
    assert written(tmp_path / "pairs.jsonl") == expected


def test_delta_ndcg_and_corpus_rank_are_what_search_gives(command, files, topics, tmp_path):
    from expandr_repro.data.trec import read_qrels, read_run

    options = ["--reward", "corpus-rank=1,delta-ndcg=2", "--min-similarity", "0", "--format", "json"]
    found = report(prefer(command, files, *options, answers=False, length=None))
    rows = {row[""]: row for row in found["distribution"]}
    candidates = read_topics(files / "candidates.jsonl")
    qrels = {q: j for q, j in read_qrels(POCKET / "qrels" / "test.tsv").items() if q in {t.qid for t in topics}}
    (tmp_path / "qrels").write_text("".join(f"{q} 0 {d} {g}\n" for q, j in qrels.items() for d, g in j.items()))
    gains, inverse_ranks = [], []
    for number in range(CANDIDATES):
        path = tmp_path / f"{number}.jsonl"
        write_topics(path, [replace(t, expansions=(t.expansions[number],)) for t in candidates])
        result = command("search", "--topics", path, "--index", "pocket", "--qrels", tmp_path / "qrels", "--metrics", "nDCG@10",
                         "--format", "json", "--output", tmp_path / "run.trec")  # fmt: skip
        figures = report(result)[0]
        gains.append(figures["figures"]["nDCG@10"] - figures["query_only"]["nDCG@10"])
        for qid, ranked in read_run(tmp_path / "run.trec").items():
            gold = min(qrels[qid], key=lambda d, q=qid: (-qrels[q][d], d))
            inverse_ranks.append(1 / (1 + list(ranked).index(gold)))
    assert rows["delta-ndcg"]["mean"] == pytest.approx(np.mean(gains), abs=1e-9)
    assert rows["corpus-rank"]["mean"] == pytest.approx(np.mean(inverse_ranks), abs=1e-9)
    assert rows["corpus-rank"]["values"] == len(topics) * CANDIDATES
    equal = [p for p in read_pairs(files / "pairs.jsonl") if p.chosen_reward == p.rejected_reward]
    assert found["counts"]["pairs with equal rewards, told apart by similarity"] == len(equal)
    assert rows["total reward"]["mean"] == pytest.approx(rows["corpus-rank"]["mean"] + 2 * rows["delta-ndcg"]["mean"])


def test_a_second_run_writes_the_same_bytes_and_draws_the_same_pairs(command, files):
    kept = []
    for _ in range(2):
        assert prefer(command, files, "--sample", 9, "--dev", 2, "--seed", 7).code == 0
        kept.append([(files / f"pairs{end}").read_bytes() for end in (".jsonl", ".dev.jsonl", ".jsonl.manifest.json")])
    assert kept[0] == kept[1]
    train, dev = read_pairs(files / "pairs.jsonl"), read_pairs(files / "pairs.dev.jsonl")
    assert (len(train), len(dev)) == (7, 2)
    assert len({p.qid for p in train + dev}) == 9


def test_the_manifest_says_what_made_the_pairs_and_nothing_of_when_or_where(command, files):
    assert prefer(command, files, "--dev", 3).code == 0
    text = (files / "pairs.jsonl.manifest.json").read_text()
    manifest = json.loads(text)
    assert manifest["kind"] == "preference-pairs"
    assert manifest["rewards"] == {"retriever": 1.0, "answer": 1.0}
    assert manifest["encoder"]["name"] == "all-MiniLM-L6-v2"
    assert manifest["gold"] == "pocket/test"
    assert manifest["candidates"]["name"] == "candidates.jsonl"
    assert manifest["written"] == {"train": 9, "dev": 3}
    assert str(files) not in text


def test_a_gold_file_gives_the_pairs_of_the_same_passages_in_a_collection(command, files):
    assert prefer(command, files).code == 0
    before = written(files / "pairs.jsonl")
    gold = gold_of(POCKET, [qid for qid, *_ in before])
    (files / "gold.jsonl").write_text("".join(json.dumps({"qid": q, "text": t}) + "\n" for q, t in gold.items()))
    result = command("prefer", "--candidates", files / "candidates.jsonl", "--gold-file", files / "gold.jsonl", "--answers", files / "answers.jsonl",
                     "--output", files / "pairs.jsonl", "--max-length", 24, "--min-similarity", "0")  # fmt: skip
    assert result.code == 0
    assert written(files / "pairs.jsonl") == before


def test_dropped_topics_are_counted_by_reason(command, files):
    made = read_topics(files / "candidates.jsonl")
    answers = read_topics(files / "answers.jsonl")
    made[0] = replace(made[0], expansions=made[0].expansions[:3])  # one candidate missing
    made[1] = replace(made[1], expansions=(*made[1].expansions[:3], Expansion(" ")))  # one is empty
    made[2] = replace(made[2], expansions=(Expansion("same  text"), *[Expansion("same text")] * 3))
    made[3] = replace(made[3], qid="unjudged")
    made[4] = replace(made[4], expansions=(*made[4].expansions, Expansion("a fifth")))
    answers[5] = replace(answers[5], expansions=(Expansion(""),))
    del answers[6]
    write_topics(files / "candidates.jsonl", made)
    write_topics(files / "answers.jsonl", answers)
    arguments = ["--candidates-per-topic", 4, "--format", "json"]
    result = prefer(command, files, *arguments)
    assert "1 topics have candidates, but no gold passage in pocket/test" in result.err
    found = report(result)
    assert {reason: n for reason, n in found["dropped"].items() if n} == {
        "no gold passage": 1,
        "no answer, or an empty one": 2,
        "candidates missing": 2,
        "more candidates than asked for": 1,
        "no two candidates that differ in text and reward": 1,
    }
    assert found["counts"]["pairs"] == 5


def test_thresholds_drop_what_is_unlike_and_what_is_close(command, files):
    margins = sorted(p.margin for p in read_pairs(files / "pairs.jsonl")) if prefer(command, files).code == 0 else []
    found = report(prefer(command, files, "--min-margin", margins[6], "--format", "json"))
    assert found["counts"]["pairs"] == sum(m >= margins[6] for m in margins)
    assert found["dropped"]["margin under --min-margin"] == 12 - found["counts"]["pairs"]
    found = report(prefer(command, files, "--min-similarity", "1.1", "--format", "json"))
    assert found["dropped"]["best sum of similarities under --min-similarity"] == 12 - found["counts"]["pairs"] > 0


def test_without_answers_the_threshold_is_said_to_be_for_two_similarities(command, files):
    result = prefer(command, files, "--reward", "retriever", "--min-similarity", "0.6", answers=False)
    assert result.code == 0
    assert "consider --min-similarity 0.3" in result.err
    assert "similarity to answer" not in result.out


def test_many_small_blocks_give_the_rewards_of_one(files, topics):
    from expandr_repro.encoders.loading import load_encoder
    from expandr_repro.prefer.similarity import Case, reward

    encoder = load_encoder("all-MiniLM-L6-v2")
    cases = [Case(t, t.texts, t.title) for t in read_topics(files / "candidates.jsonl")]
    whole, parts = (list(reward(cases, encoder, {"retriever": 1.0}, texts_at_once=n)) for n in (1000, 8))
    for a, b in zip(whole, parts, strict=True):
        assert a.to_gold == pytest.approx(b.to_gold, abs=1e-6)
        assert a.totals.tolist() == b.totals.tolist()


@pytest.mark.jvm
def test_one_of_pyserinis_own_encoders_is_a_reward_model_too(command, files, topics):
    from expandr_repro.data.specs import encoders

    model = encoders()["all-MiniLM-L6-v2"].model
    expected = written(files / "pairs.jsonl") if prefer(command, files).code == 0 else []
    assert prefer(command, files, "--encoder", f"pyserini:sentence:{model}").code == 0
    assert [pair[:3] for pair in written(files / "pairs.jsonl")] == [pair[:3] for pair in expected]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--reward", "retreiver"], "did you mean 'retriever'"),
        (["--reward", "retriever=x"], "wanted a number above 0"),
        (["--candidates-per-topic", "32"], "no topic of"),
        (["--candidates-per-topic", "1"], "a pair needs at least two"),
        (["--min-similarity", "1.9"], "none of 12 topics gives a pair (best sum of similarities under --min-similarity: 12)"),
        (["--min-similarity", "nan"], "wanted a number"),
        (["--min-margin", "-1"], "wanted 0 or more"),
        (["--dev", "12"], "there can be at most 12 pairs; leave some for training"),
        (["--prompt", "q2a"], "needs more than the query"),
        (["--prompt", "q2x"], "unknown prompt 'q2x'"),
        (["--gold", "scifact"], "none of the 12 topics with candidates"),
        (["--gold", "no-such"], "unknown collection"),
        (["--index", "pocket"], "--index is for the rewards"),
        (["--encoder", "no-such"], "unknown encoder"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_and_nothing_is_written(command, files, arguments, says, request):
    if "scifact" in arguments:
        request.getfixturevalue("data")
    result = prefer(command, files, *arguments)
    assert result.code == 2
    assert says in result.error
    assert not list(files.glob("pairs*"))


def test_rewards_that_lack_what_they_need_say_what(command, files):
    result = prefer(command, files, answers=False)
    assert result.code == 2
    assert "the reward 'answer' needs --answers" in result.error
    assert "--reward retriever=1" in result.error
    result = command("prefer", "--candidates", files / "candidates.jsonl", "--gold-file", "x", "--reward", "delta-ndcg", "--output", files / "p.jsonl")  # fmt: skip
    assert result.code == 2
    assert "name it with --gold" in result.error
    result = command("prefer", "--candidates", files / "candidates.jsonl", "--reward", "retriever", "--output", files / "p.jsonl")  # fmt: skip
    assert result.code == 2
    assert "no gold passages; give --gold" in result.error


@pytest.mark.parametrize("which", ["candidates", "answers"])
def test_ids_with_another_title_are_of_other_topics(command, files, which):
    made = read_topics(files / f"{which}.jsonl")
    write_topics(files / f"{which}.jsonl", [*made[:-1], replace(made[-1], title="something else")])
    result = prefer(command, files)
    assert result.code == 2
    assert "these are other topics" in result.error


def test_answers_of_other_topics_are_refused_and_strange_ones_warned_of(command, files):
    made = read_topics(files / "answers.jsonl")
    write_topics(files / "answers.jsonl", [replace(t, expansions=(*t.expansions, Expansion("2")), provenance={"prompt": "q2d"}) for t in made])  # fmt: skip
    result = prefer(command, files)
    assert result.code == 0
    assert "made with prompt q2d, not q2a" in result.err
    assert "12 topics have several answers" in result.err
    write_topics(files / "answers.jsonl", [replace(t, qid=f"x{t.qid}") for t in made])
    assert "has answers for none of the 12 topics" in prefer(command, files).error


def test_candidates_of_another_prompt_are_warned_of(command, files):
    made = read_topics(files / "candidates.jsonl")
    write_topics(files / "candidates.jsonl", [replace(t, provenance={"prompt": "mine", "prompt_sha256": "0"}) for t in made])  # fmt: skip
    assert "were made with prompt mine; the pairs get q2d" in prefer(command, files).err


def test_an_output_that_is_read_or_is_a_folder_is_refused(command, files):
    for output in ("candidates.jsonl", "answers.jsonl"):
        result = prefer(command, files, "--output", files / output)
        assert result.code == 2
        assert "which is read" in result.error
    assert "is a folder" in prefer(command, files, "--output", files).error


def test_packed_pairs_are_packed_the_same_again(command, files):
    from expandr_repro.prefer.__main__ import dev_path

    for _ in range(2):
        assert prefer(command, files, "--output", files / "p.jsonl.gz", "--dev", 2).code == 0
    assert dev_path(files / "p.jsonl.gz") == files / "p.dev.jsonl.gz"
    assert len(read_pairs(files / "p.jsonl.gz")) == 10
    assert len(read_pairs(files / "p.dev.jsonl.gz")) == 2


def test_a_stale_development_part_is_pointed_out(command, files):
    assert prefer(command, files, "--dev", 2).code == 0
    assert "of an earlier run" in prefer(command, files).err


def test_trls_column_names_load_as_a_data_set(command, files):
    datasets = pytest.importorskip("datasets")
    assert prefer(command, files).code == 0
    loaded = datasets.Dataset.from_json(str(files / "pairs.jsonl"), cache_dir=str(files / "cache"))
    assert {"prompt", "chosen", "rejected"} <= set(loaded.column_names)
    assert loaded[0]["chosen"] == read_pairs(files / "pairs.jsonl")[0].chosen
