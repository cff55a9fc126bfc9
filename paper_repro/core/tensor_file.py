"""A trained model's file: both players, best and last, in one safetensors file.

Names are ``best.generator.layers.0.weight`` and the like; the header's ``record`` holds the run as
JSON. A run that could not be made has the record and no tensors.
"""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from paper_repro.core.errors import UserError
from paper_repro.core.files import digest, replacing


def save_tensors(path: Path, tensors: dict[str, torch.Tensor], record: dict[str, Any]) -> None:
    """Write tensors and a JSON record as one whole file, the same bytes for the same content."""
    metadata = {"record": json.dumps(record, sort_keys=True, allow_nan=False)}
    size = sum(tensor.nbytes for tensor in tensors.values()) + len(metadata["record"])
    on_cpu = {name: tensors[name].contiguous().cpu() for name in sorted(tensors)}
    with replacing(path, size) as temporary:
        try:
            save_file(on_cpu, temporary, metadata=metadata)
        except SafetensorError as error:
            number = re.search(r"os error (\d+)", str(error))  # it hides the system's error
            if number is None:
                raise
            raise OSError(int(number[1]), os.strerror(int(number[1]))) from None


def content_digest(tensors: dict[str, torch.Tensor], record: dict[str, Any]) -> str:
    """Return the SHA-256 of tensors, by name, type, shape and bytes, and of a JSON record."""
    found = hashlib.sha256(digest(record).encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().contiguous().cpu()
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def read_metadata(path: Path) -> dict[str, Any]:
    """Return a file's record and read no tensor (`UserError` as `load_tensors`)."""
    return load_tensors(path, None)[1]


def load_tensors(
    path: Path, prefix: str | None = "", device: torch.device | str = "cpu"
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return the tensors whose name starts with `prefix`, without it, and the record.

    Of None no tensor. A `UserError` if the file is absent or damaged.
    """
    if not path.is_file():
        trouble = "no regular file" if path.exists() else "no such file"
        raise UserError(f"{path}: {trouble}; run `dvc repro` to make it")
    try:
        with safe_open(path, "pt", device=str(device)) as stored:
            record = json.loads((stored.metadata() or {})["record"])
            tensors = {
                name.removeprefix(prefix or ""): stored.get_tensor(name)
                for name in stored.keys()  # noqa: SIM118 (no mapping)
                if prefix is not None and name.startswith(prefix)
            }
        if not isinstance(record, dict):
            raise ValueError("no record")
    except (SafetensorError, OSError, KeyError, ValueError, RecursionError) as error:
        raise UserError(
            f"{path}: damaged or not a file of this package ({error}); delete it and run again"
        ) from None
    return tensors, record
