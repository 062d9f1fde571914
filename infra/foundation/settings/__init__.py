"""The settings of each kind of cluster, database, artifact store, shared volumes and entrance."""
