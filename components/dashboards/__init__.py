"""The ways in: dashboards of the mesh through an Ingress, Contour or the mesh's own gateway, and Contour itself.

Which dashboards a mesh has is in `catalog`, what leads to them in `routes`, what doesn't go together in `fit`; all three are
pure. `dashboards` and `contour` register the resources.
"""
