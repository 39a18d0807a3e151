"""Files of strangers that would run code: pickles of every form, models with code of their own, YAML with tags, templates, adapters."""

from __future__ import annotations

import io
import json
import pickle
import shutil
import sys
from pathlib import Path

import pytest
import yaml
from tiny_bert import save_tiny_bert
from tiny_llama import save_tiny_llama

from expandr_repro.data import irds
from expandr_repro.errors import FormatError
from expandr_repro.io.paths import private_folder
from expandr_repro.io.unpickling import read_table
from tests.faults.payloads import Payload, array_pickled, bring_code, change, pickled, torch_pickled, works

AREA = "Attacked"
FORMS = (pickled, torch_pickled, array_pickled)
POOLED = ("--pooling", "mean", "--normalize", "--max-length", "64")

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def marker(tmp_path):
    """What a payload would write; it is never there at the end."""
    path = tmp_path / "pwned"
    yield path
    assert not path.exists(), "a stranger's code ran"


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return save_tiny_bert(tmp_path_factory.mktemp("models") / "bert")


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return save_tiny_llama(tmp_path_factory.mktemp("models") / "llama")


@pytest.fixture
def small(tmp_path):
    """A corpus and topics that a tiny model searches in no time."""
    (tmp_path / "corpus.jsonl").write_text(
        "".join(json.dumps({"_id": f"d{i}", "text": f"kiwi bird {i}"}) + "\n" for i in range(3))
    )
    (tmp_path / "topics.jsonl").write_text(json.dumps({"qid": "1", "title": "kiwi"}) + "\n")
    return tmp_path


@pytest.fixture
def search(command, small):
    def call(encoder, *more):
        return command("search", "--topics", small / "topics.jsonl", "--index", small / "corpus.jsonl", "--encoder", encoder, "--no-vector-cache", *more)  # fmt: skip

    return call


@pytest.fixture
def expand(command, small):
    def call(model, *more):
        return command(
            "expand", "--topics", small / "topics.jsonl", "--backend", "transformers", "--device", "cpu", "--model", model, "--max-tokens", 4,
            "--output", small / "out.jsonl", "--store", small / "store.sqlite", *more,
        )  # fmt: skip

    return call


def copied(source: Path, target: Path) -> Path:
    shutil.copytree(source, target)
    return target


@pytest.mark.parametrize("form", FORMS)
def test_the_payloads_of_these_tests_run_where_they_are_let(form, tmp_path):
    assert works(form, tmp_path)


@pytest.mark.parametrize("name", ["index", "docid", "manifest.json"])
@pytest.mark.parametrize("form", FORMS)
def test_a_pickle_in_the_place_of_an_index_file_is_refused_and_runs_nothing(
    command, pocket_index, tmp_path, marker, name, form
):
    folder = copied(pocket_index, tmp_path / "index")
    (folder / name).write_bytes(form(marker))
    result = command("search", "--topics", "pocket", "--index", folder)
    assert result.code == 2
    assert str(folder) in result.error


def test_pickles_beside_an_index_are_not_looked_at(command, pocket_index, tmp_path, marker, record_property):
    folder = copied(pocket_index, tmp_path / "index")
    names = ("embedding.pkl", "docid.pkl", "index.npy", "meta.pkl", "docid.npy", "index.pkl")
    for name in names:
        (folder / name).write_bytes(pickled(marker))
    assert command("search", "--topics", "pocket", "--index", folder).code == 0
    record_property("tried", len(names))


def test_the_parts_of_an_interrupted_encoding_are_read_as_numbers_alone(command, small, bert, marker, record_property):
    arguments = ["encode", "--corpus", small / "corpus.jsonl", "--encoder", bert, *POOLED, "--output"]
    assert command(*arguments, small / "whole").code == 0
    from expandr_repro.indexes.build import facts_key
    from expandr_repro.io.manifest import read_manifest

    key = facts_key(read_manifest(small / "whole" / "manifest.json"))
    for form in FORMS:
        work = small / f".{form.__name__}.{key}.partial"
        work.mkdir()
        (work / "chunk-000000.npy").write_bytes(form(marker))
        assert command(*arguments, small / form.__name__).code == 0
        assert (small / form.__name__ / "index").read_bytes() == (small / "whole" / "index").read_bytes()
    record_property("tried", len(FORMS))


