"""Chooses how the training workers update the weights."""

from __future__ import annotations

from lingo_model import SimpleSeq2SeqLSTM
from pipeline.train.recipe import TrainConfig
from pipeline.train.shared_memory_update import SharedMemoryUpdate, allocate_shared_memory
from pipeline.train.weight_updates import DDPUpdate, WeightUpdate
from pipeline.train.worker_context import WorkerContext


def new_update(
    model: SimpleSeq2SeqLSTM, config: TrainConfig, context: WorkerContext
) -> WeightUpdate:
    """The fastest update that these workers can use. Every worker must call this.

    Several workers on the CPUs of one machine use shared memory; all others use
    DistributedDataParallel, which one worker does not need.
    """
    if context.n_workers > 1 and context.device.type == "cpu":
        shape = SharedMemoryUpdate.memory_shape(model, context)
        memory = allocate_shared_memory(shape, model.output.weight.dtype, context)
        if memory is not None:
            return SharedMemoryUpdate(model, config, context, memory)
    return DDPUpdate(model, config, context)
