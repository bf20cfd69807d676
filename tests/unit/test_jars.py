"""The lock, and the download: against a repository served from this machine."""

from __future__ import annotations

import hashlib
import http.server
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import pytest

from atlas.errors import ServerError
from atlas.graph import jars
from atlas.graph.jars import Distribution, Jar, install, missing_jars, read_lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Repository:
    """A Maven repository of small files, with a record of what was asked for."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.asked: list[str] = []
        self.failing: set[str] = set()

    def add(self, folder: jars.Folder, coordinate: str, content: bytes) -> Jar:
        group, artifact, version, *_ = coordinate.split(":")
        jar = Jar(folder, coordinate, hashlib.sha256(content).hexdigest(), len(content))
        path = self.root.joinpath(*group.split("."), artifact, version, jar.file_name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return jar


class _Handler(http.server.SimpleHTTPRequestHandler):
    def __init__(self, *args: object, repository: Repository, **kwargs: object) -> None:
        self.repository = repository
        super().__init__(*args, directory=str(repository.root), **kwargs)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        name = self.path.rsplit("/", 1)[1]
        if name.endswith(".jar"):
            self.repository.asked.append(name)
        if name in self.repository.failing:
            self.send_error(503)
        else:
            super().do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    found = Repository(tmp_path / "repository")
    found.root.mkdir()
    handler = partial(_Handler, repository=found)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("ATLAS_MAVEN_MIRROR", f"http://127.0.0.1:{server.server_port}/")
        monkeypatch.setattr(jars, "_ATTEMPTS", 1)
        yield found
        server.shutdown()
        thread.join()


@pytest.fixture
def wanted(repository: Repository) -> list[Jar]:
    return [
        repository.add("lib", "org.example:one:1.0", b"one" * 1000),
        repository.add("lib", "org.example:two:2.0:linux-x86_64", b"two"),
        repository.add("plugins", "org.example.deep:three:3.0", b"three"),
    ]


@pytest.fixture
def target(tmp_path: Path) -> Distribution:
    return Distribution(tmp_path / "cache" / "pair")


def test_lock_names_the_pair_and_each_file_once() -> None:
    lock = read_lock()
    coordinates = {jar.coordinate for jar in lock}
    assert f"org.neo4j.app:neo4j-server:{jars.NEO4J_VERSION}" in coordinates
    assert f"org.neo4j.gds:proc:{jars.GDS_VERSION}" in coordinates
    assert len({(jar.folder, jar.file_name) for jar in lock}) == len(lock) == 344
    assert all(re.fullmatch(r"[0-9a-f]{64}", jar.sha256) and jar.size > 0 for jar in lock)
    # Files of one class path: a name in both folders would hide one of them.
    assert len({jar.file_name for jar in lock}) == len(lock)


def test_install_downloads_each_jar_to_its_folder(
    repository: Repository, wanted: list[Jar], target: Distribution
) -> None:
    assert install(jars=wanted, into=target) == target
    assert (target.lib / "one-1.0.jar").read_bytes() == b"one" * 1000
    assert (target.lib / "two-2.0-linux-x86_64.jar").read_bytes() == b"two"
    assert (target.plugins / "three-3.0.jar").read_bytes() == b"three"
    assert missing_jars(target, wanted) == []
    assert not (target.root / ".download").exists()
    assert len(repository.asked) == 3


def test_install_resumes_with_what_is_missing(
    repository: Repository, wanted: list[Jar], target: Distribution
) -> None:
    repository.failing.add("three-3.0.jar")
    with pytest.raises(ServerError, match=r"org\.example\.deep:three:3\.0"):
        install(jars=wanted, into=target)
    kept = {path.name for path in target.lib.iterdir()}
    repository.failing.clear()
    repository.asked.clear()
    install(jars=wanted, into=target)
    assert missing_jars(target, wanted) == []
    assert set(repository.asked).isdisjoint(kept)
    assert "three-3.0.jar" in repository.asked


def test_install_replaces_an_altered_jar_and_removes_strays(
    repository: Repository, wanted: list[Jar], target: Distribution
) -> None:
    install(jars=wanted, into=target)
    altered = target.lib / "one-1.0.jar"
    altered.write_bytes(b"ONE" * 1000)  # of the same size
    (target.plugins / "foreign-1.0.jar").write_bytes(b"code of somebody else")
    assert missing_jars(target, wanted, by_size=True) == []
    assert missing_jars(target, wanted) == [wanted[0]]
    repository.asked.clear()
    install(jars=wanted, into=target)
    assert altered.read_bytes() == b"one" * 1000
    assert repository.asked == ["one-1.0.jar"]
    assert not (target.plugins / "foreign-1.0.jar").exists()


def test_install_refuses_a_jar_with_another_digest(
    repository: Repository, wanted: list[Jar], target: Distribution
) -> None:
    wrong = Jar("lib", wanted[0].coordinate, "0" * 64, wanted[0].size)
    with pytest.raises(ServerError, match=f"SHA-256 is {wanted[0].sha256}, the lock says 000"):
        install(jars=[wrong], into=target)
    assert list(target.lib.iterdir()) == []


def test_install_does_not_trust_what_an_interrupted_download_left(
    repository: Repository, wanted: list[Jar], target: Distribution
) -> None:
    left = target.root / ".download" / "one-1.0.jar.0" / "org" / "example" / "one" / "1.0"
    left.mkdir(parents=True)
    (left / "one-1.0.jar").write_bytes(b"one")  # its beginning
    install(jars=wanted, into=target)
    assert (target.lib / "one-1.0.jar").read_bytes() == b"one" * 1000


def test_two_installs_at_once_download_once(
    repository: Repository, wanted: list[Jar], target: Distribution
) -> None:
    with ThreadPoolExecutor(2) as pool:
        for job in [pool.submit(install, jars=wanted, into=target) for _ in range(2)]:
            job.result()
    assert len(repository.asked) == 3
    assert missing_jars(target, wanted) == []


def test_cache_that_cannot_be_made_is_one_clear_message(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ServerError, match="ATLAS_CACHE"):
        install(jars=[], into=Distribution(tmp_path / "file" / "pair"))
