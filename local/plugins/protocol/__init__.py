"""The protocol between the engine and a provider plugin: gRPC on the engine's side, plain Python on the provider's side."""