def test_a_cache_of_vectors_with_pickles_in_it_is_a_cache_without_vectors(tmp_path, marker, record_property):
    from expandr_repro.encoders.vector_cache import VectorStore, _seal

    store = VectorStore(tmp_path / "vectors.sqlite", 10)
    store.note("key", {"a": 1})
    import sqlite3

    for form in FORMS:
        with sqlite3.connect(store.path) as raw:
            raw.execute("UPDATE facts SET sealed = ?", (_seal(form(marker)),))
            raw.execute("INSERT OR REPLACE INTO vectors (key, sealed) VALUES (?, ?)", (b"k", _seal(form(marker))))
        assert store.facts("key") is None
        assert store.get([b"k"], 4) == {}
    record_property("tried", 2 * len(FORMS))


def test_kept_log_probabilities_are_read_as_numbers_alone(tmp_path, marker, record_property):
    from expandr_repro.train_generator.trl.reference import _read

    for form in FORMS:
        (tmp_path / "kept.npy").write_bytes(form(marker))
        assert _read(tmp_path / "kept.npy", 1) is None
    record_property("tried", len(FORMS))


@pytest.mark.parametrize("form", [pickled, torch_pickled])
def test_an_encoder_with_pickled_weights_alone_is_refused(search, bert, tmp_path, marker, form):
    folder = copied(bert, tmp_path / "model")
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(form(marker))
    result = search(folder, *POOLED)
    assert result.code == 2
    assert "safetensors" in result.error


def test_pickles_beside_an_encoders_weights_are_not_looked_at(search, bert, tmp_path, marker, record_property):
    folder = copied(bert, tmp_path / "model")
    names = ("pytorch_model.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin", "tokenizer.pkl", "tf_model.h5", "flax_model.msgpack")  # fmt: skip
    for name in names:
        (folder / name).write_bytes(torch_pickled(marker))
    assert search(folder, *POOLED).code == 0
    record_property("tried", len(names))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"])
def test_a_pickle_in_the_place_of_a_models_file_is_refused_and_runs_nothing(
    search, expand, bert, llama, tmp_path, marker, name, record_property
):
    for source, call, more in ((bert, search, POOLED), (llama, expand, ())):
        folder = copied(source, tmp_path / source.name)
        (folder / name).write_bytes(pickled(marker))
        result = call(folder, *more)
        assert result.code == 2
        assert str(folder) in result.error
    record_property("tried", 2)


def test_a_pickle_in_the_place_of_a_tokenizers_or_a_generations_file_runs_nothing(
    search, expand, bert, llama, tmp_path, marker, record_property
):
    names = ("vocab.txt", "tokenizer.model", "special_tokens_map.json", "added_tokens.json", "generation_config.json", "chat_template.jinja", "modules.json", "encoder.yaml")  # fmt: skip
    for number, name in enumerate(names):
        for source, call, more in ((bert, search, POOLED), (llama, expand, ())):
            folder = copied(source, tmp_path / f"{source.name}{number}")
            (folder / name).write_bytes(pickled(marker))
            result = call(folder, *more)
            assert result.code in (0, 2)  # some are read by nobody
            assert "Traceback" not in result.err
    record_property("tried", 2 * len(names))


@pytest.mark.parametrize("form", [pickled, torch_pickled])
def test_an_llm_or_an_adapter_with_pickled_weights_is_refused(expand, llama, tmp_path, marker, form, record_property):
    model = copied(llama, tmp_path / "model")
    (model / "model.safetensors").rename(model / "elsewhere")
    (model / "pytorch_model.bin").write_bytes(form(marker))
    assert "as safetensors" in expand(model).error
    (model / "other.safetensors").write_bytes(b"")  # some file of that name is not the weights
    result = expand(model)
    assert result.code == 2
    assert "Traceback" not in result.err
    for more in ({}, {"another.safetensors": b""}):
        adapter = tmp_path / f"adapter{len(more)}"
        adapter.mkdir()
        (adapter / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 4}))
        (adapter / "adapter_model.bin").write_bytes(form(marker))
        for name, content in more.items():
            (adapter / name).write_bytes(content)
        assert "no adapter weights as safetensors" in expand(llama, "--adapter", adapter).error
    record_property("tried", 4)


