"""The exit status by which workers and the launcher tell each other.

Nothing here imports TensorFlow.
"""

# Of a worker that another one has left alone. Kubeflow restarts a worker that
# ends so.
LOST = 138
