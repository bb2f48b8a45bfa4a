"""Which module of the repository an import leads to, where there is one."""

from __future__ import annotations

import pyarrow as pa

from codeintel.analysis.program import Modules
from codeintel.relspec.pipeline import analysis

_COLUMNS = {
    "node_id": pa.int64(), "module_id": pa.int64(), "is_holder": pa.bool_(), "path": pa.string(), "bucket": pa.int32(),
}  # fmt: skip
IMPORT_TARGETS = pa.schema([pa.field(name, kind, nullable=False) for name, kind in _COLUMNS.items()])


@analysis(IMPORT_TARGETS)
def import_targets(imports: pa.Table, modules: pa.Table) -> pa.Table:
    """One row per imported name (`node_id`, an alias) that leads into the repository, by bucket, path and alias.

    `module_id` is the module of that name, else (`is_holder`) the one that has it: of several the nearest to the
    importing file, else one beside it.
    """
    ids = modules["module_id"].to_pylist()
    known = Modules(zip(range(len(ids)), modules["module"].to_pylist(), modules["path"].to_pylist(), strict=True))
    found: list[tuple[int, str, int, int, bool]] = []
    columns = (imports[name].to_pylist() for name in ("bucket", "path", "node_id", "target", "target_module"))
    for bucket, path, node, target, holder in zip(*columns, strict=True):
        named = known.find(target, path)
        module = known.find(holder, path) if named is None else named
        if module is not None:
            found.append((bucket, path, node, ids[module], named is None))
    found.sort()
    buckets, paths, nodes, targets, holders = zip(*found, strict=True) if found else ((),) * 5
    return pa.table(
        {"node_id": nodes, "module_id": targets, "is_holder": holders, "path": paths, "bucket": buckets},
        schema=IMPORT_TARGETS,
    )