@pytest.mark.parametrize(
    "config",
    [
        {"peft_type": "LORA", "megatron_config": {"x": 1}, "megatron_core": "evil"},
        {"peft_type": "LORA", "megatron_config": {"x": 1}, "megatron_core": "megatron.evil"},
        {"peft_type": "PROMPT_TUNING", "prompt_tuning_init": "TEXT", "tokenizer_name_or_path": ".", "tokenizer_kwargs": {"trust_remote_code": True}},
        {"peft_type": "XLORA", "adapters": {"a": "."}},
        {"peft_type": "no such"},
        {"peft_type": ["LORA"]},
        {},
    ],
)  # fmt: skip
def test_an_adapter_that_asks_for_more_than_weights_is_refused(expand, llama, tmp_path, marker, monkeypatch, config):
    (tmp_path / "evil.py").write_text(f"open({str(marker)!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"r": 4, "target_modules": ["q_proj"], **config}))
    (adapter / "adapter_model.safetensors").write_bytes(b"")
    result = expand(llama, "--adapter", adapter)
    assert result.code == 2
    assert "adapter_config.json: " in result.error
    assert "evil" not in sys.modules


@pytest.mark.parametrize(
    "settings", [{}, {"trust_remote_code": True}, {"pyserini_class": "qwen3", "trust_remote_code": True}]
)
def test_a_model_with_code_of_its_own_is_refused_whatever_its_files_say(
    search, bert, tmp_path, marker, settings, record_property
):
    folder = bring_code(copied(bert, tmp_path / "model"), marker)
    spec = {"model": str(folder), "query_max_length": 64, "document_max_length": 64, **settings}
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump({k: v for k, v in spec.items() if k != "pyserini_class"}))
    assert search(tmp_path / "spec.yaml").code == 2
    (folder / "encoder.yaml").write_text(yaml.safe_dump(spec | {"model": "."}))
    assert search(folder).code == 2
    (folder / "encoder.yaml").unlink()
    result = search(folder, *POOLED)
    assert result.code == 2
    assert str(folder) in result.error
    record_property("tried", 3)


def test_code_beside_an_architecture_that_is_installed_is_passed_over(
    search, expand, bert, llama, tmp_path, marker, record_property
):
    """transformers prefers a model's own code where it may run, even for a BERT."""
    for source, call, more in ((bert, search, POOLED), (llama, expand, ())):
        for name in ("config.json", "tokenizer_config.json"):
            folder = bring_code(copied(source, tmp_path / f"{source.name}-{name}"), marker)
            other = {"config.json": "tokenizer_config.json", "tokenizer_config.json": "config.json"}[name]
            shutil.copyfile(source / other, folder / other)
            kept = json.loads((source / name).read_text())
            change(folder / name, **{key: kept.get(key) for key in ("model_type", "tokenizer_class")})
            assert "auto_map" in json.loads((folder / name).read_text())
            assert call(folder, *more).code == 0
    record_property("tried", 4)


def test_an_llm_with_code_of_its_own_is_refused_by_every_command_that_loads_one(
    expand, command, llama, small, marker, record_property
):
    folder = bring_code(copied(llama, small / "model"), marker)
    (small / "pairs.jsonl").write_text(json.dumps({"qid": "1", "prompt": "p", "chosen": "a", "rejected": "b", "chosen_reward": 1, "rejected_reward": 0}) + "\n")  # fmt: skip
    trained = command(
        "train_generator",
        "--pairs",
        small / "pairs.jsonl",
        "--model",
        folder,
        "--device",
        "cpu",
        "--output",
        small / "trained",
    )
    for result in (expand(folder), trained):
        assert result.code == 2
        assert str(folder) in result.error
    record_property("tried", 2)


