"""Chooses how the workers update the weights."""

from __future__ import annotations

from lingo_model import SimpleSeq2SeqLSTM
from pipeline.train.recipe import TrainConfig
from pipeline.train.shared_update import SharedMemoryUpdate, shared_memory
from pipeline.train.weight_updates import DDPUpdate
from pipeline.train.worker_context import WorkerContext


def new_update(
    model: SimpleSeq2SeqLSTM, config: TrainConfig, place: WorkerContext
) -> DDPUpdate | SharedMemoryUpdate:
    """The faster way that these workers have. Every worker calls this."""
    if place.n_workers > 1 and place.device.type == "cpu":
        dtype = model.output.weight.dtype
        memory = shared_memory(SharedMemoryUpdate.memory_shape(model, place), dtype, place)
        if memory is not None:
            return SharedMemoryUpdate(model, config, place, memory)
    return DDPUpdate(model, config, place)
