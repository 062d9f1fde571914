"""The microservice of a released model: seldon-core's microservice, with our own validation, identity and metrics.

It runs only in the serving image (numpy 1, onnxruntime, seldon-core) and imports no code of training or infrastructure.
"""
