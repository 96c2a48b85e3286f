"""How machines are reached: who they are (models, fleet), what dials (connection), and what is done on one (host)."""
