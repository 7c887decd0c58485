"""The renderers by name.

A renderer is a subclass of :class:`newscaster.models.renderer.crop_task.CropTask`; see ``docs/extending.md``.
It is imported when it is first asked for, so that the names are known without PyTorch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from newscaster.errors import InputError
from newscaster.texts import quoted

if TYPE_CHECKING:
    from newscaster.models.renderer.crop_task import CropTask

RENDERERS = {
    "unet": "newscaster.models.renderer.task:RendererTask",
    "reference": "newscaster.models.reference.task:ReferenceTask",
}
"""Module and class of the training task of each renderer."""
UNTRAINED = frozenset({"reference"})
"""Renderers that work before they are trained on a person."""
DEFAULT_RENDERER = "unet"


def check_renderer(name: str) -> None:
    """Raise InputError unless there is a renderer of this name."""
    if name not in RENDERERS:
        raise InputError(f"the renderer is {quoted(name)}; expected one of {', '.join(RENDERERS)}")


def renderer_task(name: str) -> type[CropTask]:
    """Return the training task of a renderer.

    Raises:
        InputError: there is no renderer of this name.
    """
    check_renderer(name)
    module, _, task = RENDERERS[name].partition(":")
    found: type[CropTask] = getattr(import_module(module), task)
    return found
