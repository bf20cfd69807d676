"""Whether the import packages of the atlas are its own.

`ingest` and `queries` are common names: another distribution may install packages so named over
these, and a folder so named may lie before them on the path.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlparse

DISTRIBUTION = "sae-feature-atlas"
PACKAGES = ("atlas", "ingest", "queries")


@dataclass(frozen=True)
class Owner:
    """Where an import package comes from.

    Attributes
    ----------
    location
        Folder that `import` finds, None where it finds none.
    installed
        Whether the distribution sae-feature-atlas is installed and put it there.
    version
        Version of that distribution, None where it is not installed.
    problem, cure
        What is wrong and what to do about it; None where nothing is wrong.
    """

    location: Path | None
    installed: bool
    version: str | None
    problem: str | None = None
    cure: str | None = None


def owners() -> dict[str, Owner]:
    """Return where each of the three import packages comes from.

    The package `atlas` that runs this code is the measure: the other two have to lie beside it,
    and no other distribution may claim a name.
    """
    root = Path(__file__).resolve().parent.parent
    return {name: _owner(name, root) for name in PACKAGES}


def _owner(name: str, root: Path) -> Owner:
    own = _distribution()
    version = own.version if own else None
    location = _location(name)
    installed = own is not None and root in _roots(own)
    if location is None:
        return Owner(
            None,
            installed,
            version,
            problem=f"the package {name} cannot be imported",
            cure=f"Reinstall: `pip install --force-reinstall --no-deps {DISTRIBUTION}`.",
        )
    if location != root / name:
        return Owner(
            location,
            installed,
            version,
            problem=f"{location} shadows {root / name}",
            cure="Rename or leave that folder, or take it off PYTHONPATH.",
        )
    others = _other_claimants(name)
    if others:
        return Owner(
            location,
            installed,
            version,
            problem=f"the distribution {', '.join(others)} installs a package {name} as well",
            cure=f"Keep {DISTRIBUTION} in a virtual environment of its own, without that one.",
        )
    if own is not None and not installed:
        where = ", ".join(str(path) for path in sorted(_roots(own)))
        return Owner(
            location,
            installed,
            version,
            problem=f"{location} runs, but {DISTRIBUTION} {version} is installed in {where}",
            cure="Take the folder off PYTHONPATH, or install it with `pip install -e .`.",
        )
    return Owner(location, installed, version)


def _location(name: str) -> Path | None:
    """Return the folder that ``import name`` finds."""
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if spec.origin is not None:
        path = Path(spec.origin)
        return (path.parent if path.name == "__init__.py" else path).resolve()
    found = list(spec.submodule_search_locations or ())
    return Path(found[0]).resolve() if found else None


def _distribution() -> metadata.Distribution | None:
    try:
        return metadata.distribution(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return None


def _roots(own: metadata.Distribution) -> set[Path]:
    """Return the folders whose packages the distribution installed (for -e: the source tree)."""
    roots = {Path(str(own.locate_file(""))).resolve()}
    try:
        origin = json.loads(own.read_text("direct_url.json") or "{}")
    except ValueError:
        return roots
    if origin.get("dir_info", {}).get("editable"):
        return {Path(unquote(urlparse(origin["url"]).path)).resolve()}
    return roots


def _other_claimants(name: str) -> list[str]:
    claimants = metadata.packages_distributions().get(name, [])
    return sorted({claimant for claimant in claimants if _normal(claimant) != DISTRIBUTION})


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
