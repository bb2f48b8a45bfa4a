"""What a run is told by."""

from __future__ import annotations

from codeintel.hamilton_pipeline.run_tags import run_tags
from codeintel.relspec.execution_plan import compile_execution_plan
from codeintel.relspec.task import Task


def tags(signature: str, repository: str = "/home/somebody/shop") -> dict[str, str]:
    read = Task("repo_files", "source", {}, {}, "1")
    columns = {"files": frozenset({"path"})}
    plan = compile_execution_plan([
        read, Task("files", "view", {"repo_files": "same_bucket"}, {"repo_files": frozenset({"path"})}, "1"),
        Task("files_v1", "output", {"files": "same_bucket"}, columns, signature),
    ])  # fmt: skip
    return run_tags(plan, dag_name="codeintel_semantic_v1", pipeline="cpg", repository=repository)


def test_two_plans_share_the_name_of_their_dag_and_differ_in_what_says_which_plan_it_was() -> None:
    one, other = tags("2"), tags("3")
    different = {name for name in one if one[name] != other[name]}
    assert different == {"plan_signature", "reduced_plan_signature", "semantic_fingerprint"}
    assert one["dag_name"] == "codeintel_semantic_v1"
    assert one["semantic_version"] == "v1"
    assert (one["plan_task_count"], one["plan_generation_count"]) == ("3", "3")


def test_tags_are_text_tell_repositories_apart_and_hold_no_path() -> None:
    one, other = tags("2"), tags("2", "/home/somebody/elsewhere/shop")
    assert {type(value) for value in one.values()} == {str}
    assert one["repository"] == other["repository"] == "shop"
    assert one["repository_fingerprint"] != other["repository_fingerprint"]
    assert [name for name, value in one.items() if "/" in value] == []
