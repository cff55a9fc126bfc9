"""The training images nearest to samples: the sixth column of figure 2, and copies."""

import math

import torch


@torch.no_grad()
def nearest(
    queries: torch.Tensor, images: torch.Tensor, chunk: int = 10_000
) -> tuple[list[int], list[float]]:
    """Return the index of the image, (n, d), nearest to each query, (m, d), and squared distances.

    The first of equally near images wins. A chunk of images is compared at a time, which bounds
    the memory.
    """
    best = torch.full((len(queries),), torch.inf, dtype=torch.float64)
    index = torch.zeros(len(queries), dtype=torch.int64)
    for start in range(0, len(images), chunk):
        # Differences, not a matrix product: the queries are few, and equal images must give 0.
        block = images[start : start + chunk]
        squared = torch.stack([(block - query).square().sum(1) for query in queries]).double()
        smallest = squared.min(1)
        nearer = smallest.values < best
        best[nearer] = smallest.values[nearer]
        index[nearer] = smallest.indices[nearer] + start
    return index.tolist(), best.tolist()


@torch.no_grad()
def nearest_distances(queries: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """Return the L2 distance of each query, (m, d), to the nearest of the images, (n, d): (m,)."""
    centre = images.mean(0)
    x, squares = queries - centre, torch.full((len(queries),), math.inf)
    for block in images.split(2000):
        s = block - centre
        products = torch.addmm(s.square().sum(1), x, s.T, alpha=-2)
        squares = torch.minimum(squares, products.amin(1))
    return (squares + x.square().sum(1)).clamp(min=0).sqrt()
