"""What the verbs of `python3 -m components.sealos` do, a file a verb: ask the machines, let the pure modules judge, act, ask again."""
