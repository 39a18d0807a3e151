from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import pytest

from expandr_repro.errors import FormatError
from expandr_repro.io.paths import resource
from expandr_repro.io.strict_yaml import build, read_yaml


@dataclass(frozen=True)
class Wheel:
    inches: int


@dataclass(frozen=True)
class Bicycle:
    name: str
    gears: int = 1
    weight: float = 10.0
    kind: Literal["road", "city"] = "city"
    bell: bool = True
    note: str | None = None
    tags: list[str] = field(default_factory=list)
    wheels: dict[str, Wheel] = field(default_factory=dict)


def message_of(values: object) -> str:
    with pytest.raises(FormatError) as caught:
        build(Bicycle, values, "b.yaml", "mine")
    return str(caught.value)


def test_keys_that_are_left_out_take_their_defaults():
    assert build(Bicycle, {"name": "a"}, "b.yaml", "mine") == Bicycle("a")


def test_every_type_of_value_is_taken():
    values = {
        "name": "a", "gears": 3, "weight": 9, "kind": "road", "bell": False, "note": None, "tags": ["x"],
        "wheels": {"front": {"inches": 28}},
    }  # fmt: skip

    assert build(Bicycle, values, "b.yaml", "mine") == Bicycle(
        "a", 3, 9.0, "road", False, None, ["x"], {"front": Wheel(28)}
    )


def test_a_whole_number_becomes_a_float_where_one_is_wanted():
    assert type(build(Bicycle, {"name": "a", "weight": 9}, "b.yaml", "mine").weight) is float


def test_a_key_of_a_mapping_becomes_a_string():
    assert list(build(Bicycle, {"name": "a", "wheels": {1: {"inches": 20}}}, "b", "m").wheels) == ["1"]


def test_an_unknown_key_offers_the_nearest():
    assert message_of({"name": "a", "geers": 3}) == "b.yaml: mine: unknown key 'geers'; did you mean 'gears'?"


def test_a_key_like_no_other_gets_the_list():
    assert message_of({"name": "a", "qqq": 3}).startswith(
        "b.yaml: mine: unknown key 'qqq'; known: name, gears, weight,"
    )


def test_a_missing_key_is_named():
    assert message_of({"gears": 3}) == "b.yaml: mine: the key 'name' is missing"


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (None, "mine: wanted keys and values, found None"),
        (["name"], "mine: wanted keys and values, found ['name']"),
        ({"name": 5}, "mine.name: found 5, wanted str"),
        ({"name": "a", "gears": "3"}, "mine.gears: found '3', wanted int"),
        ({"name": "a", "gears": True}, "mine.gears: found True, wanted int"),
        ({"name": "a", "weight": True}, "mine.weight: found True, wanted float"),
        ({"name": "a", "bell": 1}, "mine.bell: found 1, wanted bool"),
        ({"name": "a", "note": 3}, "mine.note: found 3, wanted str"),
        ({"name": "a", "kind": "boat"}, "mine.kind: found 'boat', wanted one of road, city"),
        ({"name": "a", "tags": "x"}, "mine.tags: found 'x', wanted a list"),
        ({"name": "a", "tags": [1]}, "mine.tags: found 1, wanted str"),
        ({"name": "a", "wheels": []}, "mine.wheels: found [], wanted keys and values"),
        (
            {"name": "a", "wheels": {"front": {"inch": 1}}},
            "mine.wheels.front: unknown key 'inch'; did you mean 'inches'?",
        ),
    ],
)
def test_a_wrong_value_names_its_place(values, problem):
    assert message_of(values) == f"b.yaml: {problem}"


def test_yaml_is_read(write):
    assert read_yaml(write("a.yaml", "x: [1, é]\n")) == {"x": [1, "é"]}


def test_broken_yaml_names_its_line(write):
    with pytest.raises(FormatError, match=r"a\.yaml, line 2: not YAML \(mapping values are not allowed here\)"):
        read_yaml(write("a.yaml", "x: 1\ny: 2: 3\n"))


def test_yaml_that_builds_objects_is_refused(write):
    with pytest.raises(FormatError, match=r"a\.yaml, line 1: not YAML \(could not determine a constructor"):
        read_yaml(write("a.yaml", "x: !!python/object/apply:os.getcwd []\n"))


