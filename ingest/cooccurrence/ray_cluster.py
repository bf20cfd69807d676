"""A Ray to count on: joined or started here, its size, and its failures as errors of the atlas."""

from __future__ import annotations

import os
import shutil
import socket
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atlas.errors import AtlasError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LOCAL = "local"
#: Times that a worker is started again, and that its work is tried again.
RETRIES = 3
#: Shared memory of a private Ray for each worker, and once more for what is merged.
STORE_BYTES = 128 << 20
#: Tries to start a private Ray: its parts wait 15 s for one another, too short on a busy machine.
STARTS = 3
#: Seconds until an address counts as unreachable, and busy CPUs as taken.
PATIENCE = 10.0


@contextmanager
def connected(address: str = LOCAL, *, workers: int = 2) -> Iterator[list[int]]:
    """Run on a Ray until the end of the block; nested blocks share the outermost one's.

    Parameters
    ----------
    address
        ``local`` starts a private Ray on this machine, which is stopped at the end. Anything else
        is joined and left: ``HOST:PORT``, ``ray://HOST:PORT``, or ``auto`` for the cluster that
        this machine belongs to.
    workers
        Workers that a private Ray has room for, whatever the number of cores.

    Yields
    ------
    list of int
        CPUs of each machine.

    Raises
    ------
    UsageError
        The address is none.
    AtlasError
        Ray is not installed, does not answer, refuses, or has no CPU.
    """
    if address == LOCAL:
        # Read when Ray is imported. A private Ray tells nobody of its use, and its workers run
        # in this environment even where `uv run` started the command.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    try:
        import ray
    except ModuleNotFoundError as error:
        raise AtlasError(
            "Counting on several machines needs Ray, which is not installed.",
            hint="Install the extra: pip install 'sae-feature-atlas[ray]'.",
        ) from error
    if ray.is_initialized():
        yield _machines(ray)
        return
    logs = None
    try:
        if address == LOCAL:
            logs = _start(ray, workers)
        else:
            _try_address(address)
            _join(ray, address)
        yield _machines(ray)
    finally:
        ray.shutdown()
    if logs is not None:  # those of a failure stay
        shutil.rmtree(logs, ignore_errors=True)


def _start(ray: Any, workers: int, *, tries: int = STARTS) -> Path:
    """Start a private Ray; return the folder of its logs."""
    try:
        context = ray.init(
            address=LOCAL,
            num_cpus=max(os.cpu_count() or 1, workers),
            object_store_memory=STORE_BYTES * (workers + 1),
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
        )
    except Exception as error:  # Ray raises plain ones
        ray.shutdown()
        if tries > 1:
            return _start(ray, workers, tries=tries - 1)
        raise AtlasError(
            f"A private Ray does not start on this machine: {_first_line(error)}",
            hint="Leave out --ray to count in this process.",
        ) from error
    return Path(context.address_info["session_dir"])


def _join(ray: Any, address: str) -> None:
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except Exception as error:  # Ray raises plain ones
        raise AtlasError(
            f"The Ray cluster at {address} cannot be joined: {_first_line(error)}",
            hint="Check that it runs (`ray status`), with the same versions of Ray and Python as "
            "here.",
        ) from error


def _try_address(address: str) -> None:
    """Refuse an address where nothing listens; Ray itself takes minutes to say so."""
    if address == "auto":
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise UsageError(
            f"{address!r} is not the address of a Ray cluster.",
            hint="Use local, HOST:PORT, ray://HOST:PORT or auto.",
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE).close()
    except OSError as error:
        raise AtlasError(
            f"No Ray cluster answers at {address}: {error.strerror or error}.",
            hint="Start one with `ray start --head`, or give local to count on this machine.",
        ) from error


def _machines(ray: Any) -> list[int]:
    cpus = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    machines = [number for number in cpus if number > 0]
    if not machines:
        raise AtlasError(
            "The Ray cluster has no machine with a CPU for tasks.",
            hint="Start a worker with `ray start --address=HOST:PORT`.",
        )
    return machines


def share(
    machines: Sequence[int], *, shards: int, workers: int | None = None, cpus: int | None = None
) -> tuple[int, int]:
    """Decide on the number of workers and the CPUs of each, so that all run at once.

    Parameters
    ----------
    machines
        CPUs of each machine.
    shards
        Shards to count; a worker has at least one.
    workers
        Workers wanted. By default one a machine and at least two: each sends a result for every
        panel, so few large workers merge faster than many small ones.
    cpus
        CPUs wanted for each; by default as many as fit.

    Returns
    -------
    workers, cpus
    """
    number = max(1, min(workers or max(2, len(machines)), shards, sum(machines)))
    on_one = -(-number // len(machines))
    return number, cpus or max(1, min(machines) // on_one)


def wait_for_room(cpus: int) -> None:
    """Wait a little for free CPUs; raises `AtlasError` where others keep them.

    Work that finds no CPU would wait in Ray without a word.
    """
    import ray

    until = time.monotonic() + PATIENCE
    while (free := int(ray.available_resources().get("CPU", 0))) < cpus:
        if time.monotonic() > until:
            raise AtlasError(
                f"Counting wants {cpus} CPUs of the Ray cluster, and {free} are free.",
                hint="Wait for other work to end, or give fewer workers.",
            )
        time.sleep(0.1)


def explained(error: Exception, *, where: str) -> Exception:
    """Turn a failure on Ray into an `AtlasError`; a fault of the program stays as it is.

    Parameters
    ----------
    error
        What Ray raised, at any depth of tasks that waited for one another.
    where
        What was being counted.
    """
    from ray import exceptions

    inner = error
    while isinstance(inner, exceptions.RayTaskError) and isinstance(inner.cause, Exception):
        inner = inner.cause
    if isinstance(inner, AtlasError):
        return inner
    if isinstance(inner, ModuleNotFoundError) or "failed to import" in str(inner):
        return AtlasError(
            "Ray's workers cannot import the atlas.",
            hint="Install the same version of sae-feature-atlas[ray] on every machine.",
        )
    if lost(inner):
        return AtlasError(
            f"A worker died {RETRIES + 1} times while counting {where}: {_first_line(inner)}",
            hint="It may have run out of memory, or of disk in its temporary folder: give more "
            "workers or smaller shards, and run the command again.",
        )
    if isinstance(inner, exceptions.RayError) and not isinstance(inner, exceptions.RayTaskError):
        return AtlasError(
            f"Ray failed while counting {where}: {_first_line(inner)}",
            hint="Check the cluster with `ray status` and run the command again.",
        )
    return error


def lost(error: Exception) -> bool:
    """Whether an error says that a worker's process or machine is gone."""
    from ray import exceptions as e

    return isinstance(
        error, (e.RayActorError, e.WorkerCrashedError, e.NodeDiedError, e.OutOfMemoryError)
    )


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
