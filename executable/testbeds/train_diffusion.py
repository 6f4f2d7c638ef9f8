"""Train the model of `diffusion.py` and write its weights: `python -m executable.testbeds.train_diffusion` (about twenty seconds)."""

from __future__ import annotations

import io

import torch
from torch import nn

from executable.testbeds.diffusion import WEIGHTS, Diffusion, captioned_squares, signal, spread
from executable.testbeds.digits import one_thread
from taxonomy.disk import put

SEED = 0
STEPS = 500
BATCH = 64


def train(steps: int = STEPS) -> Diffusion:
    """Learn to estimate the clean image at a random level of noise."""
    generator = torch.Generator().manual_seed(SEED)
    with one_thread(SEED), torch.enable_grad():
        model = Diffusion()
        optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=4e-3, total_steps=steps)
        loss = nn.MSELoss()
        for _ in range(steps):
            captions, images = captioned_squares(BATCH, generator)
            clean = images * 2 - 1
            level = torch.rand(BATCH, generator=generator)
            scale = level[:, None, None, None]
            noisy = signal(scale) * clean + spread(scale) * torch.randn(clean.shape, generator=generator)
            optimiser.zero_grad()
            loss(model.denoiser(noisy, level, captions), clean).backward()
            optimiser.step()
            schedule.step()
    return model.eval().requires_grad_(False)


if __name__ == "__main__":
    weights = io.BytesIO()
    torch.save({name: value.half() for name, value in train().state_dict().items()}, weights)
    put(WEIGHTS, weights.getvalue())
