"""BM25 and what Lucene makes difficult: empty documents, long queries, names that are not ASCII, docids that stand twice."""

from __future__ import annotations

import json
import shutil

import pytest

from expandr_repro.data.trec import read_run

pytestmark = pytest.mark.jvm


def corpus(folder, texts):
    folder.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps({"_id": f"d{n}", "title": "", "text": text}) + "\n" for n, text in enumerate(texts))
    (folder / "corpus.jsonl").write_text("".join(lines), encoding="utf-8")
    return folder / "corpus.jsonl"


def topics(folder, *titles):
    lines = (json.dumps({"qid": f"q{n}", "title": title}) + "\n" for n, title in enumerate(titles))
    (folder / "topics.jsonl").write_text("".join(lines), encoding="utf-8")
    return folder / "topics.jsonl"


def test_documents_without_text_are_left_out_and_counted_as_anserini_does(command, tmp_path):
    texts = ["a kiwi bird", "", "a trout fish", " \n", "\u0001", "\u00a0\u3000", "the kiwi"]
    files = ("--corpus", corpus(tmp_path, texts), "--retriever", "bm25", "--output", tmp_path / "index")
    made = command("encode", *files)
    assert made.code == 0, made.err
    assert "4 of 7 documents have no text and are not indexed" in made.err
    manifest = json.loads((tmp_path / "index" / "manifest.json").read_text())
    assert (manifest["corpus"]["documents"], manifest["empty_documents"]) == (7, 4)
    assert "nothing to do" in command("encode", *files).err
    search = ("search", "--topics", topics(tmp_path, "kiwi"), "--retriever", "bm25", "--output", tmp_path / "run.trec")
    for index in (tmp_path / "index", tmp_path / "corpus.jsonl"):
        for searcher in ("expandr", "pyserini"):
            found = command(*search, "--index", index, "--searcher", searcher)
            assert found.code == 0, found.err
            assert set(read_run(tmp_path / "run.trec")["q0"]) == {"d0", "d6"}
    manifest["empty_documents"] = 3
    (tmp_path / "index" / "manifest.json").write_text(json.dumps(manifest))
    assert "is of another index" in command(*search, "--index", tmp_path / "index").error


def test_a_corpus_without_any_text_is_one_line(command, tmp_path):
    made = command("encode", "--corpus", corpus(tmp_path, ["", " "]), "--retriever", "bm25", "--output", tmp_path / "i")
    assert made.code == 2
    assert "has any text" in made.error
    assert not (tmp_path / "i").exists()


@pytest.mark.parametrize("fusion", ["none", "rm3", "rocchio"])
@pytest.mark.parametrize("searcher", ["expandr", "pyserini"])
def test_a_query_of_thousands_of_different_words_is_searched(command, tmp_path, fusion, searcher):
    words = " ".join(f"word{n}" for n in range(5000))
    (tmp_path / "c").mkdir()
    index = tmp_path / "index"
    made = command(
        "encode", "--corpus", corpus(tmp_path / "c", [f"word{n} kiwi word{n + 1}" for n in range(50)]),
        "--retriever", "bm25", "--feedback", "--output", index,
    )  # fmt: skip
    assert made.code == 0, made.err
    found = command(
        "search", "--topics", topics(tmp_path, "kiwi", words), "--retriever", "bm25", "--index", index, "--fusion", fusion,
        "--searcher", searcher, "--output", tmp_path / "run.trec",
    )  # fmt: skip
    assert found.code == 0, found.err
    assert [len(ranked) for ranked in read_run(tmp_path / "run.trec").values()] == [50, 50]


@pytest.mark.parametrize(
    "variables", [{"LC_ALL": "C"}, {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0"}, {"LC_ALL": None, "LANG": None, "LC_CTYPE": "C"}]
)  # fmt: skip
def test_names_that_are_not_ascii_work_in_any_locale(process, tmp_path, variables):
    place = tmp_path / "größe 大"
    files = ("--corpus", corpus(place, ["a kiwi bird", "été"]), "--retriever", "bm25", "--output", place / "índex")
    made = process("expandr_repro.encode", *files, env=variables)
    assert made.code == 0, made.err
    found = process(
        "expandr_repro.search", "--topics", topics(place, "été"), "--retriever", "bm25", "--index", place / "índex",
        "--output", place / "rün.trec", env=variables,
    )  # fmt: skip
    assert found.code == 0, found.err
    assert list(read_run(place / "rün.trec")["q0"]) == ["d1"]


def test_where_python_itself_knows_ascii_alone_it_works_or_is_one_line(process, tmp_path):
    place = tmp_path / "größe"
    files = ("--corpus", corpus(place, ["a kiwi bird"]), "--retriever", "bm25", "--output", place / "índex")
    variables = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    made = process("expandr_repro.encode", *files, env=variables)
    assert made.code == 2
    assert "PYTHONUTF8=1" in made.error


def test_a_docid_that_stands_twice_in_an_index_of_another_toolkit_has_its_best_score_and_costs_no_hit(
    command, tmp_path
):
    from expandr_repro.data.corpus import Document
    from expandr_repro.indexes import lucene

    (tmp_path / "index").mkdir()
    documents = [Document(f"d{n % 10}", "", "kiwi " * (n + 1) + "word " * 20) for n in range(40)]
    lucene.build(documents, len(documents), tmp_path / "index", False, 1)
    shutil.rmtree(tmp_path / "index" / "manifest.json", ignore_errors=True)
    search = ("search", "--topics", topics(tmp_path, "kiwi"), "--retriever", "bm25", "--index", tmp_path / "index")
    assert command(*search, "--hits", 40, "--output", tmp_path / "all.trec").code == 0
    assert command(*search, "--hits", 7, "--output", tmp_path / "run.trec").code == 0
    whole, cut = (list(read_run(tmp_path / name)["q0"].items()) for name in ("all.trec", "run.trec"))
    assert (len(whole), len(cut)) == (10, 7)
    assert cut == whole[:7]