def test_a_models_own_code_runs_where_the_command_line_says_so(search, bert, tmp_path):
    ran = tmp_path / "ran"
    folder = bring_code(copied(bert, tmp_path / "model"), ran)
    search(folder, *POOLED, "--trust-remote-code")
    assert ran.exists()


@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation", "experts_implementation"])
def test_a_model_that_wants_compiled_code_from_the_hub_is_refused(
    search, expand, bert, llama, tmp_path, key, record_property
):
    values = (
        "evil/kernel",
        "kernels-community/evil",
        "evil/kernel@main:f",
        {"": "evil/kernel"},
        {"text_config": "evil/kernel"},
        ["evil/kernel"],
    )
    for number, value in enumerate(values):
        for source, call, more in ((bert, search, POOLED), (llama, expand, ())):
            folder = copied(source, tmp_path / f"{source.name}{number}")
            change(folder / "config.json", **({key: value} if number % 2 else {"text_config": {key: value}}))
            result = call(folder, *more)
            assert result.code == 2
            assert "needs code from elsewhere" in result.error
    record_property("tried", 2 * len(values))


@pytest.mark.parametrize("kind", ["auto", "qwen3", "contriever"])
@pytest.mark.jvm
def test_pyserinis_own_classes_run_no_models_code_either(search, bert, tmp_path, marker, kind, record_property):
    folder = bring_code(copied(bert, tmp_path / "model"), marker)
    result = search(f"pyserini:{kind}:{folder}")
    assert result.code == 2
    assert "cannot load" in result.error
    bare = copied(bert, tmp_path / "bare")
    (bare / "model.safetensors").unlink()
    (bare / "pytorch_model.bin").write_bytes(torch_pickled(marker))
    assert "no weights as safetensors there" in search(f"pyserini:{kind}:{bare}").error
    record_property("tried", 2)


