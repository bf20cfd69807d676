"""Partial results of a Ray's workers, merged as a tree of tasks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from ingest.cooccurrence.ray_cluster import RETRIES, explained, lost
from ingest.cooccurrence.ray_worker import merge, owned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.cooccurrence.shards import CodeFiles

#: Partial results that one task merges.
FAN = 4


@cache
def _merge_task() -> Any:
    import ray

    # Workers hold their CPUs for as long as they live, so a merge that asked for one would wait
    # for ever.
    return ray.remote(merge).options(num_cpus=0, max_retries=RETRIES)


@dataclass(frozen=True)
class Merging:
    """A result on its way: `leaves` are the parts and whose they are, `result` is their sum."""

    leaves: Sequence[tuple[CodeFiles, Any]]
    result: Any

    @classmethod
    def of(cls, leaves: Sequence[tuple[CodeFiles, Any]]) -> Merging:
        """Merge parts as a tree of tasks, which run where the parts lie."""
        refs = [ref for _, ref in leaves]
        while len(refs) > 1:
            some = [refs[k : k + FAN] for k in range(0, len(refs), FAN)]
            refs = [few[0] if len(few) == 1 else _merge_task().remote(*few) for few in some]
        return cls(leaves, refs[0])

    def get(self) -> Any:
        """Wait for the result; raises an `AtlasError` where Ray fails for good."""
        import ray

        try:
            return owned(ray.get(self.result))
        except ray.exceptions.RayError as error:
            raise explained(error, where=self._where()) from None

    def _where(self) -> str:
        """Name the shards of a worker that is lost, or all."""
        import ray

        for files, ref in self.leaves:
            try:
                ray.get(ref, timeout=0)
            except ray.exceptions.RayError as error:
                if lost(error):
                    return str(files)
        return f"the shards in {self.leaves[0][0].shards[0][0].path.parent}"
