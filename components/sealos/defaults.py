"""What the settings and the requests that a state keeps have in common: a request without the key means these."""

ETCD_BACKUPS = "etcd-backups"
"""Where snapshots of etcd go unless cluster.etcdBackups says another place: a folder beside the stack's file."""

JOIN_BATCH = 10
"""Nodes that sealos joins at a time unless cluster.joinBatch says otherwise."""
