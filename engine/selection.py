"""Which evaluation is the best, and what follows from it.

Nothing here imports TensorFlow.
"""

# The figures of an evaluation that may decide -> whether higher is better.
METRICS = {
    'accuracy': True,
    'top_5_accuracy': True,
    'mean_recall': True,
    'mean_f1': True,
    'loss': False,
    'expected_calibration_error': False,
}
