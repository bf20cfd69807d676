"""Residual-stream hooks on the blocks of a `transformers` model, with TransformerLens's names."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from atlas.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import torch


class StopForwardError(Exception):
    """Raised inside the forward pass once the deepest hook has been read."""


@dataclass(frozen=True)
class HookPoint:
    """A residual-stream hook in TransformerLens's naming.

    Attributes
    ----------
    name
        For example ``blocks.18.hook_resid_pre``.
    layer
        Index of the block, from 0.
    after
        False for ``hook_resid_pre`` (the block's input), True for ``hook_resid_post``.
    """

    name: str
    layer: int
    after: bool

    @property
    def depth(self) -> int:
        """Number of blocks that must have run before the hook can be read."""
        return self.layer + int(self.after)

    @classmethod
    def parse(cls, name: str) -> HookPoint:
        """Read a hook's name; raises `ModelError` for anything but a residual-stream hook."""
        parts = name.split(".")
        kinds = {"hook_resid_pre": False, "hook_resid_post": True}
        if (
            len(parts) != 3
            or parts[0] != "blocks"
            or not parts[1].isdigit()
            or parts[2] not in kinds
        ):
            raise ModelError(
                f"Hook {name!r} is not a residual-stream hook.",
                hint="Use blocks.N.hook_resid_pre or blocks.N.hook_resid_post.",
            )
        return cls(name, int(parts[1]), kinds[parts[2]])


@contextmanager
def reading(
    blocks: torch.nn.ModuleList, points: Sequence[HookPoint], found: dict[str, torch.Tensor]
) -> Iterator[None]:
    """Read streams into `found` while the context is open.

    Once the deepest is read, `StopForwardError` is raised inside the forward pass.

    Parameters
    ----------
    blocks
        The model's blocks.
    points
        Hooks to read.
    found
        Gets hook name -> ``[batch, position, d_model]``.
    """
    deepest = max(point.depth for point in points)
    if deepest > len(blocks):
        raise ModelError(f"The model has {len(blocks)} blocks; no hook lies at depth {deepest}.")
    wanted = {point.name for point in points}

    def keep(point: HookPoint, stream: Any) -> None:
        found[point.name] = stream[0] if isinstance(stream, tuple) else stream
        if point.depth == deepest and len(found) == len(wanted):
            raise StopForwardError

    def attach(point: HookPoint) -> Any:
        block = blocks[point.layer]
        if point.after:
            return block.register_forward_hook(lambda _m, _i, out: keep(point, out))
        return block.register_forward_pre_hook(
            lambda _m, args, kwargs: keep(point, args[0] if args else kwargs["hidden_states"]),
            with_kwargs=True,
        )

    handles = []
    try:
        handles += [attach(point) for point in sorted(points, key=lambda p: p.depth)]
        yield
    finally:
        for handle in handles:
            handle.remove()


def editing(
    blocks: torch.nn.ModuleList, point: HookPoint, edit: Callable[[torch.Tensor], torch.Tensor]
) -> Any:
    """Replace the stream at a hook by ``edit(stream)``; returns a handle to remove."""
    block = blocks[point.layer]
    if point.after:

        def after(_module: Any, _args: Any, out: Any) -> Any:
            return (edit(out[0]), *out[1:]) if isinstance(out, tuple) else edit(out)

        return block.register_forward_hook(after)

    def before(_module: Any, args: Any, kwargs: Any) -> Any:
        if args:
            return (edit(args[0]), *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": edit(kwargs["hidden_states"])}

    return block.register_forward_pre_hook(before, with_kwargs=True)