def test_a_folder_of_sentence_transformers_names_classes_and_none_of_them_is_imported(
    search, bert, tmp_path, marker, monkeypatch
):
    (tmp_path / "evil.py").write_text(f"open({str(marker)!r}, 'w')\nclass Transformer: pass")
    monkeypatch.syspath_prepend(tmp_path)
    folder = copied(bert, tmp_path / "model")
    modules = [{"type": "evil.Transformer", "path": ""}, {"type": "evil.Pooling", "path": "pooling"}]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "pooling").mkdir()
    (folder / "pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    result = search(folder)
    assert result.code == 2
    assert "is not supported here" in result.error
    assert "evil" not in sys.modules
    assert not Path(marker).exists()


def test_the_name_of_a_package_with_weights_imports_nothing(search, tmp_path, marker, monkeypatch):
    (tmp_path / "evil" / "sub").mkdir(parents=True)
    (tmp_path / "evil" / "__init__.py").write_text(f"open({str(marker)!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "spec.yaml").write_text("model: package:evil.sub/model\n")
    assert search(tmp_path / "spec.yaml").code == 2
    assert "evil" not in sys.modules


TAGS = (
    "!!python/object/apply:os.system ['touch {marker}']",
    "!!python/object/new:os.system ['touch {marker}']",
    "!!python/object/apply:subprocess.check_call [['touch', '{marker}']]",
    "!!python/name:os.system",
    "!!python/module:os",
    "!!python/object:tests.faults.payloads.Payload {{marker: '{marker}'}}",
)


@pytest.mark.parametrize("reader", ["encoder spec", "encoder.yaml", "regression", "dpo", "encoder training", "prompt"])
def test_a_yaml_file_that_would_build_objects_is_refused_wherever_one_is_read(
    command, search, small, bert, marker, reader, record_property
):
    path = small / ("a.b.c.yaml" if reader == "regression" else "encoder.yaml")
    for tag in TAGS:
        for place in ("{tag}", "model: {tag}\n", "template: &x {tag}\nmodel: *x\n"):
            path.write_text(place.format(tag=tag.format(marker=marker)))
            if reader == "encoder.yaml":
                shutil.copytree(bert, small / "model", dirs_exist_ok=True)
                shutil.copyfile(path, small / "model" / "encoder.yaml")
            result = {
                "encoder spec": lambda: search(path),
                "encoder.yaml": lambda: search(small / "model"),
                "regression": lambda: command("report", "--regressions", path, "--output", small / "r.html"),
                "dpo": lambda: command("train_generator", "--pairs", "x", "--model", "x", "--output", small / "o", "--config", path),
                "encoder training": lambda: command("train_encoder", "--train", "pocket/test", "--output", small / "o", "--config", path),
                "prompt": lambda: command("expand", "--topics", "pocket", "--model", "m", "--prompt", path, "--dry-run"),
            }[reader]()  # fmt: skip
            assert result.code == 2
            assert "encoder.yaml" in result.error or "a.b.c.yaml" in result.error
            assert "not YAML" in result.error
    record_property("tried", 3 * len(TAGS))


def test_a_setting_on_the_command_line_builds_no_objects_either(command, tmp_path, marker, record_property):
    for tag in TAGS:
        result = command(
            "train_encoder",
            "--train",
            "pocket",
            "--output",
            tmp_path / "o",
            "--set",
            f"epochs={tag.format(marker=marker)}",
        )
        assert result.code == 2
        assert "the value is not YAML" in result.error
    record_property("tried", len(TAGS))


TEMPLATES = ("{query.__class__}", "{query.__init__.__globals__}", "{query[0]}", "{query!r}", "{query:>9999999999}", "{0}", "{}", "{os}", "{query} {", "{query:{passage}}")  # fmt: skip


def test_a_prompt_cannot_reach_into_python(command, tmp_path, record_property):
    for number, template in enumerate(TEMPLATES):
        path = tmp_path / f"p{number}.txt"
        path.write_text(f"{template} {{query}}\n")
        result = command("expand", "--topics", "pocket", "--model", "m", "--prompt", path, "--dry-run")
        assert result.code == 2
        assert f"{path}: template: " in result.error
    record_property("tried", len(TEMPLATES))


def test_a_template_in_someone_elses_store_cannot_either(command, tmp_path, record_property):
    from expandr_repro.expand.store import Store
    from expandr_repro.io.files import sha256_text

    for number, template in enumerate(TEMPLATES):
        digest = sha256_text(template)
        with Store(tmp_path / f"{number}.sqlite") as store:
            store.condition({"prompt_sha256": digest}, template)
        record = {
            "qid": "1",
            "title": "kiwi",
            "expansions": ["a bird"],
            "provenance": {"prompt_sha256": digest, "prompt": "x"},
        }
        (tmp_path / "x.jsonl").write_text(json.dumps(record) + "\n")
        result = command("expand", "show", tmp_path / "x.jsonl", "--store", tmp_path / f"{number}.sqlite")
        assert result.code == 0
        assert "  > " not in result.out
    record_property("tried", len(TEMPLATES))


@pytest.mark.parametrize(
    "template",
    [
        "{{ cycler.__init__.__globals__.os.system('touch MARKER') }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.__class__.__base__.__subclasses__() }}",
        "{{ raise_exception.__globals__ }}{{ raise_exception.__globals__['os'].system('touch MARKER') }}",
        "{% set x = messages.append(1) %}",
        "{% for i in range(1000000000) %}x{% endfor %}",
        "{{ raise_exception('no') }}",
        "{% broken",
    ],
)
def test_a_models_chat_template_runs_in_a_sandbox(expand, llama, tmp_path, marker, template):
    folder = copied(llama, tmp_path / "model")
    for name in ("chat_template.jinja", "tokenizer_config.json"):
        if name.endswith(".jinja"):
            (folder / name).write_text(template.replace("MARKER", str(marker)))
    result = expand(folder)
    assert result.code == 2
    assert "its chat template cannot be rendered" in result.error


def test_encoded_queries_are_read_as_a_table_and_nothing_else(tmp_path, marker, record_property):
    import numpy as np
    import pandas as pd

    from expandr_repro.pyserini.queries import export_queries

    export_queries(tmp_path / "good", ["1", "2"], ["kiwi", "mole"], np.eye(2, dtype=np.float32))
    read = read_table(tmp_path / "good" / "embedding.pkl")
    assert read["text"].tolist() == ["kiwi", "mole"]
    assert np.stack(read["embedding"].tolist()).tolist() == np.eye(2).tolist()
    older = pd.DataFrame({"id": [1, 2], "text": ["kiwi", "mole"], "embedding": list(np.eye(2))}).astype(
        {"text": object}
    )
    older.columns = older.columns.astype(object)
    crafted = pd.DataFrame({"id": ["1"], "text": ["kiwi"], "embedding": [Payload(marker)]})
    for protocol in (2, 3, 4, 5):
        (tmp_path / "older.pkl").write_bytes(pickle.dumps(older, protocol=protocol))
        assert read_table(tmp_path / "older.pkl")["text"].tolist() == ["kiwi", "mole"]
        for content in (pickle.dumps(crafted, protocol=protocol), pickle.dumps(Payload(marker), protocol=protocol)):
            (tmp_path / "evil.pkl").write_bytes(content)
            with pytest.raises(FormatError, match=r"it names (posix|os|nt)\.system"):
                read_table(tmp_path / "evil.pkl")
    for content in (b"", b"\x80", b"cos\nsystem\n(S'touch x'\ntR.", b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93."):
        (tmp_path / "evil.pkl").write_bytes(content)
        with pytest.raises(FormatError):
            read_table(tmp_path / "evil.pkl")
    record_property("tried", 8 + 4)


@pytest.mark.jvm
def test_stock_pyserini_behind_our_door_runs_no_pickle(process, pocket_index, tmp_path, marker):
    (tmp_path / "queries").mkdir()
    (tmp_path / "queries" / "embedding.pkl").write_bytes(pickled(marker))
    (tmp_path / "topics.tsv").write_text("1\tkiwi\n")
    result = process(
        "expandr_repro.pyserini", "search.faiss", "--topics", tmp_path / "topics.tsv", "--index", pocket_index,
        "--encoded-queries", tmp_path / "queries", "--output", tmp_path / "run",
    )  # fmt: skip
    assert result.code != 0
    assert "nothing else is read" in result.err


def test_document_stores_of_ir_datasets_are_read_as_records_and_nothing_else(marker, record_property):
    from ir_datasets.formats import GenericDoc
    from ir_datasets.indices import indexed_tsv_docstore, lz4_pickle, zpickle_docstore

    with irds._guarded():  # as every use of ours is
        file = io.BytesIO()
        lz4_pickle._write_next(file, GenericDoc("d1", "a bird"))
        file.seek(0)
        assert lz4_pickle._read_next(file, GenericDoc) == GenericDoc("d1", "a bird")
        nested = (GenericDoc("d1", "x"), 3, 1.5, None, b"x")
        modules = (lz4_pickle, zpickle_docstore, indexed_tsv_docstore)
        for module in modules:
            assert module.pickle.loads(pickle.dumps(nested)) == nested
            for content in (pickled(marker), pickle.dumps(irds._load), pickle.dumps(("d1", Payload(marker)))):
                with pytest.raises(pickle.UnpicklingError, match="it names"):
                    module.pickle.loads(content)
    assert all(module.pickle is pickle for module in modules)
    record_property("tried", 3 * len(modules))


def test_compiled_functions_are_kept_where_nobody_else_can_write(tmp_path, marker, record_property):
    """numba keeps them as pickles."""
    mine = private_folder(tmp_path / "cache" / "numba")
    assert mine == tmp_path / "cache" / "numba"
    assert mine.stat().st_mode & 0o777 == 0o700
    (mine / "evil.nbi").write_bytes(pickled(marker))
    mine.chmod(0o777)
    assert list(private_folder(mine).iterdir()) == []
    assert mine.stat().st_mode & 0o022 == 0
    (tmp_path / "theirs").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "theirs")
    (tmp_path / "file").write_text("")
    for refused in (tmp_path / "link", tmp_path / "file", tmp_path / "file" / "below"):
        other = private_folder(refused)
        assert other not in (refused, tmp_path / "theirs")
        assert other.stat().st_mode & 0o777 == 0o700
    record_property("tried", 4)


@pytest.mark.parametrize("name", ["state.json", "model.safetensors", "optimizer.safetensors"])
def test_a_pickle_in_an_encoders_checkpoint_is_refused_and_runs_nothing(
    command, bert, tmp_path, marker, name, monkeypatch
):
    arguments = ["train_encoder", "--train", "pocket/test", "--encoder", bert, *POOLED, "--device", "cpu", "--output", tmp_path / "out", "--set", "epochs=1",
                 "--set", "batch_size=36", "--set", "save_every=1"]  # fmt: skip
    from expandr_repro.train_encoder import run as training_encoder

    monkeypatch.setattr(training_encoder, "save_encoder", interrupted)
    assert command(*arguments).code == 130
    (checkpoint,) = tmp_path.glob(".out.*.training/checkpoint")
    (checkpoint / name).write_bytes(pickled(marker))
    result = command(*arguments)
    assert result.code == 2
    assert "checkpoint" in result.error


def interrupted(*_, **__):
    raise KeyboardInterrupt


@pytest.fixture(scope="module")
def begun(llama, tmp_path_factory):
    """A generator's training that was interrupted after its last checkpoint, and the command that goes on with it."""
    from expandr_repro.train_generator import __main__ as train_generator
    from expandr_repro.train_generator import run as training_generator

    folder = tmp_path_factory.mktemp("begun")
    pair = {
        "prompt": "what is rain",
        "chosen": "rain is water",
        "rejected": "hail",
        "chosen_reward": 1,
        "rejected_reward": 0,
    }
    (folder / "pairs.jsonl").write_text("".join(json.dumps({"qid": f"q{i}", **pair}) + "\n" for i in range(4)))
    arguments = ["--pairs", folder / "pairs.jsonl", "--model", llama, "--device", "cpu", "--set", "max_length=64", "--set", "max_prompt_length=32",
                 "--set", "batch_size=2", "--set", "gradient_accumulation=1", "--set", "epochs=1", "--set", "save_steps=1"]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_generator, "_write", interrupted)
        assert train_generator.main([*map(str, arguments), "--output", str(folder / "out"), "--quiet"]) == 130
    return folder, arguments


@pytest.fixture
def resume(begun, command, tmp_path):
    """Continue with the training after its first step, with a file of the checkpoint changed."""

    def call(name, content):
        folder, arguments = begun
        (work,) = folder.glob(".out.*.training")
        copied(work, tmp_path / work.name)
        shutil.rmtree(tmp_path / work.name / "checkpoint-2")
        checkpoint = tmp_path / work.name / "checkpoint-1"
        if name == "adapter_model.bin":
            (checkpoint / "adapter_model.safetensors").unlink()
        (checkpoint / name).write_bytes(content)
        return command("train_generator", *arguments, "--output", tmp_path / "out")

    return call


@pytest.mark.parametrize(
    "name", ["optimizer.pt", "scheduler.pt", "rng_state.pth", "pytorch_model.bin", "adapter_model.bin"]
)
def test_a_pickle_in_a_generators_checkpoint_is_refused_and_runs_nothing(resume, tmp_path, marker, name):
    result = resume(name, torch_pickled(marker))
    assert result.code == 2
    assert "holds more than tensors and numbers" in result.error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["training_args.bin", "tokenizer.pkl"])
def test_a_pickle_that_a_generators_checkpoint_has_no_use_for_is_not_looked_at(resume, tmp_path, marker, name):
    assert resume(name, torch_pickled(marker)).code == 0
    assert [p.name for p in (tmp_path / "out").iterdir() if p.suffix in (".bin", ".pt", ".pth", ".pkl")] == []
