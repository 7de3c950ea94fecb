"""Small torch trainings that seed nothing; prints the hash of what each learned, as JSON."""

import hashlib
import json

import torch
from torch import nn

STEPS = 2


class Last(nn.Module):  # type: ignore[misc]  # torch is not where this is checked
    """The last output of a recurrent layer."""

    def __init__(self) -> None:
        super().__init__()
        self.recurrent = nn.LSTM(17, 33, num_layers=2, batch_first=True)
        self.head = nn.Linear(33, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        last: torch.Tensor = self.head(self.recurrent(x)[0][:, -1])
        return last


def trained(model: nn.Module, optimizer: type[torch.optim.Optimizer], *shape: int) -> torch.Tensor:
    chosen = optimizer(model.parameters(), lr=0.01)
    x = torch.randn(16, *shape)
    y = torch.randint(0, 3, (16,))
    for _ in range(STEPS):
        chosen.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        chosen.step()
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def models() -> dict[str, torch.Tensor]:
    encoder = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, activation="gelu")
    return {
        "mlp": trained(
            nn.Sequential(nn.Linear(67, 129), nn.ReLU(), nn.LayerNorm(129), nn.Linear(129, 3)),
            torch.optim.AdamW,
            67,
        ),
        "transformer": trained(
            nn.Sequential(encoder, nn.Flatten(), nn.Linear(11 * 32, 3)), torch.optim.Adam, 11, 32
        ),
        "cnn": trained(
            nn.Sequential(
                nn.Conv2d(3, 8, 3),
                nn.BatchNorm2d(8),
                nn.SiLU(),
                nn.MaxPool2d(2),
                nn.Flatten(),
                nn.Linear(392, 3),
            ),
            torch.optim.SGD,
            *(3, 16, 16),
        ),
        "lstm": trained(Last(), torch.optim.RMSprop, 7, 17),
    }


def functions() -> dict[str, torch.Tensor]:
    """MKL's vector functions, half of which use the hardware's estimates on one of its branches."""
    names = "acos asin atan cos erf erfinv exp expm1 log log10 log1p log2 sin sqrt rsqrt tan tanh"
    made = {}
    for dtype in (torch.float32, torch.float64):
        values = torch.rand(10_007, dtype=dtype)
        for name in names.split():
            made[f"{name}.{str(dtype)[6:]}"] = getattr(torch, name)(values)
    square = torch.rand(97, 97)
    made["matmul"] = square @ square
    made["svd"] = torch.linalg.svdvals(square)
    made["cdist"] = torch.cdist(square, square + 1)
    return made


if __name__ == "__main__":
    found = {**models(), **functions()}
    print(
        json.dumps({name: hashlib.sha256(one.numpy().tobytes()).hexdigest() for name, one in found.items()})
    )
