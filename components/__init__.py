"""The program's own parts: settings, machines, and one package per thing that a user would name."""
