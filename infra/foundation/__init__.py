"""What an environment stands on: one kind each of cluster, database, artifact store, shared volumes and entrance.

`settings/` holds the settings of each kind and what a kind answers about itself, without importing Pulumi. The modules beside
it declare the resources of each kind. `create.py` returns all of it as one `Foundation` (`result.py`), and that is all that
`infra/platform.py` sees. Nothing outside this package knows which kinds exist.
"""
