"""Times DLRM's step in PyTorch, eager: the one of benches/src/devices/dlrm.ts, and like there from rows in the host's
memory to gradients there.

Usage: gpu-check.py SAMPLES STEPS
"""

import json
import statistics
import sys
import time

import torch

TABLES, NUMBERS, DIM = 26, 13, 64


class Dlrm(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.bottom = torch.nn.Linear(NUMBERS, DIM)
        vectors = TABLES + 1
        self.register_buffer("pairs", torch.triu_indices(vectors, vectors, offset=1))
        pairs = vectors * (vectors - 1) // 2
        self.top = torch.nn.Sequential(
            torch.nn.Linear(DIM + pairs, 512),
            torch.nn.ReLU(),
            torch.nn.Linear(512, 256),
            torch.nn.ReLU(),
            torch.nn.Linear(256, 1),
        )

    def forward(self, rows: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        """rows [B, TABLES, DIM], numbers [B, NUMBERS]; gives logits [B]."""
        bottom = torch.relu(self.bottom(numbers))
        vectors = torch.cat([bottom.unsqueeze(1), rows], dim=1)
        products = torch.bmm(vectors, vectors.transpose(1, 2))
        pairs = products[:, self.pairs[0], self.pairs[1]]
        return self.top(torch.cat([bottom, pairs], dim=1)).squeeze(1)


def main(samples: int, steps: int) -> None:
    on_gpu = torch.cuda.is_available()
    device = torch.device("cuda" if on_gpu else "cpu")
    torch.manual_seed(1)
    model = Dlrm().to(device)
    rows_host = torch.rand(samples, TABLES, DIM) * 2 - 1
    numbers_host = torch.rand(samples, NUMBERS) * 2 - 1
    label_host = (torch.arange(samples) % 2).float()

    def step() -> None:
        rows = rows_host.to(device, copy=True).requires_grad_()
        logits = model(rows, numbers_host.to(device))
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, label_host.to(device))
        model.zero_grad(set_to_none=True)
        loss.backward()
        # Copies to the host wait for the device.
        rows.grad.cpu()
        torch.cat([weight.grad.reshape(-1) for weight in model.parameters()]).cpu()

    times = []
    warm_up = -(-steps // 5)
    for i in range(warm_up + steps):
        began = time.perf_counter()
        step()
        if i >= warm_up:
            times.append(1000 * (time.perf_counter() - began))
    times.sort()
    name = torch.cuda.get_device_name() if on_gpu else "CPU"
    print(
        json.dumps(
            {
                "description": f"PyTorch {torch.__version__}, {name}",
                "stepMs": statistics.median(times),
                "p10": times[len(times) // 10],
                "p90": times[-1 - len(times) // 10],
            }
        )
    )


main(int(sys.argv[1]), int(sys.argv[2]))
