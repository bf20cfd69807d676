"""How the server's memory is divided, and when there is too little."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from atlas.errors import ServerError, UsageError
from atlas.graph.memory import (
    MemoryPlan,
    _control_group_available,
    available_mib,
    check_memory,
    plan_memory,
)
from atlas.graph.server import ManagedServer

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("size", "plan"),
    [
        ("2g", MemoryPlan(2048, 1024, 512)),
        ("1G", MemoryPlan(1024, 512, 256)),
        ("1.5 GiB", MemoryPlan(1536, 768, 384)),
        ("4096mb", MemoryPlan(4096, 2048, 1024)),
        ("2147483648", MemoryPlan(2048, 1024, 512)),
    ],
)
def test_half_is_heap_and_a_quarter_page_cache(size: str, plan: MemoryPlan) -> None:
    assert plan_memory(size) == plan


def test_default_gives_a_heap_of_one_gibibyte() -> None:
    assert plan_memory().heap == 1024


@pytest.mark.parametrize("size", ["", "much", "-2g", "2x", "g"])
def test_what_is_no_size_is_refused(size: str) -> None:
    with pytest.raises(UsageError, match="is not an amount of memory"):
        plan_memory(size)


def test_less_than_the_least_is_refused() -> None:
    with pytest.raises(UsageError, match="1g or more"):
        plan_memory("1023m")


def test_more_than_there_is_is_refused_with_numbers(tmp_path: Path) -> None:
    server = ManagedServer(tmp_path)
    with pytest.raises(ServerError, match=r"1073741824 MiB of memory .*, but \d+ MiB are"):
        server.start(memory="1024t")
    # The refused amount is not what the next start uses.
    assert not server.folder.settings_file.exists()


def test_what_is_there_is_accepted() -> None:
    check_memory(MemoryPlan(available_mib() // 2, 1, 1))


@pytest.mark.parametrize(
    ("limit", "available"), [("1000000\n", 500_000), ("max\n", None), ("300000\n", 0)]
)
def test_limit_of_a_control_group_counts(tmp_path: Path, limit: str, available: int | None) -> None:
    (tmp_path / "memory.max").write_text(limit)
    (tmp_path / "memory.current").write_text("600000\n")
    (tmp_path / "memory.stat").write_text("anon 500000\ninactive_file 100000\n")
    assert _control_group_available(tmp_path) == available


def test_no_control_group_is_no_limit(tmp_path: Path) -> None:
    assert _control_group_available(tmp_path) is None
