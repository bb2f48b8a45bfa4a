"""The scan of a repository: which files it finds, what it says of each, and what it refuses."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from codeintel.errors import UsageError
from codeintel.extract import repo_scan
from codeintel.extract.git_files import git_listing
from codeintel.extract.repo_scan import REPO_FILES, bucket_of, check_repository, scan
from codeintel.fingerprint import digest_bytes

from .conftest import AsNobody, Git, Tree, errors, modules, only, paths, write


def test_a_row_has_the_digest_and_the_count_of_exactly_the_bytes(tree: Tree) -> None:
    root = tree({})
    content = b"\xef\xbb\xbfx = 1\r\n\x0c\x00" + bytes(range(256)) * 9000
    (root / "a.py").write_bytes(content)
    file = only(scan(root))
    assert (file.digest, file.bytes, file.error) == (digest_bytes(content), len(content), None)


def test_changed_bytes_of_the_same_size_and_time_change_the_digest(tree: Tree) -> None:
    root = tree({"a.py": "x = 1"})
    before, state = only(scan(root)).digest, (root / "a.py").stat()
    (root / "a.py").write_text("x = 2")
    os.utime(root / "a.py", ns=(state.st_atime_ns, state.st_mtime_ns))
    assert only(scan(root)).digest != before


def test_rows_have_the_declared_columns(tree: Tree) -> None:
    files = scan(tree({"a.py": "", "b/c.pyi": "x: int", "d.py/": ""}), bucket_count=8)
    assert pa.Table.from_pylist([file._asdict() for file in files], REPO_FILES.schema).num_rows == len(files) == 3
    assert list(files[0]._fields) == REPO_FILES.schema.names
    assert REPO_FILES.key == ("path",)


def test_scanning_imports_neither_arrow_nor_pathspec(tree: Tree) -> None:
    program = (
        "import sys; from pathlib import Path; from codeintel.extract.repo_scan import scan; scan(Path(sys.argv[1]));"
        "print(sorted({'pyarrow', 'pathspec', 'numpy', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program, tree({"a.py": ""})], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


# --- order and buckets


@given(st.sets(st.text("abcé日 \n'{", min_size=1, max_size=6), min_size=1, max_size=8), st.integers(1, 300))
def test_rows_are_sorted_by_bucket_and_path_and_buckets_follow_the_path_alone(stems: set[str], count: int) -> None:
    with TemporaryDirectory() as directory:
        root = write(Path(directory), {f"{stem}.py": stem for stem in stems})
        files = scan(root, bucket_count=count)
        assert {file.path for file in files} == {f"{stem}.py" for stem in stems}
        assert files == sorted(files, key=lambda file: (file.bucket, file.path)) == scan(root, bucket_count=count)
        assert all(file.bucket == xxhash.xxh64(file.path.encode(), 0).intdigest() % count for file in files)


def test_a_file_keeps_its_bucket_whatever_else_there_is(tree: Tree) -> None:
    root = tree({"a.py": ""})
    alone = only(scan(root))
    write(root, {f"m{n}.py": "" for n in range(20)})
    assert alone in scan(root)
    assert alone.bucket == bucket_of("a.py", 64)


def test_two_copies_of_a_repository_give_the_same_rows(tree: Tree, tmp_path: Path) -> None:
    files = {"__init__.py": "", "src/p/__init__.py": "", "src/p/a.py": "x", "b.py": "y"}
    assert scan(tree(files)) == scan(write(tmp_path / "elsewhere", dict(reversed(files.items()))))


# --- inside git


def test_git_gives_tracked_files_and_untracked_ones_that_are_not_ignored(git_tree: Tree) -> None:
    root = git_tree({".gitignore": "gen/\n*_pb2.py\n!keep_pb2.py\n", "a.py": "", "b.txt": "", "keep_pb2.py": ""})
    write(root, {"new.py": "", "gen/x.py": "", "a_pb2.py": "", "sub/.gitignore": "local.py", "sub/local.py": ""})
    assert paths(root) == ["a.py", "keep_pb2.py", "new.py"]


def test_a_tracked_file_counts_even_if_ignored_or_in_a_build_directory(git_tree: Tree, git: Git) -> None:
    root = git_tree({".gitignore": "*.gen.py\n", "a.gen.py": "", "build/tool.py": ""})
    git(root, "add", "--force", "a.gen.py")
    write(root, {"build/lib/copy.py": "", ".venv/lib/x.py": "", "mine/pyvenv.cfg": "", "mine/y.py": ""})
    assert paths(root) == ["a.gen.py", "build/tool.py"]


def test_a_tracked_file_that_is_deleted_is_no_file(git_tree: Tree) -> None:
    root = git_tree({"a.py": "", "b.py": ""})
    (root / "b.py").unlink()
    assert paths(root) == ["a.py"]


def test_a_directory_of_a_git_repository_is_scanned_by_itself(git_tree: Tree) -> None:
    root = git_tree({".gitignore": "skip.py\n", "top.py": "", "sub/a.py": "", "sub/skip.py": "", "sub/p/b.py": ""})
    assert paths(root / "sub") == ["a.py", "p/b.py"]


def test_a_directory_that_git_ignores_is_walked_when_asked_for(git_tree: Tree) -> None:
    root = git_tree({".gitignore": "vendored/\n", "a.py": "", "vendored/b.py": "", "vendored/.gitignore": "c.py"})
    write(root, {"vendored/c.py": ""})
    assert paths(root / "vendored") == ["b.py"]


def test_checked_out_submodules_belong_to_the_repository(git_tree: Tree, git: Git, tmp_path: Path) -> None:
    library = write(tmp_path / "library", {"lib.py": "", ".gitignore": "no.py\n"})
    git(library, "init")
    git(library, "add", "--all")
    git(library, "commit", "-m", "library")
    root = git_tree({"a.py": ""})
    git(root, "submodule", "add", str(library), "third_party/library")
    write(root, {"third_party/library/new.py": "", "third_party/library/no.py": ""})
    assert paths(root) == ["a.py", "third_party/library/lib.py", "third_party/library/new.py"]


def test_another_repository_inside_is_not_part_of_this_one(git_tree: Tree, git: Git) -> None:
    root = git_tree({"a.py": ""})
    write(root, {"nested/b.py": ""})
    git(root / "nested", "init")
    assert paths(root) == ["a.py"]


def test_the_callers_git_environment_does_not_matter(
    git_tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = git_tree({"a.py": ""})
    (tmp_path / "ignore").write_text("*.py\n")
    (tmp_path / "config").write_text(f"[core]\n\texcludesFile = {tmp_path}/ignore\n")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "none"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    write(root, {"new.py": ""})
    assert paths(root) == ["a.py", "new.py"]


def test_a_repositorys_git_configuration_runs_no_program(git_tree: Tree, git: Git, tmp_path: Path) -> None:
    root = git_tree({"a.py": "", "x.py/b.py": ""})
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    git(root, "config", "core.fsmonitor", str(hook))
    assert paths(root) == ["a.py", "x.py", "x.py/b.py"]
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("how", ["no git", "damaged index"])
def test_without_a_working_git_the_tree_is_walked(git_tree: Tree, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    root = git_tree({".gitignore": "b.py\n", "a.py": "", "b.py": "", "build/c.py": ""})
    if how == "no git":
        monkeypatch.setenv("PATH", "/nowhere")
    else:
        (root / ".git" / "index").write_bytes(b"not an index")
    assert paths(root) == ["a.py"]


# --- elsewhere


def test_a_walk_honours_ignore_files_the_deeper_and_the_dot_ignore_winning(tree: Tree) -> None:
    root = tree({
        ".gitignore": "*.gen.py\n/top.py\ndata/**\n!data/**/\n!data/**/keep.py\n",
        ".ignore": "!wanted.gen.py\nsecret/\n",
        "top.py": "",
        "a.gen.py": "",
        "wanted.gen.py": "",
        "secret/x.py": "",
        "sub/top.py": "",
        "sub/.gitignore": "!b.gen.py\nc.py\n",
        "sub/b.gen.py": "",
        "sub/c.py": "",
        "sub/deep/c.py": "",
        "c.py": "",
        "data/x.py": "",
        "data/y/keep.py": "",
        "data/y/z.py": "",
    })  # fmt: skip
    assert paths(root) == ["c.py", "data/y/keep.py", "sub/b.gen.py", "sub/top.py", "wanted.gen.py"]


def test_a_walk_skips_what_nobody_means_by_their_code(tree: Tree) -> None:
    skipped = [
        "node_modules",
        "build",
        "dist",
        "venv",
        ".venv",
        ".tox",
        "__pycache__",
        ".git",
        ".hg",
        "x/site-packages",
    ]
    root = tree({"a.py": "", "own/pyvenv.cfg": "", "own/lib/b.py": ""} | {f"{name}/s.py": "" for name in skipped})
    assert paths(root) == ["a.py"]


def test_a_package_may_be_called_build_or_venv(tree: Tree) -> None:
    assert paths(tree({"venv/__init__.py": "", "p/build/__init__.py": "", "p/build/x.py": ""})) == [
        "p/build/__init__.py",
        "p/build/x.py",
        "venv/__init__.py",
    ]


PATTERNS = ["*.py", "a", "a/", "/a", "a/b.py", "b.py", "!b.py", "a/*", "**/b.py", "a/**/b.py", "?.py", "[ab].py", "#x"]
TREE = ["a.py", "b.py", "c.py", "a/a.py", "a/b.py", "a/c/b.py", "c/a/b.py", "c/b/a.py", "c/c.py"]


@given(
    st.lists(st.sampled_from(PATTERNS), max_size=4),
    st.lists(st.sampled_from(PATTERNS), max_size=3),
    st.sampled_from("ac"),
)
def test_a_walk_finds_what_git_would_list(top: list[str], below: list[str], where: str) -> None:
    files = dict.fromkeys(TREE, "") | {
        ".gitignore": "\n".join(top),
        f"{where}/.gitignore": "\n".join(below),
        "0.py": "",
    }
    with TemporaryDirectory() as directory:
        root = write(Path(directory), files)
        subprocess.run(["git", "init", "-q"], cwd=root, check=True)
        listed = git_listing(str(root))
        (root / ".git").rename(root / ".hg")
        found = [] if listed is None else sorted(path for path in listed.files if path.endswith(".py"))
        try:
            walked = paths(root)
        except UsageError:
            walked = []
        assert walked == found


# --- include and exclude


@pytest.mark.parametrize("kind", ["git_tree", "tree"])
def test_include_adds_files_and_exclude_wins(request: pytest.FixtureRequest, kind: str) -> None:
    root = request.getfixturevalue(kind)({
        "a.py": "", "bin/run": "", "bin/old": "", "tests/t.py": "", "tests/keep.py": "", "x/wscript": "", "x/y.txt": "",
    })  # fmt: skip
    assert paths(root, ("bin/*", "wscript"), ("bin/old", "tests/*", "!tests/keep.py")) == [
        "a.py", "bin/run", "tests/keep.py", "x/wscript",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["git_tree", "tree"])
def test_an_include_that_names_a_directory_reaches_ignored_files(request: pytest.FixtureRequest, kind: str) -> None:
    root = request.getfixturevalue(kind)({
        ".gitignore": "gen/\n", "a.py": "", "gen/api/x.py": "", "gen/api/y.txt": "", "gen/z.py": "", "build/b.py": "",
    })  # fmt: skip
    assert "gen/api/x.py" not in paths(root)
    assert "gen/api/x.py" not in paths(root, ("x.py",))
    assert set(paths(root, ("gen/api/*.py", "build/*"))) == {"a.py", "gen/api/x.py", "build/b.py"}


@pytest.mark.parametrize("setting", ["include", "exclude"])
def test_a_bad_pattern_is_named_with_its_setting(tree: Tree, setting: str) -> None:
    with pytest.raises(UsageError, match=f"{setting} pattern '!' is not a gitignore pattern"):
        scan(tree({"a.py": ""}), *((("!",), ()) if setting == "include" else ((), ("!",))))


# --- links


@pytest.mark.parametrize("kind", ["git_tree", "tree"])
def test_no_link_is_followed(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> None:
    write(tmp_path / "outside", {"secret.py": ""})
    root = request.getfixturevalue(kind)({
        "p/a.py": "", "inside.py": "-> p/a.py", "outside.py": "-> ../outside/secret.py", "dangling.py": "-> nowhere",
        "loop": "-> .", "p/up": "-> ..", "out": "-> ../outside", "self.py": "-> self.py",
    })  # fmt: skip
    assert paths(root) == ["p/a.py"]
    assert paths(root, ("out/*", "loop/**", "*")) == ["p/a.py"]


def test_a_tracked_directory_replaced_by_a_link_leads_nowhere(git_tree: Tree, tmp_path: Path) -> None:
    root = git_tree({"a.py": "", "p/b.py": ""})
    (root / "p").rename(tmp_path / "moved")
    (root / "p").symlink_to(tmp_path / "moved")
    assert paths(root) == ["a.py"]


def test_the_root_may_be_a_link(tree: Tree, tmp_path: Path) -> None:
    root = tree({"a.py": ""})
    (tmp_path / "link").symlink_to(root)
    assert scan(tmp_path / "link") == scan(root)


# --- stores


@pytest.mark.parametrize("kind", ["git_tree", "tree"])
def test_a_store_inside_the_repository_is_not_scanned(request: pytest.FixtureRequest, kind: str) -> None:
    root = request.getfixturevalue(kind)({
        "a.py": "", ".codeintel/x.py": "", "graph/store.json": '{"format": "codeintel"}', "graph/objects/y.py": "",
        "shop/store.json": '{"format": "other"}', "shop/z.py": "", "bad/store.json": "{", "bad/w.py": "",
    })  # fmt: skip
    assert paths(root) == ["a.py", "bad/w.py", "shop/z.py"]
    assert paths(root, ("graph/**", ".codeintel/**")) == paths(root)


# --- bad files


@pytest.mark.parametrize("kind", ["git_tree", "tree"])
def test_a_directory_with_a_python_name_is_a_row(request: pytest.FixtureRequest, kind: str) -> None:
    root = request.getfixturevalue(kind)({
        ".gitignore": "ignored.py\n", "a.py": "", "empty.py/": "", "full.py/b.py": "", "ignored.py/": "",
    })  # fmt: skip
    assert errors(root) == {"empty.py": "is a directory", "full.py": "is a directory"}
    assert "full.py/b.py" in paths(root)


@pytest.mark.parametrize("kind", ["git_tree", "tree"])
def test_a_fifo_or_a_socket_does_not_hang_the_scan(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    root = request.getfixturevalue(kind)({"a.py": ""})
    os.mkfifo(root / "pipe.py")
    monkeypatch.chdir(root)  # the name of a socket must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.py")
        assert errors(root) == {"pipe.py": "is not a regular file", "socket.py": "is not a regular file"}


def test_a_fifo_that_took_a_files_place_or_stands_for_an_ignore_file_does_not_hang(tree: Tree) -> None:
    root = tree({"a.py": ""})
    os.mkfifo(root / ".gitignore")
    os.mkfifo(root / "pipe")
    assert paths(root) == ["a.py"]
    assert repo_scan._digest_of(f"{root}/pipe") == (None, 0, "is not a regular file")


def test_a_file_that_vanished_or_became_a_link_is_not_read(tree: Tree) -> None:
    root = tree({"a.py": "", "link.py": "-> a.py"})
    assert repo_scan._digest_of(f"{root}/gone.py") == (None, 0, "vanished during the scan")
    digest, size, error = repo_scan._digest_of(f"{root}/link.py")
    assert (digest, size) == (None, 0)
    assert error is not None
    assert error.startswith("cannot be read: ")


def test_what_may_not_be_read_is_a_row(tree: Tree, as_nobody: AsNobody) -> None:
    root = tree({"a.py": "", "closed.py": "x", "shut/b.py": ""})
    (root / "closed.py").chmod(0)
    (root / "shut").chmod(0)
    with as_nobody():
        assert errors(root) == {
            "closed.py": "cannot be read: permission denied",
            "shut": "cannot be listed: permission denied",
        }
    (root / "shut").chmod(0o755)


def test_spaces_and_newlines_in_names_are_names(git_tree: Tree) -> None:
    assert paths(git_tree({"a b.py": "", "a\nb.py": "", "tab\t/q'\".py": ""})) == ["a\nb.py", "a b.py", "tab\t/q'\".py"]


@pytest.mark.parametrize("kind", ["git_tree", "tree"])
def test_a_name_that_is_not_utf8_is_a_row_under_a_printable_name(request: pytest.FixtureRequest, kind: str) -> None:
    root = request.getfixturevalue(kind)({"a.py": "", "caf\udce9.py": "", "caf\\xe9.py": "", "d\udcff/b.py": ""})
    assert errors(root) == {"caf\\xe9.py'": "name is not UTF-8", "d\\xff/b.py": "name is not UTF-8"}
    assert len(scan(root)) == 4


# --- module names


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["pkg/__init__.py", "pkg/a.py", "pkg/sub/__init__.py", "pkg/sub/__main__.py"],
         ["pkg", "pkg.a", "pkg.sub", "pkg.sub.__main__"]),
        (["setup.py", "src/requests/__init__.py", "src/requests/api.py", "tests/test_api.py"],
         ["setup", "requests", "requests.api", "tests.test_api"]),
        (["lib/sqlalchemy/__init__.py", "lib/sqlalchemy/orm/util.py"], ["sqlalchemy", "sqlalchemy.orm.util"]),
        (["Lib/json/decoder.py", "Lib/abc.py"], ["json.decoder", "abc"]),
        (["scripts/my-script.py", "scripts/2to3.py", "tool.py", "bin.d/x.py"],
         ["scripts.my-script", "scripts.2to3", "tool", "bin.d.x"]),
        (["ns/one/a.py", "ns/two/__init__.py"], ["ns.one.a", "ns.two"]),
        (["libs/core/pyproject.toml", "libs/core/core/__init__.py", "libs/core/src/x.py", "libs/other/y.py"],
         ["core", "x", "libs.other.y"]),
        (["pkg/__init__.py", "pkg/src/a.py", "pkg/lib/b.py", "pkg/setup.py"],
         ["pkg", "pkg.src.a", "pkg.lib.b", "pkg.setup"]),
        (["__init__.py", "a.py", "conftest.py"], ["__init__", "a", "conftest"]),
        (["a.py", "a.pyi", "a/__init__.pyi"], ["a", "a", "a"]),
        (["app/lib/db.py", "app/src/web.py"], ["app.lib.db", "web"]),
    ],
)  # fmt: skip
def test_a_module_is_named_from_the_nearest_root(tree: Tree, files: list[str], expected: list[str]) -> None:
    found = modules(tree(dict.fromkeys(files, "")))
    assert [found[file] for file in files if file.endswith((".py", ".pyi"))] == expected


# --- repositories that are none


def test_what_is_no_repository_is_refused_in_one_line(tree: Tree, tmp_path: Path) -> None:
    root = tree({"readme.txt": "", "empty/": "", "store/store.json": '{"format": "codeintel"}'})
    for path, message in {
        tmp_path / "nowhere": "does not exist; give the directory of a repository",
        root / "readme.txt": "is a file; give the directory of a repository",
        root / "empty": "is empty; give the directory of a repository",
        root / "store": "is a store of codeintel; give the directory of a repository",
    }.items():
        for refuse in (check_repository, scan):
            with pytest.raises(UsageError) as raised:
                refuse(path)
            assert str(raised.value) == f"{path} {message}"
    with pytest.raises(UsageError, match="holds no Python: no file that is not ignored is named"):
        scan(root)
    assert [file.path for file in scan(root, ("readme.*",))] == ["readme.txt"]


def test_a_directory_that_may_not_be_read_is_refused(tree: Tree, as_nobody: AsNobody) -> None:
    root = tree({"a.py": ""})
    root.chmod(0)
    with as_nobody(), pytest.raises(UsageError, match="cannot be read: permission denied"):
        scan(root)
    root.chmod(0o755)
