"""Settings: where they come from, which place wins, and what is said about a bad one."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeintel.errors import UsageError
from codeintel.settings import MEANINGS, PLACES, Settings, load_settings, settings_markdown, usable_cpus

DOCS = Path(__file__).parent.parent / "docs" / "settings.md"


def in_pyproject(**settings: object) -> dict[str, object]:
    return {"tool": {"codeintel": settings, "ruff": {"line-length": 120}}}


def test_with_nothing_given_every_setting_has_its_default() -> None:
    assert load_settings({}, {"HOME": "/root"}, {}, repository=Path("/r")) == Settings(store=Path("/r/.codeintel"))
    assert Settings().jobs == usable_cpus() >= 1
    assert Settings().bucket_count == 64


def test_an_argument_wins_over_the_environment_which_wins_over_pyproject() -> None:
    environ, pyproject = {"CODEINTEL_JOBS": "2"}, in_pyproject(jobs=3)
    assert load_settings({"jobs": 1}, environ, pyproject).jobs == 1
    assert load_settings({"jobs": None}, environ, pyproject).jobs == 2
    assert load_settings({}, {"CODEINTEL_JOBS": ""}, pyproject).jobs == 3


def test_relative_paths_are_relative_to_where_they_were_written() -> None:
    places = {"working_directory": Path("/here"), "repository": Path("/repo")}
    assert load_settings({"store": "s"}, {}, {}, **places).store == Path("/here/s")
    assert load_settings({}, {"CODEINTEL_VIEWS": "a,/b"}, {}, **places).views == (Path("/here/a"), Path("/b"))
    assert load_settings({}, {}, in_pyproject(store="s", views=["v"]), **places).store == Path("/repo/s")


def test_pyproject_keys_may_be_written_with_dashes() -> None:
    assert load_settings({}, {}, in_pyproject(**{"max-file-bytes": 5})).max_file_bytes == 5


def test_texts_from_the_environment_become_what_the_setting_is() -> None:
    environ = {
        "CODEINTEL_STRICT": "Yes",
        "CODEINTEL_WAIT": "1.5",
        "CODEINTEL_INCLUDE": "bin/*, *.pyx,",
        "CODEINTEL_MEMORY_LIMIT": "900",
    }
    settings = load_settings({}, environ, {})
    assert (settings.strict, settings.wait, settings.include, settings.memory_limit) == (
        True,
        1.5,
        ("bin/*", "*.pyx"),
        900,
    )


@pytest.mark.parametrize(
    ("flags", "environ", "pyproject", "message"),
    [
        ({"jbs": 1}, {}, {}, "--jbs is not a setting; did you mean jobs?"),
        ({}, {"CODEINTEL_JOB": "1"}, {}, "CODEINTEL_JOB is not a setting; did you mean jobs?"),
        ({}, {}, in_pyproject(excludes=[]), "[tool.codeintel] excludes is not a setting; did you mean exclude"),
        ({}, {"CODEINTEL_JOBS": "0"}, {}, "CODEINTEL_JOBS must be a whole number of at least 1, not '0'"),
        ({}, {"CODEINTEL_JOBS": "many"}, {}, "CODEINTEL_JOBS must be a whole number of at least 1, not 'many'"),
        ({}, {}, in_pyproject(jobs=True), "[tool.codeintel] jobs must be a whole number of at least 1, not True"),
        ({"memory_limit": -1}, {}, {}, "--memory-limit must be a whole number of at least 1, not -1"),
        ({}, {"CODEINTEL_WAIT": "nan"}, {}, "CODEINTEL_WAIT must be a number of seconds, 0 or more, not 'nan'"),
        ({}, {}, in_pyproject(strict="maybe"), "[tool.codeintel] strict must be true or false, not 'maybe'"),
        ({}, {}, in_pyproject(include=5), "[tool.codeintel] include must be a list, not 5"),
        ({}, {}, in_pyproject(include=[5]), "[tool.codeintel] include must be text, not [5]"),
        ({"executor": "spark"}, {}, {}, "--executor must be one of local, hamilton, ray, not 'spark'"),
        ({"store": ""}, {}, {}, "--store must be a path, not ''"),
        ({}, {}, {"tool": {"codeintel": 1}}, "[tool.codeintel] in pyproject.toml must be a table of settings"),
    ],
)
def test_a_bad_setting_is_one_line_that_names_its_place(
    flags: dict[str, object], environ: dict[str, str], pyproject: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError) as raised:
        load_settings(flags, environ, pyproject)
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)


def test_a_repository_cannot_say_where_something_is_sent_or_written_to() -> None:
    for name in PLACES:
        with pytest.raises(UsageError, match=rf"{name} is not for a repository to say.*CODEINTEL_{name.upper()}"):
            load_settings({}, {}, {"tool": {"codeintel": {name: "http://example.org"}}})
    given = load_settings({"openlineage": "runs.jsonl"}, {}, {}, working_directory=Path("/here"))
    assert given.openlineage == "/here/runs.jsonl"
    assert load_settings({"openlineage": "https://example.org"}, {}, {}).openlineage == "https://example.org"


@given(st.dictionaries(st.sampled_from(sorted(MEANINGS)), st.text(max_size=12)))
def test_any_text_in_the_environment_gives_settings_or_a_usage_error(texts: dict[str, str]) -> None:
    environ = {f"CODEINTEL_{name.upper()}": text for name, text in texts.items()}
    with suppress(UsageError):
        assert load_settings({}, environ, {}).jobs >= 1


def test_the_settings_that_rows_depend_on_are_the_parameters_of_tasks() -> None:
    assert sorted(Settings().parameters()) == ["bucket_count", "exclude", "include", "max_file_bytes", "namespace"]


def test_the_documented_table_is_the_one_in_the_code() -> None:
    assert DOCS.read_text() == settings_markdown(), "run `make docs`"