@pytest.mark.parametrize("content", ["[" * 600, "x: 2020-13-45\n"])
def test_yaml_beyond_reason_is_refused(write, content):
    with pytest.raises(FormatError, match=r"a\.yaml.*: not YAML"):
        read_yaml(write("a.yaml", content))


def test_yaml_with_control_characters_is_refused(write):
    with pytest.raises(FormatError, match=r"a\.yaml: not YAML \(unreadable\)"):
        read_yaml(write("a.yaml", "x: \x07\n"))


def test_a_yaml_file_with_a_key_twice_is_refused_with_the_line(tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text("model: a\npooling: mean\nmodel: b\n")
    with pytest.raises(FormatError, match=r"twice\.yaml, line 3: .*'model' occurs twice"):
        read_yaml(path)


@pytest.mark.parametrize("name", ["datasets.yaml", "encoders.yaml"])
def test_libyaml_reads_what_ships_in_the_package_as_the_plain_loader_does(name):
    assert read_yaml(resource(name), ours=True) == read_yaml(resource(name))


def test_libyaml_refuses_a_key_that_is_there_twice(write):
    with pytest.raises(FormatError, match=r"line 2: .*the key 'a' occurs twice"):
        read_yaml(write("x.yaml", "a: 1\na: 2\n"), ours=True)


def laughs(levels: int) -> str:
    return "a0: &a0 [lol]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, levels))


MERGED = "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 12))


@pytest.mark.parametrize(
    "content",
    [laughs(6), laughs(40), MERGED, "a: &a [*a]\n", "a: &a {b: *a}\n", f"a: &a {'x' * 3000}\nb: [{'*a, ' * 100}]"],
)
def test_aliases_that_blow_up_are_refused(write, content):
    with pytest.raises(FormatError, match=r"a\.yaml, line 1: not YAML \(aliases make it endless or very long"):
        read_yaml(write("a.yaml", content))


def test_a_few_aliases_are_read(write):
    path = write("a.yaml", "a: &a {x: 1}\nb: *a\nc: {<<: *a, y: 2}\n")

    assert read_yaml(path) == {"a": {"x": 1}, "b": {"x": 1}, "c": {"x": 1, "y": 2}}


def test_a_yaml_file_of_megabytes_is_refused(write):
    with pytest.raises(FormatError, match="more than 262144 bytes"):
        read_yaml(write("a.yaml", "a: 1\n" * 10**6))


@pytest.mark.parametrize(
    "content",
    ['!!int ""', '!!float ""', "!!timestamp x", "!!bool x", "!!int x", "!!float x", r'a: "\0"', r'a: "\ud800"', r'"\ud800": 1', r'a: "\U00110000"',
     "1" * 5000, "2020-01-01 99:99:99", "!!timestamp 2020-01-01 00:00:00 +99:99"],
)  # fmt: skip
def test_a_value_that_cannot_be_is_refused(write, content):
    with pytest.raises(FormatError, match=r"a\.yaml: not YAML that makes sense"):
        read_yaml(write("a.yaml", content))


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"name": 16**9999}, r"mine\.name: found a number of 39997 bits, a number that is too large"),
        ({"name": "a", "gears": 16**9999}, r"mine\.gears: found a number of 39997 bits, a number that is too large"),
        ({"name": "a", "weight": -(16**9999)}, "a number that is too large"),
        ({16**9999: "a"}, "unknown key a number of 39997 bits"),
        ({"name": "a", "wheels": {16**9999: {}}}, r"mine\.wheels: found the key a number of 39997 bits, wanted a text"),
        ({"name": "a", "wheels": {None: {}}}, r"mine\.wheels: found the key None, wanted a text"),
        ({"name": ["x" * 99] * 10**5}, r"mine\.name: found \["),
    ],
)  # fmt: skip
def test_a_value_without_measure_is_shown_in_brief(values, problem):
    with pytest.raises(FormatError, match=problem) as caught:
        build(Bicycle, values, "b.yaml", "mine")
    assert len(str(caught.value)) < 1100


def test_ten_thousand_keys_are_looked_over_at_once(write):
    with pytest.raises(FormatError, match=r"line 10001: .*'7' occurs twice"):
        read_yaml(write("a.yaml", "".join(f"{n}: 1\n" for n in range(10_000)) + "7: 1\n"))
