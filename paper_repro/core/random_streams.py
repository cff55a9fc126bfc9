"""Every random draw of the package flows from a run's seed through a named stream."""

import hashlib

import torch


def stream_seed(seed: int, *name: str | int) -> int:
    """Return the 63-bit seed of a run's stream, e.g. ``stream_seed(0, "validation", 5)``.

    Streams of different names or seeds share nothing, so that drawing more in one of them (say,
    validating more often) leaves all others as they were.
    """
    text = "/".join(str(part) for part in (seed, *name))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def stream_rng(seed: int, *name: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a random generator on `device`, seeded for the named stream."""
    return torch.Generator(device=device).manual_seed(stream_seed(seed, *name))
