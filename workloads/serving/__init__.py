"""The microservice around a released model: seldon-core's, with validation, identity and metrics of our own.

Runs in the serving environment alone (numpy 1, onnxruntime, seldon-core); nothing of training or infrastructure is imported.
"""
