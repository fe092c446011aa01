"""A folder of labelled pictures as train, validation and test sets."""

from trainer.data.arrays import LabelledArrays
from trainer.data.augment import Variations
from trainer.data.dataset import (
    Dataset,
    Sample,
    load_dataset,
    load_for_evaluation,
    load_recorded,
)
from trainer.data.folder_layout import SetName
from trainer.data.pictures import batches_of, load_pictures, map_pictures
from trainer.data.summary import describe_dataset, measured_pictures

__all__ = [
    "Dataset",
    "LabelledArrays",
    "Sample",
    "SetName",
    "Variations",
    "batches_of",
    "describe_dataset",
    "load_dataset",
    "load_for_evaluation",
    "load_pictures",
    "load_recorded",
    "map_pictures",
    "measured_pictures",
]
