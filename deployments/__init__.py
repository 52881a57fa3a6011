"""The effects: Ray Serve deployments, the engine, HTTP, metrics and the command line."""
