"""How a provider plugin and the engine speak to each other: gRPC on one side, plain Python on the other."""
