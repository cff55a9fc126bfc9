"""Slow NumPy twins of what the package computes, written from the paper and not from its code.

float64 throughout; loops where a loop is plainer than an array trick.
"""

import math

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def maxout_forward(h, pieces):
    """Unit j is the maximum over columns j*pieces ... j*pieces+pieces-1; also which won."""
    n, columns = h.shape
    units = columns // pieces
    out, winner = np.empty((n, units)), np.empty((n, units), int)
    for i in range(n):
        for j in range(units):
            group = h[i, j * pieces : (j + 1) * pieces]
            winner[i, j] = j * pieces + int(np.argmax(group))
            out[i, j] = h[i, winner[i, j]]
    return out, winner


def maxout_backward(gradient, winner, columns):
    back = np.zeros((len(gradient), columns))
    for i in range(gradient.shape[0]):
        for j in range(gradient.shape[1]):
            back[i, winner[i, j]] += gradient[i, j]
    return back


def generator_forward(parameters, z):
    w1, b1, w2, b2, w3, b3 = parameters
    h1 = np.maximum(z @ w1 + b1, 0)
    h2 = np.maximum(h1 @ w2 + b2, 0)
    return h1, h2, sigmoid(h2 @ w3 + b3)


def generator_gradients(parameters, z, h1, h2, samples, d_samples):
    """Gradients of the generator's parameters, given the gradient at its samples."""
    _, _, w2, _, w3, _ = parameters
    a3 = d_samples * samples * (1 - samples)
    a2 = (a3 @ w3.T) * (h2 > 0)
    a1 = (a2 @ w2.T) * (h1 > 0)
    return [z.T @ a1, a1.sum(0), h1.T @ a2, a2.sum(0), h2.T @ a3, a3.sum(0)]


def discriminator_forward(parameters, x, masks, pieces):
    w1, b1, w2, b2, w3, b3 = parameters
    x1 = x * masks[0]
    h1, win1 = maxout_forward(x1 @ w1 + b1, pieces)
    x2 = h1 * masks[1]
    h2, win2 = maxout_forward(x2 @ w2 + b2, pieces)
    x3 = h2 * masks[2]
    return x3 @ w3 + b3, (x1, x2, x3, win1, win2)


def discriminator_backward(parameters, masks, cache, d_logits):
    """Gradients of the discriminator's parameters and of its input."""
    w1, _, w2, _, w3, _ = parameters
    x1, x2, x3, win1, win2 = cache
    a2 = maxout_backward(d_logits @ w3.T * masks[2], win2, w2.shape[1])
    a1 = maxout_backward(a2 @ w2.T * masks[1], win1, w1.shape[1])
    gradients = [x1.T @ a1, a1.sum(0), x2.T @ a2, a2.sum(0), x3.T @ d_logits, d_logits.sum(0)]
    return gradients, a1 @ w1.T * masks[0]


def joint_gradients(g, d, x, z, masks, pieces, minimax=False, half=True):
    """Both players' gradients at the same parameters, same z, same masks of the samples.

    masks: for each layer of D, (2n, inputs); rows 0..n-1 belong to the data, the rest to samples.
    d_obj = 1/2 [mean softplus(-D(x)) + mean softplus(D(G(z)))]; g_obj = mean softplus(-D(G(z))).
    """
    n = len(x)
    h1, h2, samples = generator_forward(g, z)
    on_data = [m[:n] for m in masks]
    on_samples = [m[n:] for m in masks]
    data_logits, data_cache = discriminator_forward(d, x, on_data, pieces)
    sample_logits, sample_cache = discriminator_forward(d, samples, on_samples, pieces)
    factor = 0.5 if half else 1.0
    from_data, _ = discriminator_backward(
        d, on_data, data_cache, -factor * sigmoid(-data_logits) / n
    )
    from_samples, _ = discriminator_backward(
        d, on_samples, sample_cache, factor * sigmoid(sample_logits) / n
    )
    d_gradients = [a + b for a, b in zip(from_data, from_samples, strict=True)]
    signal = -sigmoid(sample_logits) / n if minimax else -sigmoid(-sample_logits) / n
    _, d_x = discriminator_backward(d, on_samples, sample_cache, signal)
    return generator_gradients(g, z, h1, h2, samples, d_x), d_gradients


def momentum_step(parameters, velocities, gradients, rate, momentum):
    """v <- m v - lr g; theta <- theta + v, on lists of arrays, returning new ones."""
    velocities = [momentum * v - rate * g for v, g in zip(velocities, gradients, strict=True)]
    return [p + v for p, v in zip(parameters, velocities, strict=True)], velocities


def parzen(images, samples, sigma):
    """Direct Parzen-window log-likelihoods in nats, one image and one sample at a time."""
    d = samples.shape[1]
    result = []
    for x in images:
        exponents = np.array([-((x - s) ** 2).sum() / (2 * sigma**2) for s in samples])
        top = exponents.max()
        result.append(top + math.log(np.mean(np.exp(exponents - top))))
    return np.array(result) - d * math.log(sigma * math.sqrt(2 * math.pi))


def maxout_convolution(x, weight, bias, pieces, pad, pool, stride):
    """(n, channels, rows, columns): cross-correlation, bias, max over pieces, then pooling."""
    n, _, rows, columns = x.shape
    filters, _, kernel, _ = weight.shape
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    made = (rows + 2 * pad - kernel + 1, columns + 2 * pad - kernel + 1)
    values = np.zeros((n, filters, *made))
    for i in range(made[0]):
        for j in range(made[1]):
            window = padded[:, :, i : i + kernel, j : j + kernel]
            values[:, :, i, j] = np.tensordot(window, weight, ((1, 2, 3), (1, 2, 3))) + bias
    values = np.stack([values[:, j::pieces] for j in range(pieces)]).max(0)
    corners = [range(0, side - pool + stride, stride) for side in made]  # to the last row covered
    pooled = [
        values[:, :, i : i + pool, j : j + pool].max((2, 3)) for i in corners[0] for j in corners[1]
    ]
    return np.stack(pooled, -1).reshape(n, filters // pieces, *map(len, corners))


def transposed_convolution(x, weight, bias, stride):
    """(n, rows, columns, channels) -> (n, channels, rows, columns): every value stamps a kernel."""
    n, rows, columns, _ = x.shape
    kernel = weight.shape[2]
    out = np.zeros((n, *bias.shape)) + bias
    for i in range(rows):
        for j in range(columns):
            stamp = np.tensordot(x[:, i, j], weight, ((1,), (0,)))
            top, left = i * stride, j * stride
            out[:, :, top : top + kernel, left : left + kernel] += stamp
    return out
