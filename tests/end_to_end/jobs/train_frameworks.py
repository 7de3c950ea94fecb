"""A job without a single seeding call: numpy, torch and TensorFlow train in turn."""

import hashlib
from typing import Any

import numpy as np


def report(name: str, arrays: list[Any]) -> None:
    """Save the weights where the run's outputs go, and print their hash."""
    data = b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)
    np.savez(f"out/{name}.npz", *arrays)
    print(name, hashlib.sha256(data).hexdigest(), flush=True)


def train_numpy() -> None:
    """Fit a line by gradient descent, with the global generator and one of its own."""
    rows = np.random.normal(size=(256, 16))
    target = rows @ np.random.default_rng().normal(size=16)
    weights = np.random.normal(size=16)
    for _ in range(50):
        weights -= 0.1 * rows.T @ (rows @ weights - target) / len(rows)
    report("numpy", [weights])


def train_torch() -> None:
    """Train a perceptron with dropout, AdamW and a shuffling loader."""
    import torch

    model = torch.nn.Sequential(
        torch.nn.Linear(16, 32), torch.nn.ReLU(), torch.nn.Dropout(0.1), torch.nn.Linear(32, 1)
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    rows = torch.randn(256, 16)
    data = torch.utils.data.TensorDataset(rows, rows.sum(dim=1, keepdim=True))
    for batch, target in torch.utils.data.DataLoader(data, batch_size=64, shuffle=True):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(model(batch), target).backward()
        optimizer.step()
    report("torch", [parameter.detach().numpy() for parameter in model.parameters()])


def train_tensorflow() -> None:
    """Train a perceptron with dropout through Keras."""
    import tensorflow as tf

    layers = tf.keras.layers
    model = tf.keras.Sequential(
        [tf.keras.Input((16,)), layers.Dense(32, "relu"), layers.Dropout(0.1), layers.Dense(1)]
    )
    model.compile("adam", "mse")
    rows = tf.random.normal((256, 16))
    model.fit(rows, tf.reduce_sum(rows, axis=1), epochs=2, batch_size=64, verbose=0)
    report("tensorflow", model.get_weights())


train_numpy()
train_torch()
train_tensorflow()
