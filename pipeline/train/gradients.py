"""Computes the gradients of a step on the data shards of one worker."""

from __future__ import annotations

import contextlib

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from pipeline.train.batches import ShardReader, Step
from pipeline.train.recipe import TrainConfig
from pipeline.train.worker_context import WorkerContext


def dropout_seed(seed: int, step: int, data_shard: int) -> int:
    """Seed of the dropout for a data shard in a step, the same whichever worker computes it."""
    return int(
        np.random.SeedSequence((seed, step, data_shard)).generate_state(1, np.uint64)[0] >> 1
    )


def accumulate_gradients(
    loss: nn.Module, step: Step, reader: ShardReader, context: WorkerContext, config: TrainConfig
) -> float:
    """Compute the gradients of a step on this worker's data shards.

    The step's objective is the loss summed over all data shards, divided by the step's target
    tokens. The update averages gradients over the workers, so each worker multiplies its share by
    their number. DistributedDataParallel exchanges gradients in the backward pass of a worker's
    last data shard.

    Args:
        loss: a :class:`~lingo_model.SummedLoss`, which may be wrapped in DistributedDataParallel.
        step: its batches are read.
        reader: of this worker.
        context: this worker.
        config: the recipe.

    Returns:
        the loss (nats) summed over the target tokens of this worker's data shards.
    """
    total = 0.0
    data_shards = range(context.rank, config.n_data_shards, context.n_workers)
    for data_shard in data_shards:
        batch = reader.batch(step, data_shard).to(context.device)
        torch.manual_seed(dropout_seed(config.seed, step.number, data_shard))
        exchange: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
        if data_shard != data_shards[-1] and isinstance(loss, DistributedDataParallel):
            exchange = loss.no_sync()
        with exchange:
            autocast = config.precision == "bfloat16"
            with torch.autocast(context.device.type, torch.bfloat16, enabled=autocast):
                batch_loss = loss(batch.source, batch.target_in, batch.target_out)
            (batch_loss * (context.n_workers / step.n_target_tokens)).backward()
        total += batch_loss.item()
    return total
